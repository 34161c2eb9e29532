//! What stands in the leaves of a btrfs file system: which of it depends on the building machine, and which
//! of it leads on (btrfs documentation, "On-disk format"; Linux, include/uapi/linux/btrfs_tree.h).

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};

use uuid::Uuid;

use super::trees::{damaged, number, put};

/// Kinds of items, in their keys.
const INODE: u8 = 1;
const ATTRIBUTE: u8 = 24;
const NAME_BY_HASH: u8 = 84;
const NAME_BY_ORDER: u8 = 96;
const ROOT: u8 = 132;
const EXTENT: u8 = 168;
const DEVICE_EXTENT: u8 = 204;
const DEVICE: u8 = 216;
const CHUNK: u8 = 228;
const SUBVOLUME_UUID: u8 = 251;

/// The tree of the first subvolume, and the number of a subvolume's root directory.
const FIRST_SUBVOLUME: u64 = 5;
const ROOT_DIRECTORY: u64 = 256;

/// Fields of an inode: owner, group, mode, and the four times of 12 bytes.
const INODE_OWNER: usize = 44;
const INODE_GROUP: usize = 48;
const INODE_MODE: usize = 52;
const INODE_ACCESSED: usize = 112;
const INODE_CHANGED: usize = 124;
const INODE_MODIFIED: usize = 136;
const INODE_CREATED: usize = 148;

/// Fields of a name or attribute: after the key that it leads to, a transaction, lengths, a type.
const NAME_TRANSACTION: usize = 17;
const NAME_LENGTHS: usize = 25;
const NAME_TYPE: usize = 29;
const NAME_HEADER: usize = 30;
const TYPE_DIRECTORY: u64 = 2;

/// Fields of a root.
const ROOT_ADDRESS: usize = 176;
const ROOT_UUID: usize = 247;
const ROOT_CHANGED: usize = 327;
const ROOT_CREATED: usize = 339;

/// Fields of a chunk: length, profile, number of copies; then the copies.
const CHUNK_PROFILE: usize = 24;
const CHUNK_COPIES: usize = 44;
const CHUNK_HEADER: usize = 48;
const COPY_SIZE: usize = 32;
const COPY_PLACE: usize = 8;
const COPY_DEVICE: usize = 16;
/// The profiles that spread data over devices: all but one copy and two copies.
const PROFILES_OF_MORE: u64 = 0x8 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400;

/// Bytes of a device, and its UUID in it.
pub(super) const DEVICE_SIZE: usize = 98;
const DEVICE_UUID: usize = 66;

/// The UUID of the chunks in a device extent.
const DEVICE_EXTENT_CHUNKS: usize = 32;

/// Flags of an extent, and the one for data.
const EXTENT_FLAGS: usize = 16;
const EXTENT_DATA: u64 = 1;

/// What takes the place of what is random or was the building machine's.
pub(super) struct Identity {
    pub(super) device: Uuid,
    pub(super) chunks: Uuid,
    pub(super) subvolume: Uuid,
    /// Seconds since 1970.
    pub(super) epoch: u64,
    pub(super) root: RootDirectory,
}

/// What the root directory's inode has to say.
pub(super) struct RootDirectory {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) permissions: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

/// What the leaves lead to.
#[derive(Default)]
pub(super) struct Kept {
    /// Addresses of roots of trees.
    pub(super) trees: Vec<u64>,
    /// Addresses and lengths of extents with data.
    pub(super) extents: Vec<(u64, u64)>,
    /// The directories that have a name.
    directories: BTreeSet<(u64, u64)>,
}

/// An item of a leaf.
pub(super) struct Item<'a> {
    /// The tree that it is in.
    pub(super) owner: u64,
    pub(super) kind: u8,
    /// What it belongs to, 8 bytes; its kind; a number with a meaning of the kind's, 8 bytes.
    pub(super) key: &'a mut [u8],
    pub(super) content: &'a mut [u8],
}

/// Replaces what depends on the building machine, and notes what the item leads to.
pub(super) fn settle(item: &mut Item<'_>, identity: &Identity, kept: &mut Kept) -> Result<()> {
    match item.kind {
        INODE => inode(item, identity),
        NAME_BY_HASH | ATTRIBUTE => names(item, None),
        NAME_BY_ORDER => names(item, Some(kept)),
        ROOT => {
            kept.trees.push(number(item.content, ROOT_ADDRESS, 8)?);
            root(item.content, identity)
        }
        EXTENT if number(item.content, EXTENT_FLAGS, 8)? & EXTENT_DATA != 0 => {
            kept.extents.push((number(item.key, 0, 8)?, number(item.key, 9, 8)?));
            Ok(())
        }
        DEVICE_EXTENT => put(item.content, DEVICE_EXTENT_CHUNKS, identity.chunks.as_bytes()),
        DEVICE => rename_device(item.content, identity),
        CHUNK => rename_chunk(item.content, identity),
        // The UUID is the key.
        SUBVOLUME_UUID => {
            let (first, second) = identity.subvolume.as_bytes().split_at(8);
            put(item.key, 0, first)?;
            put(item.key, 9, second)
        }
        _ => Ok(()),
    }
}

fn inode(item: &mut Item<'_>, identity: &Identity) -> Result<()> {
    let Identity { epoch, root, .. } = identity;
    if item.owner == FIRST_SUBVOLUME && number(item.key, 0, 8)? == ROOT_DIRECTORY {
        let kind = u32::try_from(number(item.content, INODE_MODE, 4)?).unwrap_or(0) & 0o170_000;
        put(item.content, INODE_OWNER, &root.owner.to_le_bytes())?;
        put(item.content, INODE_GROUP, &root.group.to_le_bytes())?;
        put(item.content, INODE_MODE, &(kind | root.permissions).to_le_bytes())?;
        put(item.content, INODE_MODIFIED, &root.modified.to_le_bytes())?;
    }
    // One before 1970 is later than every epoch.
    let modified = number(item.content, INODE_MODIFIED, 8)?.min(*epoch);
    date(item.content, INODE_MODIFIED, modified)?;
    for field in [INODE_ACCESSED, INODE_CHANGED, INODE_CREATED] {
        date(item.content, field, *epoch)?;
    }
    Ok(())
}

/// Names or attributes; several where their hashes are the same. mkfs.btrfs 6.2 leaves the transaction as it
/// was in memory.
fn names(item: &mut Item<'_>, mut kept: Option<&mut Kept>) -> Result<()> {
    let mut at = 0;
    while at < item.content.len() {
        put(item.content, at + NAME_TRANSACTION, &[0; 8])?;
        if let Some(kept) = kept.as_deref_mut() {
            let leads_to = (item.owner, number(item.content, at, 8)?);
            let is_directory = number(item.content, at + NAME_TYPE, 1)? == TYPE_DIRECTORY;
            // mkfs.btrfs takes directories of two file systems for one where their numbers are the same.
            if is_directory && !kept.directories.insert(leads_to) {
                let why = "two directories of the tree have the same inode number";
                return Err(Error::new(ErrorKind::AlreadyExists, why));
            }
        }
        let data = number(item.content, at + NAME_LENGTHS, 2)?;
        let name = number(item.content, at + NAME_LENGTHS + 2, 2)?;
        at += NAME_HEADER + usize::try_from(data + name).unwrap_or(0);
    }
    Ok(())
}

fn root(content: &mut [u8], identity: &Identity) -> Result<()> {
    // Only subvolumes have a UUID and times.
    if number(content, ROOT_UUID, 8)? | number(content, ROOT_UUID + 8, 8)? != 0 {
        put(content, ROOT_UUID, identity.subvolume.as_bytes())?;
        date(content, ROOT_CHANGED, identity.epoch)?;
        date(content, ROOT_CREATED, identity.epoch)?;
    }
    Ok(())
}

/// Sets a time, without a fraction.
fn date(content: &mut [u8], at: usize, seconds: u64) -> Result<()> {
    put(content, at, &seconds.to_le_bytes())?;
    put(content, at + 8, &[0; 4])
}

/// Gives a device its UUID.
pub(super) fn rename_device(content: &mut [u8], identity: &Identity) -> Result<()> {
    put(content, DEVICE_UUID, identity.device.as_bytes())
}

/// Gives the copies of a chunk the UUID of their device.
pub(super) fn rename_chunk(content: &mut [u8], identity: &Identity) -> Result<()> {
    for at in (CHUNK_HEADER..chunk_length(content)?).step_by(COPY_SIZE) {
        put(content, at + COPY_DEVICE, identity.device.as_bytes())?;
    }
    Ok(())
}

/// Bytes of the chunk at the start of `content`.
pub(super) fn chunk_length(content: &[u8]) -> Result<usize> {
    let copies = usize::try_from(number(content, CHUNK_COPIES, 2)?).unwrap_or(0);
    Ok(CHUNK_HEADER + copies * COPY_SIZE)
}

/// The length of a chunk in bytes, and where its copies lie.
pub(super) fn chunk(content: &[u8]) -> Result<(u64, Vec<u64>)> {
    if number(content, CHUNK_PROFILE, 8)? & PROFILES_OF_MORE != 0 {
        return Err(damaged("a chunk is spread over devices"));
    }
    let copies = (CHUNK_HEADER..chunk_length(content)?).step_by(COPY_SIZE);
    let places: Result<Vec<u64>> = copies.map(|at| number(content, at + COPY_PLACE, 8)).collect();
    Ok((number(content, 0, 8)?, places?))
}
