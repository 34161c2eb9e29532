//! Parse, start, map an error to an exit code. Nothing else.

use std::process::ExitCode;

use rvmb::cli::{self, Invocation, Refusal, Verb};
use rvmb::ui::{Surroundings, Ui, Wishes};

fn main() -> ExitCode {
    let surroundings = Surroundings::of_process();
    let (ui, outcome) = match cli::parse(cli::target::arguments()) {
        // Namespaces can only be made before the first thread, and drawing needs threads.
        Ok(Invocation { verb: Verb::Worker(args), .. }) => {
            let outcome = cli::worker::run(&args);
            (Ui::new(Wishes::default(), surroundings), outcome)
        }
        Ok(invocation) => {
            let ui = Ui::new(invocation.output.wishes(), surroundings);
            let outcome = cli::run(invocation.verb, &ui);
            (ui, outcome)
        }
        Err(Refusal::Usage(error)) => (Ui::new(Wishes::default(), surroundings), Err(error)),
        Err(Refusal::Clap(error)) => {
            // Where the help cannot be written, its reader has gone.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
