//! The .debs of a cache: which of them are whole, and when each was used last.
//!
//! apt compares every file that it fetches with the digest in the signed index, and does not wait for
//! the disk. So a file is trusted in the boot in which it was fetched or compared; in a later boot it is
//! compared once, and what was read from the disk then is on the disk. A table beside the directory
//! remembers; where it is missing or wrong everything is compared again.
//!
//! Two archives may have packages of one name, version and even size that differ: a file is trusted
//! under the digest that it was compared with, and under no other.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::layers::{SETTLED, boot_id};
use crate::digest::{self, hex};
use crate::error::{Context, Kind, Result};
use crate::plan::Package;

/// How many files are compared at a time: the processors, up to this.
const MOST_THREADS: usize = 4;

/// The .debs.
#[derive(Debug)]
pub struct Archives {
    directory: PathBuf,
    boot: String,
    known: BTreeMap<String, Known>,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    size: u64,
    /// Its modification, seconds and nanoseconds since 1970: another time is another file.
    modified: (i64, i64),
    /// The digest that it was compared with, in hexadecimal; empty where an index has none.
    sha256: String,
    /// The boot in which it was found whole, or the word for every boot.
    mark: String,
    /// Seconds since 1970.
    used: u64,
}

impl Known {
    /// Whether it is known of a file of this size and time, compared with this digest.
    fn is(&self, size: u64, modified: (i64, i64), sha256: &str) -> bool {
        (self.size, self.modified) == (size, modified) && self.sha256 == sha256
    }
}

impl Archives {
    /// The .debs in `directory`.
    pub fn open(directory: &Path) -> Result<Archives> {
        // Whatever is wrong with the table, comparing again is the cure.
        let known = std::fs::read(table(directory)).ok();
        let known = known.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Archives { directory: directory.to_owned(), boot: boot_id()?, known })
    }

    /// Which of `packages` are not there, whole. A file that differs from its digest is removed.
    pub fn missing<'p>(&mut self, packages: &'p [Package]) -> Result<Vec<&'p Package>> {
        let (mut missing, mut doubtful) = (Vec::new(), Vec::new());
        for package in packages {
            match self.look(&package.file) {
                Some((size, _)) if size != package.size => missing.push(package),
                None => missing.push(package),
                Some(_) if self.is_trusted(package) => self.note(package),
                Some(_) => doubtful.push(package),
            }
        }
        let differ = self.compare(&doubtful)?;
        for package in doubtful {
            if differ.contains(&package.file.as_str()) {
                let path = self.directory.join(&package.file);
                std::fs::remove_file(&path)
                    .context(Kind::Build, || format!("removing {}, which is damaged", path.display()))?;
                self.known.remove(&package.file);
                missing.push(package);
            } else {
                self.note(package);
            }
        }
        Ok(missing)
    }

    /// Notes that a file is there, whole, and used now.
    pub fn note(&mut self, package: &Package) {
        let Some((size, modified)) = self.look(&package.file) else { return };
        let mark = match self.known.get(&package.file) {
            Some(known) if known.is(size, modified, &package.sha256) => {
                // Found whole in an earlier boot, and now again: it has reached the disk.
                if known.mark == self.boot { self.boot.clone() } else { SETTLED.to_owned() }
            }
            _ => self.boot.clone(),
        };
        let sha256 = package.sha256.clone();
        self.known.insert(package.file.clone(), Known { size, modified, sha256, mark, used: now() });
    }

    /// When a file was used last, as far as the table knows, in seconds since 1970.
    pub(super) fn used(&self, file: &str) -> Option<u64> {
        self.known.get(file).map(|known| known.used)
    }

    /// Writes the table, without what is not there any more.
    pub fn save(&mut self) -> Result<()> {
        let directory = &self.directory;
        self.known.retain(|file, _| directory.join(file).exists());
        let path = table(directory);
        let context = || format!("writing {}", path.display());
        let text = serde_json::to_vec(&self.known).context(Kind::Build, context)?;
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        std::fs::write(&partial, text).context(Kind::Build, context)?;
        std::fs::rename(&partial, &path).context(Kind::Build, context)
    }

    fn look(&self, file: &str) -> Option<(u64, (i64, i64))> {
        let metadata = std::fs::metadata(self.directory.join(file)).ok()?;
        Some((metadata.len(), (metadata.mtime(), metadata.mtime_nsec())))
    }

    fn is_trusted(&self, package: &Package) -> bool {
        let Some((size, modified)) = self.look(&package.file) else { return false };
        self.known.get(&package.file).is_some_and(|known| {
            known.is(size, modified, &package.sha256) && (known.mark == SETTLED || known.mark == self.boot)
        })
    }

    /// The files among these that differ from their digests, by name.
    fn compare<'p>(&self, packages: &[&'p Package]) -> Result<Vec<&'p str>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let share = packages.len().div_ceil(threads).max(1);
        let differing = |part: &[&'p Package]| -> Result<Vec<&'p str>> {
            let mut differ = Vec::new();
            for package in part {
                // An index without the digest has nothing to compare with.
                let digest = package.sha256.as_str();
                if !digest.is_empty() && sha256(&self.directory.join(&package.file))? != digest {
                    differ.push(package.file.as_str());
                }
            }
            Ok(differ)
        };
        std::thread::scope(|scope| {
            let parts: Vec<_> =
                packages.chunks(share).map(|part| scope.spawn(move || differing(part))).collect();
            let mut differ = Vec::new();
            for part in parts {
                differ.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(differ)
        })
    }
}

fn table(directory: &Path) -> PathBuf {
    directory.with_extension("json")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn sha256(path: &Path) -> Result<String> {
    let read = || digest::copy(&mut File::open(path)?, &mut std::io::sink());
    read().map(hex).context(Kind::Build, || format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `abc`: FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn package(name: &str) -> Package {
        Package {
            name: name.into(),
            version: "1".into(),
            architecture: "all".into(),
            size: 3,
            installed_size: 0,
            sha256: ABC.into(),
            file: format!("{name}_1_all.deb"),
        }
    }

    fn missing(directory: &Path, boot: &str, packages: &[Package]) -> Vec<String> {
        let mut archives = Archives::open(directory).unwrap();
        boot.clone_into(&mut archives.boot);
        let missing = archives.missing(packages).unwrap();
        let names = missing.iter().map(|package| package.name.clone()).collect();
        archives.save().unwrap();
        names
    }

    fn mark(directory: &Path, file: &str) -> String {
        Archives::open(directory).unwrap().known[file].mark.clone()
    }

    #[test]
    fn what_is_damaged_is_removed_and_missing() {
        let directory = tempfile::tempdir().unwrap();
        let archives = directory.path().join("archives");
        std::fs::create_dir(&archives).unwrap();
        let packages = ["good", "damaged", "short", "absent"].map(package);
        for (package, content) in packages.iter().zip(["abc", "abd", "ab"]) {
            std::fs::write(archives.join(&package.file), content).unwrap();
        }
        assert_eq!(missing(&archives, "one", &packages), ["short", "absent", "damaged"]);
        assert!(!archives.join(&packages[1].file).exists());
    }

    #[test]
    fn a_file_is_trusted_under_its_own_digest_alone() {
        let directory = tempfile::tempdir().unwrap();
        let archives = directory.path().join("archives");
        std::fs::create_dir(&archives).unwrap();
        let ours = package("a");
        std::fs::write(archives.join(&ours.file), "abc").unwrap();
        assert!(missing(&archives, "one", std::slice::from_ref(&ours)).is_empty());
        let theirs = Package { sha256: "0".repeat(64), ..ours };
        assert_eq!(missing(&archives, "one", &[theirs]), ["a"]);
    }

    #[test]
    fn a_file_is_compared_once_in_a_later_boot_and_then_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let archives = directory.path().join("archives");
        std::fs::create_dir(&archives).unwrap();
        let packages = [package("a")];
        let path = archives.join(&packages[0].file);
        let write = |content: &str| {
            std::fs::write(&path, content).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        };
        write("abc");
        assert!(missing(&archives, "one", &packages).is_empty());
        assert_eq!(mark(&archives, &packages[0].file), "one");
        assert!(missing(&archives, "one", &packages).is_empty());
        assert_eq!(mark(&archives, &packages[0].file), "one", "it may still be in memory alone");

        assert!(missing(&archives, "two", &packages).is_empty());
        assert_eq!(mark(&archives, &packages[0].file), SETTLED);
        // Trusted now: the same size and time are not looked into.
        write("xyz");
        assert!(missing(&archives, "three", &packages).is_empty());

        write("abc");
        std::fs::remove_file(table(&archives)).unwrap();
        assert!(missing(&archives, "one", &packages).is_empty());
        // The power went, and with it the content.
        write("\0\0\0");
        assert_eq!(missing(&archives, "two", &packages), ["a"]);
    }
}
