//! An archive of indices alone: enough for `rvmb plan`, which fetches no package.
//!
//! It holds every release that rvmb knows, with all pockets, components and architectures of the suite
//! files, signed with a key made on the spot. Each package that a suite file names is in it, and those
//! that the tests add; all have no dependencies, and sizes and checksums that follow from their names. So a plan is
//! made within a second, without a network, and is the same wherever the tests run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use rvmb::suite::{Registry, Suite};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::signer::Signer;

/// When every pocket was made.
const DATE: &str = "Sat, 06 Sep 2025 09:30:00 UTC";

/// Architectures that the command lines build for.
const ARCHITECTURES: [&str; 2] = ["amd64", "i386"];

/// Packages of every system, essential to it.
const ESSENTIAL: &[&str] = &["base-files", "bash", "coreutils", "dpkg", "libc6", "util-linux"];

/// Packages that the command lines of the tests ask for and no suite file names.
const EXTRA: &[&str] = &[
    "acpid",
    "apache2",
    "apt",
    "apt-cacher-ng",
    "build-essential",
    "cloud-init",
    "cron",
    "curl",
    "git",
    "htop",
    "landscape-client",
    "linux-image-virtual-hwe-22.04",
    "lvm2",
    "lxc",
    "mysql-server",
    "nano",
    "nginx",
    "ntp",
    "openjdk-8-jre-headless",
    "pciutils",
    "php5",
    "postfix",
    "postgresql",
    "puppet",
    "python",
    "python3",
    "rsync",
    "ruby",
    "rubygems",
    "screen",
    "snapd",
    "sudo",
    "tmux",
    "unattended-upgrades",
    "vim",
    "wget",
    "xfsprogs",
    "btrfs-progs",
    "dosfstools",
];

/// Packages of tasks, which Ubuntu's indices name and Debian's do not.
const TASKS: &[(&str, &str)] =
    &[("apache2", "lamp-server"), ("mysql-server", "lamp-server"), ("php5", "lamp-server")];

/// The archive, until this is dropped.
pub(crate) struct Indices {
    directory: TempDir,
}

impl Indices {
    /// Makes the archive.
    pub(crate) fn make() -> Indices {
        let directory = tempfile::Builder::new().prefix("rvmb-indices-").tempdir().expect("a directory");
        super::archive::open_to_all(directory.path());
        let signer = Signer::new(&directory.path().join("gnupg"), "rvmb test indices");
        std::fs::write(directory.path().join("keyring.gpg"), signer.key(false)).expect("writing the keyring");
        for suite in Registry::built_in().expect("the suite files").all() {
            let packages = packages_of(suite);
            for pocket in &suite.archive.pockets {
                let top = directory.path().join(&suite.distro);
                write_pocket(&top, suite, pocket, &packages, &signer);
            }
            if !suite.archive.security.is_empty() {
                let top = directory.path().join(format!("{}-security", suite.distro));
                write_pocket(&top, suite, &suite.archive.security, &packages, &signer);
            }
        }
        Indices { directory }
    }

    /// The options that make rvmb use it for a machine of this distribution.
    pub(crate) fn options(&self, distro: &str) -> Vec<String> {
        let place = self.directory.path().display();
        vec![
            format!("--mirror=file:{place}/{distro}"),
            format!("--security-mirror=file:{place}/{distro}-security"),
            format!("--keyring={place}/keyring.gpg"),
        ]
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Every package that a machine of the release may be made of.
fn packages_of(suite: &Suite) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = EXTRA.iter().map(|name| (*name).to_owned()).collect();
    names.extend(suite.kernel.flavours.values().flat_map(|by| by.values()).flatten().cloned());
    names.extend(suite.boot.packages.values().flatten().cloned());
    for list in [
        &suite.bootstrap.packages,
        &suite.initramfs.packages,
        &suite.system.packages,
        &suite.network.packages,
        &suite.users.packages,
    ] {
        names.extend(list.iter().cloned());
    }
    for locale in ["en_US.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8", "pt_BR.UTF-8"] {
        names.extend(suite.locale_packages(locale));
    }
    names.extend([suite.locale.legacy_zones.clone(), suite.ssh.package.clone()]);
    names.retain(|name| !name.is_empty() && !ESSENTIAL.contains(&name.as_str()));
    names
}

/// Writes and signs one pocket. The release itself has every package in its first version; updates of a
/// few stand in all others, so that pockets differ.
fn write_pocket(archive: &Path, suite: &Suite, pocket: &str, packages: &BTreeSet<String>, signer: &Signer) {
    let top = archive.join("dists").join(pocket);
    let components = suite.archive.components.iter().chain(&suite.archive.extra_components);
    let mut sums = String::new();
    for component in components.clone() {
        for architecture in ARCHITECTURES {
            let mut text = String::new();
            if suite.archive.components.first() == Some(component) {
                if pocket == suite.codename {
                    ESSENTIAL.iter().for_each(|name| text += &stanza(name, "1.0-1", architecture, true));
                    for name in packages {
                        let stanza = stanza(name, "1.0-1", architecture, false);
                        text += &with_task(stanza, name, &suite.distro);
                    }
                } else {
                    text += &stanza("libc6", "1.0-1+1", architecture, true);
                    text += &stanza("vim", "1.0-1+1", architecture, false);
                }
            }
            let path = format!("{component}/binary-{architecture}/Packages");
            write(&top.join(&path), &text);
            // Writing to a String cannot fail.
            let _ = writeln!(sums, " {} {} {path}", hex(&text), text.len());
        }
    }
    let names: Vec<&str> = components.map(String::as_str).collect();
    let origin = if suite.distro == "ubuntu" { "Ubuntu" } else { "Debian" };
    let release = format!(
        "Origin: {origin}\nLabel: {origin}\nSuite: {pocket}\nVersion: {}\nCodename: {pocket}\nDate: {DATE}\n\
         Architectures: {}\nComponents: {}\nDescription: indices for tests\nSHA256:\n{sums}",
        suite.version,
        ARCHITECTURES.join(" "),
        names.join(" ")
    );
    write(&top.join("InRelease"), signer.sign(&release));
}

/// A stanza with the task that the package belongs to.
fn with_task(stanza: String, name: &str, distro: &str) -> String {
    match TASKS.iter().find(|(package, _)| *package == name && distro == "ubuntu") {
        Some((_, task)) => format!("{}\nTask: {task}\n\n", stanza.trim_end()),
        None => stanza,
    }
}

/// A package in an index.
pub(crate) fn stanza(name: &str, version: &str, architecture: &str, essential: bool) -> String {
    let sum = hex(format!("{name} {version} {architecture}"));
    // From a few KiB to some MiB, as packages are.
    let size = u64::from_str_radix(&sum[..6], 16).expect("hexadecimal digits") / 8 + 2000;
    let initial = name.chars().next().expect("a name");
    let flags = if essential { "Essential: yes\nPriority: required\n" } else { "Priority: optional\n" };
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{flags}Installed-Size: {}\n\
         Maintainer: rvmb tests <root@localhost>\nDescription: stands for {name} in tests\n\
         Filename: pool/{initial}/{name}_{version}_{architecture}.deb\nSize: {size}\nSHA256: {sum}\n\n",
        size * 4 / 1024
    )
}

pub(crate) fn hex(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("making a directory");
    std::fs::write(path, text).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
}
