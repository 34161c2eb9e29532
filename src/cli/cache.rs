//! `rvmb cache`: says what is kept between builds, and takes it away.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::{Args as _, Command, FromArgMatches as _, ValueHint};
use serde::Serialize;

use crate::build;
use crate::cache::clean::{self, Entry, What};
use crate::cache::place;
use crate::error::{Context, Kind, Result};
use crate::host::identity;
use crate::host::interrupt::Interrupt;
use crate::host::run::Runner;
use crate::host::scratch;
use crate::plan::Privilege;
use crate::ui::Ui;
use crate::units::Size;
use crate::worker::front;

const EXAMPLES: &str = "\
Examples:
  rvmb cache list
  rvmb cache clean                       what was not used for 30 days
  rvmb cache clean --older-than 12h
  rvmb cache clean --all --cache-dir /srv/rvmb

Every build does `rvmb cache clean` when it has succeeded.";

/// Arguments of `rvmb cache`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Action {
    /// Say what is kept, how large it is, and when it was used last
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Remove what was not used for long
    Clean {
        /// For how long: a number with s, min, h or d
        #[arg(long, value_name = "AGE", default_value = "30d", conflicts_with = "all")]
        older_than: Age,
        /// Remove everything
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(clap::Args, Clone, Debug)]
struct Common {
    /// Print JSON for programs
    #[arg(long)]
    json: bool,
    /// Directory of the cache [default: ~/.cache/rvmb, for root /var/cache/rvmb]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cache_dir: Option<PathBuf>,
}

/// A time span as a user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Age(Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err("an age is a number with s, min, h or d, such as 30d".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        let seconds = number.checked_mul(unit).ok_or("the age is too great")?;
        Ok(Age(Duration::from_secs(seconds)))
    }
}

/// `rvmb cache` with everything below it.
pub fn command() -> Command {
    let command = Args::augment_args(Command::new("cache"))
        .about("Say what is kept between builds, or remove it")
        .after_help(EXAMPLES)
        .arg_required_else_help(true)
        .disable_help_subcommand(true);
    ["list", "clean"]
        .into_iter()
        .fold(command, |command, action| command.mut_subcommand(action, |below| below.after_help(EXAMPLES)))
}

impl Args {
    /// Takes the arguments out of the matches of [`command`].
    pub fn from_matches(matches: &clap::ArgMatches) -> Result<Args, clap::Error> {
        Args::from_arg_matches(matches)
    }
}

/// What is told of an entry, or of all packages together.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    what: What,
    name: String,
    files: usize,
    bytes: u64,
    /// Seconds since 1970.
    used: u64,
}

/// Does what was asked for.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let runner = Runner::new(ui.sink());
    interrupt.on_cancel(runner.canceller());
    let done = match args.action {
        Action::List { common } => list(&common, &runner),
        Action::Clean { older_than, all, common } => {
            let age = if all { None } else { Some(older_than.0) };
            clean(&common, age, &scratch::default_directory(), &runner)
        }
    };
    ui.print(&done.map_err(|error| interrupt.told_apart(error))?)
}

fn list(common: &Common, runner: &Runner) -> Result<String> {
    let entries = clean::entries(&place(common.cache_dir.as_deref())?)?;
    let rows = rows(&entries, runner)?;
    if common.json { json(&rows) } else { Ok(table(&rows, "")) }
}

/// Removes what was not used for `age`, or everything, and what killed builds have left, in `scratch` too.
fn clean(common: &Common, age: Option<Duration>, scratch: &Path, runner: &Runner) -> Result<String> {
    let directory = place(common.cache_dir.as_deref())?;
    build::clear_up_in(&directory, scratch, runner);
    let now = SystemTime::now();
    let is_old = |entry: &Entry| age.is_none_or(|age| entry.is_older(age, now));
    let old = |directory: &Path| -> Result<Vec<Entry>> {
        Ok(clean::entries(directory)?.into_iter().filter(is_old).collect())
    };
    // Where nothing is to be removed there need not even be a cache.
    if old(&directory)?.is_empty() && clean::remains(&directory)?.is_empty() {
        return if common.json { json(&[]) } else { Ok(table(&[], "removed ")) };
    }
    let alone = clean::take(&directory)?.ok_or_else(|| clean::busy(&directory))?;
    clean::remove_remains(&alone, &directory)?;
    let old = old(&directory)?;
    let rows = rows(&old, runner)?;
    clean::remove(&alone, &old, |paths| front::remove(runner, &privilege(&paths)?, paths))?;
    if common.json { json(&rows) } else { Ok(table(&rows, "removed ")) }
}

/// A row for each layer and each index, and one for all packages.
fn rows(entries: &[Entry], runner: &Runner) -> Result<Vec<Row>> {
    let is_layer = |entry: &&Entry| entry.what == What::Layer;
    let layers: Vec<PathBuf> = entries.iter().filter(is_layer).map(|entry| entry.path.clone()).collect();
    let mut measured = match layers.is_empty() {
        true => Vec::new(),
        false => front::measure(runner, &privilege(&layers)?, layers)?,
    }
    .into_iter();
    let mut rows: Vec<Row> = Vec::new();
    for Entry { what, name, path, used } in entries {
        let bytes = match what {
            What::Layer => measured.next().unwrap_or(0),
            What::Index | What::Package => clean::size(path)?,
        };
        match rows.last_mut() {
            Some(row) if *what == What::Package && row.what == What::Package => {
                row.files += 1;
                row.bytes += bytes;
                row.used = row.used.max(*used);
            }
            _ => {
                let name = if *what == What::Package { "archives".to_owned() } else { name.clone() };
                rows.push(Row { what: *what, name, files: 1, bytes, used: *used });
            }
        }
    }
    Ok(rows)
}

/// What reading and removing layers takes: their files may belong to subordinate ids.
fn privilege(layers: &[PathBuf]) -> Result<Privilege> {
    identity::privilege().map_err(|error| error.within(format!("looking into {} layers", layers.len())))
}

fn json(rows: &[Row]) -> Result<String> {
    let text = serde_json::to_string_pretty(rows)
        .context(Kind::Build, || "writing what is in the cache as JSON".into())?;
    Ok(text + "\n")
}

/// A line for each row, and one for all of them.
fn table(rows: &[Row], done: &str) -> String {
    let mut text = String::new();
    for row in rows {
        let what = match row.what {
            What::Layer => "layer".to_owned(),
            What::Index => "index".to_owned(),
            What::Package => format!("{} packages", row.files),
        };
        let used = i64::try_from(row.used).ok().and_then(|used| jiff::Timestamp::from_second(used).ok());
        let used = used.map_or_else(|| "-".to_owned(), |used| used.strftime("%Y-%m-%d").to_string());
        text += &format!("{what:<14}{:>10}  {used}  {}\n", Size(row.bytes).to_string(), row.name);
    }
    let whole: u64 = rows.iter().map(|row| row.bytes).sum();
    text += &format!("{done}{} in all\n", Size(whole));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: What, files: usize) -> Row {
        Row { what, name: "name".into(), files, bytes: 3 << 20, used: 86_400 }
    }

    #[test]
    fn ages_are_read() {
        let table = [("30d", Some(2_592_000)), ("12h", Some(43_200)), ("5min", Some(300)), ("0s", Some(0))];
        for (text, expected) in table {
            assert_eq!(text.parse::<Age>().ok().map(|age| age.0.as_secs()), expected, "{text}");
        }
        for text in ["30", "d", "", "3 d", "-1d", "1w", "99999999999999999999d", "999999999999999999d"] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_ends_with_the_whole() {
        let rows = [row(What::Layer, 1), row(What::Package, 162)];
        assert_eq!(
            table(&rows, "removed "),
            "layer              3 MiB  1970-01-02  name\n\
             162 packages       3 MiB  1970-01-02  name\n\
             removed 6 MiB in all\n"
        );
        assert_eq!(table(&[], ""), "0 B in all\n");
    }

    #[test]
    fn packages_are_one_row_and_json_is_a_list() {
        let directory = tempfile::tempdir().unwrap();
        let entry = |what, name: &str, used| {
            let path = directory.path().join(name);
            std::fs::write(&path, "x").unwrap();
            Entry { what, name: name.into(), path, used }
        };
        let entries =
            [entry(What::Index, "i", 1), entry(What::Package, "a", 5), entry(What::Package, "b", 3)];
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        let rows = rows(&entries, &runner).unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.what, row.files, row.used)).collect();
        assert_eq!(seen, [(What::Index, 1, 1), (What::Package, 2, 5)]);
        let list: serde_json::Value = serde_json::from_str(&json(&rows).unwrap()).unwrap();
        assert_eq!(list[1]["what"], "package");
    }

    #[test]
    fn nothing_is_made_to_be_cleaned() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("cache");
        let common = Common { json: false, cache_dir: Some(missing.clone()) };
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        assert_eq!(clean(&common, None, directory.path(), &runner).unwrap(), "removed 0 B in all\n");
        assert!(!missing.exists());
    }
}
