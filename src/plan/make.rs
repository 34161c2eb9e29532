//! Makes the plan. Everything that can be wrong with what the user typed is found here, in three
//! passes: what needs nothing but the text, what needs this host, what needs the archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::archive::{self, Index, IndexRequest, Mirrors, hex};
use super::here::Host;
use super::request::{self, Request, Scripts};
use super::resolve::Resolved;
use super::{
    Archive, Guest, HostUse, Layer, Layers, Output, Packages, Plan, Secrets, Target, checks, elsewhere,
    passwords, raw, resolve, told,
};
use crate::appliance::Appliance;
use crate::cache::{Cache, layers as kept};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Event, Outcome, Step};
use crate::host::access::{Access, without_login};
use crate::host::run::Runner;
use crate::suite::{LocaleStyle, Registry, Suite, Tier};
use crate::units::{MIB, Size};

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
    let mut request = Request::read(appliance, &registry)?;
    let host = Host::look(appliance, &request, runner)?;
    let sink = runner.sink().as_ref();
    warn_about(request.suite, sink);
    has_room(&host.cache.indices())?;
    let index = event::step(sink, Step::Index, || {
        Ok((fetch_index(appliance, &request, &host, runner)?, Outcome::Done))
    })?;
    if appliance.locale.is_none() {
        leave_out_languages(&mut request, &index, sink)?;
    }
    let resolved = event::step(sink, Step::Resolve, || {
        let (resolved, kept) =
            resolve::resolve(runner, &index, &request.suite.codename, &request.packages())?;
        Ok((resolved, if kept { Outcome::Cached } else { Outcome::Done }))
    })?;
    let planned = assemble(appliance, request, host, index, resolved)?;
    for text in told::decisions(&planned.plan) {
        sink.emit(Event::Info { text });
    }
    Ok(planned)
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

fn fetch_index(appliance: &Appliance, request: &Request<'_>, host: &Host, runner: &Runner) -> Result<Index> {
    let refresh = |mirrors| refresh_index(request, host, mirrors, runner);
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

fn refresh_index(request: &Request<'_>, host: &Host, mirrors: &Mirrors, runner: &Runner) -> Result<Index> {
    Index::refresh(
        runner,
        &IndexRequest {
            directory: &host.cache.indices(),
            archives: &host.cache.archives(),
            sources: &archive::sources(request.suite, mirrors),
            components: &request.components,
            keyring: &host.keyring,
            architecture: &request.architecture,
            access: &host.access,
            may_be_expired: request.suite.tier == Tier::Ended,
            may_rest_on_sha1: request.suite.keys.needs_sha1_policy,
        },
    )
}

fn assemble(
    appliance: &Appliance,
    request: Request<'_>,
    host: Host,
    index: Index,
    resolved: Resolved,
) -> Result<Planned> {
    let epoch = match request.epoch {
        Some(epoch) => epoch,
        None => index.date()?,
    };
    let debconf: Vec<String> =
        request.suite.bootstrap.debconf.iter().chain(&request.suite.boot.debconf).cloned().collect();
    let layers = layers(&request, &host, &index, &debconf, epoch)?;
    let target = Target {
        hypervisor: request.hypervisor.name().to_owned(),
        format: request.hypervisor.disk_format().to_owned(),
        flavour: request.flavour.clone(),
        memory: appliance.memory.unwrap_or(request.hypervisor.default_memory()),
        cpus: appliance.cpus.unwrap_or(request.hypervisor.default_cpus()),
    };
    let id = identity(appliance, &request, &host, &index, &layers, &target, epoch)?;
    let image = format!("{}-disk0.{}", request.guest.hostname, target.format);
    let mut disks = vec![request::disk(appliance.sizes, request.suite, &request.architecture, image, id)?];
    raw::apply(&host.raws, &mut disks);
    let secrets = secrets(appliance, &request, host.access.clone(), id)?;
    let packages = Packages {
        base: request.base,
        system: request.system,
        added_exactly: resolved.exactly(&request.added),
        added: request.added,
        removed: request.removed,
        debconf,
        variant: appliance.variant.clone(),
        pattern: request.variant.to_owned(),
        resolved: resolved.union(),
        layers,
    };
    let plan = Plan {
        format: 1,
        id,
        epoch,
        output: Output {
            directory: host.destination,
            overwrite: appliance.places.overwrite,
            raws: host.raws,
            libvirt: host.libvirt,
        },
        archive: Archive {
            sources: index.sources,
            components: request.components,
            keyring: host.keyring,
            proxy: host.access.proxy_for(&host.mirrors.main).map(without_login),
            mirror_origin: host.mirrors.origin.to_owned(),
            apt_options: host.access.public_settings(),
            index: index.directory,
            stages: resolved.directory,
            archives: host.cache.archives(),
        },
        suite: request.suite.clone(),
        architecture: request.architecture,
        target,
        packages,
        guest: request.guest,
        disks,
        host: HostUse {
            privilege: host.privilege,
            bootstrap: host.bootstrap,
            scratch: host.scratch,
            cache: host.cache.kept().map(Path::to_owned),
            overlay: host.overlay,
        },
    };
    packages_fit(&plan)?;
    Ok(Planned { plan, secrets, cache: host.cache })
}

/// The plan's name: everything that decides the bytes of the image, but for passwords.
fn identity(
    appliance: &Appliance,
    request: &Request<'_>,
    host: &Host,
    index: &Index,
    layers: &Layers,
    target: &Target,
    epoch: i64,
) -> Result<Uuid> {
    let keys = [Some(&layers.base), Some(&layers.initramfs), Some(&layers.system), layers.packages.as_ref()];
    let keys: Vec<&str> = keys.into_iter().flatten().map(|layer| layer.key.as_str()).collect();
    let mirrors: Vec<&str> = index.sources.iter().map(|source| source.uri.as_str()).collect();
    let sizes = appliance.sizes;
    let sizes = [sizes.disk, sizes.root, sizes.swap, sizes.opt];
    let mut guest = request.guest.clone();
    for script in [&mut guest.firstboot, &mut guest.firstlogin].into_iter().flatten() {
        // Where it was read from decides nothing; its digest does.
        script.path = PathBuf::new();
    }
    let parts = (
        RECIPE,
        keys,
        request.suite,
        guest,
        &target.format,
        &request.architecture,
        sizes,
        host.raws.iter().map(|raw| raw.size).collect::<Vec<Size>>(),
        mirrors,
        &request.components,
        epoch,
    );
    let name = serde_json::to_vec(&parts).context(Kind::Build, || "naming the plan".into())?;
    Ok(Uuid::new_v5(&NAMESPACE, &name))
}

/// Keys of the layers: everything that decides what is in them.
fn layers(
    request: &Request<'_>,
    host: &Host,
    index: &Index,
    debconf: &[String],
    epoch: i64,
) -> Result<Layers> {
    let digest = |parts: BTreeMap<&str, String>| -> Result<String> {
        let text = serde_json::to_vec(&parts).context(Kind::Build, || "naming a layer".into())?;
        Ok(hex(&Sha256::digest(text)[..20]))
    };
    let suite = request.suite;
    let releases: Vec<String> =
        index.sources.iter().map(|source| format!("{} {}", source.suite, source.digest)).collect();
    let base = digest(BTreeMap::from([
        ("recipe", RECIPE.to_string()),
        ("tool", format!("{} {}", host.bootstrap.name, host.bootstrap.version)),
        ("suite", format!("{} {}", suite.distro, suite.codename)),
        ("architecture", request.architecture.clone()),
        ("variant", request.variant.to_owned()),
        ("releases", releases.join("\n")),
        ("components", request.components.join(" ")),
        ("packages", request.base.join(" ")),
        ("debconf", debconf.join("\n")),
        ("merged-usr", format!("{:?}", suite.bootstrap.merged_usr)),
        ("epoch", epoch.to_string()),
    ]))?;
    let initramfs =
        digest(BTreeMap::from([("base", base.clone()), ("initramfs", format!("{:?}", suite.initramfs))]))?;
    let system = digest(BTreeMap::from([("base", base.clone()), ("packages", request.system.join(" "))]))?;
    let wanted = !request.added.is_empty() || !request.removed.is_empty();
    let packages = wanted
        .then(|| {
            digest(BTreeMap::from([
                ("system", system.clone()),
                ("added", request.added.join(" ")),
                ("removed", request.removed.join(" ")),
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
    Ok(Secrets { user_hash, root_hash, access, firstboot: firstboot.clone(), firstlogin: firstlogin.clone() })
}

/// Refuses a root file system that cannot hold what will be installed.
fn packages_fit(plan: &Plan) -> Result<()> {
    let Some((_, root)) = plan.mounted_at("/") else { return Ok(()) };
    let installed = plan.packages.installed_size().bytes();
    // File systems keep back some 6 % for inode tables, journal and root's reserve.
    let needed = (installed + ROOM_BESIDE_PACKAGES) * 100 / 94;
    if root.size.bytes() >= needed {
        return Ok(());
    }
    let needed = Size(needed.div_ceil(MIB) * MIB);
    Err(Error::config(format!(
        "the packages take {} installed, and do not fit into a root file system of {}",
        Size(installed),
        root.size
    ))
    .hint(format!("Give it at least {needed} with --rootsize, or enlarge --size.")))
}

/// What the release's locale-gen takes for the guest's locale; none for one that needs no generating.
pub fn locale_line(guest: &Guest, style: LocaleStyle) -> Option<&'static str> {
    let line = checks::locale(&guest.locale).ok().flatten()?;
    Some(match style {
        LocaleStyle::LocaleGen => line,
        LocaleStyle::Arguments => line.split(' ').next().unwrap_or(line),
    })
}
