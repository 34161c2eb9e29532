//! Files that have no name, so that nothing can leave them behind.
//!
//! A throw-away copy of a disk is large and holds a password. It is opened without a name (`O_TMPFILE`
//! where the file system can, removed at once elsewhere), and the kernel frees it when the last process
//! that holds it ends, whatever ends it. Other programs open it through `/proc/<pid>/fd/<n>`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::error::{Context, Kind, Result};

/// A file without a name.
#[derive(Debug)]
pub(super) struct Scratch {
    file: File,
    what: String,
}

impl Scratch {
    /// An empty file in `directory`. `what` it is stands in errors.
    pub(super) fn new_in(directory: &Path, what: &str) -> Result<Self> {
        let file = tempfile::tempfile_in(directory)
            .context(Kind::Host, || format!("making a file for {what} in {}", directory.display()))?;
        Ok(Scratch { file, what: what.to_owned() })
    }

    /// A small file with `content` in the system's directory for temporary files.
    pub(super) fn with(what: &str, content: &[u8]) -> Result<Self> {
        let mut scratch = Self::new_in(&std::env::temp_dir(), what)?;
        let what = scratch.what.clone();
        scratch.file.write_all(content).context(Kind::Host, || format!("writing {what}"))?;
        Ok(scratch)
    }

    /// Where programs that this process starts find it, while this value lives.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// One more descriptor, for a program that inherits it. A program in a user namespace of its own may not
    /// use [`Scratch::path`], which belongs to another process, and finds it under its own number in
    /// `/proc/self/fd`.
    pub(super) fn handle(&self) -> Result<OwnedFd> {
        let file = self.file.try_clone();
        Ok(file.context(Kind::Host, || format!("handing over {}", self.what))?.into())
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        Ok(self
            .file
            .metadata()
            .context(Kind::Host, || format!("asking for the size of {}", self.what))?
            .len())
    }

    /// Makes it larger by `bytes` that are zero and take no space; returns the new size.
    pub(super) fn grow(&self, bytes: u64) -> Result<u64> {
        let size = self.size()?.saturating_add(bytes);
        self.file.set_len(size).context(Kind::Host, || format!("growing {} to {size} bytes", self.what))?;
        Ok(size)
    }

    /// The file itself, for readers.
    pub(super) fn reader(&self) -> impl Read + Seek + '_ {
        &self.file
    }
}

/// Reads `length` bytes at `offset`; fewer where the end comes before.
pub(super) fn read_at(
    source: &mut (impl Read + Seek),
    offset: u64,
    length: usize,
) -> std::io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    source.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_while_it_lives() {
        let scratch = Scratch::with("a test", b"content").unwrap();
        let path = scratch.path();
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        assert_eq!(scratch.grow(5).unwrap(), 12);
        assert_eq!(read_at(&mut scratch.reader(), 4, 100).unwrap(), b"ent\0\0\0\0\0");
        drop(scratch);
        assert!(std::fs::read(&path).map_or(true, |content| content != b"content"));
    }
}
