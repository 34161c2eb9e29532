//! Where a disk's file systems lie: the partition tables GPT and MBR, and the superblock of ext4.
//!
//! The disk comes from anywhere, so every number in it is checked before it is used. Only sectors of
//! 512 bytes are known, the size that virtual disks have.
//!
//! Sources: UEFI specification 2.10, section 5.3 (GPT) and 5.2.1 (MBR); Discoverable Partitions
//! Specification (types of root partitions); Linux, Documentation/filesystems/ext4/super.rst.

use std::io::{Read, Seek};

use uuid::{Uuid, uuid};

use super::scratch::read_at;

const SECTOR: u64 = 512;
const GPT_SIGNATURE: &[u8] = b"EFI PART";
/// What `sgdisk` and others accept at most is far below; real tables have 128.
const MOST_ENTRIES: u32 = 1024;
/// Size of an entry in bytes: 128 times a power of two; nobody uses others than 128.
const ENTRY_SIZES: std::ops::RangeInclusive<u32> = 128..=4096;
/// Bytes of an entry that are looked at.
const ENTRY_USED: usize = 48;
const MBR_TABLE: usize = 446;
const MBR_ENTRY: usize = 16;
const MBR_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// MBR type of the one partition that protects a GPT.
const MBR_PROTECTIVE: u8 = 0xee;

/// Types of root partitions: x86-64, x86, arm64.
const ROOT_TYPES: [Uuid; 3] = [
    uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    uuid!("44479540-f297-41b2-9af7-d131d5f0458a"),
    uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
];

const EXT_SUPERBLOCK: u64 = 1024;
const EXT_MAGIC: u16 = 0xef53;
const EXT_MAGIC_AT: usize = 56;
const EXT_INCOMPATIBLE_AT: usize = 96;
/// The journal holds changes that are not in the file system yet.
const EXT_NEEDS_RECOVERY: u32 = 0x4;

/// A part of the disk that may hold a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Offset in bytes.
    pub(super) offset: u64,
    /// Whether the table says that it holds a root file system.
    pub(super) root_type: bool,
}

/// Why a disk's partition table could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    #[error("reading the partition table")]
    Read(#[from] std::io::Error),
    #[error("there is a protective MBR and no GPT behind it")]
    NoGpt,
    #[error("the GPT says that it has {count} entries of {size} bytes")]
    EntryArray { count: u32, size: u32 },
    #[error("the GPT ends in the middle of its entries")]
    Short,
    #[error("partition {0} ends before it starts or lies behind the end of the disk")]
    Bounds(usize),
    #[error("there is neither a partition table nor an ext4 file system")]
    Nothing,
}

/// What is known of an ext2, ext3 or ext4 file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ext {
    /// Whether it was not unmounted: its journal has to be replayed first.
    pub(super) needs_recovery: bool,
}

/// The parts of a disk of `size` bytes, those of a root partition's type first.
pub(super) fn extents(disk: &mut (impl Read + Seek), size: u64) -> Result<Vec<Extent>, TableError> {
    let first = read_at(disk, 0, 512)?;
    let table = parse_mbr(&first);
    let mut found = match table {
        Some(entries) if entries.iter().any(|entry| entry.kind == MBR_PROTECTIVE) => gpt(disk, size)?,
        Some(entries) if entries.iter().any(|entry| entry.sectors > 0) => mbr_extents(&entries, size)?,
        _ if ext(disk, 0)?.is_some() => vec![Extent { offset: 0, root_type: false }],
        _ => return Err(TableError::Nothing),
    };
    found.sort_by_key(|extent| !extent.root_type);
    Ok(found)
}

/// The ext file system that starts at `offset`; none if there is another one or nothing.
pub(super) fn ext(disk: &mut (impl Read + Seek), offset: u64) -> std::io::Result<Option<Ext>> {
    let Some(start) = offset.checked_add(EXT_SUPERBLOCK) else { return Ok(None) };
    let block = read_at(disk, start, 1024)?;
    if u16_at(&block, EXT_MAGIC_AT) != Some(EXT_MAGIC) {
        return Ok(None);
    }
    Ok(u32_at(&block, EXT_INCOMPATIBLE_AT).map(|bits| Ext { needs_recovery: bits & EXT_NEEDS_RECOVERY != 0 }))
}

struct MbrEntry {
    kind: u8,
    start: u32,
    sectors: u32,
}

/// The four entries of an MBR; none without its signature.
fn parse_mbr(sector: &[u8]) -> Option<Vec<MbrEntry>> {
    let (table, signature) = sector.get(MBR_TABLE..512)?.split_at(4 * MBR_ENTRY);
    if signature != MBR_SIGNATURE {
        return None;
    }
    table
        .chunks_exact(MBR_ENTRY)
        .map(|entry| {
            Some(MbrEntry { kind: *entry.get(4)?, start: u32_at(entry, 8)?, sectors: u32_at(entry, 12)? })
        })
        .collect()
}

fn mbr_extents(entries: &[MbrEntry], size: u64) -> Result<Vec<Extent>, TableError> {
    let used = entries.iter().enumerate().filter(|(_, entry)| entry.kind != 0 && entry.sectors > 0);
    used.map(|(index, entry)| {
        let (offset, length) = (u64::from(entry.start) * SECTOR, u64::from(entry.sectors) * SECTOR);
        if entry.start == 0 || offset + length > size {
            return Err(TableError::Bounds(index + 1));
        }
        Ok(Extent { offset, root_type: false })
    })
    .collect()
}

fn gpt(disk: &mut (impl Read + Seek), size: u64) -> Result<Vec<Extent>, TableError> {
    let header = read_at(disk, SECTOR, 512)?;
    if !header.starts_with(GPT_SIGNATURE) {
        return Err(TableError::NoGpt);
    }
    let (Some(start), Some(count), Some(entry)) =
        (u64_at(&header, 72), u32_at(&header, 80), u32_at(&header, 84))
    else {
        return Err(TableError::NoGpt);
    };
    if count > MOST_ENTRIES || !ENTRY_SIZES.contains(&entry) {
        return Err(TableError::EntryArray { count, size: entry });
    }
    let offset = start.checked_mul(SECTOR).filter(|offset| *offset < size).ok_or(TableError::Short)?;
    // Both factors were bounded above: 4 MiB at most.
    let (count, entry) = (count as usize, entry as usize);
    let array = read_at(disk, offset, count * entry)?;
    if array.len() < count * entry {
        return Err(TableError::Short);
    }
    let entries = array.chunks_exact(entry).enumerate();
    entries.filter_map(|(index, entry)| parse_gpt_entry(index, entry, size).transpose()).collect()
}

/// One entry; none if it is not used.
fn parse_gpt_entry(index: usize, entry: &[u8], size: u64) -> Result<Option<Extent>, TableError> {
    let bounds = || TableError::Bounds(index + 1);
    let entry = entry.get(..ENTRY_USED).ok_or(TableError::Short)?;
    let kind = entry.first_chunk().copied().map(Uuid::from_bytes_le).ok_or(TableError::Short)?;
    if kind.is_nil() {
        return Ok(None);
    }
    let first = u64_at(entry, 32).ok_or_else(bounds)?;
    let last = u64_at(entry, 40).ok_or_else(bounds)?;
    let offset = first.checked_mul(SECTOR).ok_or_else(bounds)?;
    let end = last.checked_add(1).and_then(|sectors| sectors.checked_mul(SECTOR)).ok_or_else(bounds)?;
    if first == 0 || end <= offset || end > size {
        return Err(bounds());
    }
    Ok(Some(Extent { offset, root_type: ROOT_TYPES.contains(&kind) }))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const SIZE: usize = 256 * 1024;

    fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A disk with a GPT: a Linux data partition, then a root partition.
    fn gpt_disk() -> Vec<u8> {
        let mut disk = vec![0; SIZE];
        put(&mut disk, 446 + 4, &[MBR_PROTECTIVE]);
        put(&mut disk, 446 + 12, &511_u32.to_le_bytes());
        put(&mut disk, 510, &MBR_SIGNATURE);
        put(&mut disk, 512, GPT_SIGNATURE);
        put(&mut disk, 512 + 72, &2_u64.to_le_bytes());
        put(&mut disk, 512 + 80, &128_u32.to_le_bytes());
        put(&mut disk, 512 + 84, &128_u32.to_le_bytes());
        let data = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
        for (index, (kind, first, last)) in
            [(data, 64_u64, 99_u64), (ROOT_TYPES[0], 100, 399)].iter().enumerate()
        {
            let at = 1024 + 128 * index;
            put(&mut disk, at, &kind.to_bytes_le());
            put(&mut disk, at + 32, &first.to_le_bytes());
            put(&mut disk, at + 40, &last.to_le_bytes());
        }
        disk
    }

    fn mbr_disk() -> Vec<u8> {
        let mut disk = vec![0; SIZE];
        put(&mut disk, 446 + 16 + 4, &[0x83]);
        put(&mut disk, 446 + 16 + 8, &8_u32.to_le_bytes());
        put(&mut disk, 446 + 16 + 12, &100_u32.to_le_bytes());
        put(&mut disk, 510, &MBR_SIGNATURE);
        disk
    }

    fn read(disk: Vec<u8>) -> Result<Vec<Extent>, TableError> {
        let size = disk.len() as u64;
        extents(&mut Cursor::new(disk), size)
    }

    #[test]
    fn a_gpt_is_read_and_the_root_partition_comes_first() {
        let found = read(gpt_disk()).unwrap();
        let expected =
            [Extent { offset: 100 * 512, root_type: true }, Extent { offset: 64 * 512, root_type: false }];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_mbr_is_read() {
        assert_eq!(read(mbr_disk()).unwrap(), [Extent { offset: 8 * 512, root_type: false }]);
    }

    #[test]
    fn a_bare_file_system_is_the_whole_disk() {
        let mut disk = vec![0; SIZE];
        put(&mut disk, 1024 + EXT_MAGIC_AT, &EXT_MAGIC.to_le_bytes());
        put(&mut disk, 1024 + EXT_INCOMPATIBLE_AT, &0x46_u32.to_le_bytes());
        assert_eq!(ext(&mut Cursor::new(&disk), 0).unwrap(), Some(Ext { needs_recovery: true }));
        assert_eq!(read(disk).unwrap().len(), 1);
    }

    #[test]
    fn damage_is_named() {
        let damaged = |at: usize, bytes: &[u8]| {
            let mut disk = gpt_disk();
            put(&mut disk, at, bytes);
            read(disk).unwrap_err()
        };
        assert!(matches!(damaged(512, b"NONE"), TableError::NoGpt));
        assert!(matches!(damaged(512 + 80, &u32::MAX.to_le_bytes()), TableError::EntryArray { .. }));
        assert!(matches!(damaged(512 + 84, &0_u32.to_le_bytes()), TableError::EntryArray { size: 0, .. }));
        assert!(matches!(damaged(512 + 72, &u64::MAX.to_le_bytes()), TableError::Short));
        assert!(matches!(damaged(512 + 72, &511_u64.to_le_bytes()), TableError::Short));
        assert!(matches!(damaged(1024 + 40, &u64::MAX.to_le_bytes()), TableError::Bounds(1)));
        assert!(matches!(damaged(1024 + 128 + 40, &512_u64.to_le_bytes()), TableError::Bounds(2)));
        assert!(matches!(damaged(1024 + 128 + 32, &0_u64.to_le_bytes()), TableError::Bounds(2)));
        assert!(matches!(read(vec![0; SIZE]).unwrap_err(), TableError::Nothing));
        assert!(matches!(read(Vec::new()).unwrap_err(), TableError::Nothing));
        let mut disk = mbr_disk();
        put(&mut disk, 446 + 16 + 12, &u32::MAX.to_le_bytes());
        assert!(matches!(read(disk).unwrap_err(), TableError::Bounds(2)));
    }

    proptest::proptest! {
        #[test]
        fn no_damage_panics(at in 0_usize..2048, byte: u8, length in 0_usize..4096) {
            let mut disk = gpt_disk();
            disk[at] = byte;
            let _ = read(disk.clone());
            disk.truncate(length);
            let _ = read(disk);
        }
    }
}
