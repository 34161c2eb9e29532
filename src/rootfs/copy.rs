//! Copies a tree with everything that belongs to its files: owners, modes, times, attributes, hard links.

use std::path::Path;

use crate::error::Result;
use crate::host::run::Runner;

/// Copies the tree `from` to the directory `to`, which may be there, empty. Where the file system can share
/// data between files, it does.
pub fn copy(runner: &Runner, from: &Path, to: &Path) -> Result<()> {
    runner
        .command("cp")
        .args(["--archive", "--no-target-directory"])
        .args([from, to])
        .run()
        .map_err(|error| error.within(format!("copying the tree to {}", to.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;

    #[test]
    fn links_modes_and_holes_survive() {
        let room = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| room.path().join(name));
        std::fs::create_dir_all(from.join("bin")).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("bin/su"), "x").unwrap();
        std::fs::set_permissions(from.join("bin/su"), PermissionsExt::from_mode(0o4755)).unwrap();
        std::fs::hard_link(from.join("bin/su"), from.join("bin/other")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        std::fs::set_permissions(&from, PermissionsExt::from_mode(0o755)).unwrap();
        copy(&Runner::new(Arc::new(Silent)), &from, &to).unwrap();
        let metadata = to.join("bin/su").metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o4755, 2));
        assert_eq!(to.join("link").read_link().unwrap(), Path::new("/etc/passwd"));
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o755);
    }
}
