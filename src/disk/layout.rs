//! Decides where everything lies on the disk. Pure: sizes and names in, a [`Disk`] out.
//!
//! From the start of the disk: GPT, BIOS boot partition (where the architecture has a BIOS), EFI system
//! partition, swap, /opt, root, backup GPT. Root is last, so that it can grow with its disk. Numbers
//! follow the cloud images of Debian and Ubuntu (root 1, BIOS boot 14, EFI system 15), not the place.

use uuid::{Uuid, uuid};

use super::architecture::Architecture;
use crate::error::{Error, Result};
use crate::plan::{Content, Disk, Partition};
use crate::units::{MIB, Size, TIB};

/// Everything begins and ends at a multiple of this: the habit of every partitioning tool since 2010,
/// which suits flash pages and RAID stripes alike.
pub const ALIGNMENT: u64 = MIB;

/// Room for the GPT at each end of the disk. A table takes 17 KiB; alignment makes it 1 MiB.
pub const GPT_MARGIN: u64 = ALIGNMENT;

/// Root where neither it nor the disk was given a size, as vmbuilder had it.
pub const DEFAULT_ROOT: Size = Size::mib(4096);

/// Swap where none was asked for, as vmbuilder had it.
pub const DEFAULT_SWAP: Size = Size::mib(1024);

/// The smallest root that holds a kernel, its initramfs and a shell.
pub const MINIMUM_ROOT: Size = Size::mib(256);

/// The smallest ext4 with 4 KiB blocks, a journal and room for a file: mke2fs gives no journal to less
/// than 2048 blocks.
pub const MINIMUM_OPT: Size = Size::mib(16);

/// The largest disk. A BIOS need not reach sectors beyond 2^32, and the kernel may come to lie anywhere.
pub const MAXIMUM_DISK: Size = Size(2 * TIB);

/// GRUB's core image takes some 100 KiB.
const BIOS_BOOT: Size = Size::mib(1);

/// With clusters of 1 KiB these are 100 000 clusters: well above the 65 525 that make a FAT32.
const ESP: Size = Size::mib(100);

/// Partition type of a BIOS boot partition (GRUB manual, "BIOS installation"): "Hah!IdontNeedEFI".
const TYPE_BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Partition type of an EFI system partition (UEFI specification 2.10, table 5-7).
const TYPE_ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Partition type of swap space (Discoverable Partitions Specification).
const TYPE_SWAP: Uuid = uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
/// Partition type of any other Linux file system (Discoverable Partitions Specification).
const TYPE_LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// What decides a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutRequest {
    /// Debian's name of the guest's architecture.
    pub architecture: String,
    /// File name of the image.
    pub image: String,
    /// Size of the whole disk, rounded down to 1 MiB; none: what the partitions need.
    pub disk: Option<Size>,
    /// Size of root, rounded up to 1 MiB; none: what the disk has left, or [`DEFAULT_ROOT`].
    pub root: Option<Size>,
    /// Size of swap; zero: no swap; none: [`DEFAULT_SWAP`].
    pub swap: Option<Size>,
    /// Size of a file system of its own for /opt; zero or none: no such file system.
    pub opt: Option<Size>,
    /// Every feature of the ext4 file systems, by mke2fs's names.
    pub ext4_features: Vec<String>,
    /// Namespace of every identifier on the disk: equal seeds give equal disks.
    pub seed: Uuid,
}

/// Decides where everything lies.
///
/// # Errors
///
/// A configuration error for an architecture that is not known, a root or /opt too small for a file
/// system, a disk too small for its partitions or too large.
pub fn plan(request: &LayoutRequest) -> Result<Disk> {
    let architecture = Architecture::find(&request.architecture)?;
    let front = front(request, architecture)?;
    let front_size = total(front.iter().map(|partition| partition.size.bytes()))?;
    let ends = 2 * GPT_MARGIN;
    let root_size = root_size(request, total([front_size, ends])?)?;
    let needed = total([front_size, root_size, ends])?;
    let size = match request.disk {
        Some(disk) => round_down(disk.bytes()),
        None => needed,
    };
    if needed > size {
        return Err(too_small(size, needed));
    }
    if size > MAXIMUM_DISK.bytes() {
        return Err(too_large(size));
    }
    let root = Partition {
        number: 1,
        name: "root".into(),
        kind: architecture.root_type,
        guid: id(request.seed, "partition root"),
        start: 0,
        size: Size(root_size),
        content: ext4(request, "root"),
        mount: Some("/".into()),
    };
    let partitions = place(front.into_iter().chain([root]));
    Ok(Disk { image: request.image.clone(), size: Size(size), guid: id(request.seed, "disk"), partitions })
}

/// The partitions before root, in their order, not placed yet.
fn front(request: &LayoutRequest, architecture: Architecture) -> Result<Vec<Partition>> {
    let partition = |number, name: &str, kind, size, content, mount: Option<&str>| Partition {
        number,
        name: name.into(),
        kind,
        guid: id(request.seed, &format!("partition {name}")),
        start: 0,
        size,
        content,
        mount: mount.map(Into::into),
    };
    let mut partitions = Vec::new();
    if architecture.bios {
        partitions.push(partition(14, "bios-boot", TYPE_BIOS_BOOT, BIOS_BOOT, Content::BiosBoot, None));
    }
    let esp = Content::Fat { volume_id: volume_id(request.seed), label: "ESP".into() };
    partitions.push(partition(15, "esp", TYPE_ESP, ESP, esp, Some("/boot/efi")));
    let swap = round_up(request.swap.unwrap_or(DEFAULT_SWAP).bytes())?;
    if swap > 0 {
        let content = Content::Swap { uuid: id(request.seed, "content swap"), label: "swap".into() };
        partitions.push(partition(2, "swap", TYPE_SWAP, Size(swap), content, None));
    }
    let opt = round_up(request.opt.unwrap_or(Size(0)).bytes())?;
    if opt > 0 {
        at_least("/opt", Size(opt), MINIMUM_OPT)?;
        partitions.push(partition(3, "opt", TYPE_LINUX, Size(opt), ext4(request, "opt"), Some("/opt")));
    }
    Ok(partitions)
}

/// What root gets: what was asked for, what the disk has left, or the default.
fn root_size(request: &LayoutRequest, others: u64) -> Result<u64> {
    let size = match (request.root, request.disk) {
        (Some(root), _) => round_up(root.bytes())?,
        (None, Some(disk)) => {
            let disk = round_down(disk.bytes());
            let minimum = total([others, MINIMUM_ROOT.bytes()])?;
            if disk < minimum {
                return Err(too_small(disk, minimum));
            }
            disk - others
        }
        (None, None) => DEFAULT_ROOT.bytes(),
    };
    at_least("the root file system", Size(size), MINIMUM_ROOT)?;
    Ok(size)
}

/// Gives each partition its place, one after the other. Sizes are aligned and their sum was checked.
fn place(partitions: impl Iterator<Item = Partition>) -> Vec<Partition> {
    let mut start = GPT_MARGIN;
    let place = |mut partition: Partition| {
        partition.start = start;
        start += partition.size.bytes();
        partition
    };
    partitions.map(place).collect()
}

fn ext4(request: &LayoutRequest, name: &str) -> Content {
    Content::Ext4 {
        uuid: id(request.seed, &format!("content {name}")),
        label: name.into(),
        features: request.ext4_features.clone(),
    }
}

/// The identifier of one thing on the disk.
fn id(seed: Uuid, role: &str) -> Uuid {
    Uuid::new_v5(&seed, role.as_bytes())
}

fn volume_id(seed: Uuid) -> u32 {
    id(seed, "content esp").as_fields().0
}

fn round_down(bytes: u64) -> u64 {
    bytes - bytes % ALIGNMENT
}

fn round_up(bytes: u64) -> Result<u64> {
    bytes.checked_next_multiple_of(ALIGNMENT).ok_or_else(|| too_large(bytes))
}

fn total(sizes: impl IntoIterator<Item = u64>) -> Result<u64> {
    let mut sum = 0_u64;
    for size in sizes {
        sum = sum.checked_add(size).ok_or_else(|| too_large(u64::MAX))?;
    }
    Ok(sum)
}

fn at_least(what: &str, size: Size, minimum: Size) -> Result<()> {
    if size >= minimum {
        return Ok(());
    }
    let error = Error::config(format!("{size} is too small for {what}"));
    Err(error.hint(format!("Give it at least {minimum}.")))
}

fn too_small(disk: u64, needed: u64) -> Error {
    let message = format!("the partitions do not fit on a disk of {}", Size(disk));
    Error::config(message).hint(format!("Together they need {} MiB.", needed / MIB))
}

fn too_large(bytes: u64) -> Error {
    let message = format!("a disk of {} is too large", Size(bytes));
    let hint = format!("Give it at most {MAXIMUM_DISK}; a disk can be made larger when it is in use.");
    Error::config(message).hint(hint)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(
        disk: Option<Size>,
        root: Option<Size>,
        swap: Option<Size>,
        opt: Option<Size>,
    ) -> LayoutRequest {
        LayoutRequest {
            architecture: "amd64".into(),
            image: "vm-disk0.qcow2".into(),
            disk,
            root,
            swap,
            opt,
            ext4_features: vec!["extent".into()],
            seed: uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        }
    }

    /// A disk with every kind of partition.
    pub(in crate::disk) fn small_disk() -> Disk {
        let mib = |count| Some(Size::mib(count));
        plan(&request(None, mib(300), mib(16), mib(32))).unwrap()
    }

    /// Number, start and size in MiB.
    fn places(disk: &Disk) -> Vec<(u32, u64, u64)> {
        disk.partitions.iter().map(|p| (p.number, p.start / MIB, p.size.bytes() / MIB)).collect()
    }

    #[test]
    fn the_defaults_are_those_of_vmbuilder() {
        let disk = plan(&request(None, None, None, None)).unwrap();
        assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (2, 102, 1024), (1, 1126, 4096)]);
        assert_eq!(disk.size, Size::mib(5223));
        assert_eq!(disk.mounted_at("/").map(|root| root.number), Some(1));
    }

    #[test]
    fn root_takes_what_the_disk_has_left() {
        let disk = plan(&request(Some(Size::mib(2048)), None, Some(Size(0)), Some(Size::mib(100)))).unwrap();
        assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (3, 102, 100), (1, 202, 1845)]);
        assert_eq!(disk.size, Size::mib(2048));
    }

    #[test]
    fn a_disk_may_have_room_to_spare() {
        let disk = plan(&request(Some(Size::mib(8000)), Some(Size::mib(300)), Some(Size(0)), None)).unwrap();
        assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (1, 102, 300)]);
        assert_eq!(disk.size, Size::mib(8000));
    }

    #[test]
    fn there_is_no_bios_on_arm() {
        let request =
            LayoutRequest { architecture: "arm64".into(), ..request(None, None, Some(Size(0)), None) };
        assert_eq!(places(&plan(&request).unwrap()), [(15, 1, 100), (1, 101, 4096)]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_cure() {
        let mib = |count| Some(Size::mib(count));
        let table = [
            (request(mib(1000), mib(4096), mib(0), None), "Together they need 4199 MiB."),
            (request(mib(300), None, mib(0), None), "Together they need 359 MiB."),
            (request(None, mib(100), None, None), "Give it at least 256 MiB."),
            (request(None, None, None, mib(1)), "Give it at least 16 MiB."),
            (request(Some(Size(3 * TIB)), None, None, None), "at most 2048 GiB"),
            (request(None, Some(Size(u64::MAX)), None, None), "at most 2048 GiB"),
            (request(None, None, Some(Size(u64::MAX - 2 * MIB)), None), "at most 2048 GiB"),
        ];
        for (request, hint) in table {
            let error = plan(&request).unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Config);
            assert!(error.hints().iter().any(|known| known.contains(hint)), "{request:?}: {error:?}");
        }
    }

    #[test]
    fn identifiers_depend_on_the_seed_alone() {
        let small = plan(&request(None, None, None, None)).unwrap();
        let large = plan(&request(None, Some(Size::mib(9000)), None, None)).unwrap();
        let ids = |disk: &Disk| disk.partitions.iter().map(|p| p.guid).collect::<Vec<_>>();
        assert_eq!(ids(&small), ids(&large));
        let other = LayoutRequest { seed: Uuid::nil(), ..request(None, None, None, None) };
        assert_ne!(small.guid, plan(&other).unwrap().guid);
    }

    fn any_size() -> impl Strategy<Value = Option<Size>> {
        let bytes = prop_oneof![0..20_000 * MIB, any::<u64>(), Just(0), Just(u64::MAX)];
        prop_oneof![Just(None), bytes.prop_map(|bytes| Some(Size(bytes)))]
    }

    proptest! {
        #[test]
        fn partitions_are_aligned_apart_and_inside(
            disk in any_size(), root in any_size(), swap in any_size(), opt in any_size(),
        ) {
            let request = request(disk, root, swap, opt);
            let Ok(made) = plan(&request) else { return Ok(()) };
            prop_assert!(made.size.bytes().is_multiple_of(ALIGNMENT) && made.size <= MAXIMUM_DISK);
            let mut end = GPT_MARGIN;
            for partition in &made.partitions {
                prop_assert!(partition.start.is_multiple_of(ALIGNMENT));
                prop_assert!(partition.size.bytes().is_multiple_of(ALIGNMENT) && partition.size.bytes() > 0);
                prop_assert!(partition.start >= end);
                end = partition.start + partition.size.bytes();
            }
            prop_assert!(end + GPT_MARGIN <= made.size.bytes());
            let root_size = made.mounted_at("/").map_or(0, |root| root.size.bytes());
            prop_assert!(root_size >= root.map_or(MINIMUM_ROOT.bytes(), Size::bytes));
        }
    }
}
