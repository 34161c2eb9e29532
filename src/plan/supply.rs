//! What a tree is made of: packages of an archive whose indices are fetched and checked here, or the files of a
//! tree that is there already.

use std::path::{Path, PathBuf};

use super::archive::{self, Index, IndexRequest, Mirrors};
use super::here::Host;
use super::request::Request;
use super::resolve::Resolved;
use super::{Source, elsewhere, ppa, resolve};
use crate::appliance::Appliance;
use crate::error::{Context as _, Error, Kind, Result};
use crate::event::{self, Event};
use crate::host::fetch::Fetcher;
use crate::host::run::Runner;
use crate::rootfs::survey::Survey;
use crate::suite::Tier;
use crate::units::Size;

/// What the indices of a release take, with apt's own caches of them.
const ROOM_FOR_INDICES: Size = Size::mib(256);

/// What the tree is made of.
pub(super) enum Supply {
    /// Packages of these indices.
    Packages(Index, Resolved),
    /// The files that are there.
    Tree(PathBuf, Survey),
}

impl Supply {
    /// No time in the image is later, in seconds since 1970.
    pub(super) fn date(&self) -> Result<i64> {
        match self {
            Supply::Packages(index, _) => index.date(),
            Supply::Tree(_, survey) => Ok(survey.newest.clamp(0, jiff::Timestamp::now().as_second())),
        }
    }

    /// What decides about the image beside the layers: where the guest finds its archive, or all files.
    pub(super) fn identity(&self) -> Vec<String> {
        match self {
            Supply::Packages(index, _) => index.sources.iter().map(source_in_guest).collect(),
            Supply::Tree(_, survey) => vec![survey.fingerprint.clone()],
        }
    }
}

/// A source as the guest has it.
fn source_in_guest(source: &Source) -> String {
    let address = source.address_for_guest();
    match &source.ppa {
        Some(ppa) => format!("{address} {}", ppa.fingerprint),
        None => address.to_owned(),
    }
}

/// Refuses a cache that cannot even hold indices: apt waits for ever where it cannot write them.
pub(super) fn has_room(directory: &Path) -> Result<()> {
    let status = rustix::fs::statvfs(directory)
        .context(Kind::Host, || format!("looking at the cache directory {}", directory.display()))?;
    let free = Size(status.f_bavail.saturating_mul(status.f_frsize));
    if free >= ROOM_FOR_INDICES {
        return Ok(());
    }
    Err(Error::host(format!("the cache directory {} has room for {free} only", directory.display())).hint(
        format!("Indices alone take {ROOM_FOR_INDICES}: make room, or name another place with --cache-dir."),
    ))
}

/// Leaves out packages for the language of a locale that nobody asked for: it comes from the caller's
/// environment, and the release need not have them.
pub(super) fn leave_out_languages(
    request: &mut Request<'_>,
    index: &Index,
    sink: &dyn event::Sink,
) -> Result<()> {
    let mut wanted = request.suite.language_packages(&request.guest.locale);
    wanted.retain(|name| request.system.contains(name));
    let unknown = resolve::unknown(index, wanted)?;
    request.system.retain(|name| !unknown.contains(name));
    for name in unknown {
        let locale = &request.guest.locale;
        let text = format!("there is no package {name} for {locale}, which $LANG asks for: it is left out");
        sink.emit(Event::Warning { text });
    }
    Ok(())
}

/// The personal package archives, each with its key.
pub(super) fn ppas(request: &Request<'_>, host: &Host, runner: &Runner) -> Result<Vec<Source>> {
    let (servers, keys) = (ppa::Servers::of_environment(), host.cache.keys());
    let codename = &request.suite.codename;
    let fetcher = Fetcher { runner, access: &host.access, scratch: &host.scratch };
    let source = |ppa| ppa::source(fetcher, &servers, ppa, codename, &keys);
    request.ppas.iter().map(source).collect()
}

pub(super) fn fetch_index(
    appliance: &Appliance,
    request: &Request<'_>,
    host: &Host,
    ppas: &[Source],
    runner: &Runner,
) -> Result<Index> {
    let refresh = |mirrors| refresh_index(request, host, mirrors, ppas, runner);
    let error = match refresh(&host.mirrors) {
        Ok(index) => return Ok(index),
        Err(error) => archive::explain_age(error, request.suite),
    };
    if !elsewhere::is_not_there(&error) {
        return Err(error);
    }
    let other = elsewhere::mirrors(appliance, request.suite, &request.architecture, &host.mirrors);
    let Some(other) = other else { return Err(error) };
    match refresh(&other) {
        Ok(index) => {
            let (title, here, there) = (request.suite.title(), &host.mirrors.main, &other.main);
            let text = format!("{title} is not at {here}: it is taken from {there}");
            runner.sink().emit(Event::Warning { text });
            Ok(index)
        }
        // The first place is the one where it should be.
        Err(_) => Err(error),
    }
}

fn refresh_index(
    request: &Request<'_>,
    host: &Host,
    mirrors: &Mirrors,
    ppas: &[Source],
    runner: &Runner,
) -> Result<Index> {
    let mut sources = archive::sources(request.suite, mirrors);
    sources.extend_from_slice(ppas);
    Index::refresh(
        runner,
        &IndexRequest {
            directory: &host.cache.indices(),
            archives: &host.cache.archives(),
            sources: &sources,
            components: &request.components,
            keyring: &host.keyring,
            architecture: &request.architecture,
            access: &host.access,
            may_be_expired: request.suite.tier == Tier::Ended,
            may_rest_on_sha1: request.suite.keys.needs_sha1_policy,
        },
    )
    .map_err(|error| ppa::explain(error, &sources))
}
