//! Against LVM2's own pvck, which reads files where its other tools want block devices.

use proptest::prelude::*;

use super::*;
use crate::disk::tests::output_of;
use crate::testing;

fn group() -> Group {
    let volume = |number: u128, name: &str, size| LogicalVolume {
        uuid: Uuid::from_u128(number),
        name: name.to_owned(),
        size,
    };
    Group {
        uuid: Uuid::from_u128(1),
        name: "vg0".into(),
        physical: vec![
            PhysicalVolume { uuid: Uuid::from_u128(2), offset: 0, size: 64 * MIB },
            PhysicalVolume { uuid: Uuid::from_u128(3), offset: 8 * MIB, size: 101 * MIB },
        ],
        logical: vec![
            volume(4, "root", 40 * MIB + 1),
            volume(5, "home", 20 * MIB),
            volume(6, "swap", 16 * MIB),
            volume(7, "var-log", 4 * MIB),
        ],
        epoch: 1_700_000_000,
    }
}

/// The physical volume `number` in a file of its own.
fn written(group: &Group, number: usize) -> tempfile::NamedTempFile {
    let mut alone = group.clone();
    for physical in &mut alone.physical {
        physical.offset = 0;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(group.physical[number].size).unwrap();
    write(file.as_file(), &alone, number).unwrap();
    file
}

#[test]
fn volumes_lie_in_one_piece_each_where_there_is_room() {
    let places = group().places().unwrap();
    let known = places.iter().map(|place| (place.physical, place.offset / MIB, place.size / MIB));
    // The first physical volume has 15 extents, the second 25.
    assert_eq!(known.collect::<Vec<_>>(), [(0, 1, 44), (1, 9, 20), (0, 45, 16), (1, 29, 4)]);
}

#[test]
fn lvm_finds_no_fault() {
    let group = group();
    for number in [0, 1] {
        let file = written(&group, number);
        for what in ["headers", "metadata", "metadata_search"] {
            let Some(text) = output_of("pvck", &["--dump", what], file.path()) else { return };
            // What it says to ordinary users first.
            let text = text.replace("WARNING: Running as a non-root user.", "");
            for fault in ["CHECK", "WARN", "rror", "ailed", "not found", "nvalid"] {
                assert!(!text.contains(fault), "{what}: {fault} in {text}");
            }
        }
        let headers = output_of("pvck", &["--dump", "headers"], file.path()).unwrap();
        for line in [
            format!("pv_header.pv_uuid {}", id(group.physical[number].uuid).replace('-', "")),
            format!("pv_header.device_size {}", group.physical[number].size),
            "pv_header.disk_locn[0].offset 1048576".to_owned(),
            "pv_header.disk_locn[2].size 1044480".to_owned(),
            "mda_header_1.raw_locn[0].offset 512".to_owned(),
        ] {
            assert!(headers.contains(&line), "no {line} in {headers}");
        }
    }
}

#[test]
fn lvm_reads_the_description_back() {
    let group = group();
    let file = written(&group, 0);
    let Some(text) = output_of("pvck", &["--dump", "metadata"], file.path()) else { return };
    assert!(text.contains(&text::describe(&group, &group.places().unwrap())), "{text}");
}

#[test]
fn blkid_knows_it_for_a_physical_volume() {
    if !testing::has("blkid") {
        return;
    }
    let group = group();
    let text = output_of("blkid", &["-p", "-o", "export"], written(&group, 1).path()).unwrap();
    let uuid = format!("UUID={}", id(group.physical[1].uuid));
    for line in ["TYPE=LVM2_member", uuid.as_str()] {
        assert!(text.lines().any(|known| known == line), "no {line} in {text}");
    }
}

#[test]
fn the_description_is_as_lvm_writes_it() {
    let group = group();
    insta::assert_snapshot!(text::describe(&group, &group.places().unwrap()));
}

#[test]
fn the_same_group_gives_the_same_bytes_at_its_place() {
    let group = group();
    let file = tempfile::tempfile().unwrap();
    file.set_len(group.physical[1].offset + group.physical[1].size).unwrap();
    write(&file, &group, 1).unwrap();
    let mut there = vec![0; 8192];
    file.read_exact_at(&mut there, 8 * MIB).unwrap();
    assert_eq!(there[..], std::fs::read(written(&group, 1).path()).unwrap()[..8192]);
    let mut before = vec![1; 4096];
    file.read_exact_at(&mut before, 8 * MIB - 4096).unwrap();
    assert!(before.iter().all(|byte| *byte == 0));
}

#[test]
fn identifiers_have_the_shape_of_lvm_s() {
    let one = id(Uuid::nil());
    let lengths: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(lengths, [6, 4, 4, 4, 4, 4, 6]);
    assert!(one.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-'));
    assert_eq!(one, id(Uuid::nil()));
    assert_ne!(one, id(Uuid::max()));
}

/// What is done to a plan so that it is none.
type Damage = fn(&mut Group);

#[test]
fn what_cannot_be_is_refused() {
    let damage: &[(&str, Damage)] = &[
        ("no such name", |group| group.name = "a b".into()),
        ("no such name", |group| group.logical[0].name = "-root".into()),
        ("no such name", |group| group.logical[0].name = "..".into()),
        ("no such name", |group| group.name = "n".repeat(128)),
        ("own use", |group| group.logical[0].name = "root_rmeta_0".into()),
        ("own use", |group| group.logical[0].name = "snapshot1".into()),
        ("same name", |group| group.logical[0].name = "home".into()),
        ("no size", |group| group.logical[0].size = 0),
        ("not fit", |group| group.logical[0].size = 104 * MIB),
        ("not fit", |group| group.logical[0].size = u64::MAX),
        ("no physical", |group| group.physical.clear()),
        ("too small", |group| group.physical[0].size = 4 * MIB),
        ("too small", |group| group.physical[0].offset = 1),
        ("too small", |group| group.physical[0].offset = u64::MAX - 511),
    ];
    for (why, damage) in damage {
        let mut group = group();
        damage(&mut group);
        let error = group.places().unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
    }
    assert!(write(&tempfile::tempfile().unwrap(), &group(), 2).is_err());
}

proptest! {
    /// Logical volumes lie inside of their physical one and apart from each other.
    #[test]
    fn places_never_overlap(
        sizes in proptest::collection::vec(1..200 * MIB, 0..8),
        hosts in proptest::collection::vec(5 * MIB..400 * MIB, 1..4),
    ) {
        let mut group = group();
        group.physical = hosts.iter().enumerate().map(|(number, size)| PhysicalVolume {
            uuid: Uuid::nil(), offset: number as u64 * 1000 * MIB, size: size & !511,
        }).collect();
        group.logical = sizes.iter().enumerate().map(|(number, &size)| LogicalVolume {
            uuid: Uuid::nil(), name: format!("lv{number}"), size,
        }).collect();
        let Ok(mut places) = group.places() else { return Ok(()) };
        for (place, volume) in places.iter().zip(&group.logical) {
            let host = group.physical[place.physical];
            prop_assert!(place.size >= volume.size && place.size.is_multiple_of(EXTENT));
            prop_assert!(place.offset >= host.offset + DATA_START);
            prop_assert!(place.offset + place.size <= host.offset + host.size);
        }
        places.sort_by_key(|place| place.offset);
        prop_assert!(places.windows(2).all(|pair| pair[0].offset + pair[0].size <= pair[1].offset));
    }
}
