//! Against `btrfs check`, and against what `btrfs restore` reads back.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, chown, symlink};
use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use rustix::mount::MountPropagationFlags;

use super::*;
use crate::disk::tests::{check_with, output_of, set_modes_and_times};
use crate::event::Silent;
use crate::host::mounts::View;
use crate::host::run::BeforeExec;
use crate::testing;

const SIZE: u64 = 192 * MIB;
const EPOCH: i64 = 1_600_000_000;
const OLD: i64 = 1_000_000_000;
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn made(tree: &Path, offset: u64) -> tempfile::NamedTempFile {
    let raw = tempfile::NamedTempFile::new().unwrap();
    raw.as_file().set_len(SIZE + offset).unwrap();
    let uuid = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    let system = NewFileSystem { offset, size: SIZE, uuid, label: "data", epoch: EPOCH };
    let source = Source { tree, hidden: &[], hide: None };
    write(raw.path(), &system, &source, &Runner::new(Arc::new(Silent))).unwrap();
    raw
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    for number in 0..900 {
        let directory = root.join(format!("many/{}", number % 7));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("file-{number}")), "content".repeat(number)).unwrap();
    }
    for name in ["with space", "setuid", "late"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    std::fs::hard_link(root.join("many/0/file-7"), root.join("hard")).unwrap();
    std::fs::create_dir(root.join("sticky")).unwrap();
    symlink("many/0/file-0", root.join("soft")).unwrap();
    rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(root.join("setuid"), Some(33), Some(100_033)).unwrap();
        let flags = XattrFlags::empty();
        rustix::fs::setxattr(root.join("late"), "security.capability", &CAPABILITY, flags).unwrap();
    }
    set_modes_and_times(root, OLD);
    tree
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_they_are_clean() {
    if !testing::has("mkfs.btrfs") {
        return;
    }
    let tree = tree();
    let one = made(tree.path(), 0);
    check_with("btrfs", &["check", "--readonly", "--check-data-csum"], one.path());
    // Later, at another place, and read in between.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    std::fs::read(tree.path().join("hard")).unwrap();
    let other = std::fs::read(made(tree.path(), MIB).path()).unwrap();
    assert!(std::fs::read(one.path()).unwrap() == other.split_at(MIB as usize).1);
    if let Some(text) = output_of("blkid", &["-p", "-o", "export"], one.path()) {
        for line in ["TYPE=btrfs", "LABEL=data", "UUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
            assert!(text.lines().any(|known| known == line), "no {line} in {text}");
        }
    }
}

#[test]
fn no_trace_of_the_making_is_left() {
    if !testing::has("mkfs.btrfs") {
        return;
    }
    let raw = made(tree().path(), 0);
    let trees = |what: &[&str]| output_of("btrfs", &[&["inspect-internal"], what].concat(), raw.path());
    let text = trees(&["dump-tree"]).unwrap() + &trees(&["dump-super", "-f", "-a"]).unwrap();
    let own = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    let derived = |name: &[u8]| Uuid::new_v5(&own, name).to_string();
    let known = [own.to_string(), derived(b"device"), derived(b"chunks"), derived(b"subvolume")];
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["atime" | "ctime" | "otime", time, ..] => {
                assert!(["0.0", "1600000000.0"].contains(time), "{line}");
            }
            ["mtime", time, ..] => {
                assert!(["0.0", "1600000000.0", "1000000000.0"].contains(time), "{line}");
            }
            ["dev_uuid" | "chunk_tree_uuid" | "dev_item.uuid" | "uuid", uuid] => {
                assert!(known.contains(uuid) || *uuid == Uuid::nil().to_string(), "{line}");
            }
            ["chunk", "uuid", uuid] => assert!(known.contains(uuid), "{line}"),
            ["transid", number, ..] => assert_eq!(*number, "0", "{line}"),
            _ => {}
        }
    }
}

/// Path, and contents or target, of everything in a tree.
fn listing(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut listing = BTreeMap::new();
    crate::host::tree::walk(root, &mut |path, metadata| {
        let content = if metadata.is_symlink() {
            std::fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
        } else if metadata.is_file() {
            std::fs::read(path).unwrap()
        } else {
            Vec::new()
        };
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        // btrfs restore makes no pipes.
        if name != "pipe" {
            listing.insert(name, content);
        }
        Ok(())
    })
    .unwrap();
    listing
}

/// Type and mode, owner and group of every inode of a tree, sorted.
fn inodes(root: &Path) -> Vec<(u32, u32, u32)> {
    let mut found = BTreeMap::new();
    let mut note = |metadata: &std::fs::Metadata| {
        found.insert(metadata.ino(), (metadata.mode(), metadata.uid(), metadata.gid()));
    };
    note(&root.metadata().unwrap());
    crate::host::tree::walk(root, &mut |_, metadata| {
        note(metadata);
        Ok(())
    })
    .unwrap();
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_unstable();
    found
}

/// The same of the inodes in what `btrfs inspect-internal dump-tree` says.
fn stored_inodes(dump: &str) -> Vec<(u32, u32, u32)> {
    let inode = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["block", "group", _, "mode", mode, "links", _, "uid", uid, "gid", gid, ..] = words[..] else {
            return None;
        };
        Some((u32::from_str_radix(mode, 8).unwrap(), uid.parse().unwrap(), gid.parse().unwrap()))
    };
    let mut found: Vec<_> = dump.lines().filter_map(inode).collect();
    found.sort_unstable();
    found
}

#[test]
fn contents_owners_modes_and_attributes_are_read_back() {
    if !(testing::has("mkfs.btrfs") && testing::is_root()) {
        return;
    }
    let tree = tree();
    let raw = made(tree.path(), 0);
    let back = tempfile::tempdir().unwrap();
    let runner = Runner::new(Arc::new(Silent));
    let restore = runner.command("btrfs").args(["restore", "-S", "-m", "-x"]);
    restore.arg(raw.path()).arg(back.path()).run().unwrap();
    let (read, known) = (listing(back.path()), listing(tree.path()));
    assert_eq!(read.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
    for (path, content) in known {
        assert!(read[&path] == content, "{path}");
    }
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(back.path().join("late"), "security.capability", &mut value).unwrap();
    assert_eq!(value[..length], CAPABILITY);
    let text = output_of("btrfs", &["inspect-internal", "dump-tree", "-t", "5"], raw.path()).unwrap();
    // From the inodes themselves: btrfs restore leaves out the modes of some directories.
    assert_eq!(stored_inodes(&text), inodes(tree.path()));
    let root = text.split("(256 INODE_ITEM 0) itemoff").nth(1).unwrap();
    assert!(root.contains("mode 40750 links 1 uid 0 gid 0"), "{root}");
    assert_eq!(
        text.matches("name: hard").count(),
        3,
        "in two indexes of the directory, and in the inode's names"
    );
}

#[test]
fn a_tree_that_does_not_fit_is_an_error() {
    if !testing::has("mkfs.btrfs") {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("large"), vec![1; 200 << 20]).unwrap();
    let raw = tempfile::NamedTempFile::new().unwrap();
    let source = Source { tree: tree.path(), hidden: &[], hide: None };
    for (size, hint) in [(SIZE, "do not fit"), (MIB, "at least")] {
        let system = NewFileSystem { offset: 0, size, uuid: Uuid::max(), label: "data", epoch: 1 };
        let error = write(raw.path(), &system, &source, &Runner::new(Arc::new(Silent))).unwrap_err();
        assert!(error.hints().iter().any(|known| known.contains(hint)), "{error:?}");
    }
}

#[test]
fn versions_are_read() {
    assert_eq!(parse_version("mkfs.btrfs, part of btrfs-progs v6.2\n"), Some((6, 2)));
    assert_eq!(parse_version("mkfs.btrfs, part of btrfs-progs v5.16.2"), Some((5, 16)));
    assert_eq!(parse_version("nonsense"), None);
}

#[test]
fn files_of_several_devices_with_one_number_are_told_apart() {
    if !testing::is_root() {
        return;
    }
    let tree = tree();
    let source = Source { tree: tree.path(), hidden: &[], hide: None };
    numbers_are_unique(&source).unwrap();
    // In a namespace of a thread's own: two file systems in memory, whose numbers both begin at one.
    let refused = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let enter = View::new(tree.path()).hook().unwrap();
            enter().unwrap();
            rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
                .unwrap();
            for name in ["many", "sticky"] {
                View::new(tree.path()).temporary(name, c"mode=0755").hook().unwrap()().unwrap();
            }
            numbers_are_unique(&source)
        });
        work.join().unwrap()
    });
    assert!(refused.unwrap_err().hints()[0].contains("--tmp"));
}

#[test]
fn two_directories_with_one_number_are_an_error_with_the_cure() {
    if !(testing::has("mkfs.btrfs") && testing::is_root()) {
        return;
    }
    let tree = tree();
    // Two file systems in memory: both roots have the same number.
    let enter = View::new(tree.path()).hook().unwrap();
    let covers =
        ["many", "sticky"].map(|name| View::new(tree.path()).temporary(name, c"mode=0755").hook().unwrap());
    let hide: BeforeExec = Arc::new(move || {
        enter()?;
        rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        covers.iter().try_for_each(|cover| cover())
    });
    let raw = tempfile::NamedTempFile::new().unwrap();
    let system = NewFileSystem { offset: 0, size: SIZE, uuid: Uuid::max(), label: "data", epoch: 1 };
    let source = Source { tree: tree.path(), hidden: &[], hide: Some(hide) };
    let error = write(raw.path(), &system, &source, &Runner::new(Arc::new(Silent))).unwrap_err();
    assert_eq!(error.hints(), [ONE_BELOW], "{error:?}");
}

fn nobody() -> Identity {
    let root = RootDirectory { owner: 0, group: 0, permissions: 0, modified: 0 };
    Identity { device: Uuid::nil(), chunks: Uuid::nil(), subvolume: Uuid::nil(), epoch: 1, root }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a disk holds: an error or a file system, and never a panic.
    #[test]
    fn nonsense_never_panics(
        superblock in proptest::collection::vec(any::<u8>(), 4096),
        node in proptest::collection::vec(any::<u8>(), 16384),
        count in 0..600_u32,
        level in 0..3_u8,
    ) {
        let mut superblock = superblock;
        let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
        put(64, b"_BHRfS_M");
        put(80, &0_u64.to_le_bytes());
        put(88, &0_u64.to_le_bytes());
        put(148, &16384_u32.to_le_bytes());
        put(160, &97_u32.to_le_bytes());
        put(196, &[0, 0]);
        // One chunk of 1 MiB at the address 0, on the disk's second 128 KiB.
        put(811 + 9, &0_u64.to_le_bytes());
        put(811 + 17, &(1_u64 << 20).to_le_bytes());
        put(811 + 17 + 24, &0_u64.to_le_bytes());
        put(811 + 17 + 44, &1_u16.to_le_bytes());
        put(811 + 17 + 48 + 8, &(128_u64 << 10).to_le_bytes());
        let mut node = node;
        node[48..56].copy_from_slice(&0_u64.to_le_bytes());
        node[96..100].copy_from_slice(&count.to_le_bytes());
        node[100] = level;
        for item in node[101..].chunks_exact_mut(25) {
            // Plausible places and sizes, and kinds that mean something.
            item[20] = 0;
            item[19] &= 0x3f;
            item[22..25].fill(0);
            item[8] = [1, 12, 24, 84, 96, 132, 168, 204, 216, 228, 251][usize::from(item[8]) % 11];
        }
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(1 << 20).unwrap();
        from.write_all_at(&superblock, 64 << 10).unwrap();
        from.write_all_at(&node, 128 << 10).unwrap();
        let _ = trees::transfer(&from, 1 << 20, &to, 0, nobody());
    }
}
