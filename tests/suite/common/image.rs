//! Looking at a finished image with other people's tools.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::process::check;

/// Type GUID of an EFI system partition (UEFI specification, section 5.3.3).
const EFI_SYSTEM: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// Type GUID of a BIOS boot partition (GRUB manual, "BIOS installation").
const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";

/// Size of a sector in the partition table.
const SECTOR: u64 = 512;

/// Magic number of ext4's super block and its place from the start of the file system
/// (kernel documentation, "ext4 super block").
const EXT4_MAGIC: [u8; 2] = [0x53, 0xef];
const EXT4_MAGIC_OFFSET: u64 = 1024 + 0x38;

/// Checks image, partition table and every file system; `scratch` takes the raw disk. Returns the names of
/// the partitions, in the order in which they lie on the disk.
#[track_caller]
pub(crate) fn is_sound(image: &Path, scratch: &Path) -> Vec<String> {
    check("qemu-img", [Path::new("check"), image]);
    let directory = tempfile::tempdir_in(scratch).expect("making a directory");
    let raw = directory.path().join("disk.raw");
    check("qemu-img", [Path::new("convert"), Path::new("-O"), Path::new("raw"), image, &raw]);
    raw_is_sound(&raw, scratch)
}

/// The same for a disk that is nothing but its bytes.
#[track_caller]
pub(crate) fn raw_is_sound(raw: &Path, scratch: &Path) -> Vec<String> {
    let directory = tempfile::tempdir_in(scratch).expect("making a directory");
    let verdict = check("sgdisk", [Path::new("-v"), raw]);
    assert!(verdict.stdout.contains("No problems found"), "{verdict}");

    let table = check("sfdisk", [Path::new("--json"), raw]).stdout;
    let table: serde_json::Value = serde_json::from_str(&table).expect("sfdisk writes JSON");
    let partitions = table["partitiontable"]["partitions"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<_> = partitions.iter().filter_map(|partition| partition["type"].as_str()).collect();
    assert!(kinds.contains(&BIOS_BOOT), "no BIOS boot partition in {table}");
    assert!(kinds.contains(&EFI_SYSTEM), "no EFI system partition in {table}");

    let mut systems = 0;
    for partition in &partitions {
        let start = partition["start"].as_u64().expect("a start") * SECTOR;
        let size = partition["size"].as_u64().expect("a size") * SECTOR;
        if partition["type"] == EFI_SYSTEM {
            let esp = directory.path().join("esp");
            copy_range(raw, start, size, &esp);
            check("fsck.vfat", [Path::new("-n"), &esp]);
        } else if read_at(raw, start + EXT4_MAGIC_OFFSET) == EXT4_MAGIC {
            check("e2fsck", ["-fn".to_owned(), format!("{}?offset={start}", raw.display())]);
            systems += 1;
        }
    }
    let mut places: Vec<_> = partitions
        .iter()
        .map(|partition| (partition["start"].as_u64(), partition["name"].as_str().unwrap_or_default()))
        .collect();
    places.sort_unstable();
    let names: Vec<String> = places.into_iter().map(|(_, name)| name.to_owned()).collect();
    let expected = names.iter().filter(|name| ["root", "opt"].contains(&name.as_str())).count();
    assert_eq!(systems, expected, "ext4 file systems in {table}");
    names
}

/// Fails the test unless both files hold the same bytes.
#[track_caller]
pub(crate) fn are_equal(left: &Path, right: &Path) {
    let open = |path: &Path| {
        BufReader::with_capacity(
            1 << 20,
            File::open(path).unwrap_or_else(|error| panic!("opening {}: {error}", path.display())),
        )
    };
    let (mut one, mut other) = (open(left), open(right));
    let (mut here, mut there) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    for block in 0_u64.. {
        let (read, reread) = (fill(&mut one, &mut here), fill(&mut other, &mut there));
        assert!(
            here[..read] == there[..reread],
            "{} and {} differ in the 64 KiB from byte {}",
            left.display(),
            right.display(),
            block << 16
        );
        if read == 0 {
            return;
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]).expect("reading") {
            0 => break,
            count => filled += count,
        }
    }
    filled
}

fn read_at(path: &Path, offset: u64) -> [u8; 2] {
    let mut file = File::open(path).expect("opening the disk");
    let mut bytes = [0; 2];
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).expect("reading the disk");
    bytes
}

fn copy_range(from: &Path, offset: u64, size: u64, to: &Path) {
    let mut file = File::open(from).expect("opening the disk");
    file.seek(SeekFrom::Start(offset)).expect("finding the partition");
    let mut target = File::create(to).expect("making a file");
    let copied = std::io::copy(&mut file.take(size), &mut target).expect("copying the partition");
    assert_eq!(copied, size, "the disk ends inside a partition");
}
