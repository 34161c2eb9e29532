//! Fills an image: tables from the layout, data from the disk, and the hash of all of it.
//!
//! Copiers share the data, block by block in turn: the first takes blocks 0, 2, 4…, the second 1, 3, 5….
//! Each hands what it has written to the hasher, which takes the blocks in the order of the file and
//! gives their memory back. A copier that is too far ahead waits, so little memory is needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use super::layout::Layout;

/// Bytes that are copied at once; larger blocks are slower, as they leave the processor's cache before they
/// are hashed.
const BLOCK: u64 = 1 << 20;
/// Threads that copy. The kernel lets one at a time write to a file; the other one reads meanwhile. With
/// more the hash is no sooner done.
const COPIERS: usize = 2;
/// How many blocks a copier may be ahead of the hasher.
const AHEAD: usize = 4;

/// What failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Reading the disk.
    Read(io::Error),
    /// Writing the image.
    Write(io::Error),
    /// Having a thread.
    Thread(io::Error),
}

/// The copier's ends of what joins it to the hasher.
struct Ends {
    written: SyncSender<Result<Vec<u8>, Failure>>,
    free: Receiver<Vec<u8>>,
}

/// The hasher's ends of what joins it to a copier.
struct Copier {
    written: Receiver<Result<Vec<u8>, Failure>>,
    free: Sender<Vec<u8>>,
}

/// Writes all of `image`. Returns its SHA-256.
pub(super) fn fill(layout: &Layout, disk: &File, image: &File) -> Result<[u8; 32], Failure> {
    let copying = Copying::new(layout, disk, image);
    let copying = &copying;
    thread::scope(|scope| {
        let mut copiers = Vec::new();
        for first in 0..COPIERS {
            let (written, from_copier) = sync_channel(AHEAD);
            let (to_copier, free) = channel();
            let ends = Ends { written, free };
            let thread = thread::Builder::new().name("copier".into());
            thread.spawn_scoped(scope, move || copying.share(first, &ends)).map_err(Failure::Thread)?;
            copiers.push(Copier { written: from_copier, free: to_copier });
        }
        // Where this ends early, the copiers find nobody at their ends, and end, too.
        hash(copying, &copiers)
    })
}

/// Writes the tables, waits for the data, and hashes both.
fn hash(copying: &Copying<'_>, copiers: &[Copier]) -> Result<[u8; 32], Failure> {
    let mut hash = Sha256::new();
    let mut position = 0;
    for table in copying.layout.tables() {
        copying.image.write_all_at(&table, position).map_err(Failure::Write)?;
        hash.update(&table);
        position += table.len() as u64;
    }
    for (_, copier) in (0..copying.blocks).zip(copiers.iter().cycle()) {
        let block = copier.written.recv().map_err(|error| Failure::Thread(io::Error::other(error)))??;
        hash.update(&block);
        // A copier that has done its share takes nothing back.
        let _ = copier.free.send(block);
    }
    Ok(hash.finalize().into())
}

/// The work that the copiers share.
struct Copying<'a> {
    layout: &'a Layout,
    disk: &'a File,
    image: &'a File,
    /// Clusters in a block.
    step: u64,
    /// How many blocks of data there are.
    blocks: u64,
}

impl<'a> Copying<'a> {
    fn new(layout: &'a Layout, disk: &'a File, image: &'a File) -> Self {
        let step = (BLOCK / layout.cluster()).max(1);
        Copying { layout, disk, image, step, blocks: layout.data_count().div_ceil(step) }
    }

    /// Copies every block of one copier's share.
    fn share(&self, first: usize, ends: &Ends) {
        for number in (first as u64..self.blocks).step_by(COPIERS) {
            let memory = ends.free.try_recv().unwrap_or_default();
            if ends.written.send(self.block(number, memory)).is_err() {
                return;
            }
        }
    }

    /// Copies one block; `memory` is only there to be used again.
    fn block(&self, number: u64, mut memory: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let cluster = self.layout.cluster();
        let start = number * self.step;
        let end = (start + self.step).min(self.layout.data_count());
        memory.resize(to_usize((end - start) * cluster), 0);
        let mut rest = memory.as_mut_slice();
        for source in self.layout.sources(start..end) {
            let offset = source.start * cluster;
            let (target, others) = rest.split_at_mut(to_usize((source.end - source.start) * cluster));
            // The last cluster of the disk may be short; that of the image is filled up with zeros.
            let on_disk = to_usize(self.layout.disk_size() - offset).min(target.len());
            let (target, behind) = target.split_at_mut(on_disk);
            self.disk.read_exact_at(target, offset).map_err(Failure::Read)?;
            behind.fill(0);
            rest = others;
        }
        let position = self.layout.data_offset() + start * cluster;
        self.image.write_all_at(&memory, position).map_err(Failure::Write)?;
        Ok(memory)
    }
}

/// Saturates, where an address has fewer bits than an offset in a file.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
