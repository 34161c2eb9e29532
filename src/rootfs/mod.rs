//! A plan becomes a tree: bootstrap, packages, initial RAM file system, then everything that makes
//! the tree this machine and no other, then the seal.
//!
//! What is expensive is in layers that are shared between machines and kept ([`layers`]); what is the
//! machine's own is written on top of them, in seconds.

mod ahead;
mod boot_scripts;
pub mod bootstrap;
mod console;
mod copied;
mod copy;
mod exec;
mod identity;
pub mod initramfs;
pub mod layers;
mod locale;
mod mounts;
mod network;
pub mod packages;
mod progress;
pub mod seal;
mod services;
mod sources;
pub mod survey;
mod templates;
mod users;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::ahead::Ahead;
pub use self::copy::copy;
use crate::error::Result;
use crate::event::Event;
use crate::host::access::Access;
use crate::host::mounts::{View, make_devices};
use crate::host::run::{Command, Runner};
use crate::host::tree::Root;
use crate::plan::{Plan, Secrets};
use crate::templates::Template;

/// Where a tree is made, and with what.
pub struct Site<'a> {
    /// What is to be made.
    pub plan: &'a Plan,
    /// Starts programs; all of them know the plan's epoch.
    pub runner: Runner,
    /// How the mirrors are reached, with log-ins.
    pub access: &'a Access,
    /// Text of the user's answers for debconf.
    pub seeds: Option<&'a str>,
    /// Scratch directory of this build.
    pub scratch: PathBuf,
    /// Directory that the machine's own tree is made in.
    pub place: PathBuf,
    /// The .debs of the plan, this build's own; there where packages are to be installed.
    archives: PathBuf,
    devices: PathBuf,
    /// Packages without their compression, where a whole tree is to be made.
    ahead: Option<Ahead>,
}

impl<'a> Site<'a> {
    /// Prepares a site in `scratch`, for a tree in `place` of the packages in `archives`.
    pub fn prepare(
        plan: &'a Plan,
        secrets: &'a Secrets,
        runner: &Runner,
        scratch: &Path,
        place: &Path,
        archives: &Path,
    ) -> Result<Site<'a>> {
        let (access, seeds) = (&secrets.access, secrets.seeds.as_deref());
        let devices = scratch.join("dev");
        make_devices(&devices)?;
        let runner = runner.clone().with_env("SOURCE_DATE_EPOCH", plan.epoch.to_string());
        let from_nothing = plan.packages.layers.as_ref().is_some_and(|layers| !layers.base.cached);
        let ahead = scratch.join("ahead");
        let ahead = from_nothing.then(|| Ahead::begin(plan, archives, &runner, &ahead)).transpose()?;
        let (scratch, place, archives) = (scratch.to_owned(), place.to_owned(), archives.to_owned());
        Ok(Site { plan, runner, access, seeds, scratch, place, archives, devices, ahead })
    }

    /// Says that all packages are installed.
    pub fn all_installed(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            ahead.close();
        }
    }

    /// A tree as its own programs see it: /proc, /dev, empty /run and /tmp.
    pub fn view(&self, root: &Path) -> View {
        View::new(root).with_system(&self.devices)
    }

    /// A program of the tree's own, run in it.
    pub fn program(&self, root: &Path, program: &str) -> Result<Command> {
        let inside = self.view(root).chroot().hook()?;
        Ok(self.runner.command(program).env("HOME", "/root").before_exec(inside).of_tree(root))
    }
}

/// Makes the finished tree this machine and no other. One that somebody else has made keeps its packages,
/// users, locale and sources.
pub fn configure_existing(site: &Site<'_>, secrets: &Secrets, path: &Path) -> Result<()> {
    let root = Root::open(path)?;
    identity::configure(site.plan, &root)?;
    network::configure(site, &root)?;
    mounts::configure(site.plan, &root)?;
    console::configure(site.plan, &root)?;
    boot_scripts::configure(site.plan, secrets, &root)?;
    let templates = secrets.templates.iter().map(|(template, _)| template);
    for template in templates.filter(|template| keeps_its_own(*template)) {
        let text =
            format!("the template for {} is passed over: the existing tree keeps its own", template.name());
        site.runner.sink().emit(Event::Warning { text });
    }
    templates::configure(site.plan, &secrets.templates, &root, |template| !keeps_its_own(template))
}

/// Whether a tree that somebody else has made keeps the file that a template would make.
fn keeps_its_own(template: Template) -> bool {
    matches!(template, Template::Sources | Template::Locale)
}

/// Makes the tree this machine and no other.
pub fn configure(site: &Site<'_>, secrets: &Secrets, path: &Path) -> Result<()> {
    let root = Root::open(path)?;
    identity::configure(site.plan, &root)?;
    locale::configure(site, &root)?;
    users::configure(site, secrets, &root)?;
    network::configure(site, &root)?;
    sources::configure(site.plan, &root)?;
    mounts::configure(site.plan, &root)?;
    console::configure(site.plan, &root)?;
    boot_scripts::configure(site.plan, secrets, &root)?;
    templates::configure(site.plan, &secrets.templates, &root, |_| true)
}

/// Refuses a tree in which what the plan promises could not happen.
pub fn check(secrets: &Secrets, path: &Path) -> Result<()> {
    boot_scripts::can_start(secrets, &Root::open(path)?)
}

/// Puts the user's own into the tree: first files, then what a program of the user's makes of it all. Returns
/// the files that were copied: they are to stay, whatever a seal removes.
pub fn customise(site: &Site<'_>, path: &Path) -> Result<BTreeSet<PathBuf>> {
    let copied = copied::copy(site.plan, &Root::open(path)?, site.runner.sink().as_ref())?;
    if let Some(program) = &site.plan.customising.exec {
        exec::run(site, program, path)?;
    }
    Ok(copied)
}
