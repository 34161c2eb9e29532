//! Which packages, in which versions: the host's apt decides over checked indices and an empty system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Package;
use super::archive::Index;
use super::stage::{self, Stage};
use super::word::{Which, Word};
use crate::cache::clean::ANSWER_GROWS;
use crate::digest;
use crate::error::{Context, Error, Kind, Result, Subject};
use crate::host::run::Runner;
use crate::near;

/// Version of what is kept of an answer.
const FORMAT: u32 = 2;

/// The file of the answer itself.
const ANSWER: &str = "packages.json";

/// Longest line that is read from an index; dependency lists reach some 100 KiB.
const LINE_LIMIT: usize = 4 * 1024 * 1024;

/// What is to be installed into an empty system, layer by layer.
pub(super) struct Request<'a> {
    /// apt's patterns for the variant, such as `?essential`.
    pub variant: &'a str,
    pub base: &'a [String],
    pub system: &'a [String],
    pub added: &'a [String],
    pub removed: &'a [String],
    /// Whether what the added packages recommend is wanted, too.
    pub recommends: bool,
}

/// The packages of a tree with all layers up to one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Resolved {
    base: Vec<Package>,
    system: Vec<Package>,
    packages: Vec<Package>,
    /// Where the archive of each stage is.
    #[serde(skip)]
    pub directory: PathBuf,
}

impl Resolved {
    /// Every package of any layer, in about the order in which they are unpacked.
    pub(super) fn union(&self) -> Vec<Package> {
        let mut seen = BTreeSet::new();
        let all = self.base.iter().chain(&self.system).chain(&self.packages);
        all.filter(|package| seen.insert(*package)).cloned().collect()
    }

    /// Words for apt in the archive of a stage, which knows no suites: `name/suite` gets its version.
    pub(super) fn exactly(&self, words: &[String]) -> Vec<String> {
        let exact = |text: &String| {
            let word = Word::parse(text).ok()?;
            let Which::Suite(_) = word.which else { return None };
            let package = self.packages.iter().find(|package| package.name == word.name)?;
            Some(format!("{}={}", word.package(), package.version))
        };
        words.iter().map(|word| exact(word).unwrap_or_else(|| word.clone())).collect()
    }

    /// Whether the layers up to a stage have a package of that name.
    pub(super) fn has(&self, stage: Stage, name: &str) -> bool {
        self.of_stage(stage).iter().any(|package| package.name == name)
    }

    fn of_stage(&self, stage: Stage) -> &[Package] {
        match stage {
            Stage::Base => &self.base,
            Stage::System => &self.system,
            Stage::Packages => &self.packages,
        }
    }
}

/// Resolves, or takes the answer that was given before for the same indices and the same request.
///
/// Each stage is resolved for itself, because a layer must not depend on what comes above it: another
/// package above may satisfy a dependency in another way.
pub(super) fn resolve(
    runner: &Runner,
    index: &Index,
    codename: &str,
    request: &Request<'_>,
) -> Result<(Resolved, bool)> {
    let words = words(request);
    let digests: Vec<&str> = index.sources.iter().map(|source| source.digest.as_str()).collect();
    let key = digest::sha256(format!("{FORMAT} {words:?} {} {digests:?}", request.recommends));
    let directory = index.directory.join(format!("resolved-{}", &key[..32]));
    if let Some(resolved) = read_kept(&directory) {
        return Ok((Resolved { directory, ..resolved }, true));
    }
    // What the user asked for is in the last stage alone: its refusal is the one to tell. It also makes
    // apt's cache of the indices, which the others use.
    let [base, system, packages] = &words;
    let packages = ask_apt(runner, index, packages, request)?;
    let (base, system) = std::thread::scope(|scope| {
        let base = scope.spawn(|| ask_apt(runner, index, base, request));
        let system = ask_apt(runner, index, system, request);
        (base.join().unwrap_or_else(|_| Err(Error::build("resolving packages: the thread panicked"))), system)
    });
    let mut resolved = Resolved { base: base?, system: system?, packages, directory };
    if request.recommends {
        resolved.packages = with_recommended(runner, index, &resolved.system, request)?;
    }
    let stanzas = fill_from_index(index, &mut resolved)?;
    keep(index, codename, &resolved, &stanzas)?;
    Ok((resolved, false))
}

/// The words for apt, by stages.
fn words(request: &Request<'_>) -> [Vec<String>; 3] {
    let mut words = vec![request.variant.to_owned(), "apt".to_owned()];
    words.extend(request.base.iter().cloned());
    let base = words.clone();
    words.extend(request.system.iter().cloned());
    let system = words.clone();
    words.extend(request.added.iter().cloned());
    words.extend(request.removed.iter().map(|name| format!("{name}-")));
    [base, system, words]
}

fn read_kept(directory: &Path) -> Option<Resolved> {
    // Whatever is wrong with a kept answer, asking again is the cure.
    serde_json::from_slice(&std::fs::read(directory.join(ANSWER)).ok()?).ok()
}

/// Keeps the answer, with a small archive for each stage. It is there whole or not at all.
fn keep(index: &Index, codename: &str, resolved: &Resolved, stanzas: &Stanzas) -> Result<()> {
    let context = || format!("keeping the resolution in {}", resolved.directory.display());
    let growing = tempfile::Builder::new()
        .prefix(ANSWER_GROWS)
        .tempdir_in(&index.directory)
        .context(Kind::Build, context)?;
    for stage in Stage::ALL {
        let wanted = resolved.of_stage(stage);
        let stanza = |package: &Package| {
            stanzas.get(&identity(package)).map(String::as_str).ok_or_else(|| {
                Error::build(format!("the indices have no {} {}", package.name, package.version))
            })
        };
        let text: Result<Vec<&str>> = wanted.iter().map(stanza).collect();
        stage::write(&growing.path().join(stage.name()), codename, &index.architecture, &text?)
            .context(Kind::Build, context)?;
    }
    let text = serde_json::to_vec(resolved).context(Kind::Build, context)?;
    std::fs::write(growing.path().join(ANSWER), text).context(Kind::Build, context)?;
    let growing = growing.keep();
    match std::fs::rename(&growing, &resolved.directory) {
        Ok(()) => Ok(()),
        // Another rvmb was faster, with the same answer; or what was there could not be read.
        Err(_) if read_kept(&resolved.directory).is_some() => crate::host::tree::remove(&growing),
        Err(_) => {
            crate::host::tree::remove(&resolved.directory)?;
            std::fs::rename(&growing, &resolved.directory).context(Kind::Build, context)
        }
    }
}

/// The packages of the last stage with what the added ones recommend. apt is asked over a system that has
/// the stage below: recommended is then what it will be when the layer is made, and nothing that the packages
/// below recommend.
fn with_recommended(
    runner: &Runner,
    index: &Index,
    system: &[Package],
    request: &Request<'_>,
) -> Result<Vec<Package>> {
    let context = || "resolving what packages recommend".to_owned();
    let there: BTreeSet<_> = system.iter().map(identity).collect();
    let mut status = String::new();
    each_known(index, |stanza| {
        if there.contains(&(stanza.name, stanza.version, stanza.architecture)) {
            status += &format!("{}Status: install ok installed\n\n", stanza.text);
        }
    })?;
    let file = tempfile::NamedTempFile::with_prefix_in(ANSWER_GROWS, &index.directory)
        .context(Kind::Build, context)?;
    std::fs::write(file.path(), status).context(Kind::Build, context)?;
    let mut words = vec![
        "--install-recommends".to_owned(),
        format!("-oDir::State::Status={}", file.path().display()),
        // apt's cache of the indices in its file is that of an empty system.
        "-oDir::Cache::pkgcache=".to_owned(),
    ];
    words.extend(request.added.iter().cloned());
    words.extend(request.removed.iter().map(|name| format!("{name}-")));
    let added = ask_apt(runner, index, &words, request)?;
    let replaced = |package: &&Package| {
        let same = |new: &Package| new.name == package.name && new.architecture == package.architecture;
        !added.iter().any(same)
    };
    Ok(system.iter().filter(replaced).chain(&added).cloned().collect())
}

fn ask_apt(runner: &Runner, index: &Index, words: &[String], request: &Request<'_>) -> Result<Vec<Package>> {
    // With an empty store apt lists every package, also those that need no download.
    let empty = index.directory.join("cache/archives/");
    let outcome = index
        .apt
        .command(runner, "apt-get")
        // Without the word for it apt prints the MD5 of a file, which programs once expected.
        .args(["install", "--print-uris", "--quiet", "-oAcquire::ForceHash=SHA256"])
        .arg(format!("-oDir::Cache::Archives={}", empty.display()))
        .args(words)
        .outcome()?;
    if !outcome.status.success() {
        return Err(explain(&outcome.stdout, &outcome.stderr, index, request));
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
    /// The whole of it.
    text: String,
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
            continue;
        }
        stanza.text.push_str(text);
        stanza.text.push('\n');
        if let Some(value) = text.strip_prefix("Package: ") {
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

/// Stanzas of packages, by name, version and architecture.
type Stanzas = BTreeMap<(String, String, String), String>;

fn identity(package: &Package) -> (String, String, String) {
    (package.name.clone(), package.version.clone(), package.architecture.clone())
}

/// Fills in what apt does not print, and returns the stanzas of all that was resolved.
fn fill_from_index(index: &Index, resolved: &mut Resolved) -> Result<Stanzas> {
    let mut stanzas = Stanzas::new();
    let mut sizes: BTreeMap<(String, String, String), u64> =
        resolved.union().iter().map(|package| (identity(package), 0)).collect();
    each_known(index, |stanza| {
        let key = (stanza.name, stanza.version, stanza.architecture);
        if let Some(size) = sizes.get_mut(&key) {
            *size = stanza.installed_size;
            stanzas.insert(key, stanza.text);
        }
    })?;
    for packages in [&mut resolved.base, &mut resolved.system, &mut resolved.packages] {
        for package in packages.iter_mut() {
            package.installed_size = sizes.get(&identity(package)).copied().unwrap_or(0);
        }
    }
    Ok(stanzas)
}

/// Turns apt's refusal into an error that names near matches.
fn explain(stdout: &str, stderr: &str, index: &Index, request: &Request<'_>) -> Error {
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
    there_are_no(&missing, &names, request)
}

/// The error about words of apt's that the suite has no packages for; `names` are those that it has.
fn there_are_no(missing: &[String], names: &BTreeSet<String>, request: &Request<'_>) -> Error {
    let what = if missing.len() == 1 { "there is no package" } else { "there are no packages" };
    let mut error = Error::config(format!("{what} {} in this suite", missing.join(", ")));
    for word in missing {
        if let Some(hint) = explain_word(word, names) {
            error = error.hint(hint);
        }
    }
    // apt names them in other words than it was asked in.
    let is_missing = |text: &&String| missing.iter().any(|word| Word::name_of(word) == Word::name_of(text));
    let added: Vec<&String> = request.added.iter().filter(is_missing).collect();
    let removed: Vec<&String> = request.removed.iter().filter(is_missing).collect();
    error = added.iter().fold(error, |error, word| error.about(Subject::item("addpkg", word)));
    error = removed.iter().fold(error, |error, word| error.about(Subject::item("removepkg", word)));
    for word in &removed {
        error = error.hint(format!("Leave {word} out of --removepkg: no machine of this suite has it."));
    }
    if removed.len() < missing.len() {
        error =
            error.hint("Check --addpkg and --components; `rvmb plan … --json` lists the archive's sources.");
    }
    error
}

/// What may be wrong with a word of apt's, `NAME[:ARCHITECTURE][=VERSION]` or `NAME/SUITE`.
fn explain_word(word: &str, names: &BTreeSet<String>) -> Option<String> {
    if let Some(task) = word.strip_suffix('^') {
        return Some(format!(
            "The archive has no task {task}: Ubuntu's index names tasks, Debian's does not. Name the packages, such as \
             task-{task}, or take --variant standard."
        ));
    }
    let name = Word::name_of(word);
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
        } else if let Some(rest) = line.strip_prefix("E: Couldn't find task ") {
            &format!("{}^", quoted(rest, 0))
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
    fn a_suite_becomes_the_version_that_was_found_there() {
        let line = "'http://m/vim.deb' vim_2%3a9.1_amd64.deb 42 SHA256:ab";
        let resolved = Resolved { packages: vec![parse_uri(line).unwrap()], ..Resolved::default() };
        let words = ["vim/sid", "vim:amd64/sid", "vim=2:9", "vim:amd64", "emacs/sid"].map(str::to_owned);
        assert_eq!(
            resolved.exactly(&words),
            ["vim=2:9.1", "vim:amd64=2:9.1", "vim=2:9", "vim:amd64", "emacs/sid"]
        );
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
                      E: Release 'sid' for 'vim' was not found\nE: Couldn't find task ‘standard’\n";
        assert_eq!(missing_packages(stderr), ["nginxx", "foo", "bar=9", "vim/sid", "standard^"]);
        assert!(explain_word("standard^", &BTreeSet::new()).unwrap().contains("task-standard"));
    }

    #[test]
    fn missing_packages_are_told_with_the_setting_that_names_them() {
        let [added, removed] = [["nginz=1", "vim", "lost:amd64"].as_slice(), &["nanno"]]
            .map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let request = Request {
            variant: "",
            base: &[],
            system: &[],
            added: &added,
            removed: &removed,
            recommends: false,
        };
        let error = |missing: &[&str]| {
            let missing: Vec<String> = missing.iter().map(|word| (*word).to_owned()).collect();
            there_are_no(&missing, &BTreeSet::new(), &request)
        };
        let both = error(&["nginz", "lost", "nanno"]);
        let expected = [("addpkg", "nginz=1"), ("addpkg", "lost:amd64"), ("removepkg", "nanno")];
        assert_eq!(both.subjects(), expected.map(|(setting, item)| Subject::item(setting, item)));
        let [one, other] = both.hints() else { panic!("{both:?}") };
        assert!(one.contains("--removepkg") && other.contains("--addpkg"), "{both:?}");
        let [hint] = &error(&["nanno"]).hints().to_vec()[..] else { panic!("more than one hint") };
        assert!(hint.contains("--removepkg") && !hint.contains("--addpkg"), "{hint}");
        assert!(error(&["linux-image"]).subjects().is_empty());
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
