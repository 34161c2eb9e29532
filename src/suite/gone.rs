//! Releases of the past, which command lines of old tutorials name and rvmb has no suite file of.

/// A release that cannot be built any more.
pub(super) struct Gone {
    distro: &'static str,
    codename: &'static str,
    version: &'static str,
    /// The year of its last public updates, which for Debian are those of its long-term support.
    ended: u32,
}

const fn gone(distro: &'static str, codename: &'static str, version: &'static str, ended: u32) -> Gone {
    Gone { distro, codename, version, ended }
}

/// Those that vmbuilder knew, and what came between them and the oldest suite file. Dates are those of
/// distro-info-data 2026.10.12.
const GONE: &[Gone] = &[
    gone("debian", "potato", "2.2", 2003),
    gone("debian", "woody", "3.0", 2006),
    gone("debian", "sarge", "3.1", 2008),
    gone("debian", "etch", "4.0", 2010),
    gone("debian", "lenny", "5.0", 2012),
    gone("debian", "squeeze", "6.0", 2016),
    gone("debian", "wheezy", "7", 2018),
    gone("debian", "jessie", "8", 2020),
    gone("debian", "stretch", "9", 2022),
    gone("debian", "buster", "10", 2024),
    gone("ubuntu", "dapper", "6.06", 2011),
    gone("ubuntu", "edgy", "6.10", 2008),
    gone("ubuntu", "feisty", "7.04", 2008),
    gone("ubuntu", "gutsy", "7.10", 2009),
    gone("ubuntu", "hardy", "8.04", 2013),
    gone("ubuntu", "intrepid", "8.10", 2010),
    gone("ubuntu", "jaunty", "9.04", 2010),
    gone("ubuntu", "karmic", "9.10", 2011),
    gone("ubuntu", "lucid", "10.04", 2015),
    gone("ubuntu", "maverick", "10.10", 2012),
    gone("ubuntu", "natty", "11.04", 2012),
    gone("ubuntu", "oneiric", "11.10", 2013),
    gone("ubuntu", "precise", "12.04", 2017),
    gone("ubuntu", "quantal", "12.10", 2014),
    gone("ubuntu", "raring", "13.04", 2014),
    gone("ubuntu", "saucy", "13.10", 2014),
    gone("ubuntu", "trusty", "14.04", 2019),
    gone("ubuntu", "utopic", "14.10", 2015),
    gone("ubuntu", "vivid", "15.04", 2016),
    gone("ubuntu", "wily", "15.10", 2016),
    gone("ubuntu", "yakkety", "16.10", 2017),
    gone("ubuntu", "zesty", "17.04", 2018),
    gone("ubuntu", "artful", "17.10", 2018),
];

/// What to tell a user who names a release of the past, where one of today is `newest`; none for any other
/// name.
pub(super) fn explain(distro: &str, name: &str, newest: &str) -> Option<String> {
    let found = GONE.iter().find(|gone| {
        gone.distro == distro && (gone.codename.eq_ignore_ascii_case(name) || gone.version == name)
    })?;
    let Gone { codename, version, ended, .. } = found;
    Some(format!(
        "{codename} is version {version}, whose updates ended in {ended}: name a release of today, such as \
         --suite {newest}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Registry;

    #[test]
    fn what_has_a_suite_file_is_not_gone() {
        let registry = Registry::built_in().unwrap();
        for gone in GONE {
            for name in [gone.codename, gone.version] {
                assert!(registry.find(gone.distro, name).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn a_release_of_the_past_is_explained() {
        let told = explain("ubuntu", "Lucid", "resolute").unwrap();
        assert!(told.contains("version 10.04") && told.contains("2015") && told.contains("--suite resolute"));
        assert_eq!(explain("ubuntu", "10.04", "resolute"), Some(told));
        assert!(explain("debian", "lucid", "trixie").is_none());
        assert!(explain("ubuntu", "jammy", "resolute").is_none());
    }
}
