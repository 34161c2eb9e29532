//! The answers of `--seedfile`, in the format of debconf-set-selections(1): their shape is checked here, and
//! which layer has to know them.

use super::Script;
use super::stage::Stage;
use crate::error::{Error, Problem, Result};
use crate::near;

/// The types of questions, and the one flag, that debconf-set-selections knows; it passes over lines with
/// others.
const TYPES: [&str; 9] =
    ["boolean", "multiselect", "note", "password", "seen", "select", "string", "text", "title"];

/// An answer, as far as the plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The package that owns the question.
    pub owner: String,
    /// The question, `PACKAGE/NAME` as a rule.
    pub question: String,
}

/// Answers that were read when the plan was made.
#[derive(Clone, Debug)]
pub(super) struct Seeds {
    pub file: Script,
    pub text: String,
    pub answers: Vec<Answer>,
}

impl Seeds {
    /// The lowest layer that has a package which the answers are for; `has` says whether a layer installs a
    /// package. Answers for none of them are for what the user adds.
    pub(super) fn stage(&self, has: impl Fn(Stage, &str) -> bool) -> Stage {
        let concerns = |stage: Stage, answer: &Answer| {
            let package = answer.question.split('/').next().unwrap_or_default();
            has(stage, &answer.owner) || has(stage, package)
        };
        let lowest = [Stage::Base, Stage::System]
            .into_iter()
            .find(|stage| self.answers.iter().any(|answer| concerns(*stage, answer)));
        lowest.unwrap_or(Stage::Packages)
    }
}

/// Reads the text of the file that the user calls `file`.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Answer>> {
    let (answers, problems) = parse(text);
    let places = match problems.len() {
        0 if answers.is_empty() => {
            return Err(Error::config(format!("--seedfile {file} holds no answer"))
                .hint("Write a line `PACKAGE QUESTION TYPE VALUE` for each."));
        }
        0 => return Ok(answers),
        1 => "one place".to_owned(),
        count => format!("{count} places"),
    };
    let named = problems.into_iter().map(|problem| Problem { file: file.to_owned(), ..problem });
    Err(Error::config(format!("--seedfile {file} is wrong in {places}")).problems(named))
}

/// Reads lines `OWNER QUESTION TYPE VALUE`. A backslash at its end continues a line.
fn parse(text: &str) -> (Vec<Answer>, Vec<Problem>) {
    let (mut answers, mut problems) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut line = first.to_owned();
        while let Some(more) = line.strip_suffix('\\') {
            let Some((_, next)) = lines.next() else { break };
            line = format!("{more}{next}");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || words.first().is_some_and(|word| word.starts_with('#')) {
            continue;
        }
        match answer(&words) {
            Ok(answer) => answers.push(answer),
            Err(wrong) => problems.push(wrong.at(index + 1, first)),
        }
    }
    (answers, problems)
}

/// What is wrong with a line: a word of it, or the line itself.
struct Wrong {
    word: Option<String>,
    message: String,
    help: String,
}

impl Wrong {
    /// The value of an answer may be a password: only columns before it are ever shown.
    fn at(self, number: usize, line: &str) -> Problem {
        let shown: String = columns(line);
        let at = self.word.as_deref().and_then(|word| Some((shown.find(word)?, word)));
        let (before, length) = match at {
            Some((offset, word)) => (shown.get(..offset).unwrap_or_default(), word.chars().count()),
            None => ("", shown.chars().count()),
        };
        Problem {
            file: String::new(),
            line: number,
            column: before.chars().count() + 1,
            length: length.max(1),
            text: shown.clone(),
            message: self.message,
            help: Some(self.help),
        }
    }
}

/// The first three words of a line, with the blanks before and between them.
fn columns(line: &str) -> String {
    let mut words = 0;
    let mut inside = false;
    let is_shown = |character: &char| {
        if character.is_whitespace() {
            inside = false;
        } else if !inside {
            inside = true;
            words += 1;
        }
        words <= 3
    };
    let shown: String = line.chars().take_while(is_shown).collect();
    shown.trim_end().to_owned()
}

fn answer(words: &[&str]) -> Result<Answer, Wrong> {
    let [owner, question, kind, value @ ..] = words else {
        return Err(Wrong {
            word: None,
            message: "this is no answer for debconf".to_owned(),
            help: "Write PACKAGE QUESTION TYPE VALUE, such as `tzdata tzdata/Areas select Europe`."
                .to_owned(),
        });
    };
    if !TYPES.contains(kind) {
        let question = near::question(kind, TYPES);
        return Err(Wrong {
            word: Some((*kind).to_owned()),
            message: format!("debconf has no type `{kind}`"),
            help: question.unwrap_or_else(|| format!("Types are {}.", TYPES.join(", "))),
        });
    }
    if ["boolean", "seen"].contains(kind) && !matches!(value, ["true" | "false"]) {
        return Err(Wrong {
            word: Some((*kind).to_owned()),
            message: format!("the value of a {kind} is neither true nor false"),
            help: "debconf knows no other words for yes and no.".to_owned(),
        });
    }
    Ok(Answer { owner: (*owner).to_owned(), question: (*question).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let text = "# comment\n\n  d-i\ttime/zone string UTC\npostfix postfix/main select Internet Site\n\
                    a a/list multiselect one, \\\n two\nb b/empty string\nc c/yes boolean true\nc c/yes seen false\r\n\
                    z z/end string \\";
        let (answers, problems) = parse(text);
        assert_eq!(problems, []);
        let owners: Vec<&str> = answers.iter().map(|answer| answer.owner.as_str()).collect();
        assert_eq!(owners, ["d-i", "postfix", "a", "b", "c", "c", "z"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_its_value() {
        for (text, line, column, length, message) in [
            ("postfix", 1, 1, 7, "this is no answer for debconf"),
            ("\n  postfix postfix/x", 2, 1, 19, "this is no answer for debconf"),
            ("p p/q strng secret", 1, 7, 5, "debconf has no type `strng`"),
            ("p p/q select: secret", 1, 7, 7, "debconf has no type `select:`"),
            ("p p/q boolean yes", 1, 7, 7, "the value of a boolean is neither true nor false"),
            ("p p/q boolean", 1, 7, 7, "the value of a boolean is neither true nor false"),
            ("p p/q seen maybe", 1, 7, 4, "the value of a seen is neither true nor false"),
            ("p p/q PASSWORD secret", 1, 7, 8, "debconf has no type `PASSWORD`"),
        ] {
            let (_, problems) = parse(text);
            let [problem] = problems.as_slice() else { panic!("{text}: {problems:?}") };
            assert_eq!(
                (problem.line, problem.column, problem.length, problem.message.as_str()),
                (line, column, length, message),
                "{text}"
            );
            assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        }
        let error = read("seeds", "a\nb b/c\n").unwrap_err();
        assert_eq!(error.message(), "--seedfile seeds is wrong in 2 places");
        assert_eq!(error.places()[1].file, "seeds");
        assert!(read("seeds", "# nothing\n").unwrap_err().message().contains("holds no answer"));
    }

    #[test]
    fn the_lowest_layer_that_has_to_know_is_found() {
        let has = |stage: Stage, package: &str| match stage {
            Stage::Base => package == "tzdata",
            _ => ["tzdata", "grub-pc"].contains(&package),
        };
        let stage = |text: &str| {
            let file = Script { path: "seeds".into(), sha256: String::new() };
            Seeds { file, text: String::new(), answers: parse(text).0 }.stage(has)
        };
        assert_eq!(stage("postfix postfix/x string y"), Stage::Packages);
        assert_eq!(stage("d-i grub-pc/x string y\npostfix a/b string c"), Stage::System);
        assert_eq!(stage("postfix a/b string c\ntzdata x/y string z\ngrub-pc x/y string z"), Stage::Base);
    }
}
