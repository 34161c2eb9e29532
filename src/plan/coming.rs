//! What is understood and not done yet: refused by name, so that nobody believes in it.

use crate::appliance::Appliance;
use crate::error::{Error, Result};

/// An error for each option that was given and that nothing acts on yet.
pub(super) fn check(appliance: &Appliance) -> Vec<Result<()>> {
    let Appliance { network, disks, tree, places, .. } = appliance;
    let given = [
        ("--install-mirror", appliance.install_mirror.is_some()),
        ("--install-security-mirror", appliance.install_security_mirror.is_some()),
        ("--ppa", !appliance.ppas.is_empty()),
        ("--iso", appliance.iso.is_some()),
        ("--debootstrap-tarball", appliance.tarball.is_some()),
        ("--install-recommends", appliance.install_recommends),
        ("--seedfile", appliance.seed_file.is_some()),
        ("--ip", !network.addresses.is_empty()),
        ("--mask", network.mask.is_some()),
        ("--net", network.network.is_some()),
        ("--bcast", network.broadcast.is_some()),
        ("--gw", !network.gateways.is_empty()),
        ("--dns", !network.name_servers.is_empty()),
        ("--mac", network.mac.is_some()),
        ("--bridge", network.bridge.is_some()),
        ("--network", network.libvirt_network.is_some()),
        ("--part", disks.part.is_some()),
        ("--label", disks.label.is_some()),
        ("--copy", appliance.copy.is_some()),
        ("--exec", appliance.exec.is_some()),
        ("--templates", appliance.templates.is_some()),
        ("--only-chroot", tree.only),
        ("--chroot-dir", tree.directory.is_some()),
        ("--existing-chroot", tree.existing.is_some()),
        ("--tmpfs", tree.tmpfs.is_some()),
        ("--manifest", places.package_list.is_some()),
        ("--ec2", appliance.ec2 != crate::appliance::Ec2::default()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(name, _)| Err(refusal(name))).collect()
}

fn refusal(name: &str) -> Error {
    Error::config(format!("{name} is not available yet")).hint("Leave it out.")
}
