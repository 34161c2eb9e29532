//! What is left of runs that ended together with their keeper, such as by a kill of both at once or of
//! the machine: the next run of the same user with the same places removes it.

use std::path::PathBuf;

use super::front;
use crate::error::Result;
use crate::event::Event;
use crate::host::claim::{self, Claim};
use crate::host::run::Runner;
use crate::plan::Privilege;

/// Removes what nobody answers for among the directories with these stems in these places. What cannot
/// be removed is a warning: it does not stop the build that finds it.
pub fn sweep(runner: &Runner, privilege: &Privilege, places: &[(PathBuf, String)]) {
    if let Err(error) = remove(runner, privilege, places) {
        let text = format!("removing what an earlier build has left: {error}");
        runner.sink().emit(Event::Warning { text });
    }
}

fn remove(runner: &Runner, privilege: &Privilege, places: &[(PathBuf, String)]) -> Result<()> {
    let mut left: Vec<Claim> = Vec::new();
    for (parent, stem) in places {
        left.extend(claim::abandoned(parent, stem)?);
    }
    if left.is_empty() {
        return Ok(());
    }
    for claim in &left {
        let text = format!("removing {}, left by a build that was killed", claim.path().display());
        runner.sink().emit(Event::Info { text });
    }
    // Their files may belong to ids that only a worker has.
    front::remove(runner, privilege, left.iter().map(|claim| claim.path().to_owned()).collect())
}
