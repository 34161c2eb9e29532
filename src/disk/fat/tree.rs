//! What FAT can hold of a tree: directories and plain files, nothing else. Owners, modes and times are not
//! kept; a file that would lose more than these, or has no name in FAT, is refused by its path.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::source::Source;
use crate::error::{Context, Error, Kind, Result};

/// What FAT's 32 bits for a size hold.
const LARGEST_FILE: u64 = u32::MAX as u64;

/// UTF-16 units of the longest name.
const LONGEST_NAME: usize = 255;

/// What no long name may have in it (FAT specification 1.03, "Long Directory Entries").
const FORBIDDEN: &str = "\"*/:<>?\\|";

/// Set user id, set group id, sticky: what a mount option cannot give back.
const SPECIAL_MODES: u32 = 0o7000;

/// Copies `source` into the root of a volume.
pub(super) fn copy<T: fatfs::ReadWriteSeek>(root: &fatfs::Dir<'_, T>, source: &Source<'_>) -> Result<()> {
    let mut names = BTreeSet::new();
    source.walk(&mut |path, metadata| {
        let name = check(path, metadata)?;
        // FAT does not tell letters of different case apart.
        if !names.insert(name.to_lowercase()) {
            return Err(refused(path, "another file has the same name but for the case of its letters"));
        }
        let doing = || format!("copying {} into the FAT file system", path.display());
        if metadata.is_dir() {
            return root.create_dir(name).context(Kind::Build, doing).map(drop);
        }
        let mut from = File::open(source.tree.join(path)).context(Kind::Build, doing)?;
        let mut to = root.create_file(name).context(Kind::Build, doing)?;
        std::io::copy(&mut from, &mut to).context(Kind::Build, doing).map(drop)
    })
}

/// Whether FAT can hold it; its path as text.
fn check<'a>(path: &'a Path, metadata: &Metadata) -> Result<&'a str> {
    let Some(text) = path.to_str() else { return Err(refused(path, "its name is not Unicode")) };
    let name = text.rsplit('/').next().unwrap_or(text);
    let forbidden = |letter: char| letter.is_control() || FORBIDDEN.contains(letter);
    let why = if name.contains(forbidden) || name.ends_with(['.', ' ']) || name.starts_with(' ') {
        "its name has a character that FAT does not allow there"
    } else if name.encode_utf16().count() > LONGEST_NAME {
        "its name is too long"
    } else if metadata.is_symlink() {
        "FAT has no symbolic links"
    } else if !metadata.is_dir() && !metadata.is_file() {
        "FAT has no devices, pipes and sockets"
    } else if metadata.is_file() && metadata.nlink() > 1 {
        "FAT has no hard links"
    } else if metadata.mode() & SPECIAL_MODES != 0 {
        "FAT has no modes"
    } else if metadata.is_file() && metadata.len() > LARGEST_FILE {
        "a file in FAT has less than 4 GiB"
    } else {
        return Ok(text);
    };
    Err(refused(path, why))
}

fn refused(path: &Path, why: &str) -> Error {
    Error::build(format!("{} cannot go into a FAT file system: {why}", path.display()))
        .hint("Choose ext4 for this file system, or put that file elsewhere.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn why(make: impl Fn(&Path)) -> String {
        let tree = tempfile::tempdir().unwrap();
        make(tree.path());
        let source = Source { tree: tree.path(), hidden: &[], hide: None };
        let mut why = String::new();
        source
            .walk(&mut |path, metadata| {
                if let Err(error) = check(path, metadata) {
                    assert!(error.message().starts_with(path.to_str().unwrap()), "{error}");
                    why = error.message().to_owned();
                }
                Ok(())
            })
            .unwrap();
        why
    }

    #[test]
    fn what_fat_cannot_hold_is_refused_by_name() {
        let write = |tree: &Path, name: &str| std::fs::write(tree.join(name), "").unwrap();
        assert_eq!(why(|tree| write(tree, "an ordinary file, of 2.txt")), "");
        for name in ["a:b", "what?", "end.", "end ", " start", "new\nline", "back\\slash"] {
            assert!(why(|tree| write(tree, name)).contains("does not allow"), "{name}");
        }
        assert!(why(|tree| symlink("x", tree.join("link")).unwrap()).contains("symbolic"));
        let hard = |tree: &Path| {
            write(tree, "one");
            std::fs::hard_link(tree.join("one"), tree.join("two")).unwrap();
        };
        assert!(why(hard).contains("hard links"));
        let special = |tree: &Path| {
            std::fs::create_dir(tree.join("tmp")).unwrap();
            std::fs::set_permissions(tree.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        };
        assert!(why(special).contains("no modes"));
        let large = |tree: &Path| File::create(tree.join("large")).unwrap().set_len(1 << 32).unwrap();
        assert!(why(large).contains("4 GiB"));
    }
}
