//! What the user's words mean for a release: everything that can be said without looking at this host
//! or at the archive. All problems are told at once.

use std::path::PathBuf;

use uuid::Uuid;

use super::archive::NO_SECURITY;
use super::customise::Customised;
use super::storage::Storage;
use super::variant::{self, Variant};
use super::word::{self, Word};
use super::{
    Guest, GuestNetwork, Medium, Script, User, checks, coming, libvirt, media, network, ppa, resolve, tree,
};
use crate::appliance::Appliance;
use crate::digest;
use crate::error::{Error, Result};
use crate::hypervisor::{self, Hypervisor};
use crate::suite::{NetworkStack, Registry, Suite};

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
    pub memory: Option<tree::Memory>,
    /// No time in the image is later, where the environment says so.
    pub epoch: Option<i64>,
}

/// Texts of the user's scripts, which do not stand in the plan.
#[derive(Default)]
pub(super) struct Scripts {
    pub firstboot: Option<String>,
    pub firstlogin: Option<String>,
}

impl<'a> Request<'a> {
    pub(super) fn read(appliance: &Appliance, registry: &'a Registry) -> Result<Request<'a>> {
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

        let flavour = match &appliance.flavour {
            Some(name) => name.clone(),
            None => suite.flavour_for(hypervisor.name(), &architecture).to_owned(),
        };
        let storage = Storage::read(appliance).map_err(|error| check(Err(error))).ok();
        match known_architecture(suite, hypervisor, &architecture) {
            // What there is for an architecture that there is not would only be told twice.
            Err(error) => check(Err(error)),
            Ok(()) => {
                check(suite.kernel_packages(&flavour, &architecture).map(drop));
                if let Some(storage) = &storage {
                    check(storage.plan(suite, &architecture, ("", ""), Uuid::nil()).map(drop));
                }
            }
        }
        if let Some(memory) = appliance.memory {
            check(checks::memory(memory));
        }
        if let Some(cpus) = appliance.cpus {
            check(checks::cpus(cpus));
        }
        let components = if appliance.components.is_empty() {
            suite.archive.components.clone()
        } else {
            appliance.components.clone()
        };
        for component in &components {
            check(known_component(suite, component));
        }
        for (option, address) in [
            ("--mirror", &appliance.mirror),
            ("--security-mirror", &appliance.security_mirror),
            ("--install-mirror", &appliance.install_mirror),
            ("--install-security-mirror", &appliance.install_security_mirror),
        ] {
            if let Some(address) = address {
                check(checks::mirror(option, address));
            }
        }
        if appliance.install_security_mirror.is_some()
            && appliance.security_mirror.as_deref() == Some(NO_SECURITY)
        {
            check(Err(Error::config("there is no security pocket for --install-security-mirror")
                .hint("Leave it out, or --security-mirror none.")));
        }
        if let Some(proxy) = &appliance.proxy {
            check(checks::proxy(proxy));
        }
        let variant = variant::find(appliance.variant.as_deref()).map_err(|error| check(Err(error))).ok();
        let (media, wrong_media) = media::read(appliance);
        wrong_media.into_iter().for_each(|error| check(Err(error)));
        let (ppas, wrong_ppas) = ppa::read(&appliance.ppas, &suite.distro);
        wrong_ppas.into_iter().for_each(|error| check(Err(error)));
        let (memory, wrong_tree) = tree::read(appliance);
        wrong_tree.into_iter().for_each(|error| check(Err(error)));
        let epoch = match std::env::var_os("SOURCE_DATE_EPOCH") {
            Some(text) => checks::epoch(&text.to_string_lossy()).map_err(|error| check(Err(error))).ok(),
            None => None,
        };
        libvirt::check(appliance, hypervisor).into_iter().for_each(&mut check);
        coming::check(appliance).into_iter().for_each(&mut check);
        let network = network::read(&appliance.network, appliance.domain.as_deref(), suite.network.stack)
            .unwrap_or_else(|errors| {
                problems.extend(errors);
                network::Request::default()
            });
        let settings = network.guest.clone();
        let (guest, scripts) = guest(appliance, suite, hypervisor, settings, &mut problems);
        let (mut added, removed) =
            word::sort(&appliance.add_packages, &appliance.remove_packages, &architecture, &mut problems);
        let customised = Customised::read(appliance, registry, &mut problems);
        Error::all(problems)?;
        let storage = storage.unwrap_or_default();
        let Some(variant) = variant else { return Err(Error::config("there is no variant")) };

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

fn cannot_be_removed(name: &str) -> Error {
    Error::config(format!("{name} cannot be removed: every machine of the release is made with it"))
        .hint("Leave it out of --removepkg; a --firstboot script can remove it from the machine that runs.")
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
    let error = Error::config(format!("{} has no component `{component}`", suite.title()))
        .hint(format!("Components: {}.", known.join(", ")));
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

fn guest(
    appliance: &Appliance,
    suite: &Suite,
    hypervisor: &dyn Hypervisor,
    network: GuestNetwork,
    problems: &mut Vec<Error>,
) -> (Guest, Scripts) {
    let users = &appliance.users;
    let name = users.name.clone().unwrap_or_else(|| suite.distro.clone());
    let hostname = appliance.hostname.clone().unwrap_or_else(|| suite.distro.clone());
    let domain = appliance.domain.clone().unwrap_or_else(|| "localdomain".to_owned());
    let locale = normal_locale(appliance.locale.as_deref());
    let timezone = appliance.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
    let full_name = users.full_name.clone().unwrap_or_else(|| suite.distro_title());

    let mut note = |result: Result<()>| problems.extend(result.err());
    note(checks::hostname(&hostname));
    note(checks::domain(&domain));
    note(checks::user_name(&name));
    for (option, id) in [("--uid", users.uid), ("--gid", users.gid)] {
        if let Some(id) = id {
            note(checks::ordinary_id(option, id));
        }
    }
    note(checks::full_name(&full_name));
    for (who, password) in [(name.as_str(), &users.password), ("root", &users.root_password)] {
        if let Some(password) = password {
            note(checks::password(who, password));
        }
    }
    note(checks::locale(&locale).map(drop));
    note(checks::timezone(&timezone));
    let mut script = |option: &str, path: &Option<PathBuf>| -> Option<(Script, String)> {
        let path = path.as_ref()?;
        let text = checks::script(option, path).map_err(|error| note(Err(error))).ok()?;
        let sha256 = digest::sha256(&text);
        Some((Script { path: path.clone(), sha256 }, text))
    };
    let (firstboot, firstboot_text) = script("--firstboot", &appliance.firstboot).unzip();
    let (firstlogin, firstlogin_text) = script("--firstlogin", &appliance.firstlogin).unzip();
    let mut keys = |option: &str, path: &Option<PathBuf>| -> Vec<String> {
        let read = path.as_ref().map(|path| checks::keys(option, path)).transpose();
        read.map_err(|error| note(Err(error))).ok().flatten().unwrap_or_default()
    };
    let root_keys = keys("--ssh-key", &users.root_keys);
    let user_keys = keys("--ssh-user-key", &users.user_keys);

    let guest = Guest {
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
        kernel_options: kernel_options(hypervisor, suite.network.stack, &network),
        network,
    };
    (guest, Scripts { firstboot: firstboot_text, firstlogin: firstlogin_text })
}

/// Kernel command line beside `root=` and `ro`. Where the configuration names the first interface, it is by
/// the kernel's own count; ifupdown knows no other way.
fn kernel_options(hypervisor: &dyn Hypervisor, stack: NetworkStack, network: &GuestNetwork) -> String {
    let consoles = hypervisor.kernel_options();
    if stack == NetworkStack::Ifupdown || network.counts_interfaces() {
        format!("{consoles} net.ifnames=0 biosdevname=0")
    } else {
        consoles.to_owned()
    }
}

/// The locale of the machine: the option, else that of the caller, else C.UTF-8. What the caller's
/// environment names and glibc does not know is passed over.
fn normal_locale(option: Option<&str>) -> String {
    if let Some(name) = option {
        return checks::spell_locale(name);
    }
    let environment = std::env::var("LANG").unwrap_or_default();
    match environment.as_str() {
        "" | "C" | "POSIX" => "C.UTF-8".to_owned(),
        name if checks::locale(name).is_ok() => checks::spell_locale(name),
        _ => "C.UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Addressing, StaticAddresses};

    #[test]
    fn interfaces_are_counted_where_the_network_knows_them_by_name() {
        let registry = Registry::built_in().unwrap();
        for suite in registry.all() {
            let fixed = |mac| GuestNetwork {
                addressing: Addressing::Static(StaticAddresses { mac, ..StaticAddresses::default() }),
                ..GuestNetwork::default()
            };
            let mac = "52:54:00:12:34:56".parse().ok();
            let old = suite.codename == "xenial";
            let cases = [(GuestNetwork::default(), old), (fixed(None), true), (fixed(mac), old)];
            for (network, expected) in cases {
                let options = kernel_options(hypervisor::find("kvm").unwrap(), suite.network.stack, &network);
                let words: Vec<&str> = options.split(' ').collect();
                assert!(words.contains(&"console=ttyS0,115200"), "{options}");
                let counted = words.contains(&"net.ifnames=0") && words.contains(&"biosdevname=0");
                assert_eq!(counted, expected, "{} {network:?}", suite.codename);
            }
        }
    }
}
