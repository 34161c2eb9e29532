//! What a setting is where nobody names it, in words for the help and for `rvmb config show`.

use crate::appliance::settings;
use crate::disk::layout::{DEFAULT_ROOT, DEFAULT_SWAP};
use crate::hypervisor::Hypervisor;
use crate::suite::Registry;
use crate::units::MIB;

/// The machines that defaults are told for.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) hypervisor: &'static dyn Hypervisor,
    pub(super) distro: &'a str,
    /// The releases, where they are known.
    pub(super) registry: Option<&'a Registry>,
}

/// The default of a setting beside those that were `chosen`, as names and values; none where one of them
/// leaves no room for it.
pub(super) fn beside(setting: &str, pair: Pair<'_>, chosen: &[(&str, &str)]) -> Option<String> {
    let default = of(setting, pair)?;
    let existing = chosen.iter().any(|(name, _)| *name == "existing-chroot");
    let leaves_no_room = |given: &&(&str, &str)| {
        let is_off = settings::find(given.0).is_some_and(|setting| setting.is_off(given.1));
        !is_off && settings::displaces(**given, (setting, &default))
    };
    let is_left = !(existing && settings::OF_NEW_TREES.contains(&setting));
    (is_left && chosen.iter().find(leaves_no_room).is_none()).then_some(default)
}

/// The default of a setting; none where there is nothing without it. What only the plan can know, such as
/// the mirror of this host, is told in words.
pub(super) fn of(setting: &str, pair: Pair<'_>) -> Option<String> {
    let Pair { hypervisor, distro, registry } = pair;
    let mib = |bytes: u64| (bytes / MIB).to_string();
    let words = match setting {
        "suite" => return Some(suite(distro, registry)),
        "user" | "hostname" => return Some(distro.to_owned()),
        "name" => return Some(title(distro)),
        "destdir" => return Some(format!("{distro}-{}", hypervisor.name())),
        "mem" => return Some(mib(hypervisor.default_memory().bytes())),
        "cpus" => return Some(hypervisor.default_cpus().to_string()),
        "rootsize" => return Some(mib(DEFAULT_ROOT.bytes())),
        "swapsize" => return Some(mib(DEFAULT_SWAP.bytes())),
        "optsize" => "0",
        "arch" => "this host's",
        "flavour" => "that of the release for the hypervisor",
        "components" => "those of the release",
        "mirror" | "security-mirror" => "the one in this host's apt sources, else the release's",
        "install-mirror" => "as --mirror",
        "install-security-mirror" => "as --security-mirror",
        "proxy" => "that of this host's apt and environment",
        "keyring" => "the distribution's, from this host",
        "variant" => "minbase",
        "pass" => "the user's name",
        "rootpass" => "root cannot log in by password",
        "uid" => "1000",
        "gid" => "as the user id",
        "domain" => "localdomain",
        "lang" => "that of $LANG, else C.UTF-8",
        "timezone" => "UTC",
        "ip" => "dhcp",
        "mask" => "the prefix length of --ip, else that of its class",
        "net" => "from --ip and --mask",
        "bcast" => "the last address of the network",
        "gw" => "the first address of the network",
        "dns" => "the gateway",
        "mac" => "one that is made from the machine's identity",
        "network" => "default",
        "label" => "gpt",
        "bootstrap" => "auto, which takes mmdebstrap where it is installed",
        "cache-dir" => "~/.cache/rvmb, for root /var/cache/rvmb",
        "tmp" => "$TMPDIR, else /var/tmp",
        "vbox-disk-format" => "vdi",
        "ec2-cert" => "$EC2_CERT",
        "ec2-key" => "$EC2_PRIVATE_KEY",
        _ => return None,
    };
    Some(words.to_owned())
}

fn suite(distro: &str, registry: Option<&Registry>) -> String {
    match registry.and_then(|registry| registry.default_suite(distro).ok()) {
        Some(suite) => suite.codename.clone(),
        None => "the newest stable or long-term one".to_owned(),
    }
}

fn title(distro: &str) -> String {
    let mut letters = distro.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor;

    fn pair<'a>(distro: &'a str, registry: Option<&'a Registry>) -> Pair<'a> {
        Pair { hypervisor: hypervisor::find("qemu").unwrap(), distro, registry }
    }

    #[test]
    fn defaults_are_those_of_the_pair() {
        let registry = Registry::built_in().unwrap();
        let of = |name| of(name, pair("ubuntu", Some(&registry))).unwrap_or_default();
        assert_eq!([of("user"), of("name"), of("destdir")], ["ubuntu", "Ubuntu", "ubuntu-qemu"]);
        assert_eq!([of("mem"), of("rootsize"), of("swapsize")], ["1024", "4096", "1024"]);
        assert_eq!(of("suite"), registry.default_suite("ubuntu").unwrap().codename);
        assert_eq!(of("addpkg"), "");
        assert!(suite("debian", None).starts_with("the newest"));
    }

    #[test]
    fn what_was_chosen_leaves_no_room_for_some_defaults() {
        let given = |name, chosen: &[(&str, &str)]| beside(name, pair("debian", None), chosen).is_some();
        assert!(given("rootsize", &[("mem", "1G")]));
        assert!(!given("rootsize", &[("size", "8G")]) && !given("swapsize", &[("part", "layout")]));
        assert!(!given("gw", &[("ip", "dhcp")]) && given("gw", &[("ip", "192.0.2.7")]));
        assert!(!given("network", &[("bridge", "br0")]));
        assert!(
            !given("user", &[("existing-chroot", "/srv/tree")]) && given("mem", &[("existing-chroot", "x")])
        );
        assert!(given("pass", &[("rootpass-file", "x")]) && !given("pass", &[("pass-file", "x")]));
    }

    #[test]
    fn switches_are_off_and_need_no_word() {
        for setting in settings::SETTINGS.iter().filter(|setting| setting.is_switch()) {
            assert_eq!(of(setting.name, pair("debian", None)), None, "{}", setting.name);
        }
    }
}
