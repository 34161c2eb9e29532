//! Against sfdisk, which is given the same partitions and has to write the same bytes.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::tests::{check_with, output_of};
use crate::event::Silent;
use crate::host::run::Runner;
use crate::testing;
use crate::units::{GIB, MIB};

fn entry(number: u32, start: u64, size: u64, kind: u8) -> Entry {
    let is_logical = number > PRIMARIES;
    Entry { number, start: start * MIB, size: size * MIB, kind, active: number == 1, is_logical }
}

/// Two primaries, and three logical partitions with gaps between.
fn table() -> Table {
    let partitions = vec![
        entry(1, 1, 100, TYPE_LINUX),
        entry(2, 101, 34, TYPE_ESP),
        entry(4, 200, 300, TYPE_EXTENDED),
        entry(5, 201, 20, TYPE_SWAP),
        entry(6, 222, 30, TYPE_LVM),
        entry(7, 260, 240, TYPE_FAT32),
    ];
    Table { size: 512 * MIB, signature: 0x1234_abcd, partitions }
}

fn large() -> Table {
    let partitions = vec![
        entry(1, 1, 4096, TYPE_LINUX),
        entry(2, 16 * 1024, 16 * 1024, TYPE_EXTENDED_LBA),
        entry(5, 16 * 1024 + 1, 1024, TYPE_LINUX),
        entry(6, 20 * 1024, 1024, TYPE_LINUX),
    ];
    Table { size: 40 * GIB, signature: 1, partitions }
}

fn written(table: &Table) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(table.size).unwrap();
    file.as_file().write_all_at(&[0xb0; SIGNATURE_AT], 0).unwrap();
    write(file.as_file(), table).unwrap();
    file
}

/// What sfdisk makes of the same partitions.
fn by_sfdisk(table: &Table) -> tempfile::NamedTempFile {
    let mut script = format!("label: dos\nlabel-id: {:#x}\nunit: sectors\n", table.signature);
    for partition in &table.partitions {
        let Entry { number, start, size, kind, .. } = partition;
        let bootable = if partition.active { ", bootable" } else { "" };
        let (start, size) = (start / SECTOR, size / SECTOR);
        writeln!(script, "disk{number} : start={start}, size={size}, type={kind:x}{bootable}").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(table.size).unwrap();
    let runner = Runner::new(Arc::new(Silent));
    let command = runner.command("sfdisk").args(["--no-reread", "--no-tell-kernel", "--quiet"]);
    command.arg(file.path()).input(script).run().unwrap();
    file
}

#[test]
fn sfdisk_writes_the_same_bytes() {
    if !testing::has("sfdisk") {
        return;
    }
    for table in [table(), large()] {
        let (own, other) = (written(&table), by_sfdisk(&table));
        let logical = table.partitions.iter().filter(|partition| partition.is_logical);
        let records = logical.map(|partition| partition.start - RECORD_ROOM);
        for place in records.chain([0]) {
            let from = place + SIGNATURE_AT as u64;
            let sectors = [&own, &other].map(|file| {
                let mut bytes = [0; 72];
                file.as_file().read_exact_at(&mut bytes, from).unwrap();
                bytes
            });
            assert_eq!(sectors[0], sectors[1], "at {place}");
        }
        check_with("sfdisk", &["--verify", "--quiet"], own.path());
    }
}

#[test]
fn every_partition_is_read_back() {
    let table = table();
    let file = written(&table);
    if let Some(text) = output_of("sfdisk", &["--json"], file.path()) {
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let known = &json["partitiontable"];
        assert_eq!(known["id"], "0x1234abcd");
        assert_eq!(known["partitions"].as_array().unwrap().len(), table.partitions.len());
        for (entry, known) in table.partitions.iter().zip(known["partitions"].as_array().unwrap()) {
            assert!(known["node"].as_str().unwrap().ends_with(&entry.number.to_string()), "{known}");
            assert_eq!(known["start"], entry.start / SECTOR);
            assert_eq!(known["size"], entry.size / SECTOR);
            assert_eq!(known["type"], format!("{:x}", entry.kind));
        }
    }
    if let Some(text) = output_of("blkid", &["-p", "-o", "export"], file.path()) {
        assert!(text.contains("PTUUID=1234abcd") && text.contains("PTTYPE=dos"), "{text}");
    }
    boot_code_is_kept(file.path());
}

fn boot_code_is_kept(disk: &Path) {
    let mut code = [0; SIGNATURE_AT];
    File::open(disk).unwrap().read_exact_at(&mut code, 0).unwrap();
    assert_eq!(code, [0xb0; SIGNATURE_AT]);
}

#[test]
fn an_extended_partition_may_be_empty() {
    let mut table = table();
    table.partitions.truncate(3);
    let file = written(&table);
    check_with("sfdisk", &["--verify", "--quiet"], file.path());
}

/// What is done to a plan so that it is none.
type Damage = fn(&mut Table);

#[test]
fn nonsense_is_refused() {
    let damage: &[(&str, Damage)] = &[
        ("too late", |table| table.size = MIB),
        ("too late", |table| table.partitions[5].size = u64::MAX - 511),
        ("too late", |table| table.partitions[5].size += 2 * MIB),
        ("overlap", |table| table.partitions[1].start = table.partitions[0].start),
        ("too early", |table| table.partitions[0].start = 0),
        ("too early", |table| table.partitions[3].start = 200 * MIB),
        ("overlap", |table| table.partitions[4].start -= MIB),
        ("number", |table| table.partitions[0].start += 1),
        ("number", |table| table.partitions[0].size = 0),
        ("number", |table| table.size += 1),
        ("no type", |table| table.partitions[0].kind = 0),
        ("1 to 4", |table| table.partitions[0].number = 0),
        ("same number", |table| table.partitions[0].number = 2),
        ("5 on", |table| table.partitions[3].number = 6),
        ("5 on", |table| table.partitions[3].number = 1),
        ("around it", |table| table.partitions[2].kind = TYPE_LINUX),
        ("two extended", |table| table.partitions[0].kind = TYPE_EXTENDED_LBA),
        ("active", |table| table.partitions[1].active = true),
        ("extended", |table| table.partitions[3].kind = TYPE_EXTENDED),
        ("too early", |table| table.partitions[4].is_logical = false),
    ];
    for (why, damage) in damage {
        let mut table = table();
        damage(&mut table);
        let error = check(&table).err().unwrap_or_else(|| panic!("{why}: {table:?}"));
        assert!(error.message().contains(why), "{why}: {error}");
    }
    let beyond = Entry { start: 3 << 40, ..entry(1, 1, 1, TYPE_LINUX) };
    assert!(check(&Table { size: 4 << 40, signature: 0, partitions: vec![beyond] }).is_err());
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let bytes = || prop_oneof![(0..600_u64).prop_map(|mib| mib * MIB), any::<u64>()];
    (0..9_u32, bytes(), bytes(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
        |(number, start, size, kind, active, is_logical)| {
            let kind = if kind < 20 { TYPE_EXTENDED } else { kind };
            Entry { number, start, size, kind, active, is_logical }
        },
    )
}

proptest! {
    /// Whatever a plan says: a table or an error, and never a panic.
    #[test]
    fn any_plan_is_written_or_refused(
        size in any::<u64>(), partitions in proptest::collection::vec(any_entry(), 0..6),
    ) {
        let table = Table { size: size & !511, signature: 0, partitions };
        let file = tempfile::tempfile().unwrap();
        let _ = write(&file, &table);
    }
}
