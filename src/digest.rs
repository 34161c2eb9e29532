//! SHA-256, and how digests are written: in hexadecimal, as sha256sum(1) and the archives' indices do.

use std::io::{ErrorKind, Read, Result, Write};

use sha2::{Digest, Sha256};

/// How much is copied at once.
const BUFFER: usize = 256 * 1024;

/// Bytes in hexadecimal.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of `content` in hexadecimal.
pub fn sha256(content: impl AsRef<[u8]>) -> String {
    hex(Sha256::digest(content))
}

/// Copies `source` to its end, and returns the SHA-256 of what was copied.
///
/// # Errors
///
/// Those of reading and writing.
pub fn copy(source: &mut dyn Read, target: &mut dyn Write) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = buffer.get(..count).unwrap_or_default();
        hash.update(part);
        target.write_all(part)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_written_as_sha256sum_writes_them() {
        assert_eq!(hex([0, 0x0a, 0xff]), "000aff");
        assert_eq!(sha256("abc"), ABC);
    }

    #[test]
    fn what_is_copied_is_what_is_hashed() {
        let content = vec![7; BUFFER + 5];
        let mut copied = Vec::new();
        assert_eq!(hex(copy(&mut content.as_slice(), &mut copied).unwrap()), sha256(&content));
        assert_eq!(copied, content);
    }
}
