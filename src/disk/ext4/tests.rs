//! Against e2fsck and debugfs, and against a second tree that differs in everything but content.

mod tree;

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use self::tree::{DATA, DATA_AT, ENTRIES, LATE, LONG_TARGET, OLD, OWNER, SPARSE, tree};
use super::*;
use crate::disk::tests::{check_with, output_of};
use crate::event::Silent;
use crate::suite::{Ext4Set, ext2_features, ext3_features, ext4_features};
use crate::testing;

const OFFSET: u64 = 1 << 20;
const SIZE: u64 = 64 << 20;

/// When the build of a test happens.
const EPOCH: i64 = 1_600_000_000;

fn runner() -> Runner {
    Runner::new(Arc::new(Silent))
}

/// The features that a suite's file system is made with.
fn features(set: Ext4Set) -> Vec<String> {
    ext4_features(set).into_iter().map(str::to_owned).collect()
}

fn made(set: Ext4Set, tree: &Path, epoch: i64) -> tempfile::NamedTempFile {
    made_with(&features(set), tree, epoch)
}

fn made_with(features: &[String], tree: &Path, epoch: i64) -> tempfile::NamedTempFile {
    let uuid = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    let system = FileSystem { offset: OFFSET, size: SIZE, uuid, label: "root", features, epoch };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(OFFSET + SIZE + OFFSET).unwrap();
    write(file.path(), &system, tree, None, &runner()).unwrap();
    file
}

#[test]
fn every_set_of_features_is_clean_and_does_not_depend_on_how_the_tree_was_made() {
    if !testing::has("mke2fs") {
        return;
    }
    let trees = [tree(false), tree(true)];
    for set in [Ext4Set::Ancient, Ext4Set::Classic, Ext4Set::Modern] {
        let [one, other] = [0, 1].map(|index| made(set, trees[index].path(), EPOCH));
        let place = format!("{}?offset={OFFSET}", one.path().display());
        check_with("e2fsck", &["-fn"], Path::new(&place));
        assert!(std::fs::read(one.path()).unwrap() == std::fs::read(other.path()).unwrap(), "{set:?}");
    }
}

#[test]
fn ext3_and_ext2_are_clean_and_do_not_depend_on_how_the_tree_was_made() {
    if !testing::has("mke2fs") {
        return;
    }
    let trees = [tree(false), tree(true)];
    for (kind, features) in [("ext3", ext3_features()), ("ext2", ext2_features())] {
        let features: Vec<String> = features.into_iter().map(str::to_owned).collect();
        let [one, other] = [0, 1].map(|index| made_with(&features, trees[index].path(), EPOCH));
        let place = format!("{}?offset={OFFSET}", one.path().display());
        check_with("e2fsck", &["-fn"], Path::new(&place));
        assert!(std::fs::read(one.path()).unwrap() == std::fs::read(other.path()).unwrap(), "{kind}");
        std::fs::write(one.path(), alone(&one)).unwrap();
        if let Some(text) = output_of("blkid", &["-p", "-o", "export"], one.path()) {
            assert!(text.lines().any(|line| line == format!("TYPE={kind}")), "{kind}: {text}");
        }
    }
}

#[test]
fn times_after_2038_are_clean() {
    if testing::has("mke2fs") {
        let file = made(Ext4Set::Classic, tree(false).path(), 5_000_000_000);
        check_with("e2fsck", &["-fn"], Path::new(&format!("{}?offset={OFFSET}", file.path().display())));
    }
}

/// The file system of a test, without what is around it.
fn alone(disk: &tempfile::NamedTempFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(SIZE).unwrap()];
    disk.as_file().read_exact_at(&mut bytes, OFFSET).unwrap();
    bytes
}

#[test]
fn contents_links_modes_and_times_are_read_back() {
    if !testing::has("mke2fs") {
        return;
    }
    let file = made(Ext4Set::Classic, tree(false).path(), EPOCH);
    let system = ext4_view::Ext4::load(Box::new(alone(&file))).unwrap();
    assert_eq!(system.read("/soft").unwrap(), "contents".repeat(900).into_bytes());
    assert_eq!(system.read("/hard").unwrap(), system.read("/soft").unwrap());
    assert_eq!(system.read_link("/soft").unwrap().to_str().unwrap(), "etc/0/file-0100");
    assert_eq!(system.read_link("/long").unwrap().to_str().unwrap(), LONG_TARGET);
    // The two that every directory has: itself and the one above.
    assert_eq!(system.read_dir("/large").unwrap().count(), ENTRIES as usize + 2);
    assert!(system.symlink_metadata("/pipe").unwrap().file_type().is_fifo());

    let mut sparse = system.open("/sparse").unwrap();
    assert_eq!(sparse.metadata().len(), SPARSE);
    let mut read = [1; DATA.len()];
    sparse.read_bytes(&mut read).unwrap();
    assert_eq!(read, [0; DATA.len()]);
    sparse.seek_to(DATA_AT).unwrap();
    sparse.read_bytes(&mut read).unwrap();
    assert_eq!(read, DATA);

    let modes = [("/hard", 0o755), ("/setuid", 0o4755), ("/setgid", 0o2775), ("/sticky", 0o1777)];
    for (path, mode) in modes {
        assert_eq!(system.metadata(path).unwrap().mode() & 0o7777, mode, "{path}");
    }
    const { assert!(OLD < EPOCH && EPOCH < LATE) };
    for (path, modified) in [("/hard", OLD), ("/large", OLD), ("/late", EPOCH), ("/far", EPOCH)] {
        let metadata = system.metadata(path).unwrap();
        assert_eq!(metadata.modified().seconds(), modified, "{path}");
        assert_eq!(metadata.accessed().seconds(), EPOCH, "{path}");
        assert_eq!(metadata.created().unwrap().seconds(), EPOCH, "{path}");
    }
}

#[test]
fn owners_devices_and_attributes_are_read_back() {
    if !(testing::is_root() && testing::has("mke2fs") && testing::has("debugfs")) {
        return;
    }
    let file = made(Ext4Set::Classic, tree(false).path(), EPOCH);
    let bytes = alone(&file);
    std::fs::write(file.path(), &bytes).unwrap();
    let asked = |request: &str| output_of("debugfs", &["-R", request], file.path()).unwrap();
    let device = asked("stat /null");
    assert!(device.contains("Type: character special"), "{device}");
    assert!(device.contains("Device major/minor number: 01:03"), "{device}");
    let attributes = asked("ea_list /capable");
    assert!(attributes.contains("security.capability (20) = 01 00 00 02 00 20 00 00"), "{attributes}");

    let system = ext4_view::Ext4::load(Box::new(bytes)).unwrap();
    let owner = |path: &str| system.metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
    assert_eq!(owner("/owned"), OWNER);
    assert_eq!(owner("/hard"), (0, 0));
    assert_eq!(owner("/"), (0, 0));
}

#[test]
fn a_tree_that_does_not_fit_is_an_error_with_the_cure() {
    if !testing::has("mke2fs") {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join("large"), vec![1; 60 << 20]).unwrap();
    let features = features(Ext4Set::Classic);
    let system = FileSystem {
        offset: 0,
        size: 32 << 20,
        uuid: Uuid::nil(),
        label: "root",
        features: &features,
        epoch: 1,
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(SIZE).unwrap();
    let error = write(file.path(), &system, tree.path(), None, &runner()).unwrap_err();
    assert!(error.hints().iter().any(|hint| hint.contains("do not fit")), "{error:?}");
}

#[test]
fn a_full_image_and_a_full_host_have_cures_of_their_own() {
    let cases = [
        ("mke2fs: Could not allocate inode in ext2 filesystem while populating file system", "larger size"),
        ("large: No space left on device while looking up \"large\"", "--tmp"),
        ("mke2fs: Disk quota exceeded while populating file system", "--tmp"),
    ];
    for (line, cure) in cases {
        let error = explain(Error::build("mke2fs failed").tail([line.to_owned()]), "root");
        assert!(matches!(error.hints(), [hint] if hint.contains(cure)), "{line}: {error:?}");
    }
    assert!(explain(Error::build("mke2fs failed"), "root").hints().is_empty());
}

#[test]
fn versions_are_read() {
    assert_eq!(parse_version("mke2fs 1.47.0 (5-Feb-2023)\n\tUsing EXT2FS Library"), Some((1, 47)));
    assert_eq!(parse_version("mke2fs 1.48-WIP (1-Jan-2030)"), Some((1, 48)));
    assert_eq!(parse_version("something else"), None);
}
