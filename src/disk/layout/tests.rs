use proptest::prelude::*;

use super::*;
use crate::disk::lvm::EXTENT;
use crate::disk::mbr::RECORD_ROOM;

const SEED: Uuid = uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");

fn mib(count: u64) -> Option<Size> {
    Some(Size::mib(count))
}

fn files(mount: &str, count: u64) -> Wish {
    Wish::ext4(mount, mib(count))
}

fn request<'a>(disks: &'a [DiskWish], table: Table) -> LayoutRequest<'a> {
    LayoutRequest {
        architecture: "amd64",
        table,
        disks,
        stem: "vm",
        format: "qcow2",
        ext4_features: vec!["extent".into()],
        ext3_features: vec![],
        seed: SEED,
    }
}

fn laid_out(disks: &[DiskWish], table: Table) -> Result<Vec<Disk>> {
    plan(&request(disks, table))
}

/// The only disk, with a GPT.
fn only(size: Option<Size>, wishes: &[Wish]) -> Result<Disk> {
    laid_out(&[DiskWish { size, wishes: wishes.to_vec() }], Table::Gpt).map(|mut disks| disks.remove(0))
}

/// A disk with every usual kind of partition.
pub(in crate::disk) fn small_disk() -> Disk {
    only(None, &[files("/", 300), Wish::swap(Size::mib(16)), files("/opt", 32)]).unwrap()
}

/// A disk with an msdos table and logical partitions.
pub(in crate::disk) fn msdos_disk() -> Disk {
    let wishes = ["/", "/var", "/home", "/srv", "/opt", "/usr/local"].map(|mount| files(mount, 300));
    laid_out(&[DiskWish { size: None, wishes: wishes.to_vec() }], Table::Msdos).unwrap().remove(0)
}

/// Number, start and size in MiB.
fn places(disk: &Disk) -> Vec<(u32, u64, u64)> {
    disk.partitions.iter().map(|p| (p.number, p.start / MIB, p.size.bytes() / MIB)).collect()
}

#[test]
fn the_defaults_are_those_of_vmbuilder() {
    let disk = only(None, &[Wish::ext4("/", Some(DEFAULT_ROOT)), Wish::swap(DEFAULT_SWAP)]).unwrap();
    assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (2, 102, 1024), (1, 1126, 4096)]);
    assert_eq!(disk.size, Size::mib(5223));
    assert_eq!(disk.image, "vm-disk0.qcow2");
    assert!(disk.mounted_at("/").is_some_and(|root| root.grows && root.name == "root"));
}

#[test]
fn root_takes_what_the_disk_has_left() {
    let disk = only(mib(2048), &[Wish::ext4("/", None), files("/opt", 100)]).unwrap();
    assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (2, 102, 100), (1, 202, 1845)]);
    assert_eq!(disk.size, Size::mib(2048));
}

#[test]
fn a_disk_may_have_room_to_spare() {
    let disk = only(mib(8000), &[files("/", 300)]).unwrap();
    assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (1, 102, 300)]);
    assert_eq!(disk.size, Size::mib(8000));
}

#[test]
fn there_is_neither_a_bios_nor_an_msdos_table_on_arm() {
    let disks = [DiskWish { size: None, wishes: vec![files("/", 4096)] }];
    let request = LayoutRequest { architecture: "arm64", ..request(&disks, Table::Gpt) };
    assert_eq!(places(&plan(&request).unwrap()[0]), [(15, 1, 100), (1, 101, 4096)]);
    let error = plan(&LayoutRequest { table: Table::Msdos, ..request }).unwrap_err();
    assert!(error.hints()[0].contains("UEFI"), "{error:?}");
}

#[test]
fn only_the_first_disk_has_boot_loaders() {
    let disks = laid_out(
        &[
            DiskWish { size: None, wishes: vec![files("/boot", 200), Wish::swap(Size::mib(64))] },
            DiskWish { size: None, wishes: vec![files("/", 1000), Wish::swap(Size::mib(64))] },
        ],
        Table::Gpt,
    )
    .unwrap();
    assert_eq!(places(&disks[0]), [(14, 1, 1), (15, 2, 100), (1, 102, 200), (2, 302, 64)]);
    assert_eq!(places(&disks[1]), [(2, 1, 64), (1, 65, 1000)]);
    let names: Vec<&str> = disks.iter().flat_map(Disk::volumes).map(|volume| volume.name).collect();
    assert_eq!(names, ["bios-boot", "esp", "boot", "swap", "swap2", "root"]);
}

#[test]
fn what_grows_is_last_and_all_else_keeps_its_order() {
    let growing = Wish { grows: true, ..files("/home", 100) };
    let disk = only(None, &[files("/", 300), growing, files("/var", 50), files("/srv", 60)]).unwrap();
    let order: Vec<&str> = disk.volumes().iter().filter_map(|volume| volume.mount).collect();
    assert_eq!(order, [ESP_MOUNT, "/", "/var", "/srv", "/home"]);
    let grows: Vec<&str> =
        disk.volumes().iter().filter(|volume| volume.grows).filter_map(|volume| volume.mount).collect();
    assert_eq!(grows, ["/home"]);
    let twice =
        [files("/", 300), Wish { grows: true, ..files("/a", 50) }, Wish { grows: true, ..files("/b", 50) }];
    assert!(only(None, &twice).unwrap_err().message().contains("/a and /b"));
}

#[test]
fn the_fourth_of_five_on_an_msdos_table_is_the_first_logical_one() {
    let disk = msdos_disk();
    assert_eq!(
        places(&disk),
        [
            (2, 1, 300),
            (3, 301, 300),
            (4, 601, 903),
            (5, 602, 300),
            (6, 903, 300),
            (7, 1204, 300),
            (1, 1504, 300)
        ]
    );
    assert_eq!(disk.size, Size::mib(1804));
    assert!(disk.mounted_at(ESP_MOUNT).is_none());
    let four = ["/", "/var", "/home", "/srv"].map(|mount| files(mount, 300));
    let disk = laid_out(&[DiskWish { size: None, wishes: four.to_vec() }], Table::Msdos).unwrap().remove(0);
    assert_eq!(places(&disk), [(2, 1, 300), (3, 301, 300), (4, 601, 300), (1, 901, 300)]);
}

#[test]
fn volumes_of_a_group_are_one_partition() {
    let volume = |mount, count| Wish { group: Some("data".into()), ..files(mount, count) };
    let disk =
        only(None, &[files("/", 300), volume("/srv", 30), files("/opt", 20), volume("/home", 64)]).unwrap();
    assert_eq!(places(&disk), [(14, 1, 1), (15, 2, 100), (2, 102, 97), (3, 199, 20), (1, 219, 300)]);
    let volumes: Vec<(&str, u64, u64)> = disk
        .volumes()
        .iter()
        .map(|volume| (volume.name, volume.start / MIB, volume.size.bytes() / MIB))
        .filter(|(name, ..)| ["srv", "home"].contains(name))
        .collect();
    assert_eq!(volumes, [("srv", 103, 32), ("home", 135, 64)]);
    let group = fill::group(&disk.partitions[2], 0).unwrap();
    let starts: Vec<u64> = group.places().unwrap().iter().map(|place| place.offset / MIB).collect();
    assert_eq!(starts, [103, 135]);
    // Names that LVM keeps for itself.
    let error = only(None, &[files("/", 300), volume("/snapshots", 20)]).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Config);
}

#[test]
fn a_root_in_a_group_grows_with_it() {
    let root = Wish { group: Some("vg0".into()), ..files("/", 300) };
    let disk = only(None, &[root, files("/boot", 100)]).unwrap();
    let last = disk.partitions.last().unwrap();
    assert!(last.grows && matches!(last.content, Content::Group { .. }), "{last:?}");
    assert!(disk.mounted_at("/").unwrap().grows);
}

#[test]
fn what_does_not_fit_is_refused_with_the_cure() {
    let root = |size| Wish::ext4("/", size);
    let huge = Some(Size(u64::MAX));
    let xfs = Wish {
        purpose: Purpose::Files { mount: "/srv".into(), kind: FileSystem::Xfs, options: None },
        ..files("/srv", 100)
    };
    let table: [(Option<Size>, Vec<Wish>, &str); 8] = [
        (mib(1000), vec![root(mib(4096))], "Together they need 4199 MiB."),
        (mib(300), vec![root(None)], "Together they need 359 MiB."),
        (None, vec![root(mib(100))], "Give it at least 256 MiB."),
        (None, vec![root(mib(300)), files("/opt", 1)], "Give it at least 16 MiB."),
        (None, vec![root(mib(300)), xfs], "Give it at least 300 MiB."),
        (Some(Size(3 * TIB)), vec![root(mib(300))], "at most 2048 GiB"),
        (None, vec![root(huge)], "at most 2048 GiB"),
        (None, vec![root(mib(300)), Wish::swap(Size(u64::MAX - 2 * MIB))], "at most 2048 GiB"),
    ];
    for (size, wishes, hint) in table {
        let error = only(size, &wishes).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Config);
        assert!(error.hints().iter().any(|known| known.contains(hint)), "{wishes:?}: {error:?}");
    }
}

#[test]
fn a_table_has_an_end() {
    let many = |count: u32| (0..count).map(|n| files(&format!("/d{n}"), 16)).collect::<Vec<_>>();
    let wishes = |count| [vec![files("/", 300)], many(count)].concat();
    assert!(only(None, &wishes(125)).is_ok());
    assert!(only(None, &wishes(126)).unwrap_err().message().contains("room for 126"));
    let msdos = |count| laid_out(&[DiskWish { size: None, wishes: wishes(count) }], Table::Msdos);
    assert!(msdos(59).is_ok());
    assert!(msdos(60).unwrap_err().message().contains("room for 60"));
}

#[test]
fn what_cannot_start_is_refused() {
    let all = [FileSystem::Ext4, FileSystem::Ext3, FileSystem::Xfs, FileSystem::Btrfs];
    let of = |mount: &str, kind| Wish {
        purpose: Purpose::Files { mount: mount.into(), kind, options: None },
        ..files(mount, 1000)
    };
    let in_group = |mount: &str| Wish { group: Some("vg0".into()), ..files(mount, 1000) };
    let check = |wishes: Vec<Wish>, readable: &[FileSystem]| {
        can_boot(&[DiskWish { size: None, wishes }], readable).map_err(|error| error.to_string())
    };
    assert_eq!(check(vec![files("/", 1)], &all), Ok(()));
    assert_eq!(check(vec![in_group("/"), files("/boot", 1)], &all), Ok(()));
    assert_eq!(check(vec![of("/", FileSystem::Btrfs)], &all), Ok(()));
    assert_eq!(check(vec![of("/", FileSystem::Xfs), files("/boot", 1)], &all[..1]), Ok(()));
    assert_eq!(check(vec![files("/", 1), of("/data", FileSystem::Vfat)], &all), Ok(()));
    for (wishes, readable, words) in [
        (vec![in_group("/")], &all[..], "LVM"),
        (vec![files("/", 1), in_group("/boot")], &all[..], "LVM"),
        (vec![of("/", FileSystem::Xfs)], &all[..1], "does not read xfs"),
        (vec![files("/", 1), of("/boot", FileSystem::Vfat)], &all[..], "no owners"),
        (vec![files("/", 1), of("/var/lib/x", FileSystem::Vfat)], &all[..], "no owners"),
    ] {
        let said = check(wishes.clone(), readable).unwrap_err();
        assert!(said.contains(words), "{wishes:?}: {said}");
    }
    let twice = [1, 2].map(|n| DiskWish { size: None, wishes: vec![in_group(&format!("/d{n}"))] });
    assert!(can_boot(&twice, &all).unwrap_err().to_string().contains("vg0 is on more than one disk"));
}

#[test]
fn identifiers_depend_on_the_seed_and_the_purpose_alone() {
    let disks = |root: u64, first: &str| {
        let wishes = [files("/", root), files(first, 50), files("/srv", 50), Wish::swap(Size::mib(16))];
        only(None, &wishes).unwrap()
    };
    let ids = |disk: &Disk, mount: &str| {
        let found = disk.partitions.iter().find(|one| one.mount.as_deref() == Some(mount)).unwrap().clone();
        (found.guid, found.content.identifier())
    };
    let (small, large) = (disks(300, "/a"), disks(9000, "/b"));
    for mount in ["/", "/srv", ESP_MOUNT] {
        assert_eq!(ids(&small, mount), ids(&large, mount));
    }
    assert_ne!(ids(&small, "/a"), ids(&large, "/b"));
    let all = [DiskWish { size: None, wishes: vec![files("/", 300)] }];
    let other = LayoutRequest { seed: Uuid::nil(), ..request(&all, Table::Gpt) };
    assert_ne!(small.guid, plan(&other).unwrap()[0].guid);
}

#[test]
fn names_are_told_apart() {
    let wishes =
        [files("/", 300), files("/root", 50), files("/a/b", 50), files("/a-b", 50), Wish::swap(Size::mib(1))];
    let disk = only(None, &wishes).unwrap();
    let names: Vec<&str> = disk.volumes().iter().map(|volume| volume.name).collect();
    assert_eq!(names, ["bios-boot", "esp", "root2", "a-b", "a-b2", "swap", "root"]);
}

fn any_size() -> impl Strategy<Value = Option<Size>> {
    let bytes = prop_oneof![8 => 0..4_000 * MIB, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    bytes.prop_map(|bytes| Some(Size(bytes)))
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let kind = prop_oneof![Just(FileSystem::Ext4), Just(FileSystem::Ext3), Just(FileSystem::Btrfs)];
    let group = prop_oneof![3 => Just(None), 1 => Just(Some("vg0".to_owned()))];
    (any_size(), any::<bool>(), kind, group, 0..20_u32).prop_map(|(size, is_swap, kind, group, name)| {
        let purpose = match is_swap && name < 5 {
            true => Purpose::Swap,
            false => Purpose::Files { mount: format!("/m{name}"), kind, options: None },
        };
        Wish { purpose, size, label: None, grows: name == 7, group }
    })
}

/// Root first, and no mount point twice.
fn any_disk() -> impl Strategy<Value = DiskWish> {
    (any_size(), any::<bool>(), proptest::collection::vec(any_wish(), 0..12)).prop_map(
        |(size, sized, all)| {
            let mut wishes = vec![Wish::ext4("/", if sized { None } else { Some(Size::mib(400)) })];
            for wish in all {
                if wish.mount().is_none() || !wishes.iter().any(|one| one.mount() == wish.mount()) {
                    wishes.push(wish);
                }
            }
            DiskWish { size: if sized { size } else { None }, wishes }
        },
    )
}

proptest! {
    #[test]
    fn partitions_are_aligned_apart_inside_and_in_order(disk in any_disk(), msdos: bool) {
        let table = if msdos { Table::Msdos } else { Table::Gpt };
        let Ok(made) = laid_out(std::slice::from_ref(&disk), table) else { return Ok(()) };
        let made = &made[0];
        prop_assert_eq!(&laid_out(std::slice::from_ref(&disk), table).unwrap()[0], made);
        prop_assert!(made.size.bytes().is_multiple_of(ALIGNMENT) && made.size <= MAXIMUM_DISK);
        let (mut end, mut extended_end) = (GPT_MARGIN, 0);
        let mut numbers = std::collections::BTreeSet::new();
        for partition in &made.partitions {
            prop_assert!(partition.start.is_multiple_of(ALIGNMENT));
            prop_assert!(partition.size.bytes().is_multiple_of(ALIGNMENT) && partition.size.bytes() > 0);
            prop_assert!(numbers.insert(partition.number));
            let is_logical = msdos && partition.number > 4;
            let room = if is_logical { RECORD_ROOM } else { 0 };
            prop_assert!(partition.start >= end + room);
            if partition.content == Content::Extended {
                (end, extended_end) = (partition.start, partition.start + partition.size.bytes());
            } else {
                end = partition.start + partition.size.bytes();
                prop_assert!(!is_logical || end <= extended_end);
            }
        }
        let margin = if msdos { 0 } else { GPT_MARGIN };
        prop_assert!(end + margin <= made.size.bytes());
        // Everything that was wanted is there, with its size at least.
        let volumes = made.volumes();
        for wish in disk.wishes.iter().filter(|wish| wish.mount().is_some()) {
            let volume = volumes.iter().find(|volume| volume.mount == wish.mount());
            prop_assert!(volume.is_some_and(|volume| wish.size.is_none_or(|size| volume.size >= size)));
        }
        let swaps = disk.wishes.iter().filter(|wish| wish.mount().is_none()).count();
        prop_assert_eq!(swaps, volumes.iter().filter(|v| matches!(v.content, Content::Swap { .. })).count());
        // What does not grow is in the order of the wishes, within partitions and within the group.
        for group in [None, Some("vg0".to_owned())] {
            let order: Vec<&str> = disk
                .wishes
                .iter()
                .filter(|wish| wish.group == group && !made.mounted_at(wish.mount().unwrap_or("")).is_some_and(|v| v.grows))
                .filter_map(Wish::mount)
                .collect();
            let found: Vec<&str> =
                volumes.iter().filter_map(|volume| volume.mount).filter(|mount| order.contains(mount)).collect();
            if !msdos {
                prop_assert_eq!(found, order);
            }
        }
        // Logical volumes lie in their partition, one after the other.
        for partition in &made.partitions {
            let Content::Group { volumes, .. } = &partition.content else { continue };
            let mut free = partition.start + crate::disk::lvm::DATA_START;
            for volume in volumes {
                prop_assert_eq!(volume.start, free);
                prop_assert!(volume.size.bytes().is_multiple_of(EXTENT));
                free += volume.size.bytes();
            }
            prop_assert!(free <= partition.start + partition.size.bytes());
        }
    }
}
