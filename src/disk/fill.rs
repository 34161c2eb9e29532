//! Fills partitions and logical volumes with what belongs in them.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::source::{NewFileSystem, Source};
use super::{Inputs, bootloader, btrfs, ext4, fat, lvm, swap, xfs};
use crate::error::{Error, Result};
use crate::host::run::BeforeExec;
use crate::host::tree::Root;
use crate::plan::{Content, Disk, LogicalVolume, Partition, Plan, Volume};

/// Writes what makes partitions of `disk` into volume groups.
pub(super) fn groups(file: &File, disk: &Disk, epoch: i64) -> Result<()> {
    for group in disk.partitions.iter().filter_map(|partition| group(partition, epoch)) {
        lvm::write(file, &group, 0)?;
    }
    Ok(())
}

/// The volume group that a partition holds, if it does.
pub(super) fn group(partition: &Partition, epoch: i64) -> Option<lvm::Group> {
    let Content::Group { name, uuid, physical, volumes } = &partition.content else { return None };
    let logical = |volume: &LogicalVolume| lvm::LogicalVolume {
        uuid: volume.uuid,
        name: volume.name.clone(),
        size: volume.size.bytes(),
    };
    let (offset, size) = (partition.start, partition.size.bytes());
    Some(lvm::Group {
        uuid: *uuid,
        name: name.clone(),
        physical: vec![lvm::PhysicalVolume { uuid: *physical, offset, size }],
        logical: volumes.iter().map(logical).collect(),
        epoch,
    })
}

/// Writes what is in one volume of the disk at `raw`, which is open as `file`.
pub(super) fn volume(
    inputs: &Inputs<'_>,
    raw: &Path,
    file: &File,
    boot: &bootloader::BootFiles,
    volume: &Volume<'_>,
) -> Result<()> {
    let epoch = inputs.plan.epoch;
    let (offset, size) = (volume.start, volume.size.bytes());
    let part = || Part::of(inputs, volume);
    match volume.content {
        // GRUB's content goes to the finished disk together with the boot sector, and tables and groups are
        // written before.
        Content::BiosBoot | Content::Extended | Content::Group { .. } => Ok(()),
        Content::Swap { uuid, label } => swap::write(file, offset, size, *uuid, label),
        Content::Esp { volume_id, label } => {
            let volume = fat::Volume { id: *volume_id, label, epoch };
            fat::write(file, offset, size, volume, &boot.esp)
        }
        Content::Fat { volume_id, label } => {
            let volume = fat::Volume { id: *volume_id, label, epoch };
            fat::write_tree(file, offset, size, volume, &part()?.source())
        }
        Content::Ext4 { uuid, label, features } | Content::Ext3 { uuid, label, features } => {
            let system = ext4::FileSystem { offset, size, uuid: *uuid, label, features, epoch };
            let Part { tree, hide, .. } = part()?;
            ext4::write(raw, &system, &tree, hide, inputs.runner)
        }
        Content::Xfs { uuid, label } => {
            let system = NewFileSystem { offset, size, uuid: *uuid, label, epoch };
            xfs::write(raw, &system, &part()?.source(), inputs.runner)
        }
        Content::Btrfs { uuid, label } => {
            let system = NewFileSystem { offset, size, uuid: *uuid, label, epoch };
            btrfs::write(raw, &system, &part()?.source(), inputs.runner)
        }
    }
}

/// The part of the tree that a volume holds, without the parts in it that others hold.
struct Part {
    tree: PathBuf,
    hidden: Vec<PathBuf>,
    hide: Option<BeforeExec>,
}

impl Part {
    fn of(inputs: &Inputs<'_>, volume: &Volume<'_>) -> Result<Part> {
        let Some(mount) = volume.mount else {
            return Err(Error::build(format!("nothing is known to go into {}", volume.name)));
        };
        let root = Root::open(inputs.tree)?;
        let inside = |path: &str| inputs.tree.join(path.trim_start_matches('/'));
        let tree = inside(mount);
        if !is_real(&root, mount)? {
            let why = root.obstacle(mount)?.unwrap_or_else(|| "it is not in the tree".to_owned());
            return Err(Error::build(format!("{mount} cannot be a mount point: {why}")));
        }
        let mut others = Vec::new();
        for path in mounted_in(inputs.plan, mount) {
            if is_real(&root, path)? {
                others.push(path);
            }
        }
        let below = |path: &&str| inside(path).strip_prefix(&tree).map(Path::to_owned).ok();
        let hidden = others.iter().filter_map(below).collect();
        let hide = if others.is_empty() { None } else { Some((inputs.hide)(&others)?) };
        Ok(Part { tree, hidden, hide })
    }

    fn source(&self) -> Source<'_> {
        Source { tree: &self.tree, hidden: &self.hidden, hide: self.hide.clone() }
    }
}

/// Whether `path` is a directory of the tree, and no link on the way could lead out of the tree.
fn is_real(root: &Root, path: &str) -> Result<bool> {
    Ok(path == "/" || (root.obstacle(path)?.is_none() && root.is_directory(path)?))
}

/// The mount points right in the volume that is mounted at `mount`: what lies below them is not in it anyway.
fn mounted_in<'a>(plan: &'a Plan, mount: &'a str) -> impl Iterator<Item = &'a str> {
    let mounts = plan.volumes().filter_map(|volume| volume.mount);
    let is_in = move |path: &&str| {
        let above = Path::new(path).parent().and_then(Path::to_str);
        above.and_then(|above| plan.holder_of(above)).is_some_and(|holder| holder.mount == Some(mount))
    };
    mounts.filter(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_of_the_tree() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(directory.path().join("outside/below")).unwrap();
        std::fs::create_dir_all(tree.join("real/below")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("outside"), tree.join("away")).unwrap();
        std::os::unix::fs::symlink("real", tree.join("link")).unwrap();
        let root = Root::open(&tree).unwrap();
        for (path, expected) in [
            ("/", true),
            ("/real/below", true),
            ("/away/below", false),
            ("/away", false),
            ("/link/below", false),
            ("/none", false),
        ] {
            assert_eq!(is_real(&root, path).unwrap(), expected, "{path}");
        }
    }
}
