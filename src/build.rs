//! The pipeline, from plan to receipt.
//!
//! [`fetch`] and [`build`] are the front's half: packages are fetched, the worker is started, what it
//! made is put in its place. [`assemble`] is the worker's half: tree, disk, image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Event, Outcome, Recorder, Step, Unit};
use crate::host::apt::{self, Apt};
use crate::host::interrupt::OnCancel;
use crate::host::mounts::View;
use crate::host::run::Runner;
use crate::host::tree::{self, Root};
use crate::manifest;
use crate::plan::{Package, Plan, Planned, Secrets, explain_age};
use crate::rootfs::{self, Site, layers, packages, seal};
use crate::worker::front::Worker;
use crate::worker::{Answer, Order, Task};
use crate::{disk, format, hypervisor};

/// Where everything went.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The output directory.
    pub directory: PathBuf,
    /// The disk image in it.
    pub image: PathBuf,
}

/// Builds what was planned. `recorder` is among those that `runner` speaks to;
/// `on_cancel` is given what ends the work early.
pub fn build(
    planned: &Planned,
    partial: &Partial,
    runner: &Runner,
    recorder: &Recorder,
    on_cancel: &dyn Fn(OnCancel),
) -> Result<Receipt> {
    let plan = &planned.plan;
    let sink = runner.sink().as_ref();

    let name = format!("{}-{}", plan.id.simple(), std::process::id());
    let scratch = plan.host.scratch.join(format!("rvmb-{name}"));
    let growing = planned.cache.builds().join(&name);
    let order = Order {
        scratch: vec![scratch.clone(), growing.clone()],
        partial: vec![partial.path.clone()],
        task: Task::Build {
            plan: Box::new(plan.clone()),
            secrets: planned.secrets.clone(),
            scratch,
            layers: growing,
            output: partial.path.clone(),
        },
    };
    let mut worker = Worker::start(runner, &plan.host.privilege, &order)?;
    on_cancel(Box::new(worker.canceller()));
    let Answer::Built { packages } = worker.wait(sink)? else {
        return Err(Error::build("the worker answered something else than was asked"));
    };

    event::step(sink, Step::Finish, || {
        let mut names = vec![plan.output.image.clone()];
        names.extend(write_launch_files(plan, &partial.path)?);
        manifest::write(&partial.path, plan, &packages, &names, &recorder.timings())?;
        put_in_place(plan, &partial.path)?;
        Ok(((), Outcome::Done))
    })?;
    worker.release()?;
    let directory = plan.output.directory.clone();
    Ok(Receipt { image: directory.join(&plan.output.image), directory })
}

/// What the worker needs.
pub struct Workshop<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What does not stand in it.
    pub secrets: &'a Secrets,
    /// Scratch directory for tree and disk.
    pub scratch: PathBuf,
    /// Scratch directory on the cache's file system, where new layers grow.
    pub layers: PathBuf,
    /// Directory that becomes the destination.
    pub output: PathBuf,
    /// Starts programs, and takes events.
    pub runner: Runner,
}

/// Makes tree, disk and image. Returns what is installed.
pub fn assemble(shop: &Workshop<'_>) -> Result<Vec<Package>> {
    let Workshop { plan, secrets, scratch, layers: growing, output, runner } = shop;
    let sink = runner.sink().as_ref();
    let site = Site::prepare(plan, runner, scratch)?;
    let tree = layers::tree(&site, growing)?;
    let raw = scratch.join("disk.raw");
    let image = output.join(&plan.output.image);

    event::step(sink, Step::Configure, || {
        Ok((rootfs::configure(&site, secrets, tree.path())?, Outcome::Done))
    })?;
    event::step(sink, Step::Seal, || Ok((seal::seal(&site, tree.path())?, Outcome::Done)))?;
    let installed = packages::installed(plan, &Root::open(tree.path())?)?;
    event::step(sink, Step::Disk, || Ok((write_disk(&site, tree.path(), &raw)?, Outcome::Done)))?;
    event::step(sink, Step::Image, || {
        Ok((format::convert(runner, &plan.target.format, &raw, &image)?, Outcome::Done))
    })?;
    tree.close()?;
    Ok(installed)
}

fn write_disk(site: &Site<'_>, tree: &Path, raw: &Path) -> Result<()> {
    let inside = site.view(tree).chroot().hook()?;
    let own_mounts = site.plan.disk.partitions.iter().filter_map(|partition| partition.mount.as_deref());
    let hidden = own_mounts.filter(|mount| *mount != "/");
    let view = hidden
        .fold(View::new(tree), |view, mount| view.temporary(mount.trim_start_matches('/'), c"mode=0755"));
    let inputs = disk::Inputs {
        plan: site.plan,
        tree,
        in_tree: &|program| site.runner.command(program).before_exec(Arc::clone(&inside)),
        hide_mounts: Some(view.hook()?),
        runner: &site.runner,
    };
    disk::write(&inputs, raw)
}

/// Fetches the packages that the store does not have. Before [`build`], so that nothing stands beside
/// the destination yet while there is no keeper to remove it.
pub fn fetch(plan: &Plan, runner: &Runner) -> Result<()> {
    event::step(runner.sink().as_ref(), Step::Download, || download(plan, runner))
}

fn download(plan: &Plan, runner: &Runner) -> Result<((), Outcome)> {
    let store = &plan.archive.archives;
    let is_there = |package: &&Package| {
        std::fs::metadata(store.join(&package.file)).is_ok_and(|metadata| metadata.len() == package.size)
    };
    let missing: Vec<&Package> = plan.packages.resolved.iter().filter(|package| !is_there(package)).collect();
    if missing.is_empty() {
        return Ok(((), Outcome::Cached));
    }
    let total: u64 = missing.iter().map(|package| package.size).sum();
    let words = missing
        .iter()
        .map(|package| format!("{}:{}={}", package.name, package.architecture, package.version));
    Apt::open(&plan.archive.index)
        .command(runner, "apt-get")
        .args(["download", "--quiet", "-oAPT::Status-Fd=1"])
        .args(words)
        .directory(store)
        .stream(|line| {
            if let Some(percent) = apt::parse_download(line) {
                let done = total.saturating_mul(percent) / 100;
                let detail = String::new();
                runner.sink().emit(Event::Progress {
                    step: Step::Download,
                    done,
                    total,
                    unit: Unit::Bytes,
                    detail,
                });
            }
        })
        .map_err(|error| explain_age(apt::explain(error), &plan.suite).within("downloading packages"))?;
    Ok(((), Outcome::Done))
}

fn write_launch_files(plan: &Plan, directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in hypervisor::launch_files(plan)? {
        let path = directory.join(&file.name);
        let context = || format!("writing {}", path.display());
        std::fs::write(&path, &file.content).context(Kind::Build, context)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode);
        std::fs::set_permissions(&path, mode).context(Kind::Build, context)?;
        names.push(file.name);
    }
    Ok(names)
}

/// The directory beside the destination where results grow. What is left of it when this is dropped
/// was not delivered.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Makes it.
    pub fn create(plan: &Plan) -> Result<Partial> {
        let destination = &plan.output.directory;
        let mut name = destination.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let path = destination.with_file_name(name);
        let context = || format!("creating {}", path.display());
        std::fs::create_dir_all(&path).context(Kind::Build, context)?;
        Ok(Partial { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Delivered, it is not there any more; else the keeper may have been faster.
        let _ = tree::remove(&self.path);
    }
}

/// Puts the finished directory in its place; one that is to be replaced goes only now.
fn put_in_place(plan: &Plan, partial: &Path) -> Result<()> {
    let destination = &plan.output.directory;
    let context = || format!("putting the results into {}", destination.display());
    if !destination.exists() {
        return std::fs::rename(partial, destination).context(Kind::Delivery, context);
    }
    if !plan.output.overwrite {
        return Err(Error::new(
            Kind::Delivery,
            format!("the destination {} appeared during the build", destination.display()),
        )
        .hint("Another build may have used the same name; choose one with --destdir."));
    }
    if !manifest::may_be_replaced(destination) {
        return Err(Error::new(
            Kind::Delivery,
            format!(
                "the destination {} became something else than rvmb's during the build",
                destination.display()
            ),
        )
        .hint("--overwrite replaces what rvmb has made and nothing else; choose another with --destdir."));
    }
    // One step: at no time is there neither the old nor the new one.
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        partial,
        rustix::fs::CWD,
        destination,
        rustix::fs::RenameFlags::EXCHANGE,
    )
    .context(Kind::Delivery, context)?;
    tree::remove(partial)
}
