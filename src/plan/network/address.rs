//! Addresses, masks and prefix lengths as users write them, and what an address of a machine cannot be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::checks;
use super::model::Address;
use crate::error::{Error, Result};

/// The prefix length of an IPv6 address where none is named: that of nearly every link (RFC 4291, 2.5.4).
pub(super) const IPV6_PREFIX: u8 = 64;

/// An address as it was written.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    pub(super) address: IpAddr,
    /// Its prefix length, where one was written.
    pub(super) prefix: Option<u8>,
}

/// Reads `ADDRESS` or `ADDRESS/PREFIX`; the prefix of an IPv4 address may be a mask.
pub(super) fn with_prefix(option: &str, text: &str) -> Result<Written> {
    is_alone(option, text)?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address = of_host(option, address)?;
    let prefix = match (address, prefix) {
        (_, None) => None,
        (IpAddr::V4(_), Some(prefix)) => Some(mask(option, prefix)?),
        (IpAddr::V6(_), Some(prefix)) => Some(ipv6_prefix(option, text, prefix)?),
    };
    Ok(Written { address, prefix })
}

fn ipv6_prefix(option: &str, text: &str, prefix: &str) -> Result<u8> {
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let length = prefix.parse().ok().filter(|length| digits && (1..=128).contains(length));
    length.ok_or_else(|| {
        Error::config(format!("{option} {text} has no prefix length of IPv6 after its slash"))
            .hint("Write a number from 1 to 128, such as 64.")
    })
}

/// Reads a mask as four numbers, or as a prefix length.
pub(super) fn mask(option: &str, text: &str) -> Result<u8> {
    let word = text.strip_prefix('/').unwrap_or(text);
    let length = if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        word.parse().ok().filter(|length| (1..=32).contains(length))
    } else {
        word.parse::<Ipv4Addr>().ok().and_then(prefix_of)
    };
    length.ok_or_else(|| {
        Error::config(format!("{option}: `{text}` is not a netmask"))
            .hint("Write it as 255.255.255.0 or as the number of its leading ones, 24, from 1 to 32.")
    })
}

/// The number of leading ones of a mask; none where they are not all of its ones, or where it has none.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (ones > 0 && bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// The prefix length by the class of an address (RFC 791, 3.2), of which vmbuilder made its masks; the
/// address is one of a host.
pub(super) fn by_class(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [..128, ..] => 8,
        [128..192, ..] => 16,
        _ => 24,
    }
}

/// Reads the address of a machine: one that packets can be sent to beyond the machine itself.
pub(super) fn of_host(option: &str, text: &str) -> Result<IpAddr> {
    let address = any(option, text)?;
    match what_it_is_instead(address) {
        None => Ok(address),
        Some(what) => {
            Err(Error::config(format!("{option} {address} cannot be a machine's address: it {what}"))
                .hint(format!("Give {option} the address of a single machine that others can reach.")))
        }
    }
}

/// Refuses several addresses that no commas part.
fn is_alone(option: &str, text: &str) -> Result<()> {
    match checks::list_hint(text, &[' ', '\t', ';'], |_| true) {
        Some(hint) if ["--ip", "--gw", "--dns"].contains(&option) => {
            Err(Error::config(format!("{option}: `{text}` is not an address")).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Reads an address of any kind.
pub(super) fn any(option: &str, text: &str) -> Result<IpAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    is_alone(option, text)?;
    if let Some(address) = historical(text) {
        return Err(Error::config(format!("{option}: `{text}` is not written as four decimal numbers"))
            .hint(format!("Programs disagree on such forms of an address; some take it for {address}.")));
    }
    let error = Error::config(format!("{option}: `{text}` is not an address"));
    Err(match text.split_once('%') {
        Some((address, _)) => error.hint(format!("Name no interface in it: {address}.")),
        None => error.hint("Write an address such as 192.0.2.10 or 2001:db8::10."),
    })
}

/// What an address is for, where no single machine can be reached by it. The blocks are those of the IANA
/// special-purpose address registries (RFC 6890).
fn what_it_is_instead(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [0, ..] => Some("stands for this network itself"),
            [127, ..] => Some("is a loopback address"),
            [224..240, ..] => Some("is the address of a group"),
            [240..=255, ..] => Some("is reserved"),
            _ => None,
        },
        IpAddr::V6(address) if address.is_multicast() => Some("is the address of a group"),
        IpAddr::V6(address) if address.is_loopback() => Some("is a loopback address"),
        // Unspecified, and the two ways in which IPv4 addresses were put into IPv6 ones (RFC 4291, 2.5.5).
        IpAddr::V6(address) if matches!(address.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, ..]) => {
            Some("is reserved")
        }
        IpAddr::V6(_) => None,
    }
}

/// Whether an address holds on one link only (RFC 4291, 2.5.6).
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What `inet_aton(3)` makes of a text: one to four numbers, octal and hexadecimal ones too, of which the
/// last one fills what is left. vmbuilder took such addresses.
fn historical(text: &str) -> Option<Ipv4Addr> {
    let number = |word: &str| -> Option<u32> {
        let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if word.len() > 1 && word.starts_with('0') => (word, 8),
            None => (word, 10),
        };
        if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
    };
    let words: Vec<&str> = text.split('.').collect();
    let (last, heads) = words.split_last()?;
    let mut address = 0;
    for (head, shift) in heads.iter().zip([24, 16, 8]) {
        address |= number(head).filter(|value| *value < 256)? << shift;
    }
    let room = u32::MAX.checked_shr(u32::try_from(heads.len()).ok()? * 8)?;
    Some(Ipv4Addr::from(address | number(last).filter(|value| *value <= room)?))
}

impl Address {
    /// The first address of the network, which names it.
    pub fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & !self.ipv4_rest()).into(),
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !self.ipv6_rest()).into(),
        }
    }

    /// The last address of the network.
    pub fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) | self.ipv4_rest()).into(),
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) | self.ipv6_rest()).into(),
        }
    }

    /// The netmask, for an IPv4 address.
    pub fn mask(&self) -> Option<Ipv4Addr> {
        self.address.is_ipv4().then(|| Ipv4Addr::from(!self.ipv4_rest()))
    }

    /// Whether another address is in the network.
    pub fn contains(&self, other: IpAddr) -> bool {
        other.is_ipv4() == self.address.is_ipv4() && (self.first()..=self.last()).contains(&other)
    }

    /// Whether the network consists of the address alone.
    pub fn is_alone(&self) -> bool {
        self.first() == self.last()
    }

    /// The bits behind the prefix.
    fn ipv4_rest(&self) -> u32 {
        u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0)
    }

    fn ipv6_rest(&self) -> u128 {
        u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_numbers_or_addresses() {
        let cases = [
            ("255.255.255.0", Some(24)),
            ("255.255.240.0", Some(20)),
            ("255.255.255.255", Some(32)),
            ("128.0.0.0", Some(1)),
            ("24", Some(24)),
            ("/24", Some(24)),
            ("32", Some(32)),
            ("0.0.0.0", None),
            ("0", None),
            ("33", None),
            ("999", None),
            ("", None),
            ("/", None),
            ("+24", None),
            ("255.0.255.0", None),
            ("0.0.0.255", None),
            ("255.255.255", None),
        ];
        for (text, expected) in cases {
            assert_eq!(mask("--mask", text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn historical_forms_are_told_what_they_may_mean() {
        let cases = [
            ("10.1", Some([10, 0, 0, 1])),
            ("10.1.2", Some([10, 1, 0, 2])),
            ("167772161", Some([10, 0, 0, 1])),
            ("192.168.010.1", Some([192, 168, 8, 1])),
            ("0x0a.1", Some([10, 0, 0, 1])),
            ("10.16777216", None),
            ("256.1", None),
            ("10.+1", None),
            ("10.", None),
            ("1.2.3.4.5", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(historical(text).map(|address| address.octets()), expected, "{text}");
        }
    }

    #[test]
    fn a_class_gives_a_mask() {
        for (address, prefix) in
            [("1.0.0.1", 8), ("126.1.1.1", 8), ("128.1.1.1", 16), ("191.1.1.1", 16), ("192.1.1.1", 24)]
        {
            assert_eq!(by_class(address.parse().unwrap()), prefix, "{address}");
        }
    }

    #[test]
    fn networks_have_ends() {
        let cases = [
            ("192.0.2.10", 24, "192.0.2.0", "192.0.2.255"),
            ("192.0.2.10", 31, "192.0.2.10", "192.0.2.11"),
            ("192.0.2.10", 32, "192.0.2.10", "192.0.2.10"),
            ("192.0.2.10", 1, "128.0.0.0", "255.255.255.255"),
            ("2001:db8::10", 64, "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
            ("2001:db8::10", 128, "2001:db8::10", "2001:db8::10"),
        ];
        for (text, prefix, first, last) in cases {
            let address = Address { address: text.parse().unwrap(), prefix, broadcast: None };
            assert_eq!(
                (address.first().to_string(), address.last().to_string()),
                (first.into(), last.into())
            );
            assert!(address.contains(address.address));
            assert!(!address.contains("198.51.100.1".parse().unwrap()) || prefix == 1);
            assert_eq!(address.is_alone(), first == last);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-fx:./%+-]{0,24}") {
            let _ = (with_prefix("--ip", &text), mask("--mask", &text), historical(&text));
        }
    }
}
