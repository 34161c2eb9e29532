//! What is wanted of the disks: for each of them a list of wishes, in the order of the user. The options for
//! sizes and a partition file both become such lists.

use serde::{Deserialize, Serialize};

use crate::disk::{btrfs, fat, xfs};
use crate::units::Size;

/// A disk and what is wanted on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskWish {
    /// Size of the whole disk, rounded down to 1 MiB; none: what its partitions need.
    pub size: Option<Size>,
    /// What is wanted on it.
    pub wishes: Vec<Wish>,
}

/// A partition or logical volume that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// What it is for.
    pub purpose: Purpose,
    /// Its size, rounded up to 1 MiB; none: what its disk, which then has a size, leaves to it.
    pub size: Option<Size>,
    /// Its label; none: one made of the mount point.
    pub label: Option<String>,
    /// Whether it grows with its disk. Where nothing does on the disk of the root file system, that one does.
    pub grows: bool,
    /// The LVM volume group that it is a volume of.
    pub group: Option<String>,
}

/// What a partition is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Purpose {
    /// A file system.
    Files {
        /// Where the guest mounts it, absolute and in its shortest form.
        mount: String,
        /// Its kind.
        kind: FileSystem,
        /// Mount options, as fstab(5) takes them; none: the usual ones.
        options: Option<String>,
    },
    /// Swap space.
    Swap,
}

impl Wish {
    /// An ext4 file system at `mount`.
    pub fn ext4(mount: &str, size: Option<Size>) -> Wish {
        let purpose = Purpose::Files { mount: mount.to_owned(), kind: FileSystem::Ext4, options: None };
        Wish { purpose, size, label: None, grows: false, group: None }
    }

    /// Swap space.
    pub fn swap(size: Size) -> Wish {
        Wish { purpose: Purpose::Swap, size: Some(size), label: None, grows: false, group: None }
    }

    /// Where the guest mounts it.
    pub fn mount(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Files { mount, .. } => Some(mount),
            Purpose::Swap => None,
        }
    }

    /// Its mount options.
    pub fn options(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Files { options, .. } => options.as_deref(),
            Purpose::Swap => None,
        }
    }

    /// Kind of its file system.
    pub fn file_system(&self) -> Option<FileSystem> {
        match self.purpose {
            Purpose::Files { kind, .. } => Some(kind),
            Purpose::Swap => None,
        }
    }
}

/// Kinds of file systems that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystem {
    /// ext4, with the features of the release.
    Ext4,
    /// ext3, for those who need it.
    Ext3,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT32.
    Vfat,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [FileSystem; 5] =
        [FileSystem::Ext4, FileSystem::Ext3, FileSystem::Xfs, FileSystem::Btrfs, FileSystem::Vfat];

    /// The name that users, mount(8) and fstab(5) have for it.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Ext3 => "ext3",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
            FileSystem::Vfat => "vfat",
        }
    }

    /// The one with that name.
    pub fn find(name: &str) -> Option<FileSystem> {
        FileSystem::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How many bytes a label may have: the field of an ext superblock has 16, and the one of a FAT directory
    /// entry 11.
    pub fn longest_label(self) -> usize {
        match self {
            FileSystem::Ext4 | FileSystem::Ext3 => 16,
            FileSystem::Xfs => xfs::LONGEST_LABEL,
            FileSystem::Btrfs => btrfs::LONGEST_LABEL,
            FileSystem::Vfat => 11,
        }
    }

    /// The smallest one that its own tools make and that has room for a file: mke2fs gives no journal to less
    /// than 2048 blocks.
    pub fn minimum(self) -> Size {
        match self {
            FileSystem::Ext4 | FileSystem::Ext3 => Size::mib(16),
            FileSystem::Xfs => xfs::MINIMUM,
            FileSystem::Btrfs => btrfs::MINIMUM,
            FileSystem::Vfat => Size(fat::MINIMUM),
        }
    }

    /// Whether it can be made larger while it is mounted.
    pub fn can_grow(self) -> bool {
        self != FileSystem::Vfat
    }

    /// The program of this host that makes it, beside mke2fs, which every build needs.
    pub fn program(self) -> Option<&'static str> {
        match self {
            FileSystem::Ext4 | FileSystem::Ext3 | FileSystem::Vfat => None,
            FileSystem::Xfs => Some("mkfs.xfs"),
            FileSystem::Btrfs => Some("mkfs.btrfs"),
        }
    }

    /// The package that the guest needs for it, beside e2fsprogs, which every guest has.
    pub fn package(self) -> Option<&'static str> {
        match self {
            FileSystem::Ext4 | FileSystem::Ext3 => None,
            FileSystem::Xfs => Some("xfsprogs"),
            FileSystem::Btrfs => Some("btrfs-progs"),
            FileSystem::Vfat => Some("dosfstools"),
        }
    }
}

/// The longest label of swap space: the field of its header less the end mark.
pub const LONGEST_SWAP_LABEL: usize = 15;
