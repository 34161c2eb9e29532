//! libvirt, real and private: its daemons in a mount and a PID namespace of their own, with directories in
//! memory. Nothing of this host's libvirt is touched, and everything goes with the namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::process::{Finished, program, run};

/// The libvirt that is started here.
pub(crate) const URI: &str = "qemu:///system";

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Becomes the first process of the namespaces and starts the daemons. The shell stays: it takes in the
/// processes that QEMU leaves, for which libvirt would wait else. QEMU runs as root, without what a container
/// may not have. libvirt wants its user to be known, whom only a package with services makes; a KVM that
/// opens and runs nothing, as in nested machines, is kept away.
const START: &str = r#"set -e
for place in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /run/libvirt; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=0755 tmpfs "$place"
done
for table in passwd group; do
    cp "/etc/$table" "/run/libvirt/$table"
    mount --bind "/run/libvirt/$table" "/etc/$table"
done
grep -q '^libvirt-qemu:' /etc/passwd || echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
grep -q '^libvirt-qemu:' /etc/group || echo 'libvirt-qemu:x:64055:' >>/etc/group
printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'namespaces = []' \
    'cgroup_controllers = []' >/etc/libvirt/qemu.conf
[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
virtlogd --daemon --pid-file /run/libvirt/virtlogd.pid
libvirtd --pid-file /run/libvirt/libvirtd.pid &
wait
"#;

/// libvirt, until this is dropped.
pub(crate) struct Libvirt {
    /// The program that made the namespaces; they go with it.
    maker: Child,
    /// The first process in them.
    first: u32,
}

/// Whether it can be started.
pub(crate) fn is_here() -> Result<(), String> {
    Account::root()?;
    let missing = |name: &&str| rvmb::host::tools::find(name).is_none();
    match ["virsh", "libvirtd", "virtlogd"].into_iter().find(missing) {
        Some(name) => Err(format!("{name} is not installed")),
        None => Ok(()),
    }
}

impl Libvirt {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Self {
        let mut maker = program("/usr/bin/unshare");
        maker.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        maker.args(["sh", "-c", START]).env_clear().env("PATH", rvmb::host::run::SEARCH_PATH);
        maker.stdout(Stdio::null()).stderr(Stdio::null());
        let maker = maker.spawn().expect("starting unshare");
        let mut libvirt = Libvirt { maker, first: 0 };
        let start = Instant::now();
        loop {
            let children = super::traces::family(i32::try_from(libvirt.maker.id()).expect("a process id"));
            if let Some(first) = children.iter().find(|process| process.depth == 1) {
                libvirt.first = u32::try_from(first.pid).expect("a process id");
                if libvirt.virsh(&["version"]).status.success() {
                    return libvirt;
                }
            }
            assert!(start.elapsed() < PATIENCE, "libvirt does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs virsh and waits.
    pub(crate) fn virsh(&self, words: &[&str]) -> Finished {
        let mut virsh = program("/usr/bin/virsh");
        virsh.env_clear().env("LC_ALL", "C.UTF-8").args(["--quiet", "--connect", URI]).args(words);
        run(&mut self.seen_by(&virsh))
    }

    /// Makes a network of libvirt's known, which cannot be started without a firewall.
    #[track_caller]
    pub(crate) fn has_network(&self, name: &str, directory: &Path) {
        let file = directory.join("network.xml");
        let text = format!("<network><name>{name}</name><bridge name='rvmb0'/></network>");
        std::fs::write(&file, text).expect("writing the network's description");
        self.virsh(&["net-define", &file.display().to_string()]).well();
        std::fs::remove_file(file).expect("removing it");
    }

    /// `command`, where it finds this libvirt.
    pub(crate) fn seen_by(&self, command: &Command) -> Command {
        let mut inside = program("/usr/bin/nsenter");
        inside.arg(format!("--target={}", self.first)).args(["--mount", "--pid"]);
        let directory = command.get_current_dir().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        inside.arg(format!("--wd={}", directory.display())).arg("--").arg(command.get_program());
        inside.args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // The first process of the namespaces gets the signal of its parent's death, and takes all with it.
        let ended = self.maker.kill().and_then(|()| self.maker.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}
