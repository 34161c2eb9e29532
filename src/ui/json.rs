//! Progress as JSON lines on standard error, for programs.
//!
//! Each line is an object with `version` (1), `time` (RFC 3339, UTC), `event`, and what the event
//! carries: see [`Event`]. The error that ends the program is a line, too, with `event` = `error`; see
//! [`super::error::json`]. A reader has to pass over events and members that it does not know.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::lines::needed;
use super::{Reporter, Verbosity};
use crate::event::{Event, Sink};

/// Version of the lines. A change that could break a reader raises it.
pub const VERSION: u32 = 1;

/// Writes JSON lines.
pub struct Json {
    out: Mutex<Box<dyn Write + Send>>,
    verbosity: Verbosity,
}

impl Json {
    /// Writes to `out`. With `--quiet` steps are told all the same: they are what was asked for.
    pub fn new(out: Box<dyn Write + Send>, verbosity: Verbosity) -> Json {
        Json { out: Mutex::new(out), verbosity: verbosity.max(Verbosity::Normal) }
    }
}

impl Sink for Json {
    fn emit(&self, event: Event) {
        if self.verbosity < needed(&event) {
            return;
        }
        let line = line(&event, Timestamp::now());
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

impl Reporter for Json {
    fn end(&self) {}
}

/// Something as one line of the protocol, with its line end.
pub(super) fn line(content: &impl Serialize, time: Timestamp) -> String {
    #[derive(Serialize)]
    struct Line<'a, T> {
        version: u32,
        time: String,
        #[serde(flatten)]
        content: &'a T,
    }
    let line = Line { version: VERSION, time: format!("{time:.3}"), content };
    // Strings and numbers only: there is nothing in it that JSON could not say.
    serde_json::to_string(&line).map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::Page;
    use super::*;
    use crate::event::{Step, Unit};

    #[test]
    fn the_protocol_is_pinned() {
        let progress = Event::Progress {
            step: Step::Download,
            done: 1,
            total: 2,
            unit: Unit::Bytes,
            detail: "a \"b\"".into(),
        };
        let text = line(&progress, Timestamp::UNIX_EPOCH);
        assert_eq!(
            text,
            "{\"version\":1,\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"progress\",\"step\":\"download\",\
             \"done\":1,\"total\":2,\"unit\":\"bytes\",\"detail\":\"a \\\"b\\\"\"}\n"
        );
    }

    #[test]
    fn every_line_is_an_object() {
        let page = Page::default();
        let json = Json::new(Box::new(page.clone()), Verbosity::Quiet);
        json.emit(Event::Started { step: Step::Index });
        json.emit(Event::Debug { text: "not wanted".into() });
        json.emit(Event::Warning { text: "two\nlines".into() });
        let lines: Vec<serde_json::Value> =
            page.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line["version"] == 1));
    }
}
