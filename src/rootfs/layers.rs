//! Layers of a tree. Each is the upper directory of an overlay over the layers below it; the cache
//! keeps it under a key over everything that decides its content.
//!
//! ```text
//!     this machine          never kept
//!     packages              those that the user asked for
//!     system                boot loader, network, what every machine of the release has
//!          initramfs        of the base layer
//!     base                  release and kernel
//! ```
//!
//! The initial RAM file system depends on the base layer alone, unless packages above touch it. It
//! takes one processor for as long as they take another, so it grows beside them, and a layer that
//! touches it brings its own.
//!
//! A tree that somebody else has made is one layer, which nothing is written to.
//!
//! Where the kernel cannot overlay, there is one directory, in which the same steps happen one after
//! the other, and nothing is kept.

use std::path::{Path, PathBuf};

use super::{Site, bootstrap, initramfs, packages, seal, survey};
use crate::cache::Cache;
use crate::cache::layers::{self as kept_layers, Slot};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Outcome, Step};
use crate::host::leftovers;
use crate::host::mounts::Overlay;
use crate::host::tree::{self, Root};
use crate::plan;

/// The finished tree, as long as this lives.
pub struct Tree {
    path: PathBuf,
    overlay: Option<Overlay>,
}

impl Tree {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the overlay away.
    pub fn close(self) -> Result<()> {
        self.overlay.map_or(Ok(()), Overlay::close)
    }
}

/// Makes the layers that are missing, and puts a writable tree on top of all.
pub fn tree(site: &Site<'_>, growing: &Path) -> Result<Tree> {
    if let Some(existing) = &site.plan.tree.existing {
        survey::is_unchanged(existing)?;
        return over_existing(site, &existing.path);
    }
    let layers = site.plan.packages.layers.as_ref();
    let layers = layers.ok_or_else(|| Error::build("the plan has neither layers nor a tree"))?;
    if site.plan.host.overlay { overlaid(site, layers, growing) } else { flat(site, layers) }
}

/// A writable tree over one that is not written to.
fn over_existing(site: &Site<'_>, existing: &Path) -> Result<Tree> {
    let place = site.place.join("machine");
    if site.plan.host.overlay {
        return on_top(&[existing], &place);
    }
    super::copy(&site.runner, existing, &place)?;
    Ok(Tree { path: place, overlay: None })
}

/// A writable tree in `place` over the layers `below`.
fn on_top(below: &[&Path], place: &Path) -> Result<Tree> {
    let path = place.join("root");
    let overlay = Overlay::mount(below, &place.join("upper"), &place.join("work"), &path)?;
    Ok(Tree { path, overlay: Some(overlay) })
}

fn overlaid(site: &Site<'_>, layers: &plan::Layers, growing: &Path) -> Result<Tree> {
    let host = &site.plan.host;
    let shelf = Shelf { site, growing, kept: host.cache.as_deref().map(Cache::layers_in) };
    let base = shelf.layer(Step::Bootstrap, &layers.base, &[], |root| bootstrap::run(site, root))?;

    let (boot, above) = std::thread::scope(|scope| {
        let boot = scope.spawn(|| {
            shelf.layer(Step::Initramfs, &layers.initramfs, &[&base], |root| initramfs::make(site, root))
        });
        let above = packages_above(site, layers, &shelf, &base);
        let boot =
            boot.join().unwrap_or_else(|_| Err(Error::build("making the initramfs: the thread panicked")));
        (boot, above)
    });
    // What packages have to say comes first: it is the likelier of two failures.
    let above = above?;
    let boot = boot?;

    let below: Vec<&Path> = [&base, &boot].into_iter().chain(&above).map(PathBuf::as_path).collect();
    on_top(&below, &site.place.join("machine"))
}

/// The layers of packages over the base layer.
fn packages_above(
    site: &Site<'_>,
    layers: &plan::Layers,
    shelf: &Shelf<'_>,
    base: &Path,
) -> Result<Vec<PathBuf>> {
    let system = shelf.layer(Step::System, &layers.system, &[base], |root| {
        packages::install_system(site, root)?;
        initramfs::make_if_touched(site, root)
    })?;
    let Some(added) = &layers.packages else { return Ok(vec![system]) };
    let added = shelf.layer(Step::Packages, added, &[base, &system], |root| {
        packages::install_added(site, root)?;
        initramfs::make_if_touched(site, root)
    })?;
    Ok(vec![system, added])
}

fn flat(site: &Site<'_>, layers: &plan::Layers) -> Result<Tree> {
    let path = site.place.join("machine");
    let sink = site.runner.sink().as_ref();
    std::fs::create_dir_all(&path).context(Kind::Build, || format!("creating {}", path.display()))?;
    event::step(sink, Step::Bootstrap, || Ok((bootstrap::run(site, &path)?, Outcome::Done)))?;
    event::step(sink, Step::System, || Ok((packages::install_system(site, &path)?, Outcome::Done)))?;
    if layers.packages.is_some() {
        event::step(sink, Step::Packages, || Ok((packages::install_added(site, &path)?, Outcome::Done)))?;
    }
    event::step(sink, Step::Initramfs, || Ok((initramfs::make(site, &path)?, Outcome::Done)))?;
    seal::tidy(&Root::open(&path)?)?;
    Ok(Tree { path, overlay: None })
}

/// Where layers are kept, and where they grow.
struct Shelf<'a> {
    site: &'a Site<'a>,
    growing: &'a Path,
    /// None where nothing is kept.
    kept: Option<PathBuf>,
}

impl Shelf<'_> {
    /// The layer of that key: the kept one, or one made now over the layers `below`.
    fn layer(
        &self,
        step: Step,
        layer: &plan::Layer,
        below: &[&Path],
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        event::step(self.site.runner.sink().as_ref(), step, || {
            let Some(directory) = &self.kept else {
                return Ok((self.grow(&layer.key, below, make)?, Outcome::Done));
            };
            // Another build may be making the same layer: wait for it, then look.
            let name = kept_layers::name(&self.site.plan.host.privilege.owners(), &layer.key);
            let mut slot = Slot::take(directory, &name, self.site.runner.sink().as_ref())?;
            let kept = slot.path().to_owned();
            if slot.is_whole() {
                slot.touch()?;
                return Ok((kept, Outcome::Cached));
            }
            if self.site.plan.tree.memory.is_some() {
                // What is made in memory stays off the disk.
                drop(slot);
                return Ok((self.grow(&layer.key, below, make)?, Outcome::Done));
            }
            // One that is there and not whole may have lost its files with the power.
            tree::remove(&kept)?;
            slot.keep(&self.grow(&layer.key, below, make)?)?;
            Ok((kept, Outcome::Done))
        })
    }

    fn grow(&self, key: &str, below: &[&Path], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.growing.join(key);
        let upper = place.join("upper");
        let root = if below.is_empty() { upper.clone() } else { place.join("root") };
        let overlay = match below {
            [] => {
                std::fs::create_dir_all(&upper)
                    .context(Kind::Build, || format!("creating {}", upper.display()))?;
                None
            }
            below => Some(Overlay::mount(below, &upper, &place.join("work"), &root)?),
        };
        make(&root)?;
        leftovers::end(&root)?;
        seal::tidy(&Root::open(&root)?)?;
        if let Some(overlay) = overlay {
            overlay.close()?;
        }
        Ok(upper)
    }
}
