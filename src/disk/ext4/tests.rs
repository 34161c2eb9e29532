//! Against e2fsck, and against a second tree that differs in everything but content.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use super::*;
use crate::disk::tests::check_with;
use crate::event::Silent;
use crate::suite::{Ext4Set, ext4_features};
use crate::testing;

const OFFSET: u64 = 1 << 20;
const SIZE: u64 = 64 << 20;

fn runner() -> Runner {
    Runner::new(Arc::new(Silent))
}

/// Files, directories, links; created forwards or backwards, so that the order of entries differs, and at
/// different times.
fn tree(backwards: bool) -> tempfile::TempDir {
    // In memory, directories are listed in the order in which they were filled; elsewhere by hash.
    let memory = Path::new("/dev/shm");
    let tree = if backwards && memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let tree = tree.unwrap();
    let mut names: Vec<String> = (0..300).map(|number| format!("file-{number:03}")).collect();
    if backwards {
        names.reverse();
    }
    for name in &names {
        let directory = tree.path().join("etc").join(&name[5..6]);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(name), name.repeat(900)).unwrap();
    }
    std::fs::hard_link(tree.path().join("etc/1/file-100"), tree.path().join("hard")).unwrap();
    symlink("etc/1/file-100", tree.path().join("soft")).unwrap();
    // Both trees have the same modes and times of modification, as trees of equal content have.
    for path in walk(tree.path()) {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = File::open(&path).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.set_modified(old).unwrap();
    }
    tree
}

/// Every file and directory but links, the deepest first.
fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| !path.is_symlink());
    let mut found: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect();
    found.push(directory.to_owned());
    found
}

/// The features that a suite's file system is made with.
fn features(set: Ext4Set) -> Vec<String> {
    ext4_features(set).into_iter().map(str::to_owned).collect()
}

fn made(set: Ext4Set, tree: &Path, epoch: i64) -> tempfile::NamedTempFile {
    let features = features(set);
    let uuid = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    let system = FileSystem { offset: OFFSET, size: SIZE, uuid, label: "root", features: &features, epoch };
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
        let [one, other] = [0, 1].map(|index| made(set, trees[index].path(), 1_600_000_000));
        let place = format!("{}?offset={OFFSET}", one.path().display());
        check_with("e2fsck", &["-fn"], Path::new(&place));
        assert!(std::fs::read(one.path()).unwrap() == std::fs::read(other.path()).unwrap(), "{set:?}");
    }
}

#[test]
fn times_after_2038_are_clean() {
    if testing::has("mke2fs") {
        let file = made(Ext4Set::Classic, tree(false).path(), 5_000_000_000);
        check_with("e2fsck", &["-fn"], Path::new(&format!("{}?offset={OFFSET}", file.path().display())));
    }
}

#[test]
fn contents_owners_and_times_are_read_back() {
    if !testing::has("mke2fs") {
        return;
    }
    let file = made(Ext4Set::Classic, tree(false).path(), 1_600_000_000);
    let bytes = std::fs::read(file.path()).unwrap()[usize::try_from(OFFSET).unwrap()..].to_vec();
    let system = ext4_view::Ext4::load(Box::new(bytes)).unwrap();
    assert_eq!(system.read("/soft").unwrap(), "file-100".repeat(900).into_bytes());
    let metadata = system.metadata("/hard").unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o755);
    assert_eq!(system.read_link("/soft").unwrap().to_str().unwrap(), "etc/1/file-100");
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
