//! The disks: a tree of files becomes raw disks that boot from a BIOS and from UEFI.
//!
//! No loop device, no mount, no rights beyond the files' own. [`layout`] plans, without touching anything;
//! [`write`] does what was planned:
//!
//! 1. [`bootloader`] writes GRUB's files into the tree and gathers what lies outside of the root file system,
//! 2. [`gpt`] writes the partition table into an empty file with holes,
//! 3. each partition is filled: [`swap`], [`fat`], [`ext4`],
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
pub mod gpt;
pub mod layout;
pub mod lvm;
pub mod mbr;
mod scratch;
mod source;
mod sparse;
pub mod swap;
pub mod xfs;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use architecture::Architecture;
pub use bootloader::InTree;
pub use source::Source;

use crate::error::{Context, Error, Kind, Result};
use crate::host::run::{BeforeExec, Runner};
use crate::plan::{Content, Partition, Plan};

/// What a disk is made of.
pub struct Inputs<'a> {
    /// The decisions.
    pub plan: &'a Plan,
    /// The root of the guest's files, with a directory for every partition that is mounted in it.
    pub tree: &'a Path,
    /// Makes a program of the guest ready to be run inside the tree.
    pub in_tree: InTree<'a>,
    /// Hides what the partitions mounted below the root hold, in the child that copies the tree; needed
    /// where the plan has a file system of its own for /opt.
    pub hide_mounts: Option<BeforeExec>,
    /// Starts the programs of this host.
    pub runner: &'a Runner,
}

/// Writes the planned disks to new files, one for each; adds the boot loader's files to the tree.
///
/// # Errors
///
/// A host error without mke2fs; a build error where the tree lacks a kernel or a boot loader, where it does
/// not fit, or where a file cannot be written.
pub fn write(inputs: &Inputs<'_>, raws: &[PathBuf]) -> Result<()> {
    let Inputs { plan, tree, .. } = inputs;
    let boot = bootloader::prepare(plan, tree, inputs.in_tree)?;
    for (disk, raw) in plan.disks.iter().zip(raws) {
        let mut file = create(raw, disk.size.bytes())?;
        gpt::write(&mut file, disk)?;
        for partition in &disk.partitions {
            fill(inputs, raw, &file, &boot, partition)?;
        }
        // The one that a BIOS starts.
        let is_started = disk.partitions.iter().any(|partition| partition.content == Content::BiosBoot);
        if let (Some(images), true) = (&boot.bios, is_started) {
            bootloader::bios::embed(&file, images, disk)?;
        }
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

/// Writes what is in one partition.
fn fill(
    inputs: &Inputs<'_>,
    raw: &Path,
    file: &File,
    boot: &bootloader::BootFiles,
    partition: &Partition,
) -> Result<()> {
    let epoch = inputs.plan.epoch;
    let (offset, size) = (partition.start, partition.size.bytes());
    match &partition.content {
        // Its content goes to the finished disk together with the boot sector.
        Content::BiosBoot => Ok(()),
        Content::Swap { uuid, label } => swap::write(file, offset, size, *uuid, label),
        Content::Fat { volume_id, label } => {
            let volume = fat::Volume { id: *volume_id, label, epoch };
            fat::write(file, offset, size, volume, &boot.esp)
        }
        Content::Ext4 { uuid, label, features } => {
            let system = ext4::FileSystem { offset, size, uuid: *uuid, label, features, epoch };
            let (tree, hook) = tree_of(inputs, partition)?;
            ext4::write(raw, &system, &tree, hook, inputs.runner)
        }
    }
}

/// The part of the tree that a partition holds, and what hides the rest.
fn tree_of(inputs: &Inputs<'_>, partition: &Partition) -> Result<(PathBuf, Option<BeforeExec>)> {
    let Inputs { plan, tree, hide_mounts, .. } = inputs;
    let own = |other: &&Partition| other.mount.as_deref().is_some_and(|mount| mount != "/");
    let ext4 = |other: &&Partition| matches!(other.content, Content::Ext4 { .. });
    match partition.mount.as_deref() {
        Some("/") => {
            if plan.partitions().filter(own).any(|other| ext4(&other)) && hide_mounts.is_none() {
                return Err(Error::build("nothing hides the other file systems from the root file system"));
            }
            Ok((tree.to_path_buf(), hide_mounts.clone()))
        }
        Some(mount) => {
            let path = tree.join(mount.trim_start_matches('/'));
            // A link could lead out of the tree.
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => Ok((path, None)),
                _ => Err(Error::build(format!("{mount} in the tree is no directory"))),
            }
        }
        None => Err(Error::build(format!("nothing is known to go into the partition {}", partition.name))),
    }
}

#[cfg(test)]
mod tests;
