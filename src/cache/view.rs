//! A build's own view of the store of .debs: links to the files of its plan and to no others.
//!
//! Another build may replace a file of the store while this one installs from it, for two archives may
//! have packages of one name and version that differ. A link keeps the file that it was made to.

use std::path::Path;

use rustix::io::Errno;

use crate::error::{Context, Kind, Result};
use crate::plan::Package;

/// What apt fetches into; it looks for the directory even where there is nothing to fetch.
const PARTIAL: &str = "partial";

/// Makes the directory `view` with the .debs of `packages`, which are in `store`. Nobody may change the
/// store meanwhile. Where both are on one file system it takes no room and hardly any time.
///
/// # Errors
///
/// [`Kind::Build`] for a view that is there already, and a file that is not in the store.
pub fn make(store: &Path, packages: &[Package], view: &Path) -> Result<()> {
    let creating = || format!("creating {}", view.display());
    std::fs::create_dir(view).context(Kind::Build, creating)?;
    std::fs::create_dir(view.join(PARTIAL)).context(Kind::Build, creating)?;
    packages.iter().try_for_each(|package| {
        let (from, to) = (store.join(&package.file), view.join(&package.file));
        link(&from, &to).context(Kind::Build, || format!("taking {} from the store", from.display()))
    })
}

/// Gives a file a second name, or a copy where it cannot have one.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    let Err(error) = std::fs::hard_link(from, to) else { return Ok(()) };
    match Errno::from_io_error(&error) {
        // The plan has it for two layers; it is the same file.
        Some(Errno::EXIST) => Ok(()),
        // Another file system; too many names; a file of another user's, or a file system without links.
        Some(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => {
            std::fs::copy(from, to).map(drop)
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.into(),
            version: "1".into(),
            architecture: "all".into(),
            size: 4,
            installed_size: 0,
            sha256: String::new(),
            file: format!("{name}_1_all.deb"),
        }
    }

    fn store(room: &Path, names: &[&str]) -> (PathBuf, Vec<Package>) {
        let store = room.join("store");
        std::fs::create_dir(&store).unwrap();
        let packages: Vec<Package> = names.iter().map(|name| package(name)).collect();
        for package in &packages {
            std::fs::write(store.join(&package.file), "ours").unwrap();
        }
        (store, packages)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_others_do_to_the_store_does_not_matter() {
        let room = tempfile::tempdir().unwrap();
        let (store, packages) = store(room.path(), &["replaced", "removed", "foreign"]);
        let view = room.path().join("view");
        // One of them twice, as a plan has it whose layers differ in what they know of it.
        let planned = [&packages[..2], &packages[..1]].concat();
        make(&store, &planned, &view).unwrap();
        assert_eq!(names(&view), ["partial", "removed_1_all.deb", "replaced_1_all.deb"]);
        let inode = |directory: &Path| directory.join(&packages[0].file).metadata().unwrap().ino();
        assert_eq!(inode(&view), inode(&store), "a copy takes room and time");

        for package in &packages {
            std::fs::remove_file(store.join(&package.file)).unwrap();
        }
        std::fs::write(store.join(&packages[0].file), "else").unwrap();
        for package in &packages[..2] {
            assert_eq!(std::fs::read(view.join(&package.file)).unwrap(), b"ours");
        }
    }

    #[test]
    fn a_file_that_cannot_have_a_second_name_is_copied() {
        let memory = Path::new("/dev/shm");
        let room = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir_in(memory);
        let device = |path: &Path| path.metadata().unwrap().dev();
        let Ok(elsewhere) = elsewhere else { return };
        if device(elsewhere.path()) == device(room.path()) {
            return;
        }
        let (store, packages) = store(room.path(), &["a"]);
        let view = elsewhere.path().join("view");
        make(&store, &packages, &view).unwrap();
        assert_eq!(std::fs::read(view.join(&packages[0].file)).unwrap(), b"ours");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let room = tempfile::tempdir().unwrap();
        let (store, _) = store(room.path(), &[]);
        let error = make(&store, &[package("absent")], &room.path().join("view")).unwrap_err();
        assert!(error.message().contains("absent_1_all.deb"), "{error}");
    }
}
