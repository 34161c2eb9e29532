//! `rvmb plan HYPERVISOR DISTRO`: says what would be built, without building it.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::program::Program;
use super::target::{self, Shape, Target};
use crate::error::{Context, Error, Kind, Result};
use crate::host::interrupt::Interrupt;
use crate::host::run::Runner;
use crate::plan::{self, Plan};
use crate::ui::{self, Ui, Verbosity};

/// Arguments of a plan.
#[derive(Clone, Debug)]
pub struct Args {
    /// The machine.
    pub target: Target,
    /// Print JSON.
    pub json: bool,
}

/// `rvmb plan` with everything below it.
pub(super) fn command(shape: Shape<'_>) -> Command {
    let program = shape.program;
    let command = Command::new("plan")
        .about("Say what would be built, without building it")
        .override_usage(format!("{} plan {} [OPTIONS]", program.name(), program.words()))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("HYPERVISOR")
        .subcommand_help_heading("Hypervisors")
        .arg(json("Print the plan as JSON"));
    target::augment(command, shape)
}

/// The option that a plan has and a build has not.
pub(super) fn json(help: &'static str) -> Arg {
    Arg::new("json").long("json").help(help).action(ArgAction::SetTrue).global(true).help_heading("Messages")
}

impl Args {
    /// Takes the arguments out of the matches of [`command`].
    pub(super) fn from_matches(program: Program, matches: &ArgMatches) -> Result<Args> {
        let (name, below) = matches.subcommand().ok_or_else(|| Error::usage("there is no hypervisor"))?;
        Ok(Args { target: Target::from_matches(program, name, below, &[])?, json: matches.get_flag("json") })
    }
}

/// Plans, and says what.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let appliance = args.target.appliance()?;
    let interrupt = Interrupt::install()?;
    let runner = Runner::new(ui.sink());
    interrupt.on_cancel(runner.canceller());
    let planned = plan::make(&appliance, &runner).map_err(|error| interrupt.told_apart(error))?;
    show(&planned.plan, args.json, ui)
}

/// Prints a plan for people, or as JSON; with `--verbose` people see every package.
///
/// # Errors
///
/// [`Kind::Delivery`] where standard output cannot be written to.
pub fn show(plan: &Plan, json: bool, ui: &Ui) -> Result<()> {
    if json {
        let text =
            serde_json::to_string_pretty(plan).context(Kind::Build, || "writing the plan as JSON".into())?;
        return ui.print(&(text + "\n"));
    }
    ui.print(&ui::plan::render(plan, ui.verbosity() >= Verbosity::Verbose, ui.result_style()))
}
