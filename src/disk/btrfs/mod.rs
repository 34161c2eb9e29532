//! Makes btrfs file systems out of trees with `mkfs.btrfs --rootdir`, which works on a whole file: a scratch
//! file, of which what is in use goes to its place in the raw disk.
//!
//! What depends on the building machine is replaced on the way: random UUIDs, times, and what is left over
//! from the making ([`trees`], [`items`]). One thing remains: mkfs.btrfs takes the numbers of the inodes from
//! the tree (measured with 6.2). So the same tree gives the same bytes every time, and a copy of it gives the
//! same files with other numbers.

mod items;
mod trees;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use self::items::{Identity, RootDirectory};
use super::scratch::Scratch;
use super::source::{NewFileSystem, Source};
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;
use crate::units::{MIB, Size};

/// The smallest file system: mkfs.btrfs wants 109 MiB where metadata has a copy.
pub const MINIMUM: Size = Size::mib(128);

/// Bytes of the longest label, without the final zero.
pub const LONGEST_LABEL: usize = 255;

/// The cure where mkfs.btrfs takes two directories for one.
const ONE_BELOW: &str = "Mount one file system at most below one on btrfs, or choose ext4 for the upper one.";

/// The first version that takes every feature with `-O`; one of them it would turn on some day, which no
/// kernel before Linux 6.1 reads.
const KNOWS_BLOCK_GROUP_TREE: (u32, u32) = (6, 3);

/// Makes `system` in `raw`, which holds zeros there, and copies `source` into it.
///
/// # Errors
///
/// A host error without mkfs.btrfs; a build error where the tree does not fit, or mkfs.btrfs fails.
pub fn write(raw: &Path, system: &NewFileSystem<'_>, source: &Source<'_>, runner: &Runner) -> Result<()> {
    let doing = || format!("making the btrfs file system {}", system.label);
    if system.size < MINIMUM.bytes() {
        return Err(Error::build(format!("{} is too small for btrfs", system.label))
            .hint(format!("Give it at least {} MiB, or choose ext4.", MINIMUM.bytes() / MIB)));
    }
    numbers_are_unique(source)?;
    let version = parse_version(&runner.command("mkfs.btrfs").arg("--version").output()?).unwrap_or_default();
    let scratch = Scratch::beside(raw, system.size).context(Kind::Build, doing)?;
    let mut command = runner.command("mkfs.btrfs").args(arguments(system, source.tree, version));
    if let Some(hook) = &source.hide {
        command = command.before_exec(hook.clone());
    }
    command.arg(scratch.path()).run().map_err(|error| explain(error, system.label))?;
    let root = source.tree.symlink_metadata().context(Kind::Build, doing)?;
    let identity = Identity {
        device: Uuid::new_v5(&system.uuid, b"device"),
        chunks: Uuid::new_v5(&system.uuid, b"chunks"),
        subvolume: Uuid::new_v5(&system.uuid, b"subvolume"),
        epoch: system.epoch.max(0).unsigned_abs(),
        // mkfs.btrfs leaves the root directory as it made it.
        root: RootDirectory {
            owner: root.uid(),
            group: root.gid(),
            permissions: root.mode() & 0o7777,
            modified: u64::try_from(root.mtime()).unwrap_or(u64::MAX),
        },
    };
    let file = File::options().write(true).open(raw).context(Kind::Build, doing)?;
    match trees::transfer(scratch.file(), system.size, &file, system.offset, identity) {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            Err(Error::build(doing()).because(&error).hint(too_small(system.label)))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Error::build(doing()).because(&error).hint(ONE_BELOW))
        }
        done => done.context(Kind::Build, doing),
    }
}

/// Refuses a tree in which two files have one number: mkfs.btrfs looks at the number alone, and not at the device,
/// and makes one file of them. A tree whose layers lie on several file systems can have such files.
fn numbers_are_unique(source: &Source<'_>) -> Result<()> {
    let mut devices: BTreeMap<u64, u64> = BTreeMap::new();
    source.walk(&mut |path, metadata| {
        let (number, device) = (metadata.ino(), metadata.dev());
        if *devices.entry(number).or_insert(device) == device {
            return Ok(());
        }
        Err(Error::build(format!(
            "{} has the number of another file, and mkfs.btrfs would mix them up",
            path.display()
        ))
        .hint("Let --tmp and --cache-dir be on one file system, or choose ext4."))
    })
}

fn too_small(label: &str) -> String {
    format!("Give {label} a larger size: its files do not fit.")
}

fn arguments(system: &NewFileSystem<'_>, tree: &Path, version: (u32, u32)) -> Vec<OsString> {
    let mut list: Vec<OsString> = ["-q", "-f", "-K"].map(OsString::from).to_vec();
    for (option, value) in [
        // Every option is named, so that the version and the host decide as little as can be.
        ("--uuid", system.uuid.to_string()),
        ("--label", system.label.to_owned()),
        ("--csum", "crc32c".to_owned()),
        ("--sectorsize", "4096".to_owned()),
        ("--nodesize", "16384".to_owned()),
        ("--metadata", "dup".to_owned()),
        ("--data", "single".to_owned()),
    ] {
        list.extend([option.into(), value.into()]);
    }
    if version >= KNOWS_BLOCK_GROUP_TREE {
        list.extend(["-O".into(), "^block-group-tree".into()]);
    }
    list.extend(["--rootdir".into(), tree.into()]);
    list
}

/// Reads the version out of what `mkfs.btrfs --version` says: `mkfs.btrfs, part of btrfs-progs v6.2`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix('v'))?;
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Says in the user's words what mkfs.btrfs says in its own.
fn explain(error: Error, label: &str) -> Error {
    let full = ["No space left on device", "not enough", "too small", "ENOSPC"];
    let is_full = error.tail_lines().iter().any(|line| full.iter().any(|words| line.contains(words)));
    let error = error.within(format!("making the btrfs file system {label}"));
    if is_full { error.hint(format!("Give {label} a larger size: its files do not fit.")) } else { error }
}

#[cfg(test)]
mod tests;
