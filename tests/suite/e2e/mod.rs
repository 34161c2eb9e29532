//! Whole machines: baked from an archive, looked at, booted; and what is left when that is cut short.

mod bad_trees;
mod debian;
mod disks;
mod first_boot;
mod inputs;
mod kill;
mod libvirt;
mod lost;
mod network;
mod patch_day;
mod together;
mod trees;
mod ubuntu;

/// A machine with something of everything that a user asks for.
fn words<'a>(distro: &'a str, suite: &'a str, script: &'a str) -> Vec<&'a str> {
    vec![
        "kvm",
        distro,
        "--suite",
        suite,
        "--addpkg",
        "hello",
        "--user",
        "bob",
        "--timezone",
        "Europe/Berlin",
        "--firstboot",
        script,
    ]
}

/// What the first boot runs: something that only root can do, and that a second run would betray.
const FIRST_BOOT: &str =
    "#!/bin/sh\nset -e\necho the first boot script speaks\necho once >>/root/first-boot\n";
