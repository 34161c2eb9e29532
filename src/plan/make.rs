//! Makes the plan. Everything that can be wrong with what the user typed is found here, in three
//! passes: what needs nothing but the text, what needs this host, what needs the archive.

use std::collections::BTreeMap;
use std::path::Path;

use uuid::Uuid;

use super::guest::Scripts;
use super::here::Host;
use super::request::Request;
use super::supply::{self, Supply};
use super::tree::Release;
use super::{
    Addressing, Archive, Customising, ExistingTree, Guest, HostUse, Output, Packages, Plan, Secrets, Seeds,
    Target, TreeUse, checks, keys, libvirt, passwords, raw, resolve, room, templates, told, tree,
};
use crate::appliance::Appliance;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::event::{self, Event, Outcome, Step};
use crate::host::access::{Access, without_login};
use crate::host::run::Runner;
use crate::rootfs::survey::Wanted;
use crate::suite::{LocaleStyle, Registry, Tier};
use crate::templates::Context;
use crate::units::Size;
use crate::worker::front;

/// A plan with what belongs to it as long as it is to be built.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What does not stand in it.
    pub secrets: Secrets,
    /// The cache that it refers to; a throw-away one goes with this value.
    pub cache: Cache,
}

/// Makes the plan. Fetches indices; writes nothing but the cache. An error about a setting that stands in a
/// configuration file has its place there.
pub fn make(appliance: &Appliance, runner: &Runner) -> Result<Planned> {
    plan(appliance, runner).map_err(|error| appliance.origins.place(error))
}

fn plan(appliance: &Appliance, runner: &Runner) -> Result<Planned> {
    let registry = Registry::load()?;
    let sink = runner.sink().as_ref();
    let planned = match &appliance.tree.existing {
        None => from_packages(appliance, &registry, runner)?,
        Some(path) => from_tree(appliance, path, &registry, runner)?,
    };
    for text in told::decisions(&planned.plan) {
        sink.emit(Event::Info { text });
    }
    Ok(planned)
}

/// A plan for a tree that is there: its release is the one that it says, where the user names none.
fn from_tree(appliance: &Appliance, path: &Path, registry: &Registry, runner: &Runner) -> Result<Planned> {
    let release = Release::of_tree(path);
    let mut appliance = appliance.clone();
    if appliance.suite.is_none() && release.distro == appliance.distro && !release.codename.is_empty() {
        appliance.suite = Some(release.codename.clone());
    }
    let request = Request::read(&appliance, registry)?;
    let host = Host::look(&appliance, &request, runner)?;
    let sink = runner.sink().as_ref();
    warn_about(&appliance, &request, sink);
    let path = host.existing.clone().ok_or_else(|| Error::config("there is no --existing-chroot"))?;
    release.is_enough(&path, appliance.suite.as_deref())?;
    let wanted = Wanted {
        suite: Box::new(request.suite.clone()),
        architecture: request.architecture.clone(),
        packages: request.storage.packages(),
        mounts: request.storage.mounts(),
        file_systems: request.storage.file_systems(),
        dhcp: request.guest.network.addressing == Addressing::Dhcp,
    };
    let survey = front::survey(runner, &host.privilege, &path, wanted)?;
    let suite = (request.suite.distro.as_str(), request.suite.codename.as_str());
    if let Some(text) = tree::judge(&survey, &path, &release, suite, &request.architecture)? {
        sink.emit(Event::Warning { text });
    }
    assemble(&appliance, request, host, Supply::Tree(path, survey), runner)
}

fn from_packages(appliance: &Appliance, registry: &Registry, runner: &Runner) -> Result<Planned> {
    let mut request = Request::read(appliance, registry)?;
    let host = Host::look(appliance, &request, runner)?;
    let sink = runner.sink().as_ref();
    warn_about(appliance, &request, sink);
    supply::has_room(&host.cache.indices())?;
    let index = event::step(sink, Step::Index, || {
        let ppas = supply::ppas(&request, &host, runner)?;
        Ok((supply::fetch_index(appliance, &request, &host, &ppas, runner)?, Outcome::Done))
    })?;
    if appliance.locale.is_none() {
        supply::leave_out_languages(&mut request, &index, sink)?;
    }
    let resolved = event::step(sink, Step::Resolve, || {
        let (resolved, kept) =
            resolve::resolve(runner, &index, &request.suite.codename, &request.packages())?;
        Ok((resolved, if kept { Outcome::Cached } else { Outcome::Done }))
    })?;
    assemble(appliance, request, host, Supply::Packages(index, resolved), runner)
}

/// Says what is not wrong, and may still surprise.
fn warn_about(appliance: &Appliance, request: &Request<'_>, sink: &dyn event::Sink) {
    let suite = request.suite;
    if suite.tier == Tier::Ended {
        let ended = suite.dates.end_of_life.map(|day| format!(" on {day}")).unwrap_or_default();
        let text = format!("{} has ended{ended}: it gets no security updates any more", suite.title());
        sink.emit(Event::Warning { text });
    }
    if !suite.boot.secure_boot {
        let title = suite.title();
        let text = format!("{title} does not start where firmware has Secure Boot with today's revocations");
        sink.emit(Event::Warning { text });
    }
    let guest = &request.guest;
    if appliance.tree.existing.is_none()
        && guest.user.locked
        && guest.user.keys.is_empty()
        && guest.root_keys.is_empty()
        && !guest.root_password
    {
        let text =
            format!("nobody can log in: {} is locked and has no key, and neither has root", guest.user.name);
        sink.emit(Event::Warning { text });
    }
    for text in request.storage.warnings.iter().cloned().chain(tree::without_effect(appliance)) {
        sink.emit(Event::Warning { text });
    }
    request.customised.warn(sink);
}

fn assemble(
    appliance: &Appliance,
    mut request: Request<'_>,
    host: Host,
    supply: Supply,
    runner: &Runner,
) -> Result<Planned> {
    let epoch = match request.epoch {
        Some(epoch) => epoch,
        None => supply.date()?,
    };
    let debconf: Vec<String> =
        request.suite.bootstrap.debconf.iter().chain(&request.suite.boot.debconf).cloned().collect();
    let customised = std::mem::take(&mut request.customised);
    let customising = Customising {
        copied: customised.copying.planned(epoch),
        exec: customised.exec,
        templates: templates::planned(&customised.templates),
    };
    let seeds = match (&customised.seeds, &supply) {
        (Some(seeds), Supply::Packages(_, resolved)) => Some(Seeds {
            file: seeds.file.clone(),
            before: seeds.stage(|stage, package| resolved.has(stage, package)),
        }),
        _ => None,
    };
    let layers = match &supply {
        Supply::Packages(index, _) => {
            Some(keys::layers(&request, &host, index, &debconf, seeds.as_ref(), epoch)?)
        }
        Supply::Tree(..) => None,
    };
    let format = request.hypervisor.disk_format();
    let id = keys::identity(&request, &customising, &host.raws, &supply, layers.as_ref(), format, epoch)?;
    let target = Target {
        hypervisor: request.hypervisor.name().to_owned(),
        format: format.to_owned(),
        flavour: request.flavour.clone(),
        memory: request.memory_size,
        cpus: request.cpus,
        nic: request.network.nic(id),
    };
    let names = (request.guest.hostname.as_str(), format);
    let mut disks = match appliance.tree.only {
        true => Vec::new(),
        false => request.storage.plan(request.suite, &request.architecture, names, id)?,
    };
    raw::apply(&host.raws, &mut disks);
    let secrets = Secrets {
        seeds: customised.seeds.map(|seeds| seeds.text),
        templates: customised.templates,
        ..secrets(appliance, &request, host.access.clone(), id)?
    };
    let existing = match &supply {
        Supply::Tree(path, survey) => Some(ExistingTree {
            path: path.clone(),
            fingerprint: survey.fingerprint.clone(),
            size: Size(survey.bytes),
        }),
        Supply::Packages(..) => None,
    };
    let held = match &supply {
        Supply::Tree(_, survey) => survey.held.clone(),
        Supply::Packages(..) => BTreeMap::new(),
    };
    let (archive, packages) = match supply {
        Supply::Packages(index, resolved) => {
            let packages = Packages {
                base: request.base,
                system: request.system,
                added_exactly: resolved.exactly(&request.added),
                added: request.added,
                removed: request.removed,
                recommends: request.recommends,
                seeds,
                debconf,
                variant: appliance.variant.is_some().then(|| request.variant.name.to_owned()),
                pattern: request.variant.pattern.to_owned(),
                resolved: resolved.union(),
                layers,
            };
            let archive = Archive {
                sources: index.sources,
                components: request.components,
                keyring: host.keyring,
                proxy: host.access.proxy_for(&host.mirrors.main).map(without_login),
                mirror_origin: host.mirrors.origin.to_owned(),
                apt_options: host.access.public_settings(),
                index: index.directory,
                stages: resolved.directory,
                archives: host.cache.archives(),
                media: request.media,
            };
            (archive, packages)
        }
        Supply::Tree(..) => (Archive::default(), Packages::default()),
    };
    let copied = customising.size().bytes();
    let content = Size(packages.installed_size().bytes().saturating_add(copied));
    let memory = request.memory.map(|wish| tree::memory(wish, content)).transpose()?;
    let plan = Plan {
        format: 1,
        id,
        epoch,
        output: Output {
            directory: host.destination,
            overwrite: appliance.places.overwrite,
            package_list: host.package_list,
            raws: host.raws,
            libvirt: host.libvirt,
        },
        archive,
        suite: request.suite.clone(),
        architecture: request.architecture,
        target,
        tree: TreeUse { only: appliance.tree.only, directory: host.tree, existing, memory },
        packages,
        guest: request.guest,
        disks,
        customising,
        host: HostUse {
            privilege: host.privilege,
            bootstrap: host.bootstrap,
            scratch: host.scratch,
            cache: host.cache.kept().map(Path::to_owned),
            overlay: host.overlay,
        },
    };
    room::fits(&plan, &held)?;
    secrets.templates.try_all(&Context::of(&plan))?;
    libvirt::is_nobody_elses(&plan, &secrets, runner)?;
    Ok(Planned { plan, secrets, cache: host.cache })
}

fn secrets(appliance: &Appliance, request: &Request<'_>, access: Access, id: Uuid) -> Result<Secrets> {
    let users = &appliance.users;
    let name = &request.guest.user.name;
    let method = request.suite.users.hash;
    // vmbuilder's default password was the name of its default user; here it is the user's own name.
    let password = users.password.as_deref().unwrap_or(name);
    let user_hash = Some(passwords::hash(password, name, id, method)?);
    let root_hash = users
        .root_password
        .as_deref()
        .map(|password| passwords::hash(password, "root", id, method))
        .transpose()?;
    let Scripts { firstboot, firstlogin } = &request.scripts;
    Ok(Secrets {
        user_hash,
        root_hash,
        access,
        firstboot: firstboot.clone(),
        firstlogin: firstlogin.clone(),
        ..Secrets::default()
    })
}

/// What the release's locale-gen takes for the guest's locale; none for one that needs no generating.
pub fn locale_line(guest: &Guest, style: LocaleStyle) -> Option<&'static str> {
    let line = checks::locale(&guest.locale).ok().flatten()?;
    Some(match style {
        LocaleStyle::LocaleGen => line,
        LocaleStyle::Arguments => line.split(' ').next().unwrap_or(line),
    })
}
