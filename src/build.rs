//! The pipeline, from plan to receipt.
//!
//! [`clear_up`], [`fetch`], [`begin`] and [`Begun::finish`] are the front's half: leftovers are removed,
//! packages are fetched, the worker is started, what it made is put in its place. [`assemble`] is the
//! worker's half: tree, disk, image.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::archives::Archives;
use crate::cache::{Cache, clean, media, view};
use crate::deliver::local::Beside;
use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Event, Outcome, Recorder, Step, Unit};
use crate::host::access::Access;
use crate::host::apt::{self, Apt};
use crate::host::claim;
use crate::host::fetch::FETCH;
use crate::host::identity;
use crate::host::lock;
use crate::host::mounts::{self, View};
use crate::host::run::Runner;
use crate::host::tree::{self, Root};
use crate::manifest::{self, Written};
use crate::plan::{Disk, Layers, Package, Plan, Planned, Secrets, explain_age};
use crate::rootfs::{self, Site, layers, packages, seal};
use crate::templates::{self, Template};
use crate::worker::front::{self, PROBE, Worker};
use crate::worker::places::missing_parents;
use crate::worker::sweep::{self, Search};
use crate::worker::{Answer, Order, Places, Task};
use crate::{cache, deliver, disk, format, hypervisor};

/// Where everything went.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The output directory.
    pub directory: PathBuf,
    /// The disk images in it.
    pub images: Vec<PathBuf>,
}

/// Stems of the names of scratch directories, of layers that grow, and of results that do.
const SCRATCH: &str = "rvmb-build";
const GROWING: &str = "build";
const PARTIAL: &str = "partial";

/// The view of the store among the layers that grow, which are named after digests.
const ARCHIVES: &str = "archives";

/// Removes what earlier builds with the same places left because they were killed.
pub fn clear_up(planned: &Planned, runner: &Runner) {
    let Plan { host, output, .. } = &planned.plan;
    let mut search = left_in(&planned.cache.builds(), &host.scratch);
    let beside = output.directory.parent();
    search.places.extend(beside.map(|parent| (parent.to_owned(), partial_stem(&output.directory))));
    // One that is there is to be replaced: without --overwrite there is no such plan.
    search.named.clone_from(&planned.plan.tree.directory);
    sweep::sweep(runner, &search, || Ok(host.privilege.clone()));
}

/// Removes what builds with the cache at `cache` and the scratch directory `scratch` left because they were killed.
pub fn clear_up_in(cache: &Path, scratch: &Path, runner: &Runner) {
    sweep::sweep(runner, &left_in(&Cache::builds_in(cache), scratch), identity::privilege);
}

/// Where builds leave something under names of their own.
fn left_in(builds: &Path, scratch: &Path) -> Search {
    let in_scratch = [SCRATCH, cache::THROW_AWAY, PROBE, FETCH].map(|stem| (scratch, stem));
    let in_builds = [GROWING, PROBE].map(|stem| (builds, stem));
    let places = in_scratch.into_iter().chain(in_builds);
    let places = places.map(|(parent, stem)| (parent.to_owned(), stem.to_owned())).collect();
    Search { places, named: None }
}

/// Removes from the cache what nobody has used for long, unless another build uses the cache. What
/// cannot be removed is a warning: the build that finds it is done.
pub fn prune(planned: Planned, runner: &Runner) {
    let Planned { plan, cache, .. } = planned;
    let Some(directory) = cache.kept().map(Path::to_owned) else { return };
    // This build does not use it any more.
    drop(cache);
    let remove_trees = |paths| front::remove(runner, &plan.host.privilege, paths);
    if let Err(error) = clean::prune(&directory, remove_trees) {
        let text = format!("cleaning the cache: {error}");
        runner.sink().emit(Event::Warning { text });
    }
}

/// A build whose worker is at work.
pub struct Begun<'a> {
    planned: &'a Planned,
    partial: PathBuf,
    worker: Worker,
    /// Until the worker has its own view of it.
    store: Option<Held>,
}

/// Starts the worker. From here on there is something on the disk, and somebody who removes it.
pub fn begin<'a>(planned: &'a Planned, store: Option<Held>, runner: &Runner) -> Result<Begun<'a>> {
    let plan = &planned.plan;
    let destination = &plan.output.directory;
    let beside = destination.parent().unwrap_or(Path::new("/"));
    let scratch = claim::fresh(&plan.host.scratch, SCRATCH)?;
    let growing = claim::fresh(&planned.cache.builds(), GROWING)?;
    let partial = claim::fresh(beside, &partial_stem(destination))?;
    let order = Order {
        places: Places {
            scratch: vec![scratch.clone(), growing.clone()],
            marked: plan.tree.directory.iter().cloned().collect(),
            thrown_away: planned.cache.thrown_away().map(Path::to_owned).into_iter().collect(),
            parents: missing_parents(destination),
            partial: vec![partial.clone()],
        },
        task: Task::Build {
            plan: Box::new(plan.clone()),
            secrets: Box::new(planned.secrets.clone()),
            scratch,
            layers: growing,
            output: partial.clone(),
        },
    };
    let worker = Worker::start(runner, &plan.host.privilege, &order)?;
    Ok(Begun { planned, partial, worker, store })
}

/// The name of directories beside `destination` in which its results grow.
fn partial_stem(destination: &Path) -> String {
    format!("{}.{PARTIAL}", destination.file_name().unwrap_or_default().to_string_lossy())
}

impl Begun<'_> {
    /// Where a log is kept with the results; none where the result is a tree, which has no place for it.
    pub fn place_for_log(&self) -> Option<&Path> {
        (!self.planned.plan.tree.only).then_some(&self.partial)
    }

    /// What ends the work when it is called, from any thread.
    pub fn canceller(&self) -> impl FnOnce() + Send + 'static {
        self.worker.canceller()
    }

    /// Waits for the worker and delivers. `recorder` is among those that `runner` speaks to.
    ///
    /// Up to the point of no return everything is looked at that could speak against delivery. Behind it the
    /// output directory comes first, at once and whole: whatever fails then, it stays.
    pub fn finish(mut self, runner: &Runner, recorder: &Recorder) -> Result<Receipt> {
        let plan = &self.planned.plan;
        let output = &plan.output;
        let sink = runner.sink().as_ref();
        self.worker.wait_until_stocked(sink)?;
        // From here on other builds may fill the store.
        drop(self.store.take());
        let Answer::Built { packages, images } = self.worker.wait(sink)? else {
            return Err(Error::build("the worker answered something else than was asked"));
        };
        if plan.tree.only {
            let list = package_list(plan, &packages)?;
            self.worker.commit()?;
            deliver::local::put_in_place(&self.partial, &output.directory, false)?;
            list.map_or(Ok(()), Beside::put_in_place)?;
            self.worker.release();
            return Ok(Receipt { images: Vec::new(), directory: output.directory.clone() });
        }
        event::step(sink, Step::Finish, || {
            // The worker has a umask of its own.
            for disk in plan.images() {
                deliver::local::set_mode(&self.partial.join(&disk.image), 0o666)?;
            }
            let names = write_launch_files(self.planned, &self.partial)?;
            manifest::write(&self.partial, plan, &packages, &images, &names, &recorder.timings())?;
            let list = package_list(plan, &packages)?;
            deliver::libvirt::check(plan, &self.partial, runner)?;
            let places = deliver::raw::open(plan, &self.partial, runner)?;
            self.worker.commit()?;
            deliver::local::put_in_place(&self.partial, &output.directory, output.overwrite)?;
            // From here on nobody removes the results, whatever fails.
            self.worker.release();
            // What was replaced, if anything was.
            if let Err(error) = tree::remove(&self.partial) {
                sink.emit(Event::Warning { text: format!("removing what was replaced: {error}") });
            }
            deliver::raw::write(plan, places, &output.directory, runner)
                .and_then(|()| list.map_or(Ok(()), Beside::put_in_place))
                .map_err(|error| {
                    let place = output.directory.display();
                    error.within(format!("the results are in {place}, and stay, but not all was done"))
                })?;
            Ok(((), Outcome::Done))
        })?;
        deliver::libvirt::define(plan, runner)?;
        let images = plan.disks.iter().map(|disk| output.directory.join(&disk.image)).collect();
        Ok(Receipt { images, directory: output.directory.clone() })
    }
}

/// Writes the list that `--manifest` asks for, not yet in its place: whether it can be written is known
/// before the point of no return.
fn package_list(plan: &Plan, packages: &[Package]) -> Result<Option<Beside>> {
    let path = plan.output.package_list.as_deref();
    path.map(|path| Beside::write(path, &manifest::list(packages))).transpose()
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

/// Gives the build its own view of the store, where packages are to be installed. The front holds the store
/// still meanwhile.
pub fn stock(shop: &Workshop<'_>) -> Result<()> {
    match needs_packages(shop.plan) {
        true => {
            let Plan { archive, packages, .. } = shop.plan;
            view::make(&archive.archives, &packages.resolved, &shop.layers.join(ARCHIVES))
        }
        false => Ok(()),
    }
}

fn needs_packages(plan: &Plan) -> bool {
    plan.packages.layers.as_ref().is_some_and(Layers::need_packages)
}

/// Makes tree, disks and images, of what [`stock`] has prepared. Returns what is installed, and what the images came to.
pub fn assemble(shop: &Workshop<'_>) -> Result<(Vec<Package>, Vec<Written>)> {
    let Workshop { plan, secrets, scratch, layers: growing, output, runner } = shop;
    let sink = runner.sink().as_ref();
    let archives = growing.join(ARCHIVES);
    let (place, growing) = room_for_tree(plan, scratch, growing)?;
    let mut site = Site::prepare(plan, secrets, runner, scratch, &place, &archives)?;
    let tree = layers::tree(&site, &growing)?;
    site.all_installed();
    // What becomes no image is handed to the front.
    let handed = plan.output.raws.len();
    let places = (0..plan.disks.len()).map(|number| if number < handed { output } else { scratch });
    let raws: Vec<PathBuf> =
        places.enumerate().map(|(number, place)| place.join(deliver::raw::name(number))).collect();

    event::step(sink, Step::Configure, || {
        match plan.tree.existing {
            Some(_) => rootfs::configure_existing(&site, secrets, tree.path())?,
            None => rootfs::configure(&site, secrets, tree.path())?,
        }
        Ok(((), Outcome::Done))
    })?;
    let own = &plan.customising;
    let kept = match own.copied.is_empty() && own.exec.is_none() {
        true => BTreeSet::new(),
        false => event::step(sink, Step::Customise, || {
            Ok((rootfs::customise(&site, tree.path())?, Outcome::Done))
        })?,
    };
    rootfs::check(secrets, tree.path())?;
    event::step(sink, Step::Seal, || Ok((seal::seal(&site, tree.path(), &kept)?, Outcome::Done)))?;
    let installed = packages::installed(plan, &Root::open(tree.path())?)?;
    if plan.tree.only {
        event::step(sink, Step::Tree, || {
            Ok((rootfs::copy(&site.runner, tree.path(), output)?, Outcome::Done))
        })?;
        tree.close()?;
        return Ok((installed, Vec::new()));
    }
    event::step(sink, Step::Disk, || Ok((write_disks(&site, tree.path(), &raws)?, Outcome::Done)))?;
    let written = event::step(sink, Step::Image, || {
        let convert = |(disk, raw): (&Disk, &PathBuf)| {
            format::convert(&plan.target.format, raw, &output.join(&disk.image))
        };
        let images = plan.images().zip(raws.iter().skip(handed));
        Ok((images.map(convert).collect::<Result<Vec<_>>>()?, Outcome::Done))
    })?;
    tree.close()?;
    Ok((installed, written))
}

/// Where the machine's own tree is made, and where layers grow: in memory, where the user wants that.
fn room_for_tree(plan: &Plan, scratch: &Path, growing: &Path) -> Result<(PathBuf, PathBuf)> {
    let Some(size) = plan.tree.memory else {
        let place = plan.tree.directory.as_deref().unwrap_or(scratch);
        return Ok((place.to_owned(), growing.to_owned()));
    };
    let memory = scratch.join("memory");
    // Of this process's mount namespace: it goes with the process.
    mounts::mount_memory(&memory, size)?;
    Ok((memory.clone(), memory))
}

fn write_disks(site: &Site<'_>, tree: &Path, raws: &[PathBuf]) -> Result<()> {
    let inside = site.view(tree).chroot().hook()?;
    let hide = |paths: &[&str]| {
        // Directories of one file system: mkfs.btrfs tells directories apart by their inode numbers alone.
        let mut view = View::new(tree);
        for (number, path) in paths.iter().enumerate() {
            view = view.bind(&empty_directory(&site.scratch, number)?, path.trim_start_matches('/'));
        }
        view.hook()
    };
    let inputs = disk::Inputs {
        plan: site.plan,
        tree,
        in_tree: &|program| site.runner.command(program).before_exec(Arc::clone(&inside)).of_tree(tree),
        hide: &hide,
        runner: &site.runner,
    };
    disk::write(&inputs, raws)
}

/// An empty directory for everybody to read; what is bound over a directory hides it.
fn empty_directory(scratch: &Path, number: usize) -> Result<PathBuf> {
    let path = scratch.join(format!("empty/{number}"));
    let creating = || format!("creating {}", path.display());
    std::fs::create_dir_all(&path).context(Kind::Build, creating)?;
    // Its mode is that of a directory in the image, whatever the umask.
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).context(Kind::Build, creating)?;
    Ok(path)
}

/// The store of packages, held still: as long as this lives, no other build changes what is in it.
#[derive(Debug)]
pub struct Held {
    _lock: File,
}

/// Fetches the packages that the store does not have. Before [`begin`]: it may fail, and until then there
/// is no keeper to clean up. Where packages are to be installed the store is held, for [`begin`].
pub fn fetch(planned: &Planned, runner: &Runner) -> Result<Option<Held>> {
    let Planned { plan, secrets, .. } = planned;
    if plan.tree.existing.is_some() {
        return Ok(None);
    }
    event::step(runner.sink().as_ref(), Step::Download, || {
        let lock = plan.archive.archives.with_extension("lock");
        // apt writes under a package's final name: two at once would write into each other's files.
        let held = Held { _lock: lock::wait(runner, &lock, "fills the store of packages")? };
        let outcome = download(plan, &secrets.access, runner)?;
        Ok((needs_packages(plan).then_some(held), outcome))
    })
}

fn download(plan: &Plan, access: &Access, runner: &Runner) -> Result<Outcome> {
    let store = &plan.archive.archives;
    let mut archives = Archives::open(store)?;
    let missing = archives.missing(&plan.packages.resolved)?;
    if missing.is_empty() {
        archives.save()?;
        return Ok(Outcome::Cached);
    }
    let missing = take_from_media(plan, &mut archives, missing, runner)?;
    if missing.is_empty() {
        archives.save()?;
        return Ok(Outcome::Done);
    }
    let total: u64 = missing.iter().map(|package| package.size).sum();
    let words = missing
        .iter()
        .map(|package| format!("{}:{}={}", package.name, package.architecture, package.version));
    access
        .open(&Apt::open(&plan.archive.index))?
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
    missing.into_iter().for_each(|package| archives.note(package));
    archives.save()?;
    Ok(Outcome::Done)
}

/// Takes what the user's media have; returns what they do not.
fn take_from_media<'p>(
    plan: &Plan,
    archives: &mut Archives,
    missing: Vec<&'p Package>,
    runner: &Runner,
) -> Result<Vec<&'p Package>> {
    let mut missing = missing;
    for medium in &plan.archive.media {
        let wanted = missing.len();
        if wanted == 0 {
            break;
        }
        let left = media::take(medium, missing.clone(), &plan.archive.archives)?;
        missing.retain(|package| left.contains(package));
        let text = format!("{} has {} of {wanted} packages", medium.path.display(), wanted - left.len());
        runner.sink().emit(match left.len() == wanted {
            true => Event::Warning { text: format!("{text}: it is of another state of the archive") },
            false => Event::Info { text },
        });
    }
    let taken = |package: &&Package| !missing.contains(package);
    plan.packages.resolved.iter().filter(taken).for_each(|package| archives.note(package));
    Ok(missing)
}

fn write_launch_files(planned: &Planned, directory: &Path) -> Result<Vec<String>> {
    let Planned { plan, secrets, .. } = planned;
    let variables = templates::Context::of(plan);
    let mut names = Vec::new();
    for file in hypervisor::launch_files(plan)? {
        let path = directory.join(&file.name);
        let context = || format!("writing {}", path.display());
        let own = match Template::of_launch_file(&file.name) {
            Some(template) => secrets.templates.render(template, &variables, &file.content)?,
            None => None,
        };
        std::fs::write(&path, own.unwrap_or(file.content)).context(Kind::Build, context)?;
        deliver::local::set_mode(&path, file.mode)?;
        names.push(file.name);
    }
    Ok(names)
}
