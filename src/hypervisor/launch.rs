//! The launch file of QEMU and KVM: `run.sh`, a POSIX shell script that starts the image beside it.
//!
//! The script itself stands in `run.sh.in`; here its placeholders are filled in from the plan.

use std::fmt::Write as _;

use crate::boot::acceleration::{CODE, EXIT_CODE, LIMIT, PROBE_ARGUMENTS, SECTOR, SIGNATURE};
use crate::boot::firmware::PAIRS;
use crate::host::run::quote;
use crate::host::template::fill;
use crate::plan::{Plan, User};
use crate::units::{MIB, Size};

/// A file that is left beside the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchFile {
    /// File name in the output directory.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: String,
}

/// What runs the guest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// KVM, if a boot sector runs under it.
    KvmWhereItWorks,
    /// QEMU's translation.
    TranslationAlways,
}

const TEMPLATE: &str = include_str!("run.sh.in");

/// `run.sh` for the machine of `plan`.
pub(super) fn run_script(plan: &Plan, engine: Engine) -> LaunchFile {
    let machine = Machine {
        hostname: &plan.guest.hostname,
        release: format!("{} {}, {}", plan.suite.distro, plan.suite.codename, plan.architecture),
        architecture: &plan.architecture,
        image: plan.disks.first().map_or("", |disk| &disk.image),
        format: plan.format_of(0),
        memory: plan.target.memory,
        cpus: plan.target.cpus,
        user: &plan.guest.user,
        ssh_server: plan.packages.resolved.iter().any(|package| package.name == plan.suite.ssh.package),
    };
    LaunchFile { name: "run.sh".to_owned(), mode: 0o755, content: machine.script(engine) }
}

/// What the script needs to know of a plan.
struct Machine<'a> {
    hostname: &'a str,
    release: String,
    architecture: &'a str,
    image: &'a str,
    format: &'a str,
    memory: Size,
    cpus: u32,
    user: &'a User,
    ssh_server: bool,
}

impl Machine<'_> {
    fn script(&self, engine: Engine) -> String {
        // Beside the script, wherever the disk is.
        let name = self.image.rsplit_once('/').map_or(self.image, |(_, name)| name);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let (comment, kvm_works) = match engine {
            Engine::KvmWhereItWorks => (
                "/dev/kvm may open and still run nothing, so a boot sector that counts and exits is run first.",
                kvm_probe(),
            ),
            Engine::TranslationAlways => {
                ("This image was made for QEMU without KVM.", "kvm_works() { false; }".to_owned())
            }
        };
        let values = [
            ("@NAME@", quote(self.hostname)),
            ("@RELEASE@", self.release.clone()),
            ("@IMAGE@", quote(self.image)),
            ("@DRIVE@", quote(&option_value(self.image))),
            ("@VARS@", quote(&format!("{stem}-uefi-vars.fd"))),
            ("@MEMORY@", (self.memory.bytes() / MIB).to_string()),
            ("@CPUS@", self.cpus.to_string()),
            ("@FORMAT@", quote(self.format)),
            ("@ENGINE_COMMENT@", comment.to_owned()),
            ("@ENGINE@", kvm_works),
            ("@UEFI_PAIRS@", self.uefi_pairs()),
            ("@NO_UEFI@", quote(self.no_uefi())),
            ("@LOGIN@", self.login_words()),
        ];
        fill(TEMPLATE, &values)
    }

    /// Code and variable store of the known UEFI firmware builds, as the words of a shell loop.
    fn uefi_pairs(&self) -> String {
        let pairs = if self.architecture == "i386" { [].as_slice() } else { PAIRS };
        let words: Vec<String> = pairs.iter().map(|(code, vars)| format!("{code}:{vars}")).collect();
        words.join(" \\\n        ")
    }

    /// Why there is no firmware. Its code has as many bits as the boot loader that it starts must have.
    fn no_uefi(&self) -> &'static str {
        match self.architecture {
            "i386" => "UEFI firmware has 64 bits and this machine 32: start it without --uefi",
            _ => "no UEFI firmware is installed: sudo apt-get install ovmf",
        }
    }

    /// The lines that say how to log in.
    fn login_words(&self) -> String {
        let user = self.user;
        let console = if user.locked {
            format!("The password of {} is locked; log in through ssh with a key.", user.name)
        } else if user.default_password {
            format!("Log in as {0}, password {0}; change it with passwd.", user.name)
        } else {
            format!("Log in as {} with the password that was chosen.", user.name)
        };
        let mut lines = format!("say {}\n", quote(&console));
        if self.ssh_server {
            let login = quote(&format!("{}@127.0.0.1", user.name));
            let _ = write!(lines, "say \"From this host: ssh -p $port\" {login}");
        } else {
            lines.push_str("say \"Port 22 of the machine is port $port of this host.\"");
        }
        lines
    }
}

/// A value inside a list of QEMU's options: a comma is doubled (QEMU's manual, "-drive").
fn option_value(text: &str) -> String {
    text.replace(',', ",,")
}

/// The shell function that finds out whether KVM runs code; the probe of `boot::acceleration`.
fn kvm_probe() -> String {
    let padding = SECTOR - CODE.len() - SIGNATURE.len();
    format!(
        r#"kvm_works() {{
    if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
        say "/dev/kvm cannot be used (is there KVM, and is $(id -un) in the group kvm?): starting without it."
        return 1
    fi
    sector=$(mktemp) || return 1
    trap 'rm -f "$sector"; exit 130' HUP INT TERM
    {{
        printf '{code}'
        dd if=/dev/zero bs={padding} count=1 2>/dev/null
        printf '{signature}'
    }} >"$sector"
    status=0
    timeout {LIMIT} "$qemu" -accel kvm {arguments} \
        -drive file="$sector",format=raw,if=ide </dev/null >/dev/null 2>&1 || status=$?
    rm -f "$sector"
    trap - HUP INT TERM
    [ "$status" -eq {EXIT_CODE} ] || {{ say "KVM does not run code here: starting without it, which is slower."; false; }}
}}"#,
        code = octal(&CODE),
        signature = octal(&SIGNATURE),
        arguments = PROBE_ARGUMENTS.join(" "),
    )
}

/// Bytes as POSIX printf takes them in its format.
fn octal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\{byte:03o}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(locked: bool, default_password: bool) -> User {
        User {
            name: "bob".to_owned(),
            full_name: "Bob".to_owned(),
            uid: None,
            gid: None,
            groups: Vec::new(),
            locked,
            default_password,
            keys: Vec::new(),
        }
    }

    fn machine<'a>(user: &'a User, ssh_server: bool) -> Machine<'a> {
        Machine {
            hostname: "vm",
            release: "debian trixie, amd64".to_owned(),
            architecture: "amd64",
            image: "vm-disk0.qcow2",
            format: "qcow2",
            memory: Size::mib(1024),
            cpus: 1,
            user,
            ssh_server,
        }
    }

    #[test]
    fn the_script_for_kvm() {
        insta::assert_snapshot!(machine(&user(false, true), true).script(Engine::KvmWhereItWorks));
    }

    #[test]
    fn the_script_for_qemu_does_not_ask_for_kvm() {
        let script = machine(&user(false, true), true).script(Engine::TranslationAlways);
        assert!(script.contains("kvm_works() { false; }"), "{script}");
        assert!(!script.contains("/dev/kvm"), "{script}");
    }

    #[test]
    fn the_script_says_how_to_log_in() {
        let cases = [
            (user(false, true), true, "say 'Log in as bob, password bob; change it with passwd.'"),
            (user(false, false), false, "say 'Log in as bob with the password that was chosen.'"),
            (user(true, true), true, "say 'The password of bob is locked; log in through ssh with a key.'"),
        ];
        for (user, ssh_server, line) in cases {
            let script = machine(&user, ssh_server).script(Engine::KvmWhereItWorks);
            assert!(script.lines().any(|have| have == line), "{line} in {script}");
            assert_eq!(script.contains("ssh -p"), ssh_server);
        }
    }

    #[test]
    fn a_shell_accepts_every_script() {
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        for engine in [Engine::KvmWhereItWorks, Engine::TranslationAlways] {
            let script = machine(&user(false, true), true).script(engine);
            runner.command("sh").args(["-n", "/dev/stdin"]).input(script).run().unwrap();
        }
    }

    #[test]
    fn a_machine_of_32_bits_has_no_uefi() {
        let user = user(false, true);
        let script = Machine { architecture: "i386", ..machine(&user, true) }.script(Engine::KvmWhereItWorks);
        assert!(!script.contains("OVMF"), "{script}");
        assert!(script.contains("without --uefi"), "{script}");
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        runner.command("sh").args(["-n", "/dev/stdin"]).input(script).run().unwrap();
    }

    #[test]
    fn a_disk_elsewhere_keeps_its_path_and_gives_its_name() {
        let user = user(false, true);
        let elsewhere = Machine { image: "/dev/vg/web", format: "raw", ..machine(&user, true) };
        let script = elsewhere.script(Engine::TranslationAlways);
        for line in ["image=/dev/vg/web", "vars=web-uefi-vars.fd"] {
            assert!(script.lines().any(|have| have == line), "{line} in {script}");
        }
        assert!(script.contains("file=/dev/vg/web,format=raw,"), "{script}");
    }

    #[test]
    fn bytes_are_octal() {
        assert_eq!(octal(&[0, 7, 0x55, 0xaa]), r"\000\007\125\252");
    }
}
