//! The inodes of an XFS file system that is not mounted (XFS Algorithms & Data Structures, 3rd edition,
//! "Superblocks", "AG Inode Management" and "On-disk Inode"). All numbers are big-endian.
//!
//! Each allocation group has a tree of its inodes; every record of it stands for a chunk of 64.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// Bytes of an inode: what mkfs.xfs is told to use.
pub(super) const SIZE: usize = 512;

/// Inodes of a record, and bytes of them.
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = CHUNK * SIZE;

const BLOCK: usize = 4096;
const SECTOR: u64 = 512;

const SUPERBLOCK_MAGIC: &[u8] = b"XFSB";
const TREE_ROOT_MAGIC: &[u8] = b"XAGI";
const TREE_MAGIC: &[u8] = b"IAB3";
const INODE_MAGIC: &[u8] = b"IN";

/// Fields of the tree's blocks.
const LEVEL: usize = 4;
const RECORDS: usize = 6;
const RIGHT: usize = 12;
const HEADER: usize = 56;
const RECORD: usize = 16;
/// A node has 4 bytes for a key and 4 for a pointer, and room for this many of each.
const NODE_RECORDS: usize = (BLOCK - HEADER) / 8;

/// No block is the right one of the last.
const NONE: u32 = u32::MAX;

/// Fields of an inode.
const MODE: usize = 2;
const VERSION: usize = 4;
const OWNER: usize = 8;
const GROUP: usize = 12;
const ACCESSED: usize = 32;
const MODIFIED: usize = 40;
const CHANGED: usize = 48;
const EXTENTS: usize = 76;
const GENERATION: usize = 92;
const CHECKSUM: usize = 100;
const FLAGS: usize = 120;
const CREATED: usize = 144;

const FLAG_BIGTIME: u64 = 8;

/// An inode that is in use.
pub(super) struct Inode<'a>(&'a mut [u8; SIZE]);

impl Inode<'_> {
    pub(super) fn owner(&self) -> u32 {
        word(self.0, OWNER)
    }

    pub(super) fn set_owner(&mut self, owner: u32, group: u32) {
        self.put(OWNER, owner.to_be_bytes());
        self.put(GROUP, group.to_be_bytes());
    }

    /// Sets the permissions and leaves the type.
    pub(super) fn set_permissions(&mut self, permissions: u16) {
        let mode = u16::from_be_bytes([self.0[MODE], self.0[MODE + 1]]);
        let mode = mode & 0o170_000 | permissions & 0o7777;
        let [high, low] = mode.to_be_bytes();
        (self.0[MODE], self.0[MODE + 1]) = (high, low);
    }

    /// How many extents its data has.
    pub(super) fn extents(&self) -> u32 {
        word(self.0, EXTENTS)
    }

    /// Sets the time of last modification, seconds since 1970; one that 31 bits do not hold is 0.
    pub(super) fn set_modified(&mut self, time: i64) {
        // One before 1970 or after 2038 becomes later than every epoch, or is cut to it.
        self.set_time(MODIFIED, u32::try_from(time).map_or(i32::MAX, |time| time.cast_signed().max(0)));
    }

    /// Lets no time be later than `epoch`, and all but the time of last modification be that.
    pub(super) fn clamp_times(&mut self, epoch: i64) {
        let epoch = i32::try_from(epoch.max(1)).unwrap_or(i32::MAX);
        let modified = word(self.0, MODIFIED).cast_signed();
        self.set_time(MODIFIED, if modified < 0 { epoch } else { modified.min(epoch) });
        for field in [ACCESSED, CHANGED, CREATED] {
            self.set_time(field, epoch);
        }
    }

    fn set_time(&mut self, field: usize, seconds: i32) {
        self.put(field, seconds.to_be_bytes());
        self.put(field + 4, [0; 4]);
    }

    fn put(&mut self, at: usize, bytes: [u8; 4]) {
        self.0.iter_mut().skip(at).zip(bytes).for_each(|(room, byte)| *room = byte);
    }
}

/// Hands every inode that is in use to `change`; forgets the random generations of all, and renews the
/// checksums.
pub(super) fn visit(file: &File, change: &mut dyn FnMut(&mut Inode<'_>)) -> Result<()> {
    let mut superblock = [0; SECTOR as usize];
    file.read_exact_at(&mut superblock, 0)?;
    if !superblock.starts_with(SUPERBLOCK_MAGIC) || word(&superblock, 4) as usize != BLOCK {
        return Err(damaged("it has no superblock"));
    }
    let group_bytes = u64::from(word(&superblock, 84)) * BLOCK as u64;
    let end = file.metadata()?.len();
    for group in 0..u64::from(word(&superblock, 88)) {
        let start = group * group_bytes;
        if start >= end {
            return Err(damaged("it has more groups than room"));
        }
        visit_group(file, start, change)?;
    }
    Ok(())
}

/// The same for the allocation group that begins at `start`, in bytes.
fn visit_group(file: &File, start: u64, change: &mut dyn FnMut(&mut Inode<'_>)) -> Result<()> {
    let mut head = [0; SECTOR as usize];
    file.read_exact_at(&mut head, start + 2 * SECTOR)?;
    if !head.starts_with(TREE_ROOT_MAGIC) {
        return Err(damaged("a group has no tree of inodes"));
    }
    // No group has more blocks: a chain that runs in a circle ends here.
    let mut budget = file.metadata()?.len() / BLOCK as u64;
    let mut number = word(&head, 20);
    let mut block = read_block(file, start, number, None)?;
    while half(&block, LEVEL) > 0 {
        let level = half(&block, LEVEL);
        number = word(&block, HEADER + 4 * NODE_RECORDS);
        block = read_block(file, start, number, Some(level - 1))?;
    }
    loop {
        for record in block[HEADER..].chunks_exact(RECORD).take(usize::from(half(&block, RECORDS))) {
            let free = u64::from(word(record, 8)) << 32 | u64::from(word(record, 12));
            visit_chunk(file, start + u64::from(word(record, 0)) * SIZE as u64, free, change)?;
        }
        number = word(&block, RIGHT);
        if number == NONE {
            return Ok(());
        }
        budget = budget.checked_sub(1).ok_or_else(|| damaged("a tree runs in a circle"))?;
        block = read_block(file, start, number, Some(0))?;
    }
}

/// A block of the tree, on the level that it has to be on.
fn read_block(file: &File, start: u64, number: u32, level: Option<u16>) -> Result<Vec<u8>> {
    let mut block = vec![0; BLOCK];
    file.read_exact_at(&mut block, start + u64::from(number) * BLOCK as u64)?;
    let is_there = block.starts_with(TREE_MAGIC);
    if !is_there || level.is_some_and(|level| half(&block, LEVEL) != level) {
        return Err(damaged("a tree of inodes is broken"));
    }
    Ok(block)
}

/// The same for the inodes of one record; a bit of `free` says that one is not in use.
fn visit_chunk(file: &File, at: u64, free: u64, change: &mut dyn FnMut(&mut Inode<'_>)) -> Result<()> {
    let mut bytes = vec![0; CHUNK_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    let (inodes, _) = bytes.as_chunks_mut::<SIZE>();
    for (number, inode) in inodes.iter_mut().enumerate() {
        let flags = u64::from(word(inode, FLAGS)) << 32 | u64::from(word(inode, FLAGS + 4));
        if !inode.starts_with(INODE_MAGIC) || inode[VERSION] != 3 || flags & FLAG_BIGTIME != 0 {
            return Err(damaged("an inode is none of version 3 with times of 32 bits"));
        }
        let mut inode = Inode(inode);
        inode.put(GENERATION, [0; 4]);
        if free >> number & 1 == 0 {
            change(&mut inode);
        }
        inode.put(CHECKSUM, [0; 4]);
        let sum = crc32c::crc32c(inode.0);
        // The one number that is little-endian.
        inode.put(CHECKSUM, sum.to_le_bytes());
    }
    file.write_all_at(&bytes, at)
}

/// 32 bits of a structure that is longer than that.
fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// 16 bits.
fn half(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the XFS file system is not as expected: {why}"))
}
