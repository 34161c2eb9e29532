//! What is kept between builds: indices, .debs, and layers of trees.
//!
//! ```text
//! <cache>/indices/<sources>/    indices of one set of sources:
//!     lock                      held while they are refreshed
//!     refresh/                  where apt fetches what has changed
//!     <state>/                  one state of the archive, which does not change; used when it was modified
//! <cache>/archives/             .debs, by the names that apt gives them
//! <cache>/archives.lock         held while some are fetched
//! <cache>/archives.json         which of them were found whole, and when each was used last
//! <cache>/layers/<layer>/       a layer: the upper directory of an overlay; whole, or not there
//! <cache>/layers/<layer>.lock   its lock, when it was used last, and whether it reached the disk
//! <cache>/keys/                 keys that sign personal package archives, by their fingerprints
//! <cache>/builds/               layers that grow, links to the .debs of their plans, and probes; gone when
//!                               their build ends
//! <cache>/in-use                a lock: builds share it, a cleaning has it alone
//! <cache>/logs/                 logs of builds that did not end well: see [`logs`]
//! ```
//!
//! Layers have files of the guest with the guest's modes, set-user-id programs among them: the
//! directories above them are closed to others. The .debs and indices are public anyway.

pub mod archives;
pub mod clean;
pub mod layers;
pub mod logs;
pub mod media;
pub mod view;

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::host::claim::{PRIVATE, Temporary};
use crate::host::scratch;

/// Stem of the name of a throw-away cache.
pub const THROW_AWAY: &str = "rvmb-cache";

/// The cache of this user, or a throw-away one.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    throw_away: Option<Temporary>,
    /// Locked, shared, for as long as the cache may not be cleaned.
    _in_use: File,
}

impl Cache {
    /// Opens the cache at `option`, else at the user's own place. With `throw_away` nothing is read
    /// or kept: the cache is a directory under `scratch` that goes with this value.
    pub fn open(option: Option<&Path>, throw_away: bool, scratch: &Path) -> Result<Cache> {
        let (directory, throw_away) = if throw_away {
            let directory = Temporary::make(scratch, THROW_AWAY)?;
            (directory.path().to_owned(), Some(directory))
        } else {
            (place(option)?, None)
        };
        scratch::readable_by_apt(&directory)?;
        make_places(&directory)?;
        let in_use = lock_file(&in_use(&directory))?;
        in_use.lock_shared().context(Kind::Host, || format!("locking {}", directory.display()))?;
        Ok(Cache { directory, throw_away, _in_use: in_use })
    }

    /// Its root, unless it is a throw-away one.
    pub fn kept(&self) -> Option<&Path> {
        self.throw_away.is_none().then_some(self.directory.as_path())
    }

    /// Its root, where it is a throw-away one.
    pub fn thrown_away(&self) -> Option<&Path> {
        self.throw_away.as_ref().map(Temporary::path)
    }

    /// Where indices are.
    pub fn indices(&self) -> PathBuf {
        self.directory.join("indices")
    }

    /// Where .debs are.
    pub fn archives(&self) -> PathBuf {
        self.directory.join("archives")
    }

    /// Where keys of personal package archives are.
    pub fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    /// Where layers are.
    pub fn layers(&self) -> PathBuf {
        Cache::layers_in(&self.directory)
    }

    /// Where layers are in the cache at `directory`.
    pub fn layers_in(directory: &Path) -> PathBuf {
        directory.join("layers")
    }

    /// Sees to it in the background that what earlier builds made reaches the disk.
    pub fn settle(&self) {
        let directory = self.layers();
        // What cannot be settled now is made anew after the next boot, or settled by a later run.
        let _ = std::thread::Builder::new().name("settle".into()).spawn(move || layers::settle(&directory));
    }

    /// Where layers grow.
    pub fn builds(&self) -> PathBuf {
        Cache::builds_in(&self.directory)
    }

    /// Where layers grow in the cache at `directory`.
    pub fn builds_in(directory: &Path) -> PathBuf {
        directory.join("builds")
    }

    /// Whether the layer of this name is there, whole.
    pub fn has_layer(&self, name: &str) -> bool {
        layers::is_whole(&self.layers(), name)
    }
}

/// Where the cache is, whether it is there or not.
pub fn place(option: Option<&Path>) -> Result<PathBuf> {
    match option {
        Some(path) => std::path::absolute(path)
            .context(Kind::Config, || format!("reading --cache-dir {}", path.display())),
        None => default_directory(),
    }
}

fn make_places(directory: &Path) -> Result<()> {
    let make = |name: &str, mode: Option<u32>| {
        let place = directory.join(name);
        std::fs::create_dir_all(&place)?;
        // One that an earlier version left open is closed, too.
        mode.map_or(Ok(()), |mode| std::fs::set_permissions(&place, Permissions::from_mode(mode)))
    };
    [("indices", None), ("archives", None), ("layers", Some(PRIVATE)), ("builds", Some(PRIVATE))]
        .into_iter()
        .try_for_each(|(name, mode)| make(name, mode))
        .map_err(|error| {
            Error::host(format!("making the cache directory {}", directory.display()))
                .because(&error)
                .hint("Name another place with --cache-dir, or keep nothing with --no-cache.")
        })
}

fn in_use(directory: &Path) -> PathBuf {
    directory.join("in-use")
}

/// root's cache is the system's; a user's is where the XDG Base Directory Specification puts it.
fn default_directory() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/rvmb"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(cache) = absolute("XDG_CACHE_HOME") {
        return Ok(cache.join("rvmb"));
    }
    absolute("HOME").map(|home| home.join(".cache/rvmb")).ok_or_else(|| {
        Error::host("there is no HOME to keep a cache in")
            .hint("Name a place with --cache-dir, or keep nothing with --no-cache.")
    })
}

/// Opens a lock file, closed to others: who can read a file can keep it locked.
fn lock_file(path: &Path) -> Result<File> {
    File::options()
        .mode(0o600)
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(path)
        .context(Kind::Host, || format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_holds_files_of_guests_is_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("layers")).unwrap();
        let cache = Cache::open(Some(directory.path()), false, Path::new("/nowhere")).unwrap();
        assert_eq!((mode(&cache.layers()), mode(&cache.builds())), (PRIVATE, PRIVATE));
        assert_eq!(mode(&in_use(directory.path())), 0o600);
        assert_eq!(cache.kept(), Some(directory.path()));
    }

    #[test]
    fn a_throw_away_cache_goes_with_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(None, true, directory.path()).unwrap();
        let path = cache.thrown_away().unwrap().to_owned();
        assert_eq!((cache.kept(), mode(&path)), (None, PRIVATE));
        drop(cache);
        assert!(!path.exists());
    }
}
