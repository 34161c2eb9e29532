//! The places of layers in a cache: their locks, when they were used last, and whether they are whole.
//!
//! A layer is made without waiting for the disk, so after a loss of power its files may be empty. Its
//! lock file holds a mark: the id of the boot (random(4)) in which it was made, under which it counts as
//! whole until the next boot; or, once a later run has seen it written out, the word for that.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::lock_file;
use crate::error::{Context, Kind, Result};
use crate::event::{Event, Sink};

/// The mark of a layer that has reached the disk.
pub(super) const SETTLED: &str = "settled";

/// Longest mark that is read; a boot id has 36 characters.
const LONGEST_MARK: u64 = 64;

/// The end of a lock file's name.
const LOCK: &str = "lock";

/// The name of the layer with this key. The files of a tree belong to `owners` on this host, and are of
/// no use to others.
pub fn name(owners: &str, key: &str) -> String {
    format!("{owners}-{key}")
}

/// The place of one layer, held by this process alone.
#[derive(Debug)]
pub struct Slot {
    path: PathBuf,
    lock: File,
}

impl Slot {
    /// Waits until no other build makes or removes this layer.
    pub fn take(directory: &Path, name: &str, sink: &dyn Sink) -> Result<Slot> {
        let path = directory.join(name);
        let lock = lock_file(&lock_of(&path))?;
        let context = || format!("locking {}", path.display());
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("waiting for another build that makes the layer {name}");
                sink.emit(Event::Info { text });
                lock.lock().context(Kind::Host, context)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context(Kind::Host, context),
        }
        Ok(Slot { path, lock })
    }

    /// Where the layer is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the layer is there, whole.
    pub fn is_whole(&mut self) -> bool {
        self.path.is_dir() && read_mark(&mut self.lock).is_some_and(|mark| counts(&mark))
    }

    /// Marks the layer as used now, for the cleaning of the cache.
    pub fn touch(&self) -> Result<()> {
        let context = || format!("marking {} as used", self.path.display());
        self.lock.set_modified(SystemTime::now()).context(Kind::Build, context)
    }

    /// Takes the layer that has grown at `grown`.
    pub fn keep(&mut self, grown: &Path) -> Result<()> {
        let context = || format!("keeping the layer {}", self.path.display());
        std::fs::rename(grown, &self.path).context(Kind::Build, context)?;
        write_mark(&mut self.lock, &boot_id()?).context(Kind::Build, context)
    }
}

/// Whether the layer of this name is there, whole, by what can be seen without its lock.
pub fn is_whole(directory: &Path, name: &str) -> bool {
    let path = directory.join(name);
    path.is_dir()
        && File::open(lock_of(&path))
            .is_ok_and(|mut lock| read_mark(&mut lock).is_some_and(|mark| counts(&mark)))
}

/// The lock file of the layer at `path`.
pub(super) fn lock_of(path: &Path) -> PathBuf {
    path.with_extension(LOCK)
}

/// The lock files of all layers.
fn locks(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("reading {}", directory.display());
    let mut locks = Vec::new();
    for entry in std::fs::read_dir(directory).context(Kind::Host, context)? {
        let path = entry.context(Kind::Host, context)?.path();
        if path.extension().is_some_and(|end| end == LOCK) {
            locks.push(path);
        }
    }
    Ok(locks)
}

/// Sees to it that what was made in this boot is on the disk, and marks it so. Takes as long as the disk
/// needs; for a thread of its own. Layers that another build holds are left for the next time.
pub(super) fn settle(directory: &Path) -> Result<()> {
    let boot = boot_id()?;
    let mut fresh = Vec::new();
    for path in locks(directory)? {
        let mut lock = lock_file(&path)?;
        if lock.try_lock().is_ok() && read_mark(&mut lock).as_deref() == Some(&boot) {
            fresh.push(path);
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let context = || format!("writing out {}", directory.display());
    let whole = File::open(directory).context(Kind::Host, context)?;
    rustix::fs::syncfs(&whole).context(Kind::Host, context)?;
    for path in fresh {
        let mut lock = lock_file(&path)?;
        let used = lock.metadata().and_then(|metadata| metadata.modified()).context(Kind::Host, context)?;
        if lock.try_lock().is_ok() && read_mark(&mut lock).as_deref() == Some(&boot) {
            write_mark(&mut lock, SETTLED).context(Kind::Host, context)?;
            lock.set_modified(used).context(Kind::Host, context)?;
        }
    }
    Ok(())
}

/// Whether a layer with this mark is whole.
fn counts(mark: &str) -> bool {
    mark == SETTLED || boot_id().is_ok_and(|boot| boot == mark)
}

fn read_mark(lock: &mut File) -> Option<String> {
    let mut mark = String::new();
    lock.rewind().ok()?;
    lock.take(LONGEST_MARK).read_to_string(&mut mark).ok()?;
    Some(mark.trim_end().to_owned())
}

fn write_mark(lock: &mut File, mark: &str) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(mark.as_bytes())
}

/// What the kernel calls this boot.
pub(super) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = std::fs::read_to_string(path).context(Kind::Host, || format!("reading {path}"))?;
    Ok(id.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Recorder, Silent};

    #[test]
    fn a_layer_is_whole_in_the_boot_that_made_it_or_once_it_was_written_out() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut slot = Slot::take(directory, "key", &Silent).unwrap();
        assert!(!slot.is_whole() && !is_whole(directory, "key"));
        std::fs::create_dir(directory.join("grown")).unwrap();
        slot.keep(&directory.join("grown")).unwrap();
        assert!(slot.is_whole() && is_whole(directory, "key"));

        for mark in ["", "6c7f3b52-0000-0000-0000-000000000000"] {
            write_mark(&mut slot.lock, mark).unwrap();
            assert!(!slot.is_whole() && !is_whole(directory, "key"), "{mark}");
        }
        drop(slot);
        settle(directory).unwrap();
        assert!(!is_whole(directory, "key"), "a layer of another boot may have lost its files");

        let mut slot = Slot::take(directory, "key", &Silent).unwrap();
        write_mark(&mut slot.lock, &boot_id().unwrap()).unwrap();
        settle(directory).unwrap();
        assert_eq!(read_mark(&mut slot.lock).as_deref(), Some(boot_id().unwrap().as_str()), "it is held");
        drop(slot);
        // A program that another test starts may hold the lock for a moment.
        for _ in 0..100 {
            settle(directory).unwrap();
            if std::fs::read_to_string(directory.join("key.lock")).unwrap() == SETTLED {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(std::fs::read_to_string(directory.join("key.lock")).unwrap(), SETTLED);
        assert!(is_whole(directory, "key"));
    }

    #[test]
    fn a_wait_is_told() {
        struct Told(std::sync::mpsc::Sender<String>);
        impl Sink for Told {
            fn emit(&self, event: Event) {
                if let Event::Info { text } = event {
                    self.0.send(text).unwrap();
                }
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let slot = Slot::take(directory.path(), "key", &Recorder::new()).unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Slot::take(directory.path(), "key", &Told(sender)).unwrap());
            let text = told.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
            assert!(text.contains("waiting"), "{text}");
            drop(slot);
            waiting.join().unwrap();
        });
    }
}
