//! `rvmb completions SHELL`: a script that lets a shell complete rvmb's words.

use clap::builder::{NonEmptyStringValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command};

use super::program::Program;
use super::target::{self, DISTROS};
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
pub fn run(program: Program, args: &Args, ui: &Ui) -> Result<()> {
    let mut script = Vec::new();
    let mut command = with_suites(program, super::command(program), &Registry::load()?);
    clap_complete::generate(args.shell, &mut command, program.name(), &mut script);
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
fn with_suites(program: Program, command: Command, registry: &Registry) -> Command {
    let names = |distro: &str| {
        SuiteNames(registry.suites(distro).iter().map(|suite| suite.codename.clone()).collect())
    };
    let in_pairs = |command: Command| {
        hypervisor::all().iter().fold(command, |command, hypervisor| {
            command.mut_subcommand(hypervisor.name(), |command| {
                if let Some(distro) = program.distro() {
                    return command.mut_args(|argument| match argument.get_id().as_str() {
                        target::RELEASE | "suite" => argument.value_parser(names(distro)),
                        _ => argument,
                    });
                }
                DISTROS.iter().fold(command, |command, (distro, _)| {
                    command.mut_subcommand(distro, |command| {
                        command.mut_arg("suite", |argument| argument.value_parser(names(distro)))
                    })
                })
            })
        })
    };
    in_pairs(command)
        .mut_subcommand("plan", in_pairs)
        .mut_subcommand("config", |command| command.mut_subcommand("show", in_pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script for bash, of the command that completes releases, too.
    fn script(program: Program) -> (Command, String) {
        let command = with_suites(program, super::super::command(program), &Registry::built_in().unwrap());
        command.clone().debug_assert();
        let mut script = Vec::new();
        let name = program.name();
        clap_complete::generate(clap_complete::Shell::Bash, &mut command.clone(), name, &mut script);
        (command, String::from_utf8(script).unwrap())
    }

    #[test]
    fn releases_are_offered_and_not_demanded() {
        let (command, script) = script(Program::Rvmb);
        let words = ["rvmb", "plan", "kvm", "debian", "--suite", "13"];
        assert!(command.try_get_matches_from(words).is_ok());
        assert!(script.contains("bullseye bookworm") || script.contains("bookworm bullseye"), "{script}");
    }

    #[test]
    fn each_name_has_a_script_of_its_own() {
        for program in [Program::Vmbuilder, Program::UbuntuVmBuilder] {
            let (_, script) = script(program);
            let last = script.lines().rfind(|line| line.contains("complete -F")).unwrap_or_default();
            assert!(last.ends_with(&format!(" {}", program.name())), "{last}");
        }
        let (command, script) = script(Program::UbuntuVmBuilder);
        assert!(script.contains("jammy") && !script.contains("bookworm"));
        assert!(command.try_get_matches_from(["ubuntu-vm-builder", "kvm", "22.04"]).is_ok());
    }
}
