//! systemd.network(5). The sections that are used here have these names since systemd 245, which every
//! release with networkd alone has.

use std::fmt::Write as _;

use super::{FIRST, title};
use crate::plan::{Addressing, GuestNetwork, StaticAddresses};

/// The `.network` file.
pub(super) fn file(network: &GuestNetwork) -> String {
    let mut text = format!("# Written by rvmb: {}.\n[Match]\nType=ether\n", title(network));
    match &network.addressing {
        Addressing::Dhcp => text += "Name=en* eth*\n\n[Network]\nDHCP=yes\n",
        Addressing::Static(fixed) => {
            text += &match fixed.mac {
                Some(mac) => format!("MACAddress={mac}\n"),
                None => format!("Name={FIRST}\n"),
            };
            text += "\n[Network]\n";
            // Otherwise routers that announce themselves give addresses and a default route as well.
            if !fixed.router_advertisements {
                text += "IPv6AcceptRA=no\n";
            }
        }
    }
    // Writing to a String cannot fail.
    for server in &network.name_servers {
        let _ = writeln!(text, "DNS={server}");
    }
    if let Some(domain) = &network.search {
        let _ = writeln!(text, "Domains={domain}");
    }
    match &network.addressing {
        Addressing::Dhcp if network.name_servers.is_empty() => {}
        Addressing::Dhcp => {
            for section in ["DHCPv4", "DHCPv6", "IPv6AcceptRA"] {
                let _ = write!(text, "\n[{section}]\nUseDNS=no\n");
            }
        }
        Addressing::Static(fixed) => text += &addresses(fixed),
    }
    text
}

/// A section for each address and for each default route.
fn addresses(fixed: &StaticAddresses) -> String {
    let mut text = String::new();
    for address in &fixed.addresses {
        let _ = write!(text, "\n[Address]\nAddress={address}\n");
        if let Some(broadcast) = address.broadcast {
            let _ = writeln!(text, "Broadcast={broadcast}");
        }
    }
    for gateway in &fixed.gateways {
        let _ = write!(text, "\n[Route]\nGateway={}\n", gateway.address);
        if gateway.on_link {
            text += "GatewayOnLink=yes\n";
        }
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
