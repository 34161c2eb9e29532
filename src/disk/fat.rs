//! Makes FAT32 file systems, through `fatfs` and a pass over its result: the EFI system partition from files
//! in memory, others from a tree.
//!
//! A volume is made in memory, with all that is in it, before it goes to the disk.
//!
//! `fatfs` 0.3.6 gives `.` and `..` long names and lets `..` of a first-level directory point at the root's
//! cluster, which fsck.vfat and some firmware take for damage; and its entries have no date. One walk over
//! the directories puts both right (Microsoft's FAT specification 1.03, sections "Directory Structure" and
//! "Date and Time Formats").

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::source::Source;
use super::sparse::SparseMemory;
use crate::error::{Context, Error, Kind, Result};
use crate::units::{GIB, MIB};

mod tree;

/// The smallest volume: with clusters of 512 bytes it has the 65 525 that make it a FAT32.
pub const MINIMUM: u64 = 34 * MIB;

/// Bytes of a cluster in a volume up to a size; larger ones for larger volumes, as Microsoft's and everybody
/// else's tools have it. With 1 KiB a volume of 66 MiB already has the clusters of a FAT32.
const CLUSTERS: [(u64, u32); 5] =
    [(66 * MIB, 512), (260 * MIB, 1024), (8 * GIB, 4096), (16 * GIB, 8192), (32 * GIB, 16384)];
const LARGEST_CLUSTER: u32 = 32768;

/// Bytes of a directory entry.
const ENTRY: usize = 32;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
const FREE: u8 = 0xe5;
const DOT: &[u8; 11] = b".          ";
const DOT_DOT: &[u8; 11] = b"..         ";

/// Values of a FAT32 entry from here on end a chain.
const LAST_CLUSTER: u32 = 0x0fff_fff8;

/// A volume to be made.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// Volume id.
    pub id: u32,
    /// Label, at most 11 characters of ASCII.
    pub label: &'a str,
    /// Every date in it, seconds since 1970.
    pub epoch: i64,
}

/// Makes a volume of `size` bytes at `offset` of `raw`, which holds zeros there. `files` maps paths with
/// slashes between to contents; directories are made as they are needed.
///
/// # Errors
///
/// A build error where the volume is smaller than [`MINIMUM`], the files do not fit, the label is too long,
/// or writing fails.
pub fn write(
    raw: &File,
    offset: u64,
    size: u64,
    volume: Volume<'_>,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    make(raw, offset, size, volume, |root| fill(root, volume, files))
}

/// Makes a volume of `size` bytes at `offset` of `raw`, which holds zeros there, with what `source` holds.
/// Owners, modes and times are not kept: FAT has no room for the first two, and every date is the epoch.
///
/// # Errors
///
/// A build error as from [`write`], and where a file is none that FAT can hold: a link, a device, a name
/// with a colon.
pub fn write_tree(raw: &File, offset: u64, size: u64, volume: Volume<'_>, source: &Source<'_>) -> Result<()> {
    make(raw, offset, size, volume, |root| tree::copy(root, source))
}

/// The root directory of a volume in memory.
type Root<'a, 'b> = fatfs::Dir<'a, &'b mut SparseMemory>;

fn make(
    raw: &File,
    offset: u64,
    size: u64,
    volume: Volume<'_>,
    fill: impl FnOnce(&Root<'_, '_>) -> Result<()>,
) -> Result<()> {
    let doing = || format!("making the FAT file system {}", volume.label);
    let full = |error: Error| {
        // What fatfs says where no cluster is left.
        let is_full = error.causes().iter().any(|cause| cause.contains("No space left"));
        let error = error.within(doing());
        let hint = format!("Give {} a larger size: its files do not fit.", volume.label);
        if is_full { error.hint(hint) } else { error }
    };
    if size < MINIMUM {
        let needed = MINIMUM / MIB;
        return Err(Error::build(format!("{} is too small for a FAT32", volume.label))
            .hint(format!("Give it at least {needed} MiB.")));
    }
    let mut memory = SparseMemory::new(size);
    format(&mut memory, size, volume)?;
    let options = FsOptions::new().update_accessed_date(false);
    let system = FileSystem::new(&mut memory, options).context(Kind::Build, doing)?;
    fill(&system.root_dir()).map_err(full)?;
    // Counts the free clusters, which unmount then writes down: fsck.vfat misses the number otherwise.
    system.stats().context(Kind::Build, doing)?;
    system.unmount().context(Kind::Build, doing)?;
    let stamp = Stamp::new(volume.epoch)?;
    Walk::new(&mut memory, stamp).and_then(Walk::run).context(Kind::Build, doing)?;
    memory.copy_to(raw, offset).context(Kind::Build, doing)
}

fn format(memory: &mut SparseMemory, size: u64, volume: Volume<'_>) -> Result<()> {
    let mut label = [b' '; 11];
    let Some(room) = label.get_mut(..volume.label.len()).filter(|_| volume.label.is_ascii()) else {
        return Err(Error::build(format!("{} cannot be the label of a FAT volume", volume.label)));
    };
    room.copy_from_slice(volume.label.as_bytes());
    let cluster = CLUSTERS.iter().find(|(limit, _)| size < *limit);
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(cluster.map_or(LARGEST_CLUSTER, |(_, bytes)| *bytes))
        .volume_id(volume.id)
        .volume_label(label);
    fatfs::format_volume(memory, options)
        .context(Kind::Build, || format!("formatting the FAT file system {}", volume.label))
}

fn fill(root: &Root<'_, '_>, volume: Volume<'_>, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (path, content) in files {
        let doing = || format!("writing {path} to the FAT file system {}", volume.label);
        for (slash, _) in path.match_indices('/') {
            root.create_dir(&path[..slash]).context(Kind::Build, doing)?;
        }
        let mut file = root.create_file(path).context(Kind::Build, doing)?;
        file.write_all(content).and_then(|()| file.flush()).context(Kind::Build, doing)?;
    }
    Ok(())
}

/// Date and time of every entry.
#[derive(Clone, Copy)]
struct Stamp {
    date: [u8; 2],
    time: [u8; 2],
}

impl Stamp {
    /// FAT knows the years from 1980 to 2107; times outside become the nearest.
    fn new(epoch: i64) -> Result<Self> {
        let known = epoch.clamp(315_532_800, 4_354_819_198);
        let moment = jiff::Timestamp::from_second(known)
            .context(Kind::Build, || format!("dating files with {epoch}"))?
            .to_zoned(jiff::tz::TimeZone::UTC);
        let part = |value: i8, shift: u16| u16::from(value.unsigned_abs()) << shift;
        let years = moment.year().saturating_sub(1980).unsigned_abs();
        let date = (years << 9) | part(moment.month(), 5) | part(moment.day(), 0);
        let time = part(moment.hour(), 11) | part(moment.minute(), 5) | part(moment.second() / 2, 0);
        Ok(Stamp { date: date.to_le_bytes(), time: time.to_le_bytes() })
    }

    /// Dates one entry; a volume label has a time of writing only.
    fn apply(self, entry: &mut [u8; ENTRY]) {
        if entry[11] & ATTRIBUTE_LABEL == 0 {
            entry[13] = 0;
            entry[14..16].copy_from_slice(&self.time);
            entry[16..18].copy_from_slice(&self.date);
            entry[18..20].copy_from_slice(&self.date);
        }
        entry[22..24].copy_from_slice(&self.time);
        entry[24..26].copy_from_slice(&self.date);
    }
}

/// The walk over all directories.
struct Walk<'a> {
    memory: &'a mut SparseMemory,
    stamp: Stamp,
    cluster_bytes: u64,
    fat_start: u64,
    data_start: u64,
    root: u32,
    /// How many clusters may still be visited: a chain that runs in a circle ends here.
    budget: u64,
}

impl<'a> Walk<'a> {
    /// Reads what the boot sector says of the volume.
    fn new(memory: &'a mut SparseMemory, stamp: Stamp) -> std::io::Result<Self> {
        let mut boot = [0; 64];
        memory.read_at(0, &mut boot)?;
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]);
        let sector = word(11);
        let fat_start = word(14) * sector;
        let fats = u64::from(boot[16]) * u64::from(long(36)) * sector;
        Ok(Walk {
            memory,
            stamp,
            cluster_bytes: u64::from(boot[13]) * sector,
            fat_start,
            data_start: fat_start + fats,
            root: long(44),
            budget: u64::from(long(36)) * sector / 4,
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut open = vec![(self.root, None)];
        while let Some((cluster, parent)) = open.pop() {
            open.extend(self.directory(cluster, parent)?);
        }
        Ok(())
    }

    /// Puts one directory right; returns its subdirectories with the parent that their `..` names, which is
    /// 0 for the root. The root itself has no parent.
    fn directory(&mut self, first: u32, parent: Option<u32>) -> std::io::Result<Vec<(u32, Option<u32>)>> {
        let mut subdirectories = Vec::new();
        let own_number = if parent.is_none() { 0 } else { first };
        let mut cluster = first;
        loop {
            let start = self.cluster_offset(cluster)?;
            let mut entries = vec![[0; ENTRY]; usize::try_from(self.cluster_bytes).unwrap_or(0) / ENTRY];
            for (entry, offset) in entries.iter_mut().zip((start..).step_by(ENTRY)) {
                self.memory.read_at(offset, entry)?;
            }
            if let (Some(parent), true) = (parent, cluster == first) {
                mend_dots(&mut entries, parent)?;
            }
            for entry in entries.iter_mut().filter(|entry| is_dated(entry)) {
                self.stamp.apply(entry);
                if entry[11] & ATTRIBUTE_DIRECTORY != 0 && entry[0] != b'.' {
                    subdirectories.push((first_cluster(entry), Some(own_number)));
                }
            }
            for (entry, offset) in entries.iter().zip((start..).step_by(ENTRY)) {
                self.memory.write_at(offset, entry)?;
            }
            match self.next_cluster(cluster)? {
                Some(next) => cluster = next,
                None => return Ok(subdirectories),
            }
        }
    }

    fn cluster_offset(&mut self, cluster: u32) -> std::io::Result<u64> {
        let budget = self.budget.checked_sub(1);
        self.budget = budget.ok_or_else(|| damaged("its directories run in a circle"))?;
        let number = cluster.checked_sub(2).ok_or_else(|| damaged("a directory has no cluster"))?;
        Ok(self.data_start + u64::from(number) * self.cluster_bytes)
    }

    fn next_cluster(&mut self, cluster: u32) -> std::io::Result<Option<u32>> {
        let mut bytes = [0; 4];
        self.memory.read_at(self.fat_start + 4 * u64::from(cluster), &mut bytes)?;
        let next = u32::from_le_bytes(bytes) & 0x0fff_ffff;
        Ok((next < LAST_CLUSTER).then_some(next))
    }
}

/// Moves `.` and `..` from behind their long names to the front, and lets `..` name the parent.
fn mend_dots(entries: &mut [[u8; ENTRY]], parent: u32) -> std::io::Result<()> {
    let [first, second, third, fourth, ..] = entries else { return Err(damaged("a cluster is too small")) };
    if !second.starts_with(DOT) || !fourth.starts_with(DOT_DOT) {
        return Err(damaged("a directory does not begin as fatfs 0.3.6 begins them"));
    }
    *first = *second;
    *second = *fourth;
    let [low_0, low_1, high_0, high_1] = parent.to_le_bytes();
    second[26..28].copy_from_slice(&[low_0, low_1]);
    second[20..22].copy_from_slice(&[high_0, high_1]);
    for entry in [third, fourth] {
        *entry = [0; ENTRY];
        entry[0] = FREE;
    }
    Ok(())
}

fn is_dated(entry: &[u8; ENTRY]) -> bool {
    entry[0] != 0 && entry[0] != FREE && entry[11] & 0x3f != ATTRIBUTE_LONG_NAME
}

fn first_cluster(entry: &[u8; ENTRY]) -> u32 {
    u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]])
}

fn damaged(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::disk::tests::output_of;

    const SIZE: u64 = 100 << 20;
    const VOLUME: Volume<'static> = Volume { id: 0x1234_abcd, label: "ESP", epoch: 1_700_000_000 };

    fn files() -> BTreeMap<String, Vec<u8>> {
        let many = (0..70).map(|n| (format!("EFI/many/a rather long name of file {n}.efi"), vec![n; 1500]));
        let named = [("EFI/BOOT/BOOTX64.EFI", vec![7; 900_000]), ("EFI/debian/grub.cfg", b"x\n".to_vec())];
        many.chain(named.map(|(path, content)| (path.to_owned(), content))).collect()
    }

    fn written(volume: Volume<'_>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        write(file.as_file(), 0, SIZE, volume, &files()).unwrap();
        file
    }

    #[test]
    fn fsck_finds_nothing() {
        if let Some(text) = output_of("fsck.vfat", &["-n", "-v"], written(VOLUME).path()) {
            assert!(!text.contains("uninitialized"), "{text}");
        }
    }

    #[test]
    fn contents_and_dates_are_read_back() {
        let mut file = written(VOLUME);
        let system = FileSystem::new(file.as_file_mut(), FsOptions::new()).unwrap();
        assert_eq!(system.fat_type(), FatType::Fat32);
        assert_eq!(system.volume_id(), VOLUME.id);
        for (path, content) in files() {
            let mut read = Vec::new();
            system.root_dir().open_file(&path).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, content);
        }
        for entry in system.root_dir().open_dir("EFI").unwrap().iter() {
            let modified = entry.unwrap().modified();
            let (date, time) = (modified.date, modified.time);
            assert_eq!((date.year, date.month, date.day), (2023, 11, 14));
            assert_eq!((time.hour, time.min, time.sec), (22, 13, 20));
        }
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let [one, other] = [written(VOLUME), written(VOLUME)].map(|file| std::fs::read(file.path()).unwrap());
        assert!(one == other);
    }

    #[test]
    fn times_that_fat_does_not_know_become_the_nearest() {
        assert_eq!(Stamp::new(0).unwrap().date, [0x21, 0]);
        assert_eq!(Stamp::new(i64::MAX).unwrap().date, Stamp::new(4_354_819_198).unwrap().date);
    }

    #[test]
    fn volumes_of_every_size_are_clean() {
        for size in [MINIMUM, 65 * MIB, 66 * MIB, 260 * MIB, 8 * GIB, 16 * GIB, 32 * GIB] {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(size).unwrap();
            let files = BTreeMap::from([("a/b".to_owned(), vec![1; 100_000])]);
            write(file.as_file(), 0, size, VOLUME, &files).unwrap();
            if let Some(text) = output_of("fsck.vfat", &["-n", "-v"], file.path()) {
                assert!(
                    text.contains("32 bits per FAT") || text.contains("32 bit entries"),
                    "{size}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_tree_is_copied() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("a/deep directory")).unwrap();
        std::fs::write(tree.path().join("a/deep directory/Größe.txt"), "content").unwrap();
        std::fs::write(tree.path().join("empty"), "").unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        let source = Source { tree: tree.path(), hidden: &[], hide: None };
        write_tree(file.as_file(), 0, SIZE, VOLUME, &source).unwrap();
        output_of("fsck.vfat", &["-n"], file.path());
        let system = FileSystem::new(file.as_file_mut(), FsOptions::new()).unwrap();
        let mut text = String::new();
        let mut read = system.root_dir().open_file("a/deep directory/Größe.txt").unwrap();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(system.root_dir().iter().count(), 2);

        std::fs::write(tree.path().join("EMPTY"), "").unwrap();
        let error = write_tree(&tempfile::tempfile().unwrap(), 0, SIZE, VOLUME, &source).unwrap_err();
        assert!(error.to_string().contains("empty cannot go"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let files = BTreeMap::from([("large".to_owned(), vec![1; 70 << 20])]);
        let error = write(&file, 0, 68 << 20, VOLUME, &files).unwrap_err();
        assert!(matches!(error.hints(), [hint] if hint.contains("do not fit")), "{error:?}");
        assert!(write(&file, 0, MINIMUM - 1, VOLUME, &BTreeMap::new()).is_err());
        let volume = Volume { label: "twelve chars", ..VOLUME };
        assert!(write(&file, 0, SIZE, volume, &BTreeMap::new()).is_err());
    }
}
