//! What is wrong, gathered so that all of it is told at once.

use crate::error::{Error, Result};

/// What is wrong, in the order in which it was found.
#[derive(Default)]
pub(super) struct Problems(Vec<Error>);

impl Problems {
    pub(super) fn note(&mut self, error: Error) {
        self.0.push(error);
    }

    pub(super) fn note_all(&mut self, errors: impl IntoIterator<Item = Error>) {
        self.0.extend(errors);
    }

    /// The value, or none and a note of what is wrong with it.
    pub(super) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.note(error)).ok()
    }

    /// The whole, where nothing was wrong with any part.
    pub(super) fn end<T>(self, whole: Option<T>) -> Result<T, Vec<Error>> {
        match whole {
            Some(whole) if self.0.is_empty() => Ok(whole),
            _ => Err(self.0),
        }
    }

    /// All of it as one error; `Ok` where nothing was wrong.
    pub(super) fn told(self) -> Result<()> {
        Error::all(self.0)
    }
}
