//! Fills the store of .debs from media that are at hand.
//!
//! What is on a medium is found by its size, and taken if it has the digest that the signed index names:
//! the names on it decide nothing, nor does anything else that it says.

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::clean::MEDIUM_GROWS;
use crate::digest::{self, hex};
use crate::error::{Context, Kind, Result};
use crate::host::{iso9660, tarball};
use crate::plan::{Medium, MediumKind, Package};

/// What is still looked for, and where it goes.
struct Search<'a, 'p> {
    wanted: Vec<&'p Package>,
    store: &'a Path,
}

/// Takes from `medium` into `store` what it has of `wanted`; returns what it does not have.
///
/// # Errors
///
/// [`Kind::Config`] for a medium that cannot be read to its end.
pub fn take<'p>(medium: &Medium, wanted: Vec<&'p Package>, store: &Path) -> Result<Vec<&'p Package>> {
    let mut search = Search { wanted, store };
    let context = || format!("taking packages from {}", medium.path.display());
    let mut each = |size, content: &mut dyn Read| search.look_at(size, content);
    match medium.kind {
        MediumKind::Iso => {
            let image = File::open(&medium.path).context(Kind::Config, context)?;
            iso9660::each_file(&image, &mut each)
        }
        MediumKind::Tarball => tarball::each_file(&medium.path, &mut each),
    }
    .context(Kind::Config, context)?;
    Ok(search.wanted)
}

impl Search<'_, '_> {
    fn look_at(&mut self, size: u64, content: &mut dyn Read) -> io::Result<()> {
        // An index without digests says nothing about what a file is.
        let fits = |package: &&&Package| package.size == size && !package.sha256.is_empty();
        if !self.wanted.iter().any(|package| fits(&package)) {
            return Ok(());
        }
        let mut copy = NamedTempFile::with_prefix_in(MEDIUM_GROWS, self.store.join("partial"))?;
        let digest = hex(digest::copy(content, copy.as_file_mut())?);
        let found = self.wanted.iter().position(|package| fits(&package) && package.sha256 == digest);
        let Some(found) = found else { return Ok(()) };
        let package = self.wanted.swap_remove(found);
        // As apt leaves them: its unpacking may run as another user.
        copy.as_file().set_permissions(Permissions::from_mode(0o644))?;
        copy.persist(self.store.join(&package.file)).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::run::Runner;
    use crate::testing;

    fn package(name: &str, content: &str) -> Package {
        let sha256 = digest::sha256(content);
        Package {
            name: name.into(),
            version: "1:1".into(),
            architecture: "all".into(),
            size: content.len() as u64,
            installed_size: 0,
            sha256,
            file: format!("{name}_1%3a1_all.deb"),
        }
    }

    #[test]
    fn what_has_the_digest_of_the_index_is_taken_and_nothing_else() {
        if !testing::has("tar") {
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let store = room.path().join("store");
        std::fs::create_dir_all(store.join("partial")).unwrap();
        let place = room.path().join("var/cache/apt/archives");
        std::fs::create_dir_all(&place).unwrap();
        // Names say nothing; one of the same size and name has another content.
        std::fs::write(place.join("other-name.deb"), "good").unwrap();
        std::fs::write(place.join("bad_1%3a1_all.deb"), "evil").unwrap();
        let medium = Medium { kind: MediumKind::Tarball, path: room.path().join("debs.tgz") };
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        let (from, to) = (room.path(), &medium.path);
        runner.command("tar").args(["-czf"]).arg(to).arg("-C").arg(from).arg("var").run().unwrap();

        let unsigned = Package { sha256: String::new(), ..package("unsigned", "evil") };
        let packages = [package("good", "good"), package("bad", "real"), package("absent", "else"), unsigned];
        let missing = take(&medium, packages.iter().collect(), &store).unwrap();
        let mut names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["absent", "bad", "unsigned"]);
        let mode = store.join("good_1%3a1_all.deb").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let there = std::fs::read_dir(&store).unwrap().count();
        assert_eq!((there, std::fs::read_dir(store.join("partial")).unwrap().count()), (2, 0));
    }

    #[test]
    fn a_medium_that_is_damaged_is_named() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("debs.tgz");
        std::fs::write(&path, [0x1f, 0x8b, 8, 0, 0]).unwrap();
        let package = package("a", "a");
        let medium = Medium { kind: MediumKind::Tarball, path: path.clone() };
        let error = take(&medium, vec![&package], room.path()).unwrap_err();
        assert!(error.kind() == Kind::Config && error.message().contains("debs.tgz"), "{error}");
    }
}
