//! Parse, start, map an error to an exit code. Nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use rvmb::cli::program::Program;
use rvmb::cli::{self, Invocation, Refusal};
use rvmb::ui::{ProgressMode, Surroundings, Ui, Wishes};

fn main() -> ExitCode {
    let surroundings = Surroundings::of_process();
    let mut words = std::env::args_os();
    let program = Program::of(&mut words);
    let arguments: Vec<OsString> = words.collect();
    let wishes = cli::wishes_of(&arguments);
    let (ui, outcome) = match cli::parse(program, arguments) {
        // Namespaces can only be made before the first thread, and drawing needs threads.
        Ok(Invocation::Worker(args)) => {
            let outcome = cli::worker::run(&args);
            (Ui::new(Wishes::default(), surroundings), outcome)
        }
        Ok(Invocation::User { output, verb }) => {
            let ui = Ui::new(output.wishes(), surroundings);
            let outcome = cli::run(verb, &ui);
            (ui, outcome)
        }
        Err(refusal) => match (&refusal, refusal.error()) {
            // clap writes for people better than anybody else.
            (Refusal::Clap(error), told) if told.is_none() || wishes.progress != ProgressMode::Json => {
                // Where the help cannot be written, its reader has gone.
                let _ = error.print();
                return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
            }
            (_, told) => (Ui::new(wishes, surroundings), told.map_or(Ok(()), Err)),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
