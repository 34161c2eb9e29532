//! What is kept between builds: indices, .debs, and layers of trees.
//!
//! ```text
//! <cache>/indices/<digest>/     apt's private state for one set of sources
//! <cache>/archives/             .debs, by the names that apt gives them
//! <cache>/layers/<key>/         a layer: the upper directory of an overlay; whole, or not there
//! <cache>/builds/<id>/          layers that grow; gone when their build ends
//! <cache>/logs/                 logs of builds that did not end well: see [`logs`]
//! ```

pub mod logs;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

/// The cache of this user, or a throw-away one.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Cache {
    /// Opens the cache at `option`, else at the user's own place. With `throw_away` nothing is read
    /// or kept: the cache is a directory under `scratch` that goes with this value.
    pub fn open(option: Option<&Path>, throw_away: bool, scratch: &Path) -> Result<Cache> {
        if throw_away {
            let temporary = tempfile::Builder::new()
                .prefix("rvmb-cache-")
                .tempdir_in(scratch)
                .context(Kind::Host, || format!("making a directory in {}", scratch.display()))?;
            let cache = Cache { directory: temporary.path().to_owned(), temporary: Some(temporary) };
            return cache.with_places();
        }
        Cache { directory: place(option)?, temporary: None }.with_places()
    }

    fn with_places(self) -> Result<Cache> {
        for place in [self.indices(), self.archives(), self.layers(), self.builds()] {
            std::fs::create_dir_all(&place).map_err(|error| {
                Error::host(format!("making the cache directory {}", place.display()))
                    .because(&error)
                    .hint("Name another place with --cache-dir, or keep nothing with --no-cache.")
            })?;
        }
        Ok(self)
    }

    /// Its root.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its root, unless it is a throw-away one.
    pub fn kept(&self) -> Option<&Path> {
        self.temporary.is_none().then_some(self.directory.as_path())
    }

    /// Where indices are.
    pub fn indices(&self) -> PathBuf {
        self.directory.join("indices")
    }

    /// Where .debs are.
    pub fn archives(&self) -> PathBuf {
        self.directory.join("archives")
    }

    /// Where layers are.
    pub fn layers(&self) -> PathBuf {
        Cache::layers_in(&self.directory)
    }

    /// Where layers are in the cache at `directory`.
    pub fn layers_in(directory: &Path) -> PathBuf {
        directory.join("layers")
    }

    /// Where layers grow.
    pub fn builds(&self) -> PathBuf {
        self.directory.join("builds")
    }

    /// Whether a layer is there, whole.
    pub fn has_layer(&self, key: &str) -> bool {
        self.layers().join(key).is_dir()
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

/// Holds a place for one process at a time; the lock goes with the process.
pub fn lock(path: &Path) -> Result<File> {
    let context = || format!("locking {}", path.display());
    let file =
        File::options().create(true).write(true).truncate(false).open(path).context(Kind::Host, context)?;
    file.lock().context(Kind::Host, context)?;
    Ok(file)
}
