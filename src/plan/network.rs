//! What the user's words mean for the network of the guest and for its interface.
//!
//! Pure: texts in, planned values or every problem out. [`address`] reads single addresses, [`gateway`]
//! decides on default routes, [`model`] has what comes out.
//!
//! Where vmbuilder's own behaviour contradicted its help, the help is kept: the gateway is the network's
//! first address and not the one after the machine's, 128.x is of class B, and what DHCP would ignore is
//! refused.

mod address;
mod gateway;
mod mac;
mod model;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use self::address::Written;
use super::problems::Problems;
use crate::appliance;
use crate::error::{Error, Result};
use crate::suite::NetworkStack;

pub use mac::Mac;
pub use model::{Address, Addressing, Connection, Gateway, GuestNetwork, Nic, StaticAddresses};

/// What is said where nothing is wanted: `--gw none`, `--dns none`.
const NONE: &str = "none";

/// Bytes of an interface's name, without the NUL (Linux, `IFNAMSIZ`).
const LONGEST_INTERFACE: usize = 15;

/// Name servers that the resolver of the C library asks (resolv.conf(5), `MAXNS`).
const MOST_NAME_SERVERS: usize = 3;

/// What the user's words mean. The MAC address that a machine gets by itself depends on its identity, which
/// is not known yet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Request {
    /// For the guest's own files.
    pub(super) guest: GuestNetwork,
    mac: Option<Mac>,
    connection: Connection,
}

impl Request {
    /// The interface of the machine of that identity.
    pub(super) fn nic(&self, id: Uuid) -> Nic {
        let connection = self.connection.clone();
        Nic { mac: self.mac.unwrap_or_else(|| Mac::of_machine(id)), connection }
    }
}

/// Reads the options. `domain` is what --domain says; the stack of the release decides what can be said, where
/// the release is known.
pub(super) fn read(
    wanted: &appliance::Network,
    domain: Option<&str>,
    stack: Option<NetworkStack>,
) -> Result<Request, Vec<Error>> {
    let mut problems = Problems::default();
    let mac = wanted.mac.as_deref().and_then(|text| problems.keep(read_mac(text)));
    let connection = problems.keep(read_connection(wanted));
    let named = read_name_servers(&wanted.name_servers, stack, &mut problems);
    let by_dhcp = |text: &&String| text.eq_ignore_ascii_case("dhcp");
    let addressing = match wanted.addresses.iter().filter(by_dhcp).count() {
        count if count == wanted.addresses.len() => {
            needs_no_dhcp(wanted).into_iter().for_each(|error| problems.note(error));
            Addressing::Dhcp
        }
        0 => Addressing::Static(read_static(wanted, mac, stack, &mut problems)),
        _ => {
            problems.note(
                Error::config("--ip names both dhcp and an address")
                    .hint("Name addresses alone, or dhcp alone: there is no mixture of both."),
            );
            Addressing::Dhcp
        }
    };
    let name_servers = named.unwrap_or_else(|| servers_of(&addressing));
    let search = domain.map(str::to_owned);
    let guest = GuestNetwork { addressing, name_servers, search };
    problems.end(connection.map(|connection| Request { guest, mac, connection }))
}

fn read_mac(text: &str) -> Result<Mac> {
    text.parse().map_err(|what: String| {
        Error::config(format!("--mac {text} {what}"))
            .hint("Write six pairs of hexadecimal digits, the first one even, such as 52:54:00:12:34:56.")
    })
}

fn read_connection(wanted: &appliance::Network) -> Result<Connection> {
    match (&wanted.bridge, &wanted.libvirt_network) {
        (Some(_), Some(_)) => Err(Error::config("--bridge and --network contradict each other")
            .hint("The machine has one interface: connect it to the bridge or to libvirt's network.")),
        (Some(name), None) if is_interface(name) => Ok(Connection::Bridge(name.clone())),
        (Some(name), None) => Err(Error::config(format!("--bridge: `{name}` is not the name of a bridge"))
            .hint("A bridge has 1 to 15 letters, digits, dots, hyphens and underscores, such as br0.")),
        (None, Some(name)) if is_libvirt_network(name) => Ok(Connection::LibvirtNetwork(name.clone())),
        (None, Some(name)) => {
            Err(Error::config(format!("--network: `{name}` is not the name of a network of libvirt's"))
                .hint("`virsh net-list --all` lists the networks that there are."))
        }
        (None, None) => Ok(Connection::default()),
    }
}

/// Linux takes more than that (`dev_valid_name`), but not all of it reaches it through QEMU's options.
fn is_interface(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=LONGEST_INTERFACE).contains(&name.len())
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// libvirt makes files of that name, so it refuses a slash (its `virXMLCheckIllegalChars`).
fn is_libvirt_network(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 255 && !name.contains('/') && !name.contains(char::is_control)
}

/// The name servers that the user named; none where the default holds.
fn read_name_servers(
    texts: &[String],
    stack: Option<NetworkStack>,
    problems: &mut Problems,
) -> Option<Vec<IpAddr>> {
    if texts.is_empty() {
        return None;
    }
    if is_none_alone("--dns", texts, problems) {
        return Some(Vec::new());
    }
    let mut servers = Vec::new();
    for text in texts.iter().filter(|text| *text != NONE) {
        let server = problems.keep(name_server(text));
        servers.extend(server.filter(|server| !servers.contains(server)));
    }
    if stack == Some(NetworkStack::Ifupdown) && servers.len() > MOST_NAME_SERVERS {
        problems.note(
            Error::config(format!("--dns names {} name servers", servers.len()))
                .hint(format!("The release asks the first {MOST_NAME_SERVERS} only: leave the others out.")),
        );
    }
    Some(servers)
}

fn name_server(text: &str) -> Result<IpAddr> {
    let server = address::any("--dns", text)?;
    // A name server may run in the machine itself.
    if server.is_loopback() {
        return Ok(server);
    }
    if address::is_link_local(server) {
        return Err(Error::config(format!("--dns {server} holds on one link only"))
            .hint("Give a name server an address that does not depend on the interface."));
    }
    address::of_host("--dns", text)
}

/// Whether the list says that there is to be none; a note where it says something else as well.
fn is_none_alone(option: &str, texts: &[String], problems: &mut Problems) -> bool {
    match texts {
        [only] => only == NONE,
        _ => {
            if texts.iter().any(|text| text == NONE) {
                problems.note(
                    Error::config(format!("{option} names both none and an address"))
                        .hint(format!("Say {option} none alone to have none.")),
                );
            }
            false
        }
    }
}

/// The gateways answer for names where nobody else is named, IPv4's before that of IPv6. One that holds on
/// a link only cannot be named in resolv.conf(5).
fn servers_of(addressing: &Addressing) -> Vec<IpAddr> {
    let Addressing::Static(fixed) = addressing else { return Vec::new() };
    let gateways = fixed.gateways.iter().map(|gateway| gateway.address);
    gateways.filter(|address| !address::is_link_local(*address)).take(1).collect()
}

/// What makes no sense with DHCP. Name servers do: they take the place of DHCP's.
fn needs_no_dhcp(wanted: &appliance::Network) -> Vec<Error> {
    let given = [
        ("--mask", wanted.mask.is_some()),
        ("--net", wanted.network.is_some()),
        ("--bcast", wanted.broadcast.is_some()),
        ("--gw", !wanted.gateways.is_empty()),
        ("--dns none", wanted.name_servers == [NONE]),
    ];
    let needless = given.into_iter().filter(|(_, given)| *given);
    needless
        .map(|(option, _)| {
            Error::config(format!("{option} means nothing for a machine that asks DHCP"))
                .hint(format!("Give it an address of its own with --ip, or leave {option} out."))
        })
        .collect()
}

fn read_static(
    wanted: &appliance::Network,
    mac: Option<Mac>,
    stack: Option<NetworkStack>,
    problems: &mut Problems,
) -> StaticAddresses {
    let mac = mac.filter(|_| stack != Some(NetworkStack::Ifupdown));
    let mask = wanted.mask.as_deref().map(|text| problems.keep(address::mask("--mask", text)));
    let written: Vec<Option<Written>> =
        wanted.addresses.iter().map(|text| problems.keep(address::with_prefix("--ip", text))).collect();
    let (Some(written), false) = (written.into_iter().collect::<Option<Vec<_>>>(), mask == Some(None)) else {
        // Whatever depends on them would only be wrong as well.
        return StaticAddresses::default();
    };
    let count = written.len();
    let mut addresses: Vec<Address> = Vec::new();
    for one in written {
        if let Some(address) = problems.keep(place(one, mask.flatten(), &addresses)) {
            addresses.push(address);
        }
    }
    if addresses.len() < count {
        return StaticAddresses::default();
    }
    fits_one_ipv4(wanted, &mut addresses, stack, problems);
    let gateways = gateway::read(&wanted.gateways, &addresses, problems);
    let decided = wanted.gateways == [NONE] || gateways.iter().any(|gateway| gateway.address.is_ipv6());
    StaticAddresses { mac, addresses, gateways, router_advertisements: !decided }
}

/// An address in its network. `before` are those that were read before it.
fn place(written: Written, mask: Option<u8>, before: &[Address]) -> Result<Address> {
    let Written { address, prefix } = written;
    if before.iter().any(|other| other.address == address) {
        return Err(Error::config(format!("--ip names {address} twice")).hint("Name it once."));
    }
    let prefix = match (address, prefix, mask) {
        (IpAddr::V4(_), Some(prefix), Some(mask)) if prefix != mask => {
            return Err(Error::config(format!(
                "--ip {address}/{prefix} and --mask, which is /{mask}, differ"
            ))
            .hint("Leave --mask out: the prefix length says the same."));
        }
        (_, Some(prefix), _) => prefix,
        (IpAddr::V4(_), None, Some(mask)) => mask,
        (IpAddr::V4(address), None, None) => address::by_class(address),
        (IpAddr::V6(_), None, _) => address::IPV6_PREFIX,
    };
    let placed = Address { address, prefix, broadcast: None };
    if address::is_link_local(address) {
        return Err(Error::config(format!("--ip {address} holds on one link only"))
            .hint("Every interface makes such an address by itself; name one that others know."));
    }
    match end_of_network(&placed, address) {
        None => Ok(placed),
        Some(what) => Err(Error::config(format!("--ip {placed} is {what}")).hint(format!(
            "Name an address between {} and {}.",
            placed.first(),
            placed.last()
        ))),
    }
}

/// What an address is, where it is an end of a network and so not a machine's. A network of one or two
/// addresses has no such ends (RFC 3021); one of IPv6 has no broadcast address, and its first one is every
/// router's (RFC 4291, 2.6.1).
fn end_of_network(network: &Address, address: IpAddr) -> Option<&'static str> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if network.prefix + 1 >= bits {
        None
    } else if address == network.first() {
        Some("the address of the network itself")
    } else if address.is_ipv4() && address == network.last() {
        Some("the broadcast address of its network")
    } else {
        None
    }
}

/// Reads what is said of the one IPv4 address: network and broadcast address.
fn fits_one_ipv4(
    wanted: &appliance::Network,
    addresses: &mut [Address],
    stack: Option<NetworkStack>,
    problems: &mut Problems,
) {
    let mut of_ipv4: Vec<&mut Address> =
        addresses.iter_mut().filter(|address| address.address.is_ipv4()).collect();
    let given = [("--mask", &wanted.mask), ("--net", &wanted.network), ("--bcast", &wanted.broadcast)];
    for (option, _) in given.iter().filter(|(_, text)| text.is_some()) {
        let error = match of_ipv4.len() {
            0 => Error::config(format!("{option} is for an IPv4 address, and --ip names none"))
                .hint("Write the prefix length of an IPv6 address behind it: 2001:db8::10/64."),
            1 => continue,
            _ if *option == "--mask" => continue,
            _ => Error::config(format!("{option} is for one IPv4 address, and --ip names several"))
                .hint("Write a prefix length behind each address instead: 192.0.2.10/24."),
        };
        problems.note(error);
    }
    let [address] = &mut of_ipv4[..] else { return };
    if let Some(text) = &wanted.network {
        problems.keep(is_network_of(address, text));
    }
    if let Some(text) = &wanted.broadcast {
        address.broadcast = problems.keep(broadcast(address, text, stack)).flatten();
    }
}

fn is_network_of(address: &Address, text: &str) -> Result<()> {
    let network = address::any("--net", text)?;
    if network == address.first() {
        return Ok(());
    }
    let first = address.first();
    Err(Error::config(format!("--net {network} is not the network of --ip {address}, which is {first}"))
        .hint("Leave --net out, or correct the prefix length of --ip, or --mask."))
}

/// The broadcast address; none where it is the network's last one, as everywhere.
fn broadcast(address: &Address, text: &str, stack: Option<NetworkStack>) -> Result<Option<Ipv4Addr>> {
    let wrong = |what: &str| Error::config(format!("--bcast {text} {what}"));
    let last = address.last();
    let broadcast = match address::any("--bcast", text)? {
        same if same == last => return Ok(None),
        IpAddr::V4(broadcast) => broadcast,
        IpAddr::V6(_) => {
            return Err(wrong("is an IPv6 address, and IPv6 has no broadcast").hint("Leave --bcast out."));
        }
    };
    let cure = format!("Leave --bcast out: it is {last} then.");
    if !address.contains(broadcast.into()) {
        return Err(wrong(&format!("is not in the network of --ip {address}")).hint(cure));
    }
    if address.address == broadcast {
        return Err(wrong("is the machine's own address").hint(cure));
    }
    if stack == Some(NetworkStack::Netplan) {
        return Err(wrong("cannot be set by netplan, which the release has").hint(cure));
    }
    Ok(Some(broadcast))
}
