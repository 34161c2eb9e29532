//! Disks of other shapes than the usual one: the partition files that are shipped, built and booted. The check in
//! the guest finds every file system mounted, every swap space in use, and every one grown that should.

use std::path::Path;

use crate::common::account::Account;
use crate::common::machine::{Bench, HOSTNAME, names};
use crate::common::process::{check, run};
use crate::common::{anybody, begin};

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
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("partition-files").join(file);
    let text = std::fs::read_to_string(shipped).expect("reading a partition file");
    let part = bench.file(file, &text);
    let mut words = vec!["kvm", "debian", "--suite", "bookworm", "--part", &part];
    words.extend(more);
    bench.bake(&words).well();
    bench.is_clean(&["out", file]);
    bench
}
