//! Against xfs_repair and xfs_db, and against a second tree that differs in everything but content.

use std::os::unix::fs::{chown, symlink};
use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::disk::tests::{check_with, output_of, set_modes_and_times};
use crate::event::Silent;
use crate::testing;

const SIZE: u64 = 320 * MIB;
const EPOCH: i64 = 1_600_000_000;
const OLD: i64 = 1_000_000_000;

fn system(size: u64, offset: u64) -> NewFileSystem<'static> {
    let uuid = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    NewFileSystem { offset, size, uuid, label: "data", epoch: EPOCH }
}

fn made(tree: &Path, offset: u64) -> Result<tempfile::NamedTempFile> {
    let raw = tempfile::NamedTempFile::new().unwrap();
    raw.as_file().set_len(SIZE + offset).unwrap();
    let source = Source { tree, hidden: &[], hide: None };
    write(raw.path(), &system(SIZE, offset), &source, &Runner::new(Arc::new(Silent)))?;
    Ok(raw)
}

/// What every mkfs.xfs can copy.
fn tree(backwards: bool) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let mut numbers: Vec<u32> = (0..600).collect();
    if backwards {
        numbers.reverse();
    }
    for number in numbers {
        let directory = tree.path().join(format!("many/{}", number % 7));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("file-{number}")), "content".repeat(1000)).unwrap();
    }
    let root = tree.path();
    for name in ["setuid", "late", "empty"] {
        std::fs::write(root.join(name), if name == "empty" { "" } else { name }).unwrap();
    }
    std::fs::create_dir(root.join("sticky")).unwrap();
    symlink("many/0/file-0", root.join("soft")).unwrap();
    rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    if rustix::process::geteuid().is_root() {
        let device = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, root.join("null"), FileType::CharacterDevice, Mode::from(0o666), device)
            .unwrap();
        chown(root.join("setuid"), Some(33), Some(100_033)).unwrap();
    }
    set_modes_and_times(root, OLD);
    tree
}

#[test]
fn it_is_clean_and_does_not_depend_on_how_the_tree_was_made() {
    if !testing::has("mkfs.xfs") {
        return;
    }
    let [one, other] = [false, true].map(|backwards| made(tree(backwards).path(), 0).unwrap());
    check_with("xfs_repair", &["-n", "-f"], one.path());
    assert!(std::fs::read(one.path()).unwrap() == std::fs::read(other.path()).unwrap());
    if let Some(text) = output_of("blkid", &["-p", "-o", "export"], one.path()) {
        for line in ["TYPE=xfs", "LABEL=data", "UUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
            assert!(text.lines().any(|known| known == line), "no {line} in {text}");
        }
    }
}

#[test]
fn it_comes_to_its_place() {
    if !testing::has("mkfs.xfs") {
        return;
    }
    let tree = tree(false);
    let [alone, placed] = [0, MIB].map(|offset| made(tree.path(), offset).unwrap());
    let placed = std::fs::read(placed.path()).unwrap();
    assert!(placed.split_at(MIB as usize).1 == std::fs::read(alone.path()).unwrap());
}

#[test]
fn owners_modes_and_times_are_read_back() {
    if !(testing::has("mkfs.xfs") && testing::has("xfs_db") && testing::is_root()) {
        return;
    }
    let raw = made(tree(false).path(), 0).unwrap();
    let asked = |path: &str| {
        let seek = format!("path {path}");
        let print = "print core.mode core.uid core.gid core.mtime.sec core.ctime.sec core.atime.sec v3.crtime.sec core.size";
        output_of("xfs_db", &["-r", "-f", "-c", &seek, "-c", print], raw.path()).unwrap()
    };
    let (old, epoch) = ("Sun Sep  9 01:46:40 2001", "Sun Sep 13 12:26:40 2020");
    for (path, mode, owner, modified) in [
        ("/", "040750", (0, 0), old),
        ("/setuid", "0104755", (33, 100_033), old),
        ("/sticky", "041777", (0, 0), old),
        ("/late", "0100644", (0, 0), epoch),
        ("/soft", "0120777", (0, 0), old),
        ("/null", "020666", (0, 0), old),
        ("/many/3/file-3", "0100644", (0, 0), old),
    ] {
        let text = asked(path);
        for line in [
            format!("core.mode = {mode}"),
            format!("core.uid = {}", owner.0),
            format!("core.gid = {}", owner.1),
            format!("core.mtime.sec = {modified}"),
            format!("core.ctime.sec = {epoch}"),
            format!("core.atime.sec = {epoch}"),
            format!("v3.crtime.sec = {epoch}"),
        ] {
            // The device's mode depends on the umask.
            let is_mode_of_device = path == "/null" && line.starts_with("core.mode");
            assert!(
                is_mode_of_device || text.lines().any(|known| known == line),
                "{path}: no {line} in {text}"
            );
        }
    }
    assert!(asked("/many/3/file-3").contains("core.size = 7000"));
}

#[test]
fn a_file_that_old_versions_would_tear_is_refused_by_name() {
    if !testing::has("mkfs.xfs") {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    // Larger than a quarter of the file system, an allocation group.
    File::create(tree.path().join("large")).unwrap().set_len(100 * MIB).unwrap();
    let version = Runner::new(Arc::new(Silent)).command("mkfs.xfs").arg("-V").output().unwrap();
    match made(tree.path(), 0) {
        Ok(raw) => {
            assert!(parse_version(&version) >= Some(COPIES_LARGE_FILES));
            check_with("xfs_repair", &["-n", "-f"], raw.path());
        }
        Err(error) => assert!(error.message().contains("large"), "{error}"),
    }
}

#[test]
fn a_tree_that_does_not_fit_is_an_error_with_the_cure() {
    if !testing::has("mkfs.xfs") {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    for name in 0..10 {
        File::create(tree.path().join(name.to_string())).unwrap().set_len(40 * MIB).unwrap();
    }
    let error = made(tree.path(), 0).unwrap_err();
    assert!(!error.hints().is_empty(), "{error:?}");
    let small = system(100 * MIB, 0);
    let source = Source { tree: tree.path(), hidden: &[], hide: None };
    assert!(write(Path::new("raw"), &small, &source, &Runner::new(Arc::new(Silent))).is_err());
}

#[test]
fn options_are_those_that_the_version_knows() {
    let words = |version| {
        let words = arguments(&system(SIZE, 0), version).into_iter();
        words.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert!(!words((5, 6)).contains("bigtime"));
    assert!(words((6, 1)).contains("bigtime=0,inobtcount=0") && words((6, 1)).contains("nrext64=0"));
    assert!(!words((6, 1)).contains("parent") && words((6, 17)).contains("parent=0"));
    assert_eq!(parse_version("mkfs.xfs version 6.1.0\n"), Some((6, 1)));
    assert_eq!(parse_version("mkfs.xfs version 6.13.0-rc1"), Some((6, 13)));
    assert_eq!(parse_version(""), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a file holds: an error, and never a panic.
    #[test]
    fn nonsense_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 2048..40_000), plausible in 0..3_u8,
    ) {
        if plausible > 0 {
            bytes[..8].copy_from_slice(b"XFSB\0\0\x10\0");
        }
        if plausible > 1 {
            bytes[84..92].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
            bytes[1024..1028].copy_from_slice(b"XAGI");
            bytes[1044..1048].copy_from_slice(&[0; 4]);
        }
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        let _ = inodes::visit(&file, &mut |inode| inode.clamp_times(1));
    }
}
