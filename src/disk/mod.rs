//! The disks: a tree of files becomes raw disks that boot from a BIOS and from UEFI.
//!
//! No loop device, no mount, no rights beyond the files' own. [`layout`] plans, without touching anything;
//! [`write`] does what was planned:
//!
//! 1. [`bootloader`] writes GRUB's files into the tree and gathers what lies outside of the root file system,
//! 2. [`gpt`] or [`mbr`] write the partition table into an empty file with holes,
//! 3. each partition and logical volume is filled: [`swap`], [`fat`], [`ext4`],
//! 4. [`bootloader::bios`] writes what a BIOS starts.
//!
//! Equal plans and equal trees give equal bytes.
//!
//! For other disks there are an [`mbr`] table, [`lvm`] volume groups, and [`btrfs`] and [`xfs`] file systems.

mod architecture;
pub mod bootloader;
pub mod btrfs;
pub mod ext4;
pub mod fat;
mod fill;
pub mod gpt;
pub mod layout;
pub mod lvm;
pub mod mbr;
mod scratch;
mod source;
mod sparse;
pub mod swap;
mod table;
pub mod xfs;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use architecture::Architecture;
pub use bootloader::InTree;
pub use source::Source;

use crate::error::{Context, Kind, Result};
use crate::host::run::{BeforeExec, Runner};
use crate::plan::Plan;

/// What a disk is made of.
pub struct Inputs<'a> {
    /// The decisions.
    pub plan: &'a Plan,
    /// The root of the guest's files, with a directory for everything that is mounted in it.
    pub tree: &'a Path,
    /// Makes a program of the guest ready to be run inside the tree.
    pub in_tree: InTree<'a>,
    /// Hides directories of the guest from the child that copies the tree: what lies on another volume.
    pub hide: &'a dyn Fn(&[&str]) -> Result<BeforeExec>,
    /// Starts the programs of this host.
    pub runner: &'a Runner,
}

/// Writes the planned disks to new files, one for each; adds the boot loader's files to the tree.
///
/// # Errors
///
/// A host error without a program that makes file systems; a build error where the tree lacks a kernel or a boot
/// loader, where it does not fit, or where a file cannot be written.
pub fn write(inputs: &Inputs<'_>, raws: &[PathBuf]) -> Result<()> {
    let Inputs { plan, tree, .. } = inputs;
    let boot = bootloader::prepare(plan, tree, inputs.in_tree)?;
    for (disk, raw) in plan.disks.iter().zip(raws) {
        let mut file = create(raw, disk.size.bytes())?;
        table::write(&mut file, disk)?;
        fill::groups(&file, disk, plan.epoch)?;
        for volume in disk.volumes() {
            fill::volume(inputs, raw, &file, &boot, &volume)?;
        }
    }
    // The first disk is the one that a BIOS starts.
    if let (Some(images), Some((disk, raw))) = (&boot.bios, plan.disks.iter().zip(raws).next()) {
        let doing = || format!("opening the disk {}", raw.display());
        let file = File::options().read(true).write(true).open(raw).context(Kind::Build, doing)?;
        bootloader::bios::embed(&file, images, disk)?;
    }
    Ok(())
}

/// An empty file of `size` bytes that is all hole.
fn create(raw: &Path, size: u64) -> Result<File> {
    let doing = || format!("making the disk {}", raw.display());
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).open(raw).context(Kind::Build, doing)?;
    file.set_len(size).context(Kind::Build, doing)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
