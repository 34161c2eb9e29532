//! Disks of other shapes than the usual one: the partition files that are shipped, built and booted. The check in
//! the guest finds every file system mounted, every swap space in use, and every one grown that should.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::account::Account;
use crate::common::machine::{Bench, HOSTNAME, names};
use crate::common::process::{check, run};
use crate::common::{anybody, begin};

/// The directory of the partition files that are shipped.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/partition-files");

/// Those that the tests below boot.
const BOOTED: [&str; 8] = [
    "data.part",
    "default.part",
    "ec2-amd64.part",
    "ec2-i386.part",
    "lvm.part",
    "msdos.part",
    "multi-disk.part",
    "server.part",
];

#[test]
fn no_shipped_partition_file_is_forgotten() {
    let shipped: BTreeSet<String> =
        names(Path::new(SHIPPED)).into_iter().filter(|name| name.ends_with(".part")).collect();
    assert_eq!(shipped, BOOTED.map(str::to_owned).into());
}

#[test]
fn xfs_and_btrfs_on_disks_of_their_own_boot() {
    boots("data.part");
}

#[test]
fn the_default_layout_as_a_file_boots() {
    boots("default.part");
}

/// Its second line has a device and no file name of its own, as vmbuilder's had.
#[test]
fn the_layout_of_ec2_amd64_boots() {
    boots("ec2-amd64.part");
}

#[test]
fn the_layout_of_ec2_i386_boots() {
    boots("ec2-i386.part");
}

#[test]
fn root_swap_and_var_on_lvm_boot() {
    boots("lvm.part");
}

#[test]
fn a_server_with_many_file_systems_boots() {
    boots("server.part");
}

/// Builds a machine with the layout of a shipped file, and boots it.
#[track_caller]
fn boots(file: &str) {
    let Some((_turn, account)) = begin(file, anybody) else { return };
    bake(&account, file, &[]).boots("bios");
}

/// /boot and root on the first disk, /var on the second, /home and /srv on LVM on the third.
#[test]
fn three_disks_with_lvm_boot() {
    let Some((_turn, account)) = begin("three disks", anybody) else { return };
    let bench = bake(&account, "multi-disk.part", &[]);
    let images = [0, 1, 2].map(|number| format!("{HOSTNAME}-disk{number}.qcow2"));
    for image in &images {
        check("qemu-img", [Path::new("check"), &bench.destination().join(image)]);
        assert!(names(&bench.destination()).contains(image), "{image}");
    }
    let script = std::fs::read_to_string(bench.destination().join("run.sh")).expect("reading run.sh");
    for (number, image) in images.iter().enumerate() {
        let drive = format!("-drive file={image},format=qcow2,if=none,id=disk{number} ");
        assert!(script.contains(&drive), "{drive} in {script}");
    }
    bench.boots("bios");
}

/// Three primary and three logical partitions. UEFI does not start from such a table, and says so.
#[test]
fn an_msdos_table_with_logical_partitions_boots() {
    let Some((_turn, account)) = begin("an msdos table", anybody) else { return };
    let bench = bake(&account, "msdos.part", &["--label", "msdos"]);
    let raw = bench.scratch().join("disk.raw");
    check("qemu-img", [Path::new("convert"), Path::new("-O"), Path::new("raw"), &bench.image(), &raw]);
    let verdict = check("sfdisk", [Path::new("--verify"), &raw]);
    std::fs::remove_file(&raw).expect("removing the raw disk");
    assert!(verdict.stdout.contains("No errors detected"), "{verdict}");
    let destination = bench.destination().display().to_string();
    let refused = run(&mut account.rvmb(&["test", &destination, "--firmware", "uefi"])).with_code(2);
    assert!(refused.stderr.contains("msdos partition table"), "{refused}");
    bench.boots("bios");
}

/// A machine with the layout of a file in partition-files/.
fn bake(account: &Account, file: &str, more: &[&str]) -> Bench {
    let bench = Bench::new(account);
    let shipped = Path::new(SHIPPED).join(file);
    let text = std::fs::read_to_string(shipped).expect("reading a partition file");
    let part = bench.file(file, &text);
    let mut words = vec!["kvm", "debian", "--suite", "bookworm", "--part", &part];
    words.extend(more);
    bench.bake(&words).well();
    bench.is_clean(&["out", file]);
    bench
}
