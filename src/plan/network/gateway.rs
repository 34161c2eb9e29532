//! Default routes: which gateway each family has.

use std::net::{IpAddr, Ipv4Addr};

use super::model::{Address, Gateway};
use super::{address, end_of_network, is_none_alone};
use crate::error::{Error, Result};
use crate::plan::problems::Problems;

/// Reads the gateways. One of IPv4 that was not named is the first address of the first network. One of
/// IPv6 has no such place: routers announce themselves.
pub(super) fn read(texts: &[String], addresses: &[Address], problems: &mut Problems) -> Vec<Gateway> {
    if is_none_alone("--gw", texts, problems) {
        return Vec::new();
    }
    let mut gateways: Vec<Gateway> = Vec::new();
    for text in texts.iter().filter(|text| *text != super::NONE) {
        let gateway = problems.keep(read_one(text, addresses, &gateways));
        gateways.extend(gateway);
    }
    // What is wrong with a named one is said; a default in its place would be another answer.
    let named_ipv4 = texts.iter().any(|text| !text.contains(':'));
    let first = addresses.iter().find(|address| address.address.is_ipv4());
    if let (false, Some(first)) = (named_ipv4, first) {
        gateways.extend(problems.keep(default(first, addresses)));
    }
    gateways.sort_by_key(|gateway| gateway.address.is_ipv6());
    gateways
}

fn read_one(text: &str, addresses: &[Address], before: &[Gateway]) -> Result<Gateway> {
    let gateway = address::of_host("--gw", text)?;
    let family = if gateway.is_ipv4() { "IPv4" } else { "IPv6" };
    let wrong = |what: String| Error::config(format!("--gw {gateway} {what}"));
    if before.iter().any(|other| other.address.is_ipv4() == gateway.is_ipv4()) {
        return Err(wrong(format!("is a second gateway of {family}"))
            .hint("Name one gateway for IPv4 and one for IPv6 at most."));
    }
    if addresses.iter().any(|own| own.address == gateway) {
        return Err(wrong("is the machine's own address".to_owned())
            .hint("Name the router, or say --gw none for a machine without a default route."));
    }
    let mut near = addresses.iter().filter(|own| own.address.is_ipv4() == gateway.is_ipv4()).peekable();
    if near.peek().is_none() {
        return Err(wrong(format!("is a gateway of {family}, and --ip names no such address"))
            .hint(format!("Name an address of {family} with --ip as well.")));
    }
    // Whoever has no network but his own address can only mean a router on the link (as data centres do).
    let on_link = near.clone().all(Address::is_alone) && !address::is_link_local(gateway);
    if on_link || address::is_link_local(gateway) {
        return Ok(Gateway { address: gateway, on_link });
    }
    let networks: Vec<String> = near.clone().map(|own| format!("{}/{}", own.first(), own.prefix)).collect();
    let Some(network) = near.find(|own| own.contains(gateway)) else {
        return Err(wrong(format!("is not in the machine's network {}", networks.join(" or "))).hint(format!(
            "Correct it, or the prefix length of --ip; with a prefix length of {} any router on the link will do.",
            if gateway.is_ipv4() { 32 } else { 128 }
        )));
    };
    match end_of_network(network, gateway) {
        Some(what) if gateway.is_ipv4() => Err(wrong(format!("is {what}")).hint("Name the router.")),
        _ => Ok(Gateway { address: gateway, on_link: false }),
    }
}

/// The first address of a network that a machine can have. vmbuilder's help promised it, and its last
/// versions took the one after the machine's own.
fn default(network: &Address, addresses: &[Address]) -> Result<Gateway> {
    const CURE: &str = "Name the gateway with --gw, or say --gw none for a machine without a default route.";
    if network.is_alone() {
        return Err(Error::config(format!("there is no gateway in the network of --ip {network}")).hint(CURE));
    }
    let next = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::from(Ipv4Addr::from(u32::from(address).saturating_add(1))),
        other => other,
    };
    let two_addresses = next(network.first()) == network.last();
    let gateway = match network.first() {
        first if two_addresses && first != network.address => first,
        first => next(first),
    };
    if addresses.iter().any(|own| own.address == gateway) {
        return Err(Error::config(format!(
            "the gateway would be {gateway}, the first address of the network, which is the machine's own"
        ))
        .hint(CURE));
    }
    Ok(Gateway { address: gateway, on_link: false })
}
