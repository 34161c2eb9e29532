//! `HYPERVISOR DISTRO [options]`: the words that `rvmb`, `rvmb plan` and `rvmb config show` share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::defaults::{self, Pair};
use super::options::Options;
use super::program::Program;
use crate::appliance::config::{self, Configuration, Known};
use crate::appliance::settings::{SETTINGS, Setting};
use crate::appliance::{Appliance, settings};
use crate::error::{Error, Result};
use crate::hypervisor::{self, Hypervisor};
use crate::near;
use crate::suite::Registry;

const EXAMPLES: &str = "\
Examples:
  {program} {machine}
  {program} {machine} --addpkg nginx,vim --user bob --firstboot setup.sh
  {program} {release} --rootsize 8G --swapsize 0 -d web -o
  {program} plan {machine} --addpkg nginx";

/// Distributions, with what the help says of each.
pub const DISTROS: &[(&str, &str)] =
    &[("debian", "Build a Debian machine"), ("ubuntu", "Build an Ubuntu machine")];

/// The word of `ubuntu-vm-builder` that names the release.
pub(super) const RELEASE: &str = "release";

/// How the commands of machines look.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    /// The program's name decides the words.
    pub(super) program: Program,
    /// The releases, where the help is to name the newest one.
    pub(super) registry: Option<&'a Registry>,
    /// Leave out of the help what few people need.
    pub(super) brief: bool,
}

impl Shape<'_> {
    /// What is enough to understand a command line.
    pub(super) fn plain(program: Program) -> Shape<'static> {
        Shape { program, registry: None, brief: false }
    }
}

/// A machine as the command line describes it.
#[derive(Clone, Debug)]
pub struct Target {
    hypervisor: String,
    distro: String,
    /// The release that is named by a word of its own.
    release: Option<String>,
    options: Box<Options>,
    given: Vec<Given>,
}

/// A setting that the command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// The value as it may be shown.
    pub shown: String,
}

/// Adds a subcommand for each hypervisor, and to each one for each distribution.
pub(super) fn augment(command: Command, shape: Shape<'_>) -> Command {
    hypervisor::all()
        .iter()
        .fold(command, |command, target| command.subcommand(hypervisor_command(*target, shape)))
        .allow_external_subcommands(true)
}

fn hypervisor_command(hypervisor: &'static dyn Hypervisor, shape: Shape<'_>) -> Command {
    let command = Command::new(hypervisor.name());
    let about = format!("Build a machine for {}", hypervisor.summary());
    if let Some(distro) = shape.program.distro() {
        let release = Arg::new(RELEASE)
            .value_name("SUITE")
            .required(true)
            .value_parser(NonEmptyStringValueParser::new())
            .help("Release to build, by codename or version; --suite names another");
        return pair_command(command.arg(release), hypervisor, distro, shape).about(about);
    }
    let command = command
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .allow_external_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("DISTRO")
        .subcommand_help_heading("Distributions");
    DISTROS.iter().fold(command, |command, (distro, about)| {
        command.subcommand(pair_command(Command::new(*distro), hypervisor, distro, shape).about(*about))
    })
}

/// The options of a pair, each with its default for it, without those that it has not.
fn pair_command(
    command: Command,
    hypervisor: &'static dyn Hypervisor,
    distro: &str,
    shape: Shape<'_>,
) -> Command {
    let suite = if distro == "debian" { "bookworm" } else { "jammy" };
    let machine = |suite| shape.program.machine(hypervisor.name(), distro, suite);
    let examples = EXAMPLES
        .replace("{program}", shape.program.name())
        .replace("{machine}", &machine(None))
        .replace("{release}", &machine(Some(suite)));
    let pair = Pair { hypervisor, distro, registry: shape.registry };
    let more = if shape.brief { "\n\n--help shows the options for EC2, too." } else { "" };
    Options::augment_args(command)
        .mut_args(|argument| for_pair(argument, pair, shape.brief))
        .after_help(examples + more)
}

fn for_pair(argument: Arg, pair: Pair<'_>, brief: bool) -> Arg {
    let name = argument.get_long().unwrap_or_default();
    let Some(setting) = settings::find(name) else { return argument };
    let is_here = setting.scope.has(Some(pair.hypervisor.name()), Some(pair.distro));
    let is_shown = is_here && !(brief && name.starts_with("ec2"));
    let help = match (argument.get_help(), defaults::of(setting.name, pair)) {
        (Some(help), Some(default)) => Some(format!("{help} [default: {default}]")),
        _ => None,
    };
    let argument = argument.hide(!is_shown);
    match help {
        Some(help) => argument.help(help),
        None => argument,
    }
}

impl Target {
    /// Takes the machine out of the matches of a command that [`augment`] was used on; `verbs` are the
    /// other subcommands that the command has, for near matches.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Usage`] for a hypervisor or a distribution that there is not, and for options that
    /// belong to others.
    pub(super) fn from_matches(
        program: Program,
        name: &str,
        matches: &ArgMatches,
        verbs: &[&str],
    ) -> Result<Target> {
        hypervisor::find(name).map_err(|error| with_near_verbs(error, name, verbs))?;
        let (distro, matches) = match program.distro() {
            Some(distro) => (distro, matches),
            None => matches.subcommand().unwrap_or(("", matches)),
        };
        if !DISTROS.iter().any(|(known, _)| *known == distro) {
            return Err(no_distro(distro));
        }
        let release = program.distro().and_then(|_| matches.get_one::<String>(RELEASE)).cloned();
        let given: Vec<Given> =
            SETTINGS.iter().filter_map(|setting| given(setting, matches, release.as_deref())).collect();
        check_scopes(&given, name, distro)?;
        let options = Options::from_arg_matches(matches).map_err(|error| Error::usage(error.to_string()))?;
        Ok(Target {
            hypervisor: name.to_owned(),
            distro: distro.to_owned(),
            release,
            options: Box::new(options),
            given,
        })
    }

    /// Hypervisor and distribution.
    pub fn pair(&self) -> (&str, &str) {
        (&self.hypervisor, &self.distro)
    }

    /// The settings that the command line names.
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// The same as names and values.
    pub(super) fn given_values(&self) -> Vec<(&str, &str)> {
        self.given.iter().map(|given| (given.name, given.shown.as_str())).collect()
    }

    /// What the configuration files say, those of the system and the user, and then the one that is named.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`] where a file is wrong or cannot be read.
    pub fn configuration(&self) -> Result<Configuration> {
        configuration(&usual_files(), self.options.config())
    }

    /// What the user wants, from the configuration files and, over them, the options.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`] where a file is wrong or cannot be read.
    pub fn appliance(self) -> Result<Appliance> {
        self.appliance_with(&usual_files())
    }

    /// The same with the configuration files of the system and of the user named, those that win last.
    ///
    /// # Errors
    ///
    /// As for [`Target::appliance`].
    pub fn appliance_with(self, usual: &[PathBuf]) -> Result<Appliance> {
        let configuration = configuration(usual, self.options.config())?;
        let given = self.given_values();
        let configured = config::appliance(&configuration.choose(&self.hypervisor, &self.distro, &given))?;
        let mut wanted = self.options.appliance(&self.hypervisor, &self.distro)?;
        wanted.suite = wanted.suite.or(self.release);
        self.given.iter().for_each(|given| wanted.origins.note_option(given.name));
        Ok(configured.overlaid_by(wanted))
    }
}

/// What the command line says of a setting.
fn given(setting: &'static Setting, matches: &ArgMatches, release: Option<&str>) -> Option<Given> {
    // clap calls an argument as its field is called.
    let id = setting.name.replace('-', "_");
    if matches.value_source(&id) != Some(ValueSource::CommandLine) {
        let release = release.filter(|_| setting.name == "suite")?;
        return Some(Given { name: setting.name, shown: release.to_owned() });
    }
    let words: Vec<String> =
        matches.get_raw(&id).into_iter().flatten().map(|word| word.to_string_lossy().into_owned()).collect();
    let text = if setting.is_switch() { "yes".to_owned() } else { words.join(",") };
    Some(Given { name: setting.name, shown: setting.shown(&text) })
}

/// Refuses options that other machines have.
fn check_scopes(given: &[Given], hypervisor: &str, distro: &str) -> Result<()> {
    let refusal = |given: &Given| {
        let setting = settings::find(given.name)?;
        let is_here = setting.scope.has(Some(hypervisor), Some(distro));
        (!is_here).then(|| {
            Error::usage(format!("--{} is an option of {}", given.name, setting.scope))
                .hint(format!("Leave it out for {hypervisor} {distro}."))
        })
    };
    Error::all(given.iter().filter_map(refusal).collect())
}

/// The configuration files of the system and of the user, those that win last.
pub(super) fn usual_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    config::usual_files(variable("HOME").as_deref(), variable("XDG_CONFIG_HOME").as_deref())
}

/// Reads configuration files.
pub(super) fn configuration(usual: &[PathBuf], named: Option<&std::path::Path>) -> Result<Configuration> {
    let hypervisors: Vec<&str> = hypervisor::all()
        .iter()
        .map(|hypervisor| hypervisor.name())
        .chain(hypervisor::PLANNED.iter().copied())
        .collect();
    Configuration::read(usual, named, Known { hypervisors: &hypervisors, distros: &distros() })
}

/// How many words a command line can have that starts with `words`: hypervisor and distribution or release,
/// with a verb before them; none where it starts with one of the other `verbs`.
pub(super) fn word_counts(words: &[OsString], verbs: &[&str]) -> Option<&'static [usize]> {
    let mut words = words.iter().map(|word| word.to_string_lossy());
    match (words.next()?.as_ref(), words.next().as_deref()) {
        ("plan", _) => Some(&[3]),
        ("config", None | Some("show")) => Some(&[2, 4]),
        (word, _) if verbs.contains(&word) || word == "help" => None,
        _ => Some(&[2]),
    }
}

/// The options that may stand before the hypervisor.
pub(super) fn option_command() -> Command {
    Options::augment_args(Command::new("rvmb"))
}

fn distros() -> Vec<&'static str> {
    DISTROS.iter().map(|(name, _)| *name).collect()
}

/// A word that is no hypervisor may be a verb that was misspelt.
fn with_near_verbs(error: Error, name: &str, verbs: &[&str]) -> Error {
    match near::question(name, verbs.iter().copied().filter(|verb| *verb != "worker")) {
        Some(question) => error.hint(question),
        None => error,
    }
}

fn no_distro(name: &str) -> Error {
    let available = distros().join(", ");
    let error = Error::usage(format!("`{name}` is not a distribution; available: {available}"));
    let error = match near::question(name, distros()) {
        Some(question) => error.hint(question),
        None => error,
    };
    error.hint("A release is named with --suite.")
}
