//! The options that every verb takes: how rvmb speaks.

use crate::ui;

/// How rvmb speaks.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Messages")]
pub struct Args {
    /// Say more: what was decided and why; in a plan, every package
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say everything: each program that is started, and its words
    #[arg(long, global = true, conflicts_with = "quiet")]
    debug: bool,
    /// Progress on standard error: bars on a terminal and plain lines elsewhere (auto), or always
    /// plain, json, or none
    // The values stand in the help; a list with a line for each would spread out the whole help.
    #[arg(long, global = true, value_name = "MODE", default_value = "auto", hide_possible_values = true)]
    progress: ui::ProgressMode,
}

impl Args {
    /// What the user asked for.
    pub fn wishes(&self) -> ui::Wishes {
        let verbosity = match (self.quiet, self.debug, self.verbose) {
            (true, _, _) => ui::Verbosity::Quiet,
            (_, true, _) => ui::Verbosity::Debug,
            (_, _, true) => ui::Verbosity::Verbose,
            _ => ui::Verbosity::Normal,
        };
        ui::Wishes { verbosity, progress: self.progress }
    }
}
