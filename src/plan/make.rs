//! Makes the plan. Everything that can be wrong with what the user typed is found here, in three
//! passes: what needs nothing but the text, what needs this host, what needs the archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::archive::{self, Index, IndexRequest, Mirrors, hex};
use super::here::Host;
use super::request::{Request, Scripts};
use super::resolve::Resolved;
use super::stage::Stage;
use super::tree::Release;
use super::{
    Archive, Customising, ExistingTree, Guest, HostUse, Layer, Layers, Output, Packages, Plan, RawDisk,
    Secrets, Seeds, Source, Target, TemplateFile, TreeUse, checks, elsewhere, passwords, ppa, raw, resolve,
    templates, told, tree,
};
use crate::appliance::Appliance;
use crate::cache::{Cache, layers as kept};
use crate::error::{Context as _, Error, Kind, Result};
use crate::event::{self, Event, Outcome, Step};
use crate::host::access::{Access, without_login};
use crate::host::run::Runner;
use crate::rootfs::survey::Survey;
use crate::suite::{LocaleStyle, Registry, Suite, Tier};
use crate::templates::{Context, Template};
use crate::units::{MIB, Size};
use crate::worker::front;

/// Version of what the worker does with a plan. A new one makes every cached layer obsolete.
const RECIPE: u32 = 3;

/// Namespace of the plans' identities.
const NAMESPACE: Uuid = uuid::uuid!("d4f1d5b0-1c5e-5b63-9a51-72766d620000");

/// What the indices of a release take, with apt's own caches of them.
const ROOM_FOR_INDICES: Size = Size::mib(256);

/// What initramfs, indices and logs take beside the packages.
const ROOM_BESIDE_PACKAGES: u64 = 192 * MIB;

/// A plan with what belongs to it as long as it is to be built.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What does not stand in it.
    pub secrets: Secrets,
    /// The cache that it refers to; a throw-away one goes with this value.
    pub cache: Cache,
}

/// Makes the plan. Fetches indices; writes nothing but the cache.
pub fn make(appliance: &Appliance, runner: &Runner) -> Result<Planned> {
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
    warn_about(request.suite, sink);
    let path = host.existing.clone().ok_or_else(|| Error::config("there is no --existing-chroot"))?;
    let survey = front::survey(runner, &host.privilege, &path, request.suite, &request.architecture)?;
    let suite = (request.suite.distro.as_str(), request.suite.codename.as_str());
    if let Some(text) = tree::judge(&survey, &path, &release, suite, &request.architecture)? {
        sink.emit(Event::Warning { text });
    }
    assemble(&appliance, request, host, Supply::Tree(path, survey))
}

fn from_packages(appliance: &Appliance, registry: &Registry, runner: &Runner) -> Result<Planned> {
    let mut request = Request::read(appliance, registry)?;
    let host = Host::look(appliance, &request, runner)?;
    let sink = runner.sink().as_ref();
    warn_about(request.suite, sink);
    for text in &request.storage.warnings {
        sink.emit(Event::Warning { text: text.clone() });
    }
    request.customised.warn(sink);
    has_room(&host.cache.indices())?;
    let index = event::step(sink, Step::Index, || {
        let ppas = ppas(&request, &host, runner)?;
        Ok((fetch_index(appliance, &request, &host, &ppas, runner)?, Outcome::Done))
    })?;
    if appliance.locale.is_none() {
        leave_out_languages(&mut request, &index, sink)?;
    }
    let resolved = event::step(sink, Step::Resolve, || {
        let (resolved, kept) =
            resolve::resolve(runner, &index, &request.suite.codename, &request.packages())?;
        Ok((resolved, if kept { Outcome::Cached } else { Outcome::Done }))
    })?;
    assemble(appliance, request, host, Supply::Packages(index, resolved))
}

/// What the tree is made of.
enum Supply {
    /// Packages of these indices.
    Packages(Index, Resolved),
    /// The files that are there.
    Tree(PathBuf, Survey),
}

impl Supply {
    /// No time in the image is later, in seconds since 1970.
    fn date(&self) -> Result<i64> {
        match self {
            Supply::Packages(index, _) => index.date(),
            Supply::Tree(_, survey) => Ok(survey.newest.clamp(0, jiff::Timestamp::now().as_second())),
        }
    }

    /// What decides about the image beside the layers: where the guest finds its archive, or all files.
    fn identity(&self) -> Vec<String> {
        match self {
            Supply::Packages(index, _) => index.sources.iter().map(source_in_guest).collect(),
            Supply::Tree(_, survey) => vec![survey.fingerprint.clone()],
        }
    }
}

/// A source as the guest has it.
fn source_in_guest(source: &Source) -> String {
    let address = source.address_for_guest();
    match &source.ppa {
        Some(ppa) => format!("{address} {}", ppa.fingerprint),
        None => address.to_owned(),
    }
}

/// Refuses a cache that cannot even hold indices: apt waits for ever where it cannot write them.
fn has_room(directory: &Path) -> Result<()> {
    let status = rustix::fs::statvfs(directory)
        .context(Kind::Host, || format!("looking at the cache directory {}", directory.display()))?;
    let free = Size(status.f_bavail.saturating_mul(status.f_frsize));
    if free >= ROOM_FOR_INDICES {
        return Ok(());
    }
    Err(Error::host(format!("the cache directory {} has room for {free} only", directory.display())).hint(
        format!("Indices alone take {ROOM_FOR_INDICES}: make room, or name another place with --cache-dir."),
    ))
}

fn warn_about(suite: &Suite, sink: &dyn event::Sink) {
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
}

/// Leaves out packages for the language of a locale that nobody asked for: it comes from the caller's
/// environment, and the release need not have them.
fn leave_out_languages(request: &mut Request<'_>, index: &Index, sink: &dyn event::Sink) -> Result<()> {
    let mut wanted = request.suite.language_packages(&request.guest.locale);
    wanted.retain(|name| request.system.contains(name));
    let unknown = resolve::unknown(index, wanted)?;
    request.system.retain(|name| !unknown.contains(name));
    for name in unknown {
        let locale = &request.guest.locale;
        let text = format!("there is no package {name} for {locale}, which $LANG asks for: it is left out");
        sink.emit(Event::Warning { text });
    }
    Ok(())
}

/// The personal package archives, each with its key.
fn ppas(request: &Request<'_>, host: &Host, runner: &Runner) -> Result<Vec<Source>> {
    let (servers, keys) = (ppa::Servers::of_environment(), host.cache.keys());
    let codename = &request.suite.codename;
    let source = |ppa| ppa::source(runner, &host.access, &servers, ppa, codename, &keys);
    request.ppas.iter().map(source).collect()
}

fn fetch_index(
    appliance: &Appliance,
    request: &Request<'_>,
    host: &Host,
    ppas: &[Source],
    runner: &Runner,
) -> Result<Index> {
    let refresh = |mirrors| refresh_index(request, host, mirrors, ppas, runner);
    let error = match refresh(&host.mirrors) {
        Ok(index) => return Ok(index),
        Err(error) => archive::explain_age(error, request.suite),
    };
    if !elsewhere::is_not_there(&error) {
        return Err(error);
    }
    let other = elsewhere::mirrors(appliance, request.suite, &request.architecture, &host.mirrors);
    let Some(other) = other else { return Err(error) };
    match refresh(&other) {
        Ok(index) => {
            let (title, here, there) = (request.suite.title(), &host.mirrors.main, &other.main);
            let text = format!("{title} is not at {here}: it is taken from {there}");
            runner.sink().emit(Event::Warning { text });
            Ok(index)
        }
        // The first place is the one where it should be.
        Err(_) => Err(error),
    }
}

fn refresh_index(
    request: &Request<'_>,
    host: &Host,
    mirrors: &Mirrors,
    ppas: &[Source],
    runner: &Runner,
) -> Result<Index> {
    let mut sources = archive::sources(request.suite, mirrors);
    sources.extend_from_slice(ppas);
    Index::refresh(
        runner,
        &IndexRequest {
            directory: &host.cache.indices(),
            archives: &host.cache.archives(),
            sources: &sources,
            components: &request.components,
            keyring: &host.keyring,
            architecture: &request.architecture,
            access: &host.access,
            may_be_expired: request.suite.tier == Tier::Ended,
            may_rest_on_sha1: request.suite.keys.needs_sha1_policy,
        },
    )
    .map_err(|error| ppa::explain(error, &sources))
}

fn assemble(appliance: &Appliance, mut request: Request<'_>, host: Host, supply: Supply) -> Result<Planned> {
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
        Supply::Packages(index, _) => Some(layers(&request, &host, index, &debconf, seeds.as_ref(), epoch)?),
        Supply::Tree(..) => None,
    };
    let format = request.hypervisor.disk_format();
    let id = identity(&request, &customising, &host.raws, &supply, layers.as_ref(), format, epoch)?;
    let target = Target {
        hypervisor: request.hypervisor.name().to_owned(),
        format: format.to_owned(),
        flavour: request.flavour.clone(),
        memory: appliance.memory.unwrap_or(request.hypervisor.default_memory()),
        cpus: appliance.cpus.unwrap_or(request.hypervisor.default_cpus()),
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
    let memory = request.memory.map(|wish| tree::memory(wish, packages.installed_size())).transpose()?;
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
    packages_fit(&plan)?;
    secrets.templates.try_all(&Context::of(&plan))?;
    Ok(Planned { plan, secrets, cache: host.cache })
}

/// The plan's name: everything that decides the bytes of the image, but for passwords.
fn identity(
    request: &Request<'_>,
    customising: &Customising,
    raws: &[RawDisk],
    supply: &Supply,
    layers: Option<&Layers>,
    format: &str,
    epoch: i64,
) -> Result<Uuid> {
    let keys: Vec<&str> = layers.into_iter().flat_map(Layers::all).map(|layer| layer.key.as_str()).collect();
    let supply = supply.identity();
    let mut guest = request.guest.clone();
    for script in [&mut guest.firstboot, &mut guest.firstlogin].into_iter().flatten() {
        // Where it was read from decides nothing; its digest does.
        script.path = PathBuf::new();
    }
    let parts = (
        RECIPE,
        keys,
        request.suite,
        (guest, identity_of(customising)),
        format,
        &request.architecture,
        (&request.storage.disks, request.storage.table),
        raws.iter().map(|raw| raw.size).collect::<Vec<Size>>(),
        supply,
        &request.components,
        epoch,
    );
    let name = serde_json::to_vec(&parts).context(Kind::Build, || "naming the plan".into())?;
    Ok(Uuid::new_v5(&NAMESPACE, &name))
}

/// What of the user's own decides the bytes: all but where it was read from.
fn identity_of(customising: &Customising) -> impl serde::Serialize {
    let mut copied = customising.copied.clone();
    for copied in &mut copied {
        // A directory keeps its own name in the machine, unless the destination names it.
        copied.source = copied.source.file_name().map(PathBuf::from).unwrap_or_default();
    }
    let exec = customising.exec.as_ref().map(|exec| exec.sha256.clone());
    let inside =
        |file: &&TemplateFile| Template::of_name(&file.name).is_some_and(Template::is_in_the_machine);
    let templates: Vec<(String, String)> = customising
        .templates
        .iter()
        .filter(inside)
        .map(|file| (file.name.clone(), file.sha256.clone()))
        .collect();
    (copied, exec, templates)
}

/// Keys of the layers: everything that decides what is in them.
fn layers(
    request: &Request<'_>,
    host: &Host,
    index: &Index,
    debconf: &[String],
    seeds: Option<&Seeds>,
    epoch: i64,
) -> Result<Layers> {
    let digest = |parts: BTreeMap<&str, String>| -> Result<String> {
        let text = serde_json::to_vec(&parts).context(Kind::Build, || "naming a layer".into())?;
        Ok(hex(&Sha256::digest(text)[..20]))
    };
    // The answers are part of the lowest layer that is made with them, and through it of those above.
    let seed = |stage: Stage| match seeds {
        Some(seeds) if seeds.before == stage => seeds.file.sha256.clone(),
        _ => String::new(),
    };
    let suite = request.suite;
    let releases: Vec<String> =
        index.sources.iter().map(|source| format!("{} {}", source.suite, source.digest)).collect();
    let base = digest(BTreeMap::from([
        ("recipe", RECIPE.to_string()),
        (
            "tool",
            host.bootstrap.as_ref().map_or(String::new(), |tool| format!("{} {}", tool.name, tool.version)),
        ),
        ("suite", format!("{} {}", suite.distro, suite.codename)),
        ("architecture", request.architecture.clone()),
        ("variant", request.variant.pattern.to_owned()),
        ("releases", releases.join("\n")),
        ("components", request.components.join(" ")),
        ("packages", request.base.join(" ")),
        ("checked-early", request.storage.checked_early()),
        ("debconf", debconf.join("\n")),
        ("merged-usr", format!("{:?}", suite.bootstrap.merged_usr)),
        ("epoch", epoch.to_string()),
        ("seeds", seed(Stage::Base)),
    ]))?;
    let initramfs =
        digest(BTreeMap::from([("base", base.clone()), ("initramfs", format!("{:?}", suite.initramfs))]))?;
    let system = digest(BTreeMap::from([
        ("base", base.clone()),
        ("packages", request.system.join(" ")),
        ("seeds", seed(Stage::System)),
    ]))?;
    let wanted = !request.added.is_empty()
        || !request.removed.is_empty()
        || seeds.is_some_and(|seeds| seeds.before == Stage::Packages);
    let packages = wanted
        .then(|| {
            digest(BTreeMap::from([
                ("system", system.clone()),
                ("added", request.added.join(" ")),
                ("removed", request.removed.join(" ")),
                ("recommends", request.recommends.to_string()),
                ("seeds", seed(Stage::Packages)),
            ]))
        })
        .transpose()?;
    let layer = |key: String| Layer {
        cached: host.overlay && host.cache.has_layer(&kept::name(&host.privilege.owners(), &key)),
        key,
    };
    Ok(Layers {
        base: layer(base),
        initramfs: layer(initramfs),
        system: layer(system),
        packages: packages.map(layer),
    })
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

/// Refuses a file system that cannot hold what will be installed. Packages are in /usr, but for a little, and
/// that is on the root file system unless it has one of its own.
fn packages_fit(plan: &Plan) -> Result<()> {
    let Some(holder) = plan.holder_of("/usr") else { return Ok(()) };
    let (files, size) = match &plan.tree.existing {
        Some(tree) => ("files of the tree", tree.size),
        None => ("packages", plan.packages.installed_size()),
    };
    let copied = plan.customising.size();
    let installed = size.bytes().saturating_add(copied.bytes());
    // File systems keep back some 6 % for inode tables, journal and root's reserve.
    let needed = (installed + ROOM_BESIDE_PACKAGES) * 100 / 94;
    if holder.size.bytes() >= needed {
        return Ok(());
    }
    let needed = Size(needed.div_ceil(MIB) * MIB);
    let and_copied =
        if copied.bytes() == 0 { String::new() } else { format!(", what --copy names {copied}") };
    let (what, cure) = match holder.mount {
        Some("/usr") => ("a file system for /usr", "in the partition file"),
        _ => ("a root file system", "with --rootsize or in the partition file, or enlarge --size"),
    };
    Err(Error::config(format!(
        "the {files} take {size} installed{and_copied}, and do not fit into {what} of {}",
        holder.size
    ))
    .hint(format!("Give it at least {needed} {cure}.")))
}

/// What the release's locale-gen takes for the guest's locale; none for one that needs no generating.
pub fn locale_line(guest: &Guest, style: LocaleStyle) -> Option<&'static str> {
    let line = checks::locale(&guest.locale).ok().flatten()?;
    Some(match style {
        LocaleStyle::LocaleGen => line,
        LocaleStyle::Arguments => line.split(' ').next().unwrap_or(line),
    })
}
