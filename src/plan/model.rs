//! The plan: every decision made, every default filled in, every file read.
//!
//! It is plain data, the same for `rvmb plan --json`, for the worker and for the manifest. It holds
//! no secret: those travel beside it in [`Secrets`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Customising;
use super::disks::{Disk, Volume};
use super::libvirt::Libvirt;
use super::network::{GuestNetwork, Nic};
use super::raw::RawDisk;
use super::stage::Stage;
use super::tree::TreeUse;
use crate::host::access::Access;
use crate::suite::Suite;
use crate::templates::Templates;
use crate::units::Size;

/// Everything that the build does, decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this structure; this program writes 1.
    pub format: u32,
    /// Identity of what comes out: v5 over everything that decides its bytes.
    pub id: Uuid,
    /// No time in the image is later. Seconds since 1970.
    pub epoch: i64,
    /// The release, as its suite file tells.
    pub suite: Suite,
    /// Debian's name of the guest's architecture, such as `amd64`.
    pub architecture: String,
    /// The hypervisor and what it gives to the guest.
    pub target: Target,
    /// Where packages come from; without sources where the tree is there already.
    pub archive: Archive,
    /// What is done with the tree.
    #[serde(default)]
    pub tree: TreeUse,
    /// Which packages.
    pub packages: Packages,
    /// The machine's own settings.
    pub guest: Guest,
    /// What else its owner puts into it.
    #[serde(default)]
    pub customising: Customising,
    /// The disks, in the order in which the machine sees them. The first one is started. None where the
    /// tree itself is wanted.
    pub disks: Vec<Disk>,
    /// What of this host is used.
    pub host: HostUse,
    /// Where results go.
    pub output: Output,
}

impl Plan {
    /// What the guest mounts at `path`.
    pub fn mounted_at(&self, path: &str) -> Option<Volume<'_>> {
        self.volumes().find(|volume| volume.mount == Some(path))
    }

    /// What `path` of the guest lies on: the volume at the nearest mount point above it.
    pub fn holder_of(&self, path: &str) -> Option<Volume<'_>> {
        let mut above = std::path::Path::new(path).ancestors();
        above.find_map(|above| self.mounted_at(above.to_str()?))
    }

    /// What is in the partitions and logical volumes of all disks.
    pub fn volumes(&self) -> impl Iterator<Item = Volume<'_>> {
        self.disks.iter().flat_map(Disk::volumes)
    }

    /// The disks that become images in the output directory.
    pub fn images(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().skip(self.output.raws.len())
    }

    /// The format of the disk of that number, from 0.
    pub fn format_of(&self, number: usize) -> &str {
        if number < self.output.raws.len() { RAW } else { &self.target.format }
    }
}

/// The format of a disk that is nothing but its bytes.
const RAW: &str = "raw";

/// The hypervisor and what it gives to the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// `kvm`, `qemu`.
    pub hypervisor: String,
    /// Format of the disk image, such as `qcow2`.
    pub format: String,
    /// Kernel flavour, such as `cloud`.
    pub flavour: String,
    /// Memory for the launch files.
    pub memory: Size,
    /// Processors for the launch files.
    pub cpus: u32,
    /// The network interface for the launch files.
    pub nic: Nic,
}

/// Where packages come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    /// One entry per suite at a mirror.
    pub sources: Vec<Source>,
    /// Components taken.
    pub components: Vec<String>,
    /// Keyring on the host that must have signed them.
    pub keyring: PathBuf,
    /// Proxy by which the main mirror is reached, without a log-in; for the build, never for the guest.
    pub proxy: Option<String>,
    /// Who decided on the mirror: `option`, `host` (its apt sources) or `suite`.
    pub mirror_origin: String,
    /// Settings of the host's apt that hold for the build, but for proxies, `Acquire::…=value`.
    pub apt_options: Vec<String>,
    /// Directory of the checked indices on this host.
    pub index: PathBuf,
    /// Directory of the archives of the stages: [`Stage`](super::stage::Stage).
    pub stages: PathBuf,
    /// Directory of the .debs on this host.
    pub archives: PathBuf,
    /// Where .debs are looked for before they are downloaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Medium>,
}

/// A personal package archive of Launchpad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ppa {
    /// Who it belongs to.
    pub owner: String,
    /// Its name among those of its owner.
    pub name: String,
    /// Its component.
    pub component: String,
    /// Fingerprint of the key that signs it, in hexadecimal.
    pub fingerprint: String,
    /// File of this host with that key and no other.
    pub keyring: PathBuf,
}

/// Something that has .debs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Medium {
    /// What it is.
    pub kind: MediumKind,
    /// Where it is on this host.
    pub path: PathBuf,
}

/// Kinds of [`Medium`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediumKind {
    /// An image with an ISO 9660 file system.
    Iso,
    /// A tar archive, plain or with gzip.
    Tarball,
}

/// One suite at a mirror.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Base address of the mirror, without a log-in.
    pub uri: String,
    /// Suite there, such as `trixie-updates`.
    pub suite: String,
    /// SHA-256 of its InRelease, in hexadecimal.
    pub digest: String,
    /// Whether it is the security pocket.
    pub security: bool,
    /// Base address in the machine's own sources, where another mirror serves the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_uri: Option<String>,
    /// The personal package archive that it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppa: Option<Ppa>,
}

impl Source {
    /// Where the machine's own sources find it, if not in a directory of this host.
    pub fn address_for_guest(&self) -> &str {
        self.guest_uri.as_deref().unwrap_or(&self.uri)
    }
}

/// Which packages are installed, and in which layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Packages {
    /// Names of the base layer, beside the variant's: init system, kernel, initramfs tool.
    pub base: Vec<String>,
    /// Names of the system layer: boot loader, network, locale and what else the release's machines have.
    pub system: Vec<String>,
    /// What the user asked for, in apt's words: `name`, `name:architecture`, `name=version`, `name/suite`.
    pub added: Vec<String>,
    /// The same with the version that was resolved in place of a suite.
    pub added_exactly: Vec<String>,
    /// What the user wants gone: `name` or `name:architecture`.
    pub removed: Vec<String>,
    /// Whether what the added packages recommend is installed, too.
    #[serde(default)]
    pub recommends: bool,
    /// The user's own answers for debconf.
    #[serde(default)]
    pub seeds: Option<Seeds>,
    /// debconf answers before the base layer.
    pub debconf: Vec<String>,
    /// debootstrap's variant, where the user named one.
    pub variant: Option<String>,
    /// The variant's packages as a pattern of apt's (apt-patterns(7)).
    pub pattern: String,
    /// Everything that will be installed, in about the order in which it is unpacked.
    pub resolved: Vec<Package>,
    /// Layers from the bottom to the top; none where the tree is there already.
    pub layers: Option<Layers>,
}

impl Packages {
    /// Bytes that would be fetched if nothing were in the store.
    pub fn download_size(&self) -> Size {
        Size(self.resolved.iter().map(|package| package.size).fold(0, u64::saturating_add))
    }

    /// Bytes on disk when all are installed, as the packages declare.
    pub fn installed_size(&self) -> Size {
        Size(self.resolved.iter().map(|package| package.installed_size).fold(0, u64::saturating_add))
    }
}

/// The user's own answers for debconf. Their text is in [`Secrets`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    /// Where they were read.
    pub file: Script,
    /// The layer before which they are given: the lowest that has a package which they are for.
    pub before: Stage,
}

/// A package of a certain version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, `all` too.
    pub architecture: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Bytes on disk, as it declares.
    pub installed_size: u64,
    /// SHA-256 of the .deb in hexadecimal.
    pub sha256: String,
    /// File name in the store.
    pub file: String,
}

impl Layers {
    /// All of them, from the bottom to the top.
    pub fn all(&self) -> impl Iterator<Item = &Layer> {
        [&self.base, &self.initramfs, &self.system].into_iter().chain(&self.packages)
    }

    /// Whether packages are to be installed for any of them; an initial RAM file system needs none.
    pub fn need_packages(&self) -> bool {
        [&self.base, &self.system].into_iter().chain(&self.packages).any(|layer| !layer.cached)
    }
}

/// The cached layers of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// Release and kernel.
    pub base: Layer,
    /// The initial RAM file system, over the base layer.
    pub initramfs: Layer,
    /// Boot loader, network, locale, over the base layer: what every machine of the release has.
    pub system: Layer,
    /// The user's packages, over the system layer; none where none was added or removed.
    pub packages: Option<Layer>,
}

/// A layer of the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest over everything that decides its content.
    pub key: String,
    /// Whether the cache had it when the plan was made.
    pub cached: bool,
}

/// The machine's own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// Host name without domain.
    pub hostname: String,
    /// Domain.
    pub domain: String,
    /// Locale, such as `de_DE.UTF-8`.
    pub locale: String,
    /// Time zone, such as `Europe/Berlin`.
    pub timezone: String,
    /// The network.
    pub network: GuestNetwork,
    /// The first user.
    pub user: User,
    /// Keys that may log in as root.
    pub root_keys: Vec<String>,
    /// Whether root has a password; the hash is in [`Secrets`].
    pub root_password: bool,
    /// Script of the first boot.
    pub firstboot: Option<Script>,
    /// Script of the first login.
    pub firstlogin: Option<Script>,
    /// Kernel command line beside `root=` and `ro`.
    pub kernel_options: String,
}

/// The first user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Log-in name.
    pub name: String,
    /// Full name, the GECOS field.
    pub full_name: String,
    /// User id, where one was asked for.
    pub uid: Option<u32>,
    /// Group id, where one was asked for.
    pub gid: Option<u32>,
    /// Groups, those that exist.
    pub groups: Vec<String>,
    /// Whether the password is locked.
    pub locked: bool,
    /// Whether the password is the documented default, the user's own name.
    pub default_password: bool,
    /// Keys that may log in.
    pub keys: Vec<String>,
}

/// A script that was read when the plan was made. Its text is in [`Secrets`]: whoever reads a plan or a
/// manifest need not be one who may read the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Where it was read.
    pub path: PathBuf,
    /// SHA-256 of the content in hexadecimal.
    pub sha256: String,
}

/// What of this host is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostUse {
    /// How ownership is made exact.
    pub privilege: Privilege,
    /// Bootstrap tool with its version; none where the tree is there already.
    pub bootstrap: Option<BootstrapTool>,
    /// Directory for scratch files of this build.
    pub scratch: PathBuf,
    /// Cache directory; none with `--no-cache`.
    pub cache: Option<PathBuf>,
    /// Whether layers can be overlaid; without, every build makes its whole tree.
    pub overlay: bool,
}

/// How ownership is made exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Privilege {
    /// Started as root.
    Root,
    /// A user namespace with subordinate ids.
    UserNamespace {
        /// First subordinate user id on the host.
        subuid: u32,
        /// First subordinate group id on the host.
        subgid: u32,
        /// How many of each are mapped.
        count: u32,
    },
}

impl Privilege {
    /// Who owns the files of a tree on this host, as a name: trees of other owners are of no use.
    pub fn owners(&self) -> String {
        match self {
            Privilege::Root => "root".to_owned(),
            Privilege::UserNamespace { subuid, subgid, .. } => format!("{subuid}-{subgid}"),
        }
    }
}

/// The tool that makes the first tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootstrapTool {
    /// `mmdebstrap` or `debootstrap`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Destination directory, absolute.
    pub directory: PathBuf,
    /// Whether an existing destination is replaced.
    pub overwrite: bool,
    /// File of this host that gets the list of packages, absolute.
    #[serde(default)]
    pub package_list: Option<PathBuf>,
    /// Files and block devices that disks are written onto in place of new images: the n-th is disk n.
    #[serde(default)]
    pub raws: Vec<RawDisk>,
    /// The libvirt that gets the machine; none where none was named.
    pub libvirt: Option<Libvirt>,
}

/// What must not stand in a plan. Goes to the worker beside it and is never written to a file.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// crypt(5) hash of the user's password.
    pub user_hash: Option<String>,
    /// crypt(5) hash of root's password.
    pub root_hash: Option<String>,
    /// How the mirrors are reached, with log-ins for them and for proxies.
    pub access: Access,
    /// Text of the script of the first boot.
    pub firstboot: Option<String>,
    /// Text of the script of the first login.
    pub firstlogin: Option<String>,
    /// Text of the answers for debconf.
    pub seeds: Option<String>,
    /// The user's templates.
    pub templates: Templates,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_digest_of_a_script_and_not_its_text() {
        let script = Script { path: "/home/bob/setup.sh".into(), sha256: "ab".into() };
        let text = serde_json::to_value(&script).unwrap();
        assert_eq!(text, serde_json::json!({ "path": "/home/bob/setup.sh", "sha256": "ab" }));
    }

    #[test]
    fn secrets_are_never_shown() {
        let secrets = Secrets { firstboot: Some("token=hunter2".into()), ..Secrets::default() };
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
