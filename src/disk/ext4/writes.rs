//! Forgets how much was ever written to an ext4 file system that is not mounted.
//!
//! The superblock and each of its copies count it, and the count depends on the order in which mke2fs came
//! to write its cache: on the building machine, not on the tree. Nobody but a curious reader needs it.

use std::io::Result;

use super::superblock::{Fields, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock, Window, damaged};
use super::times::crc32c;

/// KiB written, 64 bits.
const WRITTEN: usize = 0x178;
/// Checksum over all before it.
const CHECKSUM: usize = 0x3fc;

/// Sets the count to none in the superblock and all its copies.
pub(super) fn forget(window: &Window<'_>, superblock: &Superblock) -> Result<()> {
    forget_in(window, superblock, SUPERBLOCK_OFFSET)?;
    for group in (1..superblock.groups).filter(|&group| superblock.has_copy(group)) {
        forget_in(window, superblock, superblock.group_start(group)?)?;
    }
    Ok(())
}

fn forget_in(window: &Window<'_>, superblock: &Superblock, offset: u64) -> Result<()> {
    let mut bytes = window.read(offset, SUPERBLOCK_SIZE)?;
    if !superblock.is_of_same_system(&Fields(&bytes))? {
        return Err(damaged("a copy of its superblock is not where it should be"));
    }
    put(&mut bytes, WRITTEN, &[0; 8])?;
    if superblock.checksum_seed.is_some() {
        let sum = crc32c(!0, Fields(&bytes).bytes(0, CHECKSUM)?);
        put(&mut bytes, CHECKSUM, &sum.to_le_bytes())?;
    }
    window.write(offset, &bytes)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<()> {
    let place = bytes.get_mut(at..at + value.len()).ok_or_else(|| damaged("it ends too early"))?;
    place.copy_from_slice(value);
    Ok(())
}
