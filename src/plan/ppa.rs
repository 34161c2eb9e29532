//! Personal package archives of Launchpad: which, and the key that signs each.
//!
//! Launchpad says which key signs an archive, a key server has the key, and the key must have that
//! fingerprint. It is kept in the cache by its fingerprint, and compared with it at every use; in the list
//! of sources it is bound to its own archive, so that it vouches for no other.

use std::path::{Path, PathBuf};

use super::{Ppa, Source};
use crate::cache::clean::KEY_GROWS;
use crate::error::{About, Context, Error, Kind, Result, Subject};
use crate::host::fetch::Fetcher;
use crate::host::{fetch, openpgp};

/// Where an archive of an owner is looked for that names none (Launchpad's own default).
const DEFAULT_NAME: &str = "ppa";

/// The only component that Launchpad's archives have.
const COMPONENT: &str = "main";

/// Longest key that is read from the cache.
const LIMIT: u64 = 1024 * 1024;

/// Base addresses. Variables of the environment put others in their place: a copy within a company, or the
/// server of a test.
pub(super) struct Servers {
    /// Launchpad's web service: `RVMB_LAUNCHPAD_API`.
    pub api: String,
    /// Key server with the HTTP interface of SKS (HKP): `RVMB_KEYSERVER`.
    pub keys: String,
    /// The archives: `RVMB_PPA_ARCHIVE`. The guest's own sources name Launchpad's whatever this is.
    pub archive: String,
}

impl Servers {
    const ARCHIVE: &str = "https://ppa.launchpadcontent.net";

    /// Launchpad's, or what the environment names.
    pub(super) fn of_environment() -> Servers {
        let base = |variable: &str, usual: &str| {
            let given = std::env::var(variable).ok().filter(|address| !address.is_empty());
            given.as_deref().unwrap_or(usual).trim_end_matches('/').to_owned()
        };
        Servers {
            api: base("RVMB_LAUNCHPAD_API", "https://api.launchpad.net"),
            keys: base("RVMB_KEYSERVER", "https://keyserver.ubuntu.com"),
            archive: base("RVMB_PPA_ARCHIVE", Servers::ARCHIVE),
        }
    }
}

/// An archive as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub owner: String,
    pub name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Reads `OWNER` or `OWNER/NAME`, with `ppa:` or `~` before it as other programs write it.
pub(super) fn parse(text: &str) -> Result<Name> {
    let plain = text.strip_prefix("ppa:").unwrap_or(text);
    let plain = plain.strip_prefix('~').unwrap_or(plain);
    let (owner, name) = plain.split_once('/').unwrap_or((plain, DEFAULT_NAME));
    // Launchpad's valid_name: lib/lp/app/validators/name.py.
    let fits = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte))
    };
    if fits(owner) && fits(name) {
        return Ok(Name { owner: owner.to_owned(), name: name.to_owned() });
    }
    Err(Error::config(format!("`{text}` is not a PPA"))
        .hint("Write it as OWNER/NAME, in lower case, such as --ppa ondrej/php."))
}

/// The archives that the user wants, for a distribution.
pub(super) fn read(texts: &[String], distro: &str) -> (Vec<Name>, Vec<Error>) {
    let mut problems = Vec::new();
    if !texts.is_empty() && distro != "ubuntu" {
        problems.push(
            Error::config(format!("there are no PPAs for {distro}"))
                .hint("Launchpad makes them for Ubuntu: leave --ppa out.")
                .about(Subject::setting("ppa")),
        );
        return (Vec::new(), problems);
    }
    let mut names: Vec<Name> = Vec::new();
    for text in texts {
        match parse(text).about_item("ppa", text) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(error) => problems.push(error),
        }
    }
    (names, problems)
}

/// The source that an archive is for `codename`, with its key in a file under `keys`; digest still empty.
pub(super) fn source(
    fetcher: Fetcher<'_>,
    servers: &Servers,
    ppa: &Name,
    codename: &str,
    keys: &Path,
) -> Result<Source> {
    let fingerprint = fingerprint(fetcher, servers, ppa)?;
    let keyring = key(fetcher, servers, ppa, &fingerprint, keys)?;
    let path = format!("{ppa}/ubuntu");
    let own = format!("{}/{path}", Servers::ARCHIVE);
    let uri = format!("{}/{path}", servers.archive);
    Ok(Source {
        guest_uri: (uri != own).then_some(own),
        uri,
        suite: codename.to_owned(),
        digest: String::new(),
        security: false,
        ppa: Some(Ppa {
            owner: ppa.owner.clone(),
            name: ppa.name.clone(),
            component: COMPONENT.to_owned(),
            fingerprint,
            keyring,
        }),
    })
}

/// Asks Launchpad which key signs an archive: <https://launchpad.net/+apidoc/devel.html#archive>.
fn fingerprint(fetcher: Fetcher<'_>, servers: &Servers, ppa: &Name) -> Result<String> {
    let address = format!("{}/devel/~{}/+archive/ubuntu/{}", servers.api, ppa.owner, ppa.name);
    let answer = fetch::fetch(fetcher, &address).map_err(|error| match &error {
        error if fetch::is_not_there(error) => Error::config(format!("there is no PPA {ppa}"))
            .hint("Launchpad does not know it: check its owner and its name at --ppa."),
        _ => unreachable(error, "Launchpad").within(format!("asking Launchpad about the PPA {ppa}")),
    })?;
    parse_answer(&answer).map_err(|error| error.within(format!("asking Launchpad about the PPA {ppa}")))
}

/// `signing_key_fingerprint` in Launchpad's answer.
fn parse_answer(answer: &[u8]) -> Result<String> {
    let answer: serde_json::Value =
        serde_json::from_slice(answer).context(Kind::Build, || "the answer is no JSON".to_owned())?;
    match answer.get("signing_key_fingerprint").and_then(serde_json::Value::as_str) {
        Some(text) if openpgp::is_fingerprint(text) => Ok(text.to_uppercase()),
        Some(text) => Err(Error::build(format!("`{text}` is no fingerprint of a key"))),
        None => Err(Error::config("it has no key yet, for nothing was ever published in it")
            .hint("Leave it out of --ppa.")),
    }
}

/// The file with the key of that fingerprint: the one in the cache, or one from the key server.
fn key(
    fetcher: Fetcher<'_>,
    servers: &Servers,
    ppa: &Name,
    fingerprint: &str,
    directory: &Path,
) -> Result<PathBuf> {
    let path = directory.join(format!("{fingerprint}.gpg"));
    let context = || format!("keeping the key of the PPA {ppa} in {}", path.display());
    if read_key(&path).is_some_and(|kept| openpgp::certificate(&kept, fingerprint).as_ref() == Some(&kept)) {
        return Ok(path);
    }
    let address = format!("{}/pks/lookup?op=get&options=mr&search=0x{fingerprint}", servers.keys);
    let answer = fetch::fetch(fetcher, &address).map_err(|error| match &error {
        error if fetch::is_not_there(error) => {
            Error::build(format!("the key server does not have {fingerprint}, the key of the PPA {ppa}"))
                .hint("Try again later: the key of a new PPA takes some time to get there.")
        }
        _ => unreachable(error, "The key server").within(format!("fetching the key of the PPA {ppa}")),
    })?;
    let certificate = openpgp::certificate(&answer, fingerprint).ok_or_else(|| {
        Error::build(format!(
            "the key server sent something else than the key {fingerprint} of the PPA {ppa}"
        ))
        .hint("Somebody between here and the key server may be changing what it sends.")
    })?;
    std::fs::create_dir_all(directory).context(Kind::Host, context)?;
    let mut file =
        tempfile::NamedTempFile::with_prefix_in(KEY_GROWS, directory).context(Kind::Host, context)?;
    std::io::Write::write_all(&mut file, &certificate).context(Kind::Host, context)?;
    // apt's verifier may run as a user of its own.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(open).context(Kind::Host, context)?;
    file.persist(&path).context(Kind::Host, context)?;
    Ok(path)
}

fn read_key(path: &Path) -> Option<Vec<u8>> {
    let is_small = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LIMIT);
    // What cannot be read is fetched again.
    is_small.then(|| std::fs::read(path).ok()).flatten()
}

fn unreachable(error: Error, who: &str) -> Error {
    if fetch::is_unreachable(&error) {
        return error.hint(format!("{who} cannot be reached: check the network and --proxy."));
    }
    error
}

/// Says which archive it is that does not have a release, where apt failed for that.
pub(super) fn explain(error: Error, sources: &[Source]) -> Error {
    let is_missing = |line: &String, uri: &str| {
        line.contains(&format!("{uri} ")) && line.contains("does not have a Release file")
    };
    let missing = sources.iter().find_map(|source| {
        let ppa = source.ppa.as_ref()?;
        error.tail_lines().iter().any(|line| is_missing(line, &source.uri)).then_some((source, ppa))
    });
    match missing {
        Some((source, Ppa { owner, name, .. })) => {
            Error::config(format!("the PPA {owner}/{name} has nothing for {}", source.suite))
                .hint("Leave it out of --ppa, or choose a release that it has packages for with --suite.")
        }
        None => error,
    }
}

#[cfg(test)]
mod tests;
