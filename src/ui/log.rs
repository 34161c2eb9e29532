//! Every event as a line of a file, and several sinks as one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::lines::{amount, duration};
use crate::error::{Context, Kind, Result};
use crate::event::{Event, Outcome, Sink};

/// Hands each event to several sinks, in their order.
pub struct Fanout(pub Vec<Arc<dyn Sink>>);

impl Sink for Fanout {
    fn emit(&self, event: Event) {
        let Some((last, others)) = self.0.split_last() else { return };
        for sink in others {
            sink.emit(event.clone());
        }
        last.emit(event);
    }
}

/// A log file, with everything that was said whatever the user wanted to see.
pub struct LogFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    out: BufWriter<File>,
    /// The first failure; what comes after it is not written.
    failure: Option<std::io::Error>,
}

impl LogFile {
    /// Makes the file.
    ///
    /// # Errors
    ///
    /// [`Kind::Build`] where it cannot be made.
    pub fn create(path: &Path) -> Result<LogFile> {
        let file = File::create(path).context(Kind::Build, || format!("making {}", path.display()))?;
        let state = Mutex::new(State { out: BufWriter::new(file), failure: None });
        Ok(LogFile { path: path.to_owned(), state })
    }

    /// Says whether everything was written.
    ///
    /// # Errors
    ///
    /// [`Kind::Build`] with the first failure.
    pub fn close(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match state.failure.take() {
            Some(error) => Err(error),
            None => state.out.flush(),
        };
        outcome.context(Kind::Build, || format!("writing {}", self.path.display()))
    }
}

impl Sink for LogFile {
    fn emit(&self, event: Event) {
        let line = line(&event, Timestamp::now());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_some() {
            return;
        }
        let mut outcome = state.out.write_all(line.as_bytes());
        // What a program says comes in floods; the rest should be in the file if rvmb is killed.
        if !matches!(event, Event::Debug { .. } | Event::Progress { .. }) {
            outcome = outcome.and_then(|()| state.out.flush());
        }
        state.failure = outcome.err();
    }
}

/// An event as lines of the log; text of several lines has the time on each.
fn line(event: &Event, time: Timestamp) -> String {
    let text = match event {
        Event::Started { step } => format!("step    {}", step.title()),
        Event::Progress { step, done, total, unit, detail } => {
            format!("step    {}: {} {detail}", step.title(), amount(*done, *total, *unit))
        }
        Event::Finished { step, outcome, milliseconds } => {
            let how = if *outcome == Outcome::Cached { "cached" } else { "done" };
            format!("step    {}: {how} in {}", step.title(), duration(*milliseconds))
        }
        Event::Warning { text } => format!("warning {text}"),
        Event::Info { text } => format!("info    {text}"),
        Event::Debug { text } => format!("debug   {text}"),
    };
    text.lines().map(|line| format!("{time:.3} {}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Recorder;
    use crate::event::Step;

    #[test]
    fn a_log_has_the_time_on_every_line() {
        let time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            line(&Event::Warning { text: "one\ntwo".into() }, time),
            "1970-01-01T00:00:00.000Z warning one\n1970-01-01T00:00:00.000Z two\n"
        );
        let finished = Event::Finished { step: Step::Seal, outcome: Outcome::Cached, milliseconds: 7 };
        assert_eq!(line(&finished, time), "1970-01-01T00:00:00.000Z step    Sealing: cached in 0.0 s\n");
    }

    #[test]
    fn all_sinks_get_everything() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("build.log");
        let log = Arc::new(LogFile::create(&path).unwrap());
        let recorder = Arc::new(Recorder::new());
        let fanout = Fanout(vec![log.clone(), recorder.clone()]);
        fanout.emit(Event::Debug { text: "+ true".into() });
        fanout.emit(Event::Finished { step: Step::Seal, outcome: Outcome::Done, milliseconds: 7 });
        log.close().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(recorder.timings().len(), 1);
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let log = LogFile::create(Path::new("/dev/full")).unwrap();
        log.emit(Event::Info { text: "lost".into() });
        assert!(log.close().unwrap_err().to_string().contains("/dev/full"));
    }
}
