//! The columns of a line, and where they stand.

use crate::error::Problem;

/// A column of a line: what stands between white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// The column.
    pub(super) text: &'a str,
    /// Number of its line, from 1.
    pub(super) line: usize,
    /// The whole line.
    whole: &'a str,
    /// Where it begins in the line, in bytes.
    start: usize,
}

/// The columns of a line, without its comment: what follows a `#` that begins a column.
pub(super) fn of(line: &str, number: usize) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let start = line.len() - rest.len();
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (text, after) = rest.split_at(length);
        if text.is_empty() || text.starts_with('#') {
            return columns;
        }
        columns.push(Column { text, line: number, whole: line, start });
        rest = after;
    }
}

impl<'a> Column<'a> {
    /// The first line of a text, for what is wrong with all of it.
    pub(super) fn start_of(text: &'a str) -> Column<'a> {
        let whole = text.lines().next().unwrap_or_default();
        Column { text: whole, line: 1, whole, start: 0 }
    }

    /// The part of the column from a byte offset on.
    pub(super) fn from(self, offset: usize) -> Column<'a> {
        let text = self.text.get(offset..).unwrap_or_default();
        Column { text, start: self.start + offset, ..self }
    }

    /// A problem with it.
    pub(super) fn problem(&self, file: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        let before = self.whole.get(..self.start).unwrap_or_default();
        Problem {
            file: file.to_owned(),
            line: self.line,
            column: before.chars().count() + 1,
            length: self.text.chars().count().max(1),
            text: self.whole.to_owned(),
            message: message.into(),
            help,
        }
    }
}
