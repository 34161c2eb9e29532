//! Files of a tar archive, read as a stream: the headers of POSIX.1-1988 (pax(1), ustar), which GNU's share.
//!
//! Only sizes and contents are of interest here. Names, owners, links and extensions are passed over, so
//! that nothing in the archive decides where anything is written.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// Size of a block.
const BLOCK: usize = 512;

/// Where a header has the size of the file, in octal digits, and its type.
const SIZE: std::ops::Range<usize> = 124..136;
const TYPE: usize = 156;

/// Types of ordinary files, the older one first.
const FILE: [u8; 2] = [0, b'0'];

/// How many times its size an archive may have without its compression: .debs get hardly any smaller, and
/// indices to a fifth. What goes on for longer is a trap.
const MOST_TIMES: u64 = 32;

/// What an archive may have in any case, in bytes: an empty one is mostly zeros.
const ALWAYS: u64 = 1 << 20;

/// Hands over every ordinary file of the archive at `path`, plain or with gzip: its size, and its content
/// to be read.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] for what is no archive, and the caller's own errors.
pub fn each_file(path: &Path, each: &mut dyn FnMut(u64, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let mut head = [0; 2];
    let is_compressed = File::open(path)?.read_exact(&mut head).is_ok() && head == crate::host::GZIP;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut file = BufReader::with_capacity(1 << 18, file);
    if is_compressed {
        let left = size.saturating_mul(MOST_TIMES).max(ALWAYS);
        walk(&mut Bounded { inner: MultiGzDecoder::new(file), left }, each)
    } else {
        walk(&mut file, each)
    }
}

/// Ends in an error where there is too much to read.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| {
            let what = format!("without its compression it has more than {MOST_TIMES} times its size");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(count)
    }
}

fn walk(
    archive: &mut dyn Read,
    each: &mut dyn FnMut(u64, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut header = Vec::with_capacity(BLOCK);
    loop {
        header.clear();
        (&mut *archive).take(BLOCK as u64).read_to_end(&mut header)?;
        // Some programs leave out the two empty blocks at the end.
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let size = header.get(SIZE).and_then(octal);
        let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a header has no size"))?;
        // The whole of it is taken, read by the caller or not, up to the end of its last block.
        let mut content = (&mut *archive).take(size);
        if header.get(TYPE).is_some_and(|kind| FILE.contains(kind)) {
            each(size, &mut content)?;
        }
        let left = content.limit();
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        io::copy(&mut (&mut *archive).take(left + padding), &mut io::sink())?;
    }
}

/// A number in octal digits, with spaces or NULs around it. Files beyond 8 GiB have other numbers, and
/// are no packages.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;
    use crate::host::run::Runner;
    use crate::testing;

    fn contents(path: &Path) -> io::Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        each_file(path, &mut |size, content| {
            let mut text = String::new();
            // Not all of it: the rest must be passed over.
            content.take(3).read_to_string(&mut text)?;
            found.push((size, text));
            Ok(())
        })?;
        found.sort();
        Ok(found)
    }

    #[test]
    fn archives_of_other_programs_are_read() {
        if !testing::has("tar") {
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let tree = room.path().join("tree");
        let place = tree.join("var/cache/apt/archives");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("a_1_all.deb"), "abcdef").unwrap();
        std::fs::write(place.join(format!("{}_1_all.deb", "long".repeat(40))), "x".repeat(513)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.join("link_1_all.deb")).unwrap();
        let runner = Runner::new(Arc::new(Silent));
        for (name, format) in [("ustar.tar", "pax"), ("gnu.tgz", "gnu"), ("pax.tar.gz", "posix")] {
            let archive = room.path().join(name);
            runner
                .command("tar")
                .arg("--create")
                .arg(format!("--format={format}"))
                .args(["--auto-compress", "--file"])
                .arg(&archive)
                .arg("--directory")
                .arg(&tree)
                .arg("var")
                .run()
                .unwrap();
            let expected = [(6, "abc".to_owned()), (513, "xxx".to_owned())];
            assert_eq!(contents(&archive).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_archive_is_an_error_or_empty() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x");
        for (content, is_error) in [
            (vec![b'x'; 1024], true),
            (vec![0x1f, 0x8b, 8, 0], true),
            (vec![], false),
            (vec![b'x'; 10], true),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = contents(&path);
            assert_eq!(read.is_err(), is_error, "{read:?}");
            assert!(read.unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn what_grows_without_end_is_an_error() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x.tgz");
        let write = |files: usize| {
            let file = File::create(&path).unwrap();
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            let mut header = [0; BLOCK];
            header[..2].copy_from_slice(b"x\0");
            header[SIZE.start..SIZE.end - 1].fill(b'0');
            (0..files).for_each(|_| std::io::Write::write_all(&mut gzip, &header).unwrap());
            gzip.finish().unwrap();
        };
        write(1000);
        assert_eq!(contents(&path).unwrap().len(), 1000);
        write(100_000);
        let mut found = 0;
        let read = each_file(&path, &mut |_, _| {
            found += 1;
            Ok(())
        });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(found < 100_000);
    }

    proptest::proptest! {
        #[test]
        fn no_archive_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..1600)) {
            let _ = walk(&mut bytes.as_slice(), &mut |_, _| Ok(()));
        }
    }
}
