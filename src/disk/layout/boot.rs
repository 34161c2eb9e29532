//! Whether a machine with such disks starts, and goes on to start.

use std::collections::{BTreeMap, BTreeSet};

use super::{DiskWish, FileSystem, Wish};
use crate::error::{Error, Result, Subject};

/// Directories of which packages and users rely on owners, modes and links, which FAT does not have.
const NEED_OWNERS: [&str; 9] = ["/", "/boot", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/var"];

/// Whether the boot loader finds kernel and root file system, and the kernel its own. `readable` are the file
/// systems that the release's GRUB reads, the signed one, too.
///
/// # Errors
///
/// A configuration error for each thing that keeps the machine from starting.
pub fn can_boot(disks: &[DiskWish], readable: &[FileSystem]) -> Result<()> {
    let all = || numbered(disks);
    let at = |mount: &str| all().find(|(_, wish)| wish.mount() == Some(mount));
    let mut problems = Vec::new();
    if let Some((subject, boot)) = at("/boot").or(at("/")) {
        problems.extend(problem_of_boot(boot, readable).map(|error| error.about(subject)));
    }
    for (subject, wish) in all() {
        let Some(mount) = wish.mount() else { continue };
        let needs_owners = NEED_OWNERS.contains(&mount)
            || ["/usr/", "/var/", "/home/"].iter().any(|path| mount.starts_with(path));
        if wish.file_system() == Some(FileSystem::Vfat) && needs_owners {
            problems.push(
                Error::config(format!("{mount} cannot be vfat, which knows no owners and no links"))
                    .hint("Leave out `fs=vfat`, which makes it ext4.")
                    .about(subject),
            );
        }
    }
    problems.extend(groups_on_several_disks(disks));
    Error::all(problems)
}

/// What keeps GRUB from reading the kernel.
fn problem_of_boot(boot: &Wish, readable: &[FileSystem]) -> Option<Error> {
    let hint = "Add a line such as `/boot 512` without vg=, before or after the others.";
    if boot.group.is_some() {
        let error = Error::config("GRUB is not made to read a kernel from an LVM volume");
        return Some(error.hint(hint));
    }
    let kind = boot.file_system()?;
    if kind == FileSystem::Vfat || readable.contains(&kind) {
        return None;
    }
    let error = Error::config(format!("the release's GRUB does not read {}", kind.name()));
    Some(error.hint("Add a line such as `/boot 512 fs=ext4`."))
}

/// Every wish with the numbers that it has.
fn numbered(disks: &[DiskWish]) -> impl Iterator<Item = (Subject, &Wish)> {
    disks.iter().enumerate().flat_map(|(disk, on_it)| {
        let wishes = on_it.wishes.iter().enumerate();
        wishes.map(move |(number, wish)| (Subject::Partition(disk, number), wish))
    })
}

/// Groups whose volumes stand on more than one disk.
fn groups_on_several_disks(disks: &[DiskWish]) -> Vec<Error> {
    let mut homes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for (disk, on_it) in disks.iter().enumerate() {
        let mut told = BTreeSet::new();
        for (number, wish) in on_it.wishes.iter().enumerate() {
            let Some(group) = wish.group.as_deref() else { continue };
            if *homes.entry(group).or_insert(disk) != disk && told.insert(group) {
                problems.push(
                    Error::config(format!("the volume group {group} is on more than one disk"))
                        .hint("Give each disk a group of its own.")
                        .about(Subject::Partition(disk, number)),
                );
            }
        }
    }
    problems
}
