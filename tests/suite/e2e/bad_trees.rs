//! What is refused of trees that are to be made elsewhere or are there already, and of sources of packages.

use super::inputs::{CONFIG, Case, USAGE, are_refused};
use crate::common::{anybody, begin_alone};

const CASES: &[Case] = &[
    Case {
        words: &["kvm", "debian", "--iso", "/nowhere/dvd.iso"],
        code: CONFIG,
        says: &["/nowhere/dvd.iso"],
    },
    Case {
        words: &["kvm", "debian", "--iso", "/etc/passwd"],
        code: CONFIG,
        says: &["not an ISO 9660 image"],
    },
    Case { words: &["kvm", "debian", "--iso", "/etc"], code: CONFIG, says: &["/etc is not a file"] },
    Case {
        words: &["kvm", "debian", "--debootstrap-tarball", "/nowhere/debs.tgz"],
        code: CONFIG,
        says: &["/nowhere/debs.tgz"],
    },
    Case {
        words: &["kvm", "debian", "--debootstrap-tarball", "/etc/passwd"],
        code: CONFIG,
        says: &["no tar archive", "--make-tarball"],
    },
    Case {
        words: &["kvm", "ubuntu", "--ppa", "Ondrej/PHP"],
        code: CONFIG,
        says: &["`Ondrej/PHP`", "lower case"],
    },
    Case { words: &["kvm", "ubuntu", "--ppa", "a/b/c"], code: CONFIG, says: &["`a/b/c` is not a PPA"] },
    Case {
        words: &["kvm", "debian", "--install-mirror", "ftp://m.example/debian"],
        code: CONFIG,
        says: &["ftp://m.example/debian", "--install-mirror as http://"],
    },
    Case { words: &["kvm", "debian", "--install-security-mirror", "none"], code: CONFIG, says: &["`none`"] },
    Case {
        words: &[
            "kvm",
            "debian",
            "--security-mirror",
            "none",
            "--install-security-mirror",
            "http://m.example/security",
        ],
        code: CONFIG,
        says: &["--security-mirror none"],
    },
    Case { words: &["kvm", "debian", "--variant", "fakechroot"], code: CONFIG, says: &["user namespace"] },
    Case { words: &["kvm", "debian", "--variant", "mnibase"], code: CONFIG, says: &["mnibase", "`minbase`"] },
    Case {
        words: &["kvm", "debian", "--tmpfs", "lots"],
        code: CONFIG,
        says: &["`lots` is not a size", "2G"],
    },
    Case { words: &["kvm", "debian", "--tmpfs", "2X"], code: CONFIG, says: &["`X` is not a unit"] },
    Case {
        words: &["kvm", "debian", "--chroot-dir", "/etc"],
        code: CONFIG,
        says: &["--chroot-dir /etc exists"],
    },
    Case {
        words: &["kvm", "debian", "--chroot-dir", "/nowhere/below/tree"],
        code: CONFIG,
        says: &["/nowhere/below", "is not there"],
    },
    Case {
        words: &["kvm", "debian", "--only-chroot", "--chroot-dir", "/etc"],
        code: CONFIG,
        says: &["--chroot-dir /etc exists"],
    },
    Case { words: &["kvm", "debian", "--existing-chroot", "/nowhere"], code: CONFIG, says: &["/nowhere"] },
    Case {
        words: &["kvm", "debian", "--existing-chroot", "/etc/passwd"],
        code: CONFIG,
        says: &["/etc/passwd is not a directory"],
    },
    Case { words: &["kvm", "debian", "--existing-chroot", "/"], code: CONFIG, says: &["this system itself"] },
    Case {
        words: &["kvm", "debian", "--existing-chroot", "/srv", "--addpkg", "nginx", "--user", "bob"],
        code: CONFIG,
        says: &["--addpkg has no meaning", "--user has no meaning"],
    },
    Case {
        words: &["kvm", "debian", "--tmpfs", "2G", "--chroot-dir", "/srv/tree"],
        code: USAGE,
        says: &["--tmpfs", "--chroot-dir"],
    },
    Case {
        words: &["kvm", "debian", "--existing-chroot", "/srv", "--only-chroot"],
        code: USAGE,
        says: &["--existing-chroot", "--only-chroot"],
    },
];

#[test]
fn wrong_trees_and_sources_are_refused_at_once() {
    let Some((_turn, account)) = begin_alone("bad trees and sources", anybody) else { return };
    are_refused(&account, CASES);
}
