//! Makes ext4 file systems out of trees, straight at a partition's place in the raw disk.
//!
//! `mke2fs -d` copies the tree; what it cannot be told to leave out is removed afterwards: when the files
//! were last read and changed on the building machine ([`times`]), and how much was written ([`writes`]).
//! Equal trees so give equal bytes, on whatever file system and in whatever order they were made. One thing
//! still shows: a file's extended attributes, where it has several, stand in the order in which the tree's
//! file system lists them.

mod superblock;
mod times;
mod writes;

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use self::superblock::{Superblock, Window};
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::{BeforeExec, Runner};
use crate::units::KIB;

/// Block size in bytes, the page size of every supported architecture.
const BLOCK: u64 = 4096;

/// The first version of mke2fs that can be told that the disk holds zeros and so need not write them.
const KNOWS_PREZEROED: (u32, u32) = (1, 47);

/// A file system to be made.
#[derive(Clone, Copy)]
pub struct FileSystem<'a> {
    /// Where it begins in the raw disk, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its UUID, which also seeds the hashes of its directories.
    pub uuid: Uuid,
    /// Its label, at most 16 characters.
    pub label: &'a str,
    /// Every feature, by mke2fs's names.
    pub features: &'a [String],
    /// No time in it is later. Seconds since 1970.
    pub epoch: i64,
}

/// Makes `system` in `raw`, which holds zeros there, and copies `tree` into it. `before_exec` runs in the
/// child before mke2fs, such as to hide a directory of the tree.
///
/// # Errors
///
/// A host error without mke2fs; a build error where the tree does not fit, or mke2fs fails.
pub fn write(
    raw: &Path,
    system: &FileSystem<'_>,
    tree: &Path,
    before_exec: Option<BeforeExec>,
    runner: &Runner,
) -> Result<()> {
    let version = parse_version(&runner.command("mke2fs").arg("-V").outcome()?.stderr);
    let prezeroed = version.is_some_and(|version| version >= KNOWS_PREZEROED);
    let mut command = runner
        .command("mke2fs")
        // Another host's defaults must not decide: every option is named, and no file is read.
        .env("MKE2FS_CONFIG", "/dev/null")
        .env("E2FSPROGS_FAKE_TIME", system.epoch.max(1).to_string())
        // mke2fs sorts directories by the locale's order.
        .env("LC_ALL", "C")
        .args(arguments(raw, system, tree, prezeroed));
    if let Some(hook) = before_exec {
        command = command.before_exec(hook);
    }
    command.run().map_err(|error| explain(error, system.label))?;
    let doing = || format!("removing the building machine's traces from the {} file system", system.label);
    let file = File::options().read(true).write(true).open(raw).context(Kind::Build, doing)?;
    settle(&file, system.offset, system.size, system.epoch).context(Kind::Build, doing)
}

/// Removes what depends on the building machine.
fn settle(file: &File, offset: u64, size: u64, epoch: i64) -> std::io::Result<()> {
    let window = Window { file, offset, size };
    let superblock = Superblock::read(&window)?;
    times::clamp(&window, &superblock, epoch)?;
    writes::forget(&window, &superblock)
}

fn arguments(raw: &Path, system: &FileSystem<'_>, tree: &Path, prezeroed: bool) -> Vec<OsString> {
    // Both give the same bytes, but the latter writes all of the inode tables and the journal.
    let zeros =
        if prezeroed { "assume_storage_prezeroed=1" } else { "lazy_itable_init=0,lazy_journal_init=0" };
    let FileSystem { offset, uuid, .. } = system;
    let extended = format!("offset={offset},hash_seed={uuid},root_owner=0:0,nodiscard,{zeros}");
    let features = format!("none,{}", system.features.join(","));
    let mut list: Vec<OsString> = Vec::new();
    for (option, value) in [
        ("-O", features),
        ("-b", BLOCK.to_string()),
        ("-I", superblock::INODE_SIZE.to_string()),
        // One inode for 16 KiB, mke2fs's own default, and 1 % kept for root.
        ("-i", "16384".to_owned()),
        ("-m", "1".to_owned()),
        ("-U", uuid.to_string()),
        ("-L", system.label.to_owned()),
        ("-E", extended),
    ] {
        list.extend([option.into(), value.into()]);
    }
    list.extend(["-F".into(), "-q".into(), "-d".into(), tree.into(), raw.into()]);
    list.push(format!("{}k", system.size / KIB).into());
    list
}

/// Reads the version out of what `mke2fs -V` says, such as `mke2fs 1.47.0 (5-Feb-2023)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.lines().find_map(|line| line.strip_prefix("mke2fs "))?.split_whitespace().next()?;
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Says in the user's words what mke2fs says in its own.
fn explain(error: Error, label: &str) -> Error {
    let said = |words: &str| error.tail_lines().iter().any(|line| line.contains(words));
    // The image has no room for a block or an inode (e2fsprogs, lib/ext2fs/ext2_err.et).
    let image_is_full = said("Could not allocate");
    // The host has none for the image, ENOSPC and EDQUOT of errno(3).
    let host_is_full = said("No space left on device") || said("Disk quota exceeded");
    let error = error.within(format!("making the {label} file system"));
    if image_is_full {
        error.hint(format!("Give {label} a larger size: its files do not fit."))
    } else if host_is_full {
        error.hint("The scratch directory is full: free some space there, or choose another with --tmp.")
    } else {
        error
    }
}

#[cfg(test)]
mod tests;
