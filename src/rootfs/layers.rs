//! Layers of a tree. Each is the upper directory of an overlay over the layers below it; the cache
//! keeps it under a key over everything that decides its content.
//!
//! ```text
//!     this machine       never kept
//!     user's packages    with their own initial RAM file system, where they touch it
//!     initramfs          of the base layer
//!     base               release, kernel, boot loader
//! ```
//!
//! Where the kernel cannot overlay, there is one directory, in which the same steps happen one after
//! the other, and nothing is kept.

use std::path::{Path, PathBuf};

use super::{Site, bootstrap, initramfs, packages, seal};
use crate::cache::Cache;
use crate::cache::layers::Slot;
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
    if site.plan.host.overlay { overlaid(site, growing) } else { flat(site) }
}

fn overlaid(site: &Site<'_>, growing: &Path) -> Result<Tree> {
    let layers = &site.plan.packages.layers;
    let shelf = Shelf { site, growing, kept: site.plan.host.cache.as_deref().map(Cache::layers_in) };
    let base = shelf.layer(Step::Bootstrap, &layers.base, &[], |root| bootstrap::run(site, root))?;

    // The initial RAM file system depends on the base alone, unless the user's packages touch it. It
    // takes as long as they do, and one processor: both are made side by side.
    let (boot, added) = std::thread::scope(|scope| {
        let boot = scope.spawn(|| {
            shelf.layer(Step::Initramfs, &layers.initramfs, &[&base], |root| initramfs::make(site, root))
        });
        let added = layers
            .packages
            .as_ref()
            .map(|layer| shelf.layer(Step::Packages, layer, &[&base], |root| packages::install(site, root)))
            .transpose();
        let boot =
            boot.join().unwrap_or_else(|_| Err(Error::build("making the initramfs: the thread panicked")));
        (boot, added)
    });
    // What the user's packages have to say comes first: it is the likelier of two failures.
    let added = added?;
    let boot = boot?;

    let below: Vec<&Path> =
        [Some(&base), Some(&boot), added.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    let place = site.scratch.join("machine");
    let path = place.join("root");
    let overlay = Overlay::mount(&below, &place.join("upper"), &place.join("work"), &path)?;
    Ok(Tree { path, overlay: Some(overlay) })
}

fn flat(site: &Site<'_>) -> Result<Tree> {
    let path = site.scratch.join("machine");
    let sink = site.runner.sink().as_ref();
    std::fs::create_dir_all(&path).context(Kind::Build, || format!("creating {}", path.display()))?;
    event::step(sink, Step::Bootstrap, || Ok((bootstrap::run(site, &path)?, Outcome::Done)))?;
    if site.plan.packages.layers.packages.is_some() {
        event::step(sink, Step::Packages, || Ok((packages::transact(site, &path)?, Outcome::Done)))?;
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
            let mut slot = Slot::take(directory, &layer.key, self.site.runner.sink().as_ref())?;
            let kept = slot.path().to_owned();
            if slot.is_whole() {
                slot.touch()?;
                return Ok((kept, Outcome::Cached));
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
