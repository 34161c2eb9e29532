//! Files that are fit to be written onto, and all the others.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::*;
use crate::event::Silent;

/// What is said of `wanted` for a machine with `disks` disks of 8 MiB.
fn asked(wanted: &[&Path], disks: usize, overwrite: bool) -> Result<Vec<RawDisk>, Vec<Error>> {
    let wanted: Vec<PathBuf> = wanted.iter().map(|path| path.to_path_buf()).collect();
    let runner = Runner::new(Arc::new(Silent));
    let mut problems = Vec::new();
    // Next to the files, and above those that are named as being in it.
    let destination = wanted.first().and_then(|path| {
        let room = path.ancestors().find(|place| place.join("out").is_dir())?;
        Some(room.join("out"))
    });
    let found = look_at(
        &wanted,
        &vec![Size(8 * MIB); disks],
        destination.as_deref(),
        overwrite,
        &runner,
        &mut |error| {
            problems.push(error);
        },
    );
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// A file in `room` of this size, with `content` at its start.
fn file(room: &Path, name: &str, size: u64, content: &[u8]) -> PathBuf {
    let path = room.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
    path
}

#[test]
fn a_file_is_taken_with_its_size() {
    let room = tempfile::tempdir().unwrap();
    for (name, size, expected) in [("empty", 0, 0), ("fits", 8 * MIB, 8 * MIB), ("odd", 9 * MIB + 5, 9 * MIB)]
    {
        let path = file(room.path(), name, size, b"");
        let identity = Identity::of(&path.metadata().unwrap());
        let expected = RawDisk { path: path.clone(), is_device: false, size: Size(expected), identity };
        assert_eq!(asked(&[&path], 1, false).unwrap(), [expected], "{name}");
    }
}

#[test]
fn what_cannot_be_written_onto_is_refused_with_the_cure() {
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name);
    std::fs::create_dir(at("directory")).unwrap();
    std::fs::create_dir(at("out")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("fits", at("link")).unwrap();
    std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let fits = file(room.path(), "fits", 8 * MIB, b"");
    std::fs::hard_link(&fits, at("again")).unwrap();
    file(room.path(), "small", 8 * MIB - 512, b"");
    file(room.path(), "tiny", 100, b"");
    file(room.path(), "out/inside", 8 * MIB, b"");
    file(room.path(), "letter", 8 * MIB, b"Dear all");
    let mut swap = vec![0; 4096];
    swap[4086..].copy_from_slice(b"SWAPSPACE2");
    swap[1024] = 1;
    swap[1028..1032].copy_from_slice(&2047_u32.to_le_bytes());
    file(room.path(), "swap", 8 * MIB, &swap);
    let mut table = vec![0; 512];
    (table[450], table[458], table[459], table[510], table[511]) = (0x83, 1, 64, 0x55, 0xaa);
    file(room.path(), "table", 8 * MIB, &table);
    let table: &[(&[&str], &str)] = &[
        (&["none"], "is not there"),
        (&["dangling"], "is not there"),
        (&["directory"], "neither a file nor a block device"),
        (&["socket"], "neither a file nor a block device"),
        (&["small"], "the disk needs 8 MiB"),
        (&["tiny"], "the disk needs 8 MiB"),
        (&["out/inside"], "is in the destination"),
        (&["line\nend"], "cannot be named"),
        (&["letter"], "holds data"),
        (&["swap"], "holds a file system or the like (swap)"),
        (&["table"], "holds a partition table (dos)"),
        (&["fits", "fits"], "are the same place"),
        (&["fits", "link"], "are the same place"),
        (&["fits", "again"], "are the same place"),
    ];
    for (names, expected) in table {
        let paths: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let problems = asked(&paths, 2, false).unwrap_err();
        let [error] = &problems[..] else { panic!("{names:?}: {problems:?}") };
        assert!(error.message().contains(expected), "{names:?}: {error}");
        assert!(error.kind() == Kind::Config && !error.hints().is_empty(), "{names:?}: {error:?}");
    }
    let problems = asked(&[&fits, &at("again"), &at("none")], 1, false).unwrap_err();
    assert_eq!(problems.len(), 3, "all are told: {problems:?}");
    assert!(problems[0].message().contains("the machine has 1 disks"));
    assert!(asked(&[Path::new("/dev/null")], 1, false).unwrap_err()[0].message().contains("neither a file"));
}

#[test]
fn what_holds_something_is_taken_on_demand() {
    let room = tempfile::tempdir().unwrap();
    let letter = file(room.path(), "letter", 8 * MIB, b"Dear all");
    assert!(asked(&[&letter], 1, false).is_err());
    assert!(asked(&[&letter], 1, true).is_ok());
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let path = file(room.path(), "closed", 8 * MIB, b"");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let problems = asked(&[&path], 1, true).unwrap_err();
    assert!(problems[0].message().contains("reading and writing"), "{problems:?}");
}
