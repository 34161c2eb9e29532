//! What people and programs see: events become bars, lines or JSON, errors something to read.
//!
//! [`Ui`] decides once how rvmb speaks. Results go to standard output, everything else to standard
//! error.

use std::io::Write;

use crate::error::{Context, Kind, Result};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// A line when a step starts and ends.
    Plain,
    /// JSON lines.
    Json,
    /// Nothing.
    None,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing but errors.
    Quiet,
    /// Steps and warnings.
    Normal,
    /// What was decided, too.
    Verbose,
    /// Each program and its words, too.
    Debug,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// How much is said.
    pub verbosity: Verbosity,
    /// How progress is shown.
    pub progress: ProgressMode,
}

/// How rvmb speaks.
pub struct Ui {
    wishes: Wishes,
}

impl Ui {
    /// Decides how to speak.
    pub fn new(wishes: Wishes) -> Ui {
        Ui { wishes }
    }

    /// What the user asked for.
    pub fn wishes(&self) -> Wishes {
        self.wishes
    }

    /// Standard output, for results.
    pub fn stdout(&self) -> impl Write + use<> {
        std::io::stdout().lock()
    }

    /// Prints a result.
    pub fn print(&self, text: &str) -> Result<()> {
        self.stdout().write_all(text.as_bytes()).context(Kind::Build, || "writing to standard output".into())
    }
}
