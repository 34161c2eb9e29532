//! GRUB on a disk: for a BIOS in the MBR and the BIOS boot partition, for UEFI in the EFI system partition.
//!
//! 1. [`prepare`] writes into the tree what belongs to the root file system (/boot/grub), and gathers what
//!    lies outside of it: the guest's own signed EFI programs, and a core image that the guest's own
//!    grub-mkimage makes.
//! 2. [`bios::embed`] writes boot sector and core image to the finished disk; no loop device, no
//!    grub-install.
//!
//! Both ways lead to /boot/grub/grub.cfg on the root file system, found by its UUID. The first grub.cfg is
//! ours; update-grub replaces it when the guest's kernel changes.

pub mod bios;
pub mod efi;
mod kernels;
mod lacks;
mod menu;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::lacks::lacks;
use super::architecture::Architecture;
use crate::error::{Error, Result};
use crate::host::run::Command;
use crate::host::tree::Root;
use crate::plan::{Content, Plan};

/// The largest file of a boot loader that is read: they have some MiB.
const LARGEST: u64 = 64 << 20;

/// Where GRUB keeps its files in the guest.
const DIRECTORY: &str = "/boot/grub";

/// Makes a program of the guest, by name, ready to be run inside the tree.
pub type InTree<'a> = &'a dyn Fn(&str) -> Command;

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
    let Some(Content::Ext4 { uuid: root, .. }) = plan.mounted_at("/").map(|(_, root)| &root.content) else {
        return Err(Error::build("the plan has no root file system"));
    };
    guest.create_directories(DIRECTORY)?;
    let kernels = kernels::find(&guest)?;
    let system = menu::title(&plan.suite.distro, &plan.suite.version, &plan.suite.codename);
    let menu = menu::Menu {
        system: &system,
        root: *root,
        options: &plan.guest.kernel_options,
        serial: architecture.bios,
    };
    guest.write(format!("{DIRECTORY}/grub.cfg"), 0o644, menu.text(&kernels).as_bytes())?;
    guest.write(format!("{DIRECTORY}/grubenv"), 0o644, menu::environment_block().as_bytes())?;
    copy_font(&guest)?;
    let bios = if architecture.bios { Some(bios::prepare(&guest, *root, in_tree)?) } else { None };
    let esp = efi::prepare(&guest, &plan.suite.boot, architecture, *root, in_tree)?;
    Ok(BootFiles { esp, bios })
}

/// The font with which update-grub's menu draws, where the guest has it.
fn copy_font(guest: &Root) -> Result<()> {
    let Some(font) = guest.read_bytes("/usr/share/grub/unicode.pf2", LARGEST)? else { return Ok(()) };
    guest.create_directories(format!("{DIRECTORY}/fonts"))?;
    guest.write(format!("{DIRECTORY}/fonts/unicode.pf2"), 0o644, &font)
}
