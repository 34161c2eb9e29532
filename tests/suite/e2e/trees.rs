//! Trees: alone, there already, and in memory; and what is refused of them and of sources of packages.

use std::path::Path;

use super::inputs::{CONFIG, Case, USAGE, are_refused};
use crate::common::account::Account;
use crate::common::machine::Bench;
use crate::common::process::run;
use crate::common::{anybody, begin, begin_alone};

#[test]
fn a_tree_in_memory_boots() {
    let Some((_turn, account)) = begin("tmpfs", anybody) else { return };
    let bench = Bench::new(&account);
    let words = ["kvm", "debian", "--suite", "bookworm", "--addpkg", "hello", "--tmpfs", "-", "--in-place"];
    bench.bake(&words).well();
    bench.is_clean(&["out"]);
    packages_have_digests(&bench);
    bench.boots("bios");
}

/// Without them neither the cache nor a medium could be trusted.
fn packages_have_digests(bench: &Bench) {
    let manifest = std::fs::read(bench.destination().join("manifest.json")).expect("reading the manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("parsing the manifest");
    let resolved = manifest["plan"]["packages"]["resolved"].as_array().expect("packages");
    let has = |package: &serde_json::Value| package["sha256"].as_str().is_some_and(|text| text.len() == 64);
    assert!(!resolved.is_empty() && resolved.iter().all(has), "{:?}", resolved.first());
}

#[test]
fn a_tree_alone_becomes_a_disk_that_boots() {
    let Some((_turn, account)) = begin("only-chroot and existing-chroot", anybody) else { return };
    let bench = Bench::new(&account);
    let tree = bench.path().join("tree").display().to_string();
    let words =
        ["kvm", "debian", "--suite", "bookworm", "--user", "bob", "--only-chroot", "--chroot-dir", &tree];
    let made = bench.bake(&words).well();
    assert_eq!(made.stdout, format!("{tree}\n"));
    bench.is_clean(&["tree"]);
    assert!(Path::new(&tree).join("boot").is_dir());
    let release = "/etc/os-release";
    assert!(inside(&account, &["/usr/sbin/chroot", &tree, "/bin/cat", release]).contains("bookworm"));
    let before = inside(&account, &["find", &tree, "-printf", "%P %U %G %m %s %T@ %n\\n"]);

    let again = bench.bake(&words).with_code(CONFIG);
    assert!(again.stderr.contains("exists"), "{again}");

    // The release is the one that the tree says, which is not the default.
    bench.bake(&["kvm", "debian", "--existing-chroot", &tree]).well();
    bench.is_clean(&["out", "tree"]);
    let after = inside(&account, &["find", &tree, "-printf", "%P %U %G %m %s %T@ %n\\n"]);
    assert!(before == after && before.lines().count() > 1000, "the tree was written to");
    bench.boots("bios");

    inside(&account, &["rm", "-r", &tree]);
    bench.is_clean(&["out"]);
}

/// A program as root of the files of a tree, in the way that rvmb says.
fn inside(account: &Account, words: &[&str]) -> String {
    let words = [&["--map-root-user", "--map-auto", "--"], words].concat();
    let is_root = Account::root().is_ok_and(|root| root.is(account));
    let mut command = match is_root {
        true => account.program(Path::new("/usr/bin/env"), &words[2..]),
        false => account.program(Path::new("/usr/bin/unshare"), &words),
    };
    run(&mut command).well().stdout
}

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
