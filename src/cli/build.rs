//! `rvmb HYPERVISOR DISTRO`: builds a machine.

use std::sync::Arc;

use super::target::Target;
use crate::build;
use crate::error::Result;
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
    let told_apart = |error| interrupt.told_apart(error);
    let planned = plan::make(&appliance, &runner).map_err(told_apart)?;
    build::clear_up(&planned, &runner);
    planned.cache.settle();
    build::fetch(&planned, &runner).map_err(told_apart)?;

    let begun = build::begin(&planned, &runner).map_err(told_apart)?;
    interrupt.on_cancel(Box::new(begun.canceller()));
    let log = Arc::new(LogFile::create(&begun.partial().join(LOG))?);
    let sinks = vec![ui.sink(), Arc::clone(&recorder) as Arc<dyn Sink>, Arc::clone(&log) as Arc<dyn Sink>];
    let runner = Runner::new(Arc::new(Fanout(sinks)));
    interrupt.on_cancel(runner.canceller());
    let receipt = begun.finish(&runner, &recorder).map_err(told_apart)?;
    log.close()?;
    build::prune(planned, &runner);
    ui.finish(&recorder);
    ui.print(&format!("{}\n", receipt.image.display()))
}
