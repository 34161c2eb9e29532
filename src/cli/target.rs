//! `HYPERVISOR DISTRO [options]`: the words that `rvmb` and `rvmb plan` share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::options::Options;
use crate::appliance::{Appliance, config};
use crate::error::{Error, Result};
use crate::{hypervisor, near};

const EXAMPLES: &str = "\
Examples:
  rvmb {hypervisor} {distro}
  rvmb {hypervisor} {distro} --addpkg nginx,vim --user bob --firstboot setup.sh
  rvmb {hypervisor} {distro} --suite {suite} --rootsize 8G --swapsize 0 -d web -o
  rvmb plan {hypervisor} {distro} --addpkg nginx";

/// Distributions, with what the help says of each.
pub const DISTROS: &[(&str, &str)] =
    &[("debian", "Build a Debian machine"), ("ubuntu", "Build an Ubuntu machine")];

/// A machine as the command line describes it.
#[derive(Clone, Debug)]
pub struct Target {
    hypervisor: String,
    distro: String,
    options: Box<Options>,
}

/// Adds a subcommand for each hypervisor, and to each one for each distribution.
pub fn augment(command: Command) -> Command {
    hypervisor::all()
        .iter()
        .fold(command, |command, target| {
            command.subcommand(hypervisor_command(target.name(), target.summary()))
        })
        .allow_external_subcommands(true)
}

fn hypervisor_command(name: &'static str, summary: &str) -> Command {
    let command = Command::new(name)
        .about(format!("Build a machine for {summary}"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .allow_external_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("DISTRO")
        .subcommand_help_heading("Distributions");
    DISTROS.iter().fold(command, |command, (distro, about)| {
        let suite = if *distro == "debian" { "bookworm" } else { "jammy" };
        let examples =
            EXAMPLES.replace("{hypervisor}", name).replace("{distro}", distro).replace("{suite}", suite);
        command.subcommand(Options::augment_args(Command::new(*distro)).about(*about).after_help(examples))
    })
}

impl Target {
    /// Takes the machine out of the matches of a command that [`augment`] was used on; `verbs` are the
    /// other subcommands that the command has, for near matches.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Usage`] for a hypervisor or a distribution that there is not.
    pub fn from_matches(name: &str, matches: &ArgMatches, verbs: &[&str]) -> Result<Target> {
        hypervisor::find(name).map_err(|error| with_near_verbs(error, name, verbs))?;
        let (distro, matches) = matches.subcommand().unwrap_or(("", matches));
        if !DISTROS.iter().any(|(known, _)| *known == distro) {
            return Err(no_distro(distro));
        }
        let options = Options::from_arg_matches(matches).map_err(|error| Error::usage(error.to_string()))?;
        Ok(Target { hypervisor: name.to_owned(), distro: distro.to_owned(), options: Box::new(options) })
    }

    /// What the user wants, from the configuration files and, over them, the options.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Config`] where a file is wrong or cannot be read.
    pub fn appliance(self) -> Result<Appliance> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = config::usual_files(variable("HOME").as_deref(), variable("XDG_CONFIG_HOME").as_deref());
        self.appliance_with(&usual)
    }

    /// The same with the configuration files of the system and of the user named, those that win last.
    ///
    /// # Errors
    ///
    /// As for [`Target::appliance`].
    pub fn appliance_with(self, usual: &[PathBuf]) -> Result<Appliance> {
        let hypervisors: Vec<&str> = hypervisor::all().iter().map(|hypervisor| hypervisor.name()).collect();
        let distros = distros();
        let known =
            config::Known { hypervisors: &hypervisors, coming: hypervisor::PLANNED, distros: &distros };
        let named = self.options.config();
        let configured = config::load(usual, named, &self.hypervisor, &self.distro, known)?;
        Ok(configured.overlaid_by(self.options.appliance(&self.hypervisor, &self.distro)?))
    }
}

/// How many words a command line has that starts with `first`: hypervisor and distribution, and `plan`
/// before them; none where it starts with one of the other `verbs`.
pub fn word_count(first: &std::ffi::OsStr, verbs: &[&str]) -> Option<usize> {
    let first = first.to_string_lossy();
    match first.as_ref() {
        "plan" => Some(3),
        "help" => None,
        word if verbs.contains(&word) => None,
        _ => Some(2),
    }
}

/// The options that may stand before the hypervisor.
pub fn option_command() -> Command {
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
    let error = Error::usage(format!("`{name}` is no distribution that rvmb knows"));
    let error = match near::question(name, distros()) {
        Some(question) => error.hint(question),
        None => error.hint(format!("Distributions are {available}.")),
    };
    error.hint("A release is named with --suite.")
}

/// The arguments of this process without the program's name.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}
