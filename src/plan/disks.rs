//! The disks of a plan: tables, partitions, volume groups, and what is in them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disk::layout::FileSystem;
use crate::units::Size;

/// A disk and everything on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// File name of its image in the output directory.
    pub image: String,
    /// Size of the whole disk; a multiple of 1 MiB.
    pub size: Size,
    /// Kind of its partition table.
    pub table: Table,
    /// Disk GUID; its first four bytes are the signature of an msdos table.
    pub guid: Uuid,
    /// Partitions in the order of their place on the disk; logical ones after the one that they lie in.
    pub partitions: Vec<Partition>,
}

impl Disk {
    /// What is in its partitions and in the logical volumes in them, in the order of their place.
    pub fn volumes(&self) -> Vec<Volume<'_>> {
        let mut volumes = Vec::new();
        for partition in &self.partitions {
            match &partition.content {
                Content::Group { volumes: logical, .. } => volumes.extend(logical.iter().map(Volume::from)),
                _ => volumes.push(Volume::from(partition)),
            }
        }
        volumes
    }

    /// What is mounted at `path`.
    pub fn mounted_at(&self, path: &str) -> Option<Volume<'_>> {
        self.volumes().into_iter().find(|volume| volume.mount == Some(path))
    }
}

/// Kinds of partition tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// A GUID partition table: BIOS and UEFI.
    #[default]
    Gpt,
    /// The table of MS-DOS, in the master boot record: BIOS only.
    Msdos,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Table::Gpt => "gpt",
            Table::Msdos => "msdos",
        })
    }
}

/// A partition and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// Number in the table, from 1. In an msdos table, logical ones count from 5.
    pub number: u32,
    /// Name in the GPT.
    pub name: String,
    /// Partition type GUID.
    pub kind: Uuid,
    /// Unique partition GUID.
    pub guid: Uuid,
    /// Offset in bytes from the start of the disk; a multiple of 1 MiB.
    pub start: u64,
    /// Size in bytes.
    pub size: Size,
    /// What is in it.
    pub content: Content,
    /// Where the guest mounts it.
    pub mount: Option<String>,
    /// Mount options; none: the usual ones.
    pub options: Option<String>,
    /// Whether it takes what its disk has left, at every boot.
    pub grows: bool,
}

/// A logical volume and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogicalVolume {
    /// Its name in the group.
    pub name: String,
    /// What its own identifier is made of.
    pub uuid: Uuid,
    /// Offset in bytes from the start of the disk: its extents lie one after the other.
    pub start: u64,
    /// Size in bytes; a multiple of the extent's.
    pub size: Size,
    /// What is in it.
    pub content: Content,
    /// Where the guest mounts it.
    pub mount: Option<String>,
    /// Mount options; none: the usual ones.
    pub options: Option<String>,
    /// Whether it takes what its group has left, at every boot.
    pub grows: bool,
}

/// What is in a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Content {
    /// GRUB's core image, without a file system.
    BiosBoot,
    /// The logical partitions of an msdos table.
    Extended,
    /// An EFI system partition: FAT32 with boot loaders.
    Esp {
        /// Volume id, shown as `XXXX-XXXX`.
        volume_id: u32,
        /// Volume label, at most 11 characters.
        label: String,
    },
    /// FAT32.
    Fat {
        /// Volume id, shown as `XXXX-XXXX`.
        volume_id: u32,
        /// Volume label, at most 11 characters.
        label: String,
    },
    /// ext4.
    Ext4 {
        /// UUID of the file system.
        uuid: Uuid,
        /// Label, at most 16 characters.
        label: String,
        /// Every feature, by mke2fs's names.
        features: Vec<String>,
    },
    /// ext3.
    Ext3 {
        /// UUID of the file system.
        uuid: Uuid,
        /// Label, at most 16 characters.
        label: String,
        /// Every feature, by mke2fs's names.
        features: Vec<String>,
    },
    /// XFS.
    Xfs {
        /// UUID of the file system.
        uuid: Uuid,
        /// Label, at most 12 characters.
        label: String,
    },
    /// Btrfs.
    Btrfs {
        /// UUID of the file system.
        uuid: Uuid,
        /// Label, at most 255 bytes.
        label: String,
    },
    /// Swap space.
    Swap {
        /// UUID of the swap space.
        uuid: Uuid,
        /// Label, at most 15 characters.
        label: String,
    },
    /// The only physical volume of an LVM volume group.
    Group {
        /// Name of the group.
        name: String,
        /// What the group's own identifier is made of.
        uuid: Uuid,
        /// What the physical volume's identifier is made of.
        physical: Uuid,
        /// Its logical volumes, in the order of their place.
        volumes: Vec<LogicalVolume>,
    },
}

impl Content {
    /// The kind of file system that it is.
    pub fn file_system(&self) -> Option<FileSystem> {
        match self {
            Content::Ext4 { .. } => Some(FileSystem::Ext4),
            Content::Ext3 { .. } => Some(FileSystem::Ext3),
            Content::Xfs { .. } => Some(FileSystem::Xfs),
            Content::Btrfs { .. } => Some(FileSystem::Btrfs),
            Content::Esp { .. } | Content::Fat { .. } => Some(FileSystem::Vfat),
            Content::BiosBoot | Content::Extended | Content::Swap { .. } | Content::Group { .. } => None,
        }
    }

    /// What `UUID=` takes for it, in fstab(5) and on the kernel command line.
    pub fn identifier(&self) -> Option<String> {
        match self {
            Content::Ext4 { uuid, .. }
            | Content::Ext3 { uuid, .. }
            | Content::Xfs { uuid, .. }
            | Content::Btrfs { uuid, .. }
            | Content::Swap { uuid, .. } => Some(uuid.to_string()),
            Content::Esp { volume_id, .. } | Content::Fat { volume_id, .. } => {
                Some(format!("{:04X}-{:04X}", volume_id >> 16, volume_id & 0xffff))
            }
            Content::BiosBoot | Content::Extended | Content::Group { .. } => None,
        }
    }
}

/// What is mounted or swapped to, whether it is a partition or a logical volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume<'a> {
    /// Its name: in the GPT, or in its group.
    pub name: &'a str,
    /// Offset in bytes from the start of the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: Size,
    /// What is in it.
    pub content: &'a Content,
    /// Where the guest mounts it.
    pub mount: Option<&'a str>,
    /// Mount options; none: the usual ones.
    pub options: Option<&'a str>,
    /// Whether it grows with its disk.
    pub grows: bool,
}

impl<'a> From<&'a Partition> for Volume<'a> {
    fn from(partition: &'a Partition) -> Self {
        Volume {
            name: &partition.name,
            start: partition.start,
            size: partition.size,
            content: &partition.content,
            mount: partition.mount.as_deref(),
            options: partition.options.as_deref(),
            grows: partition.grows,
        }
    }
}

impl<'a> From<&'a LogicalVolume> for Volume<'a> {
    fn from(volume: &'a LogicalVolume) -> Self {
        Volume {
            name: &volume.name,
            start: volume.start,
            size: volume.size,
            content: &volume.content,
            mount: volume.mount.as_deref(),
            options: volume.options.as_deref(),
            grows: volume.grows,
        }
    }
}
