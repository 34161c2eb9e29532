//! The text of a configuration file, read line by line as Python 3's ConfigParser reads it
//! (`configparser.RawConfigParser._read` with its defaults and `strict=False`).
//!
//! - A line whose first character that is no white space is `#` or `;` is a comment, also between the
//!   lines of a value. There are no comments behind a value.
//! - A line that is indented deeper than the setting above it continues that setting's value; empty lines
//!   between do, too. What is not deeper is a section or a setting of its own, however it is indented.
//! - The name of a section is everything up to the last `]` of its line.
//! - The first `=` or `:` ends the name of a setting. Case does not count in it.
//!
//! What differs: a byte order mark in front is passed over, and every wrong line is told, not the first.

use crate::error::{Error, Problem};

/// What a file says, in its order. Whether it means something is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The names of the sections, once for each header.
    pub headers: Vec<Word>,
    /// The settings of all sections.
    pub entries: Vec<Entry>,
}

/// A setting as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The header of its section.
    pub section: Word,
    /// Its name as it is written.
    pub key: Word,
    /// Its name in lower case.
    pub name: String,
    /// The lines of its value, the first one being that of the name; an empty line has an empty word.
    pub value: Vec<Word>,
}

impl Entry {
    /// The value as it is written.
    pub fn raw(&self) -> String {
        let lines: Vec<&str> = self.value.iter().map(|word| word.text.as_str()).collect();
        lines.join("\n").trim_end_matches(is_space).to_owned()
    }

    /// Where the value begins; the setting's name where it has none.
    pub fn start(&self) -> &Word {
        self.value.iter().find(|word| !word.text.is_empty()).unwrap_or(&self.key)
    }

    /// The piece of the value from the byte `start` of [`Entry::raw`] on; the whole line where the piece is
    /// in none.
    pub(super) fn piece(&self, start: usize, length: usize) -> Word {
        let mut before = 0;
        for word in &self.value {
            let end = before + word.text.len();
            if (before..end).contains(&start) {
                return word.part(start - before, length);
            }
            before = end + 1;
        }
        self.start().clone()
    }
}

/// A piece of a line, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The file, as the user named it.
    pub file: String,
    /// The piece.
    pub text: String,
    /// Number of its line, from 1.
    pub line: usize,
    /// Number of its first character, from 1.
    pub column: usize,
    /// The line up to the end of the piece. The rest may hold a password.
    pub shown: String,
}

impl Word {
    /// A piece of this piece, by byte offsets.
    fn part(&self, start: usize, length: usize) -> Word {
        let end = self.text.floor_char_boundary(start.saturating_add(length));
        let (before, piece) = (self.text.get(..start), self.text.get(start..end));
        let (Some(before), Some(piece)) = (before, piece) else { return self.clone() };
        let rest = self.text.len() - end;
        let shown = self.shown.get(..self.shown.len().saturating_sub(rest)).unwrap_or(&self.shown);
        Word {
            file: self.file.clone(),
            text: piece.to_owned(),
            line: self.line,
            column: self.column + before.chars().count(),
            shown: shown.to_owned(),
        }
    }

    /// An item of a list in this piece.
    pub(in crate::appliance) fn find_item(&self, item: &str) -> Option<Word> {
        let parts_items = |letter: char| letter == ',' || is_space(letter);
        let is_whole = |(start, _): &(usize, &str)| {
            let (before, after) = (self.text.get(..*start), self.text.get(start + item.len()..));
            before.is_some_and(|text| text.is_empty() || text.ends_with(parts_items))
                && after.is_some_and(|text| text.is_empty() || text.starts_with(parts_items))
        };
        let (start, _) = self.text.match_indices(item).find(is_whole)?;
        Some(self.part(start, item.len()))
    }

    /// An error about this piece, with its first cure.
    pub(super) fn problem_of(&self, error: &Error) -> Problem {
        self.problem(error.to_string(), error.hints().first().cloned())
    }

    /// A problem with this piece.
    pub(in crate::appliance) fn problem(&self, message: impl Into<String>, help: Option<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            length: self.text.chars().count().max(1),
            text: self.shown.clone(),
            message: message.into(),
            help,
        }
    }
}

/// White space as Python's `str.isspace` has it: Unicode's, and four separators of ASCII.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Reads the text of the configuration file that is called `file`.
///
/// # Errors
///
/// Every line that cannot be read.
pub fn parse(file: &str, text: &str) -> Result<Parsed, Vec<Problem>> {
    let (parsed, problems) = parse_all(file, text);
    if problems.is_empty() { Ok(parsed) } else { Err(problems) }
}

/// The same with what the other lines say, where some cannot be read.
pub(super) fn parse_all(file: &str, text: &str) -> (Parsed, Vec<Problem>) {
    // Python reads files with universal line ends.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line(&Line { file, text: line, number: index + 1 });
    }
    (reader.parsed, reader.problems)
}

/// A line of the file.
struct Line<'a> {
    file: &'a str,
    text: &'a str,
    number: usize,
}

impl Line<'_> {
    /// The piece between two byte offsets, without white space around it.
    fn word(&self, start: usize, end: usize) -> Word {
        let piece = self.text.get(start..end).unwrap_or_default();
        let lead = piece.len() - piece.trim_start_matches(is_space).len();
        self.exact(start + lead, start + lead + piece.trim_matches(is_space).len())
    }

    /// The piece between two byte offsets.
    fn exact(&self, start: usize, end: usize) -> Word {
        let before = self.text.get(..start).unwrap_or_default();
        Word {
            file: self.file.to_owned(),
            text: self.text.get(start..end).unwrap_or_default().to_owned(),
            line: self.number,
            column: before.chars().count() + 1,
            shown: self.text.get(..end).unwrap_or_default().to_owned(),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    parsed: Parsed,
    problems: Vec<Problem>,
    section: Option<Word>,
    /// Whether the last header could not be read: what its settings are for is not known.
    is_astray: bool,
    /// How deep the last section or setting is indented, in characters.
    indent: usize,
    /// Whether a line that is deeper continues the last setting.
    open: bool,
}

impl Reader {
    fn line(&mut self, line: &Line<'_>) {
        let trimmed = line.text.trim_matches(is_space);
        if trimmed.starts_with(['#', ';']) {
            return;
        }
        if trimmed.is_empty() {
            self.continue_with(line.word(0, 0));
            return;
        }
        let indent = line.text.chars().take_while(|character| is_space(*character)).count();
        if self.open && indent > self.indent {
            self.continue_with(line.word(0, line.text.len()));
            return;
        }
        self.indent = indent;
        let start = line.text.len() - line.text.trim_start_matches(is_space).len();
        match trimmed.rfind(']').filter(|end| trimmed.starts_with('[') && *end > 1) {
            Some(end) => self.header(line.exact(start + 1, start + end)),
            None => self.setting(line, start),
        }
    }

    fn continue_with(&mut self, word: Word) {
        if let Some(entry) = self.parsed.entries.last_mut().filter(|_| self.open) {
            entry.value.push(word);
        }
    }

    fn header(&mut self, name: Word) {
        self.parsed.headers.push(name.clone());
        self.section = Some(name);
        self.is_astray = false;
        self.open = false;
    }

    fn setting(&mut self, line: &Line<'_>, start: usize) {
        let end = line.text.len();
        let Some(separator) = line.text.find(['=', ':']) else {
            // What comes after the first word may be a password.
            let first = line.text.get(start..).and_then(|text| text.find(is_space));
            let word = line.exact(start, first.map_or(end, |length| start + length));
            let (message, help) = if word.text.starts_with('[') {
                self.is_astray = true;
                self.open = false;
                ("the line is no section header", "Write the name between brackets, such as [kvm].")
            } else {
                ("the line is no setting", "Write `key = value`, and start a comment with `#`.")
            };
            self.problems.push(word.problem(message, Some(help.to_owned())));
            return;
        };
        let key = line.word(start, separator);
        if key.text.is_empty() {
            let sign = line.exact(separator, separator + 1);
            self.problems
                .push(sign.problem("the setting has no name", Some("Write `key = value`.".to_owned())));
            self.open = false;
            return;
        }
        let Some(section) = &self.section else {
            let help = Some("Write [DEFAULT] above it.".to_owned());
            self.problems.push(key.problem("the setting stands above the first section", help));
            return;
        };
        if self.is_astray {
            self.open = false;
            return;
        }
        self.parsed.entries.push(Entry {
            section: section.clone(),
            name: key.text.to_lowercase(),
            key,
            value: vec![line.word(separator + 1, end)],
        });
        self.open = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        let mut problems = parse("x.cfg", text).expect_err(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    #[test]
    fn settings_have_sections_names_and_values() {
        let text = "\u{feff}[DEFAULT] ; all\r\nAddPkg = nginx,\r\n  ; not this\r\n   libc6:i386\r\n\r\n\tvim\r\n[kvm]\r\n  mem: 1 # x\r\n";
        let parsed = parse("x.cfg", text).unwrap();
        let headers: Vec<&str> = parsed.headers.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(headers, ["DEFAULT", "kvm"]);
        let [packages, memory] = parsed.entries.as_slice() else { panic!("{parsed:?}") };
        assert_eq!(
            (packages.name.as_str(), packages.raw().as_str()),
            ("addpkg", "nginx,\nlibc6:i386\n\nvim")
        );
        assert_eq!((memory.section.text.as_str(), memory.raw().as_str()), ("kvm", "1 # x"));
        assert_eq!((memory.start().line, memory.start().column), (8, 8));
        let piece = packages.piece(7, 5);
        assert_eq!((piece.text.as_str(), piece.line, piece.column), ("libc6", 4, 4));
        assert_eq!(piece.shown, "   libc6");
    }

    #[test]
    fn each_problem_has_its_place() {
        let table = [
            ("suite = jammy\n", 1, 1, 5, "above the first section", "Write [DEFAULT] above it."),
            ("[kvm\n", 1, 1, 4, "no section header", "brackets"),
            ("[]\n", 1, 1, 2, "no section header", "brackets"),
            ("[kvm]\nnonsense here\n", 2, 1, 8, "no setting", "key = value"),
            ("[kvm]\n  nonsense here\n", 2, 3, 8, "no setting", "key = value"),
            ("[kvm]\n= jammy\n", 2, 1, 1, "has no name", "key = value"),
        ];
        for (text, line, column, length, message, help) in table {
            let problem = problem(text);
            assert_eq!((problem.line, problem.column, problem.length), (line, column, length), "{text}");
            assert!(problem.message.contains(message), "{problem}");
            assert!(problem.help.unwrap_or_default().contains(help), "{text}");
        }
        assert_eq!(parse("x.cfg", "a = 1\n[kvm]\nb\n= 2\n").unwrap_err().len(), 3);
    }

    #[test]
    fn a_misspelt_password_is_not_shown() {
        assert_eq!(problem("[kvm]\npass hunter2\n").text, "pass");
        assert_eq!(problem("pass = hunter2\n").text, "pass");
    }
}
