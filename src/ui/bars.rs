//! Progress on a terminal: a line for each step that runs, and one that remains of each that ended.
//!
//! A thread draws ten times a second, so that elapsed time and spinner move whatever the build does. A
//! step is drawn from 250 ms on: what is over sooner would only flicker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Reporter;
use super::lines::{Messages, broken_off, finished, title};
use super::style::printable;
use super::ticker::Ticker;
use crate::event::{Event, Sink, Step, Unit};

/// How long a step runs before it is drawn.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Draws bars.
pub struct Bars {
    shared: Arc<Shared>,
    _ticker: Ticker,
}

struct Shared {
    multi: MultiProgress,
    messages: Messages,
    running: Mutex<Vec<Running>>,
}

struct Running {
    step: Step,
    started: Instant,
    /// What its numbers count; none as long as it has told none.
    unit: Option<Unit>,
    /// Kept hidden until the step has run for some time.
    bar: ProgressBar,
    drawn: bool,
}

impl Bars {
    /// Draws on standard error.
    pub fn on_stderr(messages: Messages) -> Bars {
        Bars::new(ProgressDrawTarget::stderr(), messages)
    }

    fn new(target: ProgressDrawTarget, messages: Messages) -> Bars {
        let multi = MultiProgress::with_draw_target(target);
        let shared = Arc::new(Shared { multi, messages, running: Mutex::new(Vec::new()) });
        let in_ticker = Arc::clone(&shared);
        Bars { shared, _ticker: Ticker::start(TICK, move || in_ticker.tick()) }
    }
}

impl Sink for Bars {
    fn emit(&self, event: Event) {
        self.shared.take(&event);
    }
}

impl Reporter for Bars {
    fn end(&self) {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        for ended in running.drain(..) {
            self.shared.remove(&ended);
            self.shared.say(&broken_off(ended.step, since(ended.started), self.shared.messages.style));
        }
        let _ = self.shared.multi.clear();
    }
}

impl Shared {
    fn take(&self, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { step } => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
                bar.set_style(look(None));
                bar.set_prefix(title(*step));
                running.push(Running { step: *step, started: Instant::now(), unit: None, bar, drawn: false });
            }
            Event::Progress { step, done, total, unit, detail } => {
                if let Some(running) = running.iter_mut().find(|running| running.step == *step) {
                    running.progress(*done, *total, *unit, detail);
                }
            }
            Event::Finished { step, outcome, milliseconds } => {
                if let Some(at) = running.iter().position(|running| running.step == *step) {
                    self.remove(&running.remove(at));
                }
                self.say(&finished(*step, *outcome, *milliseconds, self.messages.style));
            }
            Event::Warning { .. } | Event::Info { .. } | Event::Debug { .. } => {
                if let Some(line) = self.messages.line(event) {
                    self.say(&line);
                }
            }
        }
    }

    /// Draws what has run long enough, and moves what is drawn.
    fn tick(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for running in running.iter_mut() {
            if !running.drawn && running.started.elapsed() >= PATIENCE {
                running.bar = self.multi.add(running.bar.clone());
                running.drawn = true;
            }
            if running.drawn {
                running.bar.tick();
            }
        }
    }

    fn remove(&self, running: &Running) {
        if running.drawn {
            running.bar.finish_and_clear();
            self.multi.remove(&running.bar);
        }
    }

    /// Writes a line that remains, above what is drawn.
    fn say(&self, line: &str) {
        let _ = self.multi.println(line);
    }
}

impl Running {
    fn progress(&mut self, done: u64, total: u64, unit: Unit, detail: &str) {
        if total > 0 {
            if self.unit != Some(unit) {
                self.unit = Some(unit);
                self.bar.set_style(look(Some(unit)));
            }
            self.bar.set_length(total);
            self.bar.set_position(done.min(total));
        }
        self.bar.set_message(printable(detail));
    }
}

/// How a running step looks.
fn look(unit: Option<Unit>) -> ProgressStyle {
    let template = match unit {
        None => "{spinner} {prefix}{elapsed:>5}  {wide_msg}",
        Some(Unit::Bytes) => {
            "{spinner} {prefix}{elapsed:>5}  {bar:24} {binary_bytes} of {binary_total_bytes}  {wide_msg}"
        }
        Some(Unit::Packages) => "{spinner} {prefix}{elapsed:>5}  {bar:24} {pos}/{len}  {wide_msg}",
        Some(Unit::Seconds) => "{spinner} {prefix}{elapsed:>5}  at most {len} s  {wide_msg}",
    };
    // The templates are constants, which a test reads.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;

    use indicatif::TermLike;

    use super::super::Verbosity;
    use super::super::lines::tests::messages;
    use super::*;
    use crate::event::Outcome;

    /// Everything that was ever drawn.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)?;
            self.write_str("\n")
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn bars(screen: &Screen) -> Bars {
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        Bars::new(target, messages(Verbosity::Normal))
    }

    /// Waits until the screen shows something.
    fn wait_for(screen: &Screen, text: &str) {
        for _ in 0..200 {
            if screen.text().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("`{text}` is not in {:?}", screen.text());
    }

    #[test]
    fn two_steps_at_once_are_both_drawn() {
        let screen = Screen::default();
        let bars = bars(&screen);
        bars.emit(Event::Started { step: Step::Download });
        bars.emit(Event::Started { step: Step::Bootstrap });
        let detail = "libc6".to_owned();
        bars.emit(Event::Progress { step: Step::Download, done: 3, total: 17, unit: Unit::Packages, detail });
        assert_eq!(screen.text(), "", "nothing is drawn at once");
        wait_for(&screen, "3/17  libc6");
        wait_for(&screen, "Bootstrapping");
        bars.emit(Event::Warning { text: "slow mirror".into() });
        wait_for(&screen, "warning: slow mirror");
        bars.emit(Event::Finished { step: Step::Download, outcome: Outcome::Cached, milliseconds: 300 });
        wait_for(&screen, "✓ Downloading packages           0.3 s  cached");
        bars.end();
        wait_for(&screen, "✗ Bootstrapping");
    }

    #[test]
    fn a_short_step_leaves_its_line_and_nothing_else() {
        let screen = Screen::default();
        let bars = bars(&screen);
        bars.emit(Event::Started { step: Step::Seal });
        bars.emit(Event::Finished { step: Step::Seal, outcome: Outcome::Done, milliseconds: 20 });
        bars.end();
        assert_eq!(screen.text().trim_end(), "✓ Sealing                        0.0 s");
    }

    #[test]
    fn every_look_is_a_template() {
        for unit in [None, Some(Unit::Bytes), Some(Unit::Packages), Some(Unit::Seconds)] {
            let screen = Screen::default();
            let bars = bars(&screen);
            bars.emit(Event::Started { step: Step::Disk });
            if let Some(unit) = unit {
                bars.emit(Event::Progress { step: Step::Disk, done: 1, total: 2, unit, detail: "x".into() });
            }
            wait_for(&screen, "Writing the disk");
        }
    }
}
