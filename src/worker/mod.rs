//! Two processes, one plan.
//!
//! Three roles of the same program:
//!
//! - the [`front`] is what the user started. It starts the keeper, maps ids into its user namespace,
//!   sends the [`Order`] and reads [`Message`]s, both as JSON lines.
//! - the [`keeper`] stays outside the worker's PID namespace. It makes the directories of the run and
//!   cleans up: it removes the scratch directories whatever happens, and what was to be delivered unless
//!   the front says that it is.
//! - the worker proper ([`inside`]) is PID 1 of its namespace. When it ends, the kernel ends
//!   everything that it started and drops every mount that it made.
//!
//! So one of front and keeper survives the death of any other, and clears up; when the front is gone,
//! the keeper reads the end of its standard input, and when the keeper is gone, the front reads the
//! end of its messages. Where both end at once, the next run removes what they left ([`sweep`]).

pub mod front;
pub mod inside;
pub mod keeper;
pub(crate) mod places;
mod stop;
pub mod sweep;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;
use crate::manifest::Written;
use crate::plan::{Package, Plan, Secrets};
use crate::rootfs::survey::{Survey, Wanted};

pub use places::Places;

/// Longest line that either side reads: a plan with the scripts in it is far below.
const LINE_LIMIT: u64 = 64 * 1024 * 1024;

/// What the worker is to do.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// The work.
    pub task: Task,
    /// The directories that are made before it and removed after it.
    pub places: Places,
}

/// The work.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Find out what this host's kernel can do for a build that keeps its files beside these
    /// directories.
    Probe {
        /// Scratch directories on the file systems of the layers and of the tree.
        directories: Vec<PathBuf>,
        /// Whether the tree is made in memory.
        memory: bool,
    },
    /// Look at a tree that somebody else has made.
    Survey {
        /// Where it is.
        path: PathBuf,
        /// What it is to become.
        wanted: Wanted,
    },
    /// Build. Results go to `output`.
    Build {
        /// The plan.
        plan: Box<Plan>,
        /// What does not stand in a plan.
        secrets: Box<Secrets>,
        /// Scratch directory of this build for tree and disk.
        scratch: PathBuf,
        /// Scratch directory on the cache's file system, where new layers grow.
        layers: PathBuf,
        /// Directory that becomes the destination.
        output: PathBuf,
    },
    /// Say how much trees take on the disk whose files belong to many owners.
    Measure {
        /// Which.
        paths: Vec<PathBuf>,
    },
    /// Remove trees whose files belong to many owners.
    Remove {
        /// Which.
        paths: Vec<PathBuf>,
    },
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The keeper stands in a fresh user namespace and waits for its ids.
    Unmapped,
    /// The directories of the run are made.
    Ready,
    /// The build has its own view of the store of packages: others may change the store.
    Stocked,
    /// Something happened.
    Event(Event),
    /// The work is done.
    Done(Answer),
    /// The work failed.
    Failed(Error),
}

/// Results of the work.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What the kernel can do.
    Probed {
        /// Whether layers can be overlaid.
        overlay: bool,
    },
    /// What the tree is like.
    Surveyed {
        /// All of it.
        survey: Survey,
    },
    /// What is in the image.
    Built {
        /// Packages as installed.
        packages: Vec<Package>,
        /// The images of the plan's disks, as they were written.
        images: Vec<Written>,
    },
    /// How much the trees take.
    Measured {
        /// Bytes, in the order of the trees.
        sizes: Vec<u64>,
    },
    /// The trees are gone.
    Removed,
}

/// Writes one line.
fn send<T: Serialize>(stream: &mut impl Write, value: &T) -> Result<()> {
    let context = || "talking to the other process".to_owned();
    let mut line = serde_json::to_vec(value).context(Kind::Build, context)?;
    line.push(b'\n');
    stream.write_all(&line).and_then(|()| stream.flush()).context(Kind::Build, context)
}

/// Reads one line; `Ok(None)` at the end.
fn receive<T: for<'de> Deserialize<'de>>(stream: &mut impl BufRead) -> Result<Option<T>> {
    let context = || "listening to the other process".to_owned();
    let mut line = Vec::new();
    stream.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).context(Kind::Build, context)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).context(Kind::Build, context).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_pipe() {
        let mut pipe = Vec::new();
        send(&mut pipe, &Message::Failed(Error::build("unpacking").hint("Try."))).unwrap();
        send(&mut pipe, &Message::Unmapped).unwrap();
        let mut reader = pipe.as_slice();
        let first = receive::<Message>(&mut reader).unwrap();
        assert!(matches!(first, Some(Message::Failed(error)) if error.hints() == ["Try."]));
        assert!(matches!(receive::<Message>(&mut reader).unwrap(), Some(Message::Unmapped)));
        assert!(receive::<Message>(&mut reader).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(receive::<Message>(&mut b"{\"x\":1}\n".as_slice()).is_err());
    }
}
