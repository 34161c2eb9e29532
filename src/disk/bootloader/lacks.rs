//! What a tree lacks for a disk that boots, told before anything is made of it.

use super::{Architecture, bios, kernels};
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::suite::Suite;

/// Where a tree has its grub-mkimage.
const MKIMAGE: &str = "/usr/bin/grub-mkimage";

/// What keeps the tree `guest` from booting: kernel, initial RAM file system, GRUB for a BIOS and for UEFI.
pub fn lacks(guest: &Root, suite: &Suite, architecture: &str) -> Result<Vec<Error>> {
    let kernel = suite.kernel_packages(&suite.kernel.default, architecture)?.join(", ");
    let architecture = Architecture::find(architecture)?;
    let mut lacking = Vec::new();
    let install = |error: Error| {
        error.hint(format!("Install {} and {kernel} in the tree.", suite.initramfs.packages.join(", ")))
    };
    lacking.extend(kernels::find(guest).err().map(install));
    let has = |path: &str| guest.exists(path);
    if architecture.bios && !has(&format!("{}/boot.img", bios::MODULES))? {
        lacking.push(bios::missing());
    }
    let mut signed = false;
    for path in &suite.boot.grub_efi {
        signed = signed || has(path)?;
    }
    if !signed && guest.list(format!("/usr/lib/grub/{}", architecture.grub_efi))?.is_empty() {
        let hint = format!("Install {} in the tree.", architecture.grub_package);
        lacking.push(Error::build("the tree has no GRUB for UEFI").hint(hint));
    }
    if (architecture.bios || !signed) && !has(MKIMAGE)? {
        lacking.push(Error::build("the tree has no grub-mkimage").hint("Install grub-common in the tree."));
    }
    Ok(lacking)
}
