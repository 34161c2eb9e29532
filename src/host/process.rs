//! A program in the background, under a guard.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lines::Lines;
use super::run::{failure, keep_last};
use crate::error::{Error, Result};
use crate::event::{Event, Sink};

/// How often it is asked whether it still runs.
const POLL: Duration = Duration::from_millis(20);

/// A program that runs in the background. Dropping it kills the program and waits for its end.
pub struct Process {
    program: OsString,
    child: Child,
    said: Option<JoinHandle<VecDeque<String>>>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Guards a child whose standard error is a pipe; what comes out of it goes to `sink`.
    pub(super) fn new(program: OsString, mut child: Child, sink: &Arc<dyn Sink>) -> Process {
        let said = child.stderr.take().map(|stderr| {
            let sink = Arc::clone(sink);
            std::thread::spawn(move || keep_tail(stderr, &*sink))
        });
        Process { program, child, said, status: None }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(|error| self.lost(&error))?;
        }
        Ok(self.status)
    }

    /// Waits for its end, at most for `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.ended()?;
            if status.is_some() || start.elapsed() >= limit {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Stops it if it still runs, and returns the error that tells how it ended and what it said last.
    pub fn into_failure(mut self) -> Error {
        let status = self.stop();
        let said = self.said.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status {
            Ok(status) => failure(&self.program, status, said.into_iter()),
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&self, error: &std::io::Error) -> Error {
        Error::build(format!("waiting for {}", self.program.display())).because(error)
    }

    fn stop(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to take an error, and a program that has ended already is no error.
        let _ = self.stop();
    }
}

/// Reads a stream to its end, says its lines and keeps the last ones.
fn keep_tail(mut stream: impl Read, sink: &dyn Sink) -> VecDeque<String> {
    let mut tail = VecDeque::new();
    let mut lines = Lines::default();
    let mut each = |line: String| {
        sink.emit(Event::Debug { text: line.clone() });
        keep_last(&mut tail, line);
    };
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => lines.push(&block[..count], &mut each),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.end(&mut each);
    tail
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::event::Silent;
    use crate::host::run::Runner;

    fn runner() -> Runner {
        Runner::new(Arc::new(Silent))
    }

    #[test]
    fn it_is_waited_for() {
        let mut process = runner().command("sh").args(["-c", "exit 7"]).start().unwrap();
        let status = process.wait(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!(status.code(), Some(7));

        let mut process = runner().command("sh").args(["-c", "echo gone >&2; exit 1"]).start().unwrap();
        process.wait(Duration::from_secs(10)).unwrap();
        let error = process.into_failure();
        assert_eq!(
            (error.message(), error.tail_lines()),
            ("sh failed with exit code 1", &["gone".to_owned()][..])
        );
    }

    #[test]
    fn it_dies_with_its_guard() {
        let mut process = runner().command("sleep").arg("1000").start().unwrap();
        let directory = PathBuf::from(format!("/proc/{}", process.child.id()));
        assert_eq!(process.wait(Duration::ZERO).unwrap(), None);
        assert!(directory.exists());
        drop(process);
        assert!(!directory.exists());
    }
}
