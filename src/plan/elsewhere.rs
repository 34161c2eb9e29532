//! A release that has ended is moved some day, from the distribution's mirrors to the place for old ones.
//! The day cannot be known beforehand: where one place does not have it, the other is tried.

use super::archive::Mirrors;
use crate::appliance::Appliance;
use crate::error::Error;
use crate::suite::Suite;

/// The other place, where neither the user nor this host has named one.
pub(super) fn mirrors(
    appliance: &Appliance,
    suite: &Suite,
    architecture: &str,
    tried: &Mirrors,
) -> Option<Mirrors> {
    if tried.origin != "suite" {
        return None;
    }
    let other = suite.mirrors_elsewhere(architecture)?;
    let others = Some(other.security.to_owned())
        .filter(|address| !address.is_empty() && !suite.archive.security.is_empty());
    let (security, guest_security) = match (&appliance.security_mirror, &appliance.install_security_mirror) {
        (Some(_), _) => (tried.security.clone(), tried.guest_security.clone()),
        // The user's serves the build, and the machine gets the other's.
        (None, Some(_)) if others.is_some() && tried.security.is_some() => (tried.security.clone(), others),
        (None, _) => (others, None),
    };
    Some(Mirrors { main: other.main.to_owned(), security, guest_security, ..tried.clone() })
}

/// Whether apt failed because a mirror does not have the release; not because of the network, say.
pub(super) fn is_not_there(error: &Error) -> bool {
    error
        .tail_lines()
        .iter()
        .any(|line| line.contains("404 ") || line.contains("does not have a Release file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Registry;

    #[test]
    fn only_the_suite_files_mirrors_have_another_place() {
        let registry = Registry::built_in().unwrap();
        let bullseye = registry.find("debian", "bullseye").unwrap();
        let tried = |origin| Mirrors {
            main: "http://archive.debian.org/debian".into(),
            security: Some("http://tried.example/debian-security".into()),
            origin,
            guest_main: None,
            guest_security: None,
        };
        let appliance = Appliance::default();
        assert_eq!(mirrors(&appliance, bullseye, "amd64", &tried("option")), None);
        assert_eq!(mirrors(&appliance, bullseye, "amd64", &tried("host")), None);
        let other = mirrors(&appliance, bullseye, "amd64", &tried("suite")).unwrap();
        assert_eq!(other.main, bullseye.archive.mirror);
        assert_eq!(other.security.as_deref(), Some(bullseye.archive.security_mirror.as_str()));

        let appliance =
            Appliance { install_security_mirror: Some("http://near.example".into()), ..Appliance::default() };
        let near = Mirrors {
            security: Some("http://near.example".into()),
            guest_security: Some("http://tried.example/debian-security".into()),
            ..tried("suite")
        };
        let other = mirrors(&appliance, bullseye, "amd64", &near).unwrap();
        assert_eq!(other.security, near.security);
        assert_eq!(other.guest_security.as_deref(), Some(bullseye.archive.security_mirror.as_str()));

        let appliance = Appliance { security_mirror: Some("none".into()), ..Appliance::default() };
        let tried = Mirrors { security: None, ..tried("suite") };
        assert_eq!(mirrors(&appliance, bullseye, "amd64", &tried).unwrap().security, None);
        let trixie = registry.find("debian", "trixie").unwrap();
        assert_eq!(mirrors(&appliance, trixie, "amd64", &tried), None);
    }

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_reached() {
        let of = |line: &str| is_not_there(&Error::build("x").tail([line.to_owned()]));
        assert!(of("  404  Not Found [IP: 192.0.2.1 80]"));
        assert!(of(
            "E: The repository 'http://m.example/debian buster Release' does not have a Release file."
        ));
        assert!(!of("  Could not connect to m.example:80 (192.0.2.1)"));
    }
}
