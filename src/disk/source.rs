//! A file system that is to be made elsewhere and brought to its place, and the tree that it is made of.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::Result;
use crate::host::run::BeforeExec;
use crate::host::tree;

/// A file system to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewFileSystem<'a> {
    /// Where it begins in the raw disk, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its UUID, from which any other that it has is made.
    pub uuid: Uuid,
    /// Its label, as long as its kind takes.
    pub label: &'a str,
    /// No time in it is later. Seconds since 1970.
    pub epoch: i64,
}

/// A tree that a file system is made of. An empty directory makes an empty file system.
#[derive(Clone)]
pub struct Source<'a> {
    /// Its root.
    pub tree: &'a Path,
    /// Directories, from the root of the tree, that other file systems are mounted on: what they hold is
    /// left out.
    pub hidden: &'a [PathBuf],
    /// Hides the same in a child that copies the tree.
    pub hide: Option<BeforeExec>,
}

impl Source<'_> {
    /// Visits everything below the root that is not hidden, directories before their entries, in the order of
    /// names. Paths count from the root of the tree.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>) -> Result<()> {
        tree::walk(self.tree, &mut |path, metadata| {
            let path = path.strip_prefix(self.tree).unwrap_or(path);
            let below = |directory: &PathBuf| path != directory && path.starts_with(directory);
            if self.hidden.iter().any(below) { Ok(()) } else { visit(path, metadata) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_file_systems_hold_is_left_out() {
        let tree = tempfile::tempdir().unwrap();
        for path in ["srv/data/deep", "srvx"] {
            std::fs::create_dir_all(tree.path().join(path)).unwrap();
        }
        std::fs::write(tree.path().join("srv/file"), "").unwrap();
        let hidden = [PathBuf::from("srv/data")];
        let source = Source { tree: tree.path(), hidden: &hidden, hide: None };
        let mut seen = Vec::new();
        source
            .walk(&mut |path, _| {
                seen.push(path.to_str().unwrap().to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, ["srv", "srv/data", "srv/file", "srvx"]);
    }
}
