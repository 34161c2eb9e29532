//! Files of an ISO 9660 image, read without mounting it: ECMA-119, 4th edition.
//!
//! Names are of no interest here. Extensions (Rock Ridge, Joliet) add names to the same data, so that the
//! primary directory tree leads to every file. The image may be hostile: every number is checked against a
//! bound before it is used. Extents of an honest image do not overlap, so that no more is ever read, of all
//! directories and files together, than the image has; what stands in it by several names is read once.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Size of a sector (6.1.2).
const SECTOR: u64 = 2048;

/// The first volume descriptor (6.3).
const FIRST_DESCRIPTOR: u64 = 16;

/// More descriptors than any image has.
const MOST_DESCRIPTORS: u64 = 64;

/// What every volume descriptor has after its type (8.1.2).
const IDENTIFIER: &[u8] = b"CD001";

/// Types of volume descriptors (8.1.1).
const PRIMARY: u8 = 1;
const TERMINATOR: u8 = 255;

/// Where the primary descriptor has the size of a block (8.4.13) and the root's directory record (8.4.18).
const BLOCK_SIZE: usize = 128;
const ROOT: usize = 156;

/// Length of a directory record without its name (9.1).
const RECORD: usize = 33;

/// File flags (9.1.6): a directory; more extents of the same file follow.
const DIRECTORY: u8 = 1 << 1;
const MULTI_EXTENT: u8 = 1 << 7;

/// The largest directory that is read; ten thousand entries take less than 2 MiB.
const LARGEST_DIRECTORY: u64 = 16 << 20;

/// More files and directories than a medium with a whole distribution has.
const MOST_ENTRIES: usize = 1_000_000;

/// Whether a file is an ISO 9660 image.
pub fn is_one(file: &mut File) -> io::Result<bool> {
    let mut head = [0; 6];
    match file.read_exact_at(&mut head, FIRST_DESCRIPTOR * SECTOR) {
        Ok(()) => Ok(head.get(1..) == Some(IDENTIFIER)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Hands over every file: its size, and its content to be read. Files of several extents, which are larger
/// than 4 GiB, are left out.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] for an image that contradicts itself, and the caller's own errors.
pub fn each_file(image: &File, each: &mut dyn FnMut(u64, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let (block, root) = primary(image)?;
    let image = Image::of(image, block)?;
    let mut directories = BTreeSet::from([root.start]);
    let mut files = BTreeSet::new();
    let mut waiting = vec![root];
    let mut count: usize = 0;
    while let Some(directory) = waiting.pop() {
        for entry in entries(&image, &directory)? {
            count += 1;
            if count > MOST_ENTRIES {
                return Err(broken("it has more files than any medium"));
            }
            if entry.flags & MULTI_EXTENT != 0 {
                continue;
            }
            if entry.flags & DIRECTORY != 0 {
                if directories.insert(entry.start) {
                    waiting.push(entry);
                }
            } else if files.insert((entry.start, entry.size)) {
                each(entry.size, &mut image.content(&entry))?;
            }
        }
    }
    Ok(())
}

/// An image, and how much of it may still be read.
struct Image<'a> {
    file: &'a File,
    block: u64,
    left: Cell<u64>,
}

impl<'a> Image<'a> {
    fn of(file: &'a File, block: u64) -> io::Result<Self> {
        // A device has no size but the place of its end.
        let mut end = file;
        Ok(Image { file, block, left: Cell::new(end.seek(SeekFrom::End(0))?) })
    }

    fn content(&self, entry: &Entry) -> impl Read {
        At { image: self, position: entry.start * self.block }.take(entry.size)
    }
}

/// A file or a directory.
#[derive(Debug)]
struct Entry {
    /// Number of its first block.
    start: u64,
    /// Bytes.
    size: u64,
    flags: u8,
}

/// The size of a block, and the root directory.
fn primary(image: &File) -> io::Result<(u64, Entry)> {
    for number in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
        let mut descriptor = vec![0; SECTOR as usize];
        image.read_exact_at(&mut descriptor, number * SECTOR)?;
        if descriptor.get(1..6) != Some(IDENTIFIER) {
            return Err(broken("a volume descriptor has no identifier"));
        }
        match descriptor.first() {
            Some(&PRIMARY) => {
                let block = u64::from(number_16(&descriptor, BLOCK_SIZE)?);
                if !(512..=SECTOR).contains(&block) || !block.is_power_of_two() {
                    return Err(broken("its blocks are of no possible size"));
                }
                let record = descriptor.get(ROOT..).unwrap_or_default();
                return Ok((block, entry(record)?));
            }
            Some(&TERMINATOR) => break,
            _ => {}
        }
    }
    Err(broken("it has no primary volume descriptor"))
}

/// What is in a directory, but for itself and its parent.
fn entries(image: &Image<'_>, directory: &Entry) -> io::Result<Vec<Entry>> {
    if directory.size > LARGEST_DIRECTORY {
        return Err(broken("a directory is too large"));
    }
    let mut bytes = Vec::new();
    image.content(directory).read_to_end(&mut bytes)?;
    let mut found = Vec::new();
    // No record crosses the end of a sector (6.8.1.1); what is left of one is zeros.
    for sector in bytes.chunks(SECTOR as usize) {
        let mut rest = sector;
        while let Some(&length) = rest.first().filter(|&&length| length != 0) {
            let (record, after) = rest
                .split_at_checked(usize::from(length))
                .ok_or_else(|| broken("a directory record is cut off"))?;
            rest = after;
            // The directory itself and its parent have the names 0 and 1, of one byte (6.8.2.2).
            let name_length = record.get(RECORD - 1).copied().unwrap_or_default();
            let is_itself = name_length == 1 && record.get(RECORD).is_some_and(|name| *name <= 1);
            if !is_itself {
                found.push(entry(record)?);
            }
        }
    }
    Ok(found)
}

/// Reads a directory record.
fn entry(record: &[u8]) -> io::Result<Entry> {
    let flags = *record.get(25).ok_or_else(|| broken("a directory record is too short"))?;
    Ok(Entry { start: u64::from(number_32(record, 2)?), size: u64::from(number_32(record, 10)?), flags })
}

/// Numbers stand twice, the little-endian one first (7.2.3, 7.3.3).
fn number_16(bytes: &[u8], at: usize) -> io::Result<u16> {
    let number = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    number.map(u16::from_le_bytes).ok_or_else(|| broken("a number is cut off"))
}

fn number_32(bytes: &[u8], at: usize) -> io::Result<u32> {
    let number = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    number.map(u32::from_le_bytes).ok_or_else(|| broken("a number is cut off"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the image is damaged: {what}"))
}

/// Reads an image from a position on.
struct At<'a> {
    image: &'a Image<'a>,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.image.file.read_at(buffer, self.position)? as u64;
        let left = self.image.left.get().checked_sub(count);
        self.image.left.set(left.ok_or_else(|| broken("its directories or files overlap"))?);
        self.position += count;
        Ok(usize::try_from(count).unwrap_or(buffer.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;
    use crate::host::run::Runner;
    use crate::testing;

    /// A directory record.
    fn record(name: &[u8], start: u32, size: u32, flags: u8) -> Vec<u8> {
        let mut bytes = vec![0; RECORD];
        bytes[2..6].copy_from_slice(&start.to_le_bytes());
        bytes[10..14].copy_from_slice(&size.to_le_bytes());
        bytes[25] = flags;
        bytes[RECORD - 1] = u8::try_from(name.len()).unwrap();
        bytes.extend_from_slice(name);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes[0] = u8::try_from(bytes.len()).unwrap();
        bytes
    }

    /// An image whose root directory is in sector 18 and a directory `SUB` in 19, with those records.
    fn image(path: &Path, root: &[Vec<u8>], sub: &[Vec<u8>]) -> File {
        let mut bytes = vec![0; 24 * SECTOR as usize];
        let mut put = |sector: usize, content: &[u8]| {
            bytes[sector * SECTOR as usize..][..content.len()].copy_from_slice(content);
        };
        let mut descriptor = vec![0; SECTOR as usize];
        descriptor[0] = PRIMARY;
        descriptor[1..6].copy_from_slice(IDENTIFIER);
        descriptor[BLOCK_SIZE..BLOCK_SIZE + 2].copy_from_slice(&2048u16.to_le_bytes());
        let own = record(&[0], 18, 2048, DIRECTORY);
        descriptor[ROOT..ROOT + own.len()].copy_from_slice(&own);
        put(16, &descriptor);
        put(17, b"\xffCD001\x01");
        put(18, &[&[own, record(&[1], 18, 2048, DIRECTORY)].concat()[..], &root.concat()].concat());
        put(19, &sub.concat());
        put(20, b"hello");
        put(21, b"world!");
        std::fs::write(path, bytes).unwrap();
        File::open(path).unwrap()
    }

    fn contents(image: &File) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        each_file(image, &mut |size, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            assert_eq!(text.len() as u64, size);
            found.push(text);
            Ok(())
        })?;
        found.sort();
        Ok(found)
    }

    #[test]
    fn files_of_all_directories_are_found() {
        let room = tempfile::tempdir().unwrap();
        let root = [
            record(b"A.DEB;1", 20, 5, 0),
            record(b"HUGE;1", 20, 5, MULTI_EXTENT),
            record(b"SUB", 19, 2048, DIRECTORY),
            // A way back must not be gone for ever.
            record(b"LOOP", 18, 2048, DIRECTORY),
        ];
        let mut image = image(&room.path().join("iso"), &root, &[record(b"B.DEB;1", 21, 6, 0)]);
        assert!(is_one(&mut image).unwrap());
        assert_eq!(contents(&image).unwrap(), ["hello", "world!"]);
    }

    #[test]
    fn what_contradicts_itself_is_an_error() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("iso");
        let large = record(b"SUB", 19, u32::MAX, DIRECTORY);
        let error = contents(&image(&path, &[large], &[])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut cut = record(b"A", 20, 5, 0);
        cut[0] = 255;
        let short = vec![3, 0, 0];
        for wrong in [vec![vec![0x22; 1900], cut], vec![short]] {
            assert!(contents(&image(&path, &wrong, &[])).is_err());
        }
        // A directory beyond the end of the image is empty, and a file is shorter than it says.
        let far = record(b"SUB", u32::MAX, 2048, DIRECTORY);
        assert_eq!(contents(&image(&path, &[far], &[])).unwrap(), [""; 0]);
        assert!(!is_one(&mut File::open("/proc/self/status").unwrap()).unwrap());
    }

    #[test]
    fn what_overlaps_is_not_read_again_and_again() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("iso");
        // By several names, as hard links are.
        let names = ["A", "B", "C"].map(|name| record(name.as_bytes(), 20, 5, 0));
        assert_eq!(contents(&image(&path, &names, &[])).unwrap(), ["hello"]);
        // Each begins in another sector and goes on to the end: more than the image has, all together.
        let files: Vec<_> = (10..24).map(|start| record(b"A", start, (24 - start) * 2048, 0)).collect();
        let mut read = 0;
        let hostile = image(&path, &files, &[]);
        let error = each_file(&hostile, &mut |_, content| {
            read += io::copy(content, &mut io::sink())?;
            Ok(())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(read <= 24 * SECTOR, "{read}");
        // The same for directories, of which each leads to all.
        let directories: Vec<_> = (16..24).map(|start| record(b"D", start, 16 << 20, DIRECTORY)).collect();
        let error = each_file(&image(&path, &directories, &directories), &mut |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("overlap"), "{error}");
        // Who reads nothing of them has no more than their names.
        assert!(each_file(&image(&path, &files, &[]), &mut |_, _| Ok(())).is_ok());
    }

    #[test]
    fn images_of_other_programs_are_read() {
        if !testing::has("xorriso") {
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let tree = room.path().join("tree");
        let deep = tree.join("pool/main/h/hello/a/b/c/d/e/f");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(tree.join("pool/main/h/hello/hello_2.10-3_amd64.deb"), "hello").unwrap();
        std::fs::write(deep.join("deep~1+2_all.deb"), "deep").unwrap();
        let image = room.path().join("dvd.iso");
        let runner = Runner::new(Arc::new(Silent));
        runner
            .command("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-r", "-J", "-o"])
            .args([&image, &tree])
            .run()
            .unwrap();
        assert_eq!(contents(&File::open(image).unwrap()).unwrap(), ["deep", "hello"]);
    }

    proptest::proptest! {
        #[test]
        fn no_directory_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let room = tempfile::tempdir().unwrap();
            // Whatever comes of it, it comes to an end.
            let _ = contents_of_any(&image(&room.path().join("iso"), &[bytes], &[]));
        }
    }

    fn contents_of_any(image: &File) -> io::Result<()> {
        each_file(image, &mut |_, content| io::copy(&mut content.take(4096), &mut io::sink()).map(drop))
    }
}
