//! Walks all trees of a btrfs file system that is not mounted, and takes over what they refer to (btrfs
//! documentation, "On-disk format"). All numbers are little-endian.
//!
//! The superblock names two trees: that of the chunks says where on the disk a logical address lies; that of
//! the roots names all others. Only what is reached from there is taken over: superblocks, nodes, and the
//! extents with data. So nothing is left of what mkfs.btrfs wrote on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

use super::items::{self, Identity, Item, Kept};

/// Where the superblock and its copies lie, each where the disk is large enough.
const SUPERBLOCKS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
const SUPERBLOCK_SIZE: usize = 4096;
const MAGIC: &[u8; 8] = b"_BHRfS_M";

/// Bytes of a node: what mkfs.btrfs is told to use.
const NODE: usize = 16384;

/// Fields of the superblock.
const SUPER_PLACE: usize = 48;
const SUPER_MAGIC: usize = 64;
const SUPER_ROOT: usize = 80;
const SUPER_CHUNK_ROOT: usize = 88;
const SUPER_TOTAL: usize = 112;
const SUPER_NODE_SIZE: usize = 148;
const SUPER_CHUNKS_SIZE: usize = 160;
const SUPER_CHECKSUM_TYPE: usize = 196;
const SUPER_DEVICE: usize = 201;
const SUPER_CHUNKS: usize = 811;
const SUPER_CHUNKS_END: usize = SUPER_CHUNKS + 2048;
/// What four earlier states of the trees were: no trace of them is taken over.
const SUPER_BACKUPS: usize = SUPER_CHUNKS_END;
const SUPER_BACKUPS_END: usize = SUPER_BACKUPS + 4 * 168;

/// Superblocks and nodes begin with their checksum, over all that follows its 32 bytes.
const CHECKED_FROM: usize = 32;

/// Fields of a node.
const NODE_PLACE: usize = 48;
const NODE_CHUNKS: usize = 64;
const NODE_OWNER: usize = 88;
const NODE_ITEMS: usize = 96;
const NODE_LEVEL: usize = 100;
const NODE_HEADER: usize = 101;

const KEY: usize = 17;
/// Bytes that refer to a node below: key, address, generation.
const POINTER: usize = 33;
/// Bytes that refer to an item of the leaf: key, offset, size.
const ITEM: usize = 25;

const CHUNK_KIND: u8 = 228;

/// The deepest tree (BTRFS_MAX_LEVEL).
const LEVELS: u8 = 8;

/// How much is copied at once.
const COPY: u64 = 1 << 20;
const GRAIN: usize = 4096;

/// Writes the file system in the first `size` bytes of `from` to `to` from `offset` on, under another identity.
/// An error of the kind `StorageFull` where it takes more, of `AlreadyExists` where two directories are one.
pub(super) fn transfer(from: &File, size: u64, to: &File, offset: u64, identity: Identity) -> Result<()> {
    let mut superblock = [0; SUPERBLOCK_SIZE];
    let [first, ..] = SUPERBLOCKS;
    from.read_exact_at(&mut superblock, first)?;
    let is_known = superblock[SUPER_MAGIC..].starts_with(MAGIC)
        && number(&superblock, SUPER_NODE_SIZE, 4)? == NODE as u64
        && number(&superblock, SUPER_CHECKSUM_TYPE, 2)? == 0;
    if !is_known {
        return Err(damaged("it has no superblock"));
    }
    // mkfs.btrfs makes the disk larger where the tree does not fit.
    if number(&superblock, SUPER_TOTAL, 8)? > size {
        return Err(ErrorKind::StorageFull.into());
    }
    let chunks = Chunks(BTreeMap::new());
    let kept = Kept::default();
    let mut transfer = Transfer { from, size, to, offset, identity, chunks, kept, nodes: 0 };
    transfer.system_chunks(&mut superblock)?;
    transfer.tree(number(&superblock, SUPER_CHUNK_ROOT, 8)?)?;
    transfer.tree(number(&superblock, SUPER_ROOT, 8)?)?;
    while let Some(root) = transfer.kept.trees.pop() {
        transfer.tree(root)?;
    }
    for (logical, length) in std::mem::take(&mut transfer.kept.extents) {
        transfer.extent(logical, length)?;
    }
    transfer.superblocks(superblock)
}

/// Where logical addresses lie: the start of a chunk to its length and the places of its copies.
struct Chunks(BTreeMap<u64, (u64, Vec<u64>)>);

impl Chunks {
    fn add(&mut self, logical: u64, item: &[u8]) -> Result<()> {
        let (length, copies) = items::chunk(item)?;
        self.0.insert(logical, (length, copies));
        Ok(())
    }

    /// The places of `length` bytes at a logical address, and how many of them are in the same chunk.
    fn places(&self, logical: u64, length: u64) -> Result<(Vec<u64>, u64)> {
        let (start, (whole, copies)) =
            self.0.range(..=logical).next_back().ok_or_else(|| damaged("an address is in no chunk"))?;
        let within = logical - start;
        let left = whole.checked_sub(within).filter(|left| *left > 0);
        let left = left.ok_or_else(|| damaged("an address is in no chunk"))?.min(length);
        let places = copies.iter().map(|place| place.checked_add(within));
        let places: Option<Vec<u64>> = places.collect();
        places.map(|places| (places, left)).ok_or_else(|| damaged("a chunk lies beyond the disk"))
    }
}

struct Transfer<'a> {
    from: &'a File,
    size: u64,
    to: &'a File,
    offset: u64,
    identity: Identity,
    chunks: Chunks,
    kept: Kept,
    /// How many nodes were taken over: more than have room are a circle.
    nodes: u64,
}

impl Transfer<'_> {
    /// The chunks that the chunks' own tree lies in stand in the superblock.
    fn system_chunks(&mut self, superblock: &mut [u8; SUPERBLOCK_SIZE]) -> Result<()> {
        let size = usize::try_from(number(superblock, SUPER_CHUNKS_SIZE, 4)?).unwrap_or(usize::MAX);
        let end = SUPER_CHUNKS.saturating_add(size).min(SUPER_CHUNKS_END);
        let mut at = SUPER_CHUNKS;
        while at < end {
            let logical = number(superblock, at + KEY - 8, 8)?;
            let item = superblock.get_mut(at + KEY..end).ok_or_else(|| damaged("a chunk is cut short"))?;
            let length = items::chunk_length(item)?;
            let item = item.get_mut(..length).ok_or_else(|| damaged("a chunk is cut short"))?;
            items::rename_chunk(item, &self.identity)?;
            self.chunks.add(logical, item)?;
            at += KEY + length;
        }
        // What was there before other chunks came.
        let unused = superblock.get_mut(at..SUPER_CHUNKS_END);
        unused.ok_or_else(|| damaged("a chunk is cut short"))?.fill(0);
        Ok(())
    }

    /// Takes over the tree whose root is at a logical address, from the root down.
    fn tree(&mut self, root: u64) -> Result<()> {
        let mut open = vec![(root, None)];
        while let Some((logical, level)) = open.pop() {
            let (places, _) = self.chunks.places(logical, NODE as u64)?;
            let mut node = vec![0; NODE];
            let first = places.first().copied().ok_or_else(|| damaged("a chunk has no place"))?;
            self.from.read_exact_at(&mut node, first)?;
            let found = node.get(NODE_LEVEL).copied().unwrap_or(LEVELS);
            let is_there = number(&node, NODE_PLACE, 8)? == logical;
            self.nodes += 1;
            let is_circle = self.nodes > self.size / NODE as u64;
            if !is_there || found >= LEVELS || level.is_some_and(|level| level != found) || is_circle {
                return Err(damaged("a tree is broken"));
            }
            put(&mut node, NODE_CHUNKS, self.identity.chunks.as_bytes())?;
            match found.checked_sub(1) {
                Some(below) => open.extend(pointers(&mut node)?.into_iter().map(|at| (at, Some(below)))),
                None => self.leaf(&mut node)?,
            }
            seal(&mut node)?;
            self.write(&places, &node)?;
        }
        Ok(())
    }

    fn leaf(&mut self, node: &mut [u8]) -> Result<()> {
        let owner = number(node, NODE_OWNER, 8)?;
        let count = items_of(node, ITEM)?;
        let mut data = NODE;
        for position in 0..count {
            let at = NODE_HEADER + position * ITEM;
            let start = NODE_HEADER + usize::try_from(number(node, at + KEY, 4)?).unwrap_or(NODE);
            let length = usize::try_from(number(node, at + KEY + 4, 4)?).unwrap_or(NODE);
            if start < NODE_HEADER + count * ITEM {
                return Err(damaged("an item lies in the head of its leaf"));
            }
            data = data.min(start);
            let (heads, rest) = node.split_at_mut(start.min(NODE));
            let (key, rest) = (heads.get_mut(at..at + KEY), rest.get_mut(..length));
            let (Some(key), Some(content)) = (key, rest) else { return Err(damaged("an item is cut short")) };
            let [.., kind, _, _, _, _, _, _, _, _] = *key else { return Err(damaged("a key is cut short")) };
            let mut item = Item { owner, kind, key, content };
            items::settle(&mut item, &self.identity, &mut self.kept)?;
            if kind == CHUNK_KIND {
                self.chunks.add(number(item.key, KEY - 8, 8)?, item.content)?;
            }
        }
        // What was there before other items came.
        let unused = node.get_mut(NODE_HEADER + count * ITEM..data);
        unused.ok_or_else(|| damaged("an item lies in the head of its leaf"))?.fill(0);
        Ok(())
    }

    /// Takes over an extent with data.
    fn extent(&self, mut logical: u64, mut length: u64) -> Result<()> {
        let mut buffer = Vec::new();
        while length > 0 {
            let (places, left) = self.chunks.places(logical, length.min(COPY))?;
            buffer.resize(usize::try_from(left).unwrap_or(0), 0);
            let first = places.first().copied().ok_or_else(|| damaged("a chunk has no place"))?;
            self.from.read_exact_at(&mut buffer, first)?;
            self.write(&places, &buffer)?;
            logical += left;
            length -= left;
        }
        Ok(())
    }

    /// Writes what is not zero to all copies of a place.
    fn write(&self, places: &[u64], bytes: &[u8]) -> Result<()> {
        for place in places {
            if place.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
                return Err(damaged("a chunk lies beyond the disk"));
            }
            let starts = (self.offset + place..).step_by(GRAIN);
            for (grain, start) in bytes.chunks(GRAIN).zip(starts) {
                if grain.iter().any(|&byte| byte != 0) {
                    self.to.write_all_at(grain, start)?;
                }
            }
        }
        Ok(())
    }

    fn superblocks(&self, mut superblock: [u8; SUPERBLOCK_SIZE]) -> Result<()> {
        let device = superblock.get_mut(SUPER_DEVICE..SUPER_DEVICE + items::DEVICE_SIZE);
        items::rename_device(device.unwrap_or_default(), &self.identity)?;
        superblock[SUPER_BACKUPS..SUPER_BACKUPS_END].fill(0);
        for place in SUPERBLOCKS.into_iter().filter(|place| place + SUPERBLOCK_SIZE as u64 <= self.size) {
            put(&mut superblock, SUPER_PLACE, &place.to_le_bytes())?;
            seal(&mut superblock)?;
            self.to.write_all_at(&superblock, self.offset + place)?;
        }
        Ok(())
    }
}

/// The addresses that a node refers to; what lies behind them is of no use.
fn pointers(node: &mut [u8]) -> Result<Vec<u64>> {
    let count = items_of(node, POINTER)?;
    if let Some(unused) = node.get_mut(NODE_HEADER + count * POINTER..) {
        unused.fill(0);
    }
    let at = (0..count).map(|position| NODE_HEADER + position * POINTER + KEY);
    at.map(|at| number(node, at, 8)).collect()
}

/// How many things of `size` bytes a node has behind its header.
fn items_of(node: &[u8], size: usize) -> Result<usize> {
    let count = usize::try_from(number(node, NODE_ITEMS, 4)?).unwrap_or(usize::MAX);
    if count > (NODE - NODE_HEADER) / size { Err(damaged("a node is too full")) } else { Ok(count) }
}

/// Renews the checksum at the start.
fn seal(bytes: &mut [u8]) -> Result<()> {
    let sum = crc32c::crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
    put(bytes, 0, &sum.to_le_bytes())
}

/// A number of `size` bytes.
pub(super) fn number(bytes: &[u8], at: usize, size: usize) -> Result<u64> {
    let found = at.checked_add(size).and_then(|end| bytes.get(at..end));
    let found = found.ok_or_else(|| damaged("something is cut short"))?;
    Ok(found.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Replaces bytes.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> Result<()> {
    let place = at.checked_add(new.len()).and_then(|end| bytes.get_mut(at..end));
    place.ok_or_else(|| damaged("something is cut short"))?.copy_from_slice(new);
    Ok(())
}

pub(super) fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the btrfs file system is not as expected: {why}"))
}
