//! Password hashes, made here so that no password ever stands in argv or crosses into the tree.
//!
//! The salt follows from the plan, so that the same plan gives the same bytes; it still differs
//! between machines and between users.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::suite::PasswordHash;

/// Hashes a password for crypt(5), or takes over what already is a hash.
pub(super) fn hash(password: &str, user: &str, plan: Uuid, method: PasswordHash) -> Result<String> {
    if is_hash(password) {
        return Ok(password.to_owned());
    }
    let salt = Sha256::digest(format!("rvmb salt {plan} {user}"));
    let broken =
        |error: &dyn std::fmt::Display| Error::build(format!("hashing the password of {user}: {error}"));
    match method {
        PasswordHash::Yescrypt => {
            use yescrypt::PasswordHasher;
            let hasher = yescrypt::Yescrypt::default();
            let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt[..16]);
            hash.map(|hash| hash.to_string()).map_err(|error| broken(&error))
        }
        PasswordHash::Sha512crypt => {
            use sha_crypt::PasswordHasher;
            // Twelve bytes are the 16 characters that crypt(3) reads of a salt; it cuts longer ones.
            let hash = sha_crypt::ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &salt[..12]);
            hash.map(|hash| hash.to_string()).map_err(|error| broken(&error))
        }
    }
}

/// Whether a text is a hash of crypt(5) already: `$id$…$hash` of a method that today's releases know,
/// of the characters that a hash may have. Others could end the field or the line in /etc/shadow.
fn is_hash(password: &str) -> bool {
    let known = ["$y$", "$6$", "$5$", "$2b$", "$7$"];
    known.iter().any(|id| password.starts_with(id))
        && password.matches('$').count() >= 3
        && password.len() > 30
        && password.bytes().all(|byte| byte.is_ascii_graphic() && !b":;*!\\".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Uuid = uuid::uuid!("5e1a2d7c-9d0b-5c1e-8f3a-000000000001");

    /// What libcrypt of this host says, through perl, which every Debian machine has.
    fn libcrypt(password: &str, hash: &str) -> String {
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        let program = "print crypt($ARGV[0], $ARGV[1])";
        runner.command("perl").args(["-e", program, password, hash]).output().unwrap()
    }

    #[test]
    fn hashes_are_those_of_libcrypt() {
        if !crate::testing::has("perl") {
            return;
        }
        for method in [PasswordHash::Yescrypt, PasswordHash::Sha512crypt] {
            let hash = hash("correct horse", "bob", PLAN, method).unwrap();
            assert_eq!(hash, libcrypt("correct horse", &hash));
        }
    }

    #[test]
    fn the_same_plan_gives_the_same_hash_and_another_user_another() {
        let of = |user| hash("secret", user, PLAN, PasswordHash::Sha512crypt).unwrap();
        assert_eq!(of("bob"), of("bob"));
        assert_ne!(of("bob"), of("eve"));
    }

    #[test]
    fn ready_hashes_are_kept() {
        let ready = "$6$abcdefghijklmnop$0123456789012345678901234567890123456789";
        assert_eq!(hash(ready, "bob", PLAN, PasswordHash::Yescrypt).unwrap(), ready);
        assert!(!is_hash("$6$short"));
        for intruder in [":", "\n", " ", "ä", "!", "*"] {
            assert!(!is_hash(&format!("{ready}{intruder}")), "{intruder}");
        }
    }
}
