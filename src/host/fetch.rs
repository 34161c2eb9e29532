//! Fetches small files over http and https, by apt's own methods: they know this host's proxies and
//! certificates, and are there wherever machines can be built.

use std::path::Path;

use super::access::Access;
use super::apt::{Apt, Settings};
use super::claim::Temporary;
use super::run::Runner;
use crate::error::{Context, Error, Kind, Result};

/// Stem of the directories in which files are fetched.
pub(crate) const FETCH: &str = "rvmb-fetch";

/// The program of apt's that fetches a file.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// The largest file that is fetched, in bytes; keys with many signatures have some 100 KiB.
const LARGEST: u64 = 1024 * 1024;

/// How long it may take, in seconds.
const PATIENCE: u32 = 60;

/// Whoever fetches, and by what.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// Starts programs.
    pub runner: &'a Runner,
    /// How the network is reached.
    pub access: &'a Access,
    /// Directory for scratch files.
    pub scratch: &'a Path,
}

/// Fetches the file at `address`; redirections are not followed.
///
/// # Errors
///
/// That of the program, with what it said: [`is_not_there`] and [`is_unreachable`] tell why.
pub fn fetch(fetcher: Fetcher<'_>, address: &str) -> Result<Vec<u8>> {
    let Fetcher { runner, access, scratch } = fetcher;
    let context = || format!("fetching {address}");
    let place = Temporary::make(scratch, FETCH)?;
    let archives = place.path().join("archives");
    let settings = Settings {
        sources: "",
        architecture: "all",
        archives: &archives,
        status: None,
        proxy: None,
        options: &["APT::Sandbox::User=root".to_owned()],
    };
    let apt = Apt::configure(&place.path().join("apt"), &settings)?;
    let target = place.path().join("file");
    access
        .open(&apt)?
        .command(runner, "prlimit")
        .arg(format!("--fsize={LARGEST}"))
        .args(["timeout", &PATIENCE.to_string(), HELPER])
        .args(["-oAcquire::http::AllowRedirect=false", "-oAcquire::https::AllowRedirect=false"])
        .args(["download-file", address])
        .arg(&target)
        .run()
        .map_err(|error| error.within(context()))?;
    read(&target).context(Kind::Build, context)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(path)?, LARGEST), &mut content)?;
    Ok(content)
}

/// Whether the server does not have the file.
pub fn is_not_there(error: &Error) -> bool {
    says(error, &["404  ", "404 Not Found", " 410  "])
}

/// Whether there was no answer from the server.
pub fn is_unreachable(error: &Error) -> bool {
    says(
        error,
        &["Could not connect", "Could not resolve", "Temporary failure", "Connection", "Unable to connect"],
    )
}

fn says(error: &Error, words: &[&str]) -> bool {
    error.tail_lines().iter().any(|line| words.iter().any(|words| line.contains(words)))
}
