//! MAC addresses: what users write, and the one that a machine gets by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The first three bytes that QEMU and libvirt give to their interfaces. Bit 1 of the first one says that
/// the address is administered locally (IEEE 802, 8.2.2), so it belongs to no manufacturer.
const PREFIX: [u8; 3] = [0x52, 0x54, 0x00];

/// A MAC address of one interface, written in lower case with colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address of the machine of that identity: the same for every build of one plan.
    pub fn of_machine(id: Uuid) -> Mac {
        let seed = Uuid::new_v5(&id, b"first network interface");
        let [first, second, third, ..] = *seed.as_bytes();
        let [a, b, c] = PREFIX;
        Mac([a, b, c, first, second, third])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mac([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    /// Reads six pairs of hexadecimal digits with colons or hyphens between them. The error is what is
    /// wrong, in words that follow the address.
    fn from_str(text: &str) -> Result<Mac, String> {
        let no_mac = || "is not a MAC address".to_owned();
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pairs = text.split(separator);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(no_mac)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(no_mac());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| no_mac())?;
        }
        if pairs.next().is_some() {
            return Err(no_mac());
        }
        if bytes == [0; 6] {
            return Err("is the MAC address of no interface".to_owned());
        }
        // Bit 0 of the first byte (IEEE 802, 8.2.2).
        if bytes.first().is_some_and(|first| first & 1 == 1) {
            return Err("is the MAC address of a group, not of one interface".to_owned());
        }
        Ok(Mac(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Mac, String> {
        text.parse().map_err(|error| format!("`{text}` {error}"))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for text in ["52:54:00:AB:cd:0E", "52-54-00-ab-CD-0e"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "52:54:00:ab:cd:0e");
        }
        let mac: Mac = serde_json::from_str("\"52:54:00:AB:cd:0E\"").unwrap();
        assert_eq!(serde_json::to_string(&mac).unwrap(), "\"52:54:00:ab:cd:0e\"");
        assert!(serde_json::from_str::<Mac>("\"52:54\"").is_err());
    }

    #[test]
    fn what_is_no_address_of_one_interface_is_refused() {
        let cases = [
            ("", "is not a MAC address"),
            ("52:54:00:ab:cd", "is not a MAC address"),
            ("52:54:00:ab:cd:ef:00", "is not a MAC address"),
            ("52:54:00:ab:cd:eg", "is not a MAC address"),
            ("52:54:00:ab:cd:+f", "is not a MAC address"),
            ("525400abcdef", "is not a MAC address"),
            ("52:54:00:ab-cd-ef", "is not a MAC address"),
            ("52:54:0:ab:cd:ef", "is not a MAC address"),
            ("00:00:00:00:00:00", "is the MAC address of no interface"),
            ("ff:ff:ff:ff:ff:ff", "is the MAC address of a group, not of one interface"),
            ("01:00:5e:00:00:fb", "is the MAC address of a group, not of one interface"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Mac>(), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_machine_keeps_its_address() {
        let one = Mac::of_machine(Uuid::from_u128(1));
        assert_eq!(one, Mac::of_machine(Uuid::from_u128(1)));
        assert_ne!(one, Mac::of_machine(Uuid::from_u128(2)));
        assert!(one.to_string().starts_with("52:54:00:"));
        assert_eq!(one.to_string().parse(), Ok(one));
    }
}
