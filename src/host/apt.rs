//! The host's apt with a configuration of our own: nothing of the host's sources, preferences or
//! hooks takes part, but for the settings that say how to reach a mirror.

use std::path::{Path, PathBuf};

use super::run::{Command, Runner};
use crate::error::{Context, Error, Kind, Result};

/// Settings of the host's apt that hold for a build, too: they say how this host reaches and trusts
/// its mirrors, which an operations team has set with reason.
const TAKEN_OVER: [&str; 8] = [
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::Retries",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::https::CaInfo",
];

/// A directory without files under `etc`. apt warns of directories that are not there.
const NOTHING: &str = "nothing.d";

/// dpkg's status file of a system without packages.
const EMPTY_STATUS: &str = "status";

/// A private configuration of apt in a directory of its own.
#[derive(Clone, Debug)]
pub struct Apt {
    directory: PathBuf,
}

/// What the configuration holds.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// sources.list(5), one-line format.
    pub sources: &'a str,
    /// Debian's name of the architecture.
    pub architecture: &'a str,
    /// Where .debs are kept.
    pub archives: &'a Path,
    /// dpkg's status file, or none for an empty system.
    pub status: Option<&'a Path>,
    /// Proxy for http and https.
    pub proxy: Option<&'a str>,
    /// Further settings, `Name=value`.
    pub options: &'a [String],
}

impl Settings<'_> {
    /// apt.conf(5) for a configuration in `directory`.
    pub fn render(&self, directory: &Path) -> String {
        let empty_status = directory.join(EMPTY_STATUS);
        let status = self.status.unwrap_or(&empty_status);
        let mut lines = vec![
            setting("Dir", &format!("{}/", directory.display())),
            setting("Dir::Etc", "etc/"),
            setting("Dir::Etc::SourceList", "sources.list"),
            setting("Dir::Etc::Parts", NOTHING),
            setting("Dir::Etc::SourceParts", NOTHING),
            setting("Dir::Etc::Preferences", "-"),
            setting("Dir::Etc::PreferencesParts", NOTHING),
            setting("Dir::Etc::Trusted", "-"),
            setting("Dir::Etc::TrustedParts", NOTHING),
            setting("Dir::State", "state/"),
            setting("Dir::State::Lists", &format!("{}/lists/", directory.display())),
            setting("Dir::State::Status", &status.display().to_string()),
            setting("Dir::Cache", "cache/"),
            setting("Dir::Cache::Archives", &format!("{}/", self.archives.display())),
            setting("Dir::Log", "log/"),
            setting("APT::Architecture", self.architecture),
            format!("#clear APT::Architectures;\nAPT::Architectures {{ \"{}\"; }};", self.architecture),
            setting("APT::Install-Recommends", "false"),
            setting("APT::Install-Suggests", "false"),
            setting("APT::Get::Assume-Yes", "true"),
            setting("Acquire::Languages", "none"),
            setting("Acquire::GzipIndexes", "false"),
            setting("Acquire::Retries", "3"),
            setting("Dpkg::Use-Pty", "false"),
        ];
        if let Some(proxy) = self.proxy {
            lines.push(setting("Acquire::http::Proxy", proxy));
            lines.push(setting("Acquire::https::Proxy", proxy));
        }
        for option in self.options {
            if let Some((name, value)) = option.split_once('=') {
                lines.push(setting(name, value));
            }
        }
        lines.join("\n") + "\n"
    }
}

impl Apt {
    /// Writes the configuration into `directory`.
    pub fn configure(directory: &Path, settings: &Settings<'_>) -> Result<Apt> {
        Apt::prepare(directory, directory, settings)?;
        Ok(Apt::open(directory))
    }

    /// Writes into `place` a configuration that holds once `place` is renamed to `directory`.
    pub fn prepare(place: &Path, directory: &Path, settings: &Settings<'_>) -> Result<()> {
        let context = || format!("configuring apt in {}", place.display());
        for name in ["etc/nothing.d", "state", "lists/partial", "cache/archives/partial", "log"] {
            std::fs::create_dir_all(place.join(name)).context(Kind::Build, context)?;
        }
        std::fs::create_dir_all(settings.archives.join("partial")).context(Kind::Build, context)?;
        if settings.status.is_none() {
            std::fs::write(place.join(EMPTY_STATUS), "").context(Kind::Build, context)?;
        }
        std::fs::write(place.join("etc/sources.list"), settings.sources).context(Kind::Build, context)?;
        std::fs::write(place.join("apt.conf"), settings.render(directory)).context(Kind::Build, context)
    }

    /// A configuration that [`Apt::configure`] has written.
    pub fn open(directory: &Path) -> Apt {
        Apt { directory: directory.to_owned() }
    }

    /// The directory of the configuration.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the indices are.
    pub fn lists(&self) -> PathBuf {
        self.directory.join("lists")
    }

    /// Where the configuration file is.
    pub fn configuration(&self) -> PathBuf {
        self.directory.join("apt.conf")
    }

    /// A program of apt's under this configuration.
    pub fn command(&self, runner: &Runner, program: &str) -> Command {
        runner.command(program).env("APT_CONFIG", self.configuration())
    }
}

/// One setting in apt.conf(5)'s format. The format has no escape for a quotation mark, so it is dropped.
pub(super) fn setting(name: &str, value: &str) -> String {
    format!("{name} \"{}\";", value.replace(['"', '\n'], ""))
}

/// Settings of the host's own apt that hold for a build, as `Name=value`.
pub fn host_options(runner: &Runner) -> Result<Vec<String>> {
    let dump = runner.command("apt-config").args(["dump", "--format", "%F=%v%n", "Acquire"]).output()?;
    Ok(parse_options(&dump))
}

fn parse_options(dump: &str) -> Vec<String> {
    let taken = |line: &&str| {
        line.split_once('=').is_some_and(|(name, value)| {
            !value.is_empty()
                && TAKEN_OVER.iter().any(|wanted| {
                    name.eq_ignore_ascii_case(wanted)
                        || (wanted.ends_with("Proxy")
                            && name.to_lowercase().starts_with(&format!("{}::", wanted.to_lowercase())))
                })
        })
    };
    dump.lines().filter(taken).map(str::to_owned).collect()
}

/// A suite at a mirror that the host's own apt sources name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSource {
    /// Base address.
    pub uri: String,
    /// Suite or codename.
    pub release: String,
    /// `Origin:` of its Release file; empty where the host has no indices.
    pub origin: String,
    /// `Label:` of its Release file.
    pub label: String,
}

/// What the host's own apt sources name.
pub fn host_sources(runner: &Runner) -> Result<Vec<HostSource>> {
    let format = "$(REPO_URI)\t$(RELEASE)\t$(ORIGIN)\t$(LABEL)";
    let text = runner
        .command("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output()?;
    Ok(parse_sources(&text))
}

fn parse_sources(text: &str) -> Vec<HostSource> {
    let mut sources: Vec<HostSource> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t').map(|field| if field.starts_with("$(") { "" } else { field });
        let (Some(uri), Some(release)) = (fields.next(), fields.next()) else { continue };
        let source = HostSource {
            uri: uri.trim_end_matches('/').to_owned(),
            release: release.to_owned(),
            origin: fields.next().unwrap_or_default().to_owned(),
            label: fields.next().unwrap_or_default().to_owned(),
        };
        if (uri.starts_with("http://") || uri.starts_with("https://")) && !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// Reads one line of apt's status descriptor (README.progress-reporting of apt): hundredths of the whole
/// download; none for other lines.
pub fn parse_download(line: &str) -> Option<u64> {
    line.strip_prefix("dlstatus:")?.split(':').nth(1)?.trim().split('.').next()?.parse().ok()
}

/// What apt says, and the cure. The first that fits is taken: a mirror that cannot be reached also
/// leaves an archive that "is not signed".
const CURES: [(&[&str], &str); 7] = [
    (
        &[
            "Could not connect",
            "Could not resolve",
            "Temporary failure resolving",
            "Connection failed",
            "Connection timed out",
            "Unable to connect",
            "  502  ",
            "  503  ",
            "  504  ",
        ],
        "The mirror cannot be reached: check the network, --proxy and --mirror.",
    ),
    (
        &["404  Not Found", "does not have a Release file"],
        "The mirror does not have this: check --mirror and --suite, or try another mirror.",
    ),
    (
        &["NO_PUBKEY", "Missing key", "is not signed"],
        "The keyring does not hold the key that signed this archive: name another with --keyring.",
    ),
    (
        &["BADSIG", "EXPKEYSIG", "signatures were invalid"],
        "The archive's signature is wrong: the mirror or a proxy on the way damaged or replaced it; try another --mirror.",
    ),
    (
        &["is expired", "not valid yet"],
        "The mirror is behind, or this machine's clock is wrong: try another --mirror.",
    ),
    (
        &["No space left on device"],
        "The disk is full: free some space, or name another place with --cache-dir and --tmp.",
    ),
    (
        &["Hash Sum mismatch", "File has unexpected size"],
        "The mirror is being updated, or a proxy keeps an old file: try again in some minutes.",
    ),
];

/// Turns what apt says of a failed run into an error of its own kind, with the cure where one is known.
pub fn explain(error: Error) -> Error {
    let said = error.tail_lines().join("\n");
    let fits = |(words, _): &&(&[&str], &str)| words.iter().any(|words| said.contains(words));
    match CURES.iter().find(fits) {
        Some((_, cure)) => error.hint(*cure),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_about_reaching_mirrors_are_taken_over() {
        let dump = "Acquire::Check-Valid-Until=false\nAcquire::GzipIndexes=true\nAcquire::http::Proxy=\n\
                    Acquire::http::Proxy::mirror.example=DIRECT\nAcquire::Languages::=none\n";
        assert_eq!(
            parse_options(dump),
            ["Acquire::Check-Valid-Until=false", "Acquire::http::Proxy::mirror.example=DIRECT"]
        );
    }

    #[test]
    fn sources_of_the_host_are_read_with_and_without_indices() {
        let text = "http://m.example/debian/\ttrixie\tDebian\tDebian\n\
                    http://m.example/debian/\ttrixie\tDebian\tDebian\n\
                    http://n.example/ubuntu/\tnoble\t$(ORIGIN)\t$(LABEL)\n\
                    cdrom://x/\ttrixie\tDebian\tDebian\nbroken\n";
        let sources = parse_sources(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://m.example/debian");
        assert_eq!(sources[1].origin, "");
    }

    #[test]
    fn progress_of_a_download_is_read() {
        assert_eq!(parse_download("dlstatus:1:42.5678:Retrieving file 2 of 9"), Some(42));
        assert_eq!(parse_download("pmstatus:dpkg:12.0:Running dpkg"), None);
        assert_eq!(parse_download("Get:1 http://x"), None);
        assert_eq!(parse_download("dlstatus:"), None);
    }

    #[test]
    fn a_setting_cannot_break_out_of_its_quotes() {
        assert_eq!(setting("A::B", "x\"; C \"y"), "A::B \"x; C y\";");
    }

    #[test]
    fn failures_get_their_cure() {
        let error = Error::build("apt-get failed").tail(["E: Could not connect to x".to_owned()]);
        assert!(explain(error).hints()[0].contains("--proxy"));
        let unreachable = ["Err:1 http://x trixie InRelease", "  502  Bad Gateway", "E: x is not signed."];
        let error = Error::build("apt-get failed").tail(unreachable.map(str::to_owned));
        assert!(explain(error).hints()[0].contains("cannot be reached"));
        let error = Error::build("apt-get failed").tail(["E: x is not signed.".to_owned()]);
        assert!(explain(error).hints()[0].contains("--keyring"));
    }
}
