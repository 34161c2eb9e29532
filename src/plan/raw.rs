//! `--raw`: disks that are written onto files or block devices which are there already, in place of new
//! images. The n-th one named is the machine's disk n.
//!
//! What is on them is lost, so everything that speaks against it is looked for before anything is built:
//! [`look`] asks [`in_use`](crate::host::in_use) who uses them, and refuses what holds something, unless
//! --overwrite was given.

use std::fs::Metadata;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Disk;
use super::request::Request;
use crate::appliance::Appliance;
use crate::error::{Context, Error, Kind, Result};
use crate::host::extents;
use crate::host::in_use::{self, Identity};
use crate::host::run::Runner;
use crate::host::tools;
use crate::hypervisor::libvirt::can_name;
use crate::units::{MIB, Size};

/// The program that knows what file systems and partition tables look like.
const BLKID: &str = "blkid";

/// blkid's exit code where it knows nothing of what it sees (blkid(8), "EXIT CODE").
const NOTHING_KNOWN: i32 = 2;

/// Sizes of disks are counted in these (see [`crate::disk::gpt::SECTOR`]).
const SECTOR: u64 = crate::disk::gpt::SECTOR;

/// How much is read to see whether a place is empty: whatever format it has begins there.
const LOOKED_AT: u64 = MIB;

/// The smallest disk that is worth a try.
const SMALLEST: Size = Size::mib(512);

/// A file or block device that a disk is written onto.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawDisk {
    /// Its path, absolute, as the user named it.
    pub path: PathBuf,
    /// Whether it is a block device.
    pub is_device: bool,
    /// Its size, which the disk takes all of; zero for a file without content, which gets the disk's.
    pub size: Size,
    /// What was looked at, in the process that made the plan; nothing else knows it.
    #[serde(skip)]
    pub identity: Identity,
}

/// Looks at the files and devices that the user named; every problem goes to `note`.
pub(super) fn look(
    appliance: &Appliance,
    request: &Request<'_>,
    destination: Option<&Path>,
    runner: &Runner,
    note: &mut impl FnMut(Error),
) -> Vec<RawDisk> {
    let wanted = &appliance.disks.raw;
    if wanted.is_empty() {
        return Vec::new();
    }
    if appliance.tree.only {
        note(
            Error::config("--only-chroot makes no disk that --raw could take")
                .hint("Leave out --raw or --only-chroot."),
        );
        return Vec::new();
    }
    if tools::find(BLKID).is_none() {
        note(tools::missing(BLKID));
        return Vec::new();
    }
    // What the disks are called decides nothing about their sizes.
    let planned = request.storage.plan(request.suite, &request.architecture, ("", ""), Uuid::nil());
    match planned {
        Ok(disks) => {
            let sizes: Vec<Size> = disks.iter().map(|disk| disk.size).collect();
            look_at(wanted, &sizes, destination, appliance.places.overwrite, runner, note)
        }
        Err(error) => {
            note(error);
            Vec::new()
        }
    }
}

/// Looks at what is `wanted` for disks of these sizes.
fn look_at(
    wanted: &[PathBuf],
    needed: &[Size],
    destination: Option<&Path>,
    overwrite: bool,
    runner: &Runner,
    note: &mut impl FnMut(Error),
) -> Vec<RawDisk> {
    if wanted.len() > needed.len() {
        let (count, disks) = (wanted.len(), needed.len());
        note(
            Error::config(format!("--raw is given {count} times, and the machine has {disks} disks"))
                .hint("Leave out those that are too many: the n-th --raw is the machine's n-th disk."),
        );
    }
    let mut found: Vec<(RawDisk, Metadata)> = Vec::new();
    for (number, path) in wanted.iter().enumerate() {
        let answer = find(path, destination).and_then(|(raw, metadata)| {
            is_another(&found, &raw, &metadata)?;
            is_large_enough(&raw, needed.get(number).copied())?;
            in_use::check(&raw.path, &metadata).map_err(|error| {
                error.within(format!("--raw {} cannot be written to", raw.path.display()))
            })?;
            if !overwrite {
                holds_nothing(&raw, runner)?;
            }
            Ok((raw, metadata))
        });
        match answer {
            Ok(good) => found.push(good),
            Err(error) => note(error),
        }
    }
    found.into_iter().map(|(raw, _)| raw).collect()
}

/// Lets the disks go where `raws` says: their size is then that of the file or device, whose end is the place
/// of the backup of the partition table.
pub(super) fn apply(raws: &[RawDisk], disks: &mut [Disk]) {
    for (raw, disk) in raws.iter().zip(disks) {
        disk.image = raw.path.display().to_string();
        if raw.size > disk.size {
            disk.size = raw.size;
        }
    }
}

/// What is at a path: a file or a block device that may be read and written.
fn find(path: &Path, destination: Option<&Path>) -> Result<(RawDisk, Metadata)> {
    let context = || format!("looking at --raw {}", path.display());
    let absolute = std::path::absolute(path).context(Kind::Config, context)?;
    if !can_name(&absolute) {
        return Err(Error::config(format!(
            "--raw {} has a character in its path that cannot be named",
            path.display()
        ))
        .hint("Name a path of UTF-8 without control characters, such as that of a link to it."));
    }
    let metadata = match std::fs::metadata(&absolute) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::config(format!("--raw {} is not there", path.display())).hint(format!(
                "Name a file or block device that exists: `truncate -s 0 {}` makes a file, which then gets the disk's size.",
                path.display()
            )));
        }
        found => found.context(Kind::Config, context)?,
    };
    let is_device = metadata.file_type().is_block_device();
    if !is_device && !metadata.is_file() {
        return Err(Error::config(format!("--raw {} is neither a file nor a block device", path.display()))
            .hint("A partition table is written to a whole disk, a logical volume or a file."));
    }
    let real = absolute.canonicalize().context(Kind::Config, context)?;
    if destination.is_some_and(|destination| real.starts_with(destination)) {
        return Err(Error::config(format!("--raw {} is in the destination", path.display()))
            .hint("The destination is replaced as a whole: name another one with --destdir."));
    }
    rustix::fs::access(&absolute, Access::READ_OK | Access::WRITE_OK)
        .context(Kind::Config, || format!("reading and writing --raw {}", path.display()))
        .map_err(|error| match is_device {
            true => error.hint("Block devices belong to root and the group disk: run rvmb as one of them."),
            false => error,
        })?;
    let file = std::fs::File::open(&absolute).context(Kind::Config, context)?;
    let size = in_use::size(&file).context(Kind::Config, context)?;
    // A few bytes are no file without content.
    let size = if size < SECTOR { size } else { size - size % SECTOR };
    let identity = Identity::of(&metadata);
    Ok((RawDisk { path: absolute, is_device, size: Size(size), identity }, metadata))
}

/// Whether it is another one than those before, and not a part of them.
fn is_another(found: &[(RawDisk, Metadata)], raw: &RawDisk, metadata: &Metadata) -> Result<()> {
    for (other, its) in found {
        let same = match (raw.is_device, other.is_device) {
            (true, true) => in_use::overlap(metadata.rdev(), its.rdev()),
            (false, false) => (metadata.dev(), metadata.ino()) == (its.dev(), its.ino()),
            _ => false,
        };
        if same {
            let (one, two) = (other.path.display(), raw.path.display());
            return Err(Error::config(format!("--raw {one} and --raw {two} are the same place"))
                .hint("Each disk needs a place of its own."));
        }
    }
    Ok(())
}

/// Whether a disk of that size fits.
fn is_large_enough(raw: &RawDisk, needed: Option<Size>) -> Result<()> {
    let needed = needed.unwrap_or(Size(0));
    let grows = raw.size.bytes() == 0 && !raw.is_device;
    if grows || raw.size >= needed {
        return Ok(());
    }
    let (path, size) = (raw.path.display(), raw.size);
    // What is left beside boot partitions and swap is too small for a system below this.
    let cure = match size >= SMALLEST {
        true => format!(
            "Plan a smaller disk, such as with --size {}m, or name a larger place.",
            size.bytes() / MIB
        ),
        false => "Name a larger place.".to_owned(),
    };
    Err(Error::config(format!("--raw {path} has {size}, and the disk needs {needed}")).hint(cure))
}

/// Whether nothing is on it that somebody could miss.
///
/// # Errors
///
/// [`Kind::Config`] where there is something, with what it is.
pub(crate) fn holds_nothing(raw: &RawDisk, runner: &Runner) -> Result<()> {
    let path = &raw.path;
    let context = || format!("looking at --raw {}", path.display());
    if !raw.is_device && std::fs::metadata(path).context(Kind::Config, context)?.len() == 0 {
        return Ok(());
    }
    let known = runner.command(BLKID).args(["--probe", "--output", "export"]).arg(path).outcome()?;
    let what = match known.status.code() {
        Some(NOTHING_KNOWN) if has_content(raw)? => "data".to_owned(),
        Some(NOTHING_KNOWN) => return Ok(()),
        _ => parse_probe(&known.stdout),
    };
    Err(Error::config(format!("--raw {} holds {what}", path.display()))
        .hint("--overwrite allows to write over it; what is on it is lost."))
}

/// What blkid found, in words. Where it found several things at once it names none.
fn parse_probe(text: &str) -> String {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match (field("PTTYPE"), field("TYPE")) {
        (Some(kind), _) => format!("a partition table ({kind})"),
        (None, Some(kind)) => format!("a file system or the like ({kind})"),
        (None, None) => "a partition table or file system".to_owned(),
    }
}

/// Whether a file holds something else than zeros, or a device begins with it.
fn has_content(raw: &RawDisk) -> Result<bool> {
    let context = || format!("reading --raw {}", raw.path.display());
    let mut file = std::fs::File::open(&raw.path).context(Kind::Config, context)?;
    let mut block = vec![0; usize::try_from(LOOKED_AT).unwrap_or(1 << 20)];
    let looked_at = match raw.is_device {
        true => LOOKED_AT,
        false => file.metadata().context(Kind::Config, context)?.len(),
    };
    for part in extents::of(&file, looked_at).context(Kind::Config, context)? {
        let mut left = part.end - part.start;
        file.seek(SeekFrom::Start(part.start)).context(Kind::Config, context)?;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
            let count = file.read(&mut block[..wanted]).context(Kind::Config, context)?;
            if block[..count].iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            if count == 0 {
                break;
            }
            left -= count as u64;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
