//! `rvmb HYPERVISOR DISTRO`: builds a machine.

use std::sync::Arc;

use super::target::Target;
use crate::build::{self, Partial};
use crate::error::{Error, Kind, Result};
use crate::event::{Recorder, Sink};
use crate::host::interrupt::Interrupt;
use crate::host::run::Runner;
use crate::plan;
use crate::ui::Ui;
use crate::ui::log::{Fanout, LogFile};

/// The name of the log in the output directory.
const LOG: &str = "build.log";

/// Arguments of a build.
#[derive(Clone, Debug)]
pub struct Args {
    /// The machine.
    pub target: Target,
}

/// Plans, builds, and prints where the image is.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let appliance = args.target.appliance()?;
    let recorder = Arc::new(Recorder::new());
    let interrupt = Interrupt::install()?;
    let runner = Runner::new(Arc::new(Fanout(vec![ui.sink(), Arc::clone(&recorder) as Arc<dyn Sink>])));
    interrupt.on_cancel(runner.canceller());
    let planned = plan::make(&appliance, &runner).map_err(|error| told_apart(error, &interrupt))?;
    build::fetch(&planned, &runner).map_err(|error| told_apart(error, &interrupt))?;

    let partial = Partial::create(&planned.plan)?;
    let log = Arc::new(LogFile::create(&partial.path().join(LOG))?);
    let sinks = vec![ui.sink(), Arc::clone(&recorder) as Arc<dyn Sink>, Arc::clone(&log) as Arc<dyn Sink>];
    let runner = Runner::new(Arc::new(Fanout(sinks)));
    interrupt.on_cancel(runner.canceller());
    let receipt = build::build(&planned, &partial, &runner, &recorder, &|cancel| interrupt.on_cancel(cancel))
        .map_err(|error| told_apart(error, &interrupt))?;
    log.close()?;
    ui.finish(&recorder);
    ui.print(&format!("{}\n", receipt.image.display()))
}

/// Whatever failed after the user wanted to stop failed for that reason.
fn told_apart(error: Error, interrupt: &Interrupt) -> Error {
    if interrupt.is_cancelled() { Error::new(Kind::Interrupted, "interrupted") } else { error }
}
