//! Sets the times of every inode in an ext4 file system that is not mounted (Linux,
//! Documentation/filesystems/ext4, "Index Nodes" and "Checksums").
//!
//! mke2fs takes the times of last access and last change from the tree, which are those of the building
//! machine. Here they become the epoch, as does the time of creation; a time of last modification stays
//! where it is not later than the epoch. Fractions of seconds go. Checksums are made anew.
//!
//! mke2fs 1.47.0 cuts times to 32 bits (measured), so that one after 2038 comes as one before 1970. No file of a
//! machine is that old: such a time was later than the epoch, too.

use std::io::Result;

use super::superblock::{Fields, INODE_SIZE, Superblock, Window, damaged};

const MODE: usize = 0x0;
const ATIME: usize = 0x8;
const CTIME: usize = 0xc;
const MTIME: usize = 0x10;
const LINKS: usize = 0x1a;
const FLAGS: usize = 0x20;
const GENERATION: usize = 0x64;
const CHECKSUM_LOW: usize = 0x7c;
const EXTRA_SIZE: usize = 0x80;
const CHECKSUM_HIGH: usize = 0x82;
const CTIME_EXTRA: usize = 0x84;
const MTIME_EXTRA: usize = 0x88;
const ATIME_EXTRA: usize = 0x8c;
const CREATED: usize = 0x90;
const CREATED_EXTRA: usize = 0x94;

/// Bytes of an inode before what ext4 added to it.
const CLASSIC_SIZE: usize = 128;

/// The inode holds a large extended attribute and keeps its hash and count in the fields of the times.
const FLAG_ATTRIBUTE_INODE: u32 = 0x0020_0000;

/// Times have 34 bits: two more in the field of the fraction.
const LATEST: i64 = (1 << 34) - (1 << 31) - 1;

/// Sets the times of every used inode.
pub(super) fn clamp(window: &Window<'_>, superblock: &Superblock, epoch: i64) -> Result<()> {
    let epoch = epoch.clamp(1, LATEST);
    for group in 0..superblock.groups {
        let Some(table) = superblock.table(window, group)? else { continue };
        let length = table.inodes as usize * INODE_SIZE;
        let mut inodes = window.read(table.offset, length)?;
        let first = u64::from(group) * u64::from(superblock.inodes_per_group) + 1;
        let mut changed = false;
        for (inode, number) in inodes.chunks_exact_mut(INODE_SIZE).zip(first..) {
            let number = u32::try_from(number).map_err(|_| damaged("it has too many inodes"))?;
            let inode = inode.try_into().map_err(|_| damaged("an inode is cut short"))?;
            changed |= clamp_inode(inode, number, epoch, superblock.checksum_seed)?;
        }
        if changed {
            window.write(table.offset, &inodes)?;
        }
    }
    Ok(())
}

/// Sets the times of one inode; false where it is not in use.
fn clamp_inode(inode: &mut [u8; INODE_SIZE], number: u32, epoch: i64, seed: Option<u32>) -> Result<bool> {
    let fields = Fields(inode);
    if fields.u16(MODE)? == 0 && fields.u16(LINKS)? == 0 {
        return Ok(false);
    }
    if fields.u32(FLAGS)? & FLAG_ATTRIBUTE_INODE != 0 {
        return Err(damaged("it keeps extended attributes in inodes (ea_inode)"));
    }
    let extra = usize::from(fields.u16(EXTRA_SIZE)?);
    let end = CLASSIC_SIZE + extra;
    if end > INODE_SIZE {
        return Err(damaged("an inode is larger than it can be"));
    }
    let has = |field: usize| field + 4 <= end;
    let modified_extra = if has(MTIME_EXTRA) { fields.u32(MTIME_EXTRA)? } else { 0 };
    let modified = match decode(fields.u32(MTIME)?, modified_extra) {
        time @ 0.. => time.min(epoch),
        _ => epoch,
    };
    for (field, extra_field, time) in
        [(ATIME, ATIME_EXTRA, epoch), (CTIME, CTIME_EXTRA, epoch), (MTIME, MTIME_EXTRA, modified)]
    {
        let (low, high) = encode(time);
        put(inode, field, low);
        if has(extra_field) {
            put(inode, extra_field, high);
        }
    }
    if has(CREATED) && has(CREATED_EXTRA) {
        let (low, high) = encode(epoch);
        put(inode, CREATED, low);
        put(inode, CREATED_EXTRA, high);
    }
    if let Some(seed) = seed {
        renew_checksum(inode, number, seed, CHECKSUM_HIGH + 2 <= end)?;
    }
    Ok(true)
}

/// A time from its field and the two upper bits in the field of its fraction.
fn decode(low: u32, extra: u32) -> i64 {
    i64::from(low.cast_signed()) + (i64::from(extra & 3) << 32)
}

/// The field of a time, and that of its fraction: none, and the two upper bits.
fn encode(time: i64) -> (u32, u32) {
    let [a, b, c, d, ..] = time.to_le_bytes();
    let low = u32::from_le_bytes([a, b, c, d]);
    let high = (time - i64::from(low.cast_signed())) >> 32;
    (low, u32::try_from(high & 3).unwrap_or(0))
}

fn put(inode: &mut [u8; INODE_SIZE], at: usize, value: u32) {
    inode[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// The checksum covers the file system's identity, the inode's number and generation, and the inode with
/// zeros in place of the checksum; its upper half is kept where the inode has room for it.
fn renew_checksum(inode: &mut [u8; INODE_SIZE], number: u32, seed: u32, wide: bool) -> Result<()> {
    inode[CHECKSUM_LOW..CHECKSUM_LOW + 2].fill(0);
    if wide {
        inode[CHECKSUM_HIGH..CHECKSUM_HIGH + 2].fill(0);
    }
    let generation = Fields(inode).u32(GENERATION)?;
    let sum = crc32c(seed, &number.to_le_bytes());
    let sum = crc32c(sum, &generation.to_le_bytes());
    let [low_0, low_1, high_0, high_1] = crc32c(sum, inode).to_le_bytes();
    inode[CHECKSUM_LOW..CHECKSUM_LOW + 2].copy_from_slice(&[low_0, low_1]);
    if wide {
        inode[CHECKSUM_HIGH..CHECKSUM_HIGH + 2].copy_from_slice(&[high_0, high_1]);
    }
    Ok(())
}

/// CRC-32C as ext4 chains it: without the inversions at both ends that others have.
pub(super) fn crc32c(start: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!start, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_both_ways() {
        for time in [0, 1, i64::from(i32::MAX), 1 << 31, 1 << 32, LATEST, -1, -(1 << 31)] {
            let (low, extra) = encode(time);
            assert_eq!(decode(low, extra), time, "{time}");
        }
    }

    #[test]
    fn later_times_become_the_epoch_and_earlier_ones_stay() {
        for (before, after) in [(50, 50), (150, 100), (4_000_000_000, 100)] {
            let mut inode = [0; INODE_SIZE];
            inode[LINKS] = 1;
            inode[EXTRA_SIZE] = 32;
            put(&mut inode, MTIME, before);
            put(&mut inode, ATIME_EXTRA, u32::MAX);
            assert!(clamp_inode(&mut inode, 12, 100, Some(7)).unwrap());
            let fields = Fields(&inode);
            assert_eq!(fields.u32(MTIME).unwrap(), after);
            for field in [ATIME, CTIME, CREATED] {
                assert_eq!(fields.u32(field).unwrap(), 100);
            }
            assert_eq!(fields.u32(ATIME_EXTRA).unwrap(), 0);
        }
    }

    #[test]
    fn an_inode_without_room_for_more_keeps_what_follows_it() {
        let mut inode = [0xaa; INODE_SIZE];
        inode[FLAGS..FLAGS + 4].fill(0);
        inode[EXTRA_SIZE..EXTRA_SIZE + 2].fill(0);
        assert!(clamp_inode(&mut inode, 12, 100, Some(7)).unwrap());
        assert!(inode[EXTRA_SIZE + 2..].iter().all(|&byte| byte == 0xaa));
        inode[EXTRA_SIZE] = 0xff;
        assert!(clamp_inode(&mut inode, 12, 100, None).is_err());
    }
}
