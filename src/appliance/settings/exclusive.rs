//! Settings that answer the same question: which of them count where several are named.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::settings::find;

    #[test]
    fn an_answer_leaves_no_room_for_another_to_the_same_question() {
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
}
