//! The partition table of a planned disk, of whichever kind.

use std::fs::File;

use super::{gpt, mbr};
use crate::error::Result;
use crate::plan::{Content, Disk, Partition, Table};

/// Writes the partition table of `disk` into `raw`, a file of the disk's size.
///
/// # Errors
///
/// A build error where the plan's partitions are no partition table, or writing fails.
pub(super) fn write(raw: &mut File, disk: &Disk) -> Result<()> {
    match disk.table {
        Table::Gpt => gpt::write(raw, disk),
        Table::Msdos => mbr::write(raw, &msdos(disk)),
    }
}

/// The msdos table of a disk. Its first file system in a primary partition is active, else whatever is in the
/// first one, such as a volume group: some BIOSes start no disk that has none.
fn msdos(disk: &Disk) -> mbr::Table {
    let can_be =
        |partition: &&Partition| partition.number <= mbr::PRIMARIES && partition.content != Content::Extended;
    let primaries = || disk.partitions.iter().filter(can_be);
    let with_files = primaries().find(|partition| partition.content.file_system().is_some());
    let active = with_files.or_else(|| primaries().next()).map(|partition| partition.number);
    let entry = |partition: &Partition| mbr::Entry {
        number: partition.number,
        start: partition.start,
        size: partition.size.bytes(),
        kind: kind(&partition.content),
        active: active == Some(partition.number),
        is_logical: partition.number > mbr::PRIMARIES,
    };
    let (signature, ..) = disk.guid.as_fields();
    mbr::Table { size: disk.size.bytes(), signature, partitions: disk.partitions.iter().map(entry).collect() }
}

fn kind(content: &Content) -> u8 {
    match content {
        Content::Extended => mbr::TYPE_EXTENDED_LBA,
        Content::Esp { .. } => mbr::TYPE_ESP,
        Content::Fat { .. } => mbr::TYPE_FAT32,
        Content::Swap { .. } => mbr::TYPE_SWAP,
        Content::Group { .. } => mbr::TYPE_LVM,
        Content::BiosBoot
        | Content::Ext4 { .. }
        | Content::Ext3 { .. }
        | Content::Xfs { .. }
        | Content::Btrfs { .. } => mbr::TYPE_LINUX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::tests::msdos_disk;

    #[test]
    fn logical_partitions_lie_in_the_extended_one_and_a_file_system_is_active() {
        let disk = msdos_disk();
        let table = msdos(&disk);
        let kinds: Vec<_> = table.partitions.iter().map(|entry| (entry.number, entry.kind)).collect();
        let (linux, extended) = (mbr::TYPE_LINUX, mbr::TYPE_EXTENDED_LBA);
        let expected =
            [(2, linux), (3, linux), (4, extended), (5, linux), (6, linux), (7, linux), (1, linux)];
        assert_eq!(kinds, expected);
        let of = |wanted: fn(&mbr::Entry) -> bool| -> Vec<u32> {
            table.partitions.iter().filter(|entry| wanted(entry)).map(|entry| entry.number).collect()
        };
        assert_eq!(of(|entry| entry.active), [2]);
        assert_eq!(of(|entry| entry.is_logical), [5, 6, 7]);
        let mut without = disk.clone();
        for partition in without.partitions.iter_mut().filter(|one| one.content.file_system().is_some()) {
            partition.content = Content::BiosBoot;
        }
        let active: Vec<u32> = msdos(&without)
            .partitions
            .iter()
            .filter(|entry| entry.active)
            .map(|entry| entry.number)
            .collect();
        assert_eq!(active, [2], "the first primary one that is not extended");
        let raw = tempfile::tempfile().unwrap();
        raw.set_len(disk.size.bytes()).unwrap();
        mbr::write(&raw, &table).unwrap();
    }
}
