//! Writes an msdos partition table: primary partitions in sector 0, logical ones in a chain of extended boot
//! records.
//!
//! Sector 0 holds, behind 440 bytes of boot code that are left as they are, the disk's signature, four
//! entries and a mark (UEFI specification 2.10, 5.2.1 "Legacy Master Boot Record"). One entry may be an
//! extended partition. It begins with an extended boot record, which has the shape of sector 0: its first
//! entry is a logical partition, counted from this record; its second is the next record, counted from the
//! start of the extended partition. The records lie where sfdisk puts them: the first at the start of the
//! extended partition, each other 1 MiB before its partition. The table is sfdisk's to the byte.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::gpt::SECTOR;
use super::layout::ALIGNMENT;
use crate::error::{Context, Error, Kind, Result};

/// Partition type of a FAT32 file system, addressed by sector numbers.
pub const TYPE_FAT32: u8 = 0x0c;
/// Partition type of swap space.
pub const TYPE_SWAP: u8 = 0x82;
/// Partition type of any Linux file system.
pub const TYPE_LINUX: u8 = 0x83;
/// Partition type of an LVM physical volume.
pub const TYPE_LVM: u8 = 0x8e;
/// Partition type of an EFI system partition.
pub const TYPE_ESP: u8 = 0xef;
/// Partition type of an extended partition.
pub const TYPE_EXTENDED: u8 = 0x05;
/// The same, where it reaches beyond what cylinders can address.
pub const TYPE_EXTENDED_LBA: u8 = 0x0f;

/// The room that a logical partition needs before it for its extended boot record.
pub const RECORD_ROOM: u64 = ALIGNMENT;

/// Primary partitions, the extended one among them, have the numbers up to here.
pub const PRIMARIES: u32 = 4;

/// Everything that a logical partition can be numbered: Linux gives a disk of virtio at most 256 minors, and
/// nobody needs more than these.
const LAST_NUMBER: u32 = 63;

/// Where the boot code of sector 0 ends, and what follows it.
const SIGNATURE_AT: usize = 440;
const ENTRIES_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
const MARK_AT: usize = 510;
const MARK: [u8; 2] = [0x55, 0xaa];
const ACTIVE: u8 = 0x80;

/// Heads and sectors of the geometry that every tool supposes: what a BIOS tells of a large disk.
const HEADS: u64 = 255;
const TRACK: u64 = 63;
const LAST_CYLINDER: u64 = 1023;

/// A partition of an msdos table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Its number: 1 to 4, or from 5 on for logical ones, which count in the order of their places.
    pub number: u32,
    /// Where it begins, in bytes. A logical one has [`RECORD_ROOM`] before it.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its type, such as [`TYPE_LINUX`].
    pub kind: u8,
    /// Whether a boot sector of the common kind starts it; at most one.
    pub active: bool,
    /// Whether it lies in the extended partition.
    pub is_logical: bool,
}

/// An msdos partition table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Size of the disk in bytes.
    pub size: u64,
    /// Signature of the disk, from which Linux makes `PARTUUID`s.
    pub signature: u32,
    /// Its partitions, in any order.
    pub partitions: Vec<Entry>,
}

/// Writes the partition table into `raw`, a file of the disk's size, and leaves the boot code alone.
///
/// # Errors
///
/// A build error where the partitions make no partition table, or writing fails.
pub fn write(raw: &File, table: &Table) -> Result<()> {
    let chain = check(table)?;
    let put = |bytes: &[u8], place: u64| {
        raw.write_all_at(bytes, place).context(Kind::Build, || "writing the msdos partition table".into())
    };
    // The signature is followed by two bytes of zero.
    let [a, b, c, d] = table.signature.to_le_bytes();
    put(&[a, b, c, d, 0, 0], SIGNATURE_AT as u64)?;
    let mut entries = [[0; ENTRY_BYTES]; PRIMARIES as usize];
    for partition in table.partitions.iter().filter(|partition| !partition.is_logical) {
        let slot = entries.get_mut(partition.number.saturating_sub(1) as usize);
        let slot = slot.ok_or_else(|| refused("a primary partition has no place"))?;
        *slot = entry(partition.kind, partition.active, 0, partition.start, partition.size)?;
    }
    put(&sector(&entries), ENTRIES_AT as u64)?;
    for (position, record) in chain.iter().enumerate() {
        put(&record.entries(chain.get(position + 1))?, record.place + ENTRIES_AT as u64)?;
    }
    Ok(())
}

/// An extended boot record and its partition.
struct Record<'a> {
    /// Where the record lies, in bytes.
    place: u64,
    /// Where the extended partition begins, in bytes.
    extended: u64,
    partition: &'a Entry,
}

impl Record<'_> {
    fn entries(&self, next: Option<&Record<'_>>) -> Result<[u8; MARK_AT + 2 - ENTRIES_AT]> {
        let Entry { kind, active, start, size, .. } = *self.partition;
        let mut entries = [[0; ENTRY_BYTES]; PRIMARIES as usize];
        let [own, link, ..] = &mut entries;
        *own = entry(kind, active, self.place, start, size)?;
        if let Some(next) = next {
            let end = next.partition.start + next.partition.size;
            *link = entry(TYPE_EXTENDED, false, self.extended, next.place, end - next.place)?;
        }
        Ok(sector(&entries))
    }
}

/// The end of a sector: four entries and the mark.
fn sector(entries: &[[u8; ENTRY_BYTES]; PRIMARIES as usize]) -> [u8; MARK_AT + 2 - ENTRIES_AT] {
    let mut bytes = [0; MARK_AT + 2 - ENTRIES_AT];
    let (table, mark) = bytes.split_at_mut(MARK_AT - ENTRIES_AT);
    table.copy_from_slice(entries.as_flattened());
    mark.copy_from_slice(&MARK);
    bytes
}

/// One entry; sector numbers count from `base`, cylinders from the start of the disk.
fn entry(kind: u8, active: bool, base: u64, start: u64, size: u64) -> Result<[u8; ENTRY_BYTES]> {
    let count = |bytes: u64| {
        u32::try_from(bytes / SECTOR).map_err(|_| refused("a partition lies beyond the sector 2^32"))
    };
    let mut bytes = [0; ENTRY_BYTES];
    bytes[0] = if active { ACTIVE } else { 0 };
    bytes[1..4].copy_from_slice(&cylinders(start / SECTOR));
    bytes[4] = kind;
    bytes[5..8].copy_from_slice(&cylinders((start + size) / SECTOR - 1));
    bytes[8..12].copy_from_slice(&count(start - base)?.to_le_bytes());
    bytes[12..].copy_from_slice(&count(size)?.to_le_bytes());
    Ok(bytes)
}

/// A sector as head, sector and cylinder; the last of all where it lies beyond.
fn cylinders(sector: u64) -> [u8; 3] {
    let cylinder = sector / (HEADS * TRACK);
    let (cylinder, head, within) = if cylinder > LAST_CYLINDER {
        (LAST_CYLINDER, HEADS - 1, TRACK)
    } else {
        (cylinder, sector / TRACK % HEADS, sector % TRACK + 1)
    };
    let [low, high, ..] = cylinder.to_le_bytes();
    let [head, ..] = head.to_le_bytes();
    let [within, ..] = within.to_le_bytes();
    [head, within | high << 6, low]
}

fn is_extended(partition: &Entry) -> bool {
    matches!(partition.kind, TYPE_EXTENDED | TYPE_EXTENDED_LBA)
}

fn refused(why: &str) -> Error {
    Error::build(format!("the planned partitions make no msdos partition table: {why}"))
}

/// Plans cross from another process: nothing in them is taken for granted. Returns the chain of extended
/// boot records.
fn check(table: &Table) -> Result<Vec<Record<'_>>> {
    let (mut logical, mut primary): (Vec<&Entry>, Vec<&Entry>) =
        table.partitions.iter().partition(|partition| partition.is_logical);
    if !table.size.is_multiple_of(SECTOR) {
        return Err(refused("the disk is no number of sectors"));
    }
    if table.partitions.iter().filter(|partition| partition.active).count() > 1 {
        return Err(refused("two partitions are active"));
    }
    primary.sort_by_key(|partition| partition.start);
    logical.sort_by_key(|partition| partition.start);
    // Nothing lies in the sector of the table.
    check_places(&primary, SECTOR, table.size, 0)?;
    for partition in &primary {
        if !(1..=PRIMARIES).contains(&partition.number) {
            return Err(refused("a primary partition has a number that is none of 1 to 4"));
        }
        if primary.iter().filter(|other| other.number == partition.number).count() > 1 {
            return Err(refused("two partitions have the same number"));
        }
    }
    let mut extended = primary.into_iter().filter(|partition| is_extended(partition));
    match (extended.next(), extended.next()) {
        (Some(_), Some(_)) => Err(refused("it has two extended partitions")),
        (Some(extended), None) if extended.active => Err(refused("the extended partition is active")),
        (Some(extended), None) => chain(extended, &logical),
        (None, _) if logical.is_empty() => Ok(Vec::new()),
        (None, _) => Err(refused("a logical partition has no extended one around it")),
    }
}

/// The extended boot records of logical partitions that stand in the order of their places.
fn chain<'a>(extended: &Entry, logical: &[&'a Entry]) -> Result<Vec<Record<'a>>> {
    check_places(logical, extended.start, extended.start + extended.size, RECORD_ROOM)?;
    let mut chain = Vec::new();
    for (partition, number) in logical.iter().copied().zip(PRIMARIES + 1..) {
        if partition.number != number || number > LAST_NUMBER {
            return Err(refused(
                "logical partitions are not numbered from 5 on in the order of their places",
            ));
        }
        if partition.active || is_extended(partition) {
            return Err(refused("a logical partition is active or extended"));
        }
        let place = if chain.is_empty() { extended.start } else { partition.start - RECORD_ROOM };
        chain.push(Record { place, extended: extended.start, partition });
    }
    Ok(chain)
}

/// Whether partitions, sorted by their places, lie between `start` and `end`, apart from each other, each
/// with `room` before it.
fn check_places(partitions: &[&Entry], start: u64, end: u64, room: u64) -> Result<()> {
    let mut free = start;
    for partition in partitions {
        let whole = |bytes: u64| bytes.is_multiple_of(SECTOR);
        if partition.kind == 0 || partition.size == 0 || !whole(partition.start) || !whole(partition.size) {
            return Err(refused("a partition has no type, or is no number of sectors"));
        }
        if free.checked_add(room).is_none_or(|first| partition.start < first) {
            return Err(refused("two partitions overlap, or one begins too early"));
        }
        free = match partition.start.checked_add(partition.size) {
            Some(last) if last <= end => last,
            _ => return Err(refused("a partition ends too late")),
        };
        if free / SECTOR > u64::from(u32::MAX) {
            return Err(refused("a partition lies beyond the sector 2^32"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
