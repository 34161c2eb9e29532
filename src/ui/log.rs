//! Every event as a line of a file, and several sinks as one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
///
/// The file appears when the first step begins, with what was said before it: who only wrote something
/// wrong finds nothing new on the disk. One without a path of its own is in memory until it is copied.
pub struct LogFile {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    /// The file itself, and after it its copies; empty as long as there is no file.
    outs: Vec<BufWriter<File>>,
    /// What was said before there is a file.
    before: String,
    /// The first failure; what comes after it is not written.
    failure: Option<std::io::Error>,
}

impl LogFile {
    /// A log that will be at `path`, or nowhere but in its copy.
    pub fn at(path: Option<PathBuf>) -> LogFile {
        let state = State { outs: Vec::new(), before: String::new(), failure: None };
        LogFile { path, state: Mutex::new(state) }
    }

    /// Where it is; none as long as there is no file of its own.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| !self.lock().outs.is_empty())
    }

    /// Writes everything to a second new file as well, what was said before included.
    ///
    /// # Errors
    ///
    /// [`Kind::Build`] where that cannot be made or written.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        let context = || format!("writing {}", path.display());
        let mut state = self.lock();
        let Some(own) = &self.path else { return state.open(path).context(Kind::Build, context) };
        state.open(own).and_then(|()| state.flush()).context(Kind::Build, context)?;
        let mut copy = File::create_new(path).context(Kind::Build, context)?;
        let mut before = File::open(own).context(Kind::Build, context)?;
        std::io::copy(&mut before, &mut copy).context(Kind::Build, context)?;
        state.outs.push(BufWriter::new(copy));
        Ok(())
    }

    /// Says whether everything was written.
    ///
    /// # Errors
    ///
    /// [`Kind::Delivery`] with the first failure: the log is a part of what a build leaves.
    pub fn close(&self) -> Result<()> {
        let mut state = self.lock();
        let outcome = match state.failure.take() {
            Some(error) => Err(error),
            None => state.flush(),
        };
        outcome.context(Kind::Delivery, || match &self.path {
            Some(path) => format!("writing the log {}", path.display()),
            None => "writing the log".to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes the file where there is none yet, and its directory.
    fn open(&mut self, path: &Path) -> std::io::Result<()> {
        if !self.outs.is_empty() {
            return Ok(());
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        // A new file: others may have put a link of that name into a scratch directory.
        self.outs.push(BufWriter::new(File::create_new(path)?));
        let before = std::mem::take(&mut self.before);
        self.write(&before)
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        if self.outs.is_empty() {
            self.before.push_str(text);
        }
        self.outs.iter_mut().try_for_each(|out| out.write_all(text.as_bytes()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.outs.iter_mut().try_for_each(BufWriter::flush)
    }
}

impl Sink for LogFile {
    fn emit(&self, event: Event) {
        let line = line(&event, Timestamp::now());
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        let begun = self.path.as_ref().filter(|_| matches!(event, Event::Started { .. }));
        let mut outcome = begun.map_or(Ok(()), |path| state.open(path));
        outcome = outcome.and_then(|()| state.write(&line));
        // What a program says comes in floods; the rest should be in the file if rvmb is killed.
        if !matches!(event, Event::Debug { .. } | Event::Progress { .. }) {
            outcome = outcome.and_then(|()| state.flush());
        }
        state.failure = outcome.err();
    }
}

/// An event as lines of the log; text of several lines has the time on each.
fn line(event: &Event, time: Timestamp) -> String {
    let text = match event {
        Event::Started { step } => format!("step    {}", step.title()),
        // A line of a program's, which has come as one already.
        Event::Progress { total: 0, .. } => String::new(),
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
        let log = Arc::new(LogFile::at(Some(path.clone())));
        let recorder = Arc::new(Recorder::new());
        let fanout = Fanout(vec![log.clone(), recorder.clone()]);
        fanout.emit(Event::Debug { text: "+ true".into() });
        assert!(log.path().is_none() && !path.exists());
        fanout.emit(Event::Started { step: Step::Seal });
        fanout.emit(Event::Finished { step: Step::Seal, outcome: Outcome::Done, milliseconds: 7 });
        log.close().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert_eq!(log.path(), Some(path.as_path()));
        assert_eq!(recorder.timings().len(), 1);
    }

    #[test]
    fn a_copy_has_what_was_said_before_it_and_after() {
        let room = tempfile::tempdir().unwrap();
        let (path, copy) = (room.path().join("log"), room.path().join("copy"));
        let log = LogFile::at(Some(path.clone()));
        log.emit(Event::Debug { text: "one".into() });
        log.copy_to(&copy).unwrap();
        log.emit(Event::Debug { text: "two".into() });
        log.close().unwrap();
        let text = std::fs::read_to_string(&copy).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text, std::fs::read_to_string(&path).unwrap());
        assert!(log.copy_to(&copy).is_err(), "a file that is there is not written over");

        let (nowhere, only) = (LogFile::at(None), room.path().join("only"));
        nowhere.emit(Event::Started { step: Step::Seal });
        assert!(nowhere.path().is_none());
        nowhere.copy_to(&only).unwrap();
        nowhere.close().unwrap();
        assert!(nowhere.path().is_none());
        assert_eq!(std::fs::read_to_string(&only).unwrap().lines().count(), 1);
        let second = LogFile::at(Some(path));
        second.emit(Event::Started { step: Step::Seal });
        assert!(second.close().is_err());
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let full = BufWriter::new(File::create("/dev/full").unwrap());
        let state = Mutex::new(State { outs: vec![full], before: String::new(), failure: None });
        let log = LogFile { path: Some("/dev/full".into()), state };
        log.emit(Event::Info { text: "lost".into() });
        assert!(log.close().unwrap_err().to_string().contains("/dev/full"));
    }
}
