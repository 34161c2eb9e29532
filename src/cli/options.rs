//! The options that describe a machine, by vmbuilder's names, and the appliance that they make.
//!
//! No option has a default here: what was not given stays open, so that a configuration file and
//! then the plan can fill it in. The help names what they will say.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, ValueHint};

use crate::appliance::settings::{STANDARD_INPUT, read_secret, split_list};
use crate::appliance::{Appliance, Places, Sizes, Users};
use crate::error::{Error, Result};
use crate::units::Size;

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
    disk: Disk,
    #[command(flatten)]
    scripts: Scripts,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    build: Build,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "System")]
struct System {
    /// Release to build, by codename or version [default: the newest stable or long-term one]
    #[arg(long, value_name = "SUITE", value_parser = NonEmptyStringValueParser::new())]
    suite: Option<String>,
    /// Architecture by Debian's name, such as amd64 [default: this host's]
    #[arg(short, long, value_name = "ARCH", value_parser = NonEmptyStringValueParser::new())]
    arch: Option<String>,
    /// Kernel flavour, such as cloud or generic [default: the one of the release for the hypervisor]
    #[arg(long, value_name = "FLAVOUR", alias = "kernel-flavour", value_parser = NonEmptyStringValueParser::new())]
    flavour: Option<String>,
    /// Components of the archive; commas or repetition make a list [default: those of the release]
    #[arg(long, value_name = "LIST", action = ArgAction::Append)]
    components: Vec<String>,
    /// Mirror of the archive [default: the one in this host's apt sources, else the release's]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    mirror: Option<String>,
    /// Mirror of the security updates, or none to leave them out [default: the one in this host's apt
    /// sources, else the release's]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    security_mirror: Option<String>,
    /// HTTP proxy for the build; the machine itself does not get it
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = NonEmptyStringValueParser::new())]
    proxy: Option<String>,
    /// Keyring that must have signed the archive [default: the distribution's, from this host]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    keyring: Option<PathBuf>,
    /// debootstrap's variant: minbase, or important for what it installs without one [default: minbase]
    #[arg(long, value_name = "VARIANT", value_parser = NonEmptyStringValueParser::new())]
    variant: Option<String>,
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
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Users")]
struct UserOptions {
    /// Name of the first user [default: the distribution's name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// Full name of the first user [default: the distribution's name, capitalised]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Password of the first user, in clear or as a crypt(5) hash [default: the user's name]. Other
    /// users of this host can see it while rvmb runs; with --pass-file they cannot
    #[arg(long, value_name = "PASSWORD", conflicts_with = "pass_file")]
    pass: Option<Secret>,
    /// File whose first line is the password of the first user; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pass_file: Option<PathBuf>,
    /// Password of root, in clear or as a crypt(5) hash [default: root cannot log in by password]
    #[arg(long, value_name = "PASSWORD", conflicts_with = "rootpass_file")]
    rootpass: Option<Secret>,
    /// File whose first line is the password of root; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rootpass_file: Option<PathBuf>,
    /// User id of the first user, 1000 to 59999 [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    uid: Option<u32>,
    /// Group id of the first user, 1000 to 59999 [default: as the user id]
    #[arg(long, value_name = "NUMBER")]
    gid: Option<u32>,
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
    /// Host name, without domain [default: the distribution's name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    hostname: Option<String>,
    /// Domain [default: localdomain]
    #[arg(long, value_name = "DOMAIN", value_parser = NonEmptyStringValueParser::new())]
    domain: Option<String>,
    /// Locale, such as de_DE.UTF-8 [default: that of $LANG, else C.UTF-8]
    #[arg(long, value_name = "LOCALE", value_parser = NonEmptyStringValueParser::new())]
    lang: Option<String>,
    /// Time zone, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = NonEmptyStringValueParser::new())]
    timezone: Option<String>,
    /// Memory that the launch files give to the machine; a bare number counts MiB [default: 1024]
    #[arg(short, long, value_name = "SIZE")]
    mem: Option<Size>,
    /// Processors that the launch files give to the machine [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Disk")]
struct Disk {
    /// Size of the whole disk; the root file system takes what the others leave
    #[arg(long, value_name = "SIZE", conflicts_with = "rootsize")]
    size: Option<Size>,
    /// Size of the root file system; a bare number counts MiB, k, M, G and T are units [default: 4096]
    #[arg(long, value_name = "SIZE")]
    rootsize: Option<Size>,
    /// Size of swap; 0 for none [default: 1024]
    #[arg(long, value_name = "SIZE")]
    swapsize: Option<Size>,
    /// Size of a file system for /opt; 0 for none [default: 0]
    #[arg(long, value_name = "SIZE")]
    optsize: Option<Size>,
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
#[command(next_help_heading = "Output")]
struct Output {
    /// Directory that receives the machine [default: DISTRO-HYPERVISOR, such as debian-kvm]
    #[arg(short, long, value_name = "DIR", alias = "dest", value_hint = ValueHint::DirPath)]
    destdir: Option<PathBuf>,
    /// Replace the destination if it exists, once the new machine is whole
    #[arg(short, long)]
    overwrite: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Build")]
struct Build {
    /// Configuration file, read after the ones of the system and of the user; options win over all
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Bootstrap tool [default: auto, which takes mmdebstrap where it is installed]
    #[arg(long, value_name = "TOOL", value_parser = ["auto", "debootstrap", "mmdebstrap"])]
    bootstrap: Option<String>,
    /// Directory of the cache [default: ~/.cache/rvmb, for root /var/cache/rvmb]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cache_dir: Option<PathBuf>,
    /// Neither use nor keep packages and layers of other builds
    #[arg(long)]
    no_cache: bool,
    /// Directory for scratch files [default: $TMPDIR, else /var/tmp]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    tmp: Option<PathBuf>,
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
        let Options { system, packages, users, guest, disk, scripts, output, build } = self;
        Ok(Appliance {
            hypervisor: hypervisor.to_owned(),
            distro: distro.to_owned(),
            suite: system.suite,
            architecture: system.arch,
            flavour: system.flavour,
            components: list(&system.components),
            mirror: system.mirror,
            security_mirror: system.security_mirror,
            proxy: system.proxy,
            keyring: system.keyring,
            variant: system.variant,
            bootstrap: build.bootstrap,
            add_packages: list(&packages.addpkg),
            remove_packages: list(&packages.removepkg),
            users: users.lower()?,
            hostname: guest.hostname,
            domain: guest.domain,
            locale: guest.lang,
            timezone: guest.timezone,
            sizes: Sizes { disk: disk.size, root: disk.rootsize, swap: disk.swapsize, opt: disk.optsize },
            memory: guest.mem,
            cpus: guest.cpus,
            firstboot: scripts.firstboot,
            firstlogin: scripts.firstlogin,
            places: Places {
                destination: output.destdir,
                overwrite: output.overwrite,
                scratch: build.tmp,
                cache: build.cache_dir,
                no_cache: build.no_cache,
            },
        })
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
            password: secret(self.pass, self.pass_file.as_deref())?,
            root_password: secret(self.rootpass, self.rootpass_file.as_deref())?,
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

fn secret(given: Option<Secret>, file: Option<&Path>) -> Result<Option<String>> {
    match (given, file) {
        (Some(Secret(text)), _) => Ok(Some(text)),
        (None, Some(path)) => read_secret(path).map(Some),
        (None, None) => Ok(None),
    }
}
