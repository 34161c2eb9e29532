use super::*;

/// Options by vmbuilder's names, several values with commas between them.
fn read_options(options: &[(&str, &str)], stack: NetworkStack) -> Result<Request, Vec<Error>> {
    let mut wanted = appliance::Network::default();
    let mut domain = None;
    for (option, value) in options {
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match *option {
            "ip" => wanted.addresses = list(),
            "mask" => wanted.mask = Some((*value).to_owned()),
            "net" => wanted.network = Some((*value).to_owned()),
            "bcast" => wanted.broadcast = Some((*value).to_owned()),
            "gw" => wanted.gateways = list(),
            "dns" => wanted.name_servers = list(),
            "mac" => wanted.mac = Some((*value).to_owned()),
            "bridge" => wanted.bridge = Some((*value).to_owned()),
            "network" => wanted.libvirt_network = Some((*value).to_owned()),
            "domain" => domain = Some(*value),
            other => panic!("{other}"),
        }
    }
    read(&wanted, domain, Some(stack))
}

fn good(options: &[(&str, &str)]) -> Request {
    read_options(options, NetworkStack::Networkd).unwrap_or_else(|errors| panic!("{options:?}: {errors:?}"))
}

/// Addresses, gateways and name servers, in words.
fn summary(request: &Request) -> String {
    let Some(fixed) = request.guest.static_addresses() else { return "dhcp".to_owned() };
    let join = |words: Vec<String>| words.join(" ");
    let gateway =
        |gateway: &Gateway| format!("{}{}", gateway.address, if gateway.on_link { " on link" } else { "" });
    format!(
        "{} via {} dns {}",
        join(fixed.addresses.iter().map(Address::to_string).collect()),
        join(fixed.gateways.iter().map(gateway).collect()),
        join(request.guest.name_servers.iter().map(ToString::to_string).collect()),
    )
}

#[test]
fn what_is_left_out_is_filled_in() {
    let cases: [(&[(&str, &str)], &str); 26] = [
        (&[], "dhcp"),
        (&[("ip", "DHCP")], "dhcp"),
        (&[("ip", "192.168.5.10")], "192.168.5.10/24 via 192.168.5.1 dns 192.168.5.1"),
        (&[("ip", "10.2.3.4")], "10.2.3.4/8 via 10.0.0.1 dns 10.0.0.1"),
        (&[("ip", "128.1.2.3")], "128.1.2.3/16 via 128.1.0.1 dns 128.1.0.1"),
        (&[("ip", "191.1.2.3")], "191.1.2.3/16 via 191.1.0.1 dns 191.1.0.1"),
        (&[("ip", "223.1.2.3")], "223.1.2.3/24 via 223.1.2.1 dns 223.1.2.1"),
        (&[("ip", "192.0.2.70/26")], "192.0.2.70/26 via 192.0.2.65 dns 192.0.2.65"),
        (&[("ip", "192.0.2.70/255.255.255.192")], "192.0.2.70/26 via 192.0.2.65 dns 192.0.2.65"),
        (&[("ip", "192.0.2.70"), ("mask", "255.255.255.192")], "192.0.2.70/26 via 192.0.2.65 dns 192.0.2.65"),
        (&[("ip", "192.0.2.70/26"), ("mask", "26")], "192.0.2.70/26 via 192.0.2.65 dns 192.0.2.65"),
        (
            &[("ip", "192.0.2.70"), ("net", "192.0.2.0"), ("bcast", "192.0.2.255")],
            "192.0.2.70/24 via 192.0.2.1 dns 192.0.2.1",
        ),
        (&[("ip", "192.0.2.70"), ("gw", "192.0.2.254")], "192.0.2.70/24 via 192.0.2.254 dns 192.0.2.254"),
        (&[("ip", "192.0.2.70"), ("gw", "none")], "192.0.2.70/24 via  dns "),
        (&[("ip", "192.0.2.1"), ("gw", "none")], "192.0.2.1/24 via  dns "),
        (&[("ip", "192.0.2.70"), ("dns", "none")], "192.0.2.70/24 via 192.0.2.1 dns "),
        (
            &[("ip", "192.0.2.70"), ("dns", "9.9.9.9,127.0.0.1,9.9.9.9,2620:fe::fe")],
            "192.0.2.70/24 via 192.0.2.1 dns 9.9.9.9 127.0.0.1 2620:fe::fe",
        ),
        (&[("ip", "192.0.2.70/31")], "192.0.2.70/31 via 192.0.2.71 dns 192.0.2.71"),
        (&[("ip", "192.0.2.71/31")], "192.0.2.71/31 via 192.0.2.70 dns 192.0.2.70"),
        (
            &[("ip", "192.0.2.70/32"), ("gw", "198.51.100.1")],
            "192.0.2.70/32 via 198.51.100.1 on link dns 198.51.100.1",
        ),
        (&[("ip", "2001:db8::10")], "2001:db8::10/64 via  dns "),
        (
            &[("ip", "2001:db8::10/48"), ("gw", "2001:DB8:0:ff::1")],
            "2001:db8::10/48 via 2001:db8:0:ff::1 dns 2001:db8:0:ff::1",
        ),
        (&[("ip", "2001:db8::10"), ("gw", "fe80::1")], "2001:db8::10/64 via fe80::1 dns "),
        (
            &[("ip", "2001:db8::10/128"), ("gw", "2001:db8:1::1")],
            "2001:db8::10/128 via 2001:db8:1::1 on link dns 2001:db8:1::1",
        ),
        (
            &[("ip", "2001:db8::10,192.0.2.70"), ("gw", "2001:db8::1")],
            "2001:db8::10/64 192.0.2.70/24 via 192.0.2.1 2001:db8::1 dns 192.0.2.1",
        ),
        (
            &[("ip", "192.0.2.70/24,198.51.100.7/24,2001:db8::10/64"), ("gw", "198.51.100.1")],
            "192.0.2.70/24 198.51.100.7/24 2001:db8::10/64 via 198.51.100.1 dns 198.51.100.1",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(summary(&good(options)), expected, "{options:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_cure() {
    let cases: [(&[(&str, &str)], &str); 62] = [
        (&[("ip", "10.1")], "--ip: `10.1` is not written as four decimal numbers"),
        (&[("ip", "192.168.010.1")], "--ip: `192.168.010.1` is not written as four decimal numbers"),
        (&[("ip", "300.1.1.1")], "--ip: `300.1.1.1` is not an address"),
        (&[("ip", "192.168.5.10/24/7")], "--ip: `24/7` is not a netmask"),
        (&[("ip", "192.168.5.10:22")], "--ip: `192.168.5.10:22` is not an address"),
        (&[("ip", "web.example.org")], "--ip: `web.example.org` is not an address"),
        (&[("ip", "none")], "--ip: `none` is not an address"),
        (&[("ip", "fe80::1%eth0")], "--ip: `fe80::1%eth0` is not an address"),
        (&[("ip", "fe80::1")], "--ip fe80::1 holds on one link only"),
        (&[("ip", "dhcp,192.0.2.10")], "--ip names both dhcp and an address"),
        (&[("ip", "192.0.2.10/33")], "--ip: `33` is not a netmask"),
        (&[("ip", "192.0.2.10/0")], "--ip: `0` is not a netmask"),
        (&[("ip", "192.0.2.10/")], "--ip: `` is not a netmask"),
        (&[("ip", "192.0.2.10/-8")], "--ip: `-8` is not a netmask"),
        (&[("ip", "2001:db8::10/129")], "--ip 2001:db8::10/129 has no prefix length of IPv6 after its slash"),
        (&[("ip", "2001:db8::10/+64")], "--ip 2001:db8::10/+64 has no prefix length of IPv6 after its slash"),
        (
            &[("ip", "0.1.2.3")],
            "--ip 0.1.2.3 cannot be a machine's address: it stands for this network itself",
        ),
        (&[("ip", "127.0.0.5")], "--ip 127.0.0.5 cannot be a machine's address: it is a loopback address"),
        (
            &[("ip", "224.0.0.251")],
            "--ip 224.0.0.251 cannot be a machine's address: it is the address of a group",
        ),
        (
            &[("ip", "255.255.255.255/24")],
            "--ip 255.255.255.255 cannot be a machine's address: it is reserved",
        ),
        (&[("ip", "::1")], "--ip ::1 cannot be a machine's address: it is a loopback address"),
        (&[("ip", "::")], "--ip :: cannot be a machine's address: it is reserved"),
        (&[("ip", "ff02::1")], "--ip ff02::1 cannot be a machine's address: it is the address of a group"),
        (
            &[("ip", "::ffff:192.0.2.1")],
            "--ip ::ffff:192.0.2.1 cannot be a machine's address: it is reserved",
        ),
        (&[("ip", "192.0.2.0/24")], "--ip 192.0.2.0/24 is the address of the network itself"),
        (&[("ip", "192.0.2.255/24")], "--ip 192.0.2.255/24 is the broadcast address of its network"),
        (&[("ip", "2001:db8::/64")], "--ip 2001:db8::/64 is the address of the network itself"),
        (&[("ip", "192.0.2.10,192.0.2.10/25")], "--ip names 192.0.2.10 twice"),
        (
            &[("ip", "192.0.2.1")],
            "the gateway would be 192.0.2.1, the first address of the network, which is the machine's own",
        ),
        (&[("ip", "192.0.2.9/32")], "there is no gateway in the network of --ip 192.0.2.9/32"),
        (&[("ip", "192.0.2.10"), ("mask", "255.0.255.0")], "--mask: `255.0.255.0` is not a netmask"),
        (&[("ip", "192.0.2.10"), ("mask", "0.0.0.255")], "--mask: `0.0.0.255` is not a netmask"),
        (
            &[("ip", "192.0.2.10/24"), ("mask", "255.255.0.0")],
            "--ip 192.0.2.10/24 and --mask, which is /16, differ",
        ),
        (
            &[("ip", "2001:db8::10"), ("mask", "255.255.0.0")],
            "--mask is for an IPv4 address, and --ip names none",
        ),
        (
            &[("ip", "192.0.2.10"), ("net", "192.0.3.0")],
            "--net 192.0.3.0 is not the network of --ip 192.0.2.10/24, which is 192.0.2.0",
        ),
        (
            &[("ip", "192.0.2.10"), ("net", "192.0.2")],
            "--net: `192.0.2` is not written as four decimal numbers",
        ),
        (
            &[("ip", "192.0.2.10,192.0.2.11"), ("net", "192.0.2.0")],
            "--net is for one IPv4 address, and --ip names several",
        ),
        (
            &[("ip", "192.0.2.10"), ("bcast", "192.0.3.255")],
            "--bcast 192.0.3.255 is not in the network of --ip 192.0.2.10/24",
        ),
        (&[("ip", "192.0.2.10"), ("bcast", "192.0.2.10")], "--bcast 192.0.2.10 is the machine's own address"),
        (
            &[("ip", "192.0.2.10"), ("bcast", "ff02::1")],
            "--bcast ff02::1 is an IPv6 address, and IPv6 has no broadcast",
        ),
        (&[("ip", "192.0.2.10"), ("gw", "192.0.2.10")], "--gw 192.0.2.10 is the machine's own address"),
        (
            &[("ip", "192.0.2.10"), ("gw", "198.51.100.1")],
            "--gw 198.51.100.1 is not in the machine's network 192.0.2.0/24",
        ),
        (&[("ip", "192.0.2.10"), ("gw", "192.0.2.0")], "--gw 192.0.2.0 is the address of the network itself"),
        (
            &[("ip", "192.0.2.10"), ("gw", "192.0.2.255")],
            "--gw 192.0.2.255 is the broadcast address of its network",
        ),
        (
            &[("ip", "192.0.2.10"), ("gw", "192.0.2.1,192.0.2.2")],
            "--gw 192.0.2.2 is a second gateway of IPv4",
        ),
        (
            &[("ip", "192.0.2.10"), ("gw", "2001:db8::1")],
            "--gw 2001:db8::1 is a gateway of IPv6, and --ip names no such address",
        ),
        (
            &[("ip", "2001:db8::10"), ("gw", "192.0.2.1")],
            "--gw 192.0.2.1 is a gateway of IPv4, and --ip names no such address",
        ),
        (&[("ip", "192.0.2.10"), ("gw", "none,192.0.2.1")], "--gw names both none and an address"),
        (&[("ip", "192.0.2.10"), ("gw", "router")], "--gw: `router` is not an address"),
        (
            &[("ip", "192.0.2.10"), ("dns", "0.0.0.0")],
            "--dns 0.0.0.0 cannot be a machine's address: it stands for this network itself",
        ),
        (&[("ip", "192.0.2.10"), ("dns", "fe80::1")], "--dns fe80::1 holds on one link only"),
        (&[("ip", "192.0.2.10"), ("dns", "8.8")], "--dns: `8.8` is not written as four decimal numbers"),
        (&[("mask", "255.255.255.0")], "--mask means nothing for a machine that asks DHCP"),
        (&[("ip", "dhcp"), ("net", "192.0.2.0")], "--net means nothing for a machine that asks DHCP"),
        (&[("bcast", "192.0.2.255")], "--bcast means nothing for a machine that asks DHCP"),
        (&[("gw", "192.0.2.1")], "--gw means nothing for a machine that asks DHCP"),
        (&[("dns", "none")], "--dns none means nothing for a machine that asks DHCP"),
        (&[("mac", "52:54:00:12:34")], "--mac 52:54:00:12:34 is not a MAC address"),
        (&[("bridge", "br/0")], "--bridge: `br/0` is not the name of a bridge"),
        (&[("bridge", "a-bridge-of-16-b")], "--bridge: `a-bridge-of-16-b` is not the name of a bridge"),
        (&[("bridge", "br0"), ("network", "lan")], "--bridge and --network contradict each other"),
        (&[("network", "../lan")], "--network: `../lan` is not the name of a network of libvirt's"),
    ];
    for (options, expected) in cases {
        let errors = read_options(options, NetworkStack::Networkd).expect_err(expected);
        let messages: Vec<&str> = errors.iter().map(Error::message).collect();
        assert_eq!(messages, [expected], "{options:?}");
        assert!(errors.iter().all(|error| !error.hints().is_empty()), "{errors:?}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let options =
        [("ip", "10.1,127.0.0.1"), ("mask", "7.7.7.7"), ("mac", "x"), ("dns", "y,z"), ("bridge", "")];
    let errors = read_options(&options, NetworkStack::Networkd).unwrap_err();
    let options: Vec<&str> =
        errors.iter().map(|error| error.message().split([' ', ':']).next().unwrap_or_default()).collect();
    assert_eq!(options, ["--mac", "--bridge", "--dns", "--dns", "--mask", "--ip", "--ip"]);
}

#[test]
fn the_stack_decides_what_can_be_said() {
    let broadcast = [("ip", "192.0.2.10"), ("bcast", "192.0.2.0")];
    let request = good(&broadcast);
    let fixed = request.guest.static_addresses().unwrap();
    assert_eq!(fixed.addresses[0].broadcast, Some(Ipv4Addr::new(192, 0, 2, 0)));
    let errors = read_options(&broadcast, NetworkStack::Netplan).unwrap_err();
    assert!(errors[0].message().contains("netplan"), "{errors:?}");

    let many = [("dns", "9.9.9.1,9.9.9.2,9.9.9.3,9.9.9.4")];
    assert_eq!(good(&many).guest.name_servers.len(), 4);
    assert!(read_options(&many, NetworkStack::Ifupdown).is_err());

    // Only where the stack can tell interfaces by it.
    let mac = [("ip", "192.0.2.10"), ("mac", "52-54-00-AB-CD-EF")];
    for (stack, expected) in [(NetworkStack::Netplan, true), (NetworkStack::Ifupdown, false)] {
        let request = read_options(&mac, stack).unwrap();
        assert_eq!(request.guest.static_addresses().unwrap().mac.is_some(), expected);
        assert_eq!(request.guest.counts_interfaces(), !expected);
        assert_eq!(request.nic(Uuid::nil()).mac.to_string(), "52:54:00:ab:cd:ef");
    }
}

#[test]
fn dhcp_takes_name_servers_and_a_search_domain() {
    let request = good(&[("dns", "9.9.9.9"), ("domain", "example.org"), ("bridge", "br0")]);
    assert_eq!(request.guest.name_servers, [IpAddr::from([9, 9, 9, 9])]);
    assert_eq!(request.guest.search.as_deref(), Some("example.org"));
    assert!(!request.guest.counts_interfaces());
    let nic = request.nic(Uuid::from_u128(7));
    assert_eq!(
        (nic.mac, nic.connection),
        (Mac::of_machine(Uuid::from_u128(7)), Connection::Bridge("br0".to_owned()))
    );
    assert_eq!(good(&[("network", "lan")]).connection, Connection::LibvirtNetwork("lan".to_owned()));
}

#[test]
fn routers_are_listened_to_where_nothing_is_said() {
    let cases: [(&[(&str, &str)], bool); 4] = [
        (&[("ip", "192.0.2.10")], true),
        (&[("ip", "192.0.2.10,2001:db8::10"), ("gw", "192.0.2.1")], true),
        (&[("ip", "192.0.2.10"), ("gw", "none")], false),
        (&[("ip", "2001:db8::10"), ("gw", "2001:db8::1")], false),
    ];
    for (options, expected) in cases {
        let request = good(options);
        assert_eq!(request.guest.static_addresses().unwrap().router_advertisements, expected, "{options:?}");
    }
}

#[test]
fn a_planned_network_is_plain_data() {
    let request = good(&[("ip", "192.0.2.10,2001:db8::10"), ("mac", "52:54:00:ab:cd:ef")]);
    let text = serde_json::to_value(&request.guest).unwrap();
    assert_eq!(
        text,
        serde_json::json!({
            "addressing": {
                "mode": "static",
                "mac": "52:54:00:ab:cd:ef",
                "addresses": [
                    { "address": "192.0.2.10", "prefix": 24, "broadcast": null },
                    { "address": "2001:db8::10", "prefix": 64, "broadcast": null },
                ],
                "gateways": [{ "address": "192.0.2.1", "on_link": false }],
                "router_advertisements": true,
            },
            "name_servers": ["192.0.2.1"],
            "search": null,
        })
    );
    assert_eq!(serde_json::from_value::<GuestNetwork>(text).unwrap(), request.guest);
}
