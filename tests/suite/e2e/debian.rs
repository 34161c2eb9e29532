//! Debian from the mirror of this host's own apt sources.

use std::os::unix::fs::PermissionsExt;

use super::{FIRST_BOOT, words};
use crate::common::account::Account;
use crate::common::machine::Bench;
use crate::common::process::run;
use crate::common::{anybody, begin, image};

/// Ownership is part of the bytes of an image: equal images have equal owners.
#[test]
fn bookworm_is_equal_to_the_byte_whether_root_or_a_user_bakes_it() {
    let accounts = || Ok((Account::root()?, Account::user()?));
    let Some((_turn, (root, user))) = begin("bookworm as root and as a user", accounts) else { return };
    // The path of the script is in the plan; it must not be in the image.
    let by_root = bake_bookworm(&root, &["--no-cache"]);
    let by_user = bake_bookworm(&user, &[]);
    image::are_equal(&by_root.image(), &by_user.image());
}

/// Neither the modes in the image nor those of the host depend on each other.
#[test]
fn a_closed_umask_closes_the_result_and_not_the_guest() {
    let Some((_turn, account)) = begin("umask", anybody) else { return };
    let open = bake_bookworm(&account, &[]);
    let closed = Bench::new(&account);
    let script = closed.file("setup.sh", FIRST_BOOT);
    let command = closed.command(&words("debian", "bookworm", &script));
    run(&mut Account::with_umask("077", &command)).well();
    image::are_equal(&open.image(), &closed.image());
    for (path, expected) in [(closed.destination(), 0o700), (closed.image(), 0o600)] {
        let mode = path.metadata().expect("looking at a result").permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

/// The second build starts from the layers of the first, and must not show it. The one machine that they
/// are boots.
#[test]
fn two_builds_of_one_plan_are_equal_with_and_without_the_cache() {
    let Some((_turn, account)) = begin("two builds of one plan", anybody) else { return };
    let first = bake_bookworm(&account, &[]);
    let second = bake_bookworm(&account, &[]);
    image::are_equal(&first.image(), &second.image());
    let cold = bake_bookworm(&account, &["--no-cache"]);
    image::are_equal(&first.image(), &cold.image());
    let partitions = image::is_sound(&cold.image(), &cold.scratch());
    assert_eq!(partitions, ["bios-boot", "esp", "swap", "root"]);
    cold.boots("bios");
}

/// The machine that boots from either firmware has /opt on a file system of its own, and no swap.
#[test]
fn trixie_boots() {
    let Some((_turn, account)) = begin("trixie", anybody) else { return };
    let bench = Bench::new(&account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let mut words = words("debian", "trixie", &script);
    words.extend(["--optsize", "64", "--swapsize", "0"]);
    bench.bake(&words).well();
    bench.is_clean(&["out", "setup.sh"]);
    let partitions = image::is_sound(&bench.image(), &bench.scratch());
    assert_eq!(partitions, ["bios-boot", "esp", "opt", "root"]);
    bench.boots("bios");
    bench.boots("uefi");
}

fn bake_bookworm(account: &Account, more: &[&str]) -> Bench {
    let bench = Bench::new(account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let mut words = words("debian", "bookworm", &script);
    words.extend(more);
    bench.bake(&words).well();
    bench.is_clean(&["out", "setup.sh"]);
    bench
}
