//! The seal: nothing of the build, and nothing that must be different on every machine. Times of files
//! are clamped later, in the file system itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Site, network, services};
use crate::error::Result;
use crate::host::tree::Root;
use crate::suite::MachineId;

/// Longest /etc/shadow that is read.
const LIMIT: u64 = 1024 * 1024;

const SECONDS_PER_DAY: i64 = 86_400;

/// Directories that are emptied: caches, indices, temporary files.
const EMPTIED: [&str; 9] = [
    "/dev",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/cache/apt",
    "/var/cache/ldconfig",
    "/var/cache/man",
    "/var/lib/apt/lists",
    "/var/lib/dhcp",
];

/// Files that are removed: what bootstrap tools leave, and backups that packaging tools make.
const REMOVED: [&str; 22] = [
    "/etc/.pwd.lock",
    // systemd-resolved keeps the resolv.conf that it replaces, which was the builder's.
    "/etc/.resolv.conf.systemd-resolved.bak",
    "/etc/apt/apt.conf.d/99mmdebstrap",
    // mmdebstrap's copy of the sources that it was given, which name the builder's keyring.
    "/etc/apt/sources.list.d/0000sources.list",
    "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    services::POLICY,
    "/var/cache/debconf/config.dat-old",
    "/var/cache/debconf/passwords.dat-old",
    "/var/cache/debconf/templates.dat-old",
    "/var/lib/dbus/machine-id",
    "/var/lib/dpkg/available-old",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/dpkg/statoverride-old",
    "/var/lib/dpkg/status-old",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/random-seed",
];

/// Keys and names that packages make for one machine when they are installed. The first boot makes again what
/// nothing else does: guest/host-secrets and guest/rvmb-snakeoil.service.
const SECRETS: [&str; 10] = [
    "/etc/bind/rndc.key",
    "/etc/dhcpcd.duid",
    // nvme-cli goes by the machine's own UUID without them.
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    // The state of OpenSSL's generator before 1.1.1.
    "/root/.rnd",
    "/var/lib/dhcpcd/duid",
    "/var/lib/dhcpcd/secret",
    "/var/lib/NetworkManager/secret_key",
];

/// Secrets whose names differ: directory, beginning and end of the name.
const NAMED_SECRETS: [(&str, &str, &str); 2] =
    [("/etc/ssh", "ssh_host_", ""), ("/etc/dropbear", "dropbear_", "_host_key")];

/// The name of an iSCSI initiator, and what makes open-iscsi find one before its first use.
const INITIATOR_NAME: (&str, &str) = ("/etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n");

/// The directory above `path`, or `path` itself, that the seal empties; none where there is none.
pub(crate) fn emptied_above(path: &str) -> Option<&'static str> {
    EMPTIED.into_iter().find(|directory| Path::new(path).starts_with(directory))
}

/// Removes what the making of a layer leaves. Every layer ends with it, so that no layer above has to
/// hide anything.
pub fn tidy(root: &Root) -> Result<()> {
    tidy_but(root, &BTreeSet::new())
}

/// The same without the files in `kept`, which the user has put there.
fn tidy_but(root: &Root, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for directory in EMPTIED {
        root.empty(directory)?;
    }
    // apt(8) expects these.
    for directory in ["/var/cache/apt/archives/partial", "/var/lib/apt/lists/partial"] {
        root.create_directories(directory)?;
    }
    for file in REMOVED {
        remove_unless(kept, root, file)?;
    }
    remove_secrets_but(root, kept)?;
    remove_logs(root, Path::new("/var/log"), kept)
}

/// Removes what is a machine's own: it would be the same on every machine of the image, and another in every
/// image of the plan.
pub(super) fn remove_secrets(root: &Root) -> Result<()> {
    remove_secrets_but(root, &BTreeSet::new())
}

fn remove_unless(kept: &BTreeSet<PathBuf>, root: &Root, path: impl AsRef<Path>) -> Result<()> {
    if kept.contains(path.as_ref()) { Ok(()) } else { root.remove(path) }
}

fn remove_secrets_but(root: &Root, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for file in SECRETS {
        remove_unless(kept, root, file)?;
    }
    for (directory, beginning, end) in NAMED_SECRETS {
        for name in root.names(directory)? {
            if name.starts_with(beginning) && name.ends_with(end) {
                remove_unless(kept, root, format!("{directory}/{name}"))?;
            }
        }
    }
    // make-ssl-cert links the certificate by a digest of the host name in it.
    for name in root.names("/etc/ssl/certs")? {
        let path = format!("/etc/ssl/certs/{name}");
        if root.link_target(&path)?.is_some_and(|target| target.ends_with("ssl-cert-snakeoil.pem")) {
            remove_unless(kept, root, path)?;
        }
    }
    let (file, generate) = INITIATOR_NAME;
    let ours = root.exists(file)? && !kept.contains(Path::new(file));
    if ours { root.write(file, 0o600, generate) } else { Ok(()) }
}

/// Removes log files and keeps their directories, whose owners packages have chosen.
fn remove_logs(root: &Root, directory: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for name in root.list(directory)? {
        let path = directory.join(name);
        if root.is_directory(&path)? {
            remove_logs(root, &path, kept)?;
        } else {
            remove_unless(kept, root, &path)?;
        }
    }
    Ok(())
}

/// Seals the finished tree. The files in `kept` stay as they are.
pub fn seal(site: &Site<'_>, path: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    let root = Root::open(path)?;
    tidy_but(&root, kept)?;
    if !kept.contains(Path::new("/etc/resolv.conf")) {
        network::point_resolver(site.plan, &root)?;
    }
    let machine_id = match site.plan.suite.init.machine_id {
        MachineId::Uninitialized => "uninitialized\n",
        MachineId::Empty => "",
    };
    if !kept.contains(Path::new("/etc/machine-id")) {
        root.write("/etc/machine-id", 0o444, machine_id)?;
    }
    if !kept.contains(Path::new("/etc/shadow"))
        && let Some(shadow) = root.read("/etc/shadow", LIMIT)?
    {
        let clamped = clamp_password_days(&shadow, site.plan.epoch / SECONDS_PER_DAY);
        if clamped != shadow {
            root.write("/etc/shadow", 0o640, clamped)?;
        }
    }
    Ok(())
}

/// Sets the day of every password's last change (shadow(5), field 3) back to `day` where it is later.
fn clamp_password_days(shadow: &str, day: i64) -> String {
    let clamp = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        let day = day.to_string();
        if let Some(changed) = fields.get_mut(2)
            && changed.parse::<i64>().is_ok_and(|changed| changed > day.parse().unwrap_or(changed))
        {
            *changed = &day;
        }
        fields.join(":") + "\n"
    };
    shadow.lines().map(clamp).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn password_days_are_clamped() {
        let shadow = "root:*:20000:0:99999:7:::\nbob:$y$x:99999:0:99999:7:::\nodd\n";
        let expected = "root:*:20000:0:99999:7:::\nbob:$y$x:20500:0:99999:7:::\nodd\n";
        assert_eq!(clamp_password_days(shadow, 20500), expected);
    }

    #[test]
    fn a_tree_is_tidied_and_its_log_directories_stay() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["var/log/apt", "etc/ssh", "etc/apt/sources.list.d", "tmp/x", "var/cache/apt"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        for name in [
            "var/log/apt/term.log",
            "etc/ssh/ssh_host_new_key",
            "etc/ssh/sshd_config",
            "etc/.resolv.conf.systemd-resolved.bak",
            "etc/apt/sources.list.d/0000sources.list",
            "var/cache/apt/pkgcache.bin",
        ] {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        let strange = std::ffi::OsStr::from_bytes(b"strange\xff.log");
        std::fs::write(directory.path().join("var/log").join(strange), "x").unwrap();
        tidy(&Root::open(directory.path()).unwrap()).unwrap();
        assert!(!directory.path().join("var/log").join(strange).exists());
        let there = |name: &str| directory.path().join(name).exists();
        assert!(there("var/log/apt") && there("etc/ssh/sshd_config") && there("tmp"));
        assert!(!there("var/log/apt/term.log") && !there("etc/ssh/ssh_host_new_key") && !there("tmp/x"));
        assert!(!there("etc/.resolv.conf.systemd-resolved.bak"));
        assert!(there("etc/apt/sources.list.d") && !there("etc/apt/sources.list.d/0000sources.list"));
    }

    #[test]
    fn no_machine_carries_the_keys_of_another() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let keys = [
            "/etc/ssh/ssh_host_rsa_key.pub",
            "/etc/dropbear/dropbear_rsa_host_key",
            "/etc/iscsi/iscsid.conf",
        ];
        for name in SECRETS.iter().chain(&keys).chain(&[INITIATOR_NAME.0, "/etc/ssl/certs/ca.pem"]) {
            root.write(name, 0o600, "secret").unwrap();
        }
        root.link("ssl-cert-snakeoil.pem", "/etc/ssl/certs/0a1b2c3d.0").unwrap();
        root.link("ca.pem", "/etc/ssl/certs/4e5f6a7b.0").unwrap();
        let kept = BTreeSet::from([PathBuf::from("/etc/ssh/ssh_host_own"), PathBuf::from("/var/log/own")]);
        for name in &kept {
            root.write(name, 0o600, "own").unwrap();
        }
        tidy_but(&root, &kept).unwrap();
        for name in &kept {
            assert!(root.exists(name).unwrap(), "{name:?} was the user's wish");
        }
        remove_secrets(&root).unwrap();
        for name in SECRETS.iter().chain(&keys[..2]) {
            assert!(!root.exists(name).unwrap(), "{name}");
        }
        assert_eq!(root.names("/etc/ssl/certs").unwrap(), ["4e5f6a7b.0", "ca.pem"]);
        assert_eq!(root.read(INITIATOR_NAME.0, 100).unwrap().as_deref(), Some("GenerateName=yes\n"));
        assert!(root.exists("/etc/iscsi/iscsid.conf").unwrap());

        let empty = tempfile::tempdir().unwrap();
        let root = Root::open(empty.path()).unwrap();
        remove_secrets(&root).unwrap();
        assert!(root.list("/").unwrap().is_empty());
    }
}
