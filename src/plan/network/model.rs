//! The planned network: what the guest's own files say, and what its interface is connected to.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::mac::Mac;

/// libvirt's network where the user names neither one nor a bridge.
const LIBVIRT_NETWORK: &str = "default";

/// The network as the guest's own files have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuestNetwork {
    /// Where its addresses come from.
    pub addressing: Addressing,
    /// Name servers, in the order in which they are asked. With DHCP they take the place of those that it
    /// names; empty to take those.
    pub name_servers: Vec<IpAddr>,
    /// Domain in which names without a dot are looked for; none where the user named none.
    pub search: Option<String>,
}

/// Where the guest's addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Addressing {
    /// From DHCP, and from the routers where there is IPv6, on every Ethernet interface.
    #[default]
    Dhcp,
    /// From the user, on one interface.
    Static(StaticAddresses),
}

/// Addresses that the user named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaticAddresses {
    /// MAC address of the interface that gets them, where the user named one; none for the first Ethernet
    /// interface as the kernel counts them.
    pub mac: Option<Mac>,
    /// The addresses, at least one.
    pub addresses: Vec<Address>,
    /// Default routes, at most one for each family.
    pub gateways: Vec<Gateway>,
    /// Whether routers that announce themselves are listened to, which give addresses and a default route of
    /// IPv6; not where the user decided on that route.
    pub router_advertisements: bool,
}

/// An address and the network that it is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
    /// Broadcast address, where it is not the last one of the network.
    pub broadcast: Option<Ipv4Addr>,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// The next hop.
    pub address: IpAddr,
    /// Whether it is reached directly although it is in none of the guest's networks.
    pub on_link: bool,
}

/// The network interface that the hypervisor gives to the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Its MAC address.
    pub mac: Mac,
    /// What it is connected to.
    pub connection: Connection,
}

/// What an interface is connected to. Hypervisors without libvirt give it a network of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "kebab-case")]
pub enum Connection {
    /// A network of libvirt's.
    LibvirtNetwork(String),
    /// A bridge of the host.
    Bridge(String),
}

impl Default for Connection {
    fn default() -> Self {
        Connection::LibvirtNetwork(LIBVIRT_NETWORK.to_owned())
    }
}

impl GuestNetwork {
    /// The addresses that the user named; none with DHCP.
    pub fn static_addresses(&self) -> Option<&StaticAddresses> {
        match &self.addressing {
            Addressing::Dhcp => None,
            Addressing::Static(fixed) => Some(fixed),
        }
    }

    /// Whether the guest's own files name an interface as the kernel counts them, `eth0`.
    pub fn counts_interfaces(&self) -> bool {
        self.static_addresses().is_some_and(|fixed| fixed.mac.is_none())
    }
}

impl Gateway {
    /// Whether its address holds on one link only (RFC 4291, 2.5.6).
    pub fn is_link_local(&self) -> bool {
        matches!(self.address, IpAddr::V6(address) if address.is_unicast_link_local())
    }
}

impl StaticAddresses {
    /// The gateway of a family.
    pub fn gateway(&self, is_ipv6: bool) -> Option<&Gateway> {
        self.gateways.iter().find(|gateway| gateway.address.is_ipv6() == is_ipv6)
    }

    /// The addresses of a family, in the order in which they were named.
    pub fn of_family(&self, is_ipv6: bool) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.address.is_ipv6() == is_ipv6)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
