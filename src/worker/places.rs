//! The directories of a run: made by the keeper before the work, removed by it afterwards, so that at no
//! time anything stands on the disk that nobody answers for.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Kind, Result};
use crate::host::claim::{Claim, PRIVATE};
use crate::host::tree;

/// Mode of a directory before the user's umask.
const OPEN: u32 = 0o777;

/// Which directories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Made, closed to others; removed however the work ended.
    pub scratch: Vec<PathBuf>,
    /// The same by names that the user chose: they say whose they are.
    pub marked: Vec<PathBuf>,
    /// There already; removed however the work ended.
    pub thrown_away: Vec<PathBuf>,
    /// What is missing above the results, the outermost first: made; removed unless the results were
    /// delivered.
    pub parents: Vec<PathBuf>,
    /// Where results grow: made, with the user's umask; removed unless they were delivered.
    pub partial: Vec<PathBuf>,
}

impl Places {
    /// Makes them all, or none. They are locked for as long as the answer lives.
    pub(super) fn make(&self) -> Result<Vec<Claim>> {
        let mut made = Places::default();
        self.make_into(&mut made).inspect_err(|_| {
            // The error that stopped it is the one to tell.
            let _ = made.remove_all();
        })
    }

    fn make_into(&self, made: &mut Places) -> Result<Vec<Claim>> {
        let mut claims = Vec::new();
        for path in &self.thrown_away {
            claims.extend(Claim::share(path)?);
        }
        for path in &self.scratch {
            claims.push(Claim::make(path, PRIVATE)?);
            made.scratch.push(path.clone());
        }
        for path in &self.marked {
            claims.push(Claim::make_marked(path, PRIVATE)?);
            made.marked.push(path.clone());
        }
        for path in &self.parents {
            match std::fs::DirBuilder::new().mode(OPEN).create(path) {
                Ok(()) => made.parents.push(path.clone()),
                // Another build has made it: it is not ours to remove.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).context(Kind::Build, || format!("creating {}", path.display()));
                }
            }
        }
        for path in &self.partial {
            claims.push(Claim::make(path, OPEN)?);
            made.partial.push(path.clone());
        }
        Ok(claims)
    }

    /// Removes what no work needs any more.
    pub(super) fn remove_scratch(&self) -> Result<()> {
        remove(self.scratch.iter().chain(&self.marked).chain(&self.thrown_away))
    }

    /// Removes what was not delivered.
    pub(super) fn remove_partial(&self) -> Result<()> {
        let removed = remove(&self.partial);
        for parent in self.parents.iter().rev() {
            // Where something else is in it by now it stays.
            let _ = std::fs::remove_dir(parent);
        }
        removed
    }

    fn remove_all(&self) -> Result<()> {
        self.remove_scratch().and(self.remove_partial())
    }

    /// Whether anything of them is there.
    pub(super) fn remain(&self) -> bool {
        self.trees().any(|path| path.symlink_metadata().is_ok())
    }

    /// All but the parents.
    pub(super) fn trees(&self) -> impl Iterator<Item = &PathBuf> {
        self.scratch.iter().chain(&self.marked).chain(&self.thrown_away).chain(&self.partial)
    }
}

/// The directories that are missing above `path`, the outermost first.
pub(crate) fn missing_parents(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().skip(1).take_while(|ancestor| !ancestor.exists());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn remove<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    // Every path gets its chance; the first error is the one to tell.
    paths.into_iter().map(|path| tree::remove(path)).fold(Ok(()), Result::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: &Path) -> Places {
        let destination = base.join("a/b/out");
        Places {
            scratch: vec![base.join("scratch")],
            marked: vec![base.join("tree")],
            thrown_away: vec![base.join("cache")],
            parents: missing_parents(&destination),
            partial: vec![base.join("a/b/out.partial")],
        }
    }

    fn names(base: &Path) -> Vec<String> {
        let mut names = Vec::new();
        tree::walk(base, &mut |path, _| {
            names.push(path.strip_prefix(base).unwrap().display().to_string());
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        std::fs::create_dir(base.join("cache")).unwrap();
        let places = places(base);
        assert_eq!(places.parents, [base.join("a"), base.join("a/b")]);
        let claims = places.make().unwrap();
        assert_eq!(claims.len(), 4);
        assert_eq!(
            names(base),
            ["a", "a/b", "a/b/out.partial", "cache", "scratch", "tree", "tree/.made-by-rvmb"]
        );
        places.remove_scratch().unwrap();
        assert_eq!(names(base), ["a", "a/b", "a/b/out.partial"]);
        std::fs::write(base.join("a/mine"), "").unwrap();
        places.remove_partial().unwrap();
        assert_eq!(names(base), ["a", "a/mine"]);
        assert!(!places.remain());
    }

    #[test]
    fn what_is_there_stops_it_and_stays() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        let places = places(base);
        std::fs::create_dir_all(base.join("a/b/out.partial/x")).unwrap();
        assert!(places.make().is_err());
        assert_eq!(names(base), ["a", "a/b", "a/b/out.partial", "a/b/out.partial/x"]);
    }
}
