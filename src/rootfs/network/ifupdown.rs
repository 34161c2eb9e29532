//! interfaces(5), for releases that are older than netplan. Interfaces are known by name only, so the first
//! one is configured, whether the user named a MAC address or not.

use std::fmt::Write as _;

use super::FIRST;
use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Address, Addressing, GuestNetwork, StaticAddresses};

/// Sourced by dhclient-script(8) before it writes resolv.conf.
const DHCLIENT_HOOK: &str = "/etc/dhcp/dhclient-enter-hooks.d/rvmb";

/// Writes what ifupdown and dhclient read.
pub(super) fn configure(network: &GuestNetwork, root: &Root) -> Result<()> {
    root.write("/etc/network/interfaces", 0o644, file(network))?;
    match dhclient_hook(network) {
        Some(hook) => root.write(DHCLIENT_HOOK, 0o644, hook),
        None => Ok(()),
    }
}

/// /etc/network/interfaces.
fn file(network: &GuestNetwork) -> String {
    let what = match network.addressing {
        Addressing::Dhcp => "DHCP on",
        Addressing::Static(_) => "addresses for",
    };
    let mut text = format!(
        "# Written by rvmb: {what} the first Ethernet interface.\n\
         source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nauto {FIRST}\n"
    );
    match &network.addressing {
        Addressing::Dhcp => {
            let _ = writeln!(text, "iface {FIRST} inet dhcp");
        }
        Addressing::Static(fixed) => {
            let mut stanzas: Vec<String> =
                [false, true].into_iter().flat_map(|is_ipv6| family(fixed, is_ipv6)).collect();
            if let Some(first) = stanzas.first_mut() {
                *first += &for_resolvconf(network);
            }
            text += &stanzas.join("\n");
        }
    }
    text
}

/// What resolvconf(8) reads, for whoever installs it: it replaces the file that is there without it.
fn for_resolvconf(network: &GuestNetwork) -> String {
    let mut text = String::new();
    if !network.name_servers.is_empty() {
        let servers: Vec<String> = network.name_servers.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    dns-nameservers {}", servers.join(" "));
    }
    if let Some(domain) = &network.search {
        let _ = writeln!(text, "    dns-search {domain}");
    }
    text
}

/// A stanza for each address of a family; the first one has the default route.
fn family(fixed: &StaticAddresses, is_ipv6: bool) -> Vec<String> {
    let mut stanzas: Vec<String> = fixed.of_family(is_ipv6).map(|address| stanza(address, is_ipv6)).collect();
    if let Some(first) = stanzas.first_mut() {
        if let Some(gateway) = fixed.gateway(is_ipv6) {
            // ifupdown takes every gateway for one on the link. Writing to a String cannot fail.
            let _ = writeln!(first, "    gateway {}", gateway.address);
        }
        if !fixed.router_advertisements {
            // Without IPv6 in the kernel there is nothing to switch off.
            let _ = writeln!(first, "    pre-up echo 0 >/proc/sys/net/ipv6/conf/{FIRST}/accept_ra || true");
        }
    }
    stanzas
}

fn stanza(address: &Address, is_ipv6: bool) -> String {
    let family = if is_ipv6 { "inet6" } else { "inet" };
    let mut text = format!("iface {FIRST} {family} static\n    address {address}\n");
    if let Some(broadcast) = address.broadcast {
        let _ = writeln!(text, "    broadcast {broadcast}");
    }
    text
}

/// The user's name servers and search domain in place of those that DHCP names; none where it names them.
fn dhclient_hook(network: &GuestNetwork) -> Option<String> {
    let (Addressing::Dhcp, servers) = (&network.addressing, &network.name_servers) else { return None };
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let mut text = String::new();
    if !servers.is_empty() {
        let _ = writeln!(text, "new_domain_name_servers='{}'", servers.join(" "));
    }
    if let Some(domain) = &network.search {
        let _ = writeln!(text, "new_domain_search='{domain}'");
    }
    (!text.is_empty()).then(|| format!("# Written by rvmb: in place of what DHCP says.\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_written() {
        insta::assert_snapshot!(super::super::written(|network| {
            format!("{}{}", file(network), dhclient_hook(network).unwrap_or_default())
        }));
    }
}
