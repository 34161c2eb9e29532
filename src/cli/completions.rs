//! `rvmb completions SHELL`: a script that lets a shell complete rvmb's words.

use clap::builder::{NonEmptyStringValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command};

use super::target::DISTROS;
use crate::error::{Context, Kind, Result};
use crate::hypervisor;
use crate::suite::Registry;
use crate::ui::Ui;

/// Arguments of `rvmb completions`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The shell; `rvmb completions bash > ~/.local/share/bash-completion/completions/rvmb`
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args, ui: &Ui) -> Result<()> {
    let mut script = Vec::new();
    let mut command = with_suites(super::command(), &Registry::load()?);
    clap_complete::generate(args.shell, &mut command, "rvmb", &mut script);
    let script = String::from_utf8(script).context(Kind::Build, || "reading the script of clap's".into())?;
    ui.print(&script)
}

/// Names of releases, offered and not demanded: which ones there are is the registry's to say.
#[derive(Clone)]
struct SuiteNames(Vec<String>);

impl TypedValueParser for SuiteNames {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        NonEmptyStringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// The command with the releases of each distribution offered for `--suite`. Only the script needs
/// them; reading the suite files at every start would be a waste.
fn with_suites(command: Command, registry: &Registry) -> Command {
    let in_pairs = |command: Command| {
        hypervisor::all().iter().fold(command, |command, hypervisor| {
            command.mut_subcommand(hypervisor.name(), |command| {
                DISTROS.iter().fold(command, |command, (distro, _)| {
                    let suites = registry.suites(distro).iter().map(|suite| suite.codename.clone()).collect();
                    command.mut_subcommand(distro, |command| {
                        command.mut_arg("suite", |argument| argument.value_parser(SuiteNames(suites)))
                    })
                })
            })
        })
    };
    in_pairs(command).mut_subcommand("plan", in_pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_offered_and_not_demanded() {
        let command = with_suites(super::super::command(), &Registry::built_in().unwrap());
        command.clone().debug_assert();
        let words = ["rvmb", "plan", "kvm", "debian", "--suite", "13"];
        assert!(command.clone().try_get_matches_from(words).is_ok());
        let mut script = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut command.clone(), "rvmb", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("bullseye bookworm") || script.contains("bookworm bullseye"), "{script}");
    }
}
