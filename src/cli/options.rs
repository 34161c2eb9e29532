//! The options that describe a machine, by vmbuilder's names, and the appliance that they make.
//!
//! No option has a default here: what was not given stays open, so that a configuration file and
//! then the plan can fill it in. The help names what they will say: [`super::defaults`].

mod ec2;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{ArgAction, Args, ValueHint};

use self::ec2::Ec2Options;
use crate::appliance::settings::{
    BOOTSTRAP_TOOLS, STANDARD_INPUT, VBOX_DISK_FORMATS, read_secret, split_list,
};
use crate::appliance::{Appliance, Disks, Network, Origins, Places, Sizes, Special, Tree, Users};
use crate::error::{Error, Result};

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Secret(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Everything that `rvmb HYPERVISOR DISTRO` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    system: System,
    #[command(flatten)]
    packages: Packages,
    #[command(flatten)]
    users: UserOptions,
    #[command(flatten)]
    guest: Guest,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    disk: Disk,
    #[command(flatten)]
    scripts: Scripts,
    #[command(flatten)]
    finish: Finish,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    tree: TreeOptions,
    #[command(flatten)]
    special: SpecialOptions,
    #[command(flatten)]
    ec2: Ec2Options,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "System")]
struct System {
    /// Release to build, by codename or version
    #[arg(long, value_name = "SUITE", value_parser = NonEmptyStringValueParser::new())]
    suite: Option<String>,
    /// Architecture by Debian's name, such as amd64
    #[arg(short, long, value_name = "ARCH", value_parser = NonEmptyStringValueParser::new())]
    arch: Option<String>,
    /// Kernel flavour, such as cloud or generic
    #[arg(long, value_name = "FLAVOUR", alias = "kernel-flavour", value_parser = NonEmptyStringValueParser::new())]
    flavour: Option<String>,
    /// Components of the archive; commas or repetition make a list
    #[arg(long, value_name = "LIST", action = ArgAction::Append)]
    components: Vec<String>,
    /// Mirror of the archive
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    mirror: Option<String>,
    /// Mirror of the security updates, or none to leave them out
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    security_mirror: Option<String>,
    /// Mirror of the archive for the build alone; the machine's own sources name --mirror
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    install_mirror: Option<String>,
    /// Mirror of the security updates for the build alone
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    install_security_mirror: Option<String>,
    /// HTTP proxy for the build; the machine itself does not get it
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    proxy: Option<String>,
    /// Keyring that must have signed the archive
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    keyring: Option<PathBuf>,
    /// debootstrap's variant: minbase, buildd, important (what it installs without one) or standard
    #[arg(long, value_name = "VARIANT", value_parser = NonEmptyStringValueParser::new())]
    variant: Option<String>,
    /// Personal package archive of Launchpad to use as well, with NAME ppa where there is none; commas or
    /// repetition make a list
    #[arg(long, value_name = "OWNER[/NAME]", action = ArgAction::Append)]
    ppa: Vec<String>,
    /// ISO image of an installation medium that packages are taken from before the mirror
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    iso: Option<PathBuf>,
    /// Packages of the first tree as debootstrap --make-tarball keeps them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    debootstrap_tarball: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Packages")]
struct Packages {
    /// Package to install, in apt's words; commas or repetition make a list
    #[arg(long, value_name = "PACKAGE", action = ArgAction::Append)]
    addpkg: Vec<String>,
    /// Package to remove; commas or repetition make a list
    #[arg(long, value_name = "PACKAGE", action = ArgAction::Append)]
    removepkg: Vec<String>,
    /// Install what the packages recommend, too
    #[arg(long)]
    install_recommends: bool,
    /// File with answers for debconf, as debconf-set-selections(1) takes them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    seedfile: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Users")]
struct UserOptions {
    /// Name of the first user
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// Full name of the first user
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    name: Option<String>,
    /// Password of the first user, in clear or as a crypt(5) hash. Other
    /// users of this host can see it while rvmb runs; with --pass-file they cannot
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true, conflicts_with = "pass_file")]
    pass: Option<Secret>,
    /// File whose first line is the password of the first user; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pass_file: Option<PathBuf>,
    /// Password of root, in clear or as a crypt(5) hash
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true, conflicts_with = "rootpass_file")]
    rootpass: Option<Secret>,
    /// File whose first line is the password of root; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rootpass_file: Option<PathBuf>,
    /// User id of the first user, 1000 to 59999
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    uid: Option<String>,
    /// Group id of the first user, 1000 to 59999
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    gid: Option<String>,
    /// Lock the password of the first user, who logs in with --ssh-user-key and uses sudo without a password
    #[arg(long)]
    lock_user: bool,
    /// File with public keys that may log in as root
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ssh_key: Option<PathBuf>,
    /// File with public keys that may log in as the first user
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ssh_user_key: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Guest")]
struct Guest {
    /// Host name, without domain
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    hostname: Option<String>,
    /// Domain
    #[arg(long, value_name = "DOMAIN", value_parser = NonEmptyStringValueParser::new())]
    domain: Option<String>,
    /// Locale, such as de_DE.UTF-8
    #[arg(long, value_name = "LOCALE", value_parser = NonEmptyStringValueParser::new())]
    lang: Option<String>,
    /// Time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = NonEmptyStringValueParser::new())]
    timezone: Option<String>,
    /// Memory that the launch files give to the machine; a bare number counts MiB
    #[arg(short, long, value_name = "SIZE", value_parser = NonEmptyStringValueParser::new())]
    mem: Option<String>,
    /// Processors that the launch files give to the machine
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    cpus: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
struct NetworkOptions {
    /// Address of the machine, such as 192.0.2.10/24 or 2001:db8::10/64, or dhcp; commas or repetition
    /// make a list
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    ip: Vec<String>,
    /// Netmask, such as 255.255.255.0
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    mask: Option<String>,
    /// Address of the network
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    net: Option<String>,
    /// Broadcast address
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    bcast: Option<String>,
    /// Gateway, or none; commas or repetition name those of both families
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    gw: Vec<String>,
    /// Name server, or none; commas or repetition make a list
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    dns: Vec<String>,
    /// MAC address of the machine's interface
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    mac: Option<String>,
    /// Bridge of the host that the interface is put on
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    bridge: Option<String>,
    /// Network of libvirt that the interface is put on
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    network: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Disk")]
struct Disk {
    /// Size of the whole disk; the root file system takes what the others leave
    #[arg(long, value_name = "SIZE", conflicts_with = "rootsize", value_parser = NonEmptyStringValueParser::new())]
    size: Option<String>,
    /// Size of the root file system; a bare number counts MiB, k, M, G and T are units
    #[arg(long, value_name = "SIZE", value_parser = NonEmptyStringValueParser::new())]
    rootsize: Option<String>,
    /// Size of swap; 0 for none
    #[arg(long, value_name = "SIZE", value_parser = NonEmptyStringValueParser::new())]
    swapsize: Option<String>,
    /// Size of a file system for /opt; 0 for none
    #[arg(long, value_name = "SIZE", value_parser = NonEmptyStringValueParser::new())]
    optsize: Option<String>,
    /// Partition file: a line for each partition, --- between disks
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["size", "rootsize", "swapsize", "optsize"])]
    part: Option<PathBuf>,
    /// Kind of partition table: gpt or msdos
    #[arg(long, value_name = "KIND", value_parser = NonEmptyStringValueParser::new())]
    label: Option<String>,
    /// Existing file or block device to write to instead of a new image; repeat it for further disks
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, action = ArgAction::Append)]
    raw: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "First boot")]
struct Scripts {
    /// Script that runs once as root when the machine boots for the first time
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    firstboot: Option<PathBuf>,
    /// Script that runs once for each user, at the first login
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    firstlogin: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Customising")]
struct Finish {
    /// List of files to copy into the machine, a line `SOURCE DESTINATION` for each
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    copy: Option<PathBuf>,
    /// Program to run on this host when the machine's files are there; its argument is their directory
    #[arg(long, value_name = "FILE", alias = "execscript", value_hint = ValueHint::FilePath)]
    exec: Option<PathBuf>,
    /// Directory with templates that take the place of rvmb's own
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    templates: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
struct Output {
    /// Directory that receives the machine
    #[arg(short, long, value_name = "DIR", alias = "dest", value_hint = ValueHint::DirPath)]
    destdir: Option<PathBuf>,
    /// Replace the destination if it exists, once the new machine is whole
    #[arg(short, long)]
    overwrite: bool,
    /// File that gets the installed packages, a line `PACKAGE VERSION` for each
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    manifest: Option<PathBuf>,
    /// libvirt that gets the machine, such as qemu:///system
    #[arg(long, value_name = "URI", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    libvirt: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Build")]
struct Build {
    /// Configuration file, read after the ones of the system and of the user; options win over all
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Bootstrap tool
    #[arg(long, value_name = "TOOL", value_parser = PossibleValuesParser::new(BOOTSTRAP_TOOLS))]
    bootstrap: Option<String>,
    /// Directory of the cache
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cache_dir: Option<PathBuf>,
    /// Neither use nor keep packages and layers of other builds
    #[arg(long)]
    no_cache: bool,
    /// Directory for scratch files
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    tmp: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tree")]
struct TreeOptions {
    /// Stop when the tree of the machine's files is there, and print where
    #[arg(long)]
    only_chroot: bool,
    /// Directory to make the tree in; it must not exist. With --only-chroot it stays [default: --destdir,
    /// else DISTRO-chroot]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "tmpfs")]
    chroot_dir: Option<PathBuf>,
    /// Tree that is there already and is to become a disk; it is not written to
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["tmpfs", "chroot_dir", "only_chroot"])]
    existing_chroot: Option<PathBuf>,
    /// Make the tree in memory, in a tmpfs of this size; - for one that fits
    #[arg(long, value_name = "SIZE", value_parser = NonEmptyStringValueParser::new())]
    tmpfs: Option<String>,
    /// Accepted, and without meaning: what is written goes to its place without detour anyway
    #[arg(long)]
    in_place: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Hypervisor")]
struct SpecialOptions {
    /// Format of the disks
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(VBOX_DISK_FORMATS))]
    vbox_disk_format: Option<String>,
    /// Kernel that Xen loads, a file of the host that starts the machine
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    xen_kernel: Option<PathBuf>,
    /// Initial RAM file system that Xen loads, a file of the host that starts the machine
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    xen_ramdisk: Option<PathBuf>,
}

impl Options {
    /// The configuration file that was named.
    pub fn config(&self) -> Option<&Path> {
        self.build.config.as_deref()
    }

    /// What was asked for with these options, and nothing else.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`] where the file with a password cannot be read or is empty;
    /// [`crate::Kind::Usage`] where two passwords are to come from standard input.
    pub fn appliance(self, hypervisor: &str, distro: &str) -> Result<Appliance> {
        let Options {
            system,
            packages,
            users,
            guest,
            network,
            disk,
            scripts,
            finish,
            output,
            build,
            tree,
            special,
            ec2,
        } = self;
        Ok(Appliance {
            hypervisor: hypervisor.to_owned(),
            distro: distro.to_owned(),
            suite: system.suite,
            architecture: system.arch,
            flavour: system.flavour,
            components: list(&system.components),
            mirror: system.mirror,
            security_mirror: system.security_mirror,
            install_mirror: system.install_mirror,
            install_security_mirror: system.install_security_mirror,
            proxy: system.proxy,
            ppas: list(&system.ppa),
            iso: system.iso,
            tarball: system.debootstrap_tarball,
            keyring: system.keyring,
            variant: system.variant,
            bootstrap: build.bootstrap,
            add_packages: list(&packages.addpkg),
            remove_packages: list(&packages.removepkg),
            install_recommends: packages.install_recommends,
            seed_file: packages.seedfile,
            users: users.lower()?,
            hostname: guest.hostname,
            domain: guest.domain,
            locale: guest.lang,
            timezone: guest.timezone,
            network: network.lower(),
            sizes: Sizes { disk: disk.size, root: disk.rootsize, swap: disk.swapsize, opt: disk.optsize },
            disks: Disks { part: disk.part, label: disk.label, raw: disk.raw },
            memory: guest.mem,
            cpus: guest.cpus,
            firstboot: scripts.firstboot,
            firstlogin: scripts.firstlogin,
            copy: finish.copy,
            exec: finish.exec,
            templates: finish.templates,
            tree: Tree {
                only: tree.only_chroot,
                directory: tree.chroot_dir,
                existing: tree.existing_chroot,
                tmpfs: tree.tmpfs,
                in_place: tree.in_place,
            },
            libvirt: output.libvirt,
            special: Special {
                vbox_disk_format: special.vbox_disk_format,
                xen_kernel: special.xen_kernel,
                xen_ramdisk: special.xen_ramdisk,
            },
            ec2: ec2.lower(),
            places: Places {
                destination: output.destdir,
                package_list: output.manifest,
                overwrite: output.overwrite,
                scratch: build.tmp,
                cache: build.cache_dir,
                no_cache: build.no_cache,
            },
            origins: Origins::default(),
        })
    }
}

impl NetworkOptions {
    fn lower(self) -> Network {
        Network {
            addresses: list(&self.ip),
            mask: self.mask,
            network: self.net,
            broadcast: self.bcast,
            gateways: list(&self.gw),
            name_servers: list(&self.dns),
            mac: self.mac,
            bridge: self.bridge,
            libvirt_network: self.network,
        }
    }
}

impl UserOptions {
    fn lower(self) -> Result<Users> {
        let from_input = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new(STANDARD_INPUT));
        if from_input(&self.pass_file) && from_input(&self.rootpass_file) {
            return Err(Error::usage("standard input cannot give both --pass-file and --rootpass-file")
                .hint("Name a file for one of them."));
        }
        Ok(Users {
            name: self.user,
            full_name: self.name,
            password: secret(self.pass, "--pass-file", self.pass_file.as_deref())?,
            root_password: secret(self.rootpass, "--rootpass-file", self.rootpass_file.as_deref())?,
            uid: self.uid,
            gid: self.gid,
            lock: self.lock_user,
            root_keys: self.ssh_key,
            user_keys: self.ssh_user_key,
        })
    }
}

/// Every occurrence of an option may itself be a list.
fn list(values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| split_list(value)).collect()
}

fn secret(given: Option<Secret>, option: &str, file: Option<&Path>) -> Result<Option<String>> {
    match (given, file) {
        (Some(Secret(text)), _) => Ok(Some(text)),
        (None, Some(path)) => read_secret(option, path).map(Some),
        (None, None) => Ok(None),
    }
}
