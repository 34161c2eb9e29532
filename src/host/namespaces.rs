//! Why a kernel refuses namespaces and mounts to a program, and the cures.

use rustix::io::Errno;

use crate::error::Error;

/// Where Ubuntu 23.10 and later say whether AppArmor restricts user namespaces. The namespace itself is
/// then granted, with a profile that denies every right in it, so that the step after it fails.
const RESTRICTION: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// The error for a namespace or mount that the kernel refused, with the cures where rights are missing.
pub fn refused(what: &str, errno: Errno) -> Error {
    let error = Error::host(what).because(&errno);
    if matches!(errno, Errno::PERM | Errno::ACCESS) { with_cures(error) } else { error }
}

/// Adds what lets an ordinary user make namespaces on this host.
pub fn with_cures(error: Error) -> Error {
    let restricted = std::fs::read_to_string(RESTRICTION).is_ok_and(|text| text.trim() == "1");
    cures(restricted).iter().fold(error, |error, cure| error.hint(*cure))
}

fn cures(restricted: bool) -> &'static [&'static str] {
    if restricted {
        &[
            "AppArmor restricts user namespaces here: let rvmb make them by its profile, which \
             `sudo tools/setup` and `sudo make install` in rvmb's source install (tools/apparmor/rvmb).",
            "Or lift the restriction for all programs: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`.",
            "Or run rvmb as root.",
        ]
    } else {
        &[
            "Allow it with `sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`.",
            "A container has to be started with the right CAP_SYS_ADMIN, such as with `--privileged`.",
            "Or run rvmb as root.",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_have_a_cure_and_other_failures_none() {
        let error = refused("making the worker's namespaces", Errno::PERM);
        assert_eq!(error.kind(), crate::Kind::Host);
        assert_eq!(error.hints().len(), 3, "{error:?}");
        assert!(refused("making the worker's namespaces", Errno::NOSPC).hints().is_empty());
    }

    #[test]
    fn the_cure_is_that_of_the_restriction() {
        assert!(cures(true)[0].contains("tools/apparmor/rvmb"));
        assert!(cures(true)[1].contains("apparmor_restrict_unprivileged_userns=0"));
        assert!(cures(false).iter().all(|cure| !cure.contains("AppArmor")));
    }
}
