//! Trees: alone, there already, and in memory.

use std::path::Path;

use super::inputs::CONFIG;
use crate::common::account::Account;
use crate::common::machine::Bench;
use crate::common::process::run;
use crate::common::{anybody, begin};

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
    let manifest = bench.manifest();
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
