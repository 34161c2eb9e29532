//! What a path of this host names, with everything below it, links followed: what is copied into a tree.
//!
//! The front looks at it when the plan is made, and the worker copies it later. Both see the same, or the
//! digest tells them apart.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::digest::hex;
use crate::error::{Context, Error, Kind, Result};

/// More than this belongs into a package or an archive.
const ENTRY_LIMIT: usize = 100_000;

/// Permission bits that are copied. Set-user-id and set-group-id are not: they gave the rights of an owner
/// who is another one in the copy.
const COPIED_MODE: u32 = 0o1777;

/// Bytes that are copied at once.
const BLOCK: usize = 1 << 20;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is below the path that was looked at; empty for that itself.
    pub below: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Permission bits, without those that change who runs a program.
    pub mode: u32,
    /// When a file was changed last, in seconds since 1970.
    pub modified: i64,
    /// Size of a file in bytes.
    pub size: u64,
    /// SHA-256 of a file's content; zeros until it was read.
    pub sha256: [u8; 32],
}

/// Everything below `path`, directories before what is in them, in the order of names. `path` may be a file.
pub fn walk(path: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    add(path, PathBuf::new(), &mut Vec::new(), &mut entries)?;
    Ok(entries)
}

fn add(path: &Path, below: PathBuf, above: &mut Vec<(u64, u64)>, entries: &mut Vec<Entry>) -> Result<()> {
    let metadata = std::fs::metadata(path)
        .context(Kind::Config, || format!("looking at {}", path.display()))
        .map_err(|error| with_dangling_hint(error, path))?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(Error::config(format!("{} is neither a file nor a directory", path.display()))
            .hint("A pipe, socket or device cannot be copied; the machine makes its own."));
    }
    if entries.len() == ENTRY_LIMIT {
        return Err(Error::config(format!("there are more than {ENTRY_LIMIT} files in it"))
            .hint("Copy an archive of them, and unpack it with --exec."));
    }
    entries.push(entry(below.clone(), &metadata));
    if !metadata.is_dir() {
        return Ok(());
    }
    let identity = (metadata.dev(), metadata.ino());
    if above.contains(&identity) {
        return Err(Error::config(format!("{} leads back to a directory above it", path.display()))
            .hint("Links are followed: remove this one."));
    }
    above.push(identity);
    let context = || format!("reading {}", path.display());
    let names: std::io::Result<Vec<_>> =
        std::fs::read_dir(path).context(Kind::Config, context)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names.context(Kind::Config, context)?;
    names.sort();
    for name in names {
        add(&path.join(&name), below.join(&name), above, entries)?;
    }
    above.pop();
    Ok(())
}

fn entry(below: PathBuf, metadata: &Metadata) -> Entry {
    Entry {
        below,
        is_directory: metadata.is_dir(),
        mode: metadata.permissions().mode() & COPIED_MODE,
        modified: metadata.mtime(),
        size: if metadata.is_dir() { 0 } else { metadata.len() },
        sha256: [0; 32],
    }
}

fn with_dangling_hint(error: Error, path: &Path) -> Error {
    match std::fs::read_link(path) {
        Ok(target) => error.hint(format!(
            "It is a link to {}, and links are followed. One that is right only in the machine is made there with --exec.",
            target.display()
        )),
        Err(_) => error,
    }
}

/// Copies a file's content to `output`, and returns its digest. Opening never waits, as it would for a pipe
/// that took the file's place.
pub fn copy(path: &Path, output: &mut impl Write) -> Result<[u8; 32]> {
    let context = || format!("reading {}", path.display());
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).context(Kind::Config, context)?;
    let mut file = File::from(file);
    if !file.metadata().context(Kind::Config, context)?.is_file() {
        return Err(Error::config(format!("{} is not a file any more", path.display())));
    }
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        let count = file.read(&mut block).context(Kind::Config, context)?;
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        digest.update(bytes);
        output.write_all(bytes).context(Kind::Build, || format!("copying {}", path.display()))?;
    }
    Ok(digest.finalize().into())
}

/// Reads the files among the entries below `path`, for their digests.
pub fn read(path: &Path, entries: &mut [Entry]) -> Result<()> {
    for entry in entries.iter_mut().filter(|entry| !entry.is_directory) {
        entry.sha256 = copy(&entry.place(path), &mut std::io::sink())?;
    }
    Ok(())
}

impl Entry {
    /// Where it is on this host, where `path` was looked at.
    pub fn place(&self, path: &Path) -> PathBuf {
        if self.below.as_os_str().is_empty() { path.to_owned() } else { path.join(&self.below) }
    }

    /// The time of the copy: never later than `epoch`.
    pub fn time(&self, epoch: i64) -> i64 {
        self.modified.min(epoch)
    }
}

/// Digest over all that a copy takes from entries: names, modes, content, and the times that are not later
/// than `epoch`. In hexadecimal.
pub fn digest(entries: &[Entry], epoch: i64) -> String {
    let mut digest = Sha256::new();
    for entry in entries {
        let time = if entry.is_directory { 0 } else { entry.time(epoch) };
        digest.update(entry.below.as_os_str().as_bytes());
        digest.update(format!("\0{} {:o} {time} ", entry.is_directory, entry.mode));
        digest.update(entry.sha256);
    }
    hex(digest.finalize())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|entry| entry.below.display().to_string()).collect()
    }

    #[test]
    fn links_are_followed() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::create_dir_all(at("tree/b")).unwrap();
        std::fs::create_dir(at("other")).unwrap();
        std::fs::write(at("other/x"), "x").unwrap();
        std::fs::write(at("tree/b/file"), "content").unwrap();
        symlink("../other", at("tree/a")).unwrap();
        let mut entries = walk(&at("tree")).unwrap();
        assert_eq!(names(&entries), ["", "a", "a/x", "b", "b/file"]);
        read(&at("tree"), &mut entries).unwrap();
        let before = digest(&entries, 0);
        std::fs::write(at("other/x"), "y").unwrap();
        read(&at("tree"), &mut entries).unwrap();
        assert_ne!(digest(&entries, 0), before);
        assert_eq!(names(&walk(&at("other/x")).unwrap()), [""]);
    }

    #[test]
    fn what_cannot_be_copied_is_named() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::create_dir_all(at("round/and")).unwrap();
        symlink("..", at("round/and/round")).unwrap();
        assert!(walk(&at("round")).unwrap_err().message().contains("leads back"));
        std::fs::create_dir(at("dangling")).unwrap();
        symlink("/nowhere/at/all", at("dangling/link")).unwrap();
        let error = walk(&at("dangling")).unwrap_err();
        assert!(error.hints()[0].contains("/nowhere/at/all"), "{error:?}");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert!(walk(&at("socket")).unwrap_err().message().contains("neither a file nor a directory"));
        assert!(copy(&at("dangling"), &mut std::io::sink()).is_err());
    }

    #[test]
    fn rights_that_change_who_runs_a_program_are_left_out() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("program");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o6755)).unwrap();
        assert_eq!(walk(&file).unwrap()[0].mode, 0o755);
    }

    #[test]
    fn times_after_the_epoch_make_no_difference() {
        let entry = |modified| Entry {
            below: PathBuf::new(),
            is_directory: false,
            mode: 0o644,
            modified,
            size: 0,
            sha256: [0; 32],
        };
        let digest = |modified| digest(&[entry(modified)], 100);
        assert_eq!(digest(101), digest(200));
        assert_ne!(digest(99), digest(98));
    }
}
