//! Files of the guest's tree, by the guest's own paths.
//!
//! The tree comes from packages and scripts that are not ours: a link in it may point anywhere. Every path
//! is resolved by the kernel as if the tree were the whole world (openat2(2), `RESOLVE_IN_ROOT`), so nothing
//! outside the tree is ever read or written.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

use crate::error::{Context, Error, Kind, Result};

/// The largest file that is read: boot loaders have some MiB.
const LARGEST: u64 = 64 << 20;

/// The guest's tree.
pub(super) struct Guest {
    root: OwnedFd,
}

impl Guest {
    /// Opens the tree at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .context(Kind::Build, || format!("opening the tree {}", path.display()))?;
        Ok(Guest { root })
    }

    fn resolve(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Reads a regular file; none where there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let doing = || format!("reading {path} in the tree");
        // A named pipe in place of the file must not make us wait.
        let file = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(descriptor) => File::from(descriptor),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error).context(Kind::Build, doing),
        };
        let metadata = file.metadata().context(Kind::Build, doing)?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(Error::build(doing()).hint("It is no file of the size that is expected here."));
        }
        let mut content = Vec::new();
        file.take(LARGEST).read_to_end(&mut content).context(Kind::Build, doing)?;
        Ok(Some(content))
    }

    /// Names in a directory, sorted; none where there is no such directory. Names that are no UTF-8 are
    /// left out: nothing that is looked for here has one.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>> {
        let doing = || format!("listing {path} in the tree");
        let directory = match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => directory,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Vec::new()),
            Err(error) => return Err(error).context(Kind::Build, doing),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(directory).context(Kind::Build, doing)? {
            let entry = entry.context(Kind::Build, doing)?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a directory, and those above it, where they are not there yet.
    pub(super) fn create_directory(&self, path: &str) -> Result<()> {
        let doing = || format!("making the directory {path} in the tree");
        let ends = path.match_indices('/').map(|(slash, _)| slash).chain([path.len()]);
        for end in ends.filter(|end| *end > 0) {
            let (parent, name) = split(&path[..end]);
            let parent =
                self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY).context(Kind::Build, doing)?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error).context(Kind::Build, doing),
            }
        }
        Ok(())
    }

    /// Writes a file of mode 0644, in place of what is there. Its directory exists.
    pub(super) fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let doing = || format!("writing {path} in the tree");
        self.remove(path)?;
        let (parent, name) = split(path);
        let parent = self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY).context(Kind::Build, doing)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = rustix::fs::openat(&parent, name, flags, mode).context(Kind::Build, doing)?;
        // Whatever the umask is.
        rustix::fs::fchmod(&file, mode).context(Kind::Build, doing)?;
        File::from(file).write_all(content).context(Kind::Build, doing)
    }

    /// Removes a file or link, where there is one.
    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let doing = || format!("removing {path} in the tree");
        let (parent, name) = split(path);
        let parent = self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY).context(Kind::Build, doing)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(error) if std::io::Error::from(error).kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context(Kind::Build, doing),
        }
    }
}

/// Directory and name; the directory of what lies at the top is `/`.
fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_never_lead_out_of_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let guest = Guest::open(tree.path()).unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        symlink(outside.path().join("secret"), tree.path().join("absolute")).unwrap();
        symlink(outside.path(), tree.path().join("boot")).unwrap();
        symlink("../../../../../../../../etc/passwd", tree.path().join("relative")).unwrap();
        for path in ["/absolute", "/boot/secret", "/relative"] {
            assert_eq!(guest.read(path).unwrap(), None, "{path}");
        }
        assert!(guest.write("/boot/grub.cfg", b"x").is_err());
        assert!(guest.create_directory("/boot/grub").is_err());
        guest.write("/absolute", b"mine").unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
        assert_eq!(guest.read("/absolute").unwrap().unwrap(), b"mine");
    }

    #[test]
    fn links_inside_the_tree_are_followed() {
        let tree = tempfile::tempdir().unwrap();
        let guest = Guest::open(tree.path()).unwrap();
        guest.create_directory("/usr/lib/grub").unwrap();
        symlink("/usr/lib", tree.path().join("lib")).unwrap();
        guest.write("/lib/grub/b", b"2").unwrap();
        guest.write("/usr/lib/grub/a", b"1").unwrap();
        assert_eq!(guest.names("/lib/grub").unwrap(), ["a", "b"]);
        assert_eq!(guest.read("/usr/lib/grub/b").unwrap().unwrap(), b"2");
        assert!(guest.names("/nowhere").unwrap().is_empty());
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_an_error() {
        let tree = tempfile::tempdir().unwrap();
        let guest = Guest::open(tree.path()).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.path().join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(guest.read("/pipe").is_err());
        assert!(guest.read("/").is_err());
    }
}
