//! The network, by the release's own stack: [`networkd`], [`netplan`] or [`ifupdown`].
//!
//! With DHCP no interface is named, because every hypervisor names it differently, and one more interface
//! does no harm. Addresses of the machine's own must be on one interface alone, however many there are: on
//! the one with the user's MAC address, else on the first one as the kernel counts them, `eth0`. For that the
//! plan's kernel options have `net.ifnames=0`; a pattern for names would put them on every interface.

mod ifupdown;
mod netplan;
mod networkd;
mod online;

use super::Site;
use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Addressing, GuestNetwork, Plan};
use crate::suite::NetworkStack;

/// The first Ethernet interface, where the kernel's own names are kept (`net.ifnames=0`).
const FIRST: &str = "eth0";

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Writes the configuration and enables what acts on it.
pub(super) fn configure(site: &Site<'_>, root: &Root) -> Result<()> {
    let network = &site.plan.guest.network;
    match site.plan.suite.network.stack {
        NetworkStack::Networkd => {
            root.write("/etc/systemd/network/80-rvmb.network", 0o644, networkd::file(network))?;
        }
        // Newer netplan complains about files that others can read: keys may be in them.
        NetworkStack::Netplan => root.write("/etc/netplan/01-rvmb.yaml", 0o600, netplan::file(network))?,
        NetworkStack::Ifupdown => return ifupdown::configure(network, root),
    }
    // Nothing waits for interfaces that have no configuration.
    if network.static_addresses().is_none() {
        online::configure(root)?;
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

/// Points the resolver at the stub of systemd-resolved, where the tree has it and networkd tells it the name
/// servers; else writes those that are known. The last step that touches it: until then the tree has no
/// name resolution, and needs none.
pub(super) fn point_resolver(plan: &Plan, root: &Root) -> Result<()> {
    if plan.suite.network.stack != NetworkStack::Ifupdown {
        for program in ["/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved"] {
            if root.exists(program)? {
                return root.link("../run/systemd/resolve/stub-resolv.conf", RESOLV_CONF);
            }
        }
    }
    match &plan.guest.network.addressing {
        // dhclient writes it.
        Addressing::Dhcp => root.remove(RESOLV_CONF),
        Addressing::Static(_) => {
            // Whatever is there may be a link to a file of the builder's.
            root.remove(RESOLV_CONF)?;
            root.write(RESOLV_CONF, 0o644, resolv_conf(&plan.guest.network))
        }
    }
}

/// resolv.conf(5).
fn resolv_conf(network: &GuestNetwork) -> String {
    let mut text = "# Written by rvmb.\n".to_owned();
    for server in &network.name_servers {
        text += &format!("nameserver {server}\n");
    }
    if let Some(domain) = &network.search {
        text += &format!("search {domain}\n");
    }
    text
}

/// What a configuration is for, in the words of its first line.
fn title(network: &GuestNetwork) -> &'static str {
    match network.static_addresses() {
        None => "DHCP on every Ethernet interface",
        Some(fixed) if fixed.mac.is_some() => "addresses for the interface with this MAC address",
        Some(_) => "addresses for the first Ethernet interface",
    }
}

/// Networks for the tests of every stack, with their names.
#[cfg(test)]
fn samples() -> Vec<(&'static str, GuestNetwork)> {
    use crate::plan::{Address, Gateway, StaticAddresses};

    let address = |text: &str| {
        let (address, prefix) = text.split_once('/').unwrap();
        Address { address: address.parse().unwrap(), prefix: prefix.parse().unwrap(), broadcast: None }
    };
    let gateway = |text: &str| Gateway { address: text.parse().unwrap(), on_link: false };
    let servers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let fixed = |fixed: StaticAddresses, texts: &[&str]| GuestNetwork {
        addressing: Addressing::Static(fixed),
        name_servers: servers(texts),
        search: None,
    };
    let of_both = StaticAddresses {
        mac: None,
        addresses: vec![address("192.0.2.10/24"), address("198.51.100.7/25"), address("2001:db8::10/64")],
        gateways: vec![gateway("192.0.2.1"), gateway("2001:db8::1")],
        router_advertisements: false,
    };
    let mut with_broadcast = address("192.0.2.10/24");
    with_broadcast.broadcast = "192.0.2.0".parse().ok();
    vec![
        ("dhcp", GuestNetwork::default()),
        (
            "dhcp with own name servers",
            GuestNetwork {
                name_servers: servers(&["9.9.9.9", "2620:fe::fe"]),
                search: Some("example.org".to_owned()),
                ..GuestNetwork::default()
            },
        ),
        (
            "ipv4",
            fixed(
                StaticAddresses {
                    addresses: vec![address("192.0.2.10/24")],
                    gateways: vec![gateway("192.0.2.1")],
                    router_advertisements: true,
                    mac: None,
                },
                &["192.0.2.1"],
            ),
        ),
        (
            "ipv4 and ipv6",
            GuestNetwork {
                search: Some("example.org".to_owned()),
                ..fixed(of_both.clone(), &["9.9.9.9", "2620:fe::fe"])
            },
        ),
        (
            "by mac",
            fixed(StaticAddresses { mac: "52:54:00:ab:cd:ef".parse().ok(), ..of_both }, &["192.0.2.1"]),
        ),
        (
            "on link, without gateway of ipv6",
            fixed(
                StaticAddresses {
                    addresses: vec![address("192.0.2.10/32"), address("2001:db8::10/64")],
                    gateways: vec![Gateway { on_link: true, ..gateway("198.51.100.1") }],
                    router_advertisements: true,
                    mac: None,
                },
                &[],
            ),
        ),
        (
            "alone, with a broadcast address",
            fixed(
                StaticAddresses {
                    addresses: vec![with_broadcast],
                    gateways: vec![],
                    router_advertisements: false,
                    mac: None,
                },
                &[],
            ),
        ),
    ]
}

/// Every sample as a stack writes it.
#[cfg(test)]
fn written(file: impl Fn(&GuestNetwork) -> String) -> String {
    samples().iter().map(|(name, network)| format!("===== {name}\n{}", file(network))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_written_where_nothing_else_tells_them() {
        let (_, network) = samples().swap_remove(3);
        assert_eq!(
            resolv_conf(&network),
            "# Written by rvmb.\nnameserver 9.9.9.9\nnameserver 2620:fe::fe\nsearch example.org\n"
        );
    }
}
