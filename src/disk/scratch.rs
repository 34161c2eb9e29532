//! A file of a partition's size, for tools that make a file system in a whole file only. It has holes, and
//! so has what it leaves in the disk.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::host::extents;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// The grain of holes: what file systems have for blocks.
const GRAIN: usize = 4096;

/// A scratch file beside a raw disk, removed at its end.
pub(super) struct Scratch {
    file: NamedTempFile,
    size: u64,
}

impl Scratch {
    /// A file of `size` bytes that is all hole, in the directory of `raw`, where there is room for a disk.
    pub(super) fn beside(raw: &Path, size: u64) -> Result<Self> {
        let directory = raw.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.as_file().set_len(size)?;
        Ok(Scratch { file, size })
    }

    /// An empty file beside this one.
    pub(super) fn another(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(self.path().parent().unwrap_or(Path::new(".")))
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Writes what is not zero to `raw` from `offset` on, which must hold zeros there.
    pub(super) fn copy_to(&self, raw: &File, offset: u64) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        for extent in extents::of(self.file(), self.size)? {
            let mut position = extent.start;
            while position < extent.end {
                let wanted = usize::try_from(extent.end - position).unwrap_or(CHUNK).min(CHUNK);
                let (part, _) = buffer.split_at_mut(wanted);
                self.file().read_exact_at(part, position)?;
                for (grain, place) in part.chunks(GRAIN).zip((offset + position..).step_by(GRAIN)) {
                    if grain.iter().any(|&byte| byte != 0) {
                        raw.write_all_at(grain, place)?;
                    }
                }
                position += wanted as u64;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_zero_comes_to_its_place() {
        let raw = NamedTempFile::new().unwrap();
        raw.as_file().set_len(20 << 20).unwrap();
        let scratch = Scratch::beside(raw.path(), 10 << 20).unwrap();
        assert_eq!(scratch.path().parent(), raw.path().parent());
        for place in [0, (3 << 20) + 17, (10 << 20) - 1] {
            scratch.file().write_all_at(b"x", place).unwrap();
        }
        scratch.copy_to(raw.as_file(), 5 << 20).unwrap();
        let bytes = std::fs::read(raw.path()).unwrap();
        let found = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(place, _)| place);
        assert_eq!(found.collect::<Vec<_>>(), [5 << 20, (8 << 20) + 17, (15 << 20) - 1]);
    }
}
