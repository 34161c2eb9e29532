//! Numbers and places of the partitions of one disk.

use super::{GPT_MARGIN, Item, MAXIMUM_DISK, round_up, too_large, too_small};
use crate::disk::lvm::{DATA_START, EXTENT};
use crate::disk::mbr::RECORD_ROOM;
use crate::error::{Error, Result, Subject};
use crate::plan::Table;
use crate::units::Size;

/// Entries of a GPT.
const MOST_IN_GPT: usize = 128;

/// Primary partitions of an msdos table, the extended one among them.
const PRIMARIES: usize = 4;

/// The number of the extended partition, where there is one.
const EXTENDED: u32 = 4;

/// Partitions that fdisk, sfdisk and parted can all put into an msdos table.
const MOST_IN_MSDOS: usize = 60;

/// What becomes a partition.
#[derive(Debug, PartialEq)]
pub(super) enum Unit<'a> {
    /// What is wanted itself.
    Plain(&'a Item<'a>),
    /// The volumes of a group.
    Group { name: &'a str, items: Vec<&'a Item<'a>> },
    /// The logical partitions that follow it.
    Extended,
}

impl Unit<'_> {
    pub(super) fn grows(&self) -> bool {
        match self {
            Unit::Plain(item) => item.grows,
            Unit::Group { items, .. } => items.iter().any(|item| item.grows),
            Unit::Extended => false,
        }
    }

    /// The first of what is wanted that lies in it.
    fn first(&self) -> Option<&Item<'_>> {
        match self {
            Unit::Plain(item) => Some(item),
            Unit::Group { items, .. } => items.first().copied(),
            Unit::Extended => None,
        }
    }

    /// Its size in bytes; none where it takes what the disk has left.
    fn size(&self) -> Result<Option<u64>> {
        match self {
            Unit::Plain(item) => item.wish.size.map(|size| round_up(size.bytes())).transpose(),
            Unit::Group { items, .. } => {
                let extents = total(items.iter().map(|item| in_extents(item)))?;
                Ok(Some(total([DATA_START, extents])?))
            }
            Unit::Extended => Ok(Some(0)),
        }
    }
}

/// The bytes of a logical volume: whole extents. The sizes of volumes are checked with that of their group.
pub(super) fn in_extents(item: &Item<'_>) -> u64 {
    let size = item.wish.size.map_or(0, Size::bytes);
    size.checked_next_multiple_of(EXTENT).unwrap_or(u64::MAX)
}

/// Gathers the volumes of each group where the first of them stands.
pub(super) fn units<'a>(items: &'a [Item<'a>]) -> Result<Vec<Unit<'a>>> {
    let mut units: Vec<Unit<'a>> = Vec::new();
    for item in items {
        let Some(group) = item.wish.group.as_deref() else {
            units.push(Unit::Plain(item));
            continue;
        };
        let known = units.iter_mut().find_map(|unit| match unit {
            Unit::Group { name, items } if *name == group => Some(items),
            _ => None,
        });
        match known {
            Some(items) => items.push(item),
            None => units.push(Unit::Group { name: group, items: vec![item] }),
        }
    }
    let growing: Vec<&Item<'_>> = items.iter().filter(|item| item.grows).collect();
    if let [one, other, ..] = growing[..] {
        let (one, other) = (one.role(), other.role());
        return Err(Error::config(format!("{one} and {other} cannot both grow: they are on one disk"))
            .hint("Give `grow` to one of them: what is last on its disk can take what is behind it."));
    }
    Ok(units)
}

/// A partition with its number.
#[derive(Debug)]
pub(super) struct Numbered<'a> {
    number: u32,
    unit: Unit<'a>,
    is_logical: bool,
}

/// Gives numbers in the order of the wishes, and puts partitions into the order of their places: what grows is
/// last, and always a primary partition. An error is about the first of `items` that gets no number; `disk` is the
/// number of their disk.
pub(super) fn numbered<'a>(
    units: Vec<Unit<'a>>,
    items: &'a [Item<'a>],
    table: Table,
    (disk, reserved): (usize, &[u32]),
) -> Result<Vec<Numbered<'a>>> {
    let (most, count) = match table {
        Table::Gpt => (MOST_IN_GPT - reserved.len(), units.len()),
        Table::Msdos => (MOST_IN_MSDOS, units.len()),
    };
    if count > most {
        let first = units.get(most).and_then(Unit::first);
        let index = items.iter().position(|item| Some(item) == first).unwrap_or_default();
        return Err(Error::config(format!(
            "a disk with a {table} table has room for {most} partitions, not {count}"
        ))
        .hint("Put some of them on another disk: a line with --- begins the next one.")
        .about(Subject::Partition(disk, index)));
    }
    let mut list = match table {
        Table::Gpt => {
            let free = (1..).filter(|number| !reserved.contains(number));
            let number = |(number, unit)| Numbered { number, unit, is_logical: false };
            free.zip(units).map(number).collect()
        }
        Table::Msdos => with_logical(units),
    };
    // A stable order: all else stays where it is.
    list.sort_by_key(|one: &Numbered<'_>| one.unit.grows());
    Ok(list)
}

/// Four primary partitions, or three and an extended one with all others.
fn with_logical(units: Vec<Unit<'_>>) -> Vec<Numbered<'_>> {
    let room = if units.len() > PRIMARIES { PRIMARIES - 1 } else { PRIMARIES };
    let growing = units.iter().filter(|unit| unit.grows()).count();
    let mut others = room - growing;
    let (mut primaries, mut logical) = (Vec::new(), Vec::new());
    for unit in units {
        let is_primary = unit.grows() || others > 0;
        if is_primary && !unit.grows() {
            others -= 1;
        }
        if is_primary { primaries.push(unit) } else { logical.push(unit) }
    }
    let number = |is_logical| move |(number, unit)| Numbered { number, unit, is_logical };
    let mut list: Vec<Numbered<'_>> = (1..).zip(primaries).map(number(false)).collect();
    if !logical.is_empty() {
        list.push(Numbered { number: EXTENDED, unit: Unit::Extended, is_logical: false });
        list.extend((EXTENDED + 1..).zip(logical).map(number(true)));
    }
    list
}

/// A partition with its place.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) number: u32,
    pub(super) unit: Unit<'a>,
    pub(super) start: u64,
    pub(super) size: u64,
}

/// Gives places from `start` on, one after the other, and the size of the disk: that of `disk`, or what is
/// needed.
pub(super) fn placed(
    list: Vec<Numbered<'_>>,
    table: Table,
    start: u64,
    disk: Option<u64>,
) -> Result<(Vec<Placed<'_>>, u64)> {
    let end = if table == Table::Gpt { GPT_MARGIN } else { 0 };
    let mut sizes = Vec::new();
    for one in &list {
        sizes.push(one.unit.size()?);
    }
    let records = list.iter().filter(|one| one.is_logical).map(|_| RECORD_ROOM);
    let fixed = total(sizes.iter().flatten().copied().chain(records).chain([start, end]))?;
    let size = disk.unwrap_or(fixed);
    let rest = size.checked_sub(fixed).ok_or_else(|| too_small(size, fixed))?;
    let has_rest = sizes.contains(&None);
    if has_rest && rest < super::MINIMUM_ROOT.bytes() {
        return Err(too_small(size, total([fixed, super::MINIMUM_ROOT.bytes()])?));
    }
    // An msdos table counts sectors in 32 bits, and 2^32 is one too many.
    let most = MAXIMUM_DISK.bytes() - if table == Table::Msdos { GPT_MARGIN } else { 0 };
    if size > most {
        return Err(too_large(size));
    }
    let mut next = start;
    let mut placed: Vec<Placed<'_>> = Vec::new();
    for (one, size) in list.into_iter().zip(sizes) {
        let Numbered { number, unit, is_logical } = one;
        if is_logical {
            next += RECORD_ROOM;
        }
        let size = size.unwrap_or(rest);
        placed.push(Placed { number, unit, start: next, size });
        next += size;
        if is_logical && let Some(extended) = placed.iter_mut().find(|placed| placed.unit == Unit::Extended) {
            extended.size = next - extended.start;
        }
    }
    Ok((placed, size))
}

fn total(sizes: impl IntoIterator<Item = u64>) -> Result<u64> {
    let mut sum = 0_u64;
    for size in sizes {
        sum = sum.checked_add(size).ok_or_else(|| too_large(u64::MAX))?;
    }
    Ok(sum)
}
