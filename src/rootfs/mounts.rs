//! /etc/fstab: every file system by its UUID, so that no name of a disk matters.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Content, Plan};

/// Writes /etc/fstab and makes the mount points.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    for partition in plan.partitions() {
        if let Some(mount) = &partition.mount {
            root.create_directories(mount)?;
        }
    }
    root.write("/etc/fstab", 0o644, fstab(plan))
}

/// fstab(5).
fn fstab(plan: &Plan) -> String {
    let mut lines = vec!["# <file system> <mount point> <type> <options> <dump> <pass>".to_owned()];
    for partition in plan.partitions() {
        let mount = partition.mount.as_deref();
        match (&partition.content, mount) {
            (Content::Ext4 { uuid, .. }, Some("/")) => {
                lines.push(format!("UUID={uuid} / ext4 errors=remount-ro 0 1"));
            }
            (Content::Ext4 { uuid, .. }, Some(mount)) => {
                lines.push(format!("UUID={uuid} {mount} ext4 defaults 0 2"));
            }
            (Content::Fat { volume_id, .. }, Some(mount)) => {
                let id = format!("{:04X}-{:04X}", volume_id >> 16, volume_id & 0xffff);
                lines.push(format!("UUID={id} {mount} vfat umask=0077 0 0"));
            }
            (Content::Swap { uuid, .. }, _) => lines.push(format!("UUID={uuid} none swap sw 0 0")),
            _ => {}
        }
    }
    lines.join("\n") + "\n"
}
