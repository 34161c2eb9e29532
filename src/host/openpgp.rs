//! Keys in OpenPGP's format, as far as it takes to tell one by its fingerprint: RFC 4880.
//!
//! What makes a signature good is left to apt and its verifier. Here it is only seen to it that a keyring
//! holds one certificate, that of the fingerprint, and nothing else that would be trusted with it.

use sha1_smol::Sha1;

/// Packets (section 4.3): secret keys and subkeys, and the public key that begins a certificate.
const SECRET_KEY: u8 = 5;
const SECRET_SUBKEY: u8 = 7;
const PUBLIC_KEY: u8 = 6;

/// Armor (section 6.2).
const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Hexadecimal digits of a fingerprint of version 4, which is a SHA-1 (section 12.2).
const DIGITS: usize = 40;

/// Whether a text is a fingerprint of version 4, with all its digits.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The certificate with that fingerprint, without armor; none where `keys`, with armor or without, does
/// not have it or cannot be read.
pub fn certificate(keys: &[u8], fingerprint: &str) -> Option<Vec<u8>> {
    let without_armor = std::str::from_utf8(keys).ok().and_then(dearmor);
    let keys = without_armor.as_deref().unwrap_or(keys);
    let mut found = Vec::new();
    let mut is_wanted = false;
    let mut rest = keys;
    while !rest.is_empty() {
        let packet = Packet::read(rest)?;
        match packet.tag {
            SECRET_KEY | SECRET_SUBKEY => return None,
            PUBLIC_KEY => {
                // A second one of the same name adds nothing.
                is_wanted = found.is_empty()
                    && self::fingerprint(packet.body)
                        .is_some_and(|own| own.eq_ignore_ascii_case(fingerprint));
            }
            _ => {}
        }
        let (whole, after) = rest.split_at_checked(packet.length)?;
        if is_wanted {
            found.extend_from_slice(whole);
        }
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

/// The fingerprint of a public key of version 4 (section 12.2).
fn fingerprint(body: &[u8]) -> Option<String> {
    if body.first() != Some(&4) {
        return None;
    }
    let mut hash = Sha1::new();
    hash.update(&[0x99]);
    hash.update(&u16::try_from(body.len()).ok()?.to_be_bytes());
    hash.update(body);
    Some(hash.digest().to_string())
}

/// A packet at the beginning of some bytes.
struct Packet<'a> {
    tag: u8,
    body: &'a [u8],
    /// With its header.
    length: usize,
}

impl<'a> Packet<'a> {
    /// Reads one (section 4.2); none for what is cut off, or of a length that only its end tells.
    fn read(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let first = *bytes.first()?;
        if first & 0x80 == 0 {
            return None;
        }
        let number = |from: usize, count: usize| -> Option<usize> {
            let bytes = bytes.get(from..from + count)?;
            Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
        };
        let (tag, start, size) = if first & 0x40 != 0 {
            let (start, size) = match number(1, 1)? {
                short @ 0..=191 => (2, short),
                middle @ 192..=223 => (3, ((middle - 192) << 8) + number(2, 1)? + 192),
                255 => (6, number(2, 4)?),
                _ => return None,
            };
            (first & 0x3f, start, size)
        } else {
            let count = match first & 3 {
                kind @ 0..=2 => 1 << kind,
                _ => return None,
            };
            ((first >> 2) & 0x0f, 1 + count, number(1, count)?)
        };
        let length = start.checked_add(size)?;
        Some(Packet { tag, body: bytes.get(start..length)?, length })
    }
}

/// Takes the armor off; none where there is none. Its checksum is not looked at: the fingerprint tells more.
fn dearmor(text: &str) -> Option<Vec<u8>> {
    let (_, inside) = text.split_once(BEGIN)?;
    let (inside, _) = inside.split_once(END)?;
    // Headers end with an empty line.
    let lines = inside.lines().map(str::trim).skip(1).skip_while(|line| !line.is_empty());
    let text: String = lines.take_while(|line| !line.starts_with('=')).collect();
    decode_base64(&text)
}

/// RFC 4648 section 4.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Gpg};

    #[test]
    fn keys_of_gpg_are_told_by_their_fingerprints() {
        if !testing::has("gpg") {
            return;
        }
        let (one, other) = (Gpg::with_key("one"), Gpg::with_key("other"));
        let plain = one.export(false);
        for armored in [false, true] {
            assert_eq!(certificate(&one.export(armored), &one.fingerprint), Some(plain.clone()));
            assert_eq!(certificate(&other.export(armored), &one.fingerprint), None);
        }
        // Only the one that is asked for is kept of several.
        let both = [other.export(false), plain.clone()].concat();
        assert_eq!(certificate(&both, &one.fingerprint.to_lowercase()), Some(plain.clone()));
        assert_eq!(certificate(&both, &one.fingerprint[8..]), None);
        assert_eq!(certificate(&plain[..plain.len() - 1], &one.fingerprint), None);
        let secret = [plain, vec![0x80 | (SECRET_KEY << 2), 0]].concat();
        assert_eq!(certificate(&secret, &one.fingerprint), None);
    }

    #[test]
    fn fingerprints_have_all_their_digits() {
        assert!(is_fingerprint("0123456789abcdef0123456789ABCDEF01234567"));
        for wrong in ["", "01234567", "0x23456789abcdef0123456789ABCDEF01234567", &"0".repeat(41)] {
            assert!(!is_fingerprint(wrong), "{wrong}");
        }
    }

    #[test]
    fn base64_is_that_of_its_standard() {
        for (text, bytes) in [("Zm9v", "foo"), ("Zm8=", "fo"), ("Zg==", "f"), ("", "")] {
            assert_eq!(decode_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decode_base64("Zm 9"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = certificate(&bytes, &"0".repeat(DIGITS));
        }
    }
}
