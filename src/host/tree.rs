//! Trees of files: removing them, and looking into them without ever leaving them.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

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
        // What is no directory is refused at once, where opening a FIFO would wait for somebody to write to it.
        let flags = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
        let directory = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .context(Kind::Build, || format!("opening {}", path.display()))?;
        Ok(Root { path: path.to_owned(), directory })
    }

    /// Where the tree lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in the tree for reading; `Ok(None)` where there is none.
    pub fn open_file(&self, name: impl AsRef<Path>) -> Result<Option<File>> {
        let name = name.as_ref();
        // A named pipe in place of the file must not make us wait.
        found(self.resolve(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()))
            .context(Kind::Build, || format!("opening {} in the tree", name.display()))
    }

    /// Whether the tree has `name`, links followed.
    pub fn exists(&self, name: impl AsRef<Path>) -> Result<bool> {
        let name = name.as_ref();
        let there = found(self.resolve(name, OFlags::PATH, Mode::empty()));
        Ok(there.context(Kind::Build, || format!("looking for {} in the tree", name.display()))?.is_some())
    }

    /// Whether `name` is a directory, and no link to one.
    pub fn is_directory(&self, name: impl AsRef<Path>) -> Result<bool> {
        let name = name.as_ref();
        let context = || format!("looking at {} in the tree", name.display());
        let there = found(self.resolve(name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()));
        match there.context(Kind::Build, context)? {
            Some(file) => Ok(file.metadata().context(Kind::Build, context)?.is_dir()),
            None => Ok(false),
        }
    }

    /// What keeps `name` from being a directory that is reached by directories alone: a link among them, or a
    /// file. None where nothing does; whatever is missing could be made.
    pub fn obstacle(&self, name: impl AsRef<Path>) -> Result<Option<String>> {
        let mut path = PathBuf::from("/");
        for part in inside(name.as_ref()).components() {
            path.push(part);
            if self.is_directory(&path)? {
                continue;
            }
            let shown = path.display();
            return Ok(match self.link_target(&path)? {
                Some(target) => Some(format!("{shown} in the tree is a link to {}", target.display())),
                None if self.exists(&path)? => Some(format!("{shown} in the tree is no directory")),
                None => None,
            });
        }
        Ok(None)
    }

    /// Target of the link `name`; `Ok(None)` where there is none, or something that is no link.
    pub fn link_target(&self, name: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        let name = name.as_ref();
        let context = || format!("reading the link {} in the tree", name.display());
        let there = found(self.resolve(name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()));
        let Some(file) = there.context(Kind::Build, context)? else { return Ok(None) };
        if !file.metadata().context(Kind::Build, context)?.is_symlink() {
            return Ok(None);
        }
        let target = rustix::fs::readlinkat(&file, "", Vec::new()).context(Kind::Build, context)?;
        Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes()))))
    }

    /// Sets the mode of a file or directory that is there, links followed.
    pub fn set_mode(&self, name: impl AsRef<Path>, mode: u32) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("setting the mode of {} in the tree", name.display());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.resolve(name, flags, Mode::empty()).context(Kind::Build, context)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).context(Kind::Build, context)
    }

    /// Reads a text file of at most `limit` bytes; `Ok(None)` where there is none.
    pub fn read(&self, name: impl AsRef<Path>, limit: u64) -> Result<Option<String>> {
        Ok(self.read_bytes(name, limit)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads a regular file of at most `limit` bytes; `Ok(None)` where there is none.
    pub fn read_bytes(&self, name: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let context = || format!("reading {} in the tree", name.display());
        if !file.metadata().context(Kind::Build, context)?.is_file() {
            return Err(no_regular_file(name));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).context(Kind::Build, context)?;
        if bytes.len() as u64 > limit {
            return Err(Error::build(format!("{} in the tree is larger than {limit} bytes", name.display())));
        }
        Ok(Some(bytes))
    }

    /// Writes a file, with its directories where they are missing, replacing what is there.
    pub fn write(&self, name: impl AsRef<Path>, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("writing {} in the tree", name.display());
        if let Some(parent) = name.parent() {
            self.create_directories(parent)?;
        }
        // A tree of somebody else's may have anything by that name: a pipe must not make us wait, and what a
        // device does when it is opened is not known.
        let there = found(self.resolve(name, OFlags::PATH, Mode::empty())).context(Kind::Build, context)?;
        if let Some(there) = there
            && !there.metadata().context(Kind::Build, context)?.is_file()
        {
            return Err(no_regular_file(name));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut file = self.resolve(name, flags, Mode::from_raw_mode(mode)).context(Kind::Build, context)?;
        file.write_all(content.as_ref()).context(Kind::Build, context)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).context(Kind::Build, context)
    }

    /// Makes an empty file, mode 0600, in place of the file or link that is there, and opens it for writing.
    /// Its directory must be there.
    pub fn replace(&self, name: impl AsRef<Path>) -> Result<File> {
        let name = name.as_ref();
        let context = || format!("writing {} in the tree", name.display());
        if self.is_directory(name)? {
            return Err(Error::build(format!("{} in the tree is a directory", name.display())));
        }
        self.remove(name)?;
        let (parent, base) = split(name)?;
        let directory = self.directory(parent).context(Kind::Build, context)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, base, flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(file.context(Kind::Build, context)?))
    }

    /// Whether `name` is a directory, or a link to one.
    pub fn leads_to_directory(&self, name: impl AsRef<Path>) -> Result<bool> {
        let name = name.as_ref();
        let context = || format!("looking at {} in the tree", name.display());
        match found(self.resolve(name, OFlags::PATH, Mode::empty())).context(Kind::Build, context)? {
            Some(file) => Ok(file.metadata().context(Kind::Build, context)?.is_dir()),
            None => Ok(false),
        }
    }

    /// Sets the owner of a file or directory that is there, links followed. The set-id bits of its mode go.
    pub fn set_owner(&self, name: impl AsRef<Path>, user: u32, group: u32) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("setting the owner of {} in the tree", name.display());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.resolve(name, flags, Mode::empty()).context(Kind::Build, context)?;
        std::os::unix::fs::fchown(&file, Some(user), Some(group)).context(Kind::Build, context)
    }

    /// Makes a directory and those above it, mode 0755 whatever the umask, where they are missing.
    pub fn create_directories(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("creating {} in the tree", name.display());
        let mut path = PathBuf::new();
        let mut directory = self.directory(&path).context(Kind::Build, context)?;
        for part in inside(name).components() {
            let made = match rustix::fs::mkdirat(&directory, part.as_os_str(), Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error).context(Kind::Build, context),
            };
            path.push(part);
            directory = self.directory(&path).context(Kind::Build, context)?;
            if made {
                rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755)).context(Kind::Build, context)?;
            }
        }
        Ok(())
    }

    /// Replaces `name` by a link to `target`. The directory of `name` must be there.
    pub fn link(&self, target: &str, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("linking {} in the tree", name.display());
        self.remove(name)?;
        let (parent, base) = split(name)?;
        let directory = self.directory(parent).context(Kind::Build, context)?;
        rustix::fs::symlinkat(target, &directory, base).context(Kind::Build, context)
    }

    /// Removes a file, a link or an empty directory; one that is not there is no error.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("removing {} in the tree", name.display());
        let (parent, base) = split(name)?;
        let Some(directory) = found(self.directory(parent)).context(Kind::Build, context)? else {
            return Ok(());
        };
        let removed = match rustix::fs::unlinkat(&directory, base, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&directory, base, AtFlags::REMOVEDIR),
            other => other,
        };
        found(removed).context(Kind::Build, context).map(drop)
    }

    /// Names in a directory, sorted; none where there is no such directory.
    pub fn list(&self, name: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let name = name.as_ref();
        let context = || format!("reading {} in the tree", name.display());
        let Some(directory) = found(self.directory(name)).context(Kind::Build, context)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).context(Kind::Build, context)? {
            let entry =
                OsStr::from_bytes(entry.context(Kind::Build, context)?.file_name().to_bytes()).to_owned();
            if entry != "." && entry != ".." {
                names.push(entry);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Those of the names in a directory that are text, sorted: the names of everything that comes from
    /// a package (Debian Policy 10.10).
    pub fn names(&self, name: impl AsRef<Path>) -> Result<Vec<String>> {
        Ok(self.list(name)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Removes everything in a directory, and leaves the directory.
    pub fn empty(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let context = || format!("emptying {} in the tree", name.display());
        let Some(directory) = found(self.directory(name)).context(Kind::Build, context)? else {
            return Ok(());
        };
        // Through the open directory, so that no link in the tree can lead outside.
        let real = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        for entry in self.list(name)? {
            remove(&real.join(entry))?;
        }
        Ok(())
    }

    fn directory(&self, name: &Path) -> rustix::io::Result<File> {
        self.resolve(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    fn resolve(&self, name: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<File> {
        let name = inside(name);
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        let flags = flags | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, name, flags, mode, within).map(File::from)
    }
}

/// A path of the tree without the slash that begins it.
fn inside(name: &Path) -> &Path {
    name.strip_prefix("/").unwrap_or(name)
}

/// The directory that holds `name`, and the last part of the name.
fn split(name: &Path) -> Result<(&Path, &OsStr)> {
    match (name.parent(), name.file_name()) {
        (Some(parent), Some(base)) => Ok((parent, base)),
        _ => Err(Error::build(format!("`{}` is no name of a file in the tree", name.display()))),
    }
}

fn no_regular_file(name: &Path) -> Error {
    Error::build(format!("{} in the tree is no regular file", name.display()))
}

/// What is not there is nothing; every other failure stays one.
fn found<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_written_to() {
        let room = tempfile::tempdir().unwrap();
        let pipe = room.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::net::UnixListener::bind(room.path().join("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", room.path().join("link")).unwrap();
        std::os::unix::fs::symlink("new", room.path().join("to-new")).unwrap();
        std::fs::create_dir(room.path().join("directory")).unwrap();
        let root = Root::open(room.path()).unwrap();
        for name in ["/pipe", "/socket", "/link", "/directory"] {
            let error = root.write(name, 0o644, "text").unwrap_err();
            assert!(error.message().ends_with("is no regular file"), "{name}: {error}");
        }
        root.write("/to-new", 0o644, "longer text").unwrap();
        root.write("/new", 0o600, "text").unwrap();
        assert_eq!(root.read("/to-new", 100).unwrap().as_deref(), Some("text"));
    }

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
        assert_eq!(root.list("/etc").unwrap(), Vec::<OsString>::new());
        assert!(outside.exists());
    }

    #[test]
    fn modes_and_kinds_are_those_of_the_tree() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        let inside = directory.path().join("tree");
        std::fs::create_dir_all(outside.join(".ssh")).unwrap();
        std::fs::create_dir_all(inside.join("real/.ssh")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("away")).unwrap();
        std::os::unix::fs::symlink("/real", inside.join("root")).unwrap();
        let root = Root::open(&inside).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let before = mode(&outside.join(".ssh"));
        assert!(root.set_mode("/away/.ssh", 0o700).is_err());
        assert_eq!(mode(&outside.join(".ssh")), before);
        root.set_mode("/root/.ssh", 0o700).unwrap();
        assert_eq!(mode(&inside.join("real/.ssh")), 0o700);
        assert!(!root.is_directory("/away/.ssh").unwrap());
        assert!(root.is_directory("/root/.ssh").unwrap() && !root.is_directory("/root").unwrap());
        assert_eq!(root.link_target("/root").unwrap().as_deref(), Some(Path::new("/real")));
        assert_eq!(root.link_target("/real").unwrap(), None);
        assert_eq!(root.link_target("/none").unwrap(), None);
    }

    #[test]
    fn a_link_on_the_way_is_an_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(directory.path().join("outside/below")).unwrap();
        std::fs::create_dir_all(tree.join("var/log")).unwrap();
        std::fs::write(tree.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/run", tree.join("var/run")).unwrap();
        std::os::unix::fs::symlink("../outside", tree.join("away")).unwrap();
        let root = Root::open(&tree).unwrap();
        for free in ["/", "/var/log", "/var/new/er", "none"] {
            assert_eq!(root.obstacle(free).unwrap(), None, "{free}");
        }
        for (name, says) in [
            ("/var/run", "/var/run in the tree is a link to /run"),
            ("/var/run/below", "/var/run in the tree is a link to /run"),
            ("/away/below", "/away in the tree is a link to ../outside"),
            ("/file", "/file in the tree is no directory"),
            ("/file/below", "/file in the tree is no directory"),
        ] {
            assert_eq!(root.obstacle(name).unwrap().as_deref(), Some(says));
        }
    }

    #[test]
    fn only_what_is_not_there_is_absent() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("loop", directory.path().join("loop")).unwrap();
        let root = Root::open(directory.path()).unwrap();
        for absent in ["none", "none/below", "file/below"] {
            assert!(!root.exists(absent).unwrap());
            assert!(root.list(absent).unwrap().is_empty());
            root.empty(absent).unwrap();
            root.remove(absent).unwrap();
        }
        assert!(root.exists("loop/below").is_err());
        assert!(root.list("loop").is_err());
        assert!(root.empty("loop").is_err());
        assert!(root.remove("loop/below").is_err());
        assert!(root.remove("/").is_err());
        assert!(root.create_directories("file").is_err());
    }

    #[test]
    fn names_that_are_no_text_are_names() {
        let directory = tempfile::tempdir().unwrap();
        let strange = OsStr::from_bytes(b"strange\xff");
        std::fs::create_dir_all(directory.path().join("tmp").join(strange)).unwrap();
        let root = Root::open(directory.path()).unwrap();
        assert_eq!(root.list("/tmp").unwrap(), [strange]);
        assert!(root.names("/tmp").unwrap().is_empty());
        root.empty("/tmp").unwrap();
        assert!(root.list("/tmp").unwrap().is_empty());
    }

    #[test]
    fn directories_that_are_made_are_open_to_all() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("closed")).unwrap();
        let root = Root::open(directory.path()).unwrap();
        root.set_mode("closed", 0o700).unwrap();
        root.create_directories("/closed/new/er").unwrap();
        let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!([mode("closed"), mode("closed/new"), mode("closed/new/er")], [0o700, 0o755, 0o755]);
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
