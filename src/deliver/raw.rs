//! Files and block devices that are there already: a finished disk is written onto them.
//!
//! The worker leaves such a disk beside the other results, whole. Before anything is put into its place,
//! [`open`] looks whether each of these is still what the plan has looked at, and takes it; only when the
//! results are there does [`write`] write onto it, in one go. What was there before must
//! not shine through: where the disk has holes, the place is made to read as zeros, for file systems are
//! made with the promise that what they have not written is zero.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;
use crate::host::extents;
use crate::host::in_use::{self, Identity};
use crate::host::run::Runner;
use crate::plan::{self, Plan, RawDisk};
use crate::units::{MIB, Size};

/// Bytes that are copied at once.
const BLOCK: u64 = MIB;

/// How much of a device's end is made zero in any case: there RAID, LVM and ZFS keep what they know their
/// devices by, which would be found again in a partition that grows up to there.
const TAIL: u64 = 64 * MIB;

/// The name under which the worker leaves the disk of that number.
pub fn name(number: usize) -> String {
    format!("disk{number}.raw")
}

/// Takes the places for the disks in `partial`, for this process alone. What was looked at when the plan was
/// made, is looked at again: a build takes minutes, and paths may lead elsewhere by now.
///
/// # Errors
///
/// [`Kind::Delivery`] where a place is another one, is used, or holds something by now; all are as they were.
pub fn open(plan: &Plan, partial: &Path, runner: &Runner) -> Result<Vec<File>> {
    let places = plan.output.raws.iter().enumerate();
    let opened = places.map(|(number, raw)| {
        let needed = partial.join(name(number)).metadata();
        let needed = needed.context(Kind::Delivery, || format!("looking at the disk {}", name(number)))?;
        open_one(raw, needed.len(), plan.output.overwrite, runner).map_err(|error| {
            error.of(Kind::Delivery).within(format!("--raw {} was not written to", raw.path.display()))
        })
    });
    opened.collect()
}

/// Takes the place for a disk of `size` bytes.
fn open_one(raw: &RawDisk, size: u64, overwrite: bool, runner: &Runner) -> Result<File> {
    let path = raw.path.display();
    let context = || format!("looking at {path}");
    in_use::check(&raw.path, &raw.path.metadata().context(Kind::Delivery, context)?)?;
    let file = in_use::open(&raw.path)?;
    if Identity::of(&file.metadata().context(Kind::Delivery, context)?) != raw.identity {
        return Err(Error::new(Kind::Delivery, format!("{path} became another file or device meanwhile"))
            .hint("Run the command again, if it is still the one that you mean."));
    }
    if !overwrite {
        plan::holds_nothing(raw, runner)?;
    }
    let room = in_use::size(&file).context(Kind::Delivery, context)?;
    if room < size && (raw.is_device || room > 0) {
        return Err(Error::new(
            Kind::Delivery,
            format!("{path} became smaller meanwhile: it has {}, and the disk {}", Size(room), Size(size)),
        ));
    }
    Ok(file)
}

/// Writes the disks in `directory` onto their places, which [`open`] has taken, and removes them from there.
///
/// # Errors
///
/// [`Kind::Delivery`]. The place where writing failed holds a part of a disk, and the disk is in `directory`.
pub fn write(plan: &Plan, places: Vec<File>, directory: &Path, runner: &Runner) -> Result<()> {
    let disks = plan.output.raws.iter().zip(&plan.disks);
    for (number, (target, (raw, disk))) in places.into_iter().zip(disks).enumerate() {
        let text = format!("writing {} onto {}", disk.size, raw.path.display());
        runner.sink().emit(Event::Info { text });
        let from = directory.join(name(number));
        let used = disk.partitions.iter().map(|partition| partition.start + partition.size.bytes()).max();
        write_one(&from, raw, &target, used.unwrap_or(0)).map_err(|error| {
            error.hint(format!("The disk is whole in {}: it can be copied from there.", from.display()))
        })?;
        std::fs::remove_file(&from).context(Kind::Delivery, || format!("removing {}", from.display()))?;
    }
    Ok(())
}

/// Writes the disk in the file `from`, whose partitions end at `used`, onto `target`, which `raw` leads to.
fn write_one(from: &Path, raw: &RawDisk, target: &File, used: u64) -> Result<()> {
    let reading = || format!("reading {}", from.display());
    let source = File::open(from).context(Kind::Delivery, reading)?;
    let size = source.metadata().context(Kind::Delivery, reading)?.len();
    let context = || format!("writing the disk onto {}, which holds a part of it now", raw.path.display());
    let extents = extents::of(&source, size).context(Kind::Delivery, reading)?;
    let free = used..size.saturating_sub(TAIL);
    let written = || -> io::Result<()> {
        if !raw.is_device && in_use::size(target)? == 0 {
            target.set_len(size)?;
        }
        for hole in holes(&extents, size) {
            let (before, unused, behind) = split(&hole, &free);
            clear(target, before)?;
            clear(target, behind)?;
            // No file system reads there before it has written there.
            let _ = punch(target, &unused);
        }
        for extent in extents {
            copy(&source, target, extent)?;
        }
        target.sync_all()
    };
    written().context(Kind::Delivery, context)
}

/// What lies between extents, in their order.
fn holes(extents: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let starts = std::iter::once(0).chain(extents.iter().map(|extent| extent.end));
    let ends = extents.iter().map(|extent| extent.start).chain([size]);
    starts.zip(ends).map(|(start, end)| start..end).filter(|hole| !hole.is_empty()).collect()
}

/// The parts of `hole` before `free`, in it, and behind it.
fn split(hole: &Range<u64>, free: &Range<u64>) -> (Range<u64>, Range<u64>, Range<u64>) {
    if free.is_empty() {
        return (hole.clone(), hole.end..hole.end, hole.end..hole.end);
    }
    let first = free.start.clamp(hole.start, hole.end);
    let second = free.end.clamp(first, hole.end);
    (hole.start..first, first..second, second..hole.end)
}

/// Makes a range read as zeros: without writing where file system or device can, by the kernel where the
/// device cannot, by hand else.
fn clear(target: &File, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let unknown = |error: &Errno| matches!(*error, Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS);
    match punch(target, &range) {
        Err(error) if unknown(&error) => {}
        punched => return Ok(punched?),
    }
    match fallocate(target, FallocateFlags::ZERO_RANGE, range.start, range.end - range.start) {
        Err(error) if unknown(&error) => write_zeros(target, range),
        zeroed => Ok(zeroed?),
    }
}

/// Takes away what backs a range. On a device the kernel does it only where zeros are read afterwards
/// (fallocate(2) of block devices, block/fops.c, `blkdev_fallocate`).
fn punch(target: &File, range: &Range<u64>) -> Result<(), Errno> {
    if range.is_empty() {
        return Ok(());
    }
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(target, how, range.start, range.end - range.start)
}

fn write_zeros(target: &File, range: Range<u64>) -> io::Result<()> {
    let zeros = vec![0; to_usize(BLOCK)];
    blocks(range)
        .try_for_each(|block| target.write_all_at(&zeros[..to_usize(block.end - block.start)], block.start))
}

fn copy(source: &File, target: &File, extent: Range<u64>) -> io::Result<()> {
    let mut memory = vec![0; to_usize(BLOCK)];
    blocks(extent).try_for_each(|block| {
        let bytes = &mut memory[..to_usize(block.end - block.start)];
        source.read_exact_at(bytes, block.start)?;
        target.write_all_at(bytes, block.start)
    })
}

/// A range in pieces of [`BLOCK`] at most.
fn blocks(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let step = to_usize(BLOCK);
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + BLOCK).min(end))
}

/// No block is larger than memory.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    const SIZE: u64 = 8 * MIB;

    /// A disk of 8 MiB with holes, and a byte at each of `places`.
    fn disk(places: &[u64]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        places.iter().for_each(|place| file.as_file().write_all_at(b"x", *place).unwrap());
        file
    }

    /// The place that a path leads to now.
    fn raw(path: &Path, size: u64) -> RawDisk {
        let metadata = path.metadata().unwrap();
        let is_device = !metadata.is_file();
        RawDisk { path: path.to_owned(), is_device, size: Size(size), identity: Identity::of(&metadata) }
    }

    fn runner() -> Runner {
        Runner::new(std::sync::Arc::new(crate::event::Silent))
    }

    #[test]
    fn nothing_of_what_was_there_shines_through() {
        let places = [0, MIB + 5, 5 * MIB, SIZE - 1];
        let source = disk(&places);
        for old in [SIZE, 0, SIZE + 300] {
            let target = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(target.path(), vec![7; to_usize(old)]).unwrap();
            let raw = raw(target.path(), old);
            let place = open_one(&raw, SIZE, true, &runner()).unwrap();
            write_one(source.path(), &raw, &place, 6 * MIB).unwrap();
            let found = std::fs::read(target.path()).unwrap();
            let wanted = std::fs::read(source.path()).unwrap();
            assert!(found[..to_usize(SIZE)] == wanted, "a file of {old} bytes");
            assert_eq!(found.len() as u64, old.max(SIZE));
        }
    }

    /// A file as a block device, while it lives; none where this kernel gives none.
    struct Loop(crate::host::run::Runner, String);

    impl Loop {
        fn over(file: &Path) -> Option<Loop> {
            let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
            let made = runner.command("losetup").args(["--find", "--show"]).arg(file).output();
            made.ok().map(|name| Loop(runner, name.trim().to_owned()))
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            self.0.command("losetup").args(["--detach", &self.1]).run().unwrap();
        }
    }

    #[test]
    fn nothing_of_what_was_on_a_device_shines_through() {
        if !crate::testing::is_root() || !crate::testing::has("losetup") {
            return;
        }
        let source = disk(&[0, MIB + 5, 5 * MIB, SIZE - 1]);
        let target = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(target.path(), vec![7; to_usize(SIZE + 512)]).unwrap();
        let Some(device) = Loop::over(target.path()) else {
            crate::testing::skipped("this kernel gives no loop device");
            return;
        };
        let path = Path::new(&device.1);
        let metadata = path.metadata().unwrap();
        in_use::check(path, &metadata).unwrap();
        assert_eq!(in_use::size(&File::open(path).unwrap()).unwrap(), SIZE + 512);
        let error = in_use::check(target.path(), &target.path().metadata().unwrap()).unwrap_err();
        assert!(error.message().ends_with(&format!("is attached to {}", device.1)), "{error}");
        let exclusively = rustix::fs::OFlags::EXCL.bits().cast_signed();
        let taken = File::options().read(true).custom_flags(exclusively).open(path).unwrap();
        let error = in_use::check(path, &metadata).unwrap_err();
        assert!(error.message().contains("is used by the kernel"), "{error}");
        drop(taken);

        let raw = raw(path, SIZE + 512);
        let error = open_one(&raw, SIZE, false, &runner()).unwrap_err();
        assert!(error.message().ends_with("holds data"), "{error}");
        let place = open_one(&raw, SIZE, true, &runner()).unwrap();
        write_one(source.path(), &raw, &place, 6 * MIB).unwrap();
        let found = std::fs::read(path).unwrap();
        assert!(found[..to_usize(SIZE)] == std::fs::read(source.path()).unwrap());
        assert!(found[to_usize(SIZE)..].iter().all(|byte| *byte == 7), "what is no part of the disk stays");
    }

    #[test]
    fn what_became_too_small_stays_as_it_was() {
        let target = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(target.path(), "precious").unwrap();
        let raw = raw(target.path(), SIZE);
        let error = open_one(&raw, SIZE, true, &runner()).unwrap_err();
        assert!(error.kind() == Kind::Delivery && error.message().contains("became smaller"), "{error}");
        assert_eq!(std::fs::read(target.path()).unwrap(), b"precious");
    }

    #[test]
    fn what_became_another_file_or_holds_something_by_now_is_refused() {
        let room = tempfile::tempdir().unwrap();
        let [place, other] = ["place", "other"].map(|name| room.path().join(name));
        File::create(&place).unwrap();
        let raw = raw(&place, 0);
        drop(open_one(&raw, SIZE, false, &runner()).unwrap());
        if crate::testing::has("blkid") {
            std::fs::write(&place, vec![b'x'; to_usize(SIZE)]).unwrap();
            let error = open_one(&raw, SIZE, false, &runner()).unwrap_err();
            assert!(error.message().ends_with("holds data"), "{error}");
        }
        File::create(&other).unwrap();
        std::fs::rename(&other, &place).unwrap();
        let error = open_one(&raw, SIZE, true, &runner()).unwrap_err();
        assert!(error.message().contains("became another"), "{error}");
    }

    #[test]
    fn zeros_are_written_where_nothing_else_helps() {
        let target = tempfile::tempfile().unwrap();
        target.write_all_at(&[7; 4096], 0).unwrap();
        write_zeros(&target, 1..4095).unwrap();
        let mut found = [1; 4096];
        target.read_exact_at(&mut found, 0).unwrap();
        assert!(found[0] == 7 && found[4095] == 7 && found[1..4095].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn holes_are_what_extents_leave() {
        assert_eq!(holes(&[0..2, 4..6], 8), [2..4, 6..8]);
        assert_eq!(holes(&[1..3, 3..7], 8), [0..1, 7..8]);
        assert_eq!(holes(&[0..3, 3..8], 8), []);
        assert_eq!(split(&(2..10), &(4..6)), (2..4, 4..6, 6..10));
        assert_eq!(split(&(2..10), &(0..3)), (2..2, 2..3, 3..10));
        assert_eq!(split(&(2..10), &(12..14)), (2..10, 10..10, 10..10));
        let all = split(&(2..10), &std::ops::Range { start: 9, end: 4 });
        assert_eq!(all.0, 2..10);
    }
}
