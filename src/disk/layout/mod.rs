//! Decides where everything lies on the disks. Pure: wishes, sizes and names in, [`Disk`]s out.
//!
//! ```text
//!     wishes ──▶ units ──────────▶ numbers ──▶ places ──▶ contents
//!                a partition each; a volume group's
//!                wishes are one partition together
//! ```
//!
//! Partitions have the numbers and the order of the wishes, with one exception in the order: what grows with its
//! disk is the last on it. The first disk is started. With a GPT it begins with the BIOS boot partition (where
//! the architecture has a BIOS) and the EFI system partition, whose numbers are those of the cloud images of
//! Debian and Ubuntu, 14 and 15. With an msdos table GRUB lies between the table and the first partition, and
//! where there are more than four partitions, those after the third are logical ones.

mod boot;
mod place;
mod wish;

use std::collections::BTreeSet;

use uuid::{Uuid, uuid};

pub use self::boot::can_boot;
use self::place::{Placed, Unit};
pub use self::wish::{DiskWish, FileSystem, LONGEST_SWAP_LABEL, Purpose, Wish};
use super::architecture::Architecture;
use super::{fill, lvm};
use crate::error::{Error, Kind, Result, Subject};
use crate::plan::{Content, Disk, LogicalVolume, Partition, Table};
use crate::units::{MIB, Size, TIB};

/// Everything begins and ends at a multiple of this: the habit of every partitioning tool since 2010,
/// which suits flash pages and RAID stripes alike.
pub const ALIGNMENT: u64 = MIB;

/// Room for the table at the start of the disk, and for the backup of a GPT at its end. A GPT takes 17 KiB;
/// alignment makes it 1 MiB. Behind an msdos table GRUB's core image lies there.
pub const GPT_MARGIN: u64 = ALIGNMENT;

/// Root where neither it nor the disk was given a size, as vmbuilder had it.
pub const DEFAULT_ROOT: Size = Size::mib(4096);

/// Swap where none was asked for, as vmbuilder had it.
pub const DEFAULT_SWAP: Size = Size::mib(1024);

/// The smallest root that holds a kernel, its initramfs and a shell.
pub const MINIMUM_ROOT: Size = Size::mib(256);

/// The largest disk. A BIOS need not reach sectors beyond 2^32, an msdos table cannot, and the kernel may come
/// to lie anywhere.
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
/// Partition type of an LVM physical volume (as fdisk of util-linux has it).
const TYPE_LVM: Uuid = uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928");

/// Characters of a name in a GPT (UEFI specification 2.10, table 5-6).
const LONGEST_NAME: usize = 36;

/// Where the EFI system partition is mounted.
pub const ESP_MOUNT: &str = "/boot/efi";

/// What decides a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutRequest<'a> {
    /// Debian's name of the guest's architecture.
    pub architecture: &'a str,
    /// Kind of every disk's partition table.
    pub table: Table,
    /// The disks; the first one is started.
    pub disks: &'a [DiskWish],
    /// What images are named after: `STEM-disk0.FORMAT`.
    pub stem: &'a str,
    /// Format of the images.
    pub format: &'a str,
    /// Every feature of the ext4 file systems, by mke2fs's names.
    pub ext4_features: Vec<String>,
    /// The same for ext3.
    pub ext3_features: Vec<String>,
    /// Namespace of every identifier on the disks: equal seeds give equal disks.
    pub seed: Uuid,
}

/// Decides where everything lies.
///
/// # Errors
///
/// A configuration error, with all that is wrong, for an architecture that is not known or cannot be started
/// from such a table, a file system that is too small, a disk too small for its partitions or too large.
pub fn plan(request: &LayoutRequest<'_>) -> Result<Vec<Disk>> {
    let architecture = Architecture::find(request.architecture)?;
    if request.table == Table::Msdos && !architecture.bios {
        return Err(Error::config(format!("{} cannot be started from an msdos table", architecture.name))
            .hint("It starts by UEFI: leave out --label, or say --label gpt."));
    }
    let planner = Planner { request, architecture };
    let mut problems = Vec::new();
    let mut disks = Vec::new();
    let items = Item::all(request.disks);
    for (number, (wish, items)) in request.disks.iter().zip(&items).enumerate() {
        let disk = planner.disk(number, items, wish.size).map_err(|error| {
            let is_about_parts = !error.subjects().is_empty() || !error.parts().is_empty();
            if is_about_parts { error } else { error.about(Subject::Disk(number)) }
        });
        match disk {
            Ok(disk) => disks.push(disk),
            Err(error) if request.disks.len() > 1 => problems.push(error.within(format!("disk {number}"))),
            Err(error) => problems.push(error),
        }
    }
    Error::all(problems)?;
    Ok(disks)
}

struct Planner<'a> {
    request: &'a LayoutRequest<'a>,
    architecture: Architecture,
}

impl Planner<'_> {
    fn disk(&self, number: usize, items: &[Item<'_>], size: Option<Size>) -> Result<Disk> {
        let table = self.request.table;
        let about = |index| move |error: Error| error.about(Subject::Partition(number, index));
        let sizes = items.iter().enumerate().map(|(index, item)| self.check_size(item).map_err(about(index)));
        Error::all(sizes.filter_map(Result::err).collect())?;
        let mut partitions = self.boot_partitions(number);
        let reserved: Vec<u32> = partitions.iter().map(|partition| partition.number).collect();
        let numbered = place::numbered(place::units(items)?, items, table, (number, &reserved))?;
        let mut start = GPT_MARGIN;
        for partition in &mut partitions {
            partition.start = start;
            start += partition.size.bytes();
        }
        let size = size.map(|size| round_down(size.bytes()));
        let (placed, size) = place::placed(numbered, table, start, size)?;
        partitions.extend(placed.iter().map(|one| self.partition(number, one)));
        // LVM keeps names for itself: told now, and not by the writer.
        for group in partitions.iter().filter_map(|partition| fill::group(partition, 0)) {
            let of_group = |item: &Item<'_>| item.wish.group.as_deref() == Some(group.name.as_str());
            let first = items.iter().position(of_group).unwrap_or_default();
            group.places().map_err(|error| about(first)(error.of(Kind::Config)))?;
        }
        Ok(Disk {
            image: format!("{}-disk{number}.{}", self.request.stem, self.request.format),
            size: Size(size),
            table,
            guid: self.id(&format!("disk {number}")),
            partitions,
        })
    }

    /// What the disk that is started has beside what is wanted on it.
    fn boot_partitions(&self, disk: usize) -> Vec<Partition> {
        if disk > 0 || self.request.table == Table::Msdos {
            return Vec::new();
        }
        let partition = |number, name: &str, kind, size, content, mount: Option<&str>| Partition {
            number,
            name: name.into(),
            kind,
            guid: self.id(&format!("partition {name}")),
            start: 0,
            size,
            content,
            mount: mount.map(Into::into),
            options: None,
            grows: false,
        };
        let mut partitions = Vec::new();
        if self.architecture.bios {
            partitions.push(partition(14, "bios-boot", TYPE_BIOS_BOOT, BIOS_BOOT, Content::BiosBoot, None));
        }
        let esp = Content::Esp { volume_id: self.volume_id("esp"), label: "ESP".into() };
        partitions.push(partition(15, "esp", TYPE_ESP, ESP, esp, Some(ESP_MOUNT)));
        partitions
    }

    /// Whether what is wanted is large enough for what it is to be.
    fn check_size(&self, item: &Item<'_>) -> Result<()> {
        let Some(size) = item.wish.size else { return Ok(()) };
        let mut all = self.request.disks.iter().flat_map(|disk| &disk.wishes);
        let has_usr = all.any(|wish| wish.mount() == Some("/usr"));
        match (item.wish.mount(), item.wish.file_system()) {
            (Some(mount), Some(kind)) => at_least(mount, size, minimum(mount, kind, has_usr)),
            _ => at_least("swap", size, Size(1)),
        }
    }

    fn partition(&self, disk: usize, placed: &Placed<'_>) -> Partition {
        let empty = Partition {
            number: placed.number,
            name: String::new(),
            kind: Uuid::nil(),
            guid: Uuid::nil(),
            start: placed.start,
            size: Size(placed.size),
            content: Content::Extended,
            mount: None,
            options: None,
            grows: placed.unit.grows(),
        };
        match &placed.unit {
            Unit::Extended => Partition { guid: self.id(&format!("extended partition {disk}")), ..empty },
            Unit::Plain(item) => Partition {
                name: shortened(&item.name, LONGEST_NAME),
                kind: match item.wish.mount() {
                    None => TYPE_SWAP,
                    Some("/") => self.architecture.root_type,
                    Some(_) => TYPE_LINUX,
                },
                guid: self.id(&format!("partition {}", item.role())),
                content: self.content(item),
                mount: item.wish.mount().map(str::to_owned),
                options: item.wish.options().map(str::to_owned),
                ..empty
            },
            Unit::Group { name, items } => Partition {
                name: shortened(name, LONGEST_NAME),
                kind: TYPE_LVM,
                guid: self.id(&format!("partition of group {name}")),
                content: Content::Group {
                    name: (*name).to_owned(),
                    uuid: self.id(&format!("group {name}")),
                    physical: self.id(&format!("physical volume of {name}")),
                    volumes: self.logical_volumes(items, placed.start),
                },
                ..empty
            },
        }
    }

    /// The volumes of a group whose partition begins at `start`, one after the other.
    fn logical_volumes(&self, items: &[&Item<'_>], start: u64) -> Vec<LogicalVolume> {
        let mut start = start + lvm::DATA_START;
        let mut volumes = Vec::new();
        for item in items {
            let size = place::in_extents(item);
            volumes.push(LogicalVolume {
                name: item.name.clone(),
                uuid: self.id(&format!("logical volume {}", item.role())),
                start,
                size: Size(size),
                content: self.content(item),
                mount: item.wish.mount().map(str::to_owned),
                options: item.wish.options().map(str::to_owned),
                grows: item.grows,
            });
            start += size;
        }
        volumes
    }

    fn content(&self, item: &Item<'_>) -> Content {
        let wish = item.wish;
        let uuid = self.id(&format!("content {}", item.role()));
        let longest = wish.file_system().map_or(LONGEST_SWAP_LABEL, FileSystem::longest_label);
        let label = wish.label.clone().unwrap_or_else(|| shortened(&item.name, longest));
        match wish.file_system() {
            None => Content::Swap { uuid, label },
            Some(FileSystem::Ext4) => {
                Content::Ext4 { uuid, label, features: self.request.ext4_features.clone() }
            }
            Some(FileSystem::Ext3) => {
                Content::Ext3 { uuid, label, features: self.request.ext3_features.clone() }
            }
            Some(FileSystem::Xfs) => Content::Xfs { uuid, label },
            Some(FileSystem::Btrfs) => Content::Btrfs { uuid, label },
            Some(FileSystem::Vfat) => {
                // Labels of FAT are in capitals, whoever writes them.
                Content::Fat { volume_id: self.volume_id(item.role()), label: label.to_ascii_uppercase() }
            }
        }
    }

    /// The identifier of one thing on the disks.
    fn id(&self, role: &str) -> Uuid {
        Uuid::new_v5(&self.request.seed, role.as_bytes())
    }

    fn volume_id(&self, role: &str) -> u32 {
        self.id(&format!("content {role}")).as_fields().0
    }
}

/// The smallest file system at a mount point. That of root has to hold the packages, unless /usr has one of its
/// own.
pub fn minimum(mount: &str, kind: FileSystem, has_usr: bool) -> Size {
    if mount == "/" && !has_usr { kind.minimum().max(MINIMUM_ROOT) } else { kind.minimum() }
}

/// A wish with what follows from all the others.
#[derive(Clone, Debug, PartialEq)]
struct Item<'a> {
    wish: &'a Wish,
    /// A name that no other has: `root`, `swap`, `swap2`, `var-lib`.
    name: String,
    /// Whether it grows: because that was wanted, or because it is the root file system, and nothing else on
    /// its disk does.
    grows: bool,
}

impl<'a> Item<'a> {
    /// The wishes of every disk.
    fn all(disks: &'a [DiskWish]) -> Vec<Vec<Item<'a>>> {
        let mut names = BTreeSet::new();
        let mut items = Vec::new();
        for disk in disks {
            let one_grows = disk.wishes.iter().any(|wish| wish.grows);
            let grows = |wish: &Wish| wish.grows || (wish.mount() == Some("/") && !one_grows);
            let item = |wish| Item { wish, name: fresh_name(wish, &mut names), grows: grows(wish) };
            items.push(disk.wishes.iter().map(item).collect());
        }
        items
    }

    /// What tells it from all others, and is the same wherever it lies: its mount point, or its name.
    fn role(&self) -> &str {
        self.wish.mount().unwrap_or(&self.name)
    }
}

/// A name that is not among `names` yet, and is from now on.
fn fresh_name(wish: &Wish, names: &mut BTreeSet<String>) -> String {
    let stem = match wish.mount() {
        Some("/") => "root".to_owned(),
        Some(mount) => mount.trim_start_matches('/').replace('/', "-"),
        None => "swap".to_owned(),
    };
    let mut name = stem.clone();
    let mut count = 1;
    while !names.insert(name.clone()) {
        count += 1;
        name = format!("{stem}{count}");
    }
    name
}

/// The beginning of a name, which is ASCII.
fn shortened(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

fn round_down(bytes: u64) -> u64 {
    bytes - bytes % ALIGNMENT
}

fn round_up(bytes: u64) -> Result<u64> {
    bytes.checked_next_multiple_of(ALIGNMENT).ok_or_else(|| too_large(bytes))
}

fn at_least(mount: &str, size: Size, minimum: Size) -> Result<()> {
    if size >= minimum {
        return Ok(());
    }
    let what = if mount == "/" { "the root file system" } else { mount };
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
pub(super) mod tests;
