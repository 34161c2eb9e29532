//! Images against QEMU's own program as judge: that it finds no fault, the same content, and data where
//! the disk has some.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::event::Silent;
use crate::host::run::Runner;
use crate::host::tools;
use crate::units::{MIB, TIB};

/// Clusters of 512 bytes, the least that there is: a L2 table maps 32 KiB, a refcount block 128 KiB of the
/// image, a cluster of the refcount table 8 MiB.
const SMALL: u32 = 9;
const USUAL: u32 = layout::USUAL_CLUSTER_BITS;

/// A disk in a directory of its own.
struct Disk {
    directory: TempDir,
    file: File,
    size: u64,
}

impl Disk {
    fn new(size: u64) -> Disk {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create_new(directory.path().join("disk.raw")).unwrap();
        file.set_len(size).unwrap();
        Disk { directory, file, size }
    }

    /// Writes bytes that are all different from zero.
    fn fill(self, range: Range<u64>) -> Disk {
        let mut byte = 0;
        let content: Vec<u8> = range
            .clone()
            .map(|_| {
                byte = byte % 251 + 1;
                byte
            })
            .collect();
        self.file.write_all_at(&content, range.start).unwrap();
        self
    }

    /// Writes zeros where there was a hole.
    fn fill_zeros(self, range: Range<u64>) -> Disk {
        let zeros = vec![0; usize::try_from(range.end - range.start).unwrap()];
        self.file.write_all_at(&zeros, range.start).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Converts to the new file `name`; what was told of it must be true.
    fn convert(&self, cluster_bits: u32, name: &str) -> Vec<u8> {
        let written = convert_with(cluster_bits, &self.path("disk.raw"), &self.path(name)).unwrap();
        let image = std::fs::read(self.path(name)).unwrap();
        assert_eq!(written.size, image.len() as u64);
        assert_eq!(written.sha256, *Sha256::digest(&image));
        image
    }

    /// The clusters that hold data, found the slow way; a disk with a hole of TiB is too much for it.
    fn clusters(&self, cluster: u64) -> BTreeSet<u64> {
        let content = std::fs::read(self.path("disk.raw")).unwrap();
        let zeros = vec![0; usize::try_from(cluster).unwrap()];
        let used = (0..).zip(content.chunks(zeros.len())).filter(|(_, chunk)| !zeros.starts_with(chunk));
        used.map(|(number, _)| number).collect()
    }
}

/// What qemu-img says; none where it is not installed.
fn qemu_img<A: AsRef<OsStr>>(words: impl IntoIterator<Item = A>) -> Option<String> {
    if tools::find("qemu-img").is_none() {
        println!("skipped what qemu-img says: it is not installed");
        return None;
    }
    let outcome = Runner::new(Arc::new(Silent)).command("qemu-img").args(words).outcome().unwrap();
    assert!(outcome.status.success(), "qemu-img found fault: {}{}", outcome.stdout, outcome.stderr);
    Some(outcome.stdout)
}

fn judge(disk: &Disk, image: &Path) {
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let (raw, image) = (name(&disk.path("disk.raw")), name(image));
    // Leaked clusters are an exit code of their own.
    qemu_img(["check", "-f", "qcow2", &image]);
    qemu_img(["compare", "-f", "raw", "-F", "qcow2", &raw, &image]);
    if let Some(said) = qemu_img(["info", "--output=json", "-f", "qcow2", &image]) {
        let info: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(info["virtual-size"], disk.size);
        assert_eq!(info["format-specific"]["data"]["compat"], "1.1");
        assert_eq!(info["backing-filename"], Value::Null);
    }
}

/// The clusters that qemu-img finds allocated.
fn mapped(image: &Path, cluster: u64) -> Option<BTreeSet<u64>> {
    let said = qemu_img([
        "map".as_ref(),
        "--output=json".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        image.as_os_str(),
    ])?;
    let map: Vec<Value> = serde_json::from_str(&said).unwrap();
    let data = map.iter().filter(|part| part["data"] == true);
    let clusters = data.flat_map(|part| {
        let (start, length) = (part["start"].as_u64().unwrap(), part["length"].as_u64().unwrap());
        start / cluster..(start + length).div_ceil(cluster)
    });
    Some(clusters.collect())
}

/// Ranges of a disk in an order that looks like chance and is always the same.
fn scattered(size: u64, count: usize) -> Vec<Range<u64>> {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        // The constants of Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut range = || {
        let start = next(size);
        start..(start + 1 + next(size / 20)).min(size)
    };
    (0..count).map(|_| range()).collect()
}

#[test]
fn qemu_finds_no_fault_and_the_same_content() {
    let scatter = |size, count| scattered(size, count).into_iter().fold(Disk::new(size), Disk::fill);
    let disks = [
        ("empty", Disk::new(16 * MIB)),
        ("of no bytes", Disk::new(0)),
        ("one byte at the end", Disk::new(513 * MIB).fill(513 * MIB - 1..513 * MIB)),
        ("full", Disk::new(3 * MIB).fill(0..3 * MIB)),
        ("scattered", scatter(24 * MIB, 12)),
        ("the last cluster is short", Disk::new(MIB + 1536).fill(MIB..MIB + 1536)),
        ("zeros that are stored", Disk::new(8 * MIB).fill_zeros(0..8 * MIB).fill(MIB..MIB + 1)),
        ("more than a cluster of the refcount table, if small", Disk::new(20 * MIB).fill(0..20 * MIB)),
    ];
    for (what, disk) in disks {
        for bits in [USUAL, SMALL] {
            // That many small clusters only take long.
            if bits == SMALL && disk.size > 64 * MIB {
                continue;
            }
            println!("{what}, clusters of {} bytes", 1 << bits);
            let image = disk.path("disk.qcow2");
            disk.convert(bits, "disk.qcow2");
            judge(&disk, &image);
            if let Some(found) = mapped(&image, 1 << bits) {
                assert_eq!(found, disk.clusters(1 << bits));
            }
            std::fs::remove_file(&image).unwrap();
        }
    }
}

#[test]
fn a_large_disk_has_tables_for_all_of_it() {
    let size = 8 * TIB;
    let places = [0, 5 * TIB + 70_000, size - 1];
    let disk = places.iter().fold(Disk::new(size), |disk, &place| disk.fill(place..place + 1));
    let image = disk.path("disk.qcow2");
    let bytes = disk.convert(USUAL, "disk.qcow2");
    // Header, refcount table and block, two clusters of L1 table, three L2 tables, three clusters of data.
    assert_eq!(bytes.len(), 11 << USUAL);
    judge(&disk, &image);
    if let Some(found) = mapped(&image, 1 << USUAL) {
        assert_eq!(found, places.map(|place| place >> USUAL).into());
    }
}

#[test]
fn images_depend_on_content_alone() {
    let ranges = scattered(16 * MIB, 10);
    let sparse = ranges.iter().cloned().fold(Disk::new(16 * MIB), Disk::fill);
    let stored = ranges.into_iter().fold(Disk::new(16 * MIB).fill_zeros(0..16 * MIB), Disk::fill);
    let image = sparse.convert(USUAL, "one.qcow2");
    assert!(image == sparse.convert(USUAL, "two.qcow2"), "two images of one disk differ");
    assert!(image == stored.convert(USUAL, "three.qcow2"), "stored zeros make another image");
}

#[test]
fn errors_name_the_file() {
    let disk = Disk::new(MIB);
    let missing = convert(&disk.path("none.raw"), &disk.path("disk.qcow2")).unwrap_err().to_string();
    assert!(missing.starts_with("reading the disk ") && missing.contains("none.raw: "), "{missing}");
    let there = convert(&disk.path("disk.raw"), &disk.path("disk.raw")).unwrap_err().to_string();
    assert!(there.starts_with("writing the image ") && there.contains("File exists"), "{there}");
    disk.file.set_len(1000).unwrap();
    let odd = convert(&disk.path("disk.raw"), &disk.path("disk.qcow2")).unwrap_err().to_string();
    assert!(odd.ends_with("a disk of 1000 bytes is no whole number of sectors"), "{odd}");
    assert!(!disk.path("disk.qcow2").exists());
}

#[test]
fn a_disk_that_cannot_be_read_to_its_end_is_an_error() {
    let disk = Disk::new(MIB).fill(0..MIB);
    let layout = Layout::new(USUAL, MIB, std::slice::from_ref(&(0..16))).unwrap();
    disk.file.set_len(1000).unwrap();
    let image = tempfile::tempfile().unwrap();
    let failure = copy::fill(&layout, &disk.file, &image).unwrap_err();
    assert!(matches!(failure, copy::Failure::Read(_)), "{failure:?}");
}

#[test]
fn a_full_disk_is_an_error_with_a_cure() {
    let disk = Disk::new(MIB).fill(0..MIB);
    let layout = Layout::new(USUAL, MIB, std::slice::from_ref(&(0..16))).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let failure = copy::fill(&layout, &disk.file, &full).unwrap_err();
    let copy::Failure::Write(error) = failure else { panic!("{failure:?}") };
    let error = explain_full_disk(&error, Error::build("writing"));
    assert!(error.hints()[0].contains("disk is full"));
}
