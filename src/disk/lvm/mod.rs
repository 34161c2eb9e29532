//! Writes LVM2 physical volumes with their volume group and its linear logical volumes, without LVM's tools,
//! which work on block devices alone.
//!
//! A physical volume begins with a [`label`] in its second sector, which names the volume and says where its
//! metadata and its data are. The [`area`] for metadata fills the rest of the first MiB; the volume group
//! is described there in [`text`], the same in every volume of the group. Data is cut into extents of
//! 4 MiB from the second MiB on. [`Group::places`] tells where each logical volume lies: in one piece, so
//! that a file system is written straight to its place on the disk.
//!
//! The formats are LVM2's own, as its sources lay them down (lib/format_text/layout.h, lib/label/label.h,
//! lib/format_text/export.c).

mod area;
mod label;
mod text;

use std::fs::File;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use crate::error::{Context, Error, Kind, Result};
use crate::units::MIB;

/// Size of an extent in bytes, vgcreate's default.
pub const EXTENT: u64 = 4 * MIB;

/// Where data begins in a physical volume, in bytes: pvcreate's default.
pub const DATA_START: u64 = MIB;

/// Bytes of a sector, in which LVM2 counts.
const SECTOR: u64 = 512;

/// Bytes of the longest name that LVM2 takes (NAME_LEN in its sources, with the final zero).
const LONGEST_NAME: usize = 127;

/// Names of logical volumes that LVM2 keeps for its own use, as a whole or in part (lvm(8), "Valid names").
const RESERVED_STARTS: &[&str] = &["pvmove", "snapshot"];
const RESERVED_PARTS: &[&str] = &[
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta",
    "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
];

/// A volume group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its identity, from which LVM's own identifiers are made.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its physical volumes; two on one disk or on several.
    pub physical: Vec<PhysicalVolume>,
    /// Its logical volumes, in the order in which they are laid out.
    pub logical: Vec<LogicalVolume>,
    /// When it was made, in seconds since 1970.
    pub epoch: i64,
}

/// A physical volume: a partition, or a whole disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhysicalVolume {
    /// Its identity.
    pub uuid: Uuid,
    /// Where it begins on its disk, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A logical volume in one piece.
#[derive(Clone, Debug, PartialEq)]
pub struct LogicalVolume {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its size in bytes, rounded up to whole extents.
    pub size: u64,
}

/// Where a logical volume lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The physical volume, counted from 0 in [`Group::physical`].
    pub physical: usize,
    /// Where it begins on that volume's disk, in bytes.
    pub offset: u64,
    /// Its size in bytes, whole extents.
    pub size: u64,
    /// Its first extent in the physical volume.
    first: u64,
}

impl PhysicalVolume {
    /// How many extents it has.
    pub fn extents(&self) -> u64 {
        self.size.saturating_sub(DATA_START) / EXTENT
    }
}

impl LogicalVolume {
    /// How many extents it needs.
    pub fn extents(&self) -> u64 {
        self.size.div_ceil(EXTENT)
    }
}

impl Group {
    /// Where each logical volume lies, in the order of [`Group::logical`]: behind the one before it in the
    /// first physical volume that has the room for it in one piece.
    ///
    /// # Errors
    ///
    /// A build error where a name or a size cannot be, two names are the same, or a volume does not fit.
    pub fn places(&self) -> Result<Vec<Place>> {
        self.check()?;
        let mut used = vec![0; self.physical.len()];
        let mut places = Vec::new();
        for volume in &self.logical {
            let needed = volume.extents();
            let mut candidates = self.physical.iter().zip(&mut used).enumerate();
            let found = candidates.find(|(_, (physical, used))| physical.extents() - **used >= needed);
            let Some((physical, (host, used))) = found else {
                return Err(self.too_small(volume));
            };
            let offset = host.offset + DATA_START + *used * EXTENT;
            places.push(Place { physical, offset, size: needed * EXTENT, first: *used });
            *used += needed;
        }
        Ok(places)
    }

    /// Plans cross from another process: nothing in them is taken for granted.
    fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.physical.is_empty() {
            return Err(refused(&self.name, "it has no physical volume"));
        }
        for physical in &self.physical {
            let fits = physical.offset.checked_add(physical.size).is_some();
            let whole = physical.offset.is_multiple_of(SECTOR) && physical.size.is_multiple_of(SECTOR);
            if !fits || !whole || physical.extents() == 0 {
                return Err(refused(&self.name, "a physical volume is too small, or no number of sectors"));
            }
        }
        for (number, volume) in self.logical.iter().enumerate() {
            check_name(&volume.name)?;
            let starts = RESERVED_STARTS.iter().any(|start| volume.name.starts_with(start));
            if starts || RESERVED_PARTS.iter().any(|part| volume.name.contains(part)) {
                return Err(refused(&volume.name, "LVM2 keeps that name for its own use"));
            }
            if volume.size == 0 {
                return Err(refused(&volume.name, "it has no size"));
            }
            if self.logical.iter().take(number).any(|other| other.name == volume.name) {
                return Err(refused(&volume.name, "another logical volume has the same name"));
            }
        }
        Ok(())
    }

    fn too_small(&self, volume: &LogicalVolume) -> Error {
        let needed = volume.extents() * (EXTENT / MIB);
        refused(&volume.name, "it does not fit").hint(format!(
            "A logical volume lies in one piece: a physical volume of the group {} needs {needed} MiB more, and 1 MiB for LVM2 itself.",
            self.name
        ))
    }
}

fn refused(name: &str, why: &str) -> Error {
    Error::build(format!("the planned volume {name} cannot be: {why}"))
}

/// Whether `name` can be that of a volume or a group (lvm(8), "Valid names").
///
/// # Errors
///
/// A build error that says what is wrong with it.
pub fn check_name(name: &str) -> Result<()> {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "+_.-".contains(letter);
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('-') || !name.chars().all(known) {
        let hint =
            "The name of a volume has at most 127 letters, digits and `+_.-`, and no `-` at its start.";
        return Err(refused(name, "LVM2 takes no such name").hint(hint));
    }
    if name == "." || name == ".." {
        return Err(refused(name, "LVM2 takes no such name"));
    }
    Ok(())
}

/// An identifier of LVM2: 32 of 62 characters, with hyphens between. `seed` alone decides it.
pub fn id(seed: Uuid) -> String {
    const SYMBOLS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const GROUPS: [usize; 7] = [6, 4, 4, 4, 4, 4, 6];
    // One UUID has too few bits for 32 characters.
    let halves = [b"first".as_slice(), b"second"].map(|half| Uuid::new_v5(&seed, half).as_u128());
    let characters = halves.into_iter().flat_map(|half| {
        let digits = std::iter::successors(Some(half), |rest| Some(rest / 62)).take(16);
        digits.filter_map(|rest| SYMBOLS.get(usize::try_from(rest % 62).ok()?)).map(|&byte| char::from(byte))
    });
    let mut characters = characters;
    let groups = GROUPS.map(|length| characters.by_ref().take(length).collect::<String>());
    groups.join("-")
}

/// Writes what makes a part of `raw` the physical volume `number` of `group`, counted from 0. Nothing
/// is written to where logical volumes lie.
///
/// # Errors
///
/// A build error where the group cannot be ([`Group::places`]), its description does not fit, or writing
/// fails.
pub fn write(raw: &File, group: &Group, number: usize) -> Result<()> {
    let places = group.places()?;
    let Some(physical) = group.physical.get(number) else {
        return Err(refused(&group.name, "it has no such physical volume"));
    };
    let text = text::describe(group, &places);
    let doing = || format!("writing the physical volume {number} of the group {}", group.name);
    for (place, bytes) in [
        (label::OFFSET, label::sector(&id(physical.uuid), physical.size).to_vec()),
        (area::OFFSET, area::area(&text).ok_or_else(|| refused(&group.name, "it has too many volumes"))?),
    ] {
        raw.write_all_at(&bytes, physical.offset + place).context(Kind::Build, doing)?;
    }
    Ok(())
}

/// The checksum of labels and metadata: CRC-32 without its final inversion, from a start of LVM2's own.
fn checksum(bytes: &[u8]) -> u32 {
    const START: u32 = 0xf597_a6cf;
    const REFLECTED_POLYNOMIAL: u32 = 0xedb8_8320;
    let shift = |sum: u32| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ REFLECTED_POLYNOMIAL };
    bytes.iter().fold(START, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| shift(sum)))
}

#[cfg(test)]
mod tests;
