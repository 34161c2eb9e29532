//! What the user's words mean for what the guest knows of itself: names, users, locale, scripts.

use std::path::PathBuf;

use super::problems::Problems;
use super::{Guest, GuestNetwork, Script, User, checks, numbers, passwords};
use crate::appliance::{Appliance, Users};
use crate::digest;
use crate::error::About;
use crate::hypervisor::Hypervisor;
use crate::suite::{NetworkStack, Suite, title_of};

/// Texts of the user's scripts, which do not stand in the plan.
#[derive(Default)]
pub(super) struct Scripts {
    pub firstboot: Option<String>,
    pub firstlogin: Option<String>,
}

/// Reads it. What follows from the release is added by [`of_suite`].
pub(super) fn read(
    appliance: &Appliance,
    network: GuestNetwork,
    problems: &mut Problems,
) -> (Guest, Scripts) {
    let users = &appliance.users;
    let distro = &appliance.distro;
    let hostname = appliance.hostname.clone().unwrap_or_else(|| distro.clone());
    let domain = appliance.domain.clone().unwrap_or_else(|| "localdomain".to_owned());
    let locale = normal_locale(appliance.locale.as_deref());
    let timezone = appliance.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
    problems.keep(checks::hostname(&hostname).about("hostname"));
    problems.keep(checks::domain(&domain).about("domain"));
    let mut user = user(users, distro, problems);
    problems.keep(checks::locale(&locale).about("lang"));
    problems.keep(checks::timezone(&timezone).about("timezone"));
    let mut script = |option: &str, path: &Option<PathBuf>| -> Option<(Script, String)> {
        let path = path.as_ref()?;
        let text = problems.keep(checks::script(option, path).about(option))?;
        let sha256 = digest::sha256(&text);
        Some((Script { path: path.clone(), sha256 }, text))
    };
    let (firstboot, firstboot_text) = script("--firstboot", &appliance.firstboot).unzip();
    let (firstlogin, firstlogin_text) = script("--firstlogin", &appliance.firstlogin).unzip();
    let mut keys = |option: &str, path: &Option<PathBuf>| -> Vec<String> {
        let read = path.as_ref().map(|path| checks::keys(option, path)).transpose();
        problems.keep(read.about(option)).flatten().unwrap_or_default()
    };
    let root_keys = keys("--ssh-key", &users.root_keys);
    user.keys = keys("--ssh-user-key", &users.user_keys);
    let guest = Guest {
        hostname,
        domain,
        locale,
        timezone,
        user,
        root_keys,
        root_password: users.root_password.is_some(),
        firstboot,
        firstlogin,
        kernel_options: String::new(),
        network,
    };
    (guest, Scripts { firstboot: firstboot_text, firstlogin: firstlogin_text })
}

/// The first user, without keys and groups.
fn user(users: &Users, distro: &str, problems: &mut Problems) -> User {
    let name = users.name.clone().unwrap_or_else(|| distro.to_owned());
    let full_name = users.full_name.clone().unwrap_or_else(|| title_of(distro));
    problems.keep(checks::user_name(&name).about("user"));
    let uid = problems.keep(numbers::ordinary_id("--uid", users.uid.as_deref())).flatten();
    let gid = problems.keep(numbers::ordinary_id("--gid", users.gid.as_deref())).flatten();
    problems.keep(checks::full_name(&full_name).about("name"));
    for (who, password, setting) in
        [(name.as_str(), &users.password, "pass"), ("root", &users.root_password, "rootpass")]
    {
        if let Some(password) = password {
            let checked = passwords::check(who, password);
            problems.keep(checked.about(setting).about(&format!("{setting}-file")));
        }
    }
    User {
        full_name,
        uid,
        gid,
        groups: Vec::new(),
        locked: users.lock,
        default_password: users.password.is_none(),
        keys: Vec::new(),
        name,
    }
}

/// The guest with what follows from its release and its hypervisor.
pub(super) fn of_suite(guest: Guest, suite: &Suite, hypervisor: &dyn Hypervisor) -> Guest {
    Guest {
        kernel_options: kernel_options(hypervisor, suite.network.stack, &guest.network),
        user: User { groups: suite.users.groups.clone(), ..guest.user },
        ..guest
    }
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
    use crate::hypervisor;
    use crate::plan::{Addressing, StaticAddresses};
    use crate::suite::Registry;

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
