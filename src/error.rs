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
    causes: Vec<String>,
    hints: Vec<String>,
    /// The last lines of the failed command's own words.
    tail: Box<[String]>,
    /// The places of a file that are wrong, all of them at once.
    #[serde(default)]
    problems: Box<[Problem]>,
    /// Errors that have nothing to do with each other, told at once; each has its own causes and hints.
    #[serde(default)]
    parts: Box<[Error]>,
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
            causes: Vec::new(),
            hints: Vec::new(),
            tail: Box::default(),
            problems: Box::default(),
            parts: Box::default(),
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
        let mut next = Some(cause);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds what to do about it: one full sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
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

    /// Puts what was being done around an error; its text becomes the first cause.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into().into());
        self.causes.insert(0, inner.into());
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
    /// as it is.
    pub fn all(problems: Vec<Error>) -> Result<()> {
        let count = problems.len();
        let Some(first) = problems.first() else { return Ok(()) };
        let whole = Error::new(first.kind, format!("there are {count} problems"));
        match <[Error; 1]>::try_from(problems) {
            Ok([single]) => Err(single),
            Err(problems) => Err(Error { parts: problems.into(), ..whole }),
        }
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
    fn several_problems_keep_what_is_theirs() {
        assert!(Error::all(vec![]).is_ok());
        let host = || Error::host("mke2fs is not installed").hint("Install it.");
        assert_eq!(Error::all(vec![host()]).unwrap_err().message(), "mke2fs is not installed");
        let both = Error::all(vec![host(), Error::config("`a b` is not a host name")]).unwrap_err();
        assert_eq!((both.kind(), both.parts().len(), both.hints().len()), (Kind::Host, 2, 0));
        assert_eq!(both.parts()[0].hints(), ["Install it."]);
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
