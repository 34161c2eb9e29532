//! /etc/fstab: every file system by its UUID, so that no name of a disk matters.

use crate::disk::layout::{ESP_MOUNT, FileSystem};
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::plan::{Plan, Volume};

/// Writes /etc/fstab and makes the mount points.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    for mount in plan.volumes().filter_map(|volume| volume.mount) {
        if let Some(obstacle) = root.obstacle(mount)? {
            return Err(leads_elsewhere(mount, &obstacle));
        }
        root.create_directories(mount)?;
    }
    let volumes: Vec<Volume<'_>> = plan.volumes().collect();
    root.write("/etc/fstab", 0o644, fstab(volumes))
}

/// The error for a mount point that is not where its path says.
pub(super) fn leads_elsewhere(mount: &str, obstacle: &str) -> Error {
    Error::config(format!("{mount} cannot be a mount point: {obstacle}"))
        .hint("Name a directory that is no link, nor below one, in the partition file.")
}

/// fstab(5): file systems, each after those that it is mounted in, then swap spaces in the order of the disks.
fn fstab(mut volumes: Vec<Volume<'_>>) -> String {
    let components = |mount: &str| mount.split('/').filter(|name| !name.is_empty()).count();
    volumes.sort_by_key(|volume| match volume.mount {
        // A stable order: what has the same depth stays in the order of the disks.
        Some(mount) => (0, components(mount)),
        None => (1, 0),
    });
    let mut lines = vec!["# <file system> <mount point> <type> <options> <dump> <pass>".to_owned()];
    lines.extend(volumes.iter().filter_map(line));
    lines.join("\n") + "\n"
}

/// The line of a volume; none for what is neither mounted nor swapped to.
fn line(volume: &Volume<'_>) -> Option<String> {
    let id = volume.content.identifier()?;
    let Some(mount) = volume.mount else { return Some(format!("UUID={id} none swap sw 0 0")) };
    let kind = volume.content.file_system()?;
    let options = volume.options.unwrap_or(match (mount, kind) {
        ("/", FileSystem::Ext4 | FileSystem::Ext3) => "errors=remount-ro",
        (ESP_MOUNT, _) => "umask=0077",
        _ => "defaults",
    });
    // XFS and Btrfs look after themselves, fsck.xfs(8), fsck.btrfs(8). The boot loader's partition never did
    // get checked at a boot.
    let pass = match (mount, kind) {
        ("/", FileSystem::Ext4 | FileSystem::Ext3) => 1,
        (ESP_MOUNT, _) | (_, FileSystem::Xfs | FileSystem::Btrfs) => 0,
        _ => 2,
    };
    Some(format!("UUID={id} {mount} {} {options} 0 {pass}", kind.name()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::plan::Content;
    use crate::units::Size;

    fn volume<'a>(content: &'a Content, mount: Option<&'a str>, options: Option<&'a str>) -> Volume<'a> {
        Volume { name: "", start: 0, size: Size(0), content, mount, options, grows: false }
    }

    #[test]
    fn parents_come_before_children_whatever_their_disks() {
        let uuid = Uuid::nil();
        let ext4 = Content::Ext4 { uuid, label: String::new(), features: vec![] };
        let xfs = Content::Xfs { uuid, label: String::new() };
        let esp = Content::Esp { volume_id: 0x1234_abcd, label: String::new() };
        let swap = Content::Swap { uuid, label: String::new() };
        let text = fstab(vec![
            volume(&Content::BiosBoot, None, None),
            volume(&esp, Some("/boot/efi"), None),
            volume(&swap, None, None),
            volume(&ext4, Some("/var/lib"), Some("noatime,nodev")),
            volume(&xfs, Some("/var"), None),
            volume(&ext4, Some("/boot"), None),
            volume(&ext4, Some("/"), None),
        ]);
        let lines: Vec<&str> =
            text.lines().skip(1).map(|line| line.split_once(' ').map_or("", |(_, rest)| rest)).collect();
        assert_eq!(
            lines,
            [
                "/ ext4 errors=remount-ro 0 1",
                "/var xfs defaults 0 0",
                "/boot ext4 defaults 0 2",
                "/boot/efi vfat umask=0077 0 0",
                "/var/lib ext4 noatime,nodev 0 2",
                "none swap sw 0 0",
            ]
        );
        assert!(text.contains("UUID=1234-ABCD /boot/efi"), "{text}");
    }

    #[test]
    fn a_mount_point_behind_a_link_is_refused() {
        let error = leads_elsewhere("/var/run/x", "/var/run in the tree is a link to /run");
        let said = "/var/run/x cannot be a mount point: /var/run in the tree is a link to /run";
        assert_eq!(error.message(), said);
    }

    #[test]
    fn a_root_that_needs_no_fsck_gets_none() {
        let btrfs = Content::Btrfs { uuid: Uuid::nil(), label: String::new() };
        let text = fstab(vec![volume(&btrfs, Some("/"), None)]);
        assert!(text.ends_with(" / btrfs defaults 0 0\n"), "{text}");
    }
}
