//! `rvmb HYPERVISOR DISTRO`: builds a machine.

use std::path::Path;
use std::sync::Arc;

use super::target::Target;
use crate::appliance::Appliance;
use crate::build::{self, Receipt};
use crate::cache::logs;
use crate::error::{Error, Kind, Result};
use crate::event::{Recorder, Sink};
use crate::host::interrupt::Interrupt;
use crate::host::run::{Runner, quote};
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
    let places = &appliance.places;
    let log = if places.no_cache { None } else { Some(logs::fresh(places.cache.as_deref())?) };
    let log = Arc::new(LogFile::at(log));
    let recorder = Arc::new(Recorder::new());
    let sinks = vec![ui.sink(), Arc::clone(&recorder) as Arc<dyn Sink>, Arc::clone(&log) as Arc<dyn Sink>];
    let runner = Runner::new(Arc::new(Fanout(sinks)));
    let interrupt = Interrupt::install()?;
    interrupt.on_cancel(runner.canceller());
    let receipt = bake(&appliance, &runner, &recorder, &log, &interrupt)
        .map_err(|error| with_log(interrupt.told_apart(error), &log))?;
    drop_log(&log);
    ui.finish(&recorder);
    if receipt.images.is_empty() {
        return print_tree(&receipt.directory, ui);
    }
    let images: String = receipt.images.iter().map(|image| format!("{}\n", image.display())).collect();
    ui.print(&images)
}

/// Prints where the tree is, and says how its files are reached.
fn print_tree(directory: &Path, ui: &Ui) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        let path = quote(&directory.display().to_string());
        ui.say(&format!(
            "The files of the tree belong to your subordinate ids. To look into it or to remove it:\n  \
             unshare --map-root-user --map-auto /usr/sbin/chroot {path}\n  \
             unshare --map-root-user --map-auto rm -r {path}\n"
        ));
    }
    ui.print(&format!("{}\n", directory.display()))
}

fn bake(
    appliance: &Appliance,
    runner: &Runner,
    recorder: &Recorder,
    log: &LogFile,
    interrupt: &Interrupt,
) -> Result<Receipt> {
    let planned = plan::make(appliance, runner)?;
    build::clear_up(&planned, runner);
    planned.cache.settle();
    let store = build::fetch(&planned, runner)?;
    let begun = build::begin(&planned, store, runner)?;
    interrupt.on_cancel(Box::new(begun.canceller()));
    if let Some(place) = begun.place_for_log() {
        log.copy_to(&place.join(LOG))?;
    }
    let receipt = begun.finish(runner, recorder)?;
    log.close()?;
    build::prune(planned, runner);
    Ok(receipt)
}

/// Says where the log is, where it can tell more than the error does. What the user wrote wrong needs none.
fn with_log(error: Error, log: &LogFile) -> Error {
    if matches!(error.kind(), Kind::Usage | Kind::Config) {
        drop_log(log);
        return error;
    }
    match (log.path(), log.close()) {
        (Some(path), Ok(())) => error.hint(format!("The log is in {}.", path.display())),
        // The disk of the log is full, for one; the error tells more.
        _ => error,
    }
}

/// Removes a log that nobody needs, or that the destination has.
fn drop_log(log: &LogFile) {
    if let Some(path) = log.path() {
        // One that stays is removed with the older ones some day.
        let _ = std::fs::remove_file(path);
    }
}
