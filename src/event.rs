//! What a build says while it goes on. The library emits these; `ui` draws them.
//!
//! Events cross from the worker to the front as JSON lines, and are what `--progress json` prints.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A named step of the build, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Fetching and checking the archive's indices.
    Index,
    /// Finding out which packages, in which versions, the machine will have.
    Resolve,
    /// Fetching packages that the store does not have.
    Download,
    /// The smallest system, with a kernel.
    Bootstrap,
    /// Boot loader, network and what else every machine of the release has.
    System,
    /// The packages that the user asked for.
    Packages,
    /// The initial RAM file system.
    Initramfs,
    /// Users, locale, network, first boot.
    Configure,
    /// Files are copied and the user's program is run.
    Customise,
    /// What must not be in an image is removed; times are clamped.
    Seal,
    /// Copying the tree to where the user wants it.
    Tree,
    /// Partition table, file systems and boot loader.
    Disk,
    /// The disk in the format that the hypervisor takes.
    Image,
    /// Launch files, manifest and checksums.
    Finish,
    /// Starting the image in a virtual machine.
    Boot,
    /// Looking at the running machine from inside.
    Check,
}

impl Step {
    /// What a person reads.
    pub fn title(self) -> &'static str {
        match self {
            Step::Index => "Reading the archive",
            Step::Resolve => "Resolving packages",
            Step::Download => "Downloading packages",
            Step::Bootstrap => "Bootstrapping",
            Step::System => "Completing the system",
            Step::Packages => "Installing packages",
            Step::Initramfs => "Making the initramfs",
            Step::Configure => "Configuring",
            Step::Customise => "Customising",
            Step::Seal => "Sealing",
            Step::Tree => "Copying the tree",
            Step::Disk => "Writing the disk",
            Step::Image => "Converting the image",
            Step::Finish => "Finishing",
            Step::Boot => "Booting",
            Step::Check => "Checking",
        }
    }
}

/// What the numbers of a progress event count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Packages.
    Packages,
    /// Seconds of the time that the step may take.
    Seconds,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// Its result was in the cache.
    Cached,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step begins.
    Started {
        /// Which.
        step: Step,
    },
    /// A step goes on. Sent at most some ten times a second.
    Progress {
        /// Which.
        step: Step,
        /// How much is done.
        done: u64,
        /// How much there is; 0 where nobody knows, and the detail is all that there is to say.
        total: u64,
        /// Of what.
        unit: Unit,
        /// What is being worked on, such as a package name; may be empty.
        detail: String,
    },
    /// A step ended well.
    Finished {
        /// Which.
        step: Step,
        /// How it ended.
        outcome: Outcome,
        /// Wall time in milliseconds.
        milliseconds: u64,
    },
    /// Something that the user should know, and that does not stop the build.
    Warning {
        /// What.
        text: String,
    },
    /// A line for `--verbose`.
    Info {
        /// What.
        text: String,
    },
    /// A line for `--debug`: commands as they are run, and what they say.
    Debug {
        /// What.
        text: String,
    },
}

/// Takes events. Called from several threads.
pub trait Sink: Send + Sync {
    /// Takes one event; must not block for long.
    fn emit(&self, event: Event);
}

/// Drops every event.
pub struct Silent;

impl Sink for Silent {
    fn emit(&self, _event: Event) {}
}

/// Runs `work` as `step`: says that it starts, and, where it ends well, how long it took.
pub fn step<T>(
    sink: &dyn Sink,
    step: Step,
    work: impl FnOnce() -> crate::Result<(T, Outcome)>,
) -> crate::Result<T> {
    sink.emit(Event::Started { step });
    let start = Instant::now();
    let (value, outcome) = work()?;
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    sink.emit(Event::Finished { step, outcome, milliseconds });
    Ok(value)
}

/// A step that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time in milliseconds.
    pub milliseconds: u64,
}

/// Remembers which steps ended, in the order in which they did.
pub struct Recorder {
    start: Instant,
    timings: Mutex<Vec<Timing>>,
}

impl Recorder {
    /// Starts to count the time of the whole.
    #[expect(clippy::new_without_default, reason = "it starts a clock, which a default would hide")]
    pub fn new() -> Recorder {
        Recorder { start: Instant::now(), timings: Mutex::new(Vec::new()) }
    }

    /// The steps that ended.
    pub fn timings(&self) -> Vec<Timing> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Sink for Recorder {
    fn emit(&self, event: Event) {
        if let Event::Finished { step, outcome, milliseconds } = event {
            let timing = Timing { step, outcome, milliseconds };
            self.timings.lock().unwrap_or_else(PoisonError::into_inner).push(timing);
        }
    }
}
