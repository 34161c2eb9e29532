//! What is understood and not done yet: refused by name, so that nobody believes in it.

use crate::appliance::Appliance;
use crate::error::Error;

/// An error for each option that was given and that nothing acts on yet.
pub(super) fn check(appliance: &Appliance) -> Vec<Error> {
    let Appliance { special, ec2, .. } = appliance;
    let given = [
        ("--vbox-disk-format", special.vbox_disk_format.is_some()),
        ("--xen-kernel", special.xen_kernel.is_some()),
        ("--xen-ramdisk", special.xen_ramdisk.is_some()),
        ("--ec2", ec2.wanted),
        ("--ec2-name", ec2.name.is_some()),
        ("--ec2-cert", ec2.certificate.is_some()),
        ("--ec2-key", ec2.key.is_some()),
        ("--ec2-user", ec2.user.is_some()),
        ("--ec2-bucket", ec2.bucket.is_some()),
        ("--ec2-access-key", ec2.access_key.is_some()),
        ("--ec2-secret-key", ec2.secret_key.is_some()),
        ("--ec2-kernel", ec2.kernel.is_some()),
        ("--ec2-ramdisk", ec2.ramdisk.is_some()),
        ("--ec2-version", ec2.version.is_some()),
        ("--ec2-landscape", ec2.landscape),
        ("--ec2-bundle", ec2.bundle),
        ("--ec2-upload", ec2.upload),
        ("--ec2-register", ec2.register),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(name, _)| refusal(name)).collect()
}

fn refusal(name: &str) -> Error {
    Error::config(format!("{name} is not available yet")).hint("Leave it out.")
}
