//! Makes XFS file systems out of trees with `mkfs.xfs`, which works on a whole file: a scratch file, that is
//! then copied to its place in the raw disk.
//!
//! From xfsprogs 6.17 on mkfs.xfs copies a directory itself. Older ones take a list of files, the [`proto`],
//! which knows no extended attributes, no hard links and no names with spaces: a tree that has them is
//! refused by the path. Owners, modes and times are put right in the [`inodes`] afterwards, so that equal
//! trees give equal bytes with the same version of mkfs.xfs.
//!
//! Its features are those that every kernel since Linux 4.2 reads: time stamps end in 2038 (`bigtime=0`).

mod inodes;
mod proto;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use self::proto::Item;
use super::scratch::Scratch;
use super::source::{NewFileSystem, Source};
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;
use crate::units::{MIB, Size};

/// The smallest file system that mkfs.xfs makes, from xfsprogs 5.19 on.
pub const MINIMUM: Size = Size::mib(300);

/// Characters of the longest label.
pub const LONGEST_LABEL: usize = 12;

/// Allocation groups, mkfs.xfs's own number for a disk.
const GROUPS: u64 = 4;

/// Versions of xfsprogs that brought something, by their changelogs and manual pages.
const KNOWS_BIGTIME: (u32, u32) = (5, 10);
const KNOWS_NREXT64: (u32, u32) = (5, 19);
const KNOWS_PARENT: (u32, u32) = (6, 10);
const COPIES_LARGE_FILES: (u32, u32) = (6, 13);

/// The oldest xfsprogs whose mkfs.xfs copies whatever can be in a tree.
pub const COPIES_DIRECTORIES: (u32, u32) = (6, 17);

/// Makes `system` in `raw`, which holds zeros there, and copies `source` into it.
///
/// # Errors
///
/// A host error without mkfs.xfs; a build error where this host's mkfs.xfs cannot copy a file of the tree,
/// the tree does not fit, or mkfs.xfs fails.
pub fn write(raw: &Path, system: &NewFileSystem<'_>, source: &Source<'_>, runner: &Runner) -> Result<()> {
    let doing = || format!("making the XFS file system {}", system.label);
    if system.size < MINIMUM.bytes() {
        return Err(Error::build(format!("{} is too small for XFS", system.label))
            .hint(format!("Give it at least {} MiB, or choose ext4.", MINIMUM.bytes() / MIB)));
    }
    let version = version(runner)?.unwrap_or_default();
    let scratch = Scratch::beside(raw, system.size).context(Kind::Build, doing)?;
    let mut command = runner
        .command("mkfs.xfs")
        // Known from 6.18 on; what older ones make of it is put right below.
        .env("SOURCE_DATE_EPOCH", system.epoch.max(0).to_string())
        .env("DETERMINISTIC_SEED", "1")
        .args(arguments(system, version));
    let mut list = scratch.another().context(Kind::Build, doing)?;
    let items = if version >= COPIES_DIRECTORIES {
        command = command.arg("-p").arg(source.tree);
        if let Some(hook) = &source.hide {
            command = command.before_exec(hook.clone());
        }
        None
    } else {
        let (text, items) = proto::list(source)?;
        list.write_all(&text).context(Kind::Build, doing)?;
        // The list names files from the root of the tree.
        command = command.arg("-p").arg(list.path()).directory(source.tree);
        Some(items)
    };
    command.arg(scratch.path()).run().map_err(|error| explain(error, system.label))?;
    settle(scratch.file(), system, items.as_deref(), version)?;
    let file = File::options().write(true).open(raw).context(Kind::Build, doing)?;
    scratch.copy_to(&file, system.offset).context(Kind::Build, doing)
}

/// The version of this host's mkfs.xfs; none where it is not understood.
///
/// # Errors
///
/// A host error without mkfs.xfs.
pub fn version(runner: &Runner) -> Result<Option<(u32, u32)>> {
    Ok(parse_version(&runner.command("mkfs.xfs").arg("-V").output()?))
}

/// Gives every inode what the list could not say, and removes what depends on the time of the build.
fn settle(
    file: &File,
    system: &NewFileSystem<'_>,
    items: Option<&[Item]>,
    version: (u32, u32),
) -> Result<()> {
    let tears = version < COPIES_LARGE_FILES;
    let items = items.unwrap_or_default();
    let mut torn = None;
    let settled = inodes::visit(file, &mut |inode| {
        let number = usize::try_from(inode.owner()).unwrap_or(0);
        if let Some(item) = number.checked_sub(1).and_then(|number| items.get(number)) {
            inode.set_owner(item.owner, item.group);
            inode.set_permissions(item.permissions);
            inode.set_modified(item.modified);
            // They write the whole file behind the first of its extents, over whatever is there.
            if tears && item.size > 0 && inode.extents() > 1 {
                torn = torn.take().or(Some(item));
            }
        }
        inode.clamp_times(system.epoch);
    });
    // That can hit the inodes, too; only a file of about an allocation group's size does it.
    let largest = items.iter().max_by_key(|item| item.size);
    let suspect = largest.filter(|item| tears && item.size > system.size / (2 * GROUPS));
    let torn = torn.or(if settled.is_err() { suspect } else { None });
    if let Some(item) = torn {
        return Err(proto::refused(&item.path, "it is too large for one piece of the file system")
            .hint("Or give the file system a larger size."));
    }
    settled.context(Kind::Build, || format!("settling the XFS file system {}", system.label))
}

fn arguments(system: &NewFileSystem<'_>, version: (u32, u32)) -> Vec<OsString> {
    let since = |known, option: &'static str| if version >= known { option } else { "" };
    let (uuid, size) = (system.uuid, system.size);
    let metadata = since(KNOWS_BIGTIME, ",bigtime=0,inobtcount=0");
    let inodes = [since(KNOWS_NREXT64, ",nrext64=0"), since(KNOWS_PARENT, ",exchange=0")].concat();
    let names = since(KNOWS_PARENT, ",parent=0");
    let mut list: Vec<OsString> = ["-q", "-f", "-K"].map(OsString::from).to_vec();
    for (option, value) in [
        // Every option is named, so that the version and the host decide as little as can be.
        ("-b", "size=4096".to_owned()),
        ("-s", "size=512".to_owned()),
        ("-m", format!("uuid={uuid},crc=1,finobt=1,rmapbt=0,reflink=0{metadata}")),
        ("-d", format!("size={size},agcount={GROUPS}")),
        ("-i", format!("size={},sparse=0{inodes}", inodes::SIZE)),
        ("-n", format!("size=4096,ftype=1{names}")),
        ("-L", system.label.to_owned()),
    ] {
        list.extend([option.into(), value.into()]);
    }
    list
}

/// Reads the version out of what `mkfs.xfs -V` says, such as `mkfs.xfs version 6.1.0`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().last()?;
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Says in the user's words what mkfs.xfs says in its own.
fn explain(error: Error, label: &str) -> Error {
    // ENOSPC of errno(3), where the image has no room for a file.
    let said = |words: &str| error.tail_lines().iter().any(|line| line.contains(words));
    let image_is_full = said("No space left on device") || said("allocation failed");
    let error = error.within(format!("making the XFS file system {label}"));
    if image_is_full {
        error.hint(format!("Give {label} a larger size: its files do not fit."))
    } else {
        error
    }
}

#[cfg(test)]
mod tests;
