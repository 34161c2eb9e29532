//! The settings of an appliance by name, for sources that are text.
//!
//! The names are those of the long options. Each setting knows where its value lives in the
//! [`Appliance`] and how text becomes it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::model::Appliance;
use crate::error::{Context, Error, Kind, Result};
use crate::host::access::without_login;
use crate::units::Size;

/// Where a setting lives, and so how its text is read.
enum Field {
    Text(fn(&mut Appliance) -> &mut Option<String>),
    List(fn(&mut Appliance) -> &mut Vec<String>),
    Path(fn(&mut Appliance) -> &mut Option<PathBuf>),
    Paths(fn(&mut Appliance) -> &mut Vec<PathBuf>),
    Size(fn(&mut Appliance) -> &mut Option<Size>),
    Number(fn(&mut Appliance) -> &mut Option<u32>),
    Switch(fn(&mut Appliance) -> &mut bool),
    /// One of these words.
    Choice(&'static [&'static str], fn(&mut Appliance) -> &mut Option<String>),
    /// Text that nobody is shown.
    Secret(fn(&mut Appliance) -> &mut Option<String>),
    /// A file whose first line is the value.
    SecretFile(fn(&mut Appliance) -> &mut Option<String>),
}

/// What stands for standard input in place of a file's name.
pub const STANDARD_INPUT: &str = "-";

/// Longest file with a password that is read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// Which machines a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Every,
    /// Those for these hypervisors.
    Hypervisors(&'static [&'static str]),
    /// Those of this distribution.
    Distro(&'static str),
}

impl Scope {
    /// Whether it has machines for `hypervisor` and of `distro`; where one of them is left open, whether
    /// it has any of the other.
    pub fn has(self, hypervisor: Option<&str>, distro: Option<&str>) -> bool {
        match self {
            Scope::Every => true,
            Scope::Hypervisors(names) => hypervisor.is_none_or(|name| names.contains(&name)),
            Scope::Distro(name) => distro.is_none_or(|distro| distro == name),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Every => f.write_str("every machine"),
            Scope::Hypervisors(names) => write!(f, "machines for {}", names.join(" and ")),
            Scope::Distro(name) => write!(f, "machines of {name}"),
        }
    }
}

/// A setting.
pub struct Setting {
    /// Its name: that of the long option.
    pub name: &'static str,
    /// The machines that it is for.
    pub scope: Scope,
    field: Field,
}

const fn setting(name: &'static str, field: Field) -> Setting {
    Setting { name, scope: Scope::Every, field }
}

impl Setting {
    const fn only(mut self, scope: Scope) -> Setting {
        self.scope = scope;
        self
    }
}

/// The hypervisors that libvirt and a run script start, as for vmbuilder.
const QEMU: Scope = Scope::Hypervisors(&["kvm", "qemu"]);
const VIRTUALBOX: Scope = Scope::Hypervisors(&["vbox"]);
const XEN: Scope = Scope::Hypervisors(&["xen"]);

/// Formats of disks that VirtualBox gets.
pub const VBOX_DISK_FORMATS: &[&str] = &["vdi", "vmdk"];

/// Bootstrap tools.
pub const BOOTSTRAP_TOOLS: &[&str] = &["auto", "debootstrap", "mmdebstrap"];

/// Every setting, in the order of the help.
pub static SETTINGS: &[Setting] = &[
    setting("suite", Field::Text(|a| &mut a.suite)),
    setting("arch", Field::Text(|a| &mut a.architecture)),
    setting("flavour", Field::Text(|a| &mut a.flavour)),
    setting("components", Field::List(|a| &mut a.components)),
    setting("mirror", Field::Text(|a| &mut a.mirror)),
    setting("security-mirror", Field::Text(|a| &mut a.security_mirror)),
    setting("install-mirror", Field::Text(|a| &mut a.install_mirror)),
    setting("install-security-mirror", Field::Text(|a| &mut a.install_security_mirror)),
    setting("proxy", Field::Text(|a| &mut a.proxy)),
    setting("keyring", Field::Path(|a| &mut a.keyring)),
    setting("variant", Field::Text(|a| &mut a.variant)),
    setting("ppa", Field::List(|a| &mut a.ppas)).only(Scope::Distro("ubuntu")),
    setting("iso", Field::Path(|a| &mut a.iso)),
    setting("debootstrap-tarball", Field::Path(|a| &mut a.tarball)),
    setting("addpkg", Field::List(|a| &mut a.add_packages)),
    setting("removepkg", Field::List(|a| &mut a.remove_packages)),
    setting("install-recommends", Field::Switch(|a| &mut a.install_recommends)),
    setting("seedfile", Field::Path(|a| &mut a.seed_file)),
    setting("user", Field::Text(|a| &mut a.users.name)),
    setting("name", Field::Text(|a| &mut a.users.full_name)),
    setting("pass", Field::Secret(|a| &mut a.users.password)),
    setting("pass-file", Field::SecretFile(|a| &mut a.users.password)),
    setting("rootpass", Field::Secret(|a| &mut a.users.root_password)),
    setting("rootpass-file", Field::SecretFile(|a| &mut a.users.root_password)),
    setting("uid", Field::Number(|a| &mut a.users.uid)),
    setting("gid", Field::Number(|a| &mut a.users.gid)),
    setting("lock-user", Field::Switch(|a| &mut a.users.lock)),
    setting("ssh-key", Field::Path(|a| &mut a.users.root_keys)),
    setting("ssh-user-key", Field::Path(|a| &mut a.users.user_keys)),
    setting("hostname", Field::Text(|a| &mut a.hostname)),
    setting("domain", Field::Text(|a| &mut a.domain)),
    setting("lang", Field::Text(|a| &mut a.locale)),
    setting("timezone", Field::Text(|a| &mut a.timezone)),
    setting("mem", Field::Size(|a| &mut a.memory)),
    setting("cpus", Field::Number(|a| &mut a.cpus)),
    setting("ip", Field::List(|a| &mut a.network.addresses)),
    setting("mask", Field::Text(|a| &mut a.network.mask)),
    setting("net", Field::Text(|a| &mut a.network.network)),
    setting("bcast", Field::Text(|a| &mut a.network.broadcast)),
    setting("gw", Field::List(|a| &mut a.network.gateways)),
    setting("dns", Field::List(|a| &mut a.network.name_servers)),
    setting("mac", Field::Text(|a| &mut a.network.mac)),
    setting("bridge", Field::Text(|a| &mut a.network.bridge)).only(QEMU),
    setting("network", Field::Text(|a| &mut a.network.libvirt_network)).only(QEMU),
    setting("size", Field::Size(|a| &mut a.sizes.disk)),
    setting("rootsize", Field::Size(|a| &mut a.sizes.root)),
    setting("swapsize", Field::Size(|a| &mut a.sizes.swap)),
    setting("optsize", Field::Size(|a| &mut a.sizes.opt)),
    setting("part", Field::Path(|a| &mut a.disks.part)),
    setting("label", Field::Text(|a| &mut a.disks.label)),
    setting("raw", Field::Paths(|a| &mut a.disks.raw)),
    setting("copy", Field::Path(|a| &mut a.copy)),
    setting("exec", Field::Path(|a| &mut a.exec)),
    setting("templates", Field::Path(|a| &mut a.templates)),
    setting("firstboot", Field::Path(|a| &mut a.firstboot)),
    setting("firstlogin", Field::Path(|a| &mut a.firstlogin)),
    setting("destdir", Field::Path(|a| &mut a.places.destination)),
    setting("overwrite", Field::Switch(|a| &mut a.places.overwrite)),
    setting("manifest", Field::Path(|a| &mut a.places.package_list)),
    setting("libvirt", Field::Text(|a| &mut a.libvirt)).only(QEMU),
    setting("vbox-disk-format", Field::Choice(VBOX_DISK_FORMATS, |a| &mut a.special.vbox_disk_format))
        .only(VIRTUALBOX),
    setting("xen-kernel", Field::Path(|a| &mut a.special.xen_kernel)).only(XEN),
    setting("xen-ramdisk", Field::Path(|a| &mut a.special.xen_ramdisk)).only(XEN),
    setting("only-chroot", Field::Switch(|a| &mut a.tree.only)),
    setting("chroot-dir", Field::Path(|a| &mut a.tree.directory)),
    setting("existing-chroot", Field::Path(|a| &mut a.tree.existing)),
    setting("tmpfs", Field::Text(|a| &mut a.tree.tmpfs)),
    setting("in-place", Field::Switch(|a| &mut a.tree.in_place)),
    setting("bootstrap", Field::Choice(BOOTSTRAP_TOOLS, |a| &mut a.bootstrap)),
    setting("cache-dir", Field::Path(|a| &mut a.places.cache)),
    setting("no-cache", Field::Switch(|a| &mut a.places.no_cache)),
    setting("tmp", Field::Path(|a| &mut a.places.scratch)),
    setting("ec2", Field::Switch(|a| &mut a.ec2.wanted)),
    setting("ec2-name", Field::Text(|a| &mut a.ec2.name)),
    setting("ec2-cert", Field::Path(|a| &mut a.ec2.certificate)),
    setting("ec2-key", Field::Path(|a| &mut a.ec2.key)),
    setting("ec2-user", Field::Text(|a| &mut a.ec2.user)),
    setting("ec2-bucket", Field::Text(|a| &mut a.ec2.bucket)),
    setting("ec2-access-key", Field::Text(|a| &mut a.ec2.access_key)),
    setting("ec2-secret-key", Field::Secret(|a| &mut a.ec2.secret_key)),
    setting("ec2-kernel", Field::Text(|a| &mut a.ec2.kernel)),
    setting("ec2-ramdisk", Field::Text(|a| &mut a.ec2.ramdisk)),
    setting("ec2-version", Field::Text(|a| &mut a.ec2.version)),
    setting("ec2-landscape", Field::Switch(|a| &mut a.ec2.landscape)),
    setting("ec2-bundle", Field::Switch(|a| &mut a.ec2.bundle)),
    setting("ec2-upload", Field::Switch(|a| &mut a.ec2.upload)),
    setting("ec2-register", Field::Switch(|a| &mut a.ec2.register)),
];

/// Other spellings that mean the same, as for the options.
pub const ALIASES: &[(&str, &str)] = &[
    ("dest", "destdir"),
    ("ec2-aki", "ec2-kernel"),
    ("ec2-ari", "ec2-ramdisk"),
    ("ec2-prefix", "ec2-name"),
    ("execscript", "exec"),
    ("kernel-flavour", "flavour"),
];

/// Settings of which one source names one: two answers to one question. Where a stronger source names the
/// one, the other of a weaker source no longer counts.
pub const EXCLUSIVE: &[(&str, &str)] = &[
    ("size", "rootsize"),
    ("part", "size"),
    ("part", "rootsize"),
    ("part", "swapsize"),
    ("part", "optsize"),
    ("pass", "pass-file"),
    ("rootpass", "rootpass-file"),
    ("chroot-dir", "tmpfs"),
    ("existing-chroot", "tmpfs"),
    ("existing-chroot", "chroot-dir"),
    ("existing-chroot", "only-chroot"),
];

/// Settings that answer one question as well, each for a part of the machines. Between sources they exclude
/// each other; of those in one source the plan says what is wrong.
const EXCLUSIVE_BETWEEN_SOURCES: &[(&str, &str)] =
    &[("bridge", "network"), ("only-chroot", "libvirt"), ("only-chroot", "raw")];

/// Settings that say what is to be in a new tree. In a configuration file they are passed over where
/// `existing-chroot` counts.
pub const OF_NEW_TREES: &[&str] = &[
    "addpkg",
    "removepkg",
    "ppa",
    "seedfile",
    "iso",
    "debootstrap-tarball",
    "variant",
    "user",
    "name",
    "pass",
    "pass-file",
    "rootpass",
    "rootpass-file",
    "uid",
    "gid",
    "lock-user",
    "ssh-key",
    "ssh-user-key",
    "lang",
    "timezone",
];

/// What `ip` says where DHCP is asked for the address.
const DHCP: &str = "dhcp";

/// Whether one setting, with what it says, leaves no room for another one of a weaker source.
pub fn displaces((one, text): (&str, &str), (other, other_text): (&str, &str)) -> bool {
    let between_sources = |pair: &(&str, &str)| *pair == (one, other) || (pair.1, pair.0) == (one, other);
    let of_address = match other {
        "mask" | "net" | "bcast" | "gw" => true,
        "dns" => other_text.trim() == "none",
        _ => false,
    };
    exclude_each_other(one, other)
        || EXCLUSIVE_BETWEEN_SOURCES.iter().any(between_sources)
        || (one == "ip" && text.trim().eq_ignore_ascii_case(DHCP) && of_address)
        // An address with its prefix says what these would.
        || (one == "ip" && text.contains('/') && matches!(other, "mask" | "net" | "bcast"))
}

/// Whether the settings of two names exclude each other.
pub fn exclude_each_other(one: &str, other: &str) -> bool {
    EXCLUSIVE.iter().any(|pair| *pair == (one, other) || *pair == (other, one))
}

/// Long options that are no settings of an appliance: they say how this one run speaks.
pub const OPTIONS_ONLY: &[&str] = &["config", "verbose", "quiet", "debug", "progress", "help", "version"];

/// The setting of a name; underscores stand for dashes, and case does not count.
pub fn find(name: &str) -> Option<&'static Setting> {
    let name = canonical(name);
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The spelling that the table has.
pub fn canonical(name: &str) -> String {
    let dashed = name.to_lowercase().replace('_', "-");
    match ALIASES.iter().find(|(alias, _)| *alias == dashed) {
        Some((_, name)) => (*name).to_owned(),
        None => dashed,
    }
}

impl Setting {
    /// Reads `text` into the appliance. The error says what is wrong with the text.
    pub fn set(&self, appliance: &mut Appliance, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self.field {
            Field::Text(at) | Field::Secret(at) => *at(appliance) = Some(text.to_owned()),
            Field::List(at) => *at(appliance) = split_list(text),
            Field::Path(at) => *at(appliance) = Some(PathBuf::from(text)),
            Field::Paths(at) => *at(appliance) = split_list(text).into_iter().map(PathBuf::from).collect(),
            Field::Size(at) => *at(appliance) = Some(text.parse().map_err(|error| format!("{error}"))?),
            Field::Number(at) => {
                *at(appliance) = Some(
                    text.parse()
                        .map_err(|_| format!("`{text}` is not a whole number from 0 to {}", u32::MAX))?,
                );
            }
            Field::Switch(at) => *at(appliance) = switch(text)?,
            Field::Choice(words, at) => {
                if !words.contains(&text) {
                    return Err(format!("`{text}` is none of {}", words.join(", ")));
                }
                *at(appliance) = Some(text.to_owned());
            }
            Field::SecretFile(at) => {
                *at(appliance) = Some(read_secret(Path::new(text)).map_err(|error| error.to_string())?);
            }
        }
        Ok(())
    }

    /// The same without an appliance, and without looking at any file.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.field {
            Field::SecretFile(_) if text.trim() == STANDARD_INPUT => {
                Err(format!("`{STANDARD_INPUT}`, standard input, can only be given on the command line"))
            }
            Field::SecretFile(_) => Ok(()),
            _ => self.set(&mut Appliance::default(), text),
        }
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.field, Field::Secret(_))
    }

    /// Whether the setting is on or off, and its option takes no value.
    pub fn is_switch(&self) -> bool {
        matches!(self.field, Field::Switch(_))
    }

    /// Whether `text` leaves the setting as it is where nobody names it.
    pub fn is_off(&self, text: &str) -> bool {
        self.is_switch() && switch(text.trim()) == Ok(false)
    }

    /// The value as it may be shown: a secret as `…`, an address without its log-in, a list in one line.
    pub fn shown(&self, text: &str) -> String {
        match self.field {
            Field::Secret(_) => "…".to_owned(),
            Field::List(_) | Field::Paths(_) => split_list(text).join(", "),
            Field::Text(_) if text.contains("://") => without_login(text),
            Field::Switch(_) => if self.is_off(text) { "no" } else { "yes" }.to_owned(),
            _ => text.trim().to_owned(),
        }
    }
}

/// Splits a list at commas and line ends. Never at a colon: `libc6:i386` is one package.
pub fn split_list(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// vmbuilder's words for on and off.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!("`{text}` is neither yes nor no")),
    }
}

/// What to do for a user who is not to log in by password.
pub const NO_PASSWORD: &str =
    "Leave it out for root, who then cannot log in by password; lock the first user's with --lock-user.";

/// The first line of a file, for a value that must not stand in a command line; `-` is standard input.
///
/// # Errors
///
/// [`Kind::Config`] where it cannot be read, or is empty.
pub fn read_secret(path: &Path) -> Result<String> {
    let (text, place) = if path == Path::new(STANDARD_INPUT) {
        (bounded(std::io::stdin().lock()), "standard input".to_owned())
    } else {
        (std::fs::File::open(path).and_then(bounded), path.display().to_string())
    };
    let text =
        text.context(Kind::Config, || format!("reading a password from {place}")).map_err(|error| {
            error.hint("Name a file whose first line is the password, or - for standard input.")
        })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Error::config(format!("the password from {place} is empty")).hint(NO_PASSWORD)),
    }
}

/// What `source` has, where it is not longer than the limit.
fn bounded(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(SECRET_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_LIMIT {
        return Err(std::io::Error::other("it is longer than 64 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, text: &str) -> Result<Appliance, String> {
        let mut appliance = Appliance::default();
        find(name).expect("a known setting").set(&mut appliance, text)?;
        Ok(appliance)
    }

    #[test]
    fn names_have_more_than_one_spelling() {
        for (spelling, name) in
            [("ssh_user_key", "ssh-user-key"), ("Dest", "destdir"), ("kernel-flavour", "flavour")]
        {
            assert_eq!(find(spelling).map(|setting| setting.name), Some(name));
        }
        assert!(find("adpkg").is_none());
    }

    #[test]
    fn text_becomes_values() {
        assert_eq!(set("addpkg", "a, libc6:i386\n b ,").unwrap().add_packages, ["a", "libc6:i386", "b"]);
        assert_eq!(set("mem", "1G").unwrap().memory, Some(Size::mib(1024)));
        assert_eq!(set("uid", "1001").unwrap().users.uid, Some(1001));
        assert!(set("lock-user", "Yes").unwrap().users.lock);
        assert!(!set("lock-user", "off").unwrap().users.lock);
    }

    #[test]
    fn wrong_text_is_named() {
        for (name, text) in [("mem", "1X"), ("uid", "-1"), ("cpus", "two"), ("lock-user", "maybe")] {
            assert!(set(name, text).unwrap_err().contains(text.trim_start_matches('1')), "{name}={text}");
        }
        assert!(set("pass-file", "/nonexistent/file").unwrap_err().contains("/nonexistent/file"));
    }

    #[test]
    fn values_are_shown_without_what_is_secret() {
        let table = [
            ("pass", "hunter2", "…"),
            ("pass-file", "secret", "secret"),
            ("ec2-secret-key", "hunter2", "…"),
            ("mirror", "http://bob:hunter2@m.example/debian", "http://m.example/debian"),
            ("addpkg", "a,b\n c,", "a, b, c"),
            ("lock-user", "TRUE", "yes"),
            ("lock-user", "0", "no"),
            ("mem", " 1G ", "1G"),
        ];
        for (name, text, shown) in table {
            assert_eq!(find(name).expect(name).shown(text), shown, "{name}");
        }
    }

    #[test]
    fn settings_are_those_of_some_machines() {
        let has = |name: &str, hypervisor, distro| find(name).expect(name).scope.has(hypervisor, distro);
        assert!(has("ppa", Some("kvm"), Some("ubuntu")) && !has("ppa", Some("kvm"), Some("debian")));
        assert!(has("ppa", Some("kvm"), None) && has("ppa", None, None));
        assert!(has("bridge", Some("qemu"), None) && !has("bridge", Some("xen"), Some("debian")));
        assert!(has("xen-kernel", None, Some("debian")) && !has("xen-kernel", Some("kvm"), None));
        assert!(exclude_each_other("rootsize", "size") && !exclude_each_other("rootsize", "swapsize"));
        assert!(displaces(("size", "1G"), ("rootsize", "1G")));
        assert!(displaces(("network", "default"), ("bridge", "br0")));
        assert!(displaces(("ip", "DHCP"), ("gw", "192.0.2.1")) && displaces(("ip", "dhcp"), ("dns", "none")));
        assert!(!displaces(("ip", "192.0.2.7"), ("gw", "192.0.2.1")));
        assert!(displaces(("ip", "10.0.0.5/8"), ("mask", "255.255.255.0")));
        assert!(!displaces(("ip", "10.0.0.5"), ("mask", "255.255.255.0")));
        assert!(!displaces(("ip", "10.0.0.5/8"), ("gw", "10.0.0.1")));
        assert!(!displaces(("ip", "dhcp"), ("dns", "192.0.2.1")));
        assert!(!displaces(("gw", "192.0.2.1"), ("ip", "dhcp")));
        assert!(OF_NEW_TREES.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret \nsecond\n").unwrap();
        let text = file.path().to_string_lossy().into_owned();
        assert_eq!(set("pass-file", &text).unwrap().users.password.as_deref(), Some("s3cret "));
        assert!(
            find("pass-file").unwrap().check("-").is_err() && find("pass-file").unwrap().check("x").is_ok()
        );
        let endless = read_secret(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.to_string().contains("longer than 64 KiB"), "{endless}");
        for empty in ["", "\n", "\nsecond\n", "\r\n"] {
            std::fs::write(file.path(), empty).unwrap();
            assert!(set("rootpass-file", &text).unwrap_err().ends_with("is empty"), "{empty:?}");
        }
    }

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.extend(ALIASES.iter().map(|(alias, _)| alias));
        names.extend(OPTIONS_ONLY);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
