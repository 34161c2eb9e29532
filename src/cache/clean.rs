//! Cleaning a cache: what is in it, when it was used last, and taking away what nobody uses any more.
//!
//! A cleaning has the cache alone: every build shares a lock on it, and the cleaning takes that lock for
//! itself or does nothing.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::archives::Archives;
use super::{Cache, in_use, layers, lock_file};
use crate::error::{Context, Error, Kind, Result};

/// The directory among the .debs for those that are not whole.
const PARTIAL: &str = "partial";

/// What is not used for so long goes at the end of a build.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How the names of files and directories begin that grow to be something else: what a medium has, a key, an
/// answer of apt's. They are gone when a run ends, unless it was killed.
pub(super) const MEDIUM_GROWS: &str = "medium-";
pub(crate) const KEY_GROWS: &str = "growing-";
pub(crate) const ANSWER_GROWS: &str = "resolving-";

/// The table beside the .debs while it is written.
const TABLE_GROWS: &str = "archives.partial-";

/// What an entry of a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A layer of a tree.
    Layer,
    /// One state of the indices of one set of sources.
    Index,
    /// A .deb.
    Package,
}

/// One thing in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub what: What,
    /// Its name in its directory.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it was used last, in seconds since 1970.
    pub used: u64,
}

impl Entry {
    /// Whether it was not used for `age` before `now`.
    pub fn is_older(&self, age: Duration, now: SystemTime) -> bool {
        let used = UNIX_EPOCH + Duration::from_secs(self.used);
        now.duration_since(used).is_ok_and(|unused| unused >= age)
    }
}

/// A cache that no build uses for as long as this lives.
#[derive(Debug)]
pub struct Alone {
    _lock: File,
}

/// Takes the cache at `directory` for a cleaning; none while a build uses it.
pub fn take(directory: &Path) -> Result<Option<Alone>> {
    let lock = lock_file(&in_use(directory))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Alone { _lock: lock })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).context(Kind::Host, || format!("locking {}", directory.display()))
        }
    }
}

/// Everything in the cache at `directory`, sorted; nothing where there is no cache.
pub fn entries(directory: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let place = Cache::layers_in(directory);
    for (name, metadata) in read(&place)? {
        if metadata.is_dir() {
            let lock = layers::lock_of(&place.join(&name));
            let used = lock.metadata().map_or(0, |metadata| seconds(metadata.mtime()));
            found.push(Entry { what: What::Layer, path: place.join(&name), name, used });
        }
    }
    let place = directory.join("indices");
    for (sources, _) in read(&place)? {
        for (state, metadata) in read(&place.join(&sources))? {
            if !metadata.is_dir() {
                continue;
            }
            let path = place.join(&sources).join(&state);
            // Every use dates a state anew. Where they are fetched, apt's configuration is written anew.
            let used = path.join("apt.conf").metadata().map_or(0, |metadata| seconds(metadata.mtime()));
            let used = used.max(seconds(metadata.mtime()));
            found.push(Entry { what: What::Index, name: format!("{sources}/{state}"), path, used });
        }
    }
    let place = directory.join("archives");
    let archives = Archives::open(&place)?;
    for (name, metadata) in read(&place)? {
        if metadata.is_file() && name.ends_with(".deb") {
            // The time of modification is that of the mirror's file; that of the change is our own.
            let used = archives.used(&name).unwrap_or(0).max(seconds(metadata.ctime()));
            found.push(Entry { what: What::Package, path: place.join(&name), name, used });
        }
    }
    // What apt has fetched a part of: it goes on from there at the next time.
    for (name, metadata) in read(&place.join(PARTIAL))? {
        if metadata.is_file() && !name.starts_with(MEDIUM_GROWS) {
            let (path, used) = (place.join(PARTIAL).join(&name), seconds(metadata.ctime()));
            found.push(Entry { what: What::Package, name: format!("{PARTIAL}/{name}"), path, used });
        }
    }
    found.sort_by(|one, other| (one.what, &one.name).cmp(&(other.what, &other.name)));
    Ok(found)
}

/// What runs that were killed have left in the cache at `directory`. That nobody is still at it, only
/// [`take`] tells.
pub fn remains(directory: &Path) -> Result<Vec<PathBuf>> {
    let archives = directory.join("archives").join(PARTIAL);
    let mut places = vec![
        (directory.to_owned(), TABLE_GROWS),
        (directory.join("keys"), KEY_GROWS),
        (archives, MEDIUM_GROWS),
    ];
    let indices = directory.join("indices");
    for (sources, _) in read(&indices)? {
        for (state, metadata) in read(&indices.join(&sources))? {
            if metadata.is_dir() {
                places.push((indices.join(&sources).join(state), ANSWER_GROWS));
            }
        }
    }
    let mut found = Vec::new();
    for (place, beginning) in places {
        let names = read(&place)?.into_iter().map(|(name, _)| name);
        found.extend(names.filter(|name| name.starts_with(beginning)).map(|name| place.join(name)));
    }
    Ok(found)
}

/// Removes [`remains`].
pub fn remove_remains(_alone: &Alone, directory: &Path) -> Result<()> {
    remains(directory)?.iter().try_for_each(|path| crate::host::tree::remove(path))
}

/// Removes entries. `remove_trees` removes those whose files belong to many owners.
pub fn remove(
    _alone: &Alone,
    entries: &[Entry],
    remove_trees: impl FnOnce(Vec<PathBuf>) -> Result<()>,
) -> Result<()> {
    let (layers, others): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.what == What::Layer);
    if !layers.is_empty() {
        remove_trees(layers.iter().map(|entry| entry.path.clone()).collect())?;
    }
    for entry in layers {
        let lock = layers::lock_of(&entry.path);
        std::fs::remove_file(&lock).context(Kind::Build, || format!("removing {}", lock.display()))?;
    }
    others.into_iter().try_for_each(|entry| crate::host::tree::remove(&entry.path))
}

/// Removes what was not used for [`KEPT_FOR`], and what was never finished, unless a build uses the cache.
pub fn prune(directory: &Path, remove_trees: impl FnOnce(Vec<PathBuf>) -> Result<()>) -> Result<()> {
    let now = SystemTime::now();
    let mut old = entries(directory)?;
    old.retain(|entry| entry.is_older(KEPT_FOR, now));
    if old.is_empty() && remains(directory)?.is_empty() {
        return Ok(());
    }
    let Some(alone) = take(directory)? else { return Ok(()) };
    remove_remains(&alone, directory)?;
    remove(&alone, &old, remove_trees)
}

/// Bytes on the disk below `path`. Needs the rights of the owners of its files.
pub fn size(path: &Path) -> Result<u64> {
    let metadata = path.symlink_metadata().context(Kind::Build, || format!("reading {}", path.display()))?;
    let mut size = metadata.blocks() * 512;
    if metadata.is_dir() {
        crate::host::tree::walk(path, &mut |_, metadata| {
            size += metadata.blocks() * 512;
            Ok(())
        })?;
    }
    Ok(size)
}

/// The error for a cache that cannot be cleaned now.
pub fn busy(directory: &Path) -> Error {
    Error::host(format!("the cache {} is in use by a build", directory.display()))
        .hint("Clean it when the build has ended.")
}

/// Names in a directory that are text, with what they are; nothing where there is no directory.
fn read(directory: &Path) -> Result<Vec<(String, std::fs::Metadata)>> {
    let context = || format!("reading {}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(Kind::Host, context),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.context(Kind::Host, context)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.metadata().context(Kind::Host, context)?));
        }
    }
    Ok(found)
}

fn seconds(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_found_and_nothing_else() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        assert!(remains(&at("none")).unwrap().is_empty());
        let left = [
            "archives.partial-12",
            "archives/partial/medium-x",
            "indices/a/b/resolving-x/stage",
            "keys/growing-x",
        ];
        let kept = [
            "archives.json",
            "archives/medium-x",
            "archives/partial/a.deb",
            "indices/a/b/resolved/stage",
            "keys/AB.gpg",
        ];
        for name in left.iter().chain(&kept) {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "").unwrap();
        }
        assert_eq!(remains(room.path()).unwrap().len(), left.len());
        // What apt goes on from has its time, as whole packages have.
        let entries = entries(room.path()).unwrap();
        assert!(entries.iter().any(|entry| entry.name == "partial/a.deb"), "{entries:?}");
        let mut removed = prune(room.path(), |_| Ok(()));
        // A program that another test starts may hold the lock for a moment.
        for _ in 0..100 {
            if removed.is_err() || remains(room.path()).unwrap().is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            removed = prune(room.path(), |_| Ok(()));
        }
        removed.unwrap();
        assert!(remains(room.path()).unwrap().is_empty());
        assert!(kept.iter().all(|name| at(name).exists()));
    }

    #[test]
    fn entries_are_found_with_their_last_use_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        assert!(entries(directory).unwrap().is_empty());
        let cache = Cache::open(Some(directory), false, directory).unwrap();
        std::fs::create_dir(cache.layers().join("key")).unwrap();
        let lock = File::create(cache.layers().join("key.lock")).unwrap();
        lock.set_modified(UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
        std::fs::create_dir_all(cache.indices().join("digest/state")).unwrap();
        std::fs::write(cache.archives().join("a_1_all.deb"), "a").unwrap();
        std::fs::write(cache.archives().join("lock"), "").unwrap();

        let found = entries(directory).unwrap();
        let seen: Vec<_> = found.iter().map(|entry| (entry.what, entry.name.as_str())).collect();
        assert_eq!(
            seen,
            [(What::Layer, "key"), (What::Index, "digest/state"), (What::Package, "a_1_all.deb")]
        );
        assert_eq!(found[0].used, 1000);
        let now = SystemTime::now();
        let old: Vec<bool> = found.iter().map(|entry| entry.is_older(KEPT_FOR, now)).collect();
        assert_eq!(old, [true, false, false]);

        assert!(take(directory).unwrap().is_none(), "the cache is in use");
        drop(cache);
        // A program that another test starts may hold the lock for a moment.
        let mut alone = take(directory).unwrap();
        for _ in 0..100 {
            if alone.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            alone = take(directory).unwrap();
        }
        let here = |paths: Vec<PathBuf>| paths.iter().try_for_each(|path| crate::host::tree::remove(path));
        remove(&alone.unwrap(), &found, here).unwrap();
        assert!(entries(directory).unwrap().is_empty());
        assert!(!directory.join("layers/key.lock").exists() && directory.join("archives/lock").exists());
    }
}
