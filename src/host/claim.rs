//! Directories of one run alone, and what is left of runs that were killed.
//!
//! A directory of a run has a name that nobody can foresee, is made and never taken over, and is
//! locked (flock(2), shared) by every process that answers for it. The kernel takes the lock away with
//! the last of them. So a directory with such a name, of the same owner and without a lock is a
//! leftover, and whoever locks it alone may remove it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Context, Error, Kind, Result};

/// Mode of a directory that is closed to others.
pub const PRIVATE: u32 = 0o700;

/// Hexadecimal digits at the end of a name: 64 bits.
const DIGITS: usize = 16;

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
    let system = rustix::fs::statfs(parent).context(Kind::Host, context)?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number of 32 bits")]
    if REMOTE.contains(&(system.f_type as u64 & 0xffff_ffff)) {
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
