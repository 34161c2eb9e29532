//! A block device in memory that holds only what was written.
//!
//! A file system of 100 MiB with 5 MiB in it takes 5 MiB, many small writes cost nothing, and what goes
//! to the disk afterwards leaves holes where nothing is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// A block device in memory, zeros at first.
#[derive(Debug)]
pub(super) struct SparseMemory {
    length: u64,
    position: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl SparseMemory {
    /// A device of `length` bytes.
    pub(super) fn new(length: u64) -> Self {
        SparseMemory { length, position: 0, pages: BTreeMap::new() }
    }

    /// Reads `buffer.len()` bytes at `offset`; past the end is an error.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.read_exact(buffer)
    }

    /// Writes all of `buffer` at `offset`; past the end is an error.
    pub(super) fn write_at(&mut self, offset: u64, buffer: &[u8]) -> Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(buffer)
    }

    /// Writes what is not zero to `file` from `offset` on, which must hold zeros there.
    pub(super) fn copy_to(&self, file: &File, offset: u64) -> Result<()> {
        for (number, page) in &self.pages {
            if page.iter().all(|&byte| byte == 0) {
                continue;
            }
            let start = number * PAGE_BYTES;
            let used = usize::try_from((self.length - start).min(PAGE_BYTES)).unwrap_or(PAGE);
            file.write_all_at(&page[..used], offset + start)?;
        }
        Ok(())
    }

    /// Page, offset in it, and how many bytes can be had there of those wanted from the position on.
    fn span(&self, wanted: usize) -> (u64, usize, usize) {
        let within = usize::try_from(self.position % PAGE_BYTES).unwrap_or(0);
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        (self.position / PAGE_BYTES, within, wanted.min(PAGE - within).min(left))
    }
}

impl Read for SparseMemory {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let (number, within, count) = self.span(buffer.len());
        match self.pages.get(&number) {
            Some(page) => buffer[..count].copy_from_slice(&page[within..within + count]),
            None => buffer[..count].fill(0),
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for SparseMemory {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        let (number, within, count) = self.span(buffer.len());
        // Zeros where nothing is take no memory: allocation tables are made of them.
        let is_hole = !self.pages.contains_key(&number) && buffer[..count].iter().all(|&byte| byte == 0);
        if !is_hole {
            let page = self.pages.entry(number).or_insert_with(|| Box::new([0; PAGE]));
            page[within..within + count].copy_from_slice(&buffer[..count]);
        }
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for SparseMemory {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_zero() {
        let mut memory = SparseMemory::new(10_000);
        memory.write_at(4090, b"across a page").unwrap();
        let mut bytes = [1; 15];
        memory.read_at(4089, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0across a page\0");
        assert!(memory.write_at(9_999, b"ab").is_err());
        assert!(memory.read_at(9_999, &mut [0; 2]).is_err());
    }

    #[test]
    fn only_what_is_not_zero_reaches_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MEBIBYTE * 2).unwrap();
        let mut memory = SparseMemory::new(MEBIBYTE);
        memory.write_at(0, &[0; 8192]).unwrap();
        memory.write_at(MEBIBYTE - 1, b"x").unwrap();
        memory.copy_to(&file, MEBIBYTE).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 2 * MEBIBYTE - 1).unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(file.metadata().unwrap().len(), 2 * MEBIBYTE);
    }

    const MEBIBYTE: u64 = 1 << 20;
}
