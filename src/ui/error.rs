//! Errors as people and programs read them.

use jiff::Timestamp;
use serde::Serialize;

use super::json;
use super::style::{Style, Tone, printable};
use crate::error::{Error, Kind, Problem};

/// An error for people: what was being done, the causes, the places, the failed program's last words, and
/// what to do.
pub fn render(error: &Error, style: Style) -> String {
    let mut text =
        format!("{} {}\n", style.paint(Tone::Error, "error:"), printable_lines(error.message(), 7));
    text += &below(error, style);
    for part in error.parts() {
        text += &render(part, style);
    }
    text
}

/// Everything that stands below an error's own words.
fn below(error: &Error, style: Style) -> String {
    let mut text = String::new();
    for cause in error.causes() {
        text += &format!("  caused by: {}\n", printable_lines(cause, 13));
    }
    for problem in error.places() {
        text += &place(problem, style);
    }
    for line in error.tail_lines() {
        text += &format!("  {} {}\n", style.paint(Tone::Faint, "|"), printable(line));
    }
    for hint in error.hints() {
        text += &format!("  {} {}\n", style.paint(Tone::Hint, "hint:"), printable_lines(hint, 8));
    }
    text
}

/// A place in a file: the line, and carets below what is wrong.
fn place(problem: &Problem, style: Style) -> String {
    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = style.paint(Tone::Faint, "|");
    let before = " ".repeat(problem.column.saturating_sub(1));
    let carets = style.paint(Tone::Error, &"^".repeat(problem.length.max(1)));
    let arrow = style.paint(Tone::Faint, "-->");
    let mut text = format!(
        "{margin}{arrow} {file}:{number}:{column}\n{margin} {bar}\n{number} {bar} {line}\n\
         {margin} {bar} {before}{carets} {message}\n",
        file = printable(&problem.file),
        column = problem.column,
        line = printable(&problem.text),
        message = printable(&problem.message),
    );
    if let Some(help) = &problem.help {
        text += &format!("{margin} {} {}\n", style.paint(Tone::Hint, "hint:"), printable(help));
    }
    text
}

/// Text of several lines, the later ones indented.
fn printable_lines(text: &str, indent: usize) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// An error for programs: one JSON line.
pub fn json(error: &Error) -> String {
    json_at(error, Timestamp::now())
}

fn json_at(error: &Error, time: Timestamp) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        exit_code: u8,
        #[serde(flatten)]
        error: Words<'a>,
    }
    let exit_code = error.kind().exit_code();
    json::line(&Line { event: "error", exit_code, error: Words::of(error) }, time)
}

/// What an error says.
#[derive(Serialize)]
struct Words<'a> {
    kind: Kind,
    message: &'a str,
    causes: &'a [String],
    places: &'a [Problem],
    tail: &'a [String],
    hints: &'a [String],
    /// The errors that this one consists of.
    parts: Vec<Words<'a>>,
}

impl Words<'_> {
    fn of(error: &Error) -> Words<'_> {
        Words {
            kind: error.kind(),
            message: error.message(),
            causes: error.causes(),
            places: error.places(),
            tail: error.tail_lines(),
            hints: error.hints(),
            parts: error.parts().iter().map(Words::of).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        let io = std::io::Error::from(std::io::ErrorKind::NotFound);
        Error::build("apt-get failed with exit code 100")
            .because(&io)
            .within("installing packages")
            .tail(["E: Unable to fetch".to_owned(), "E: \u{1b}[2Jclear".to_owned()])
            .hint("Try again.")
            .hint("Or give up.\nLater.")
    }

    #[test]
    fn people_read_what_to_do_last() {
        insta::assert_snapshot!(render(&error(), Style::new(false)), @"
        error: installing packages
          caused by: apt-get failed with exit code 100
          caused by: entity not found
          | E: Unable to fetch
          | E: \u{fffd}[2Jclear
          hint: Try again.
          hint: Or give up.
                Later.
        ");
    }

    #[test]
    fn places_have_carets() {
        let problem = Problem {
            file: "rvmb.cfg".into(),
            line: 12,
            column: 3,
            length: 5,
            text: "  adpkg".into(),
            message: "there is no setting `adpkg`".into(),
            help: Some("Did you mean `addpkg`?".into()),
        };
        let error = Error::config("the configuration is wrong in one place").problems([problem]);
        insta::assert_snapshot!(render(&error, Style::new(false)), @"
        error: the configuration is wrong in one place
          --> rvmb.cfg:12:3
           |
        12 |   adpkg
           |   ^^^^^ there is no setting `adpkg`
           hint: Did you mean `addpkg`?
        ");
    }

    #[test]
    fn each_of_several_errors_has_its_own_hints() {
        let parts = vec![
            Error::config("`a b` is not a host name").hint("Use letters."),
            Error::host("mke2fs is not installed").hint("Install it."),
        ];
        let error = Error::all(parts).unwrap_err().hint("Look again.");
        insta::assert_snapshot!(render(&error, Style::new(false)), @"
        error: there are 2 problems
          hint: Look again.
        error: `a b` is not a host name
          hint: Use letters.
        error: mke2fs is not installed
          hint: Install it.
        ");
        let line: serde_json::Value = serde_json::from_str(&json_at(&error, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(line["parts"][1]["hints"][0], "Install it.");
        assert_eq!(line["parts"][1]["kind"], "host");
    }

    #[test]
    fn programs_read_the_exit_code() {
        let line: serde_json::Value =
            serde_json::from_str(&json_at(&error(), Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(line["event"], "error");
        assert_eq!(line["exit_code"], 5);
        assert_eq!(line["kind"], "build");
        assert_eq!(line["causes"][1], "entity not found");
    }
}
