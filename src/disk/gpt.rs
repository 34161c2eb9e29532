//! Writes the partition table: protective MBR, primary GPT, backup GPT (UEFI specification 2.10, chapter 5).
//!
//! The `gpt` crate's own `GptDisk::write` packs entries from number 1 on; here each entry is written to
//! the slot of its number through the crate's lower functions, which compute both checksums.

use std::fs::File;

use gpt::disk::LogicalBlockSize;
use gpt::header::HeaderBuilder;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{OperatingSystem, Type};

use crate::error::{Context, Error, Kind, Result};
use crate::plan::{Disk, Partition};

/// Bytes of a sector. Disks with sectors of 4 KiB are no target of virtual machines.
pub const SECTOR: u64 = 512;

/// Bytes of an entry of the table; the specification's minimum, and what everybody uses.
const ENTRY_SIZE: u32 = 128;

/// Number of entries; the specification wants room for at least these.
const ENTRIES: u32 = 128;

/// Writes the partition table of `disk` into `raw`, a file of the disk's size.
///
/// # Errors
///
/// A build error where the plan's partitions are no partition table, or writing fails.
pub fn write(raw: &mut File, disk: &Disk) -> Result<()> {
    check(disk)?;
    let last = disk.size.bytes() / SECTOR - 1;
    for primary in [false, true] {
        write_table(raw, disk, last, primary)?;
    }
    let size = u32::try_from(last).unwrap_or(u32::MAX);
    let mbr = ProtectiveMBR::with_lb_size(size);
    mbr.overwrite_lba0(raw).context(Kind::Build, || "writing the protective MBR".into())?;
    Ok(())
}

/// Writes one of the two tables; the header last, because its checksum covers the entries.
fn write_table(raw: &mut File, disk: &Disk, last: u64, primary: bool) -> Result<()> {
    let doing = || format!("writing the {} partition table", if primary { "primary" } else { "backup" });
    let block = LogicalBlockSize::Lb512;
    let mut header = HeaderBuilder::new()
        .primary(primary)
        .disk_guid(disk.guid)
        .backup_lba(last)
        .num_parts(ENTRIES)
        .part_size(ENTRY_SIZE)
        .build(block)
        .context(Kind::Build, doing)?;
    let start = header.part_start;
    let entries = u64::from(ENTRIES);
    gpt::partition::Partition::write_zero_entries_to_device(raw, 0, entries, start, block, ENTRY_SIZE)
        .context(Kind::Build, doing)?;
    for partition in &disk.partitions {
        entry(partition)
            .write_to_device(raw, u64::from(partition.number) - 1, start, block, ENTRY_SIZE)
            .context(Kind::Build, doing)?;
    }
    let written = if primary { header.write_primary(raw, block) } else { header.write_backup(raw, block) };
    written.context(Kind::Build, doing).map(drop)
}

fn entry(partition: &Partition) -> gpt::partition::Partition {
    gpt::partition::Partition {
        part_type_guid: Type { guid: partition.kind, os: OperatingSystem::None },
        part_guid: partition.guid,
        first_lba: partition.start / SECTOR,
        last_lba: (partition.start + partition.size.bytes()) / SECTOR - 1,
        flags: 0,
        name: partition.name.clone(),
    }
}

/// Plans cross from another process: nothing in them is taken for granted.
fn check(disk: &Disk) -> Result<()> {
    let bad = |why: &str| Err(Error::build(format!("the planned partitions make no partition table: {why}")));
    if !disk.size.bytes().is_multiple_of(SECTOR) || disk.size.bytes() < 2 * super::layout::GPT_MARGIN {
        return bad("the disk is too small");
    }
    let mut numbers = std::collections::BTreeSet::new();
    let mut free = super::layout::GPT_MARGIN;
    for partition in &disk.partitions {
        let end = partition.start.checked_add(partition.size.bytes());
        let Some(end) = end.filter(|end| *end <= disk.size.bytes() - super::layout::GPT_MARGIN) else {
            return bad("one reaches beyond the disk");
        };
        if partition.start < free || !partition.start.is_multiple_of(SECTOR) {
            return bad("two overlap");
        }
        if partition.size.bytes() == 0 || !partition.size.bytes().is_multiple_of(SECTOR) {
            return bad("one is no number of sectors");
        }
        if !(1..=ENTRIES).contains(&partition.number) || !numbers.insert(partition.number) {
            return bad("two have the same number");
        }
        free = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;
    use crate::disk::layout::tests::small_disk;
    use crate::disk::tests::output_of;
    use crate::units::Size;

    fn written(disk: &Disk) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(disk.size.bytes()).unwrap();
        write(file.as_file_mut(), disk).unwrap();
        file
    }

    #[test]
    fn numbers_places_and_names_are_read_back() {
        let disk = small_disk();
        let mut file = written(&disk);
        file.rewind().unwrap();
        let table = gptman::GPT::read_from(file.as_file_mut(), SECTOR).unwrap();
        assert_eq!(table.header.disk_guid, disk.guid.to_bytes_le());
        assert_eq!(table.iter().filter(|(_, entry)| entry.is_used()).count(), disk.partitions.len());
        for partition in &disk.partitions {
            let entry = &table[partition.number];
            assert_eq!(entry.partition_name.as_str(), partition.name);
            assert_eq!(entry.starting_lba * SECTOR, partition.start);
            assert_eq!(entry.size().unwrap() * SECTOR, partition.size.bytes());
            assert_eq!(entry.partition_type_guid, partition.kind.to_bytes_le());
            assert_eq!(entry.unique_partition_guid, partition.guid.to_bytes_le());
        }
        // Its exit code is 0 whatever it finds.
        if let Some(text) = output_of("sgdisk", &["-v"], file.path()) {
            assert!(text.contains("No problems found"), "{text}");
        }
    }

    #[test]
    fn the_backup_alone_is_enough() {
        let disk = small_disk();
        let mut file = written(&disk);
        let last = disk.size.bytes() / SECTOR - 1;
        let header = gptman::GPTHeader::read_from(&mut {
            file.seek(std::io::SeekFrom::Start(last * SECTOR)).unwrap();
            file.as_file()
        });
        assert_eq!(header.unwrap().primary_lba, last);
    }

    #[test]
    fn the_same_plan_gives_the_same_bytes() {
        let bytes = || {
            let mut bytes = Vec::new();
            let mut file = written(&small_disk());
            file.rewind().unwrap();
            file.as_file_mut().take(1 << 20).read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn nonsense_is_refused() {
        let damage: [fn(&mut Disk); 5] = [
            |disk| disk.size = Size(0),
            |disk| disk.partitions[0].start = u64::MAX,
            |disk| disk.partitions[0].number = 0,
            |disk| disk.partitions[1].number = disk.partitions[0].number,
            |disk| disk.partitions[1].start = disk.partitions[0].start,
        ];
        for damage in damage {
            let mut disk = small_disk();
            damage(&mut disk);
            assert!(check(&disk).is_err(), "{disk:?}");
        }
    }
}
