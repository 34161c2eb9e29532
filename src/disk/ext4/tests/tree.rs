//! A tree with everything that a machine's may have, made in two ways that must not differ in the image.

use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::*;

/// When the files of the tree were changed: before every epoch of the tests.
pub(super) const OLD: i64 = 1_000_000_000;

/// When `late` was: after the epoch of a build of today.
pub(super) const LATE: i64 = 2_000_000_000;

/// When `far` was: after what 31 bits hold.
const FAR: i64 = 4_000_000_000;

/// Longer than what an inode holds, 60 bytes: it takes a block.
pub(super) const LONG_TARGET: &str =
    "etc/alternatives/a/name/that/is/longer/than/sixty/bytes/and/so/takes/a/block/of/its/own";

/// Larger than the file system: it only fits with its holes.
pub(super) const SPARSE: u64 = 256 << 20;

/// Where `sparse` holds [`DATA`].
pub(super) const DATA_AT: u64 = 100 << 20;
pub(super) const DATA: &[u8] = b"between two holes";

/// Entries of `large`: some thirty blocks.
pub(super) const ENTRIES: u32 = 3000;

/// `cap_net_raw` as ping has it: VFS_CAP_REVISION_2 and the effective bit, permitted, inheritable, each in
/// two words (Linux, include/uapi/linux/capability.h).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Owner and group of `owned`.
pub(super) const OWNER: (u32, u32) = (33, 100_033);

/// Makes the tree; forwards or backwards, so that the order of entries differs, and at different times. Only root can make all of it.
pub(super) fn tree(backwards: bool) -> tempfile::TempDir {
    // In memory, directories are listed in the order in which they were filled; elsewhere by hash.
    let memory = Path::new("/dev/shm");
    let tree = if backwards && memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let tree = tree.unwrap();
    let root = tree.path();
    for name in names("file", 300, backwards) {
        let directory = root.join("etc").join(&name[8..]);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(&name), "contents".repeat(900)).unwrap();
    }
    std::fs::create_dir(root.join("large")).unwrap();
    for name in names("a-name-of-some-forty-characters", ENTRIES, backwards) {
        File::create(root.join("large").join(name)).unwrap();
    }
    std::fs::hard_link(root.join("etc/0/file-0100"), root.join("hard")).unwrap();
    symlink("etc/0/file-0100", root.join("soft")).unwrap();
    symlink(LONG_TARGET, root.join("long")).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(SPARSE).unwrap();
    sparse.write_all_at(DATA, DATA_AT).unwrap();
    for name in ["late", "far", "setuid"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    for name in ["setgid", "sticky"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    if rustix::process::geteuid().is_root() {
        add_what_only_root_can(root);
    }
    make_equal(root);
    tree
}

/// `stem-0000` and so on.
fn names(stem: &str, count: u32, backwards: bool) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|number| format!("{stem}-{number:04}")).collect();
    if backwards {
        names.reverse();
    }
    names
}

fn add_what_only_root_can(root: &Path) {
    let device = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(CWD, root.join("null"), FileType::CharacterDevice, Mode::from(0o666), device)
        .unwrap();
    for name in ["owned", "capable"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    chown(root.join("owned"), Some(OWNER.0), Some(OWNER.1)).unwrap();
    // One attribute: of several, mke2fs keeps the order in which the tree's file system lists them.
    let capable = root.join("capable");
    rustix::fs::setxattr(capable, "security.capability", &CAPABILITY, XattrFlags::empty()).unwrap();
}

/// Gives both trees the same modes and times of modification, as trees of equal content have.
fn make_equal(root: &Path) {
    let modes = [("setuid", 0o4755), ("setgid", 0o2775), ("sticky", 0o1777)];
    for path in walk(root) {
        let special = modes.iter().find(|(name, _)| path == root.join(name));
        if !path.is_symlink() {
            let mode = special.map_or(0o755, |(_, mode)| *mode);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let seconds = match path.strip_prefix(root).unwrap().to_str() {
            Some("late") => LATE,
            Some("far") => FAR,
            _ => OLD,
        };
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// Every file and directory, the deepest first.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let within = |path: PathBuf| if path.is_dir() && !path.is_symlink() { walk(&path) } else { vec![path] };
    entries.flat_map(within).chain([directory.to_owned()]).collect()
}
