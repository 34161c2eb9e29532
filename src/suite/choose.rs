//! What follows from a suite alone: flavours, packages by architecture, mirrors.

use crate::error::{Error, Result};
use crate::near;

use super::{Archive, Suite, Tier};

/// What stands for the language in the names of packages.
const LANGUAGE: &str = "{language}";

/// Where a release is fetched from unless somebody knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirrors<'a> {
    /// Base address of the mirror.
    pub main: &'a str,
    /// The same for the security pocket; empty where there is none.
    pub security: &'a str,
}

/// A distribution as people write it: `Debian`.
pub fn title_of(distro: &str) -> String {
    let mut letters = distro.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

impl Suite {
    /// The release as people call it: `Debian 13 (trixie)`, `Debian (sid)`.
    pub fn title(&self) -> String {
        let distro = self.distro_title();
        match self.version.as_str() {
            "" => format!("{distro} ({})", self.codename),
            version => format!("{distro} {version} ({})", self.codename),
        }
    }

    /// The distribution as people write it: `Debian`.
    pub fn distro_title(&self) -> String {
        title_of(&self.distro)
    }

    /// The mirrors of the suite file for `architecture`.
    ///
    /// An ended release that was moved is taken from where it was moved to, whatever the architecture.
    /// Elsewhere the ports mirror, where there is one, serves all but amd64 and i386, the security
    /// pocket included.
    pub fn mirrors(&self, architecture: &str) -> Mirrors<'_> {
        let archived = (self.tier == Tier::Ended).then(|| self.archived_mirrors()).flatten();
        archived.unwrap_or_else(|| self.living_mirrors(architecture))
    }

    /// The other place of a release that has one for living and one for ended releases: where it may be if
    /// it was moved later, or earlier, than the suite file knows.
    pub fn mirrors_elsewhere(&self, architecture: &str) -> Option<Mirrors<'_>> {
        let archived = self.archived_mirrors()?;
        Some(if self.tier == Tier::Ended { self.living_mirrors(architecture) } else { archived })
    }

    fn archived_mirrors(&self) -> Option<Mirrors<'_>> {
        let Archive { archived_mirror: main, archived_security_mirror: security, .. } = &self.archive;
        (!main.is_empty()).then_some(Mirrors { main, security })
    }

    fn living_mirrors(&self, architecture: &str) -> Mirrors<'_> {
        let archive = &self.archive;
        if !archive.ports_mirror.is_empty() && !matches!(architecture, "amd64" | "i386") {
            return Mirrors { main: &archive.ports_mirror, security: &archive.ports_mirror };
        }
        Mirrors { main: &archive.mirror, security: &archive.security_mirror }
    }

    /// The packages for a locale other than C and C.UTF-8.
    pub fn locale_packages(&self, locale: &str) -> Vec<String> {
        self.locale.packages.iter().map(|pattern| self.of_language(pattern, locale)).collect()
    }

    /// Those of [`Suite::locale_packages`] that are for the locale's language alone. There is not one for
    /// each language.
    pub fn language_packages(&self, locale: &str) -> Vec<String> {
        let patterns = self.locale.packages.iter().filter(|pattern| pattern.contains(LANGUAGE));
        patterns.map(|pattern| self.of_language(pattern, locale)).collect()
    }

    /// A locale is `language[_territory][.charset][@modifier]`, setlocale(3).
    fn of_language(&self, pattern: &str, locale: &str) -> String {
        let place = locale.split(['.', '@']).next().unwrap_or(locale);
        let language = place.split('_').next().unwrap_or(place);
        let name = self.locale.language_names.get(place).map_or(language, String::as_str);
        pattern.replace(LANGUAGE, name)
    }

    /// The kernel flavour for `hypervisor`: its own where the release has it for `architecture`,
    /// else the release's default.
    pub fn flavour_for(&self, hypervisor: &str, architecture: &str) -> &str {
        self.kernel
            .by_hypervisor
            .get(hypervisor)
            .filter(|flavour| {
                self.kernel.flavours.get(*flavour).is_some_and(|packages| packages.contains_key(architecture))
            })
            .unwrap_or(&self.kernel.default)
    }

    /// The kernel packages of `flavour` for `architecture`.
    ///
    /// # Errors
    ///
    /// The release has no such flavour, or not for this architecture; the hints name those it has.
    pub fn kernel_packages(&self, flavour: &str, architecture: &str) -> Result<&[String]> {
        let flavours = &self.kernel.flavours;
        if let Some(packages) = flavours.get(flavour).and_then(|packages| packages.get(architecture)) {
            return Ok(packages);
        }
        let known: Vec<&str> = flavours
            .iter()
            .filter(|(_, packages)| packages.contains_key(architecture))
            .map(|(name, _)| name.as_str())
            .collect();
        if known.is_empty() {
            return Err(self.cannot_boot(architecture, "kernel"));
        }
        let message = if flavours.contains_key(flavour) {
            format!("{} has kernel flavour `{flavour}`, but not for {architecture}", self.title())
        } else {
            format!("{} has no kernel flavour `{flavour}`", self.title())
        };
        Err(of_flavours(message, flavour, &known)
            .hint(format!("The flavours for {architecture} are {}.", known.join(", "))))
    }

    /// Whether there is a kernel of this flavour for any architecture.
    ///
    /// # Errors
    ///
    /// A configuration error where there is none.
    pub fn knows_flavour(&self, flavour: &str) -> Result<()> {
        let known: Vec<&str> = self.kernel.flavours.keys().map(String::as_str).collect();
        if known.contains(&flavour) {
            return Ok(());
        }
        let message = format!("{} has no kernel flavour `{flavour}`", self.title());
        Err(of_flavours(message, flavour, &known).hint(format!("The flavours are {}.", known.join(", "))))
    }

    /// The boot loader's packages for `architecture`.
    ///
    /// # Errors
    ///
    /// The suite file names none for this architecture; the hints name those that it does.
    pub fn boot_packages(&self, architecture: &str) -> Result<&[String]> {
        match self.boot.packages.get(architecture) {
            Some(packages) => Ok(packages),
            None => Err(self.cannot_boot(architecture, "boot loader")),
        }
    }

    /// Architectures for which the suite file knows kernel and boot loader.
    pub fn bootable_architectures(&self) -> Vec<&str> {
        let has_kernel = |architecture: &&str| {
            self.kernel.flavours.values().any(|packages| packages.contains_key(*architecture))
        };
        self.boot.packages.keys().map(String::as_str).filter(has_kernel).collect()
    }

    /// There is no `what` for `architecture`.
    fn cannot_boot(&self, architecture: &str, what: &str) -> Error {
        let bootable = self.bootable_architectures().join(", ");
        Error::config(format!("no {what} is known for {} on {architecture}", self.title()))
            .hint(format!("Machines of this release can be made for {bootable}."))
    }
}

/// An error about a flavour, with near matches.
fn of_flavours(message: String, flavour: &str, known: &[&str]) -> Error {
    let error = Error::config(message);
    match near::question(flavour, known.iter().copied()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use crate::error::Kind;

    #[test]
    fn flavours_follow_hypervisor_and_architecture() {
        let registry = Registry::built_in().unwrap();
        let cases = [
            ("debian", "bookworm", "kvm", "amd64", "cloud", "linux-image-cloud-amd64"),
            ("debian", "bookworm", "kvm", "i386", "generic", "linux-image-686-pae"),
            ("debian", "trixie", "virtualbox", "amd64", "generic", "linux-image-amd64"),
            ("debian", "forky", "qemu", "arm64", "cloud", "linux-image-cloud-arm64"),
            ("debian", "trixie", "bhyve", "amd64", "generic", "linux-image-amd64"),
            ("ubuntu", "jammy", "kvm", "amd64", "virtual", "linux-image-virtual"),
        ];
        for (distro, codename, hypervisor, architecture, flavour, package) in cases {
            let suite = registry.find(distro, codename).unwrap();
            assert_eq!(suite.flavour_for(hypervisor, architecture), flavour, "{codename} on {hypervisor}");
            assert_eq!(suite.kernel_packages(flavour, architecture).unwrap(), [package]);
        }
    }

    #[test]
    fn packages_follow_the_language() {
        let registry = Registry::built_in().unwrap();
        let jammy = registry.find("ubuntu", "jammy").unwrap();
        for (locale, package) in [
            ("de_DE.UTF-8", "language-pack-de"),
            ("zh_CN.UTF-8", "language-pack-zh-hans"),
            ("zh_SG", "language-pack-zh-hans"),
            ("zh_TW.UTF-8", "language-pack-zh-hant"),
            ("sr_RS.UTF-8@latin", "language-pack-sr"),
            ("eo", "language-pack-eo"),
        ] {
            assert_eq!(jammy.locale_packages(locale), ["locales", package]);
            assert_eq!(jammy.language_packages(locale), [package]);
        }
        let trixie = registry.find("debian", "trixie").unwrap();
        assert_eq!(trixie.locale_packages("zh_CN.UTF-8"), ["locales"]);
        assert!(trixie.language_packages("zh_CN.UTF-8").is_empty());
    }

    #[test]
    fn unknown_flavours_are_answered_with_known_ones() {
        let registry = Registry::built_in().unwrap();
        let jammy = registry.find("ubuntu", "jammy").unwrap();

        let error = jammy.kernel_packages("virtul", "amd64").unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.message(), "Ubuntu 22.04 (jammy) has no kernel flavour `virtul`");
        assert!(error.hints()[0].contains("`virtual`"), "{:?}", error.hints());
        assert!(error.hints().last().unwrap().contains("generic, kvm, lowlatency"), "{:?}", error.hints());

        let error = jammy.kernel_packages("kvm", "arm64").unwrap_err();
        assert_eq!(error.message(), "Ubuntu 22.04 (jammy) has kernel flavour `kvm`, but not for arm64");

        for error in [
            jammy.kernel_packages("generic", "riscv64").unwrap_err(),
            jammy.boot_packages("riscv64").unwrap_err(),
        ] {
            assert_eq!(error.hints(), ["Machines of this release can be made for amd64, arm64."]);
        }
    }

    #[test]
    fn mirrors_follow_tier_and_architecture() {
        let registry = Registry::built_in().unwrap();
        let cases = [
            ("debian", "trixie", "arm64", "http://ftp.debian.org/debian", None),
            (
                "debian",
                "bullseye",
                "amd64",
                "http://archive.debian.org/debian",
                Some("http://ftp.debian.org/debian"),
            ),
            ("ubuntu", "noble", "amd64", "http://archive.ubuntu.com/ubuntu", None),
            ("ubuntu", "noble", "arm64", "http://ports.ubuntu.com/ubuntu-ports", None),
            ("ubuntu", "xenial", "i386", "http://archive.ubuntu.com/ubuntu", None),
            (
                "ubuntu",
                "questing",
                "arm64",
                "http://old-releases.ubuntu.com/ubuntu",
                Some("http://ports.ubuntu.com/ubuntu-ports"),
            ),
        ];
        for (distro, codename, architecture, main, elsewhere) in cases {
            let suite = registry.find(distro, codename).unwrap();
            assert_eq!(suite.mirrors(architecture).main, main, "{codename} on {architecture}");
            let other = suite.mirrors_elsewhere(architecture).map(|mirrors| mirrors.main);
            assert_eq!(other, elsewhere, "{codename} on {architecture}");
        }
        let ports = registry.find("ubuntu", "noble").unwrap().mirrors("arm64");
        assert_eq!(ports.security, ports.main);
    }
}
