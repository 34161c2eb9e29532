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

use crate::error::{Error, Problem, Result};
use crate::host::named_file::NamedFile;

/// The section whose settings hold for every machine.
const DEFAULT: &str = "DEFAULT";

/// Longest configuration file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What all configuration files say together. Nothing is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    entries: Vec<Entry>,
    /// The names of the files, those that win last.
    files: Vec<String>,
}

impl Configuration {
    /// Reads texts with the names of their files, those that win last. Every problem of all of them is
    /// told, whichever machine it concerns.
    pub fn of_texts(texts: &[(String, String)], known: Known<'_>) -> Result<Configuration, Vec<Problem>> {
        let mut headers = Vec::new();
        let mut entries = Vec::new();
        let mut problems = Vec::new();
        for (file, text) in texts {
            let (parsed, found) = parse::parse_all(file, text);
            headers.extend(parsed.headers);
            entries.extend(parsed.entries);
            problems.extend(found);
        }
        problems.extend(check::problems(&headers, &entries, known));
        problems.sort_by_key(|problem| {
            let file = texts.iter().position(|(file, _)| *file == problem.file);
            (file, problem.line, problem.column)
        });
        let files = texts.iter().map(|(file, _)| file.clone()).collect();
        if problems.is_empty() { Ok(Configuration { entries, files }) } else { Err(problems) }
    }

    /// Reads the `usual` files where they exist, then the one that the user named, which must exist.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`], with every problem of all files, whichever machine it concerns.
    pub fn read(usual: &[PathBuf], named: Option<&Path>, known: Known<'_>) -> Result<Configuration> {
        let mut texts = Vec::new();
        let mut errors = Vec::new();
        let mut problems = Vec::new();
        let usual = usual.iter().filter_map(|path| text_of(path).transpose());
        let named = named.map(|path| text_of(path)?.ok_or_else(|| not_there(path)));
        for read in usual.chain(named) {
            match read {
                Ok((file, Ok(text))) => texts.push((file, text)),
                Ok((_, Err(problem))) => problems.push(problem),
                Err(error) => errors.push(error),
            }
        }
        let configuration = Configuration::of_texts(&texts, known);
        problems.extend(configuration.as_ref().err().into_iter().flatten().cloned());
        if !problems.is_empty() {
            let count = problems.len();
            let places = if count == 1 { "one place".to_owned() } else { format!("{count} places") };
            errors.push(Error::config(format!("the configuration is wrong in {places}")).problems(problems));
        }
        Error::all(errors)?;
        Ok(configuration.unwrap_or_default())
    }
}

fn not_there(path: &Path) -> Error {
    let cure = "--config takes the name of a file.";
    NamedFile { option: "--config", path, cure }.explain(&std::io::Error::from(rustix::io::Errno::NOENT))
}

/// A file's name and text, or what is wrong where it is no text; none where it does not exist.
fn text_of(path: &Path) -> Result<Option<(String, Result<String, Problem>)>> {
    use std::io::ErrorKind;

    let is_missing =
        |error: std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    if std::fs::metadata(path).is_err_and(is_missing) {
        return Ok(None);
    }
    let cure = "A configuration file that is there counts: make a readable file of at most 1 MiB of it, or set HOME to \
                another directory.";
    let bytes = NamedFile { option: "", path, cure }.read(FILE_LIMIT)?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        Problem {
            file: name.clone(),
            line: good.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: 1,
            length: 1,
            // What the line says may be a password.
            text: String::new(),
            message: "the line is not UTF-8".to_owned(),
            help: Some("Convert the file, for instance with `iconv -f latin1 -t utf-8`.".to_owned()),
        }
    });
    Ok(Some((name, text)))
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
