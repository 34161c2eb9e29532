//! The suite file: what a release is. Facts only; every list is complete.
//!
//! One type per table of `suites/<distro>/<codename>.toml`. Unknown keys are errors, so that a
//! misspelt one cannot pass for a default.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::disk::layout;

/// How far a release can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Released and receiving updates.
    Supported,
    /// Not released yet, or never.
    Testing,
    /// Released, and past its public updates: builds from its archive mirror, with a warning.
    Ended,
}

/// A release of a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Version of this file's format. This program reads 1.
    pub schema: u32,
    /// `debian` or `ubuntu`.
    pub distro: String,
    /// The name in the archive, such as `trixie`.
    pub codename: String,
    /// The version as the distribution counts, such as `13` or `24.04`; empty for sid.
    pub version: String,
    /// Other names that a user may call it by, such as `stable`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// How far it can be relied on.
    pub tier: Tier,
    /// Information for people; only the order of releases comes from it.
    pub dates: Dates,
    /// Where packages come from.
    pub archive: Archive,
    /// Who signs them.
    pub keys: Keys,
    /// How the first tree is made.
    pub bootstrap: Bootstrap,
    /// Kernel packages.
    pub kernel: Kernel,
    /// The tool that makes the initial RAM file system.
    pub initramfs: Initramfs,
    /// How the release starts.
    pub init: Init,
    /// Boot loader packages and where their files lie.
    pub boot: Boot,
    /// What else every machine has.
    pub system: System,
    /// What its boot loader and its fsck can read.
    pub filesystem: FileSystem,
    /// How the release brings up its network.
    pub network: Network,
    /// How the release keeps locale and time zone.
    pub locale: Locale,
    /// What the first user looks like.
    pub users: Users,
    /// Secure shell, for the first boot.
    pub ssh: Ssh,
}

/// When a release began and ends. Dates are strings in the file: `"2025-08-09"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dates {
    /// Day of the release; none for one that is not released.
    pub release: Option<Date>,
    /// Last day of the public updates that everybody gets; none where none is announced.
    pub end_of_life: Option<Date>,
    /// Last day of longer public support (Debian LTS) or of a paid one (Ubuntu Pro).
    pub extended: Option<Date>,
}

/// Where the packages of a release come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Mirror where neither the user nor the host's own apt sources name one.
    pub mirror: String,
    /// The same for the security pocket; empty where there is none.
    pub security_mirror: String,
    /// Where other architectures than amd64 and i386 live (Ubuntu); empty where in the same place.
    #[serde(default)]
    pub ports_mirror: String,
    /// Where an ended release was moved to; empty while it is in its old place.
    #[serde(default)]
    pub archived_mirror: String,
    /// Where its security pocket was moved to; empty where there is none any more.
    #[serde(default)]
    pub archived_security_mirror: String,
    /// Suites at the mirror, the release itself first: `trixie`, `trixie-updates`.
    pub pockets: Vec<String>,
    /// Suite at the security mirror; empty where there is none.
    pub security: String,
    /// Components taken by default.
    pub components: Vec<String>,
    /// Components that `--components` may add.
    pub extra_components: Vec<String>,
    /// Architectures that the release carries.
    pub architectures: Vec<String>,
    /// How apt's sources are written in the guest.
    pub sources: Sources,
}

/// How apt's sources are written in the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// One line per source, or deb822 stanzas.
    pub format: SourcesFormat,
    /// Absolute path in the guest.
    pub file: String,
    /// Keyring in the guest for `Signed-By`; empty where the release relies on its trusted keys.
    #[serde(default)]
    pub signed_by: String,
}

/// The two formats of apt's sources, sources.list(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourcesFormat {
    /// `deb URI SUITE COMPONENT…`
    List,
    /// RFC 822 stanzas.
    Deb822,
}

/// Who signs a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Keyring on the host; the first that exists is taken.
    pub keyrings: Vec<String>,
    /// The package that brings it, by the host's distribution.
    pub host_packages: BTreeMap<String, String>,
    /// Whether a signing key rests on SHA-1, which apt's verifier on Debian 13 and later refuses.
    #[serde(default)]
    pub needs_sha1_policy: bool,
}

/// How the first tree is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// How /bin and its like become links into /usr.
    pub merged_usr: MergedUsr,
    /// debootstrap's script for hosts whose debootstrap does not know the codename yet.
    pub script: String,
    /// Whether the packages are compressed with zstd, which older dpkg cannot read.
    #[serde(default)]
    pub zstd_packages: bool,
    /// Packages of the base layer beside kernel and initramfs tool: the init system, and all of which
    /// something ends up in the initial RAM file system.
    pub packages: Vec<String>,
    /// Answers for debconf, `package question type value`.
    #[serde(default)]
    pub debconf: Vec<String>,
}

/// How /bin and its like become links into /usr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergedUsr {
    /// The release's own packages bring the links.
    Native,
    /// The bootstrap tool makes the links before the first package.
    Bootstrap,
    /// The release keeps them apart.
    Split,
}

/// Kernel packages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Flavour where the hypervisor's own is not listed.
    pub default: String,
    /// Flavour by hypervisor: `kvm = "cloud"`.
    #[serde(default)]
    pub by_hypervisor: BTreeMap<String, String>,
    /// Packages by flavour, then by architecture.
    pub flavours: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// The tool that makes the initial RAM file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initramfs {
    /// Which.
    pub tool: InitramfsTool,
    /// Its packages, with what it needs for the compression that the release expects.
    pub packages: Vec<String>,
}

/// The two makers of an initial RAM file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitramfsTool {
    /// Debian's classic: hooks in /usr/share/initramfs-tools, `update-initramfs`.
    InitramfsTools,
    /// dracut: modules in /usr/lib/dracut, `dracut`.
    Dracut,
}

/// How the release starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// What a sealed image holds in /etc/machine-id: `uninitialized`, or nothing (machine-id(5)).
    pub machine_id: MachineId,
}

/// What a sealed image holds in /etc/machine-id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineId {
    /// The word that makes the next boot a first boot, systemd 248 and later.
    Uninitialized,
    /// An empty file.
    Empty,
}

/// Boot loader packages and where their files lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Packages, by architecture.
    pub packages: BTreeMap<String, Vec<String>>,
    /// The vendor's directory under /EFI, which the signed GRUB looks in: `debian`, `ubuntu`.
    pub efi_directory: String,
    /// The signed first stage in the guest, the first that exists; none where the release has none.
    #[serde(default)]
    pub shim: Vec<String>,
    /// The EFI GRUB in the guest, the first that exists: signed ones before unsigned ones.
    #[serde(default)]
    pub grub_efi: Vec<String>,
    /// MokManager in the guest, the first that exists.
    #[serde(default)]
    pub mok_manager: Vec<String>,
    /// A file that must exist for the packages to refresh the boot loader on upgrades; may be empty.
    #[serde(default)]
    pub flag_file: String,
    /// The file systems that every GRUB of the release reads, the signed one, too: /boot has to be one of them.
    #[serde(default = "usually_read")]
    pub reads: Vec<layout::FileSystem>,
    /// Whether a firmware with today's Secure Boot revocations starts it.
    pub secure_boot: bool,
    /// Answers for debconf, `package question type value`, the value possibly empty: upgrades must never ask for a disk.
    pub debconf: Vec<String>,
}

/// What GRUB reads since its version 2.00, of what can be made.
fn usually_read() -> Vec<layout::FileSystem> {
    use layout::FileSystem::{Btrfs, Ext3, Ext4, Xfs};
    vec![Ext4, Ext3, Xfs, Btrfs]
}

/// What every machine of a release has, above what starts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Its packages, beside those of boot loader, network, locale and first user.
    pub packages: Vec<String>,
}

/// What a release's boot loader and fsck can read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystem {
    /// ext4 feature set of the root file system.
    pub ext4: Ext4Set,
}

/// Named lists of ext4 features, so that the builder's mke2fs never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ext4Set {
    /// Without metadata checksums: Ubuntu 16.04 and older.
    Ancient,
    /// With metadata_csum and 64bit: read by every release since.
    Classic,
    /// With metadata_csum_seed and orphan_file: Debian 12, Ubuntu 24.04 and later.
    Modern,
}

/// How the release brings up its network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What configures links.
    pub stack: NetworkStack,
    /// Packages for it.
    pub packages: Vec<String>,
}

/// What configures links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkStack {
    /// systemd-networkd with a `.network` file.
    Networkd,
    /// netplan over systemd-networkd.
    Netplan,
    /// /etc/network/interfaces.
    Ifupdown,
}

/// How the release keeps locale and time zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locale {
    /// How a locale is generated.
    pub style: LocaleStyle,
    /// The real file that holds `LANG=`, never a link to it.
    pub file: String,
    /// Packages for any locale but C and C.UTF-8; `{language}` stands for the locale's language.
    pub packages: Vec<String>,
    /// What stands for `{language}` where it is not the locale's language, by language and territory:
    /// `zh_CN = "zh-hans"`.
    #[serde(default)]
    pub language_names: BTreeMap<String, String>,
    /// Whether /etc/timezone is written beside the link /etc/localtime.
    pub timezone_file: bool,
    /// The package with zone names such as US/Eastern; empty where tzdata has them.
    #[serde(default)]
    pub legacy_zones: String,
}

/// How a locale is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocaleStyle {
    /// A line in /etc/locale.gen, then `locale-gen` without arguments (Debian).
    LocaleGen,
    /// `locale-gen NAME`, which keeps its own list (Ubuntu).
    Arguments,
}

/// What the first user looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Groups of the first user; those that do not exist in the tree are passed over.
    pub groups: Vec<String>,
    /// How passwords are hashed.
    pub hash: PasswordHash,
    /// Mode of the home directory, such as `0700`.
    pub home_mode: String,
    /// Packages for becoming root.
    pub packages: Vec<String>,
}

/// crypt(5) methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordHash {
    /// `$y$`, libxcrypt only.
    Yescrypt,
    /// `$6$`, everywhere.
    Sha512crypt,
}

/// Secure shell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The server's package.
    pub package: String,
}
