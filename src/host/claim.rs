//! Directories of one run alone, and what is left of runs that were killed.
//!
//! A directory of a run has a name that nobody can foresee, is made and never taken over, and is
//! locked (flock(2), shared) by every process that answers for it. The kernel takes the lock away with
//! the last of them. So a directory with such a name, of the same owner and without a lock is a
//! leftover, and whoever locks it alone may remove it.
//!
//! A directory whose name the user chose has a file in it that says the same as the name.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::tree;
use crate::error::{Context, Error, Kind, Result};

/// Mode of a directory that is closed to others.
pub const PRIVATE: u32 = 0o700;

/// Hexadecimal digits at the end of a name: 64 bits.
const DIGITS: usize = 16;

/// The file in a directory that a run has made by a name of the user's.
const MARK: &str = ".made-by-rvmb";

/// What it says to who finds it.
const MARK_SAYS: &str = "A build of rvmb's made this directory, and removes it when it ends.\n";

/// How often a directory is made again that a cleaning took away before it was locked.
const ATTEMPTS: usize = 8;

/// File systems whose locks another machine may hold without our knowing, or that may not know any:
/// NFS, SMB, SMB 2, Ceph, 9P, FUSE (linux/magic.h).
const REMOTE: [u64; 6] = [0x6969, 0x517b, 0xfe53_4d42, 0x00c3_6400, 0x0102_1997, 0x6573_5546];

/// A directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Makes the directory at `path`; one that is there already is an error. The umask applies to `mode`.
    pub fn make(path: &Path, mode: u32) -> Result<Claim> {
        let context = || format!("creating {}", path.display());
        for _ in 0..ATTEMPTS {
            DirBuilder::new().mode(mode).create(path).context(Kind::Host, context)?;
            if let Some(claim) = Claim::share(path)? {
                return Ok(claim);
            }
        }
        Err(Error::host(context()).within(format!("{} is removed as often as it is made", path.display())))
    }

    /// The same for a name that the user chose: what [`marked`] knows again.
    pub fn make_marked(path: &Path, mode: u32) -> Result<Claim> {
        let claim = Claim::make(path, mode)?;
        let mark = path.join(MARK);
        std::fs::write(&mark, MARK_SAYS).context(Kind::Host, || format!("writing {}", mark.display()))?;
        Ok(claim)
    }

    /// Joins in answering for a directory; none where it is not there any more.
    pub fn share(path: &Path) -> Result<Option<Claim>> {
        let Some(file) = open(path)? else { return Ok(None) };
        file.lock_shared().context(Kind::Host, || format!("locking {}", path.display()))?;
        Ok(Claim::of(path, file))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A locked directory, unless the name leads to another one, or nowhere, by now.
    fn of(path: &Path, lock: File) -> Option<Claim> {
        let (held, named) = (lock.metadata().ok()?, std::fs::symlink_metadata(path).ok()?);
        let same = held.dev() == named.dev() && held.ino() == named.ino();
        same.then(|| Claim { path: path.to_owned(), _lock: lock })
    }
}

/// A directory of this process alone, which goes with this value.
#[derive(Debug)]
pub struct Temporary(Claim);

impl Temporary {
    /// Makes one in `parent` that is closed to others and has a name by `stem`.
    pub fn make(parent: &Path, stem: &str) -> Result<Temporary> {
        Claim::make(&fresh(parent, stem)?, PRIVATE).map(Temporary)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A keeper may have been faster; and what is left the next run removes.
        let _ = tree::remove(self.path());
    }
}

/// What a directory is whose name the user chose.
#[derive(Debug)]
pub enum Marked {
    /// Nothing that a run of the same user has made, as far as can be told.
    Foreign,
    /// A run is at work in it.
    InUse,
    /// No run answers for it any more; locked for its removal.
    Abandoned(Claim),
}

/// Looks at a directory that may be one of [`Claim::make_marked`].
pub fn marked(path: &Path) -> Result<Marked> {
    let Some(file) = open(path)? else { return Ok(Marked::Foreign) };
    let owner = rustix::process::geteuid().as_raw();
    let is_own = |metadata: &std::fs::Metadata| metadata.uid() == owner;
    let context = || format!("looking at {}", path.display());
    let mark = path.join(MARK).symlink_metadata();
    let is_marked = mark.is_ok_and(|mark| mark.is_file() && is_own(&mark));
    if !is_marked || !is_own(&file.metadata().context(Kind::Host, context)?) || is_remote(path)? {
        return Ok(Marked::Foreign);
    }
    match file.try_lock() {
        Ok(()) => Ok(Claim::of(path, file).map_or(Marked::Foreign, Marked::Abandoned)),
        Err(TryLockError::WouldBlock) => Ok(Marked::InUse),
        Err(TryLockError::Error(error)) => Err(error).context(Kind::Host, context),
    }
}

/// Whether the locks of a directory may be held where we do not see it.
fn is_remote(path: &Path) -> Result<bool> {
    let system = rustix::fs::statfs(path).context(Kind::Host, || format!("looking at {}", path.display()))?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number of 32 bits")]
    let kind = system.f_type as u64 & 0xffff_ffff;
    Ok(REMOTE.contains(&kind))
}

/// A path in `parent` that begins with `stem` and that nobody can foresee.
pub fn fresh(parent: &Path, stem: &str) -> Result<PathBuf> {
    let mut bytes = [0; DIGITS / 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context(Kind::Host, || "asking for random numbers".into())?;
    Ok(parent.join(format!("{stem}-{:0DIGITS$x}", u64::from_ne_bytes(bytes))))
}

/// The directories in `parent` that runs of the same user have made by the name of `stem` and that no
/// run answers for any more, locked for their removal.
pub fn abandoned(parent: &Path, stem: &str) -> Result<Vec<Claim>> {
    let context = || format!("reading {}", parent.display());
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(Kind::Host, context),
    };
    if is_remote(parent)? {
        return Ok(Vec::new());
    }
    let owner = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.context(Kind::Host, context)?;
        if !is_fresh(&entry.file_name().to_string_lossy(), stem) {
            continue;
        }
        let Some(file) = open(&entry.path())? else { continue };
        let context = || format!("locking {}", entry.path().display());
        if file.metadata().context(Kind::Host, context)?.uid() != owner {
            continue;
        }
        match file.try_lock() {
            Ok(()) => found.extend(Claim::of(&entry.path(), file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context(Kind::Host, context),
        }
    }
    Ok(found)
}

/// Whether [`fresh`] makes such names for `stem`.
fn is_fresh(name: &str, stem: &str) -> bool {
    let digits = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Opens a directory, no link; none where there is no such directory, or it belongs to somebody else
/// and is closed.
fn open(path: &Path) -> Result<Option<File>> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) => match rustix::io::Errno::from_io_error(&error) {
            Some(
                rustix::io::Errno::NOENT
                | rustix::io::Errno::NOTDIR
                | rustix::io::Errno::LOOP
                | rustix::io::Errno::ACCESS,
            ) => Ok(None),
            _ => Err(error).context(Kind::Host, || format!("opening {}", path.display())),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_there_is_never_taken_over() {
        let parent = tempfile::tempdir().unwrap();
        let path = fresh(parent.path(), "rvmb-build").unwrap();
        assert_ne!(path, fresh(parent.path(), "rvmb-build").unwrap());
        let claim = Claim::make(&path, PRIVATE).unwrap();
        assert_eq!(claim.path().metadata().unwrap().permissions().mode() & 0o7777, PRIVATE);
        assert!(Claim::make(&path, PRIVATE).is_err());
        let link = fresh(parent.path(), "rvmb-build").unwrap();
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(Claim::make(&link, PRIVATE).is_err());
    }

    /// What is abandoned, once it is so much: a program that another test starts holds every lock of
    /// this process between its fork and its exec.
    fn soon(parent: &Path, count: usize) -> Vec<Claim> {
        for _ in 0..100 {
            let found = abandoned(parent, "rvmb-build").unwrap();
            if found.len() == count {
                return found;
            }
            drop(found);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        abandoned(parent, "rvmb-build").unwrap()
    }

    #[test]
    fn only_what_nobody_answers_for_is_abandoned() {
        let parent = tempfile::tempdir().unwrap();
        let make = |stem| Claim::make(&fresh(parent.path(), stem).unwrap(), PRIVATE).unwrap();
        let [held, shared, left, other] = ["rvmb-build", "rvmb-build", "rvmb-build", "rvmb"].map(make);
        let second = Claim::share(shared.path()).unwrap().unwrap();
        let path = left.path().to_owned();
        drop((shared, other, left));
        for name in ["rvmb-build-7", "rvmb-build-0123456789abcdeF", "xrvmb-build-0123456789abcdef"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        std::fs::write(parent.path().join("rvmb-build-0123456789abcdef"), "").unwrap();
        let found = soon(parent.path(), 1);
        assert_eq!(found.iter().map(Claim::path).collect::<Vec<_>>(), [path.as_path()]);
        // It is locked for its removal: nobody else finds it.
        assert!(abandoned(parent.path(), "rvmb-build").unwrap().is_empty());
        drop((held, second, found));
        assert_eq!(soon(parent.path(), 3).len(), 3);
        assert!(abandoned(&parent.path().join("nowhere"), "x").unwrap().is_empty());
    }

    #[test]
    fn a_directory_by_a_name_of_the_users_is_known_by_its_mark() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("tree");
        assert!(matches!(marked(&path).unwrap(), Marked::Foreign));
        let claim = Claim::make_marked(&path, PRIVATE).unwrap();
        assert!(matches!(marked(&path).unwrap(), Marked::InUse));
        drop(claim);
        // A program that another test starts may hold the lock for a moment.
        let abandoned = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            matches!(marked(&path).unwrap(), Marked::Abandoned(_))
        });
        assert!(abandoned);
        // Without the mark, or behind a link, it is somebody's.
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(marked(&link).unwrap(), Marked::Foreign));
        std::fs::remove_file(path.join(MARK)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join(MARK)).unwrap();
        assert!(matches!(marked(&path).unwrap(), Marked::Foreign));
    }

    #[test]
    fn a_temporary_directory_goes_with_its_value() {
        let parent = tempfile::tempdir().unwrap();
        let temporary = Temporary::make(parent.path(), "x").unwrap();
        std::fs::write(temporary.path().join("file"), "").unwrap();
        drop(temporary);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_went_before_it_was_locked_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("x");
        assert!(Claim::share(&path).unwrap().is_none());
        std::fs::create_dir(&path).unwrap();
        let file = open(&path).unwrap().unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert!(Claim::of(&path, file).is_none());
    }
}
