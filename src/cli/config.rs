//! `rvmb config`: says what is set where. `show` prints each setting of a machine, its value and where it
//! comes from, or without a machine what the configuration files say; `path` prints which files are read.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use serde::Serialize;

use super::defaults::{self, Pair};
use super::plan;
use super::program::Program;
use super::target::{self, Shape, Target};
use crate::appliance::config::{Choice, Configuration};
use crate::appliance::settings::{SETTINGS, Setting};
use crate::error::{Context, Error, Kind, Result};
use crate::hypervisor;
use crate::ui::{Ui, columns};

/// Arguments of `rvmb config`.
#[derive(Clone, Debug)]
pub struct Args {
    action: Action,
    json: bool,
}

#[derive(Clone, Debug)]
enum Action {
    /// The settings of a machine.
    Machine(Box<Target>),
    /// What the files say, those of the system and the user, and then the one that is named.
    Files(Option<PathBuf>),
    /// Which files are read.
    Path,
}

/// `rvmb config` with everything below it.
pub(super) fn command(shape: Shape<'_>) -> Command {
    let program = shape.program;
    let show = Command::new("show")
        .about("Print each setting, its value, and where it comes from")
        .override_usage(format!("{} config show [{}] [OPTIONS]", program.name(), program.words()))
        .disable_help_subcommand(true)
        .subcommand_value_name("HYPERVISOR")
        .subcommand_help_heading("Hypervisors")
        .arg(plan::json("Print JSON for programs"))
        .arg(config_option());
    let path = Command::new("path")
        .about("Print the configuration files that are read, the last of which wins")
        .arg(plan::json("Print JSON for programs"));
    Command::new("config")
        .about("Say what is set, and where")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(target::augment(show, shape))
        .subcommand(path)
}

/// The option of a machine that also counts without one.
fn config_option() -> Arg {
    Arg::new("config")
        .short('c')
        .long("config")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file, read after the ones of the system and of the user")
}

impl Args {
    /// Takes the arguments out of the matches of [`command`].
    pub(super) fn from_matches(program: Program, matches: &ArgMatches) -> Result<Args> {
        let (verb, matches) = matches.subcommand().ok_or_else(|| Error::usage("there is no command"))?;
        let action = match (verb, matches.subcommand()) {
            ("path", _) => Action::Path,
            (_, Some((name, below))) => {
                Action::Machine(Box::new(Target::from_matches(program, name, below, &[])?))
            }
            (_, None) => Action::Files(matches.get_one::<PathBuf>("config").cloned()),
        };
        Ok(Args { action, json: matches.get_flag("json") })
    }
}

/// Prints what was asked for.
///
/// # Errors
///
/// A configuration file is wrong or cannot be read, or standard output cannot be written to.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let text = match args.action {
        Action::Machine(target) => {
            let configuration = target.configuration()?;
            let rows = settings_of(&target, &configuration)?;
            if args.json { json(&rows)? } else { settings_table(&rows) }
        }
        Action::Files(named) => {
            let configuration = target::configuration(&target::usual_files(), named.as_deref())?;
            let rows: Vec<Row<'_>> = configuration.everything().iter().map(in_file).collect();
            if args.json { json(&rows)? } else { sections_table(&rows) }
        }
        Action::Path => {
            let rows: Vec<File> = target::usual_files().into_iter().map(File::look).collect();
            if args.json { json(&rows)? } else { files_table(&rows) }
        }
    };
    ui.print(&text)
}

/// A setting with its value; none where it is not set and has no default.
#[derive(Debug, PartialEq, Serialize)]
struct Row<'a> {
    setting: &'static str,
    value: Option<String>,
    #[serde(flatten)]
    origin: Origin<'a>,
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
enum Origin<'a> {
    /// The command line.
    Option,
    /// A configuration file.
    File { file: &'a str, line: usize, section: &'a str },
    /// Nobody set it. The value is what will be, or words for it.
    Default,
}

impl std::fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Option => f.write_str("option"),
            Origin::File { file, line, .. } => write!(f, "{file}:{line}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

fn in_file<'a>(choice: &Choice<'a>) -> Row<'a> {
    let (file, line) = (choice.entry.key.file.as_str(), choice.entry.key.line);
    let origin = Origin::File { file, line, section: choice.entry.section.text.as_str() };
    Row { setting: choice.setting.name, value: Some(choice.shown()), origin }
}

/// Every setting that machines of the pair have.
fn settings_of<'a>(target: &Target, configuration: &'a Configuration) -> Result<Vec<Row<'a>>> {
    let (name, distro) = target.pair();
    let given = target.given_values();
    let choices = configuration.choose(name, distro, &given);
    let mut chosen = given;
    chosen.extend(choices.iter().map(|choice| (choice.setting.name, choice.text.as_str())));
    let pair = Pair { hypervisor: hypervisor::find(name)?, distro, registry: None };
    let row = |setting: &Setting| {
        if let Some(given) = target.given().iter().find(|given| given.name == setting.name) {
            return Row { setting: given.name, value: Some(given.shown.clone()), origin: Origin::Option };
        }
        match choices.iter().find(|choice| choice.setting.name == setting.name) {
            Some(choice) => in_file(choice),
            None => {
                let off = || setting.is_switch().then(|| "no".to_owned());
                let value = defaults::beside(setting.name, pair, &chosen).or_else(off);
                Row { setting: setting.name, value, origin: Origin::Default }
            }
        }
    };
    Ok(SETTINGS.iter().filter(|setting| setting.scope.has(Some(name), Some(distro))).map(row).collect())
}

fn settings_table(rows: &[Row<'_>]) -> String {
    let mut lines = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| [row.setting.to_owned(), cell(row), row.origin.to_string()]));
    columns::render(&lines)
}

fn sections_table(rows: &[Row<'_>]) -> String {
    let mut lines = vec![["SECTION", "SETTING", "VALUE", "FROM"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let section = match row.origin {
            Origin::File { section, .. } => section.to_owned(),
            _ => String::new(),
        };
        [section, row.setting.to_owned(), cell(row), row.origin.to_string()]
    }));
    columns::render(&lines)
}

fn cell(row: &Row<'_>) -> String {
    row.value.as_deref().unwrap_or("-").replace('\n', "\\n")
}

/// A configuration file, and whether it is there.
#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    exists: bool,
}

impl File {
    fn look(path: PathBuf) -> File {
        File { exists: path.exists(), path }
    }
}

fn files_table(files: &[File]) -> String {
    let mut lines = vec![["FILE", "STATE"].map(str::to_owned)];
    lines.extend(files.iter().map(|file| {
        let state = if file.exists { "read" } else { "not there" };
        [file.path.display().to_string(), state.to_owned()]
    }));
    columns::render(&lines)
}

fn json(rows: &[impl Serialize]) -> Result<String> {
    let text =
        serde_json::to_string_pretty(rows).context(Kind::Build, || "writing the settings as JSON".into())?;
    Ok(text + "\n")
}
