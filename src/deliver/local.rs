//! The output directory: all of the results go into it in one step, or none.
//!
//! Where nothing is in the place it is a rename that replaces nothing, else an exchange of the two, so
//! that at no time there is neither. File systems that know neither (NFS, some overlays) get plain
//! renames, with the old results aside for a moment.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::host::claim;
use crate::manifest;

/// Puts the directory `partial` at `destination`. What it replaced, where `overwrite` allows that, is at
/// `partial` afterwards.
///
/// # Errors
///
/// [`Kind::Delivery`]; the old results are in their place then.
pub fn put_in_place(partial: &Path, destination: &Path, overwrite: bool) -> Result<()> {
    let context = || format!("putting the results into {}", destination.display());
    match rename_without_replacing(partial, destination) {
        Err(Errno::EXIST) if overwrite && !manifest::may_be_replaced(destination) => Err(Error::new(
            Kind::Delivery,
            format!("the destination {} became something else than rvmb's meanwhile", destination.display()),
        )
        .hint("--overwrite replaces what rvmb has made and nothing else; choose another with --destdir.")),
        Err(Errno::EXIST) if overwrite => exchange(partial, destination),
        Err(Errno::EXIST) => Err(Error::new(
            Kind::Delivery,
            format!("the destination {} appeared during the build", destination.display()),
        )
        .hint("Another build may have used the same name; choose one with --destdir.")),
        renamed => renamed.context(Kind::Delivery, context),
    }
}

fn rename_without_replacing(from: &Path, to: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(error) if is_unknown(error) => match to.symlink_metadata() {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::rename(from, to),
        },
        renamed => renamed,
    }
}

fn exchange(partial: &Path, destination: &Path) -> Result<()> {
    let context = || format!("replacing {}", destination.display());
    match renameat_with(CWD, partial, CWD, destination, RenameFlags::EXCHANGE) {
        Err(error) if is_unknown(error) => step_aside(partial, destination),
        exchanged => exchanged.context(Kind::Delivery, context),
    }
}

/// The exchange in three renames. After a kill between the first two the old results are beside the
/// destination, by a name that no cleaning touches.
fn step_aside(partial: &Path, destination: &Path) -> Result<()> {
    let context = || format!("replacing {}", destination.display());
    let parent = destination.parent().unwrap_or(Path::new("/"));
    let name = destination.file_name().unwrap_or_default().to_string_lossy();
    let aside = claim::fresh(parent, &format!("{name}.replaced"))?;
    rustix::fs::rename(destination, &aside).context(Kind::Delivery, context)?;
    if let Err(error) = rustix::fs::rename(partial, destination) {
        rustix::fs::rename(&aside, destination)
            .context(Kind::Delivery, || format!("putting {} back", aside.display()))?;
        return Err(error).context(Kind::Delivery, context);
    }
    rustix::fs::rename(&aside, partial).context(Kind::Delivery, context)
}

/// Whether a file system does not know such a rename (rename(2), `EINVAL`).
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// A file of the user's choice outside the destination, written and not yet in its place.
pub struct Beside {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Beside {
    /// Writes `text` beside `path`. It goes unless [`Beside::put_in_place`] is called.
    ///
    /// # Errors
    ///
    /// [`Kind::Delivery`].
    pub fn write(path: &Path, text: &str) -> Result<Beside> {
        let context = || format!("writing {}", path.display());
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory).context(Kind::Delivery, context)?;
        file.write_all(text.as_bytes()).context(Kind::Delivery, context)?;
        set_mode(file.path(), 0o666)?;
        Ok(Beside { file, path: path.to_owned() })
    }

    /// Puts it into its place, over a file that is there.
    ///
    /// # Errors
    ///
    /// [`Kind::Delivery`]; the old file is there then.
    pub fn put_in_place(self) -> Result<()> {
        let Beside { file, path } = self;
        file.persist(&path)
            .map(drop)
            .map_err(|error| error.error)
            .context(Kind::Delivery, || format!("writing {}", path.display()))
    }
}

/// Sets the mode of a file, as far as the user's umask allows.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let context = || format!("setting the mode of {}", path.display());
    let status = std::fs::read_to_string("/proc/self/status").context(Kind::Build, context)?;
    let mode = mode & !parse_umask(&status).unwrap_or(0o022);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).context(Kind::Build, context)
}

/// `Umask:` of /proc/PID/status (proc(5)). umask(2) can only be asked by changing it, for all threads.
fn parse_umask(status: &str) -> Option<u32> {
    let octal = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(octal.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with `old` and `new`, each with a file of its name.
    fn two() -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        for name in ["old", "new"] {
            std::fs::create_dir(base.path().join(name)).unwrap();
            std::fs::write(base.path().join(name).join(name), "").unwrap();
        }
        let manifest = base.path().join("old").join(manifest::MANIFEST);
        std::fs::write(manifest, r#"{"generator": "rvmb 0.1.0"}"#).unwrap();
        base
    }

    #[test]
    fn what_is_in_the_place_is_replaced_only_on_demand() {
        for replace in [put_with_overwrite, step_aside] {
            let base = two();
            let [old, new] = ["old", "new"].map(|name| base.path().join(name));
            let refused = put_in_place(&new, &old, false).unwrap_err();
            assert_eq!(refused.kind(), Kind::Delivery);
            assert!(old.join("old").exists() && new.join("new").exists());
            replace(&new, &old).unwrap();
            assert!(old.join("new").exists() && new.join("old").exists());
            assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 2);
        }
    }

    fn put_with_overwrite(partial: &Path, destination: &Path) -> Result<()> {
        put_in_place(partial, destination, true)
    }

    #[test]
    fn what_is_not_ours_is_never_replaced() {
        let base = two();
        let [old, new] = ["old", "new"].map(|name| base.path().join(name));
        std::fs::remove_file(old.join(manifest::MANIFEST)).unwrap();
        assert_eq!(put_in_place(&new, &old, true).unwrap_err().kind(), Kind::Delivery);
        assert!(old.join("old").exists() && new.join("new").exists());
    }

    #[test]
    fn an_empty_place_is_taken() {
        let base = two();
        let [new, free] = ["new", "free"].map(|name| base.path().join(name));
        put_in_place(&new, &free, false).unwrap();
        assert!(free.join("new").exists() && !new.exists());
    }

    #[test]
    fn a_replacement_that_fails_puts_the_old_back() {
        let base = two();
        let [old, missing] = ["old", "missing"].map(|name| base.path().join(name));
        assert!(step_aside(&missing, &old).is_err());
        assert!(old.join("old").exists());
    }

    #[test]
    fn a_file_beside_is_there_whole_or_not_at_all() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("list");
        drop(Beside::write(&path, "a 1\n").unwrap());
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0);
        std::fs::write(&path, "old").unwrap();
        Beside::write(&path, "a 1\n").unwrap().put_in_place().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 1\n");
        assert_eq!(
            Beside::write(&room.path().join("none/list"), "").err().map(|error| error.kind()),
            Some(Kind::Delivery)
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(Beside::write(&path, "").unwrap().put_in_place().is_err());
    }

    #[test]
    fn the_umask_is_read() {
        assert_eq!(parse_umask("Name:\tx\nUmask:\t0077\n"), Some(0o077));
        assert_eq!(parse_umask("Name:\tx\n"), None);
        assert!(parse_umask(&std::fs::read_to_string("/proc/self/status").unwrap()).is_some());
    }
}
