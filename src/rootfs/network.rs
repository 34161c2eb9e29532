//! The network: DHCP on whatever Ethernet interface there is, by the release's own stack. No interface
//! is named, because every hypervisor names it differently.

use super::Site;
use crate::error::Result;
use crate::host::tree::Root;
use crate::suite::NetworkStack;

const NETWORKD: &str = "\
# Written by rvmb: DHCP on every Ethernet interface.
[Match]
Type=ether
Name=en* eth*

[Network]
DHCP=yes
";

const NETPLAN: &str = "\
# Written by rvmb: DHCP on every Ethernet interface.
network:
  version: 2
  ethernets:
    all:
      match:
        name: \"e*\"
      dhcp4: true
      dhcp6: true
";

/// The stack of releases older than networkd knows names only. The plan's kernel options have
/// `net.ifnames=0`, so that the kernel's own count is the name.
const IFUPDOWN: &str = "\
# Written by rvmb: DHCP on the first Ethernet interface.
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
";

/// Writes the configuration and enables what acts on it.
pub(super) fn configure(site: &Site<'_>, root: &Root) -> Result<()> {
    match site.plan.suite.network.stack {
        NetworkStack::Networkd => root.write("/etc/systemd/network/80-rvmb.network", 0o644, NETWORKD)?,
        // Newer netplan complains about files that others can read: keys may be in them.
        NetworkStack::Netplan => root.write("/etc/netplan/01-rvmb.yaml", 0o600, NETPLAN)?,
        NetworkStack::Ifupdown => return root.write("/etc/network/interfaces", 0o644, IFUPDOWN),
    }
    for service in ["systemd-networkd.service", "systemd-resolved.service"] {
        if root.exists(format!("/usr/lib/systemd/system/{service}"))?
            || root.exists(format!("/lib/systemd/system/{service}"))?
        {
            site.program(root.path(), "systemctl")?.args(["enable", service]).run()?;
        }
    }
    Ok(())
}

/// Points the resolver at the stub of systemd-resolved, where the tree has it. The last step that
/// touches it: until then the tree has no name resolution, and needs none.
pub(super) fn point_resolver(root: &Root) -> Result<()> {
    for program in ["/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved"] {
        if root.exists(program)? {
            return root.link("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf");
        }
    }
    root.remove("/etc/resolv.conf")
}
