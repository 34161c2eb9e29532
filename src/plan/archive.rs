//! Where packages come from: choosing mirrors, and fetching the indices that the plan rests on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::Source;
use crate::appliance::Appliance;
use crate::digest::{self, hex};
use crate::error::{Context, Error, Kind, Result};
use crate::host::access::{Access, without_login};
use crate::host::apt::{self, Apt, HostSource, Settings};
use crate::host::run::Runner;
use crate::host::{lock, sequoia, tree};
use crate::suite::{Suite, Tier};

/// What stands for a security mirror where the security pocket is to be left out.
pub(super) const NO_SECURITY: &str = "none";

/// apt's own lock among its lists: one file with two names would lock both places at once.
const APT_LOCK: &str = "lock";

/// Which mirrors are used, and who decided so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    pub main: String,
    /// None where the release has no security pocket, or its archive mirror none any more.
    pub security: Option<String>,
    /// `install`, `option`, `host` or `suite`.
    pub origin: &'static str,
    /// What the machine's own sources name instead, where these serve the build alone.
    pub guest_main: Option<String>,
    /// The same for the security pocket.
    pub guest_security: Option<String>,
}

impl Mirrors {
    /// The same without log-ins, which go to `access`.
    pub(super) fn without_logins(self, access: &mut Access) -> Result<Mirrors> {
        let main = access.take_login(&self.main)?;
        let security = self.security.map(|address| access.take_login(&address)).transpose()?;
        let published = |address: Option<String>| address.as_deref().map(without_login);
        let (guest_main, guest_security) = (published(self.guest_main), published(self.guest_security));
        Ok(Mirrors { main, security, guest_main, guest_security, ..self })
    }
}

/// Chooses mirrors: the user's, then those of the host's own apt sources, then the suite file's. A
/// release that has ended is looked for where ended releases are kept.
pub(super) fn choose_mirrors(
    appliance: &Appliance,
    suite: &Suite,
    architecture: &str,
    host: &[HostSource],
) -> Mirrors {
    let given = |address: &String| address.trim_end_matches('/').to_owned();
    let file = suite.mirrors(architecture);
    // The host's mirror is taken for what is still there, and for the architectures that live there.
    let in_place = file.main == suite.archive.mirror;
    let known = in_place.then(|| host_mirror(host, &suite.distro)).flatten();
    let known_security = in_place.then(|| host_security_mirror(host, &suite.distro)).flatten();

    let (main, origin) = match (&appliance.mirror, known) {
        (Some(mirror), _) => (given(mirror), "option"),
        (None, Some(mirror)) => (mirror, "host"),
        (None, None) => (file.main.to_owned(), "suite"),
    };
    let security = match &appliance.security_mirror {
        Some(mirror) => given(mirror),
        None => known_security.unwrap_or_else(|| file.security.to_owned()),
    };
    let carried = !suite.archive.security.is_empty() && !security.is_empty() && security != NO_SECURITY;
    let mirrors = Mirrors {
        main,
        security: carried.then_some(security),
        origin,
        guest_main: None,
        guest_security: None,
    };
    for_build(mirrors, appliance)
}

/// Puts the mirrors of the build alone in the place of those that the machine's own sources name.
fn for_build(mirrors: Mirrors, appliance: &Appliance) -> Mirrors {
    let given =
        |address: &Option<String>| address.as_deref().map(|text| text.trim_end_matches('/').to_owned());
    let mut mirrors = mirrors;
    if let Some(main) = given(&appliance.install_mirror) {
        mirrors.guest_main = Some(std::mem::replace(&mut mirrors.main, main));
        mirrors.origin = "install";
    }
    if let (Some(address), Some(security)) =
        (given(&appliance.install_security_mirror), mirrors.security.as_mut())
    {
        mirrors.guest_security = Some(std::mem::replace(security, address));
    }
    mirrors
}

fn host_mirror(host: &[HostSource], distro: &str) -> Option<String> {
    host.iter().find(|source| is_of(source, distro) && !is_security(source)).map(|source| source.uri.clone())
}

fn host_security_mirror(host: &[HostSource], distro: &str) -> Option<String> {
    host.iter().find(|source| is_of(source, distro) && is_security(source)).map(|source| source.uri.clone())
}

/// Whether a source carries the distribution itself: by its Release file, or by the customary path.
fn is_of(source: &HostSource, distro: &str) -> bool {
    let last = source.uri.rsplit('/').next().unwrap_or_default();
    let by_path = last == distro || last == format!("{distro}-security");
    by_path && (source.origin.is_empty() || source.origin.eq_ignore_ascii_case(distro))
}

fn is_security(source: &HostSource) -> bool {
    source.label.ends_with("-Security")
        || source.uri.ends_with("-security")
        || source.release.ends_with("-security")
}

/// Says where else to look for a release that has ended: mirrors drop such releases pocket by pocket.
pub(crate) fn explain_age(error: Error, suite: &Suite) -> Error {
    if suite.tier != Tier::Ended {
        return error;
    }
    error.hint(format!(
        "{} has ended, and mirrors drop it in parts: name one that still has it with --mirror and \
         --security-mirror, or leave its security updates out with --security-mirror {NO_SECURITY}.",
        suite.title()
    ))
}

/// The suites at the mirrors, digests still empty.
pub(super) fn sources(suite: &Suite, mirrors: &Mirrors) -> Vec<Source> {
    let at = |uri: &str, suite: &str, security| Source {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        digest: String::new(),
        security,
        guest_uri: if security { mirrors.guest_security.clone() } else { mirrors.guest_main.clone() },
        ppa: None,
    };
    let pockets = suite.archive.pockets.iter().map(|pocket| at(&mirrors.main, pocket, false));
    let security = mirrors.security.iter().map(|mirror| at(mirror, &suite.archive.security, true));
    pockets.chain(security).collect()
}

/// What an index is made of.
pub(super) struct IndexRequest<'a> {
    /// Directory that holds the indices of all sets of sources.
    pub directory: &'a Path,
    /// Where .debs are kept.
    pub archives: &'a Path,
    pub sources: &'a [Source],
    pub components: &'a [String],
    pub keyring: &'a Path,
    pub architecture: &'a str,
    /// How the mirrors are reached; their addresses are without log-ins.
    pub access: &'a Access,
    /// Whether indices may be out of date, as those of an ended release are.
    pub may_be_expired: bool,
    /// Whether a key that signs them may rest on SHA-1.
    pub may_rest_on_sha1: bool,
}

/// Checked indices on this host.
pub(super) struct Index {
    pub directory: PathBuf,
    pub apt: Apt,
    /// With digests.
    pub sources: Vec<Source>,
    /// Debian's name of the architecture.
    pub architecture: String,
}

impl Index {
    /// Fetches what has changed, checks every signature, and keeps the state of the archive.
    ///
    /// ```text
    /// <directory>/<sources>/lock       held while the archive is read
    /// <directory>/<sources>/refresh/   where apt-get update fetches what has changed
    /// <directory>/<sources>/<state>/   the indices of one state of the archive, by the digest of its
    ///                                  InRelease files; never changes, but for caches that are added
    /// ```
    ///
    /// So a build goes on with the state that its plan rests on, whatever others fetch meanwhile.
    pub(super) fn refresh(runner: &Runner, request: &IndexRequest<'_>) -> Result<Index> {
        let list = sources_list(request)?;
        let settings = Settings {
            sources: &list,
            architecture: request.architecture,
            archives: request.archives,
            status: None,
            proxy: None,
            options: &[],
        };
        // The paths are part of the name: apt's caches hold for one path only.
        let whole = format!("{list}{}", settings.render(request.directory));
        let place = request.directory.join(short_digest(whole));
        std::fs::create_dir_all(&place).context(Kind::Host, || format!("creating {}", place.display()))?;
        let _lock = lock::wait(runner, &place.join("lock"), "reads the same archive")?;

        let fetching = Apt::configure(&place.join("refresh"), &settings)?;
        update(runner, &fetching, &place, request)?;
        let mut sources = request.sources.to_vec();
        for source in &mut sources {
            let content = std::fs::read(release_file(&fetching, source))
                .context(Kind::Build, || format!("reading the InRelease of {}", source.suite))?;
            source.digest = digest::sha256(content);
        }
        let directory = keep(&place, &fetching, &settings, &sources)?;
        Ok(Index {
            apt: Apt::open(&directory),
            directory,
            sources,
            architecture: request.architecture.to_owned(),
        })
    }

    /// The newest `Date:` of the indices, in seconds since 1970.
    pub(super) fn date(&self) -> Result<i64> {
        let mut newest = 0;
        for source in &self.sources {
            let path = release_file(&self.apt, source);
            let text = std::fs::read_to_string(&path)
                .context(Kind::Build, || format!("reading {}", path.display()))?;
            newest = newest.max(release_date(&text).unwrap_or(0));
        }
        Ok(newest)
    }

    /// The Packages files, sorted by name.
    pub(super) fn packages_files(&self) -> Result<Vec<PathBuf>> {
        let lists = self.apt.lists();
        let context = || format!("reading {}", lists.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&lists).context(Kind::Build, context)? {
            let path = entry.context(Kind::Build, context)?.path();
            if path.to_string_lossy().ends_with("_Packages") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Runs `apt-get update`. The caches are left to the first who resolves: they hold for the paths of the
/// kept state only, and take longer than all the rest.
fn update(runner: &Runner, apt: &Apt, place: &Path, request: &IndexRequest<'_>) -> Result<()> {
    let access = request.access.open(apt)?;
    let mut update = access.command(runner, "apt-get");
    if request.may_rest_on_sha1
        && let Some(policy) = sequoia::policy_with_sha1(place)?
    {
        update = update.env(sequoia::VARIABLE, policy);
    }
    update
        .args(["update", "--quiet", "-oAPT::Update::Error-Mode=any", "-opkgCacheFile::Generate=false"])
        .stream(|_| {})
        .map_err(|error| {
            apt::explain(error).within(format!("reading the archive at {}", addresses(request.sources)))
        })
}

/// The state of the archive that was just fetched, in a directory that is there whole or not at all.
fn keep(place: &Path, fetched: &Apt, settings: &Settings<'_>, sources: &[Source]) -> Result<PathBuf> {
    let digests: Vec<&str> = sources.iter().map(|source| source.digest.as_str()).collect();
    let state = place.join(short_digest(digests.join(" ")));
    let context = || format!("keeping the indices in {}", state.display());
    if !state.is_dir() {
        let growing = state.with_extension("partial");
        // Under the lock nobody else makes it: what is there was left by one that was killed.
        tree::remove(&growing)?;
        Apt::prepare(&growing, &state, settings)?;
        link_lists(&fetched.lists(), &growing.join("lists")).context(Kind::Build, context)?;
        std::fs::rename(&growing, &state).context(Kind::Build, context)?;
    }
    // Marks it as used now, for the cleaning of the cache.
    let directory = File::open(&state).context(Kind::Build, context)?;
    directory.set_modified(SystemTime::now()).context(Kind::Build, context)?;
    Ok(state)
}

/// Gives the lists of one directory a second name in another. apt replaces its lists and never writes
/// into them; those of a mirror on this host are links to files of the mirror's, and copied.
fn link_lists(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() == APT_LOCK {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        let linked = kind.is_file() && std::fs::hard_link(&source, &target).is_ok();
        if !linked && !kind.is_dir() {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

fn release_file(apt: &Apt, source: &Source) -> PathBuf {
    apt.lists().join(format!("{}_InRelease", list_name(&source.uri, &source.suite)))
}

fn short_digest(text: String) -> String {
    hex(&Sha256::digest(text)[..16])
}

/// `Date:` of a Release file (RFC 2822), in seconds since 1970.
fn release_date(text: &str) -> Option<i64> {
    let date = text.lines().find_map(|line| line.strip_prefix("Date:"))?.trim();
    // Release files say UTC, which RFC 2822 spells as an offset.
    let date = date.strip_suffix("UTC").map_or(date.to_owned(), |day| format!("{day}+0000"));
    jiff::fmt::rfc2822::parse(&date).ok().map(|time| time.timestamp().as_second())
}

fn addresses(sources: &[Source]) -> String {
    let mut addresses: Vec<&str> = sources.iter().map(|source| source.uri.as_str()).collect();
    addresses.dedup();
    addresses.join(" and ")
}

/// sources.list(5) in the one-line format, which every apt reads.
fn sources_list(request: &IndexRequest<'_>) -> Result<String> {
    let mut list = String::new();
    for source in request.sources {
        let (keyring, components) = match &source.ppa {
            Some(ppa) => (ppa.keyring.as_path(), ppa.component.clone()),
            None => (request.keyring, request.components.join(" ")),
        };
        let keyring = keyring.display().to_string();
        if keyring.contains([' ', '\t', ']', ',']) {
            return Err(Error::config(format!(
                "the keyring {keyring} has a character in its name that apt cannot read"
            ))
            .hint("Copy it to a path without spaces, commas and brackets."));
        }
        let expired = if request.may_be_expired { " check-valid-until=no" } else { "" };
        list += &format!(
            "deb [arch={} signed-by={keyring}{expired}] {} {} {}\n",
            request.architecture, source.uri, source.suite, components
        );
    }
    Ok(list)
}

/// The stem of the names that apt gives to the lists of a suite: `URItoFileName` of apt-pkg/strutl.cc.
pub(super) fn list_name(uri: &str, suite: &str) -> String {
    // `file:/path` and `file:///path` are the same.
    let address = uri.split_once("://").or_else(|| uri.split_once(':')).map_or(uri, |(_, rest)| rest);
    let address = match address.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.rsplit('@').next().unwrap_or(host)),
        None => address.to_owned(),
    };
    let mut name = String::new();
    for character in format!("{}/dists/{suite}", address.trim_end_matches('/')).chars() {
        match character {
            '/' => name.push('_'),
            '\\' | '|' | '{' | '}' | '[' | ']' | '<' | '>' | '"' | '^' | '~' | '_' | '=' | '!' | '@'
            | '#' | '$' | '%' | '&' | '*' => name += &format!("%{:02x}", u32::from(character)),
            other => name.push(other),
        }
    }
    name
}

#[cfg(test)]
mod tests;
