//! The launch file of QEMU and KVM: `run.sh`, a POSIX shell script that starts the image beside it.
//!
//! The script itself stands in `run.sh.in`; here its placeholders are filled in from the plan.

use std::fmt::Write as _;

use crate::boot::acceleration::{CODE, EXIT_CODE, LIMIT, PROBE_ARGUMENTS, SECTOR, SIGNATURE};
use crate::boot::firmware::PAIRS;
use crate::boot::user_network;
use crate::disk::layout::ESP_MOUNT;
use crate::host::run::quote;
use crate::host::template::fill;
use crate::plan::{Connection, GuestNetwork, Nic, Plan, User};
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

/// How many disks a machine can have: each takes a slot of the machine's first bus. Of the 32 that PCI has (PCI
/// Local Bus Specification 3.0, 3.2.2.3.2) QEMU's machine `q35` takes three, for host bridge, display and
/// chipset, and the launch file and `rvmb test` two, for interface and random numbers.
pub(super) const MOST_DISKS: usize = 32 - 3 - 2;

const TEMPLATE: &str = include_str!("run.sh.in");

/// `run.sh` for the machine of `plan`.
pub(super) fn run_script(plan: &Plan, engine: Engine) -> LaunchFile {
    let machine = Machine {
        hostname: &plan.guest.hostname,
        release: format!("{} {}, {}", plan.suite.distro, plan.suite.codename, plan.architecture),
        architecture: &plan.architecture,
        drives: (0..)
            .zip(&plan.disks)
            .map(|(number, disk)| (disk.image.as_str(), plan.format_of(number)))
            .collect(),
        uefi: plan.mounted_at(ESP_MOUNT).is_some(),
        memory: plan.target.memory,
        cpus: plan.target.cpus,
        user: plan.tree.existing.is_none().then_some(&plan.guest.user),
        network: &plan.guest.network,
        nic: &plan.target.nic,
        ssh_server: plan.packages.resolved.iter().any(|package| package.name == plan.suite.ssh.package),
    };
    LaunchFile { name: "run.sh".to_owned(), mode: 0o755, content: machine.script(engine) }
}

/// What the script needs to know of a plan.
struct Machine<'a> {
    hostname: &'a str,
    release: String,
    architecture: &'a str,
    /// The first one is started.
    /// Image and format of each disk.
    drives: Vec<(&'a str, &'a str)>,
    /// Whether it has what UEFI starts.
    uefi: bool,
    memory: Size,
    cpus: u32,
    /// None where it is one of a tree that somebody else has made.
    user: Option<&'a User>,
    network: &'a GuestNetwork,
    nic: &'a Nic,
    ssh_server: bool,
}

impl Machine<'_> {
    fn script(&self, engine: Engine) -> String {
        let first = self.drives.first().map_or("", |(image, _)| image);
        // Beside the script, wherever the disk is.
        let name = first.rsplit_once('/').map_or(first, |(_, name)| name);
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
            ("@IMAGES@", self.drives.iter().map(|(image, _)| quote(image)).collect::<Vec<_>>().join(" ")),
            ("@DRIVES@", self.drives()),
            ("@VARS@", quote(&format!("{stem}-uefi-vars.fd"))),
            ("@MEMORY@", (self.memory.bytes() / MIB).to_string()),
            ("@CPUS@", self.cpus.to_string()),
            ("@ENGINE_COMMENT@", comment.to_owned()),
            ("@ENGINE@", kvm_works),
            ("@UEFI_PAIRS@", self.uefi_pairs()),
            ("@NO_UEFI@", quote(self.no_uefi())),
            ("@LOGIN@", self.login_words()),
            ("@CONNECT@", self.connection()),
            ("@MAC@", self.nic.mac.to_string()),
        ];
        fill(TEMPLATE, &values)
    }

    /// The disks as QEMU's arguments, each on a line of its own. The guest sees them in this order, and the
    /// firmware starts the first.
    fn drives(&self) -> String {
        let drive = |(number, (image, format)): (usize, &(&str, &str))| {
            let (file, format) = (quote(&option_value(image)), quote(format));
            format!(
                "-drive file={file},format={format},if=none,id=disk{number} \
                 -device virtio-blk-pci,drive=disk{number},bootindex={number} \\\n    "
            )
        };
        self.drives.iter().enumerate().map(drive).collect()
    }

    /// Code and variable store of the known UEFI firmware builds, as the words of a shell loop.
    fn uefi_pairs(&self) -> String {
        let pairs = if self.architecture == "i386" || !self.uefi { [].as_slice() } else { PAIRS };
        let words: Vec<String> = pairs.iter().map(|(code, vars)| format!("{code}:{vars}")).collect();
        words.join(" \\\n        ")
    }

    /// Why there is no firmware. Its code has as many bits as the boot loader that it starts must have.
    fn no_uefi(&self) -> &'static str {
        match self.architecture {
            _ if !self.uefi => "UEFI does not start from an msdos partition table: start it without --uefi",
            "i386" => "UEFI firmware has 64 bits and this machine 32: start it without --uefi",
            _ => "no UEFI firmware is installed: sudo apt-get install ovmf",
        }
    }

    /// The line that says how to log in.
    fn login_words(&self) -> String {
        let Some(user) = self.user else {
            return "say \"Log in as a user of the tree that the disk was made of.\"".to_owned();
        };
        let console = if user.locked {
            format!("The password of {} is locked; log in through ssh with a key.", user.name)
        } else if user.default_password {
            format!("Log in as {0}, password {0}; change it with passwd.", user.name)
        } else {
            format!("Log in as {} with the password that was chosen.", user.name)
        };
        format!("say {}", quote(&console))
    }

    /// The lines that decide on a network of QEMU's own, and say how the machine is reached in it.
    fn connection(&self) -> String {
        let options = user_network::options(self.network);
        let mut lines = Vec::new();
        if let Some(address) = user_network::forward_address(self.network) {
            lines.push("port=${SSH_PORT:-$(free_port)}".to_owned());
            lines.push(format!("network=\"user,id=net0{options},hostfwd=tcp:127.0.0.1:$port-{address}:22\""));
            lines.push(if self.ssh_server {
                let user = self.user.map_or("USER", |user| &user.name);
                let login = quote(&format!("{user}@127.0.0.1"));
                format!("say \"From this host: ssh -p $port\" {login}")
            } else {
                "say \"Port 22 of the machine is port $port of this host.\"".to_owned()
            });
        } else {
            lines.push(format!("network=\"user,id=net0{options}\""));
            lines.push(
                "say \"Nothing of this host leads to the machine: it has no IPv4 address.\"".to_owned(),
            );
        }
        if let Connection::Bridge(bridge) = &self.nic.connection {
            lines.push(format!("say {}", quote(&format!("On its bridge: BRIDGE={bridge} ./run.sh"))));
        }
        lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
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
    use std::sync::LazyLock;

    use super::*;
    use crate::plan::{Address, Addressing, StaticAddresses};

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

    /// DHCP on libvirt's network.
    static NETWORK: GuestNetwork =
        GuestNetwork { addressing: Addressing::Dhcp, name_servers: Vec::new(), search: None };
    static NIC: LazyLock<Nic> = LazyLock::new(|| Nic {
        mac: "52:54:00:ab:cd:ef".parse().unwrap(),
        connection: Connection::default(),
    });

    fn machine<'a>(user: &'a User, ssh_server: bool) -> Machine<'a> {
        Machine {
            hostname: "vm",
            release: "debian trixie, amd64".to_owned(),
            architecture: "amd64",
            drives: vec![("vm-disk0.qcow2", "qcow2")],
            uefi: true,
            memory: Size::mib(1024),
            cpus: 1,
            user: Some(user),
            network: &NETWORK,
            nic: &NIC,
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
    fn the_users_of_an_existing_tree_are_not_told() {
        let bob = user(false, true);
        let script = Machine { user: None, ..machine(&bob, true) }.script(Engine::KvmWhereItWorks);
        assert!(!script.contains("bob") && script.contains("a user of the tree"), "{script}");
        assert!(script.contains("ssh -p $port\" USER@127.0.0.1"), "{script}");
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
    fn every_disk_is_there_and_uefi_is_not_where_it_cannot_be() {
        let user = user(false, true);
        let drives = vec![("vm-disk0.qcow2", "qcow2"), ("vm-disk1.qcow2", "qcow2")];
        let script = Machine { drives, uefi: false, ..machine(&user, true) }.script(Engine::KvmWhereItWorks);
        assert!(script.contains("for image in vm-disk0.qcow2 vm-disk1.qcow2;"), "{script}");
        assert!(script.contains("file=vm-disk1.qcow2,format=qcow2,if=none,id=disk1 -device"), "{script}");
        assert!(script.contains("drive=disk1,bootindex=1 \\\n"), "{script}");
        assert!(script.contains("msdos partition table") && !script.contains("OVMF"), "{script}");
    }

    #[test]
    fn a_machine_with_addresses_of_its_own_has_a_network_that_knows_them() {
        let address =
            |text: &str, prefix| Address { address: text.parse().unwrap(), prefix, broadcast: None };
        let fixed = |addresses| GuestNetwork {
            addressing: Addressing::Static(StaticAddresses { addresses, ..StaticAddresses::default() }),
            ..NETWORK.clone()
        };
        let nic = Nic { connection: Connection::Bridge("br0".to_owned()), ..NIC.clone() };
        let user = user(false, true);
        let ipv4 = fixed(vec![address("192.0.2.10", 24)]);
        let script =
            Machine { network: &ipv4, nic: &nic, ..machine(&user, true) }.script(Engine::KvmWhereItWorks);
        assert!(script.contains(",net=192.0.2.0/24,"), "{script}");
        assert!(script.contains(",hostfwd=tcp:127.0.0.1:$port-192.0.2.10:22\""), "{script}");
        assert!(script.contains("    say 'On its bridge: BRIDGE=br0 ./run.sh'\n"), "{script}");

        let ipv6 = fixed(vec![address("2001:db8::10", 64)]);
        let script = Machine { network: &ipv6, ..machine(&user, true) }.script(Engine::KvmWhereItWorks);
        assert!(script.contains(",ipv6-prefix=2001:db8::,"), "{script}");
        assert!(!script.contains("hostfwd") && !script.contains("ssh -p"), "{script}");
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        runner.command("sh").args(["-n", "/dev/stdin"]).input(script).run().unwrap();
    }

    #[test]
    fn a_disk_elsewhere_keeps_its_path_and_gives_its_name() {
        let user = user(false, true);
        let elsewhere = Machine { drives: vec![("/dev/vg/web", "raw")], ..machine(&user, true) };
        let script = elsewhere.script(Engine::TranslationAlways);
        for line in ["for image in /dev/vg/web; do", "vars=web-uefi-vars.fd"] {
            assert!(script.lines().any(|have| have == line), "{line} in {script}");
        }
        assert!(script.contains("file=/dev/vg/web,format=raw,"), "{script}");
    }

    #[test]
    fn bytes_are_octal() {
        assert_eq!(octal(&[0, 7, 0x55, 0xaa]), r"\000\007\125\252");
    }
}
