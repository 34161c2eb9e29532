//! QEMU's user networking for a guest: where its addresses are its own, QEMU takes the place of the gateway
//! and of the name server that it knows, in the network that it is in.
//!
//! QEMU has three addresses there: `host`, which stands for this host, `dns`, which passes questions for
//! names on, and `dhcpstart`, the first one that it hands out. It answers for the first two alone, so the
//! name server comes before the gateway where one address is both: a packet that goes further passes through
//! QEMU whichever of them the guest sends it to.
//!
//! Source: QEMU's manual, "-netdev user", and its checks in net/slirp.c, `net_slirp_init`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::plan::{Address, GuestNetwork, StaticAddresses};

/// The longest prefix that is given to QEMU, which leaves room for its own addresses beside the guest's.
const LONGEST_PREFIX: u32 = 28;

/// The shortest prefix of an IPv4 network that QEMU takes.
const SHORTEST_PREFIX: u32 = 4;

/// The longest prefix of IPv6: longer ones cannot be announced to the guest (RFC 4862, 5.5.3).
const LONGEST_IPV6_PREFIX: u32 = 64;

/// QEMU's options for the network of a guest, each with a comma before it; nothing where its own defaults
/// serve.
pub fn options(network: &GuestNetwork) -> String {
    let Some(fixed) = network.static_addresses() else { return String::new() };
    let ipv4 = Family { width: 32, shortest: SHORTEST_PREFIX, longest: LONGEST_PREFIX };
    let ipv6 = Family { width: 128, shortest: 1, longest: LONGEST_IPV6_PREFIX };
    let mut text = String::new();
    if let Some(places) = ipv4.places(fixed, &network.name_servers) {
        let [first, host, dns, dhcp] = places.addresses().map(ipv4_of);
        text += &format!(",net={first}/{},host={host},dns={dns},dhcpstart={dhcp}", places.prefix);
    }
    if let Some(places) = ipv6.places(fixed, &network.name_servers) {
        let [first, host, dns, _] = places.addresses().map(Ipv6Addr::from);
        text +=
            &format!(",ipv6-prefix={first},ipv6-prefixlen={},ipv6-host={host},ipv6-dns={dns}", places.prefix);
    }
    text
}

/// The guest's address that ports of the host can be forwarded to, as QEMU wants it: empty for the one that
/// QEMU hands out; none where the guest has no IPv4 address, for QEMU forwards to no other.
pub fn forward_address(network: &GuestNetwork) -> Option<String> {
    match network.static_addresses() {
        None => Some(String::new()),
        Some(fixed) => fixed.of_family(false).next().map(|address| address.address.to_string()),
    }
}

/// A family of addresses, as numbers.
struct Family {
    /// Bits of an address.
    width: u32,
    shortest: u32,
    longest: u32,
}

/// Who is where in the network.
struct Places {
    prefix: u32,
    first: u128,
    host: u128,
    dns: u128,
    dhcp: u128,
}

impl Places {
    fn addresses(&self) -> [u128; 4] {
        [self.first, self.host, self.dns, self.dhcp]
    }
}

impl Family {
    /// The places of QEMU in the network of the first address; none where there is no address, or where its
    /// gateway is in no network of a size that QEMU takes.
    fn places(&self, fixed: &StaticAddresses, name_servers: &[IpAddr]) -> Option<Places> {
        let is_ipv6 = self.width == 128;
        let own: &Address = fixed.of_family(is_ipv6).next()?;
        let prefix = u32::from(own.prefix);
        let own = number(own.address);
        let gateway = fixed.gateway(is_ipv6).filter(|gateway| !gateway.is_link_local());
        let gateway = gateway.map(|gateway| number(gateway.address));
        let shared = gateway
            .map_or(self.width, |other| (own ^ other).leading_zeros().saturating_sub(128 - self.width));
        let prefix = prefix.min(shared).min(self.longest);
        if prefix < self.shortest {
            return None;
        }
        let rest = u128::MAX.checked_shr(128 - (self.width - prefix)).unwrap_or(0);
        let first = own & !rest;
        let servers: Vec<u128> = name_servers
            .iter()
            .filter(|server| server.is_ipv6() == is_ipv6)
            .map(|server| number(*server))
            .filter(|server| server & !rest == first && *server != own)
            .collect();
        let mut free = (first + 1..first + rest)
            .filter(|one| *one != own && gateway != Some(*one) && !servers.contains(one));
        let dns = servers.first().copied().or_else(|| free.next())?;
        let host = gateway.filter(|gateway| *gateway != dns).or_else(|| free.next())?;
        Some(Places { prefix, first, host, dns, dhcp: free.next()? })
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn ipv4_of(number: u128) -> Ipv4Addr {
    // Numbers of the IPv4 family have 32 bits.
    Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Addressing, Gateway};

    fn network(addresses: &[&str], gateways: &[&str], servers: &[&str]) -> GuestNetwork {
        let address = |text: &&str| {
            let (address, prefix) = text.split_once('/').unwrap();
            Address { address: address.parse().unwrap(), prefix: prefix.parse().unwrap(), broadcast: None }
        };
        let gateway = |text: &&str| Gateway { address: text.parse().unwrap(), on_link: false };
        GuestNetwork {
            addressing: Addressing::Static(StaticAddresses {
                addresses: addresses.iter().map(address).collect(),
                gateways: gateways.iter().map(gateway).collect(),
                ..StaticAddresses::default()
            }),
            name_servers: servers.iter().map(|text| text.parse().unwrap()).collect(),
            search: None,
        }
    }

    #[test]
    fn qemu_takes_the_places_that_the_guest_knows() {
        let cases = [
            // A gateway that answers for names.
            (
                network(&["192.168.5.10/24"], &["192.168.5.1"], &["192.168.5.1"]),
                ",net=192.168.5.0/24,host=192.168.5.2,dns=192.168.5.1,dhcpstart=192.168.5.3",
            ),
            // A name server elsewhere.
            (
                network(&["192.168.5.2/24"], &["192.168.5.1"], &["9.9.9.9"]),
                ",net=192.168.5.0/24,host=192.168.5.1,dns=192.168.5.3,dhcpstart=192.168.5.4",
            ),
            // Two name servers beside the gateway.
            (
                network(&["10.1.2.3/8"], &["10.0.0.1"], &["10.0.0.2", "10.0.0.3"]),
                ",net=10.0.0.0/8,host=10.0.0.1,dns=10.0.0.2,dhcpstart=10.0.0.4",
            ),
            (
                network(&["192.0.2.9/24"], &[], &[]),
                ",net=192.0.2.0/24,host=192.0.2.2,dns=192.0.2.1,dhcpstart=192.0.2.3",
            ),
            // A network with room for nobody else.
            (
                network(&["192.0.2.9/31"], &["192.0.2.8"], &[]),
                ",net=192.0.2.0/28,host=192.0.2.8,dns=192.0.2.1,dhcpstart=192.0.2.2",
            ),
            // A gateway on the link that is in another network.
            (
                network(&["192.0.2.9/32"], &["192.0.3.1"], &[]),
                ",net=192.0.2.0/23,host=192.0.3.1,dns=192.0.2.1,dhcpstart=192.0.2.2",
            ),
            (network(&["192.0.2.9/32"], &["10.0.0.1"], &[]), ""),
            (
                network(&["2001:db8::2/64"], &["2001:db8::1"], &["2620:fe::fe"]),
                ",ipv6-prefix=2001:db8::,ipv6-prefixlen=64,ipv6-host=2001:db8::1,ipv6-dns=2001:db8::3",
            ),
            (
                network(&["2001:db8::1/128"], &["fe80::1"], &[]),
                ",ipv6-prefix=2001:db8::,ipv6-prefixlen=64,ipv6-host=2001:db8::3,ipv6-dns=2001:db8::2",
            ),
        ];
        for (network, expected) in cases {
            assert_eq!(options(&network), expected, "{network:?}");
        }
        assert_eq!(options(&GuestNetwork::default()), "");
    }

    #[test]
    fn both_families_are_there_at_once() {
        let network = network(&["192.0.2.9/24", "2001:db8::10/64"], &["192.0.2.1", "2001:db8::1"], &[]);
        let options = options(&network);
        assert!(options.contains(",net=192.0.2.0/24,host=192.0.2.1,"), "{options}");
        assert!(options.contains(",ipv6-host=2001:db8::1,"), "{options}");
    }

    #[test]
    fn ports_are_forwarded_where_qemu_can() {
        assert_eq!(forward_address(&GuestNetwork::default()).as_deref(), Some(""));
        let both = network(&["2001:db8::10/64", "192.0.2.9/24"], &[], &[]);
        assert_eq!(forward_address(&both).as_deref(), Some("192.0.2.9"));
        assert_eq!(forward_address(&network(&["2001:db8::10/64"], &[], &[])), None);
    }
}
