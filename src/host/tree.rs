//! Trees of files: removing them, and looking into them without ever leaving them.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

use crate::error::{Context, Error, Kind, Result};

/// Removes a tree. Refuses to cross into another file system: a mount that was left in a tree must
/// never cost the files behind it. A tree that is not there is no error.
pub fn remove(root: &Path) -> Result<()> {
    let context = || format!("removing {}", root.display());
    let metadata = match std::fs::symlink_metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context(Kind::Build, context),
    };
    if !metadata.is_dir() {
        return std::fs::remove_file(root).context(Kind::Build, context);
    }
    let device = metadata.dev();
    walk(root, &mut |path, metadata| {
        if metadata.is_dir() && metadata.dev() != device {
            return Err(Error::build(format!("{} is a mount point; not removing it", path.display())));
        }
        Ok(())
    })?;
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper, and no mount is in the tree")]
    std::fs::remove_dir_all(root).context(Kind::Build, context)
}

/// Visits everything below `root`, directories before their entries, in the order of names. Does not
/// follow links.
pub fn walk(root: &Path, visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>) -> Result<()> {
    let context = || format!("reading {}", root.display());
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root).context(Kind::Build, context)? {
        entries.push(entry.context(Kind::Build, context)?.path());
    }
    entries.sort();
    for path in entries {
        let metadata = std::fs::symlink_metadata(&path)
            .context(Kind::Build, || format!("reading {}", path.display()))?;
        visit(&path, &metadata)?;
        if metadata.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}

/// A root file system seen as its own programs would see it: absolute links and `..` stay inside.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    directory: File,
}

impl Root {
    /// Opens the tree at `path`.
    pub fn open(path: &Path) -> Result<Root> {
        let directory = File::open(path).context(Kind::Build, || format!("opening {}", path.display()))?;
        Ok(Root { path: path.to_owned(), directory })
    }

    /// Where the tree lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in the tree for reading; `Ok(None)` where there is none.
    pub fn open_file(&self, name: &str) -> Result<Option<File>> {
        // A named pipe in place of the file must not make us wait.
        match self.resolve(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error).context(Kind::Build, || format!("opening {name} in the tree")),
        }
    }

    /// Whether the tree has `name`, links followed.
    pub fn exists(&self, name: &str) -> bool {
        self.resolve(name, OFlags::PATH, Mode::empty()).is_ok()
    }

    /// Reads a text file of at most `limit` bytes; `Ok(None)` where there is none.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<String>> {
        Ok(self.read_bytes(name, limit)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads a regular file of at most `limit` bytes; `Ok(None)` where there is none.
    pub fn read_bytes(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let context = || format!("reading {name} in the tree");
        if !file.metadata().context(Kind::Build, context)?.is_file() {
            return Err(Error::build(format!("{name} in the tree is no regular file")));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).context(Kind::Build, context)?;
        if bytes.len() as u64 > limit {
            return Err(Error::build(format!("{name} in the tree is larger than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Writes a file, with its directories where they are missing, replacing what is there.
    pub fn write(&self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        let context = || format!("writing {name} in the tree");
        if let Some((parent, _)) = name.trim_start_matches('/').rsplit_once('/') {
            self.create_directories(parent)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = self.resolve(name, flags, Mode::from_raw_mode(mode)).context(Kind::Build, context)?;
        file.write_all(content.as_ref()).context(Kind::Build, context)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).context(Kind::Build, context)
    }

    /// Makes a directory and those above it, mode 0755, where they are missing.
    pub fn create_directories(&self, name: &str) -> Result<()> {
        let mut made = String::new();
        for part in name.split('/').filter(|part| !part.is_empty()) {
            let parent = if made.is_empty() { "." } else { &made };
            let directory = self
                .resolve(parent, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
                .context(Kind::Build, || format!("opening {parent} in the tree"))?;
            match rustix::fs::mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => {
                    return Err(error).context(Kind::Build, || format!("creating {name} in the tree"));
                }
            }
            made = format!("{made}/{part}");
        }
        Ok(())
    }

    /// Replaces `name` by a link to `target`. The directory of `name` must be there.
    pub fn link(&self, target: &str, name: &str) -> Result<()> {
        self.remove(name)?;
        let (directory, base) = self.parent(name)?;
        rustix::fs::symlinkat(target, &directory, base)
            .context(Kind::Build, || format!("linking {name} in the tree"))
    }

    /// Removes a file or an empty directory; one that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<()> {
        let Ok((directory, base)) = self.parent(name) else { return Ok(()) };
        match rustix::fs::unlinkat(&directory, base, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(rustix::io::Errno::ISDIR) => rustix::fs::unlinkat(&directory, base, AtFlags::REMOVEDIR)
                .context(Kind::Build, || format!("removing {name} in the tree")),
            Err(error) => Err(error).context(Kind::Build, || format!("removing {name} in the tree")),
        }
    }

    /// Names in a directory, sorted; none where there is no such directory.
    pub fn list(&self, name: &str) -> Result<Vec<String>> {
        let Ok(directory) = self.resolve(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) else {
            return Ok(Vec::new());
        };
        let context = || format!("reading {name} in the tree");
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).context(Kind::Build, context)? {
            let entry = entry.context(Kind::Build, context)?;
            let entry = entry.file_name().to_string_lossy().into_owned();
            if entry != "." && entry != ".." {
                names.push(entry);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes everything in a directory, and leaves the directory.
    pub fn empty(&self, name: &str) -> Result<()> {
        let Ok(directory) = self.resolve(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) else {
            return Ok(());
        };
        // Through the open directory, so that no link in the tree can lead outside.
        let real = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory)));
        for entry in self.list(name)? {
            remove(&real.join(entry))?;
        }
        Ok(())
    }

    /// The open directory that holds `name`, and the last part of the name.
    fn parent<'n>(&self, name: &'n str) -> Result<(File, &'n str)> {
        let (parent, base) = name.trim_end_matches('/').rsplit_once('/').unwrap_or((".", name));
        let parent = if parent.is_empty() { "." } else { parent };
        let directory = self
            .resolve(parent, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .context(Kind::Build, || format!("opening {parent} in the tree"))?;
        Ok((directory, base))
    }

    fn resolve(&self, name: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<File> {
        let name = name.trim_start_matches('/');
        let name = if name.is_empty() { "." } else { name };
        let flags = flags | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, name, flags, mode, inside).map(File::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_lead_out_of_a_root() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        let inside = directory.path().join("tree");
        std::fs::create_dir_all(inside.join("etc")).unwrap();
        std::fs::write(&outside, "host").unwrap();
        std::os::unix::fs::symlink("/etc/real", inside.join("etc/absolute")).unwrap();
        std::os::unix::fs::symlink("../../outside", inside.join("etc/upwards")).unwrap();
        let root = Root::open(&inside).unwrap();
        root.write("/etc/absolute", 0o644, "guest").unwrap();
        assert_eq!(std::fs::read_to_string(inside.join("etc/real")).unwrap(), "guest");
        assert_eq!(root.read("/etc/upwards", 100).unwrap(), None);
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "host");
        root.link("somewhere", "/etc/absolute").unwrap();
        root.empty("etc").unwrap();
        assert_eq!(root.list("/etc").unwrap(), Vec::<String>::new());
        assert!(outside.exists());
    }

    #[test]
    fn files_that_are_too_large_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("big"), "0123456789").unwrap();
        let root = Root::open(directory.path()).unwrap();
        assert_eq!(root.read("big", 10).unwrap().as_deref(), Some("0123456789"));
        assert!(root.read("big", 9).is_err());
    }
}
