//! Password hashes, made here so that no password ever stands in argv or crosses into the tree.
//!
//! The salt follows from the plan, so that the same plan gives the same bytes; it still differs
//! between machines and between users.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::appliance::settings::NO_PASSWORD;
use crate::error::{Error, Result};
use crate::suite::PasswordHash;

/// Prefixes of the hashes of crypt(5), also of methods that no release uses for new passwords any more, and the
/// length of the last field of each ("hashed passphrase").
const METHODS: [(&str, usize); 12] = [
    ("$y$", 43),
    ("$gy$", 43),
    ("$7$", 43),
    ("$2a$", 53),
    ("$2b$", 53),
    ("$2y$", 53),
    ("$6$", 86),
    ("$5$", 43),
    ("$sha1$", 28),
    ("$md5$", 22),
    ("$md5,", 22),
    ("$1$", 22),
];

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

/// Refuses a password that lets everybody in who knows the user's name, or nobody: an empty one, and what was
/// meant as a hash and is none.
pub(super) fn check(who: &str, password: &str) -> Result<()> {
    if password.is_empty() {
        return Err(Error::config(format!("the password of {who} is empty")).hint(NO_PASSWORD));
    }
    if !looks_like_hash(password) || is_hash(password) {
        return Ok(());
    }
    Err(Error::config(format!(
        "the password of {who} begins like a hash of crypt(5), and is not a whole one"
    ))
    .hint(
        "Take the whole of what `mkpasswd` or `openssl passwd -6` prints. A shell needs single quotes around it, for \
         between double ones it replaces each word behind a dollar sign; in a file it stands without quotes.",
    ))
}

/// Whether a text begins with the prefix of a method of crypt(5), or with a quote that does not belong before it.
fn looks_like_hash(password: &str) -> bool {
    let unquoted = password.strip_prefix(['\'', '"']).unwrap_or(password);
    METHODS.iter().any(|(id, _)| unquoted.starts_with(id))
}

/// Whether a text is a hash of crypt(5) already: `$id$…$hash`, of the characters that a hash may have. Others could end the field or the line in /etc/shadow.
fn is_hash(password: &str) -> bool {
    let last = password.rsplit('$').next().unwrap_or_default();
    METHODS.iter().any(|(id, length)| password.starts_with(id) && last.len() == *length)
        && password.matches('$').count() >= 3
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
    fn what_lets_everybody_in_or_nobody_is_refused() {
        assert!(check("root", " ").is_ok());
        let error = check("root", "").unwrap_err();
        assert_eq!(error.message(), "the password of root is empty");
        assert!(error.hints()[0].contains("--lock-user"));
        let hash = |length: usize| format!("$6$abcdefghijklmnop${}", "0".repeat(length));
        let old = format!("$1$salt$.{}", "0".repeat(21));
        for good in
            [hash(86), old, "$".into(), "$60".into(), "6$x$".into(), "$3$ per hour".into(), "$md5sum".into()]
        {
            assert!(check("bob", &good).is_ok(), "{good}");
        }
        let quoted = format!("'{}'", hash(86));
        for broken in [hash(85), hash(86) + ":", hash(40), "$6$x$y".into(), "$1$a$b".into(), quoted] {
            let error = check("bob", &broken).unwrap_err();
            assert!(error.message().contains("begins like a hash") && error.hints().len() == 1, "{error:?}");
            assert!(!format!("{error:?}").contains(&broken), "{error:?}");
        }
    }

    #[test]
    fn ready_hashes_are_kept() {
        let ready = format!("$6$abcdefghijklmnop${}", "0/.aZ9".repeat(15).get(..86).unwrap());
        assert_eq!(hash(&ready, "bob", PLAN, PasswordHash::Yescrypt).unwrap(), ready);
        assert!(!is_hash("$6$short"));
        for intruder in [":", "\n", " ", "ä", "!", "*"] {
            assert!(!is_hash(&format!("{ready}{intruder}")), "{intruder}");
        }
    }
}
