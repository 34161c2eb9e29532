//! What the machine does by itself at its first boots: growing its root, making its ssh host keys,
//! and the user's own scripts.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::Secrets;

const GROW_ROOT: &str = include_str!("guest/grow-root");
const GROW_ROOT_UNIT: &str = include_str!("guest/rvmb-grow-root.service");
const SSH_HOST_KEYS_UNIT: &str = include_str!("guest/rvmb-ssh-host-keys.service");
const FIRSTBOOT_UNIT: &str = include_str!("guest/rvmb-firstboot.service");
const FIRSTLOGIN_PROFILE: &str = include_str!("guest/rvmb-firstlogin.sh");

/// Installs them.
pub(super) fn configure(secrets: &Secrets, root: &Root) -> Result<()> {
    root.write("/usr/lib/rvmb/grow-root", 0o755, GROW_ROOT)?;
    unit(root, "rvmb-grow-root.service", GROW_ROOT_UNIT, "sysinit.target")?;
    unit(root, "rvmb-ssh-host-keys.service", SSH_HOST_KEYS_UNIT, "multi-user.target")?;
    if let Some(script) = &secrets.firstboot {
        // Only root runs it, and only root needs to read what may be in it.
        root.write("/usr/lib/rvmb/firstboot", 0o700, script)?;
        unit(root, "rvmb-firstboot.service", FIRSTBOOT_UNIT, "multi-user.target")?;
    }
    if let Some(script) = &secrets.firstlogin {
        root.write("/usr/lib/rvmb/firstlogin", 0o755, script)?;
        root.write("/etc/profile.d/rvmb-firstlogin.sh", 0o644, FIRSTLOGIN_PROFILE)?;
    }
    Ok(())
}

/// Writes a unit and enables it, as `systemctl enable` would.
fn unit(root: &Root, name: &str, content: &str, wanted_by: &str) -> Result<()> {
    let path = format!("/etc/systemd/system/{name}");
    root.write(&path, 0o644, content)?;
    enable(root, name, &path, wanted_by)
}

/// Links a unit into the ones that a target wants.
pub(super) fn enable(root: &Root, name: &str, path: &str, wanted_by: &str) -> Result<()> {
    let wants = format!("/etc/systemd/system/{wanted_by}.wants");
    root.create_directories(&wants)?;
    root.link(path, &format!("{wants}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_wanted_by_what_it_says() {
        for (text, target) in [
            (GROW_ROOT_UNIT, "sysinit.target"),
            (SSH_HOST_KEYS_UNIT, "multi-user.target"),
            (FIRSTBOOT_UNIT, "multi-user.target"),
        ] {
            assert!(text.contains(&format!("WantedBy={target}\n")), "{text}");
        }
    }
}
