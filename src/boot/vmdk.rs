//! Whether a VMware disk is whole: one file, with nothing of it elsewhere.
//!
//! A VMDK may be a text that names other files, by absolute path or even by a network address, and
//! qemu-img opens whatever is named. So an image of unknown origin is let through only where it has its
//! data in itself, with a descriptor that says so.
//!
//! Sources: VMware, Virtual Disk Format 5.0, "Hosted Sparse Extents" and "The Descriptor File"; QEMU,
//! block/vmdk.c, for which of it is followed: a capacity of zero leads to the descriptor's extents,
//! `parentFileNameHint` to a parent, looked for at the fixed offset [`DESCRIPTOR_AT`].

/// What a sparse file begins with.
pub(super) const SPARSE_MAGIC: &[u8] = b"KDMV";
/// What a descriptor of its own begins with.
pub(super) const TEXT_MAGIC: &[u8] = b"# Disk DescriptorFile";

/// Where the descriptor lies in a sparse file: QEMU looks nowhere else.
const DESCRIPTOR_AT: usize = 512;
/// How much of it QEMU reads.
const DESCRIPTOR_SIZE: usize = 20 * 512;
/// Bytes at the beginning of a file that [`defect`] looks at.
pub(super) const LOOKED_AT: usize = DESCRIPTOR_AT + DESCRIPTOR_SIZE;

const CAPACITY_AT: usize = 12;
const DESCRIPTOR_OFFSET_AT: usize = 28;
/// In sectors.
const DESCRIPTOR_OFFSET: u64 = 1;
/// Content id of a parent that there is not.
const NO_PARENT: &str = "ffffffff";
/// Words that an extent's line begins with.
const ACCESS: [&str; 3] = ["RW", "RDONLY", "NOACCESS"];

/// Why a file with these first [`LOOKED_AT`] bytes may lean on others; none where it is whole.
pub(super) fn defect(start: &[u8]) -> Option<&'static str> {
    let u64_at = |at: usize| start.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
    if !start.starts_with(SPARSE_MAGIC) {
        return Some("it is a description of other files");
    }
    if u64_at(CAPACITY_AT).is_none_or(|sectors| sectors == 0) {
        return Some("it has no capacity of its own");
    }
    if u64_at(DESCRIPTOR_OFFSET_AT) != Some(DESCRIPTOR_OFFSET) {
        return Some("it has no descriptor at its beginning, as a part of a larger disk");
    }
    let bytes = start.get(DESCRIPTOR_AT..).unwrap_or_default();
    let bytes = bytes.get(..DESCRIPTOR_SIZE).unwrap_or(bytes);
    descriptor_defect(&String::from_utf8_lossy(bytes))
}

/// The same for the text of a descriptor, with whatever comes after it.
fn descriptor_defect(text: &str) -> Option<&'static str> {
    // In all of it: QEMU ends the text at a zero byte, and a later one might not.
    if text.contains("parentFileNameHint") {
        return Some("it names a parent");
    }
    let text = text.split('\0').next().unwrap_or_default();
    let lines = || text.lines().map(str::trim);
    let mut parents = lines().filter_map(|line| line.strip_prefix("parentCID="));
    if !parents.next().is_some_and(|id| id.eq_ignore_ascii_case(NO_PARENT)) || parents.next().is_some() {
        return Some("its descriptor does not say that it has no parent");
    }
    let is_extent = |line: &&str| line.split_whitespace().next().is_some_and(|word| ACCESS.contains(&word));
    let mut extents = lines().filter(is_extent);
    match (extents.next(), extents.next()) {
        (Some(extent), None) if !extent.contains(['/', '\\', ':']) => None,
        (Some(_), None) => Some("its descriptor names a file elsewhere"),
        _ => Some("its descriptor does not have one extent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::run::Runner;
    use crate::host::tools;

    const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=9147e105\nparentCID=ffffffff\n\
        createType=\"monolithicSparse\"\n\n# Extent description\nRW 131072 SPARSE \"a.vmdk\"\n";

    fn sparse(capacity: u64, descriptor_at: u64, descriptor: &str) -> Vec<u8> {
        let mut bytes = SPARSE_MAGIC.to_vec();
        bytes.resize(LOOKED_AT, 0);
        bytes[CAPACITY_AT..CAPACITY_AT + 8].copy_from_slice(&capacity.to_le_bytes());
        bytes[DESCRIPTOR_OFFSET_AT..DESCRIPTOR_OFFSET_AT + 8].copy_from_slice(&descriptor_at.to_le_bytes());
        bytes[DESCRIPTOR_AT..DESCRIPTOR_AT + descriptor.len()].copy_from_slice(descriptor.as_bytes());
        bytes
    }

    #[test]
    fn what_leans_on_others_is_found() {
        assert_eq!(defect(&sparse(131_072, 1, DESCRIPTOR)), None);
        assert_eq!(defect(&sparse(131_072, 1, &DESCRIPTOR.replace('\n', "\r\n"))), None);
        let parent = DESCRIPTOR.replace("ffffffff", "9147e105");
        let hint = format!("{DESCRIPTOR}parentFileNameHint=\"/etc/shadow\"\n");
        let hidden = format!("{DESCRIPTOR}\0parentFileNameHint=\"/etc/shadow\"\n");
        let second = format!("{DESCRIPTOR}RDONLY 8 FLAT \"b\" 0\n");
        let twice = format!("{DESCRIPTOR}parentCID=1\n");
        let cases = [
            (sparse(0, 1, DESCRIPTOR), "no capacity"),
            (sparse(8, 0, DESCRIPTOR), "no descriptor"),
            (sparse(8, 40, DESCRIPTOR), "no descriptor"),
            (sparse(8, 1, ""), "no parent"),
            (sparse(8, 1, &parent), "no parent"),
            (sparse(8, 1, &twice), "no parent"),
            (sparse(8, 1, &hint), "names a parent"),
            (sparse(8, 1, &hidden), "names a parent"),
            (sparse(8, 1, &second), "one extent"),
            (sparse(8, 1, &DESCRIPTOR.replace("RW ", "# ")), "one extent"),
            (sparse(8, 1, &DESCRIPTOR.replace("a.vmdk", "/etc/shadow")), "elsewhere"),
            (sparse(8, 1, &DESCRIPTOR.replace("a.vmdk", "nbd:localhost")), "elsewhere"),
            (DESCRIPTOR.as_bytes().to_vec(), "description of other files"),
            (SPARSE_MAGIC.to_vec(), "no capacity"),
        ];
        for (bytes, expected) in cases {
            let why = defect(&bytes).unwrap_or("nothing");
            assert!(why.contains(expected), "{why}, not {expected}");
        }
    }

    #[test]
    fn what_qemu_img_writes_is_whole() {
        if tools::find("qemu-img").is_none() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        let create = |subformat: &str| {
            let path = directory.path().join(format!("{subformat}.vmdk"));
            let option = format!("subformat={subformat}");
            let command = runner.command("qemu-img").args(["create", "-q", "-f", "vmdk", "-o", &option]);
            command.arg(&path).arg("64M").run().unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(defect(&create("monolithicSparse")), None);
        assert_eq!(defect(&create("streamOptimized")), None);
        assert!(defect(&create("monolithicFlat")).is_some());
        assert!(defect(&create("twoGbMaxExtentSparse")).is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_beginning_panics(rest: Vec<u8>) {
            let _ = defect(&[SPARSE_MAGIC, &rest].concat());
        }
    }
}
