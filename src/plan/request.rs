//! What the user's words mean for a release: everything that can be said without looking at this host
//! or at the archive. All problems are told at once.

use uuid::Uuid;

use super::archive::NO_SECURITY;
use super::customise::Customised;
use super::guest::Scripts;
use super::problems::Problems;
use super::storage::Storage;
use super::variant::{self, Variant};
use super::word::{self, Word};
use super::{Guest, Medium, checks, coming, guest, libvirt, media, network, numbers, ppa, resolve, tree};
use crate::appliance::Appliance;
use crate::error::{About, Error, Result, Subject};
use crate::hypervisor::{self, Hypervisor};
use crate::suite::{Registry, Suite};
use crate::units::Size;

/// What the user's words mean for the suite; nothing but text and files was looked at.
pub(super) struct Request<'a> {
    pub suite: &'a Suite,
    pub hypervisor: &'static dyn Hypervisor,
    pub architecture: String,
    pub flavour: String,
    pub components: Vec<String>,
    pub variant: Variant,
    pub media: Vec<Medium>,
    pub ppas: Vec<ppa::Name>,
    pub base: Vec<String>,
    pub system: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub storage: Storage,
    pub guest: Guest,
    /// What the hypervisor gives to the guest; what the guest's own files say is in the guest.
    pub network: network::Request,
    pub scripts: Scripts,
    pub customised: Customised,
    pub recommends: bool,
    /// The file system in memory that the tree is made in.
    pub memory: Option<tree::Memory>,
    /// Memory of the virtual machine.
    pub memory_size: Size,
    /// Processors of the virtual machine.
    pub cpus: u32,
    /// No time in the image is later, where the environment says so.
    pub epoch: Option<i64>,
}

impl<'a> Request<'a> {
    pub(super) fn read(appliance: &Appliance, registry: &'a Registry) -> Result<Request<'a>> {
        let hypervisor = hypervisor::find(&appliance.hypervisor)?;
        let architecture = match &appliance.architecture {
            Some(name) => name.clone(),
            None => host_architecture().to_owned(),
        };
        let mut problems = Problems::default();
        // What is wrong without a release is told with that there is none of its name.
        let suite = problems.keep(find_suite(appliance, registry));
        let storage = Storage::read(appliance, &mut problems);
        if let Some(storage) = &storage {
            problems.keep(storage.can_be_attached(hypervisor.most_disks()));
        }
        if let Some(suite) = suite {
            fits_suite(suite, hypervisor, &architecture, storage.as_ref(), appliance, &mut problems);
        }
        let memory_size = problems.keep(numbers::memory(appliance.memory.as_deref())).flatten();
        let cpus = problems.keep(numbers::cpus(appliance.cpus.as_deref())).flatten();
        check_addresses(appliance, &mut problems);
        let variant = problems.keep(variant::find(appliance.variant.as_deref()).about("variant"));
        let (media, wrong) = media::read(appliance);
        problems.note_all(wrong);
        let (ppas, wrong) = ppa::read(&appliance.ppas, &appliance.distro);
        problems.note_all(wrong);
        let (memory, wrong) = tree::read(appliance);
        problems.note_all(wrong);
        let epoch = std::env::var_os("SOURCE_DATE_EPOCH").map(|text| checks::epoch(&text.to_string_lossy()));
        let epoch = problems.keep(epoch.transpose()).flatten();
        problems.note_all(libvirt::check(appliance, hypervisor));
        problems.note_all(coming::check(appliance));
        let stack = suite.map(|suite| suite.network.stack);
        let network = network::read(&appliance.network, appliance.domain.as_deref(), stack);
        let network = network.map_err(|wrong| problems.note_all(wrong)).unwrap_or_default();
        let (guest, scripts) = guest::read(appliance, network.guest.clone(), &mut problems);
        let (mut added, removed) =
            word::sort(&appliance.add_packages, &appliance.remove_packages, &architecture, &mut problems);
        let customised = Customised::read(appliance, registry, &mut problems);
        problems.told()?;
        let (Some(suite), Some(storage), Some(variant)) = (suite, storage, variant) else {
            return Err(Error::config("the machine was not understood"));
        };
        let guest = guest::of_suite(guest, suite, hypervisor);
        let flavour = flavour(appliance, suite, hypervisor, &architecture);
        let components = components(appliance, suite);

        if !guest.user.keys.is_empty() || !guest.root_keys.is_empty() {
            added.push(suite.ssh.package.clone());
        }
        added.sort();
        added.dedup();
        let base = base_packages(suite, &flavour, &architecture, &storage)?;
        let mut system = system_packages(suite, &architecture, &guest)?;
        system.retain(|name| !base.contains(name));
        let has = |word: &str| {
            let name = Word::name_of(word);
            base.iter().chain(&system).any(|known| known == name)
        };
        // A version or a suite is asked for beside what every machine has.
        added.retain(|text| !(has(text) && Word::parse(text).is_ok_and(|word| word.is_plain())));
        let needed = removed.iter().filter(|word| has(word));
        Error::all(needed.map(|name| cannot_be_removed(name)).collect())?;
        Ok(Request {
            suite,
            hypervisor,
            architecture,
            flavour,
            components,
            variant,
            media,
            ppas,
            base,
            system,
            added,
            removed,
            storage,
            guest,
            network,
            scripts,
            customised,
            recommends: appliance.install_recommends,
            memory,
            memory_size: memory_size.unwrap_or(hypervisor.default_memory()),
            cpus: cpus.unwrap_or(hypervisor.default_cpus()),
            epoch,
        })
    }

    pub(super) fn packages(&self) -> resolve::Request<'_> {
        resolve::Request {
            variant: self.variant.pattern,
            base: &self.base,
            system: &self.system,
            added: &self.added,
            removed: &self.removed,
            recommends: self.recommends,
        }
    }
}

/// The release that the user names, or else the distribution's newest.
fn find_suite<'a>(appliance: &Appliance, registry: &'a Registry) -> Result<&'a Suite> {
    let found = match &appliance.suite {
        Some(name) => registry.find(&appliance.distro, name),
        None => registry.default_suite(&appliance.distro),
    };
    found.about("suite")
}

/// The kernel flavour that the user names, or else the release's for the hypervisor.
fn flavour(appliance: &Appliance, suite: &Suite, hypervisor: &dyn Hypervisor, architecture: &str) -> String {
    let own = || suite.flavour_for(hypervisor.name(), architecture).to_owned();
    appliance.flavour.clone().unwrap_or_else(own)
}

/// The components that the user names, or else the release's.
fn components(appliance: &Appliance, suite: &Suite) -> Vec<String> {
    match appliance.components.is_empty() {
        true => suite.archive.components.clone(),
        false => appliance.components.clone(),
    }
}

/// What can only be said together with the release.
fn fits_suite(
    suite: &Suite,
    hypervisor: &dyn Hypervisor,
    architecture: &str,
    storage: Option<&Storage>,
    appliance: &Appliance,
    problems: &mut Problems,
) {
    // What there is for an architecture that there is not would only be told twice.
    let known = known_architecture(suite, hypervisor, architecture).about("arch");
    if problems.keep(known).is_some() {
        let flavour = flavour(appliance, suite, hypervisor, architecture);
        problems.keep(suite.kernel_packages(&flavour, architecture).about("flavour"));
        let layout = storage.map(|storage| storage.plan(suite, architecture, ("", ""), Uuid::nil()));
        problems.keep(layout.transpose());
    } else if let Some(flavour) = &appliance.flavour {
        problems.keep(suite.knows_flavour(flavour).about("flavour"));
    }
    for component in components(appliance, suite) {
        problems.keep(known_component(suite, &component).about_item("components", &component));
    }
}

/// Mirrors and proxy.
fn check_addresses(appliance: &Appliance, problems: &mut Problems) {
    for (option, address) in [
        ("--mirror", &appliance.mirror),
        ("--security-mirror", &appliance.security_mirror),
        ("--install-mirror", &appliance.install_mirror),
        ("--install-security-mirror", &appliance.install_security_mirror),
    ] {
        if let Some(address) = address {
            problems.keep(checks::mirror(option, address).about(option));
        }
    }
    if appliance.install_security_mirror.is_some()
        && appliance.security_mirror.as_deref() == Some(NO_SECURITY)
    {
        problems.note(
            Error::config("there is no security pocket for --install-security-mirror")
                .hint("Leave it out, or --security-mirror none."),
        );
    }
    if let Some(proxy) = &appliance.proxy {
        problems.keep(checks::proxy(proxy).about("proxy"));
    }
}

fn cannot_be_removed(name: &str) -> Error {
    Error::config(format!("{name} cannot be removed: every machine of the release is made with it"))
        .hint("Leave it out of --removepkg; a --firstboot script can remove it from the machine that runs.")
        .about(Subject::item("removepkg", name))
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

/// Whether the release has machines of an architecture, the hypervisor starts them, and this host can run
/// their programs.
fn known_architecture(suite: &Suite, hypervisor: &dyn Hypervisor, architecture: &str) -> Result<()> {
    let known = suite.bootable_architectures();
    if !known.contains(&architecture) {
        let error = Error::config(format!("{} cannot be built for `{architecture}`", suite.title()))
            .hint(format!("Architectures: {}.", known.join(", ")));
        return Err(checks::with_near_matches(error, architecture, known.into_iter()));
    }
    let started = hypervisor.architectures();
    if !started.contains(&architecture) {
        return Err(Error::config(format!(
            "machines for {} cannot be made of {architecture} yet",
            hypervisor.name()
        ))
        .hint(format!("Architectures of {}: {}.", hypervisor.name(), started.join(", "))));
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
    let error = Error::config(format!("{} has no component `{component}`", suite.title()));
    if let Some(hint) = checks::list_hint(component, &[' ', '\t', ';', ':'], |item| known.contains(&item)) {
        return Err(error.hint(hint));
    }
    let error = error.hint(format!("Components: {}.", known.join(", ")));
    Err(checks::with_near_matches(error, component, known.into_iter()))
}

/// What the initial RAM file system is made of or takes in: what the disks need, too.
fn base_packages(suite: &Suite, flavour: &str, architecture: &str, storage: &Storage) -> Result<Vec<String>> {
    let mut names = suite.bootstrap.packages.clone();
    names.extend(suite.kernel_packages(flavour, architecture)?.iter().cloned());
    names.extend(suite.initramfs.packages.iter().cloned());
    names.extend(storage.packages());
    names.sort();
    names.dedup();
    Ok(names)
}

fn system_packages(suite: &Suite, architecture: &str, guest: &Guest) -> Result<Vec<String>> {
    let mut names = suite.system.packages.clone();
    names.extend(suite.boot_packages(architecture)?.iter().cloned());
    names.extend(suite.network.packages.iter().cloned());
    names.extend(suite.users.packages.iter().cloned());
    if checks::locale(&guest.locale)?.is_some() {
        names.extend(suite.locale_packages(&guest.locale));
    }
    if checks::is_legacy_zone(&guest.timezone) && !suite.locale.legacy_zones.is_empty() {
        names.push(suite.locale.legacy_zones.clone());
    }
    names.sort();
    names.dedup();
    Ok(names)
}
