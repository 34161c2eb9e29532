//! Where an ext4 file system keeps its inodes, and how it guards them: what its superblock and group
//! descriptors say (Linux, Documentation/filesystems/ext4, "Super Block" and "Block Group Descriptors").

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// Bytes of an inode: what mke2fs is told to use.
pub(super) const INODE_SIZE: usize = 256;

/// The first superblock lies behind room for a boot sector; its copies begin their groups.
pub(super) const SUPERBLOCK_OFFSET: u64 = 1024;
pub(super) const SUPERBLOCK_SIZE: usize = 1024;
const MAGIC: u16 = 0xef53;

const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
const RO_COMPAT_GDT_CSUM: u32 = 0x10;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// The inode table of a group was never written.
const GROUP_INODE_UNINIT: u16 = 1;

/// The part of a raw disk in which the file system lies: nothing outside is read or written.
pub(super) struct Window<'a> {
    pub(super) file: &'a File,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Window<'_> {
    /// The place in the file of `length` bytes at `offset` of the window.
    fn place(&self, offset: u64, length: usize) -> Result<u64> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.size);
        let place = end.and_then(|_| self.offset.checked_add(offset));
        place.ok_or_else(|| damaged("it points beyond its partition"))
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let place = self.place(offset, length)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, place)?;
        Ok(bytes)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let place = self.place(offset, bytes.len())?;
        self.file.write_all_at(bytes, place)
    }
}

/// What the superblock says, as far as inodes and its own copies go.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) block_size: u64,
    pub(super) inodes_per_group: u32,
    pub(super) groups: u32,
    /// Start of the inodes' checksums, where the file system has them.
    pub(super) checksum_seed: Option<u32>,
    /// Whether group descriptors say how much of a table was never used.
    counts_unused: bool,
    descriptor_size: usize,
    descriptors: u64,
    first_block: u64,
    blocks_per_group: u64,
    /// Whether only some groups hold a copy of the superblock.
    sparse: bool,
    uuid: Vec<u8>,
}

/// The used part of a group's inode table.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    /// Where it begins, in bytes.
    pub(super) offset: u64,
    /// How many inodes of it may be in use.
    pub(super) inodes: u32,
}

impl Superblock {
    /// Reads the superblock and checks everything that is later relied on.
    pub(super) fn read(window: &Window<'_>) -> Result<Self> {
        Self::parse(&Fields(&window.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)?))
    }

    fn parse(fields: &Fields<'_>) -> Result<Self> {
        if fields.u16(0x38)? != MAGIC {
            return Err(damaged("it has no superblock"));
        }
        let shift = fields.u32(0x18)?;
        if shift > 2 {
            return Err(damaged("its blocks are larger than 4 KiB"));
        }
        let block_size = 1024_u64 << shift;
        if usize::from(fields.u16(0x58)?) != INODE_SIZE {
            return Err(damaged("its inodes do not have 256 bytes"));
        }
        let incompat = fields.u32(0x60)?;
        let ro_compat = fields.u32(0x64)?;
        if incompat & INCOMPAT_META_BG != 0 {
            return Err(damaged("its group descriptors are scattered (meta_bg)"));
        }
        if fields.u32(0x5c)? & COMPAT_SPARSE_SUPER2 != 0 {
            return Err(damaged("the copies of its superblock may be anywhere (sparse_super2)"));
        }
        let inodes_per_group = fields.u32(0x28)?;
        // The bitmap of a group's inodes is one block.
        if inodes_per_group == 0 || u64::from(inodes_per_group) > 8 * block_size {
            return Err(damaged("its number of inodes in a group is impossible"));
        }
        let inodes = fields.u32(0)?;
        let descriptor_size =
            if incompat & INCOMPAT_64BIT == 0 { 32 } else { usize::from(fields.u16(0xfe)?) };
        if !(32..=1024).contains(&descriptor_size) {
            return Err(damaged("its group descriptors have an impossible size"));
        }
        let metadata_csum = ro_compat & RO_COMPAT_METADATA_CSUM != 0;
        let checksum_seed = match (metadata_csum, incompat & INCOMPAT_CSUM_SEED != 0) {
            (false, _) => None,
            (true, true) => Some(fields.u32(0x270)?),
            (true, false) => Some(super::times::crc32c(!0, fields.bytes(0x68, 16)?)),
        };
        Ok(Superblock {
            block_size,
            inodes_per_group,
            groups: inodes.div_ceil(inodes_per_group),
            checksum_seed,
            counts_unused: metadata_csum || ro_compat & RO_COMPAT_GDT_CSUM != 0,
            descriptor_size,
            descriptors: (u64::from(fields.u32(0x14)?) + 1) * block_size,
            first_block: u64::from(fields.u32(0x14)?),
            blocks_per_group: u64::from(fields.u32(0x20)?),
            sparse: ro_compat & RO_COMPAT_SPARSE_SUPER != 0,
            uuid: fields.bytes(0x68, 16)?.to_vec(),
        })
    }

    /// Whether a group holds a copy of the superblock: where that is sparse, group 1 and the powers of 3, 5
    /// and 7.
    pub(super) fn has_copy(&self, group: u32) -> bool {
        let is_power_of = |base: u32| {
            let mut rest = group;
            while rest > 1 && rest.is_multiple_of(base) {
                rest /= base;
            }
            rest == 1
        };
        !self.sparse || [3, 5, 7].into_iter().any(is_power_of)
    }

    /// Where a group begins, in bytes.
    pub(super) fn group_start(&self, group: u32) -> Result<u64> {
        let block = u64::from(group).checked_mul(self.blocks_per_group);
        let block = block.and_then(|block| block.checked_add(self.first_block));
        let start = block.and_then(|block| block.checked_mul(self.block_size));
        start.ok_or_else(|| damaged("it points beyond any disk"))
    }

    /// Whether `fields` are those of a superblock of the same file system.
    pub(super) fn is_of_same_system(&self, fields: &Fields<'_>) -> Result<bool> {
        Ok(fields.u16(0x38)? == MAGIC && fields.bytes(0x68, 16)? == self.uuid)
    }

    /// Reads where the inode table of a group lies; none where it was never used.
    pub(super) fn table(&self, window: &Window<'_>, group: u32) -> Result<Option<Table>> {
        let offset = self.descriptors + u64::from(group) * self.descriptor_size as u64;
        let bytes = window.read(offset, self.descriptor_size)?;
        let fields = Fields(&bytes);
        let wide = self.descriptor_size >= 64;
        let high = |at| if wide { fields.u32(at).map(u64::from) } else { Ok(0) };
        let high_word = |at| if wide { fields.u16(at).map(u32::from) } else { Ok(0) };
        let block = u64::from(fields.u32(0x8)?) | high(0x28)? << 32;
        let offset =
            block.checked_mul(self.block_size).ok_or_else(|| damaged("it points beyond any disk"))?;
        if !self.counts_unused {
            return Ok(Some(Table { offset, inodes: self.inodes_per_group }));
        }
        if fields.u16(0x12)? & GROUP_INODE_UNINIT != 0 {
            return Ok(None);
        }
        let unused = u32::from(fields.u16(0x1c)?) | high_word(0x32)? << 16;
        let inodes = self.inodes_per_group.checked_sub(unused);
        let inodes = inodes.ok_or_else(|| damaged("a group has more unused inodes than inodes"))?;
        Ok((inodes > 0).then_some(Table { offset, inodes }))
    }
}

/// Little-endian fields at offsets.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn bytes(&self, at: usize, length: usize) -> Result<&[u8]> {
        at.checked_add(length).and_then(|end| self.0.get(at..end)).ok_or_else(|| damaged("it ends too early"))
    }

    pub(super) fn u16(&self, at: usize) -> Result<u16> {
        self.bytes(at, 2)?.try_into().map(u16::from_le_bytes).map_err(|_| damaged("it ends too early"))
    }

    pub(super) fn u32(&self, at: usize) -> Result<u32> {
        self.bytes(at, 4)?.try_into().map(u32::from_le_bytes).map_err(|_| damaged("it ends too early"))
    }
}

pub(super) fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the ext4 file system is not as expected: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a disk holds: an answer or an error, and never a panic.
        #[test]
        fn nonsense_never_panics(
            seed in proptest::collection::vec(any::<u8>(), SUPERBLOCK_SIZE),
            group in any::<u32>(),
            plausible in any::<bool>(),
        ) {
            let mut bytes = seed;
            if plausible {
                bytes[0x38..0x3a].copy_from_slice(&MAGIC.to_le_bytes());
                bytes[0x18..0x1c].copy_from_slice(&2_u32.to_le_bytes());
                bytes[0x58..0x5a].copy_from_slice(&256_u16.to_le_bytes());
                bytes[0x28..0x2c].copy_from_slice(&8192_u32.to_le_bytes());
                bytes[0x60] &= !0x10;
            }
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&bytes, SUPERBLOCK_OFFSET).unwrap();
            file.write_all_at(&bytes, 2 * SUPERBLOCK_OFFSET).unwrap();
            let window = Window { file: &file, offset: 0, size: 4096 };
            if let Ok(superblock) = Superblock::read(&window) {
                let _ = superblock.table(&window, group);
            }
            let _ = super::super::settle(&file, 0, 4096, 1);
        }
    }

    #[test]
    fn copies_are_in_group_1_and_the_powers_of_3_5_and_7() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; SUPERBLOCK_SIZE];
        for (at, value) in [(0x38, 0x53), (0x39, 0xef), (0x59, 1), (0x28, 8), (0x64, 1)] {
            bytes[at] = value;
        }
        file.write_all_at(&bytes, SUPERBLOCK_OFFSET).unwrap();
        let superblock = Superblock::read(&Window { file: &file, offset: 0, size: 2048 }).unwrap();
        let groups: Vec<u32> = (1..100).filter(|&group| superblock.has_copy(group)).collect();
        assert_eq!(groups, [1, 3, 5, 7, 9, 25, 27, 49, 81]);
    }

    #[test]
    fn nothing_outside_the_partition_is_touched() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let window = Window { file: &file, offset: 1024, size: 2048 };
        assert!(window.read(2047, 1).is_ok());
        assert!(window.read(2047, 2).is_err());
        assert!(window.write(u64::MAX, b"ab").is_err());
    }
}
