//! Configuration files: the reader of vmbuilder's `.cfg` and of rvmb's own.
//!
//! A file has sections `[DEFAULT]`, `[<hypervisor>]`, `[<distro>]` and `[<hypervisor>/<distro>]`, the
//! later ones of this list win. Keys are the names of the long options with dashes or underscores.
//!
//! [`parse()`] is text to [`Entry`]s, [`interpolate`] puts values in the place of `%(name)s`, [`check`]
//! finds everything that is wrong with any section, and [`choose`] says which settings count for one
//! machine. [`Configuration::read`] reads all files, and reports every problem of all of them at once.

mod check;
mod choose;
mod interpolate;
mod parse;
#[cfg(test)]
mod python;

use std::path::{Path, PathBuf};

pub use check::Known;
pub use choose::{Choice, appliance};
pub use parse::{Entry, Parsed, Word, parse};

use crate::error::{Context, Error, Kind, Problem, Result};

/// The section whose settings hold for every machine.
const DEFAULT: &str = "DEFAULT";

/// Longest configuration file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What all configuration files say together, those that win last. Nothing is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    entries: Vec<Entry>,
    /// The files that were read, those that win last.
    files: Vec<PathBuf>,
}

impl Configuration {
    /// Reads the `usual` files where they exist, then the one that the user named, which must exist.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`], with every problem of all files, whichever machine it concerns.
    pub fn read(usual: &[PathBuf], named: Option<&Path>, known: Known<'_>) -> Result<Configuration> {
        let mut configuration = Configuration::default();
        let mut headers = Vec::new();
        let mut problems = Vec::new();
        let mut unreadable = Vec::new();
        for path in usual.iter().map(PathBuf::as_path).chain(named) {
            let text = match text_of(path) {
                Ok(None) if named != Some(path) => continue,
                Ok(None) => {
                    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                    unreadable.push(
                        Error::config(format!("reading {}", path.display()))
                            .because(&missing)
                            .hint("--config names a file that is there."),
                    );
                    continue;
                }
                Ok(Some(Ok(text))) => text,
                Ok(Some(Err(problem))) => {
                    problems.push(problem);
                    continue;
                }
                Err(error) => {
                    unreadable.push(error);
                    continue;
                }
            };
            configuration.files.push(path.to_owned());
            match parse(&path.display().to_string(), &text) {
                Ok(parsed) => {
                    headers.extend(parsed.headers);
                    configuration.entries.extend(parsed.entries);
                }
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(check::problems(&headers, &configuration.entries, known));
        if !problems.is_empty() {
            let count = problems.len();
            let places = if count == 1 { "one place".to_owned() } else { format!("{count} places") };
            unreadable
                .push(Error::config(format!("the configuration is wrong in {places}")).problems(problems));
        }
        Error::all(unreadable)?;
        Ok(configuration)
    }

    /// The files that were read, those that win last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every setting of every file, those that win last.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// The text of a file; none where it does not exist, and a problem where it is no text.
fn text_of(path: &Path) -> Result<Option<Result<String, Problem>>> {
    let context = || format!("reading {}", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(Kind::Config, context),
    };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FILE_LIMIT + 1), &mut bytes)
        .context(Kind::Config, context)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(Error::config(format!("{} is larger than 1 MiB", path.display()))
            .hint("A configuration file has some lines of text."));
    }
    Ok(Some(String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem {
            file: path.display().to_string(),
            line,
            column: 1,
            length: 1,
            // What the line says may be a password.
            text: String::new(),
            message: "the line is not UTF-8".to_owned(),
            help: Some("Convert the file with `iconv -f latin1 -t utf-8`, or what it is in.".to_owned()),
        }
    })))
}

/// The configuration files that are read where they exist, those that win last.
pub fn usual_files(home: Option<&Path>, xdg_config_home: Option<&Path>) -> Vec<PathBuf> {
    let config_home = match (xdg_config_home, home) {
        (Some(directory), _) if directory.is_absolute() => Some(directory.to_owned()),
        (_, Some(home)) => Some(home.join(".config")),
        (_, None) => None,
    };
    let mut files = vec![PathBuf::from("/etc/vmbuilder.cfg")];
    files.extend(home.map(|home| home.join(".vmbuilder.cfg")));
    files.push(PathBuf::from("/etc/rvmb/rvmb.cfg"));
    files.extend(config_home.map(|directory| directory.join("rvmb/rvmb.cfg")));
    files
}

#[cfg(test)]
mod tests;
