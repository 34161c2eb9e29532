//! What is left of runs that ended together with their keeper, such as by a kill of both at once or of
//! the machine: the next run of the same user with the same places removes it.

use std::path::PathBuf;

use super::front;
use crate::error::Result;
use crate::event::Event;
use crate::host::claim::{self, Claim, Marked};
use crate::host::run::Runner;
use crate::plan::Privilege;

/// Where something may be left.
#[derive(Debug, Default)]
pub struct Search {
    /// Directories, each with a stem of names in it.
    pub places: Vec<(PathBuf, String)>,
    /// A directory itself, which the user named, and which may go if a run has made it.
    pub named: Option<PathBuf>,
}

/// Removes what nobody answers for. What cannot be removed is a warning: it does not stop the run that finds
/// it. The rights to remove it are only asked for where there is something.
pub fn sweep(runner: &Runner, search: &Search, privilege: impl FnOnce() -> Result<Privilege>) {
    if let Err(error) = remove(runner, search, privilege) {
        let text = format!("removing what an earlier build has left: {error}");
        runner.sink().emit(Event::Warning { text });
    }
}

fn remove(runner: &Runner, search: &Search, privilege: impl FnOnce() -> Result<Privilege>) -> Result<()> {
    let mut left: Vec<Claim> = Vec::new();
    for (parent, stem) in &search.places {
        left.extend(claim::abandoned(parent, stem)?);
    }
    if let Some(Marked::Abandoned(claim)) = search.named.as_deref().map(claim::marked).transpose()? {
        left.push(claim);
    }
    if left.is_empty() {
        return Ok(());
    }
    for claim in &left {
        let text = format!("removing {}, left by a build that was killed", claim.path().display());
        runner.sink().emit(Event::Info { text });
    }
    // Their files may belong to ids that only a worker has.
    front::remove(runner, &privilege()?, left.iter().map(|claim| claim.path().to_owned()).collect())
}
