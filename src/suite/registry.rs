//! All known releases: the built-in suite files, and those of the administrator over them.
//!
//! A file `/etc/rvmb/suites/<distro>/<codename>.toml` stands in for the built-in one of that name, or
//! adds a release. Every file is read and checked before anything is answered, and everything that
//! is wrong with any of them is said at once.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::near;

use super::{Suite, Tier, built_in, gone, validate};

/// Where the administrator's suite files lie, a directory per distribution.
const OVERRIDES: &str = "/etc/rvmb/suites";

/// A suite file is a few kilobytes; a larger file is something else.
const FILE_LIMIT: u64 = 1024 * 1024;

/// All known releases, by distribution and in the order of their release; unreleased ones last.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Sorted by distribution first, which [`Registry::suites`] relies on.
    suites: Vec<Suite>,
}

impl Registry {
    /// The built-in releases with the administrator's over them.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is no TOML, or says something impossible: one error with all of it.
    pub fn load() -> Result<Self> {
        Registry::load_over(Path::new(OVERRIDES))
    }

    /// The built-in releases alone.
    ///
    /// # Errors
    ///
    /// A built-in file is wrong, which the tests of this program rule out.
    pub fn built_in() -> Result<Self> {
        let mut loader = Loader::default();
        loader.add_built_in();
        loader.finish()
    }

    /// The built-in releases with those of `directory/<distro>/*.toml` over them. The directory need
    /// not exist.
    ///
    /// # Errors
    ///
    /// As [`Registry::load`].
    pub fn load_over(directory: &Path) -> Result<Self> {
        let mut loader = Loader::default();
        loader.add_built_in();
        for file in override_files(directory)? {
            loader.add_file(&file);
        }
        loader.finish()
    }

    /// The distributions that have releases.
    pub fn distros(&self) -> Vec<&str> {
        let mut distros: Vec<&str> = self.suites.iter().map(|suite| suite.distro.as_str()).collect();
        distros.dedup();
        distros
    }

    /// The releases of `distro` in the order of their release; none for an unknown distribution.
    pub fn suites(&self, distro: &str) -> &[Suite] {
        let start = self.suites.partition_point(|suite| suite.distro.as_str() < distro);
        let end = self.suites.partition_point(|suite| suite.distro.as_str() <= distro);
        self.suites.get(start..end).unwrap_or_default()
    }

    /// The releases of `distro`, as [`Registry::suites`].
    ///
    /// # Errors
    ///
    /// The distribution is not known; the hints name near matches and what there is.
    pub fn suites_of(&self, distro: &str) -> Result<&[Suite]> {
        self.check_distro(distro)?;
        Ok(self.suites(distro))
    }

    /// Every release.
    pub fn all(&self) -> &[Suite] {
        &self.suites
    }

    /// The release of `distro` that goes by `name`: its codename, version or another name, in any case.
    ///
    /// # Errors
    ///
    /// There is none; the hints name near matches and what there is.
    pub fn find(&self, distro: &str, name: &str) -> Result<&Suite> {
        self.check_distro(distro)?;
        let wanted = name.to_lowercase();
        // An empty version is no version: nobody finds sid by an empty word.
        let found =
            self.suites(distro).iter().find(|suite| !wanted.is_empty() && names(suite).any(|n| n == wanted));
        if let Some(suite) = found {
            return Ok(suite);
        }
        let mut error = Error::config(format!("there is no release `{name}` of {distro}"));
        let newest = self.default_suite(distro).map(|suite| suite.codename.as_str()).unwrap_or_default();
        let hint = gone::explain(distro, name, newest)
            .or_else(|| near::question(name, self.suites(distro).iter().flat_map(names)));
        if let Some(hint) = hint {
            error = error.hint(hint);
        }
        let elsewhere = self.all().iter().find(|suite| names(suite).any(|known| known == name));
        if let Some(suite) = elsewhere {
            error = error.hint(format!("`{name}` is a release of {}: name that distribution.", suite.distro));
        }
        let known: Vec<&str> = self.suites(distro).iter().map(|suite| suite.codename.as_str()).collect();
        Err(error
            .hint(format!("The known releases of {distro} are {}.", known.join(", ")))
            .hint(format!("A file in {OVERRIDES}/{distro} adds one of your own.")))
    }

    /// The release of `distro` for users who name none: the newest that is supported for years.
    ///
    /// # Errors
    ///
    /// The distribution is not known, or no release of it is supported.
    pub fn default_suite(&self, distro: &str) -> Result<&Suite> {
        self.check_distro(distro)?;
        self.suites(distro)
            .iter()
            .filter(|suite| suite.tier == Tier::Supported && is_long_term(&suite.version))
            .max_by_key(|suite| suite.dates.release)
            .ok_or_else(|| {
                Error::config(format!("no release of {distro} is supported"))
                    .hint("Name one with --suite; `rvmb suites` lists all of them.")
            })
    }

    fn check_distro(&self, distro: &str) -> Result<()> {
        let known = self.distros();
        if known.contains(&distro) {
            return Ok(());
        }
        let mut error = Error::config(format!("there is no distribution `{distro}`"));
        if let Some(hint) = near::question(distro, known.iter().copied()) {
            error = error.hint(hint);
        }
        Err(error.hint(format!("The known distributions are {}.", known.join(", "))))
    }
}

/// Every name that a release goes by.
fn names(suite: &Suite) -> impl Iterator<Item = &str> {
    [&suite.codename, &suite.version].into_iter().chain(&suite.aliases).map(String::as_str)
}

/// Whether a release of this version is supported for years. Versions that are dates, `YY.MM`, are so
/// in April of even years; versions that are numbers, always.
fn is_long_term(version: &str) -> bool {
    match version.split_once('.') {
        None => true,
        Some((year, month)) => month == "04" && year.parse::<u32>().is_ok_and(|year| year.is_multiple_of(2)),
    }
}

/// The administrator's files, sorted, so that errors come in the same order every time.
fn override_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for distro in directory_entries(directory)? {
        if distro.is_dir() {
            let entries = directory_entries(&distro)?;
            files.extend(entries.into_iter().filter(|file| file.extension().is_some_and(|e| e == "toml")));
        }
    }
    Ok(files)
}

/// The sorted entries of a directory; none where it does not exist.
fn directory_entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("reading directory {}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::config(reading()).because(&error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.context(Kind::Config, reading)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Collects suites, and everything that is wrong with them.
#[derive(Default)]
struct Loader {
    /// By distribution and codename, so that later files stand in for earlier ones.
    suites: BTreeMap<(String, String), Suite>,
    problems: Vec<String>,
}

impl Loader {
    fn add_built_in(&mut self) {
        for (path, text) in built_in::FILES {
            self.add(Path::new(path), text);
        }
    }

    fn add_file(&mut self, path: &Path) {
        match read_limited(path) {
            Ok(text) => self.add(path, &text),
            Err(error) => self.problem(path, &error.to_string()),
        }
    }

    /// Parses and checks one file, whose path ends in `<distro>/<codename>.toml`.
    fn add(&mut self, path: &Path, text: &str) {
        let suite: Suite = match toml::from_str(text) {
            Ok(suite) => suite,
            Err(error) => return self.problem(path, &error.to_string()),
        };
        let name_of =
            |path: Option<&std::ffi::OsStr>| path.and_then(|name| name.to_str()).map(str::to_string);
        let place = validate::Place {
            distro: name_of(path.parent().and_then(Path::file_name)).unwrap_or_default(),
            codename: name_of(path.file_stem()).unwrap_or_default(),
        };
        let problems = validate::problems(&suite, &place);
        if problems.is_empty() {
            self.suites.insert((suite.distro.clone(), suite.codename.clone()), suite);
        }
        for problem in problems {
            self.problem(path, &problem);
        }
    }

    /// A problem may have several lines: TOML errors show the line and point at the place in it.
    fn problem(&mut self, path: &Path, text: &str) {
        let text = text.trim_end().replace('\n', "\n    ");
        self.problems.push(format!("{}: {text}", path.display()));
    }

    fn finish(mut self) -> Result<Registry> {
        let mut suites: Vec<Suite> = self.suites.into_values().collect();
        self.problems.extend(validate::clashes(&suites));
        if !self.problems.is_empty() {
            let list = self.problems.join("\n  ");
            return Err(Error::config(format!("reading the suite files\n  {list}"))
                .hint(format!("Correct or remove the files under {OVERRIDES}.")));
        }
        suites.sort_by_key(|suite| {
            let release = suite.dates.release;
            // Unreleased ones after the others, and those that never will be last.
            (
                suite.distro.clone(),
                release.is_none(),
                release,
                suite.version.is_empty(),
                suite.codename.clone(),
            )
        });
        Ok(Registry { suites })
    }
}

/// Reads a file of at most [`FILE_LIMIT`] bytes.
fn read_limited(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let size = std::fs::File::open(path)?.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if u64::try_from(size).is_ok_and(|size| size > FILE_LIMIT) {
        return Err(std::io::Error::other("it is too large for a suite file"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
