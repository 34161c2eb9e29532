//! What went wrong, for whom, and what to do about it.
//!
//! Rooms below the roof have typed errors of their own where a caller wants to tell them apart;
//! everything that a user will read becomes an [`Error`]: a [`Kind`] that decides the exit code, a
//! message that says what was being done to what, the causes under it, and hints with the cure.

use std::fmt;

/// Who can do something about an error. Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The appliance, the configuration or a file named in it is wrong.
    Config,
    /// This host lacks something that the build needs.
    Host,
    /// The build failed.
    Build,
    /// The image was built and could not be delivered.
    Delivery,
    /// The image was booted and failed a check.
    Check,
    /// The user interrupted.
    Interrupted,
}

impl Kind {
    /// The exit code of the program. The table in docs/exit-codes.md is part of the interface.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Host => 4,
            Kind::Build => 5,
            Kind::Delivery => 6,
            Kind::Check => 7,
            Kind::Interrupted => 130,
        }
    }
}

/// An error that a user reads.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Error {
    kind: Kind,
    message: Box<str>,
    /// The causes, outermost first. Kept as text, because an error crosses from worker to front.
    causes: Box<[String]>,
    hints: Box<[String]>,
    /// The last lines of the failed command's own words.
    tail: Box<[String]>,
    /// The places of a file that are wrong, all of them at once.
    #[serde(default)]
    problems: Box<[Problem]>,
    /// Errors that have nothing to do with each other, told at once; each has its own causes and hints.
    #[serde(default)]
    parts: Box<[Error]>,
    /// What of the user's words it is about. The worker knows none of them.
    #[serde(skip)]
    subjects: Box<[Subject]>,
}

/// What of the user's words an error is about. Whoever knows where these words stand adds the places
/// ([`Error::placed`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A setting by its name, and one item of its list where it is one.
    Setting(String, Option<String>),
    /// Everything on a disk, by its number from 0.
    Disk(usize),
    /// A partition or logical volume: the number of its disk, and its own in the disk's list, both from 0.
    Partition(usize, usize),
}

impl Subject {
    /// A setting, by its name or by its option.
    pub fn setting(name: &str) -> Subject {
        Subject::Setting(name.trim_start_matches('-').to_owned(), None)
    }

    /// One item of a setting that is a list.
    pub fn item(name: &str, item: &str) -> Subject {
        Subject::Setting(name.trim_start_matches('-').to_owned(), Some(item.to_owned()))
    }
}

/// A place of a text file that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Number of the line, from 1.
    pub line: usize,
    /// Number of the first wrong character in the line, from 1.
    pub column: usize,
    /// How many characters are wrong; at least 1.
    pub length: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it: one full sentence.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`. The message says what was being done to what, in lower case, with no full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into().into(),
            causes: Box::default(),
            hints: Box::default(),
            tail: Box::default(),
            problems: Box::default(),
            parts: Box::default(),
            subjects: Box::default(),
        }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Kind::Usage, message)
    }

    /// The appliance, the configuration or a file named in it is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Error::new(Kind::Config, message)
    }

    /// This host lacks something.
    pub fn host(message: impl Into<String>) -> Self {
        Error::new(Kind::Host, message)
    }

    /// The build failed.
    pub fn build(message: impl Into<String>) -> Self {
        Error::new(Kind::Build, message)
    }

    /// Adds a cause and the causes below it.
    #[must_use]
    pub fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = self.causes.into_vec();
        let mut next = Some(cause);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        self.causes = causes.into();
        self
    }

    /// Adds what to do about it: one full sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints = self.hints.into_iter().chain([hint.into()]).collect();
        self
    }

    /// Adds the last lines that a failed command wrote.
    #[must_use]
    pub fn tail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.tail = self.tail.into_iter().chain(lines).collect();
        self
    }

    /// Adds the places of a file that are wrong.
    #[must_use]
    pub fn problems(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.problems = self.problems.into_iter().chain(problems).collect();
        self
    }

    /// Says what of the user's words it is about; of one that only gathers others, each of these is.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        if self.only_gathers() {
            return self.map_parts(|part| part.about(subject.clone()));
        }
        if !self.subjects.contains(&subject) {
            self.subjects = self.subjects.into_iter().chain([subject]).collect();
        }
        self
    }

    /// The same with the places of what it and its parts are about, as far as `place` knows them. What has a
    /// place of its own needs no other.
    #[must_use]
    pub fn placed(self, place: &dyn Fn(&Subject) -> Option<Problem>) -> Self {
        let mut error = self.map_parts(|part| part.placed(place));
        if error.problems.is_empty() {
            let mut found: Vec<Problem> = error.subjects.iter().filter_map(place).collect();
            found.dedup();
            error.problems = found.into();
        }
        error
    }

    /// The same with something done to each of its parts.
    #[must_use]
    pub fn map_parts(self, map: impl Fn(Error) -> Error) -> Self {
        Error { parts: self.parts.into_iter().map(map).collect(), ..self }
    }

    /// Puts what was being done around an error; its text becomes the first cause.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into().into());
        self.causes = [inner.into()].into_iter().chain(self.causes).collect();
        self
    }

    /// The same, for another kind of reader to do something about it: what failed is known below, whose
    /// fault it is often only above.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Several problems as one error of the first one's kind; `Ok` where there is none. A single one stays
    /// as it is, and the problems of one that only gathers others are told with the rest.
    pub fn all(problems: Vec<Error>) -> Result<()> {
        let problems: Vec<Error> = problems.into_iter().flat_map(Error::gathered).collect();
        let count = problems.len();
        let Some(first) = problems.first() else { return Ok(()) };
        let whole = Error::new(first.kind, format!("there are {count} problems"));
        match <[Error; 1]>::try_from(problems) {
            Ok([single]) => Err(single),
            Err(problems) => Err(Error { parts: problems.into(), ..whole }),
        }
    }

    /// The problems of an error that says nothing of its own beside them; else the error.
    fn gathered(self) -> Vec<Error> {
        if self.only_gathers() { self.parts.into_vec() } else { vec![self] }
    }

    /// Whether it consists of others, and says nothing of its own beside them.
    fn only_gathers(&self) -> bool {
        let own = [self.causes.len(), self.hints.len(), self.tail.len(), self.problems.len()];
        !self.parts.is_empty() && own == [0; 4]
    }

    /// Who can do something about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was being done to what.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do about it.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The places of a file that are wrong.
    pub fn places(&self) -> &[Problem] {
        &self.problems
    }

    /// The errors that this one consists of, where it tells several at once.
    pub fn parts(&self) -> &[Error] {
        &self.parts
    }

    /// What of the user's words it is about.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The last lines of the failed command.
    pub fn tail_lines(&self) -> &[String] {
        &self.tail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        for problem in &self.problems {
            write!(f, "; {problem}")?;
        }
        for part in &self.parts {
            write!(f, "; {part}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a lower error happened.
pub trait Context<T> {
    /// Wraps the error into one of `kind`; the message is a phrase such as `reading /etc/x`.
    fn context(self, kind: Kind, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::error::Error + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, kind: Kind, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(kind, message()).because(&error))
    }
}

/// Says what of the user's words an error is about.
pub trait About<T> {
    /// A setting, by its name or by its option.
    fn about(self, setting: &str) -> Result<T>;
    /// One item of a setting that is a list.
    fn about_item(self, setting: &str, item: &str) -> Result<T>;
}

impl<T> About<T> for Result<T> {
    fn about(self, setting: &str) -> Result<T> {
        self.map_err(|error| error.about(Subject::setting(setting)))
    }

    fn about_item(self, setting: &str, item: &str) -> Result<T> {
        self.map_err(|error| error.about(Subject::item(setting, item)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_kept_in_order() {
        let io = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::config("reading setup.sh").because(&io).within("planning the first boot");
        assert_eq!(error.to_string(), "planning the first boot: reading setup.sh: entity not found");
    }

    #[test]
    fn what_an_error_is_about_gets_its_place() {
        let problem = |line| Problem {
            file: "x.cfg".into(),
            line,
            column: 1,
            length: 1,
            text: "x".into(),
            message: "set here".into(),
            help: None,
        };
        let place = |subject: &Subject| match subject {
            Subject::Setting(name, None) if name == "ip" => Some(problem(1)),
            Subject::Setting(name, Some(item)) if name == "dns" && item == "b" => Some(problem(2)),
            _ => None,
        };
        let one = Error::config("one").about(Subject::setting("--ip")).about(Subject::setting("mask"));
        let other = Err::<(), _>(Error::config("other")).about_item("dns", "b").unwrap_err();
        let both = Error::all(vec![one, other, Error::config("none")]).unwrap_err();
        let placed = both.placed(&place).placed(&place);
        let places: Vec<&[Problem]> = placed.parts().iter().map(Error::places).collect();
        assert_eq!(places, [[problem(1)].as_slice(), &[problem(2)], &[]]);
    }

    #[test]
    fn what_several_problems_are_about_stays_when_they_are_gathered() {
        let both = Error::all(vec![Error::config("one"), Error::config("other")]).unwrap_err();
        let both = both.about(Subject::setting("--templates"));
        let three = Error::all(vec![Error::usage("no size"), both]).unwrap_err();
        let subjects: Vec<&[Subject]> = three.parts().iter().map(Error::subjects).collect();
        let templates = [Subject::setting("templates")];
        assert_eq!(subjects, [[].as_slice(), &templates, &templates]);
        assert!(three.subjects().is_empty());
    }

    #[test]
    fn several_problems_keep_what_is_theirs() {
        assert!(Error::all(vec![]).is_ok());
        let host = || Error::host("mke2fs is not installed").hint("Install it.");
        assert_eq!(Error::all(vec![host()]).unwrap_err().message(), "mke2fs is not installed");
        let both = Error::all(vec![host(), Error::config("`a b` is not a host name")]).unwrap_err();
        assert_eq!((both.kind(), both.parts().len(), both.hints().len()), (Kind::Host, 2, 0));
        assert_eq!(both.parts()[0].hints(), ["Install it."]);
        let three = Error::all(vec![Error::usage("no size"), both.clone()]).unwrap_err();
        assert_eq!((three.message(), three.parts().len()), ("there are 3 problems", 3));
        let within = Error::all(vec![Error::usage("no size"), both.clone().within("disk 1")]).unwrap_err();
        assert_eq!(within.parts().len(), 2);
        assert_eq!(
            both.to_string(),
            "there are 2 problems; mke2fs is not installed; `a b` is not a host name"
        );
    }

    #[test]
    fn every_kind_has_its_own_exit_code() {
        let kinds = [
            Kind::Usage,
            Kind::Config,
            Kind::Host,
            Kind::Build,
            Kind::Delivery,
            Kind::Check,
            Kind::Interrupted,
        ];
        let codes: std::collections::BTreeSet<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes.len(), kinds.len());
    }
}
