//! netplan's YAML (netplan(5)), in words that its first versions know, too: a default route is
//! `0.0.0.0/0` and not `default`, which is netplan 0.104's, nor `gateway4`, which the same version deprecates.

use std::fmt::Write as _;

use super::{FIRST, title};
use crate::plan::{Addressing, GuestNetwork, StaticAddresses};

/// The file below /etc/netplan.
pub(super) fn file(network: &GuestNetwork) -> String {
    let mut text = format!("# Written by rvmb: {}.\nnetwork:\n  version: 2\n  ethernets:\n", title(network));
    match &network.addressing {
        Addressing::Dhcp => {
            text += "    all:\n      match:\n        name: \"e*\"\n      dhcp4: true\n      dhcp6: true\n";
            if !network.name_servers.is_empty() {
                // networkd as netplan drives it knows one setting for both: they must not differ.
                for protocol in ["dhcp4", "dhcp6"] {
                    let _ = write!(text, "      {protocol}-overrides:\n        use-dns: false\n");
                }
            }
        }
        Addressing::Static(fixed) => text += &addresses(fixed),
    }
    text += &name_servers(network);
    text
}

fn addresses(fixed: &StaticAddresses) -> String {
    let mut text = match fixed.mac {
        Some(mac) => format!("    machine:\n      match:\n        macaddress: \"{mac}\"\n"),
        None => format!("    {FIRST}:\n"),
    };
    if !fixed.router_advertisements {
        text += "      accept-ra: false\n";
    }
    // Writing to a String cannot fail.
    text += "      addresses:\n";
    for address in &fixed.addresses {
        let _ = writeln!(text, "        - \"{address}\"");
    }
    if !fixed.gateways.is_empty() {
        text += "      routes:\n";
    }
    for gateway in &fixed.gateways {
        let everywhere = if gateway.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let _ = write!(text, "        - to: \"{everywhere}\"\n          via: \"{}\"\n", gateway.address);
        if gateway.on_link {
            text += "          on-link: true\n";
        }
    }
    text
}

fn name_servers(network: &GuestNetwork) -> String {
    let mut text = String::new();
    if !network.name_servers.is_empty() || network.search.is_some() {
        text += "      nameservers:\n";
    }
    if !network.name_servers.is_empty() {
        text += "        addresses:\n";
    }
    for server in &network.name_servers {
        let _ = writeln!(text, "          - \"{server}\"");
    }
    if let Some(domain) = &network.search {
        let _ = write!(text, "        search:\n          - \"{domain}\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_network_is_written() {
        insta::assert_snapshot!(super::super::written(super::file));
    }
}
