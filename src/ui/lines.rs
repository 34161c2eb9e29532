//! Events as lines of text: what bars and plain lines have in common.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::style::{Style, Tone, printable};
use super::{Reporter, Verbosity};
use crate::event::{Event, Outcome, Sink, Step, Unit};
use crate::units::Size;

/// Columns of a step's name; the longest title has 21.
const TITLE_WIDTH: usize = 24;

/// Which messages are shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// How much is said.
    pub verbosity: Verbosity,
    /// With which colours.
    pub style: Style,
}

impl Messages {
    /// The line of a warning, an information or a debug event; none for other events, and for those that
    /// the user does not want to see.
    pub fn line(self, event: &Event) -> Option<String> {
        if self.verbosity < needed(event) {
            return None;
        }
        match event {
            Event::Warning { text } => {
                Some(format!("{} {}", self.style.paint(Tone::Warning, "warning:"), printable(text)))
            }
            Event::Info { text } => Some(printable(text)),
            Event::Debug { text } => Some(self.style.paint(Tone::Faint, &printable(text))),
            Event::Started { .. } | Event::Progress { .. } | Event::Finished { .. } => None,
        }
    }
}

/// How much has to be said for this event to be shown.
pub fn needed(event: &Event) -> Verbosity {
    match event {
        Event::Info { .. } => Verbosity::Verbose,
        Event::Debug { .. } => Verbosity::Debug,
        Event::Started { .. } | Event::Progress { .. } | Event::Finished { .. } | Event::Warning { .. } => {
            Verbosity::Normal
        }
    }
}

/// A step's name, filled up so that what follows stands in a column.
pub fn title(step: Step) -> String {
    format!("{:TITLE_WIDTH$}", step.title())
}

/// The line that remains of a step that ended well.
pub fn finished(step: Step, outcome: Outcome, milliseconds: u64, style: Style) -> String {
    let line = format!("{} {}{:>12}", style.paint(Tone::Good, "✓"), title(step), duration(milliseconds));
    match outcome {
        Outcome::Done => line,
        Outcome::Cached => format!("{line}  {}", style.paint(Tone::Faint, "cached")),
    }
}

/// The line that remains of a step that did not end.
pub fn broken_off(step: Step, milliseconds: u64, style: Style) -> String {
    format!("{} {}{:>12}", style.paint(Tone::Error, "✗"), title(step), duration(milliseconds))
}

/// How much is done, such as `3/17 packages`.
pub fn amount(done: u64, total: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{} of {}", Size(done), Size(total)),
        Unit::Packages => format!("{done}/{total} packages"),
        Unit::Seconds => format!("{done} of at most {total} s"),
    }
}

/// A time as people read it.
pub fn duration(milliseconds: u64) -> String {
    // Tenths are rounded before minutes are split off, or 59.96 s would read `60.0 s`.
    let tenths = milliseconds.saturating_add(50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = milliseconds.saturating_add(500) / 1000;
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// Shows messages, and no progress.
pub struct MessagesOnly {
    out: Mutex<Box<dyn Write + Send>>,
    messages: Messages,
}

impl MessagesOnly {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, messages: Messages) -> Self {
        MessagesOnly { out: Mutex::new(out), messages }
    }
}

impl Sink for MessagesOnly {
    fn emit(&self, event: Event) {
        if let Some(line) = self.messages.line(&event) {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{line}");
        }
    }
}

impl Reporter for MessagesOnly {
    fn end(&self) {}
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;

    /// What was written, for tests of all reporters.
    #[derive(Clone, Default)]
    pub(in crate::ui) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(in crate::ui) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::ui) fn messages(verbosity: Verbosity) -> Messages {
        Messages { verbosity, style: Style::new(false) }
    }

    #[test]
    fn times_read_well() {
        let table = [
            (0, "0.0 s"),
            (949, "0.9 s"),
            (950, "1.0 s"),
            (48_120, "48.1 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 00 s"),
            (123_400, "2 min 03 s"),
            (u64::MAX, "307445734561825 min 51 s"),
        ];
        for (milliseconds, expected) in table {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn messages_are_for_those_who_want_them() {
        let warning = Event::Warning { text: "old".into() };
        let info = Event::Info { text: "mirror".into() };
        let debug = Event::Debug { text: "+ apt-get".into() };
        let shown = |verbosity| {
            [&warning, &info, &debug].into_iter().filter_map(|event| messages(verbosity).line(event)).count()
        };
        assert_eq!(shown(Verbosity::Quiet), 0);
        assert_eq!(shown(Verbosity::Normal), 1);
        assert_eq!(shown(Verbosity::Verbose), 2);
        assert_eq!(shown(Verbosity::Debug), 3);
        assert_eq!(messages(Verbosity::Normal).line(&warning).unwrap(), "warning: old");
    }

    #[test]
    fn lines_of_steps_stand_in_columns() {
        let style = Style::new(false);
        let done = finished(Step::Bootstrap, Outcome::Done, 48_120, style);
        let cached = finished(Step::Initramfs, Outcome::Cached, 3, style);
        assert_eq!(done, "✓ Bootstrapping                 48.1 s");
        assert_eq!(cached, "✓ Making the initramfs           0.0 s  cached");
    }
}
