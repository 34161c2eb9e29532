//! The settings of an appliance by name, for sources that are text.
//!
//! The names are those of the long options. Each setting knows where its value lives in the
//! [`Appliance`] and how text becomes it. All of them stand in [`table`]; which of them answer the same
//! question is said in [`exclusive`], and [`secret`] reads passwords out of files.

mod exclusive;
mod secret;
mod table;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::model::Appliance;
use crate::error::{Error, Result};
use crate::host::access::without_login;
use crate::units::Size;

pub use exclusive::{EXCLUSIVE, OF_NEW_TREES, displaces, exclude_each_other};
pub use secret::{NO_PASSWORD, STANDARD_INPUT, read_secret};
pub use table::SETTINGS;

/// Where a setting lives, and so how its text is read.
enum Field {
    Text(fn(&mut Appliance) -> &mut Option<String>),
    List(fn(&mut Appliance) -> &mut Vec<String>),
    Path(fn(&mut Appliance) -> &mut Option<PathBuf>),
    Paths(fn(&mut Appliance) -> &mut Vec<PathBuf>),
    /// A size, which stays text.
    Size(fn(&mut Appliance) -> &mut Option<String>),
    /// A number, which stays text, and what it may be.
    Number(&'static RangeInclusive<u32>, fn(&mut Appliance) -> &mut Option<String>),
    Switch(fn(&mut Appliance) -> &mut bool),
    /// One of these words.
    Choice(&'static [&'static str], fn(&mut Appliance) -> &mut Option<String>),
    /// Text that nobody is shown.
    Secret(fn(&mut Appliance) -> &mut Option<String>),
    /// A file whose first line is the value.
    SecretFile(fn(&mut Appliance) -> &mut Option<String>),
}

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

/// Formats of disks that VirtualBox gets.
pub const VBOX_DISK_FORMATS: &[&str] = &["vdi", "vmdk"];

/// Ids of ordinary users and of their groups: Debian Policy 9.2.2. Below are those of the system, where
/// useradd may find an id taken; above are reserved ones, and from 65536 on such as a user namespace of
/// rvmb's does not have.
pub const ORDINARY_IDS: RangeInclusive<u32> = 1000..=59999;

/// How many processors a machine may be asked for.
pub const PROCESSORS: RangeInclusive<u32> = 1..=u32::MAX;

/// Bootstrap tools.
pub const BOOTSTRAP_TOOLS: &[&str] = &["auto", "debootstrap", "mmdebstrap"];

/// Other spellings that mean the same, as for the options.
pub const ALIASES: &[(&str, &str)] = &[
    ("dest", "destdir"),
    ("ec2-aki", "ec2-kernel"),
    ("ec2-ari", "ec2-ramdisk"),
    ("ec2-prefix", "ec2-name"),
    ("execscript", "exec"),
    ("kernel-flavour", "flavour"),
];

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
    /// Reads `text` into the appliance.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`], with what is wrong with the text, or with the file that it names.
    pub fn set(&self, appliance: &mut Appliance, text: &str) -> Result<()> {
        let text = text.trim();
        match self.field {
            Field::Text(at) | Field::Secret(at) => *at(appliance) = Some(text.to_owned()),
            Field::List(at) => *at(appliance) = split_list(text),
            Field::Path(at) => *at(appliance) = Some(PathBuf::from(text)),
            Field::Paths(at) => *at(appliance) = split_list(text).into_iter().map(PathBuf::from).collect(),
            Field::Size(at) => {
                text.parse::<Size>().map_err(|error| Error::config(error.to_string()))?;
                *at(appliance) = Some(text.to_owned());
            }
            Field::Number(range, at) => {
                number(text, range).map_err(Error::config)?;
                *at(appliance) = Some(text.to_owned());
            }
            Field::Switch(at) => *at(appliance) = switch(text).map_err(Error::config)?,
            Field::Choice(words, at) => {
                if !words.contains(&text) {
                    return Err(Error::config(format!("`{text}` is none of {}", words.join(", "))));
                }
                *at(appliance) = Some(text.to_owned());
            }
            Field::SecretFile(at) => {
                *at(appliance) = Some(read_secret(&format!("--{}", self.name), Path::new(text))?);
            }
        }
        Ok(())
    }

    /// The same without an appliance, and without looking at any file.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`], with what is wrong with the text.
    pub fn check(&self, text: &str) -> Result<()> {
        match self.field {
            Field::SecretFile(_) if text.trim() == STANDARD_INPUT => {
                let what =
                    format!("`{STANDARD_INPUT}`, standard input, can only be given on the command line");
                Err(Error::config(what))
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

/// Reads a number, which may still lie beside the `range` that it is to be in. The error says what is wrong with
/// the text.
pub fn number(text: &str, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let (first, last) = (range.start(), range.end());
    text.trim().parse().map_err(|_| format!("`{text}` is not a whole number from {first} to {last}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, text: &str) -> Result<Appliance> {
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
        assert_eq!(set("mem", "1G").unwrap().memory.as_deref(), Some("1G"));
        assert_eq!(set("uid", "1001").unwrap().users.uid.as_deref(), Some("1001"));
        assert!(set("lock-user", "Yes").unwrap().users.lock);
        assert!(!set("lock-user", "off").unwrap().users.lock);
    }

    #[test]
    fn wrong_text_is_named() {
        for (name, text) in [("mem", "1X"), ("uid", "-1"), ("cpus", "two"), ("lock-user", "maybe")] {
            let error = set(name, text).unwrap_err();
            assert!(error.message().contains(text.trim_start_matches('1')), "{name}={text}");
        }
        let error = set("pass-file", "/nonexistent/file").unwrap_err();
        assert_eq!(error.message(), "reading --pass-file /nonexistent/file");
        assert!(error.hints()[0].contains("first line is the password"), "{error:?}");
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
