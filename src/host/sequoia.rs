//! The policy of apt's verifier on Debian 13 and later, sqv, and how old keys pass it.
//!
//! From February 2026 on the policy refuses keys that rest on SHA-1, the only ones that sign some old
//! releases. A copy with a later day, named in the environment of the one program that reads the index,
//! lets them pass; nothing on the host changes.

use std::path::{Path, PathBuf};

use crate::error::{Context, Kind, Result};

/// The environment variable that names a policy (apt's methods/sqv.cc).
pub const VARIABLE: &str = "APT_SEQUOIA_CRYPTO_POLICY";

/// apt's own policy; it is there where apt uses sqv.
const POLICY: &str = "/usr/share/apt/default-sequoia.config";

/// What a policy calls the day from which on SHA-1 binds no key any more, and a day that is far enough.
const KEY: &str = "sha1.second_preimage_resistance";
const DAY: &str = "2030-02-01";

/// Writes a policy that takes keys bound by SHA-1 into `directory`; none where this host's apt has no
/// policy and takes them anyway.
///
/// # Errors
///
/// [`Kind::Host`] where the policy cannot be read, [`Kind::Build`] where its copy cannot be written.
pub fn policy_with_sha1(directory: &Path) -> Result<Option<PathBuf>> {
    let text = match std::fs::read_to_string(POLICY) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.context(Kind::Host, || format!("reading {POLICY}"))?,
    };
    let path = directory.join("sequoia.config");
    std::fs::write(&path, with_sha1(&text)).context(Kind::Build, || format!("writing {}", path.display()))?;
    Ok(Some(path))
}

/// The policy with the later day.
fn with_sha1(policy: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix(KEY).map(str::trim_start) {
        Some(rest) if rest.starts_with('=') => format!("{KEY} = {DAY}\n"),
        _ => format!("{line}\n"),
    };
    policy.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_day_of_sha1_is_another() {
        let policy = "# Default policy\n[hash_algorithms]\n\
                      sha1.second_preimage_resistance = 2026-02-01  # until then\n\
                      sha1.collision_resistance = 2013-02-01\nsha224 = 2026-02-01\n";
        let expected = "# Default policy\n[hash_algorithms]\n\
                        sha1.second_preimage_resistance = 2030-02-01\n\
                        sha1.collision_resistance = 2013-02-01\nsha224 = 2026-02-01\n";
        assert_eq!(with_sha1(policy), expected);
    }
}
