//! The command line: one file per verb with its arguments and one `run`.
//!
//! [`parse`] turns words into an [`Invocation`], [`run`] carries it out. A build has no verb of its
//! own: `rvmb HYPERVISOR DISTRO [options]`. The name that rvmb was started by is a [`Program`]; what it
//! changes is decided there and in [`target`].

pub mod build;
pub mod cache;
pub mod completions;
pub mod config;
mod defaults;
mod known;
pub mod options;
mod order;
pub mod output;
pub mod plan;
pub mod program;
pub mod suites;
pub mod target;
pub mod test;
pub mod worker;

use std::ffi::OsString;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};

use crate::appliance::settings::{self, Setting};
use crate::error::{Error, Result};
use crate::host::interrupt::Interrupt;
use crate::host::run::Runner;
use crate::suite::Registry;
use crate::ui::{self, Ui};
use program::Program;
use target::Shape;

const ABOUT: &str = "Turns one command into a Debian or Ubuntu machine image that boots.";

const EXAMPLES: &str = "\
Examples:
  rvmb kvm debian                        a Debian machine in ./debian-kvm
  rvmb kvm ubuntu --suite jammy --addpkg apache2
                                         Ubuntu 22.04 with Apache
  rvmb plan kvm debian --addpkg nginx    what would be built, without building
  rvmb kvm debian --help                 every option of a build
";

const EXAMPLES_OF_UBUNTU: &str = "\
Examples:
  rvmb kvm jammy                         an Ubuntu 22.04 machine in ./ubuntu-kvm
  rvmb kvm jammy --addpkg apache2        the same with Apache
  rvmb plan kvm jammy --addpkg nginx     what would be built, without building
  rvmb kvm jammy --help                  every option of a build
";

const MORE_EXAMPLES: &str = "  \
  rvmb test debian-kvm                   boot what was built and look at it
  rvmb suites                            the releases that can be built
  rvmb config show                       what the configuration files say
  rvmb cache list                        what is kept between builds

Exit codes: 0 done, 2 usage, 3 configuration, 4 this host lacks something, 5 build, 6 delivery,
7 boot check, 130 interrupted.";

/// What to do.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Build a machine.
    Build(build::Args),
    /// Say what would be built.
    Plan(plan::Args),
    /// Say what the configuration files say.
    Config(config::Args),
    /// List releases.
    Suites(suites::Args),
    /// Boot an image and check it.
    Test(test::Arguments),
    /// Say what is kept between builds, or remove it.
    Cache(cache::Args),
    /// Print a completion script.
    Completions(Program, completions::Args),
}

/// A command line that was understood.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// A user's.
    User {
        /// How to speak.
        output: output::Args,
        /// What to do.
        verb: Verb,
    },
    /// Be the keeper or the worker of another rvmb.
    Worker(worker::Args),
}

/// How to speak about a command line that may not be understood: its output options cannot be known, but
/// whether a program reads the answer is seen.
pub fn wishes_of(arguments: &[OsString]) -> ui::Wishes {
    let is_json = arguments.iter().any(|word| word == "--progress=json")
        || arguments.windows(2).any(|pair| matches!(pair, [a, b] if a == "--progress" && b == "json"));
    let mut wishes = ui::Wishes::default();
    if is_json {
        wishes.progress = ui::ProgressMode::Json;
    }
    wishes
}

/// Why a command line starts nothing.
#[derive(Debug)]
pub enum Refusal {
    /// clap's own words: help, version, or an option that is wrong.
    Clap(clap::Error),
    /// A word that is wrong.
    Usage(Error),
}

/// The whole command line.
pub fn command(program: Program) -> Command {
    shaped(Shape::plain(program))
}

fn shaped(shape: Shape<'_>) -> Command {
    let program = shape.program;
    let name = program.name();
    let command = output::Args::augment_args(Command::new(name))
        .display_name(program.full_name())
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(examples(program))
        .override_usage(format!("{name} {} [OPTIONS]\n       {name} COMMAND [OPTIONS]", program.words()))
        .help_expected(true)
        .max_term_width(100)
        .infer_long_args(true)
        // As for vmbuilder the last one counts, so that a script's `"$@"` wins over its own options.
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true);
    target::augment(command, shape)
        .subcommand(plan::command(shape))
        .subcommand(config::command(shape))
        .subcommand(
            suites::Args::augment_args(Command::new("suites")).about("List the releases that can be built"),
        )
        .subcommand(
            test::Arguments::augment_args(Command::new("test"))
                .about("Boot an image and check it from inside"),
        )
        .subcommand(cache::command())
        .subcommand(
            completions::Args::augment_args(Command::new("completions"))
                .about("Print a completion script for a shell"),
        )
        .subcommand(
            worker::Args::augment_args(Command::new("worker")).about("What rvmb starts by itself").hide(true),
        )
}

fn examples(program: Program) -> String {
    let first = if program.distro().is_some() { EXAMPLES_OF_UBUNTU } else { EXAMPLES };
    (first.to_owned() + MORE_EXAMPLES).replace("  rvmb ", &format!("  {} ", program.name()))
}

/// The verbs beside the hypervisors.
const VERBS: &[&str] = &["plan", "config", "suites", "test", "cache", "completions", "worker"];

/// Understands a command line; `arguments` are without the program's name.
pub fn parse(program: Program, mut arguments: Vec<OsString>) -> Result<Invocation, Refusal> {
    // `rvmb help kvm debian` is what others write for `rvmb kvm debian --help`.
    if arguments.first().is_some_and(|word| word == "help") {
        arguments.remove(0);
        arguments.push(OsString::from("--help"));
    }
    let options = output::Args::augment_args(target::option_command()).arg(plan::json(""));
    let is_secret = |name: &str| settings::find(name).is_some_and(Setting::is_secret);
    let known = known::Known::of(&options, is_secret);
    let counts = |words: &[OsString]| target::word_counts(words, VERBS);
    let arguments = order::arrange(arguments, &known, counts).map_err(Refusal::Usage)?;
    let is_asked = |option: &str| arguments.iter().any(|word| word == option);
    // Only the help names the newest release; to find it takes longer than all the rest.
    let registry = (is_asked("-h") || is_asked("--help")).then(Registry::load).and_then(Result::ok);
    let shape = Shape { program, registry: registry.as_ref(), brief: is_asked("-h") };
    let words = std::iter::once(OsString::from(program.name())).chain(arguments);
    let matches = shaped(shape).try_get_matches_from(words).map_err(Refusal::Clap)?;
    let output = output::Args::from_arg_matches(&matches).map_err(Refusal::Clap)?;
    let Some((name, matches)) = matches.subcommand() else {
        let help = format!("`{} --help` lists them.", program.name());
        return Err(Refusal::Usage(Error::usage("there is no command").hint(help)));
    };
    match name {
        "worker" => worker::Args::from_arg_matches(matches).map(Invocation::Worker).map_err(Refusal::Clap),
        name => Ok(Invocation::User { output, verb: verb(program, name, matches)? }),
    }
}

fn verb(program: Program, name: &str, matches: &ArgMatches) -> Result<Verb, Refusal> {
    match name {
        "plan" => plan::Args::from_matches(program, matches).map(Verb::Plan).map_err(Refusal::Usage),
        "config" => config::Args::from_matches(program, matches).map(Verb::Config).map_err(Refusal::Usage),
        "suites" => suites::Args::from_arg_matches(matches).map(Verb::Suites).map_err(Refusal::Clap),
        "test" => test::Arguments::from_arg_matches(matches).map(Verb::Test).map_err(Refusal::Clap),
        "cache" => cache::Args::from_matches(matches).map(Verb::Cache).map_err(Refusal::Clap),
        "completions" => {
            let args = completions::Args::from_arg_matches(matches).map_err(Refusal::Clap)?;
            Ok(Verb::Completions(program, args))
        }
        hypervisor => target::Target::from_matches(program, hypervisor, matches, VERBS)
            .map(|target| Verb::Build(build::Args { target }))
            .map_err(Refusal::Usage),
    }
}

/// Does what the command line says.
pub fn run(verb: Verb, ui: &Ui) -> Result<()> {
    match verb {
        Verb::Build(args) => build::run(args, ui),
        Verb::Plan(args) => plan::run(args, ui),
        Verb::Config(args) => config::run(args, ui),
        Verb::Suites(args) => suites::run(&args, ui),
        Verb::Test(args) => {
            let interrupt = Interrupt::install()?;
            let runner = Runner::new(ui.sink());
            interrupt.on_cancel(runner.canceller());
            test::run(&args, interrupt.flag(), &runner)
        }
        Verb::Cache(args) => cache::run(args, ui),
        Verb::Completions(program, args) => completions::run(program, &args, ui),
    }
}

impl Refusal {
    /// The error, for a program; none where help or the version was asked for.
    pub fn error(&self) -> Option<Error> {
        match self {
            Refusal::Usage(error) => Some(error.clone()),
            Refusal::Clap(error) if error.use_stderr() => {
                let text = error.render().to_string();
                Some(Error::usage(text.trim().trim_start_matches("error: ")))
            }
            Refusal::Clap(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
