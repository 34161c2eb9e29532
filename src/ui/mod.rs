//! What people and programs see: events become bars, lines or JSON, errors something to read.
//!
//! [`Ui`] decides once how rvmb speaks, and owns the [`Reporter`] that draws. Results go to standard
//! output, everything else to standard error. Where standard error itself cannot be written to there
//! is nobody left to tell, so such failures are passed over here and only here.

pub mod bars;
pub mod columns;
pub mod error;
pub mod json;
pub mod lines;
pub mod log;
pub mod plain;
pub mod plan;
pub mod style;
pub mod table;
mod ticker;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use crate::error::{Context, Error, Kind, Result};
use crate::event::{Recorder, Sink};
use lines::Messages;
use style::Style;

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

impl Default for Wishes {
    fn default() -> Self {
        Wishes { verbosity: Verbosity::Normal, progress: ProgressMode::Auto }
    }
}

/// What the process was started in.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Whether standard output is a terminal.
    pub results_on_terminal: bool,
    /// Whether the terminal can move its cursor: `TERM` is set and not `dumb`.
    pub cursor: bool,
    /// Whether `NO_COLOR` is set and not empty, see <https://no-color.org>.
    pub no_color: bool,
}

impl Surroundings {
    /// Looks around.
    pub fn of_process() -> Surroundings {
        let term = std::env::var_os("TERM").unwrap_or_default();
        Surroundings {
            terminal: io::stderr().is_terminal(),
            results_on_terminal: io::stdout().is_terminal(),
            cursor: !term.is_empty() && term != "dumb",
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    /// The style of text that goes to a terminal, or not.
    fn style(self, to_terminal: bool) -> Style {
        Style::new(to_terminal && self.cursor && !self.no_color)
    }
}

/// What [`ProgressMode::Auto`] and `--quiet` mean in these surroundings; never [`ProgressMode::Auto`].
fn progress(wishes: Wishes, surroundings: Surroundings) -> ProgressMode {
    match wishes.progress {
        ProgressMode::Json => ProgressMode::Json,
        _ if wishes.verbosity == Verbosity::Quiet => ProgressMode::None,
        ProgressMode::Auto if surroundings.terminal && surroundings.cursor => ProgressMode::Auto,
        ProgressMode::Auto => ProgressMode::Plain,
        mode => mode,
    }
}

/// Draws events.
pub trait Reporter: Sink {
    /// Stops drawing and leaves a mark for every step that did not end. An event may still come after it.
    fn end(&self);
}

/// How rvmb speaks.
pub struct Ui {
    verbosity: Verbosity,
    style: Style,
    result_style: Style,
    json: bool,
    reporter: Arc<dyn Reporter>,
}

impl Ui {
    /// Decides how to speak.
    pub fn new(wishes: Wishes, surroundings: Surroundings) -> Ui {
        let style = surroundings.style(surroundings.terminal);
        let result_style = surroundings.style(surroundings.results_on_terminal);
        let messages = Messages { verbosity: wishes.verbosity, style };
        let stderr = || Box::new(io::stderr());
        let mode = progress(wishes, surroundings);
        let reporter: Arc<dyn Reporter> = match mode {
            ProgressMode::Auto => Arc::new(bars::Bars::on_stderr(messages)),
            ProgressMode::Plain => Arc::new(plain::Plain::new(stderr(), messages)),
            ProgressMode::Json => Arc::new(json::Json::new(stderr(), wishes.verbosity)),
            ProgressMode::None => Arc::new(lines::MessagesOnly::new(stderr(), messages)),
        };
        Ui { verbosity: wishes.verbosity, style, result_style, json: mode == ProgressMode::Json, reporter }
    }

    /// How much is said.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Colours for results.
    pub fn result_style(&self) -> Style {
        self.result_style
    }

    /// Where the library's events go.
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.reporter) as Arc<dyn Sink>
    }

    /// Prints a result.
    ///
    /// # Errors
    ///
    /// [`Kind::Delivery`] where standard output cannot be written to, because its disk is full for one:
    /// what was asked for is done, and cannot be handed over.
    pub fn print(&self, text: &str) -> Result<()> {
        // A reader that went away is no error: it had enough.
        let mut out = Results { inner: io::stdout() };
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .context(Kind::Delivery, || "writing to standard output".into())
    }

    /// Ends a build that went well: nothing is drawn any more, and the table says where the time went.
    pub fn finish(&self, recorder: &Recorder) {
        self.reporter.end();
        if !self.json && self.verbosity > Verbosity::Quiet {
            let table = table::render(&recorder.timings(), recorder.elapsed(), self.style);
            to_stderr(&format!("\n{table}"));
        }
    }

    /// Says what is good to know now that it is done.
    pub fn say(&self, text: &str) {
        if !self.json && self.verbosity > Verbosity::Quiet {
            to_stderr(text);
        }
    }

    /// Says why the program ends.
    pub fn error(&self, error: &Error) {
        self.reporter.end();
        to_stderr(&if self.json { error::json(error) } else { error::render(error, self.style) });
    }
}

fn to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Standard output that takes a closed pipe for the end of interest.
struct Results<W> {
    inner: W,
}

impl<W: Write> Write for Results<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.inner.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.inner.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_need_a_terminal_that_can_draw() {
        use ProgressMode::{Auto, Json, None, Plain};
        use Verbosity::{Normal, Quiet};
        let table = [
            (Auto, Normal, true, true, Auto),
            (Auto, Normal, true, false, Plain),
            (Auto, Normal, false, true, Plain),
            (Plain, Normal, true, true, Plain),
            (None, Normal, true, true, None),
            (Auto, Quiet, true, true, None),
            (Plain, Quiet, true, true, None),
            (Json, Quiet, false, false, Json),
        ];
        for (wish, verbosity, terminal, cursor, expected) in table {
            let surroundings = Surroundings { terminal, results_on_terminal: false, cursor, no_color: false };
            assert_eq!(progress(Wishes { verbosity, progress: wish }, surroundings), expected);
        }
    }

    #[test]
    fn colour_needs_leave() {
        let best = Surroundings { terminal: true, results_on_terminal: true, cursor: true, no_color: false };
        let colour = |surroundings: Surroundings, to_terminal| {
            surroundings.style(to_terminal).paint(style::Tone::Strong, "x") != "x"
        };
        assert!(colour(best, true));
        assert!(!colour(best, false));
        assert!(!colour(Surroundings { cursor: false, ..best }, true));
        assert!(!colour(Surroundings { no_color: true, ..best }, true));
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        struct Failing(io::ErrorKind);
        impl Write for Failing {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        let mut gone = Results { inner: Failing(io::ErrorKind::BrokenPipe) };
        assert!(gone.write_all(b"text").is_ok() && gone.flush().is_ok());
        assert!(Results { inner: Failing(io::ErrorKind::StorageFull) }.write_all(b"text").is_err());
    }
}
