//! What is understood and not done yet: refused by name, so that nobody believes in it.

use crate::appliance::{Appliance, Ec2};
use crate::error::{Error, Result};

/// An error for each option that was given and that nothing acts on yet.
pub(super) fn check(appliance: &Appliance) -> Vec<Result<()>> {
    let special = &appliance.special;
    let given = [
        ("--vbox-disk-format", special.vbox_disk_format.is_some()),
        ("--xen-kernel", special.xen_kernel.is_some()),
        ("--xen-ramdisk", special.xen_ramdisk.is_some()),
        ("--ec2", appliance.ec2 != Ec2::default()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(name, _)| Err(refusal(name))).collect()
}

fn refusal(name: &str) -> Error {
    Error::config(format!("{name} is not available yet")).hint("Leave it out.")
}
