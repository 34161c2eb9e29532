//! Makes the plan. Everything that can be wrong with what the user typed is found here, in three
//! passes: what needs nothing but the text, what needs this host, what needs the archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::archive::{self, Index, IndexRequest, hex};
use super::{
    Archive, BootstrapTool, Guest, HostUse, Layer, Layers, Output, Package, Packages, Plan, Privilege,
    Script, Secrets, Target, User, checks, passwords, resolve,
};
use crate::appliance::Appliance;
use crate::cache::Cache;
use crate::disk::layout;
use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Event, Outcome, Step};
use crate::host::run::Runner;
use crate::host::{apt, identity, tools};
use crate::hypervisor::{self, Hypervisor};
use crate::suite::{LocaleStyle, Registry, Suite, Tier, ext4_features};
use crate::units::{MIB, Size};

/// Version of what the worker does with a plan. A new one makes every cached layer obsolete.
const RECIPE: u32 = 2;

/// Namespace of the plans' identities.
const NAMESPACE: Uuid = uuid::uuid!("d4f1d5b0-1c5e-5b63-9a51-72766d620000");

/// The smallest root that any release's kernel and base system fit into.
const SMALLEST_ROOT: Size = Size::mib(512);

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
    let request = Request::read(appliance, &registry)?;
    let host = Host::look(appliance, &request, runner)?;
    let sink = runner.sink().as_ref();
    warn_about_age(request.suite, sink);

    let index = event::step(sink, Step::Index, || {
        Ok((fetch_index(appliance, &request, &host, runner)?, Outcome::Done))
    })?;
    let resolved = event::step(sink, Step::Resolve, || {
        let (packages, kept) = resolve::resolve(runner, &index, &request.packages())?;
        Ok((packages, if kept { Outcome::Cached } else { Outcome::Done }))
    })?;
    assemble(appliance, request, host, index, resolved)
}

/// What the user's words mean for the suite; nothing but text and files was looked at.
struct Request<'a> {
    suite: &'a Suite,
    hypervisor: &'static dyn Hypervisor,
    architecture: String,
    flavour: String,
    components: Vec<String>,
    variant: &'static str,
    base: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
    guest: Guest,
}

impl<'a> Request<'a> {
    fn read(appliance: &Appliance, registry: &'a Registry) -> Result<Request<'a>> {
        let hypervisor = hypervisor::find(&appliance.hypervisor)?;
        let suite = match &appliance.suite {
            Some(name) => registry.find(&appliance.distro, name)?,
            None => registry.default_suite(&appliance.distro)?,
        };
        let architecture = match &appliance.architecture {
            Some(name) => name.clone(),
            None => host_architecture().to_owned(),
        };
        let mut problems = Vec::new();
        let mut check = |result: Result<()>| problems.extend(result.err());

        check(known_architecture(suite, &architecture));
        let flavour = match &appliance.flavour {
            Some(name) => name.clone(),
            None => suite.flavour_for(hypervisor.name(), &architecture).to_owned(),
        };
        check(suite.kernel_packages(&flavour, &architecture).map(drop));
        let components = if appliance.components.is_empty() {
            suite.archive.components.clone()
        } else {
            appliance.components.clone()
        };
        for component in &components {
            check(known_component(suite, component));
        }
        for (option, address) in
            [("--mirror", &appliance.mirror), ("--security-mirror", &appliance.security_mirror)]
        {
            if let Some(address) = address
                && (option, address.as_str()) != ("--security-mirror", archive::NO_SECURITY)
            {
                check(checks::mirror(option, address));
            }
        }
        for word in appliance.add_packages.iter().chain(&appliance.remove_packages) {
            check(checks::package(word));
        }
        let variant = variant_pattern(appliance.variant.as_deref())
            .map_err(|error| check(Err(error)))
            .unwrap_or_default();
        check(sizes(appliance));
        let guest = guest(appliance, suite, hypervisor, &mut problems);
        Error::all(problems)?;

        let mut added = appliance.add_packages.clone();
        if !guest.user.keys.is_empty() || !guest.root_keys.is_empty() {
            added.push(suite.ssh.package.clone());
        }
        added.sort();
        added.dedup();
        let base = base_packages(suite, &flavour, &architecture, &guest)?;
        added.retain(|name| !base.contains(name));
        Ok(Request {
            suite,
            hypervisor,
            architecture,
            flavour,
            components,
            variant,
            base,
            added,
            removed: appliance.remove_packages.clone(),
            guest,
        })
    }

    fn packages(&self) -> resolve::Request<'_> {
        resolve::Request {
            variant: self.variant,
            base: &self.base,
            added: &self.added,
            removed: &self.removed,
        }
    }
}

/// Debian's name of this machine's architecture.
fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

fn known_architecture(suite: &Suite, architecture: &str) -> Result<()> {
    let known = suite.bootable_architectures();
    if !known.contains(&architecture) {
        let error = Error::config(format!("{} cannot be built for `{architecture}`", suite.title()))
            .hint(format!("Architectures: {}.", known.join(", ")));
        return Err(checks::with_near_matches(error, architecture, known.into_iter()));
    }
    let host = host_architecture();
    if architecture == host || (architecture == "i386" && host == "amd64") {
        return Ok(());
    }
    Err(Error::host(format!("this {host} machine cannot run the programs of {architecture}"))
        .hint(format!("Build on a machine of that architecture, or for this one: --arch {host}.")))
}

fn known_component(suite: &Suite, component: &str) -> Result<()> {
    let known: Vec<&str> =
        suite.archive.components.iter().chain(&suite.archive.extra_components).map(String::as_str).collect();
    if known.contains(&component) {
        return Ok(());
    }
    let error = Error::config(format!("{} has no component `{component}`", suite.title()))
        .hint(format!("Components: {}.", known.join(", ")));
    Err(checks::with_near_matches(error, component, known.into_iter()))
}

/// apt's pattern for a variant of debootstrap's.
fn variant_pattern(variant: Option<&str>) -> Result<&'static str> {
    match variant {
        None | Some("minbase") => Ok("?or(?essential,?priority(required))"),
        Some("important") => Ok("?or(?essential,?priority(required),?priority(important))"),
        Some(other) => Err(Error::config(format!("there is no variant `{other}`")).hint(
            "Variants: minbase (the default), important (what debootstrap installs without a variant).",
        )),
    }
}

fn sizes(appliance: &Appliance) -> Result<()> {
    match appliance.sizes.root {
        Some(root) if root < SMALLEST_ROOT => {
            Err(Error::config(format!("a root file system of {root} cannot hold a kernel and its system"))
                .hint(format!("Give at least {SMALLEST_ROOT}; 2G suits most machines.")))
        }
        _ => Ok(()),
    }
}

fn base_packages(suite: &Suite, flavour: &str, architecture: &str, guest: &Guest) -> Result<Vec<String>> {
    let mut names = suite.bootstrap.packages.clone();
    names.extend(suite.kernel_packages(flavour, architecture)?.iter().cloned());
    names.extend(suite.initramfs.packages.iter().cloned());
    names.extend(suite.boot_packages(architecture)?.iter().cloned());
    names.extend(suite.network.packages.iter().cloned());
    names.extend(suite.users.packages.iter().cloned());
    if checks::locale(&guest.locale)?.is_some() {
        let language: String =
            guest.locale.chars().take_while(|character| !"_.@".contains(*character)).collect();
        names.extend(suite.locale.packages.iter().map(|name| name.replace("{language}", &language)));
    }
    if checks::is_legacy_zone(&guest.timezone) && !suite.locale.legacy_zones.is_empty() {
        names.push(suite.locale.legacy_zones.clone());
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn guest(
    appliance: &Appliance,
    suite: &Suite,
    hypervisor: &dyn Hypervisor,
    problems: &mut Vec<Error>,
) -> Guest {
    let users = &appliance.users;
    let name = users.name.clone().unwrap_or_else(|| suite.distro.clone());
    let default_full_name = || {
        let mut letters = suite.distro.chars();
        letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
    };
    let hostname = appliance.hostname.clone().unwrap_or_else(|| suite.distro.clone());
    let domain = appliance.domain.clone().unwrap_or_else(|| "localdomain".to_owned());
    let locale = normal_locale(appliance.locale.as_deref());
    let timezone = appliance.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
    let full_name = users.full_name.clone().unwrap_or_else(default_full_name);

    let mut note = |result: Result<()>| problems.extend(result.err());
    note(checks::hostname(&hostname));
    note(checks::domain(&domain));
    note(checks::user_name(&name));
    note(checks::full_name(&full_name));
    note(checks::locale(&locale).map(drop));
    note(checks::timezone(&timezone));
    let mut script = |option: &str, path: &Option<PathBuf>| -> Option<Script> {
        let path = path.as_ref()?;
        let content = checks::script(option, path).map_err(|error| note(Err(error))).ok()?;
        let sha256 = hex(Sha256::digest(&content).as_slice());
        Some(Script { path: path.clone(), sha256, content })
    };
    let firstboot = script("--firstboot", &appliance.firstboot);
    let firstlogin = script("--firstlogin", &appliance.firstlogin);
    let mut keys = |option: &str, path: &Option<PathBuf>| -> Vec<String> {
        let read = path.as_ref().map(|path| checks::keys(option, path)).transpose();
        read.map_err(|error| note(Err(error))).ok().flatten().unwrap_or_default()
    };
    let root_keys = keys("--ssh-key", &users.root_keys);
    let user_keys = keys("--ssh-user-key", &users.user_keys);

    Guest {
        hostname,
        domain,
        locale,
        timezone,
        user: User {
            full_name,
            uid: users.uid,
            gid: users.gid,
            groups: suite.users.groups.clone(),
            locked: users.lock,
            default_password: users.password.is_none(),
            keys: user_keys,
            name,
        },
        root_keys,
        root_password: users.root_password.is_some(),
        firstboot,
        firstlogin,
        kernel_options: hypervisor.kernel_options().to_owned(),
    }
}

/// The locale of the machine: the option, else that of the caller, else C.UTF-8. What the caller's
/// environment names and glibc does not know is passed over.
fn normal_locale(option: Option<&str>) -> String {
    let spell = |name: &str| name.replace(".utf8", ".UTF-8");
    if let Some(name) = option {
        return spell(name);
    }
    let environment = std::env::var("LANG").unwrap_or_default();
    match environment.as_str() {
        "" | "C" | "POSIX" => "C.UTF-8".to_owned(),
        name if checks::locale(name).is_ok() => spell(name),
        _ => "C.UTF-8".to_owned(),
    }
}

/// What this host has and gives.
struct Host {
    privilege: Privilege,
    bootstrap: BootstrapTool,
    keyring: PathBuf,
    cache: Cache,
    scratch: PathBuf,
    destination: PathBuf,
    apt_options: Vec<String>,
    mirrors: archive::Mirrors,
    overlay: bool,
}

impl Host {
    fn look(appliance: &Appliance, request: &Request<'_>, runner: &Runner) -> Result<Host> {
        let mut problems = Vec::new();
        let mut note = |error: Error| problems.push(error);
        let privilege = identity::privilege().map_err(&mut note).ok();
        for program in needed_tools(privilege.as_ref()) {
            if tools::find(program).is_none() {
                note(tools::missing(program));
            }
        }
        let tool = choose_bootstrap(appliance.bootstrap.as_deref()).map_err(&mut note).ok();
        let keyring = find_keyring(appliance.keyring.as_deref(), request.suite).map_err(&mut note).ok();
        let destination = destination(appliance, request).map_err(&mut note).ok();
        let scratch = scratch(appliance.places.scratch.as_deref()).map_err(&mut note).ok();
        Error::all(problems)?;
        let (Some(privilege), Some(tool), Some(keyring), Some(destination), Some(scratch)) =
            (privilege, tool, keyring, destination, scratch)
        else {
            return Err(Error::host("this host was not understood"));
        };

        let cache = Cache::open(appliance.places.cache.as_deref(), appliance.places.no_cache, &scratch)?;
        let overlay = crate::worker::front::probe(runner, &privilege, cache.directory().to_owned())?;
        let sources = apt::host_sources(runner)?;
        Ok(Host {
            bootstrap: BootstrapTool { version: tools::version(runner, tool)?, name: tool.to_owned() },
            mirrors: archive::choose_mirrors(appliance, request.suite, &request.architecture, &sources),
            apt_options: apt::host_options(runner)?,
            privilege,
            keyring,
            cache,
            scratch,
            destination,
            overlay,
        })
    }
}

fn needed_tools(privilege: Option<&Privilege>) -> Vec<&'static str> {
    let mut programs = vec!["apt-get", "apt-config", "dpkg", "mke2fs", "qemu-img"];
    if matches!(privilege, Some(Privilege::UserNamespace { .. })) {
        programs.extend(["newuidmap", "newgidmap"]);
    }
    programs
}

fn choose_bootstrap(option: Option<&str>) -> Result<&'static str> {
    let there = |program| tools::find(program).is_some();
    match option {
        None | Some("auto") if there("mmdebstrap") => Ok("mmdebstrap"),
        None | Some("auto") if there("debootstrap") => Ok("debootstrap"),
        None | Some("auto" | "mmdebstrap") if !there("mmdebstrap") => Err(tools::missing("mmdebstrap")),
        Some("mmdebstrap") => Ok("mmdebstrap"),
        Some("debootstrap") if there("debootstrap") => Ok("debootstrap"),
        Some("debootstrap") => Err(tools::missing("debootstrap")),
        other => Err(Error::usage(format!("`{}` is not a bootstrap tool", other.unwrap_or_default()))
            .hint("Bootstrap tools: mmdebstrap, debootstrap, auto.")),
    }
}

fn find_keyring(option: Option<&Path>, suite: &Suite) -> Result<PathBuf> {
    if let Some(path) = option {
        let absolute = std::path::absolute(path)
            .context(Kind::Config, || format!("reading --keyring {}", path.display()))?;
        return match absolute.is_file() {
            true => Ok(absolute),
            false => Err(Error::config(format!("--keyring {} is not a file", path.display()))),
        };
    }
    if let Some(found) = suite.keys.keyrings.iter().map(PathBuf::from).find(|path| path.is_file()) {
        return Ok(found);
    }
    let missing = suite.keys.keyrings.first().map_or("", String::as_str);
    let error = Error::host(format!("the keyring that checks {} is not here: {missing}", suite.title()));
    Err(match suite.keys.host_packages.get(&tools::host_distro()).or(suite.keys.host_packages.get("debian")) {
        Some(package) => error.hint(format!(
            "Install it with `sudo apt-get install {package}` (on Debian 12 from its backports), or name one with --keyring."
        )),
        None => error.hint("Name one with --keyring."),
    })
}

/// The destination, absolute. One that exists is only replaced when that was asked for and it is ours.
fn destination(appliance: &Appliance, request: &Request<'_>) -> Result<PathBuf> {
    let default = || PathBuf::from(format!("{}-{}", request.suite.distro, request.hypervisor.name()));
    let given = appliance.places.destination.clone().unwrap_or_else(default);
    let context = || format!("looking at the destination {}", given.display());
    let path = std::path::absolute(&given).context(Kind::Config, context)?;
    let current = std::env::current_dir().context(Kind::Config, context)?;
    if current.starts_with(&path) {
        return Err(Error::config(format!("the destination {} holds the current directory", path.display()))
            .hint("Name another with --destdir."));
    }
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(Kind::Config, context),
        Ok(_) if !appliance.places.overwrite => {
            return Err(Error::config(format!("the destination {} exists", path.display()))
                .hint("Replace it with --overwrite, or name another with --destdir."));
        }
        Ok(metadata) if !metadata.is_dir() || !is_ours(&path) => {
            return Err(Error::config(format!("the destination {} is not a directory of rvmb's", path.display()))
                .hint("--overwrite replaces what rvmb has made and nothing else; remove it yourself, or name another."));
        }
        Ok(_) => {}
    }
    let parent = path.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .context(Kind::Config, || format!("writing into {}", parent.display()))?;
    Ok(path)
}

fn is_ours(directory: &Path) -> bool {
    let empty = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    empty || directory.join("manifest.json").is_file()
}

/// Where scratch files go. /tmp is often memory, and a disk image is large: /var/tmp is the default.
fn scratch(option: Option<&Path>) -> Result<PathBuf> {
    let environment = std::env::var_os("TMPDIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = option.map(Path::to_owned).or(environment).unwrap_or_else(|| PathBuf::from("/var/tmp"));
    let context = || format!("looking at the scratch directory {}", path.display());
    let path = std::path::absolute(&path).context(Kind::Config, context)?;
    if !path.is_dir() {
        return Err(Error::config(format!("the scratch directory {} is not there", path.display()))
            .hint("Make it, or name another with --tmp."));
    }
    rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).context(Kind::Config, context)?;
    Ok(path)
}

fn warn_about_age(suite: &Suite, sink: &dyn event::Sink) {
    if suite.tier == Tier::Ended {
        let ended = suite.dates.end_of_life.map(|day| format!(" on {day}")).unwrap_or_default();
        let text = format!("{} has ended{ended}: it gets no security updates any more", suite.title());
        sink.emit(Event::Warning { text });
    }
}

fn fetch_index(appliance: &Appliance, request: &Request<'_>, host: &Host, runner: &Runner) -> Result<Index> {
    Index::refresh(
        runner,
        &IndexRequest {
            directory: &host.cache.indices(),
            archives: &host.cache.archives(),
            sources: &archive::sources(request.suite, &host.mirrors),
            components: &request.components,
            keyring: &host.keyring,
            architecture: &request.architecture,
            proxy: appliance.proxy.as_deref(),
            options: &host.apt_options,
            may_be_expired: request.suite.tier == Tier::Ended,
        },
    )
    .map_err(|error| archive::explain_age(error, request.suite))
}

fn assemble(
    appliance: &Appliance,
    request: Request<'_>,
    host: Host,
    index: Index,
    resolved: Vec<Package>,
) -> Result<Planned> {
    let epoch = match source_date_epoch()? {
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
    let mirrors: Vec<&str> = index.sources.iter().map(|source| source.uri.as_str()).collect();
    let keys = [Some(&layers.base), Some(&layers.initramfs), layers.packages.as_ref()];
    let keys: Vec<&str> = keys.into_iter().flatten().map(|layer| layer.key.as_str()).collect();
    let sizes = appliance.sizes;
    let sizes = [sizes.disk, sizes.root, sizes.swap, sizes.opt];
    let identity = (
        RECIPE,
        keys,
        &request.guest,
        &target.format,
        &request.architecture,
        sizes,
        mirrors,
        &request.components,
        epoch,
    );
    let id = Uuid::new_v5(
        &NAMESPACE,
        &serde_json::to_vec(&identity).context(Kind::Build, || "naming the plan".into())?,
    );

    let disk = layout::plan(&layout::LayoutRequest {
        architecture: request.architecture.clone(),
        disk: sizes[0],
        root: sizes[1],
        swap: sizes[2],
        opt: sizes[3],
        ext4_features: ext4_features(request.suite.filesystem.ext4).into_iter().map(str::to_owned).collect(),
        seed: id,
    })?;
    let secrets = secrets(appliance, &request, id)?;
    let packages = Packages {
        base: request.base,
        added: request.added,
        removed: request.removed,
        debconf,
        variant: appliance.variant.clone(),
        resolved,
        layers,
    };
    let plan = Plan {
        format: 1,
        id,
        epoch,
        output: Output {
            image: format!("{}-disk0.{}", request.guest.hostname, target.format),
            directory: host.destination,
            overwrite: appliance.places.overwrite,
        },
        archive: Archive {
            sources: index.sources,
            components: request.components,
            keyring: host.keyring,
            proxy: appliance.proxy.clone(),
            mirror_origin: host.mirrors.origin.to_owned(),
            apt_options: host.apt_options,
            index: index.directory,
            archives: host.cache.archives(),
        },
        suite: request.suite.clone(),
        architecture: request.architecture,
        target,
        packages,
        guest: request.guest,
        disk,
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

/// The variable of reproducible-builds.org's specification.
fn source_date_epoch() -> Result<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(None),
        Ok(text) => text
            .parse()
            .map(Some)
            .context(Kind::Config, || format!("reading SOURCE_DATE_EPOCH `{text}` as seconds since 1970")),
    }
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
    let wanted = !request.added.is_empty() || !request.removed.is_empty();
    let packages = wanted
        .then(|| {
            digest(BTreeMap::from([
                ("base", base.clone()),
                ("added", request.added.join(" ")),
                ("removed", request.removed.join(" ")),
            ]))
        })
        .transpose()?;
    let layer = |key: String| Layer { cached: host.overlay && host.cache.has_layer(&key), key };
    Ok(Layers { base: layer(base), initramfs: layer(initramfs), packages: packages.map(layer) })
}

fn secrets(appliance: &Appliance, request: &Request<'_>, id: Uuid) -> Result<Secrets> {
    let users = &appliance.users;
    let name = &request.guest.user.name;
    let method = request.suite.users.hash;
    // vmbuilder's default password was the name of its default user; here it is the user's own name.
    let password = users.password.as_deref().unwrap_or(name);
    let user_hash =
        (!password.is_empty()).then(|| passwords::hash(password, name, id, method)).transpose()?;
    let root_hash = users
        .root_password
        .as_deref()
        .map(|password| passwords::hash(password, "root", id, method))
        .transpose()?;
    Ok(Secrets { user_hash, root_hash })
}

/// Refuses a root file system that cannot hold what will be installed.
fn packages_fit(plan: &Plan) -> Result<()> {
    let Some(root) = plan.disk.mounted_at("/") else { return Ok(()) };
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
