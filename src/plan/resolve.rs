//! Which packages, in which versions: the host's apt decides over checked indices and an empty system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Package;
use super::archive::{Index, hex};
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;
use crate::near;

/// Longest line that is read from an index; dependency lists reach some 100 KiB.
const LINE_LIMIT: usize = 4 * 1024 * 1024;

/// What is to be installed into an empty system.
pub(super) struct Request<'a> {
    /// apt's patterns for the variant, such as `?essential`.
    pub variant: &'a str,
    pub base: &'a [String],
    pub system: &'a [String],
    pub added: &'a [String],
    pub removed: &'a [String],
}

/// Resolves, or takes the answer that was given before for the same indices and the same request.
pub(super) fn resolve(runner: &Runner, index: &Index, request: &Request<'_>) -> Result<(Vec<Package>, bool)> {
    let words = words(request);
    let digests: Vec<&str> = index.sources.iter().map(|source| source.digest.as_str()).collect();
    let key = hex(Sha256::digest(format!("{words:?} {digests:?}")).as_slice());
    let kept = index.directory.join(format!("resolved-{}.json", &key[..32]));
    if let Some(packages) = read_kept(&kept) {
        return Ok((packages, true));
    }
    let mut packages = ask_apt(runner, index, &words)?;
    fill_installed_sizes(index, &mut packages)?;
    packages.sort();
    let text = serde_json::to_vec(&packages).context(Kind::Build, || "keeping the resolution".into())?;
    write_whole(&kept, &text)?;
    Ok((packages, false))
}

fn words(request: &Request<'_>) -> Vec<String> {
    let mut words = vec![request.variant.to_owned(), "apt".to_owned()];
    words.extend(request.base.iter().chain(request.system).cloned());
    words.extend(request.added.iter().cloned());
    words.extend(request.removed.iter().map(|name| format!("{name}-")));
    words
}

fn read_kept(path: &Path) -> Option<Vec<Package>> {
    // Whatever is wrong with a kept answer, asking again is the cure.
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let context = || format!("writing {}", path.display());
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    std::fs::write(&partial, content).context(Kind::Build, context)?;
    std::fs::rename(&partial, path).context(Kind::Build, context)
}

fn ask_apt(runner: &Runner, index: &Index, words: &[String]) -> Result<Vec<Package>> {
    // With an empty store apt lists every package, also those that need no download.
    let empty = index.directory.join("cache/archives/");
    let outcome = index
        .apt
        .command(runner, "apt-get")
        .args(["install", "--print-uris", "--quiet"])
        .arg(format!("-oDir::Cache::Archives={}", empty.display()))
        .args(words)
        .outcome()?;
    if !outcome.status.success() {
        return Err(explain(&outcome.stdout, &outcome.stderr, index));
    }
    outcome.stdout.lines().filter(|line| line.starts_with('\'')).map(parse_uri).collect()
}

/// Reads `'URI' FILE SIZE SHA256:HASH`, as `apt-get --print-uris` writes it.
fn parse_uri(line: &str) -> Result<Package> {
    let broken = || Error::build(format!("apt-get printed a line that is not understood: {line}"));
    let mut fields = line.split_whitespace().skip(1);
    let file = fields.next().ok_or_else(broken)?;
    let size = fields.next().and_then(|size| size.parse().ok()).ok_or_else(broken)?;
    let sha256 = fields.next().and_then(|hash| hash.strip_prefix("SHA256:")).unwrap_or_default();
    let mut parts = file.strip_suffix(".deb").ok_or_else(broken)?.splitn(3, '_');
    let (Some(name), Some(version), Some(architecture)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(broken());
    };
    if file.contains('/') {
        return Err(broken());
    }
    Ok(Package {
        name: name.to_owned(),
        version: version.replace("%3a", ":"),
        architecture: architecture.to_owned(),
        size,
        installed_size: 0,
        sha256: sha256.to_owned(),
        file: file.to_owned(),
    })
}

/// A stanza of a Packages file, as far as it is needed.
#[derive(Debug, Default, PartialEq)]
struct Stanza {
    name: String,
    version: String,
    architecture: String,
    /// Bytes.
    installed_size: u64,
}

/// Reads a Packages file stanza by stanza.
fn each_stanza(mut reader: impl BufRead, mut each: impl FnMut(Stanza)) -> std::io::Result<()> {
    let mut stanza = Stanza::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = std::io::Read::take(&mut reader, LINE_LIMIT as u64).read_until(b'\n', &mut line)?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            if !stanza.name.is_empty() {
                each(std::mem::take(&mut stanza));
            }
            if count == 0 {
                return Ok(());
            }
        } else if let Some(value) = text.strip_prefix("Package: ") {
            stanza.name = value.to_owned();
        } else if let Some(value) = text.strip_prefix("Version: ") {
            stanza.version = value.to_owned();
        } else if let Some(value) = text.strip_prefix("Architecture: ") {
            stanza.architecture = value.to_owned();
        } else if let Some(value) = text.strip_prefix("Installed-Size: ") {
            // Debian Policy 5.6.20: in units of 1024 bytes.
            stanza.installed_size = value.trim().parse::<u64>().unwrap_or(0).saturating_mul(1024);
        }
    }
}

fn each_known(index: &Index, mut each: impl FnMut(Stanza)) -> Result<()> {
    for path in index.packages_files()? {
        let context = || format!("reading {}", path.display());
        let file = File::open(&path).context(Kind::Build, context)?;
        each_stanza(BufReader::with_capacity(1 << 20, file), &mut each).context(Kind::Build, context)?;
    }
    Ok(())
}

/// Those of `names` that no index has.
pub(super) fn unknown(index: &Index, names: Vec<String>) -> Result<BTreeSet<String>> {
    let mut unknown: BTreeSet<String> = names.into_iter().collect();
    if !unknown.is_empty() {
        each_known(index, |stanza| {
            unknown.remove(&stanza.name);
        })?;
    }
    Ok(unknown)
}

fn fill_installed_sizes(index: &Index, packages: &mut [Package]) -> Result<()> {
    let mut wanted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (position, package) in packages.iter().enumerate() {
        wanted.insert((package.name.clone(), package.version.clone()), position);
    }
    each_known(index, |stanza| {
        let size = stanza.installed_size;
        if let Some(position) = wanted.get(&(stanza.name, stanza.version))
            && let Some(package) = packages.get_mut(*position)
        {
            package.installed_size = size;
        }
    })
}

/// Turns apt's refusal into an error that names near matches.
fn explain(stdout: &str, stderr: &str, index: &Index) -> Error {
    let missing = missing_packages(stderr);
    if missing.is_empty() {
        let said =
            stdout.lines().skip_while(|line| !line.contains("unmet dependencies")).chain(stderr.lines());
        let tail: Vec<String> = said.map(str::to_owned).collect();
        return Error::config("these packages cannot be installed together")
            .tail(tail)
            .hint("Look for a conflict between --addpkg, --removepkg and --components.");
    }
    let mut names = BTreeSet::new();
    // Near matches are a courtesy: without the index the error stands on its own.
    let _ = each_known(index, |stanza| {
        names.insert(stanza.name);
    });
    let what = if missing.len() == 1 { "there is no package" } else { "there are no packages" };
    let mut error = Error::config(format!("{what} {} in this suite", missing.join(", ")));
    for word in &missing {
        if let Some(hint) = explain_word(word, &names) {
            error = error.hint(hint);
        }
    }
    error.hint("Check --addpkg and --components; `rvmb plan … --json` lists the archive's sources.")
}

/// What may be wrong with a word of apt's, `NAME[:ARCHITECTURE][=VERSION]` or `NAME/SUITE`.
fn explain_word(word: &str, names: &BTreeSet<String>) -> Option<String> {
    let name = word.split([':', '=', '/']).next().unwrap_or(word);
    if name == word || !names.contains(name) {
        return near::question(name, names.iter().map(String::as_str));
    }
    Some(match (word.split_once('='), word.split_once('/')) {
        (Some((_, version)), _) => format!("The suite has {name}, but not in version {version}."),
        (None, Some((_, suite))) => {
            format!("{name} is there, but {suite} is none of the suites that the machine is made of.")
        }
        (None, None) => {
            format!("The suite has {name}, but only packages of the machine's own architecture can be added.")
        }
    })
}

/// Names in apt's complaints about packages that it does not know.
fn missing_packages(stderr: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for line in stderr.lines() {
        let name = if let Some(rest) = line.strip_prefix("E: Unable to locate package ") {
            rest.trim()
        } else if line.starts_with("E: Package ") && line.contains("no installation candidate") {
            quoted(line, 0)
        } else if line.starts_with("E: Version ") && line.contains("was not found") {
            &format!("{}={}", quoted(line, 1), quoted(line, 0))
        } else if line.starts_with("E: Release ") && line.contains("was not found") {
            &format!("{}/{}", quoted(line, 1), quoted(line, 0))
        } else {
            continue;
        };
        if !name.is_empty() && !missing.iter().any(|known| known == name) {
            missing.push(name.to_owned());
        }
    }
    missing
}

/// The text in the nth pair of quotation marks.
fn quoted(line: &str, index: usize) -> &str {
    line.split(['\'', '‘', '’']).nth(2 * index + 1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_print_uris_is_read() {
        let package =
            parse_uri("'http://m/pool/g/gawk_1%3a5.2_amd64.deb' gawk_1%3a5.2_amd64.deb 42 SHA256:ab")
                .unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str(), package.size), ("gawk", "1:5.2", 42));
        assert_eq!(package.file, "gawk_1%3a5.2_amd64.deb");
        for broken in ["'x'", "'x' a.deb 1", "'x' ../a_1_b.deb 1 SHA256:0", "'x' a_1_b.deb many SHA256:0"] {
            assert!(parse_uri(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn stanzas_are_read_and_nonsense_is_passed_over() {
        let text = "Package: a\nVersion: 1\nArchitecture: all\nInstalled-Size: 3\n\n\u{0}\nPackage: b\nInstalled-Size: x\n";
        let mut stanzas = Vec::new();
        each_stanza(text.as_bytes(), |stanza| stanzas.push(stanza)).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].installed_size, 3072);
        assert_eq!(stanzas[1].name, "b");
    }

    #[test]
    fn unknown_packages_are_found_in_what_apt_says() {
        let stderr = "E: Unable to locate package nginxx\nE: Unable to locate package nginxx\n\
                      E: Package 'foo' has no installation candidate\nE: Version '9' for 'bar' was not found\n\
                      E: Release 'sid' for 'vim' was not found\n";
        assert_eq!(missing_packages(stderr), ["nginxx", "foo", "bar=9", "vim/sid"]);
    }

    #[test]
    fn a_version_and_an_architecture_that_are_not_there_are_told_apart() {
        let names = BTreeSet::from(["hello".to_owned()]);
        let hint = |word| explain_word(word, &names).unwrap_or_default();
        assert!(hint("hello=9.9").contains("version 9.9"));
        assert!(hint("hello:i386").contains("architecture"));
        assert!(hint("hello/sid").contains("sid is none of the suites"));
        assert!(hint("helo/sid").contains("`hello`"));
        assert!(hint("helo").contains("`hello`"));
        assert!(hint("helo=1").contains("`hello`"));
    }
}
