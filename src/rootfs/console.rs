//! Boot messages and a login on screen and serial line, by settings of the tree's own GRUB. Shipped
//! configuration files are never edited: the next upgrade would ask about them.

use crate::disk::layout::ESP_MOUNT;
use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::Plan;

/// Writes what update-grub reads, from the first kernel upgrade on.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    root.write("/etc/default/grub.d/50-rvmb.cfg", 0o644, settings(&plan.guest.kernel_options))?;
    let flag = &plan.suite.boot.flag_file;
    if flag.is_empty() || !packages_find_the_disk(plan) { Ok(()) } else { root.write(flag, 0o644, "") }
}

/// Whether the packages put their boot loader where this one is: grub-cloud asks for the disk of /boot, takes
/// it for the one that is started, and expects a place for UEFI.
fn packages_find_the_disk(plan: &Plan) -> bool {
    let boot = plan.holder_of("/boot").and_then(|holder| holder.mount);
    let on_first = |mount| plan.disks.first().is_some_and(|disk| disk.mounted_at(mount).is_some());
    plan.mounted_at(ESP_MOUNT).is_some() && boot.is_some_and(on_first)
}

fn settings(kernel_options: &str) -> String {
    format!(
        "# Written by rvmb. Later files in this directory win.\n\
         GRUB_CMDLINE_LINUX_DEFAULT=\"\"\n\
         GRUB_CMDLINE_LINUX=\"{kernel_options}\"\n\
         GRUB_TIMEOUT=0\n\
         GRUB_RECORDFAIL_TIMEOUT=0\n\
         GRUB_TERMINAL=\"console serial\"\n\
         GRUB_SERIAL_COMMAND=\"serial --speed=115200\"\n\
         GRUB_DISABLE_OS_PROBER=true\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_is_told_about_the_consoles() {
        assert!(super::settings("console=ttyS0").contains("GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n"));
    }
}
