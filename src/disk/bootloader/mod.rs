//! GRUB on a disk: for a BIOS in the MBR and the BIOS boot partition (or behind an msdos table), for UEFI in the EFI system partition.
//!
//! 1. [`prepare`] writes into the tree what belongs to the root file system (/boot/grub), and gathers what
//!    lies outside of it: the guest's own signed EFI programs, and a core image that the guest's own
//!    grub-mkimage makes.
//! 2. [`bios::embed`] writes boot sector and core image to the finished disk; no loop device, no
//!    grub-install.
//!
//! Both ways lead to /boot/grub/grub.cfg on the file system that has it, found by its UUID. The first grub.cfg
//! is ours; update-grub replaces it when the guest's kernel changes.

pub mod bios;
pub mod efi;
mod kernels;
mod lacks;
mod menu;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::lacks::lacks;
use super::architecture::Architecture;
use super::layout::{self, FileSystem};
use crate::error::{Error, Result};
use crate::host::run::Command;
use crate::host::tree::Root;
use crate::plan::Plan;

/// The largest file of a boot loader that is read: they have some MiB.
const LARGEST: u64 = 64 << 20;

/// Where GRUB keeps its files in the guest.
const DIRECTORY: &str = "/boot/grub";

/// Makes a program of the guest, by name, ready to be run inside the tree.
pub type InTree<'a> = &'a dyn Fn(&str) -> Command;

/// Where GRUB finds its files and the kernels: the file system that has /boot.
struct Home {
    /// What `search.fs_uuid` takes for it.
    identifier: String,
    /// Its kind.
    kind: FileSystem,
    /// Whether it is mounted at /boot, and so has no directory of that name itself.
    is_boot: bool,
}

impl Home {
    fn find(plan: &Plan) -> Result<Home> {
        let missing = || Error::build("the plan has no file system for /boot");
        let holder = plan.holder_of("/boot").ok_or_else(missing)?;
        Ok(Home {
            identifier: holder.content.identifier().ok_or_else(missing)?,
            kind: holder.content.file_system().ok_or_else(missing)?,
            is_boot: holder.mount == Some("/boot"),
        })
    }

    /// A path of the guest below /boot, as GRUB has it.
    fn path<'a>(&self, path: &'a str) -> &'a str {
        if self.is_boot { path.strip_prefix("/boot").unwrap_or(path) } else { path }
    }

    /// GRUB's module that reads it.
    fn module(&self) -> &'static str {
        match self.kind {
            FileSystem::Ext4 | FileSystem::Ext3 => "ext2",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
            FileSystem::Vfat => "fat",
        }
    }
}

/// What of the boot loader lies outside of the root file system.
#[derive(Debug)]
pub struct BootFiles {
    /// Files of the EFI system partition, by path.
    pub esp: BTreeMap<String, Vec<u8>>,
    /// What a BIOS starts; none where the architecture has no BIOS.
    pub bios: Option<bios::Images>,
}

/// Writes the boot loader's part of the root file system into `tree` and gathers the rest.
///
/// # Errors
///
/// A build error where the tree lacks a kernel, its initial RAM file system or GRUB, or where the guest's
/// grub-mkimage fails.
pub fn prepare(plan: &Plan, tree: &Path, in_tree: InTree<'_>) -> Result<BootFiles> {
    let architecture = Architecture::find(&plan.architecture)?;
    let guest = Root::open(tree)?;
    let root = plan.mounted_at("/").and_then(|root| root.content.identifier());
    let root = root.ok_or_else(|| Error::build("the plan has no root file system"))?;
    let home = Home::find(plan)?;
    guest.create_directories(DIRECTORY)?;
    let kernels = kernels::find(&guest)?;
    let system = menu::title(&plan.suite.distro, &plan.suite.version, &plan.suite.codename);
    let menu = menu::Menu {
        system: &system,
        root: &root,
        home: &home,
        options: &plan.guest.kernel_options,
        serial: architecture.bios,
    };
    guest.write(format!("{DIRECTORY}/grub.cfg"), 0o644, menu.text(&kernels).as_bytes())?;
    guest.write(format!("{DIRECTORY}/grubenv"), 0o644, menu::environment_block().as_bytes())?;
    copy_font(&guest)?;
    let bios = if architecture.bios { Some(bios::prepare(&guest, &home, in_tree)?) } else { None };
    let has_esp = plan.mounted_at(layout::ESP_MOUNT).is_some();
    let esp = if has_esp {
        efi::prepare(&guest, &plan.suite.boot, architecture, &home, in_tree)?
    } else {
        BTreeMap::new()
    };
    Ok(BootFiles { esp, bios })
}

/// The font with which update-grub's menu draws, where the guest has it.
fn copy_font(guest: &Root) -> Result<()> {
    let Some(font) = guest.read_bytes("/usr/share/grub/unicode.pf2", LARGEST)? else { return Ok(()) };
    guest.create_directories(format!("{DIRECTORY}/fonts"))?;
    guest.write(format!("{DIRECTORY}/fonts/unicode.pf2"), 0o644, &font)
}
