//! What the types of a suite file cannot say: which values make sense, alone and together.
//!
//! Every check adds to one list, so that the author of a file sees everything at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Archive, Boot, Dates, Kernel, NetworkStack, SourcesFormat, Suite, Tier};
use crate::disk::layout::FileSystem;

/// The format of suite files that this program reads.
const SCHEMA: u32 = 1;

/// Debian's names of architectures, of ports and of released ones, as both distributions use them.
const ARCHITECTURES: &[&str] = &[
    "amd64", "arm64", "armel", "armhf", "i386", "loong64", "mips64el", "mipsel", "powerpc", "ppc64el",
    "riscv64", "s390x",
];

/// Types of debconf questions that have a value, debconf-devel(7).
const DEBCONF_TYPES: &[&str] =
    &["boolean", "multiselect", "note", "password", "select", "string", "text", "title"];

/// What the place of a file says about it.
pub(super) struct Place {
    /// Name of its directory.
    pub(super) distro: String,
    /// Its own name without `.toml`.
    pub(super) codename: String,
}

/// A growing list of problems.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Adds `text` where `fine` is false.
    fn unless(&mut self, fine: bool, text: impl FnOnce() -> String) {
        if !fine {
            self.0.push(text());
        }
    }

    /// A list that must say something, without saying anything twice.
    fn list(&mut self, key: &str, items: &[String]) {
        self.unless(!items.is_empty(), || format!("`{key}` is empty"));
        let mut seen = BTreeSet::new();
        for item in items {
            self.unless(seen.insert(item), || format!("`{key}` has `{item}` twice"));
        }
    }

    /// A list of package names.
    fn packages(&mut self, key: &str, names: &[String]) {
        self.list(key, names);
        for name in names {
            self.unless(is_package_name(name), || format!("`{key}`: `{name}` is no name of a package"));
        }
    }

    /// A path in the guest or on the host.
    fn absolute(&mut self, key: &str, path: &str) {
        self.unless(path.starts_with('/'), || format!("`{key}`: `{path}` is no absolute path"));
    }

    /// The base address of a mirror.
    fn mirror(&mut self, key: &str, address: &str) {
        let host = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        let fine = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            && !address.ends_with('/')
            && !address.contains(char::is_whitespace);
        self.unless(fine, || {
            format!("`{key}`: `{address}` is no address such as http://mirror.example/debian, without a slash at its end")
        });
    }

    /// Answers for debconf.
    fn debconf(&mut self, key: &str, lines: &[String]) {
        for line in lines {
            self.unless(is_debconf_answer(line), || {
                format!("`{key}`: `{line}` is no answer for debconf; write `package question type value`")
            });
        }
    }
}

/// Everything that is wrong with `suite`, which lies at `place`.
pub(super) fn problems(suite: &Suite, place: &Place) -> Vec<String> {
    let mut problems = Problems::default();
    identity(&mut problems, suite, place);
    dates(&mut problems, suite.tier, &suite.dates);
    archive(&mut problems, &suite.codename, &suite.archive);
    keys_and_bootstrap(&mut problems, suite);
    kernel(&mut problems, &suite.archive.architectures, &suite.kernel);
    boot(&mut problems, suite, &suite.boot);
    guest(&mut problems, suite);
    problems.0
}

/// Names that more than one release of a distribution goes by.
pub(super) fn clashes(suites: &[Suite]) -> Vec<String> {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut clashes = Vec::new();
    for suite in suites {
        let names = [&suite.codename, &suite.version].into_iter().chain(&suite.aliases);
        for name in names.filter(|name| !name.is_empty()) {
            if let Some(other) = owners.insert((&suite.distro, name), &suite.codename) {
                let (distro, codename) = (&suite.distro, &suite.codename);
                clashes
                    .push(format!("`{name}` is a name of two releases of {distro}: {other} and {codename}"));
            }
        }
    }
    clashes
}

fn identity(problems: &mut Problems, suite: &Suite, place: &Place) {
    problems.unless(suite.schema == SCHEMA, || {
        format!("`schema` is {}; this program reads {SCHEMA}", suite.schema)
    });
    let pairs = [
        ("distro", &suite.distro, &place.distro, "directory"),
        ("codename", &suite.codename, &place.codename, "file"),
    ];
    for (key, value, expected, what) in pairs {
        problems.unless(value == expected, || {
            format!("`{key}` is `{value}`, but the name of the {what} says `{expected}`")
        });
        problems.unless(is_word(value), || {
            format!("`{key}`: `{value}` is no word of lower-case letters, digits and hyphens")
        });
    }
    let version_is_numbers =
        suite.version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    problems.unless(suite.version.is_empty() || version_is_numbers, || {
        format!("`version`: `{}` is no version such as 13 or 24.04", suite.version)
    });
    for alias in &suite.aliases {
        problems.unless(is_word(alias), || {
            format!("`aliases`: `{alias}` is no word of lower-case letters, digits and hyphens")
        });
    }
}

fn dates(problems: &mut Problems, tier: Tier, dates: &Dates) {
    problems.unless(tier == Tier::Testing || dates.release.is_some(), || {
        "`dates.release` is missing for a release that is out".to_string()
    });
    let in_order = [
        ("end_of_life", dates.end_of_life, "release", dates.release),
        ("extended", dates.extended, "end_of_life", dates.end_of_life),
    ];
    for (late_key, late, early_key, early) in in_order {
        if let Some(late) = late {
            problems.unless(early.is_some_and(|early| early <= late), || {
                format!("`dates.{late_key}` is {late}, and `dates.{early_key}` is missing or later")
            });
        }
    }
}

fn archive(problems: &mut Problems, codename: &str, archive: &Archive) {
    problems.mirror("archive.mirror", &archive.mirror);
    let optional = [
        ("archive.security_mirror", &archive.security_mirror),
        ("archive.ports_mirror", &archive.ports_mirror),
        ("archive.archived_mirror", &archive.archived_mirror),
        ("archive.archived_security_mirror", &archive.archived_security_mirror),
    ];
    for (key, address) in optional.into_iter().filter(|(_, address)| !address.is_empty()) {
        problems.mirror(key, address);
    }
    problems.unless(archive.security.is_empty() == archive.security_mirror.is_empty(), || {
        "`archive.security` and `archive.security_mirror` need each other".to_string()
    });
    problems.list("archive.pockets", &archive.pockets);
    problems.unless(archive.pockets.first().is_none_or(|first| first == codename), || {
        format!("`archive.pockets` does not begin with the release itself, `{codename}`")
    });
    problems.list("archive.components", &archive.components);
    for extra in &archive.extra_components {
        problems.unless(!archive.components.contains(extra), || {
            format!("`archive.extra_components` has `{extra}`, which is taken by default")
        });
    }
    problems.list("archive.architectures", &archive.architectures);
    for name in &archive.architectures {
        problems.unless(ARCHITECTURES.contains(&name.as_str()), || {
            format!("`archive.architectures`: `{name}` is none of {}", ARCHITECTURES.join(", "))
        });
    }
    let sources = &archive.sources;
    problems.absolute("archive.sources.file", &sources.file);
    let ending = match sources.format {
        SourcesFormat::List => ".list",
        SourcesFormat::Deb822 => ".sources",
    };
    problems.unless(sources.file.ends_with(ending), || {
        format!(
            "`archive.sources.file`: apt reads this format from names in {ending} only, not `{}`",
            sources.file
        )
    });
    if !sources.signed_by.is_empty() {
        problems.absolute("archive.sources.signed_by", &sources.signed_by);
    }
}

fn keys_and_bootstrap(problems: &mut Problems, suite: &Suite) {
    problems.list("keys.keyrings", &suite.keys.keyrings);
    for path in &suite.keys.keyrings {
        problems.absolute("keys.keyrings", path);
    }
    problems.unless(!suite.keys.host_packages.is_empty(), || "`keys.host_packages` is empty".to_string());
    for package in suite.keys.host_packages.values() {
        problems.unless(is_package_name(package), || {
            format!("`keys.host_packages`: `{package}` is no name of a package")
        });
    }
    let script = &suite.bootstrap.script;
    problems.unless(is_word(script), || format!("`bootstrap.script`: `{script}` is no name of a script"));
    problems.packages("bootstrap.packages", &suite.bootstrap.packages);
    problems.debconf("bootstrap.debconf", &suite.bootstrap.debconf);
    problems.packages("system.packages", &suite.system.packages);
}

fn kernel(problems: &mut Problems, architectures: &[String], kernel: &Kernel) {
    let named = kernel.by_hypervisor.values().chain([&kernel.default]);
    for flavour in named.collect::<BTreeSet<_>>() {
        problems.unless(kernel.flavours.contains_key(flavour), || {
            format!("there is no `kernel.flavours.{flavour}`, which `kernel` names")
        });
    }
    for (flavour, packages) in &kernel.flavours {
        for (architecture, names) in packages {
            let key = format!("kernel.flavours.{flavour}.{architecture}");
            problems.packages(&key, names);
            problems.unless(architectures.contains(architecture), || {
                format!("`{key}`: the release does not carry that architecture")
            });
        }
    }
}

fn boot(problems: &mut Problems, suite: &Suite, boot: &Boot) {
    problems.unless(!boot.packages.is_empty(), || "`boot.packages` is empty".to_string());
    let default_kernel = suite.kernel.flavours.get(&suite.kernel.default);
    for (architecture, names) in &boot.packages {
        let key = format!("boot.packages.{architecture}");
        problems.packages(&key, names);
        problems.unless(suite.archive.architectures.contains(architecture), || {
            format!("`{key}`: the release does not carry that architecture")
        });
        problems.unless(default_kernel.is_some_and(|packages| packages.contains_key(architecture)), || {
            format!("`{key}`: there is no kernel of the default flavour for it")
        });
    }
    problems.unless(is_word(&boot.efi_directory), || {
        format!("`boot.efi_directory`: `{}` is no name of a directory", boot.efi_directory)
    });
    let lists = [
        ("boot.shim", &boot.shim),
        ("boot.grub_efi", &boot.grub_efi),
        ("boot.mok_manager", &boot.mok_manager),
    ];
    for (key, paths) in lists {
        for path in paths {
            problems.absolute(key, path);
        }
    }
    if !boot.flag_file.is_empty() {
        problems.absolute("boot.flag_file", &boot.flag_file);
    }
    problems.debconf("boot.debconf", &boot.debconf);
    // The root file system is ext4 where nobody asks for another.
    problems.unless(boot.reads.contains(&FileSystem::Ext4), || "`boot.reads` lacks `ext4`".to_owned());
}

fn guest(problems: &mut Problems, suite: &Suite) {
    problems.packages("initramfs.packages", &suite.initramfs.packages);
    // systemd-networkd alone may need no package of its own.
    if suite.network.stack != NetworkStack::Networkd || !suite.network.packages.is_empty() {
        problems.packages("network.packages", &suite.network.packages);
    }
    let locale = &suite.locale;
    problems.absolute("locale.file", &locale.file);
    let locale_packages: Vec<String> =
        locale.packages.iter().map(|name| name.replace("{language}", "en")).collect();
    problems.packages("locale.packages", &locale_packages);
    for (place, name) in &locale.language_names {
        problems.unless(is_word(name), || {
            format!("`locale.language_names.{place}`: `{name}` is no word of lower-case letters, digits and hyphens")
        });
    }
    problems.unless(locale.legacy_zones.is_empty() || is_package_name(&locale.legacy_zones), || {
        format!("`locale.legacy_zones`: `{}` is no name of a package", locale.legacy_zones)
    });
    let users = &suite.users;
    problems.list("users.groups", &users.groups);
    problems.packages("users.packages", &users.packages);
    let mode_is_octal =
        users.home_mode.len() == 4 && users.home_mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    problems.unless(mode_is_octal, || {
        format!("`users.home_mode`: `{}` is no mode of four octal digits, such as 0700", users.home_mode)
    });
    let ssh = &suite.ssh;
    problems.unless(is_package_name(&ssh.package), || {
        format!("`ssh.package`: `{}` is no name of a package", ssh.package)
    });
}

/// A codename, an alias, a name of a directory: it becomes a part of paths.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Debian policy, section 5.6.1.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// A line for debconf-set-selections(1). A value may be empty where an empty answer is one.
fn is_debconf_answer(line: &str) -> bool {
    let mut fields = line.split_whitespace();
    let (Some(package), Some(question), Some(kind)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let value = fields.next();
    let value_fits = match kind {
        "boolean" => matches!(value, Some("true" | "false")),
        "select" => value.is_some(),
        _ => true,
    };
    is_package_name(package)
        && question.contains('/')
        && DEBCONF_TYPES.contains(&kind)
        && value_fits
        && !line.contains('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debconf_answers() {
        for fine in [
            "grub-pc grub-pc/install_devices multiselect",
            "grub-pc grub-pc/install_devices multiselect /dev/vda, /dev/vdb",
            "grub-pc grub-pc/install_devices_empty boolean true",
            "tzdata tzdata/Areas select Europe",
        ] {
            assert!(is_debconf_answer(fine), "{fine}");
        }
        for wrong in [
            "",
            "grub-pc",
            "grub-pc grub-pc/install_devices",
            "grub-pc grub-pc/install_devices_empty boolean",
            "grub-pc grub-pc/install_devices_empty boolean yes",
            "tzdata tzdata/Areas select",
            "grub-pc install_devices string x",
            "grub-pc grub-pc/install_devices sting x",
        ] {
            assert!(!is_debconf_answer(wrong), "{wrong}");
        }
    }

    #[test]
    fn package_names() {
        for fine in ["linux-image-686-pae", "netplan.io", "libstdc++6", "0ad"] {
            assert!(is_package_name(fine), "{fine}");
        }
        for wrong in ["", "a", "Nginx", "nginx=1.2", "../x", "a b", "-x"] {
            assert!(!is_package_name(wrong), "{wrong}");
        }
    }
}
