//! The list of files that mkfs.xfs copies, mkfs.xfs(8) "-p protofile": a line for each file with name, type
//! and permissions, owner and group, and what is in it; a directory's entries follow it, up to a `$`.
//!
//! Words end at white space, and nothing can be quoted. In place of its owner each file has its number in the
//! list there, by which its inode is found afterwards.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::super::source::Source;
use crate::error::{Context, Error, Kind, Result};

/// What a file's inode has to say.
pub(super) struct Item {
    /// Its path in the tree.
    pub(super) path: PathBuf,
    pub(super) owner: u32,
    pub(super) group: u32,
    /// The permissions, with set user id, set group id and sticky.
    pub(super) permissions: u16,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Bytes in it, where it is a plain file.
    pub(super) size: u64,
}

impl Item {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        let [low, high, ..] = (metadata.mode() & 0o7777).to_le_bytes();
        Item {
            path: path.to_owned(),
            owner: metadata.uid(),
            group: metadata.gid(),
            permissions: u16::from_le_bytes([low, high]),
            modified: metadata.mtime(),
            size: if metadata.is_file() { metadata.len() } else { 0 },
        }
    }
}

/// The list, and what the inodes of its files have to say; file number 1 is the first of these.
pub(super) fn list(source: &Source<'_>) -> Result<(Vec<u8>, Vec<Item>)> {
    let metadata = source.tree.symlink_metadata();
    let metadata = metadata.context(Kind::Build, || format!("reading {}", source.tree.display()))?;
    check_attributes(source.tree, Path::new("/"))?;
    let mut items = vec![Item::new(Path::new("/"), &metadata)];
    // The name of a boot program and two sizes come first; nobody reads them any more.
    let mut text = b"/\n0 0\nd--755 1 0\n".to_vec();
    let mut open = 0;
    source.walk(&mut |path, metadata| {
        // The directories that the one before was in, and this one is not, are at their end.
        let depth = path.components().count() - 1;
        text.extend(b"$\n".repeat(open - depth));
        items.push(Item::new(path, metadata));
        check_attributes(&source.tree.join(path), path)?;
        text.extend(line(source.tree, path, metadata, items.len())?);
        open = depth + usize::from(metadata.is_dir());
        Ok(())
    })?;
    text.extend(b"$\n".repeat(open + 1));
    Ok((text, items))
}

fn line(tree: &Path, path: &Path, metadata: &Metadata, number: usize) -> Result<Vec<u8>> {
    let kind = metadata.file_type();
    let device = || format!(" {} {}", major(metadata.rdev()), minor(metadata.rdev())).into_bytes();
    let (letter, content) = if kind.is_dir() {
        ('d', Vec::new())
    } else if kind.is_symlink() {
        let target = std::fs::read_link(tree.join(path));
        let target = target.context(Kind::Build, || format!("reading {}", path.display()))?;
        check_word(path, target.as_os_str())?;
        ('l', [b" ", target.as_os_str().as_bytes()].concat())
    } else if kind.is_block_device() {
        ('b', device())
    } else if kind.is_char_device() {
        ('c', device())
    } else if kind.is_fifo() {
        ('p', Vec::new())
    } else if !kind.is_file() {
        return Err(refused(path, "it is a socket"));
    } else if metadata.nlink() > 1 {
        return Err(refused(path, "it has several names (hard links)"));
    } else {
        ('-', [b" ./", path.as_os_str().as_bytes()].concat())
    };
    let name = path.file_name().unwrap_or_default();
    for part in path {
        check_word(path, part)?;
    }
    let middle = format!(" {letter}--644 {number} 0").into_bytes();
    Ok([name.as_bytes(), &middle, &content, b"\n"].concat())
}

/// Whether the list can hold a word: white space ends it, a colon begins a comment, a dollar ends a directory.
fn check_word(path: &Path, word: &OsStr) -> Result<()> {
    let bytes = word.as_bytes();
    if bytes.iter().any(u8::is_ascii_whitespace) || bytes.contains(&0x0b) {
        return Err(refused(path, "it has white space in its name or target"));
    }
    if bytes.starts_with(b":") || bytes == b"$" {
        return Err(refused(path, "its name or target has a meaning of its own there"));
    }
    Ok(())
}

fn check_attributes(file: &Path, path: &Path) -> Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(file, &mut names) {
        Ok(length) => length,
        // A file system without attributes.
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error).context(Kind::Build, || format!("reading {}", path.display())),
    };
    let names: BTreeSet<_> = names.get(..length).unwrap_or_default().split(|byte| *byte == 0).collect();
    match names.into_iter().find(|name| !name.is_empty()) {
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            Err(refused(path, &format!("it has the extended attribute {name}")))
        }
        None => Ok(()),
    }
}

/// The error for a file that this host's mkfs.xfs cannot copy.
pub(super) fn refused(path: &Path, why: &str) -> Error {
    Error::build(format!("mkfs.xfs of this host cannot copy {}: {why}", path.display()))
        .hint("Choose ext4 for this file system, or build where xfsprogs is 6.17 or later.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(make: impl Fn(&Path)) -> Result<String> {
        let tree = tempfile::tempdir().unwrap();
        make(tree.path());
        let source = Source { tree: tree.path(), hidden: &[], hide: None };
        list(&source).map(|(text, _)| String::from_utf8(text).unwrap())
    }

    #[test]
    fn directories_end_where_their_entries_do() {
        let text = listed(|tree| {
            std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
            std::fs::write(tree.join("a/x"), "").unwrap();
            symlink("a/x", tree.join("z")).unwrap();
        });
        let lines = [
            "/",
            "0 0",
            "d--755 1 0",
            "a d--644 2 0",
            "b d--644 3 0",
            "c d--644 4 0",
            "$",
            "$",
            "x ---644 5 0 ./a/x",
            "$",
            "z l--644 6 0 a/x",
            "$",
            "",
        ];
        assert_eq!(text.unwrap(), lines.join("\n"));
        assert_eq!(listed(|_| ()).unwrap(), "/\n0 0\nd--755 1 0\n$\n");
    }

    /// Makes a file in a tree.
    type Make = fn(&Path);

    #[test]
    fn what_the_list_cannot_say_is_refused_by_name() {
        let cases: [(&str, Make); 6] = [
            ("white space", |tree| std::fs::write(tree.join("bad a b"), "").unwrap()),
            ("white space", |tree| symlink("a\tb", tree.join("bad")).unwrap()),
            ("meaning", |tree| std::fs::create_dir(tree.join("$")).unwrap()),
            ("meaning", |tree| std::fs::write(tree.join(":bad"), "").unwrap()),
            ("hard links", |tree| {
                std::fs::write(tree.join("bad"), "").unwrap();
                std::fs::hard_link(tree.join("bad"), tree.join("worse")).unwrap();
            }),
            ("socket", |tree| {
                std::os::unix::net::UnixListener::bind(tree.join("bad")).unwrap();
            }),
        ];
        for (why, make) in cases {
            let error = listed(make).unwrap_err();
            assert!(error.message().contains(why), "{why}: {error}");
            assert!(error.hints().iter().any(|hint| hint.contains("6.17")), "{error:?}");
        }
    }

    #[test]
    fn an_attribute_is_refused_by_name() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("bad");
        std::fs::write(&file, "").unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        // Not every file system has these.
        if rustix::fs::setxattr(&file, "user.color", b"red", flags).is_ok() {
            let error = check_attributes(&file, Path::new("bad")).unwrap_err();
            assert!(error.message().contains("bad: it has the extended attribute user.color"), "{error}");
        }
    }
}
