//! Progress as plain lines, for logs and pipes: one when a step starts, one when it ends, and one every
//! ten seconds between them, so that nobody takes a long step for a dead one.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Reporter;
use super::lines::{Messages, amount, broken_off, duration, finished};
use super::style::printable;
use super::ticker::Ticker;
use crate::event::{Event, Sink, Step, Unit};

/// How long a running step says nothing.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often it is looked whether a line is due.
const TICK: Duration = Duration::from_secs(1);

/// Writes plain lines.
pub struct Plain {
    shared: Arc<Mutex<Shared>>,
    start: Instant,
    _ticker: Ticker,
}

struct Shared {
    out: Box<dyn Write + Send>,
    script: Script,
}

impl Shared {
    fn write(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.out, "{line}");
        }
        let _ = self.out.flush();
    }
}

impl Plain {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, messages: Messages) -> Plain {
        let start = Instant::now();
        let script = Script { messages, running: Vec::new() };
        let shared = Arc::new(Mutex::new(Shared { out, script }));
        let in_ticker = Arc::clone(&shared);
        let ticker = Ticker::start(TICK, move || {
            let mut shared = in_ticker.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = shared.script.heartbeat(start.elapsed());
            shared.write(&lines);
        });
        Plain { shared, start, _ticker: ticker }
    }
}

impl Sink for Plain {
    fn emit(&self, event: Event) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = shared.script.take(&event, self.start.elapsed()).into_iter().collect();
        shared.write(&lines);
    }
}

impl Reporter for Plain {
    fn end(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = shared.script.end(self.start.elapsed());
        shared.write(&lines);
    }
}

/// Which lines are due when; knows no clock, so that it can be tested.
struct Script {
    messages: Messages,
    running: Vec<Running>,
}

struct Running {
    step: Step,
    started: Duration,
    spoke: Duration,
    progress: Option<(u64, u64, Unit)>,
    detail: String,
}

impl Script {
    fn take(&mut self, event: &Event, now: Duration) -> Option<String> {
        match event {
            Event::Started { step } => {
                let progress = None;
                let running =
                    Running { step: *step, started: now, spoke: now, progress, detail: String::new() };
                self.running.push(running);
                Some(format!("  {} …", step.title()))
            }
            Event::Progress { step, done, total, unit, detail } => {
                let running = self.running.iter_mut().find(|running| running.step == *step)?;
                running.progress = (*total > 0).then_some((*done, *total, *unit));
                detail.clone_into(&mut running.detail);
                None
            }
            Event::Finished { step, outcome, milliseconds } => {
                self.running.retain(|running| running.step != *step);
                Some(finished(*step, *outcome, *milliseconds, self.messages.style))
            }
            Event::Warning { .. } | Event::Info { .. } | Event::Debug { .. } => self.messages.line(event),
        }
    }

    fn heartbeat(&mut self, now: Duration) -> Vec<String> {
        let due = |running: &&mut Running| now.saturating_sub(running.spoke) >= HEARTBEAT;
        self.running
            .iter_mut()
            .filter(due)
            .map(|running| {
                running.spoke = now;
                let time = duration(milliseconds(now.saturating_sub(running.started)));
                let mut line = format!("  {}: {time}", running.step.title());
                if let Some((done, total, unit)) = running.progress {
                    line = format!("{line}, {}", amount(done, total, unit));
                }
                if !running.detail.is_empty() {
                    line = format!("{line}, {}", printable(&running.detail));
                }
                line
            })
            .collect()
    }

    fn end(&mut self, now: Duration) -> Vec<String> {
        let style = self.messages.style;
        self.running
            .drain(..)
            .map(|running| broken_off(running.step, milliseconds(now.saturating_sub(running.started)), style))
            .collect()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Verbosity;
    use super::super::lines::tests::{Page, messages};
    use super::*;
    use crate::event::Outcome;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn two_steps_at_once_beat_every_ten_seconds() {
        let mut script = Script { messages: messages(Verbosity::Normal), running: Vec::new() };
        script.take(&Event::Started { step: Step::Download }, at(0));
        script.take(&Event::Started { step: Step::Bootstrap }, at(4));
        let detail = "libc6".to_owned();
        let progress =
            Event::Progress { step: Step::Download, done: 3, total: 17, unit: Unit::Packages, detail };
        assert_eq!(script.take(&progress, at(5)), None);
        assert_eq!(script.heartbeat(at(9)), Vec::<String>::new());
        assert_eq!(script.heartbeat(at(10)), ["  Downloading packages: 10.0 s, 3/17 packages, libc6"]);
        assert_eq!(script.heartbeat(at(14)), ["  Bootstrapping: 10.0 s"]);
        assert_eq!(script.heartbeat(at(19)), Vec::<String>::new());
        assert_eq!(
            script.end(at(20)),
            ["✗ Downloading packages          20.0 s", "✗ Bootstrapping                 16.0 s"]
        );
    }

    #[test]
    fn a_step_has_two_lines() {
        let page = Page::default();
        let plain = Plain::new(Box::new(page.clone()), messages(Verbosity::Normal));
        plain.emit(Event::Started { step: Step::Seal });
        plain.emit(Event::Info { text: "not wanted".into() });
        plain.emit(Event::Finished { step: Step::Seal, outcome: Outcome::Done, milliseconds: 100 });
        plain.end();
        assert_eq!(page.text(), "  Sealing …\n✓ Sealing                        0.1 s\n");
    }
}
