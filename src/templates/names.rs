//! Which files templates make, how they are called, and how vmbuilder called them.
//!
//! A template is `DIRECTORY/PLUGIN/NAME.tmpl`, as vmbuilder had it: the plugin is the distribution for files of
//! the machine, the hypervisor for those that start it, and `libvirt` for its definition there.

use serde::{Deserialize, Serialize};

use crate::near;

/// How the file name of a template ends.
pub const EXTENSION: &str = "tmpl";

/// A file that a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// /etc/hosts.
    Hosts,
    /// The configuration of the network, in the format of the release's own stack.
    Network,
    /// apt's sources, in the format and the file that the release has.
    Sources,
    /// /etc/fstab.
    Fstab,
    /// The file that sets the locale.
    Locale,
    /// The script that starts the machine.
    RunScript,
    /// The machine's definition for libvirt.
    LibvirtXml,
}

/// Whose directory a template is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plugin {
    Distro,
    Hypervisor,
    Libvirt,
}

/// A template, its name, and what vmbuilder called it.
const TABLE: [(Template, Plugin, &str, &[&str]); 7] = [
    (Template::Hosts, Plugin::Distro, "hosts", &["etc_hosts"]),
    (Template::Network, Plugin::Distro, "network", &["interfaces"]),
    (Template::Sources, Plugin::Distro, "sources", &["sources.list"]),
    (Template::Fstab, Plugin::Distro, "fstab", &["dapper_fstab"]),
    (Template::Locale, Plugin::Distro, "locale", &[]),
    (Template::RunScript, Plugin::Hypervisor, "run.sh", &[]),
    (Template::LibvirtXml, Plugin::Libvirt, "libvirtxml", &[]),
];

/// Templates that vmbuilder had and that have no counterpart: plugin (`distro` is debian or ubuntu), name, and
/// what to do instead.
const RETIRED: [(&str, &str, &str); 16] = [
    ("distro", "devicemap", "The boot loader needs no map of devices any more."),
    ("distro", "initctl-stub", "Services are kept from starting in another way."),
    ("distro", "kernelimg", "The kernel packages of the release need no such file."),
    ("distro", "menu.lst", "GRUB makes its own menu; settings go into /etc/default/grub.d with --copy."),
    ("distro", "nostart-policy-rc.d", "Services are kept from starting in another way."),
    ("distro", "sshd_config", "Copy a file into /etc/ssh/sshd_config.d with --copy."),
    ("distro", "sudoers", "Copy a file into /etc/sudoers.d with --copy and mode=0440."),
    ("distro", "timezone", "Set it with --timezone."),
    ("distro", "upstart", "Copy a unit of systemd with --copy."),
    ("firstscripts", "firstbootrc", "Give the script itself with --firstboot."),
    ("firstscripts", "firstloginrc", "Give the script itself with --firstlogin."),
    ("libvirt", "libvirtxml_fsimage", "Machines have whole disks; the template is libvirtxml."),
    ("virtualbox", "vm_deploy_script", "Change the file beside the image."),
    ("vmware", "esxi.vmx", "Change the file beside the image."),
    ("vmware", "flat.vmdk", "The disk's description is made together with the disk."),
    ("vmware", "vmware", "Change the file beside the image."),
];

/// What a file name in a directory of templates stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A template for this machine.
    Template(Template),
    /// A template for another distribution or hypervisor.
    Other,
    /// One of vmbuilder's that has no counterpart: what to do instead.
    Retired(&'static str),
    /// Nothing that is known: a question with near matches, where there are any.
    Unknown(Option<String>),
}

/// For which machine templates are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its distribution.
    pub distro: &'a str,
    /// Its hypervisor.
    pub hypervisor: &'a str,
    /// Every distribution.
    pub distros: &'a [&'a str],
    /// Every hypervisor.
    pub hypervisors: &'a [&'a str],
}

impl Machine<'_> {
    /// What `NAME` (without its extension) in the directory `plugin` stands for.
    pub fn find(&self, plugin: &str, name: &str) -> Found {
        let (kind, is_ours) = match plugin {
            "libvirt" => (Some(Plugin::Libvirt), true),
            distro if self.distros.contains(&distro) => (Some(Plugin::Distro), distro == self.distro),
            other if self.hypervisors.contains(&other) => {
                (Some(Plugin::Hypervisor), other == self.hypervisor)
            }
            _ => (None, false),
        };
        let row = TABLE
            .iter()
            .find(|(_, of, own, theirs)| Some(*of) == kind && (*own == name || theirs.contains(&name)));
        if let Some((template, ..)) = row {
            return if is_ours { Found::Template(*template) } else { Found::Other };
        }
        let of = if kind == Some(Plugin::Distro) { "distro" } else { plugin };
        if let Some((.., instead)) = RETIRED.iter().find(|(from, old, _)| *from == of && *old == name) {
            return Found::Retired(instead);
        }
        let known = TABLE.iter().filter(|(_, of, ..)| kind.is_none_or(|kind| *of == kind));
        let places: Vec<String> = known.flat_map(|(_, of, own, _)| self.places(*of, own)).collect();
        let word = format!("{plugin}/{name}");
        Found::Unknown(near::question(&word, places.iter().map(String::as_str)))
    }

    /// Where a template may be, from its directory on and without its extension.
    fn places(&self, plugin: Plugin, name: &str) -> Vec<String> {
        let directories = match plugin {
            Plugin::Distro => self.distros,
            Plugin::Hypervisor => self.hypervisors,
            Plugin::Libvirt => &["libvirt"],
        };
        directories.iter().map(|directory| format!("{directory}/{name}")).collect()
    }
}

impl Template {
    /// Its name: that of its file without the extension.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(template, ..)| *template == self).map_or("", |(_, _, name, _)| name)
    }

    /// The template of that name.
    pub fn of_name(name: &str) -> Option<Template> {
        TABLE.iter().find(|(_, _, own, _)| *own == name).map(|(template, ..)| *template)
    }

    /// Whether it makes a file in the machine, and so decides the image's bytes.
    pub fn is_in_the_machine(self) -> bool {
        TABLE.iter().any(|(template, plugin, ..)| *template == self && *plugin == Plugin::Distro)
    }

    /// Whether a dollar sign in it is a shell's.
    pub(super) fn is_script(self) -> bool {
        self == Template::RunScript
    }

    /// The template of a file that is left beside the image.
    pub fn of_launch_file(name: &str) -> Option<Template> {
        match name.rsplit_once('.') {
            Some(("run", "sh")) => Some(Template::RunScript),
            Some((_, "xml")) => Some(Template::LibvirtXml),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine<'static> = Machine {
        distro: "debian",
        hypervisor: "kvm",
        distros: &["debian", "ubuntu"],
        hypervisors: &["kvm", "qemu"],
    };

    #[test]
    fn names_of_rvmb_and_of_vmbuilder_are_known() {
        for (plugin, name, expected) in [
            ("debian", "hosts", Found::Template(Template::Hosts)),
            ("debian", "etc_hosts", Found::Template(Template::Hosts)),
            ("debian", "interfaces", Found::Template(Template::Network)),
            ("debian", "sources.list", Found::Template(Template::Sources)),
            ("debian", "dapper_fstab", Found::Template(Template::Fstab)),
            ("ubuntu", "etc_hosts", Found::Other),
            ("kvm", "run.sh", Found::Template(Template::RunScript)),
            ("qemu", "run.sh", Found::Other),
            ("libvirt", "libvirtxml", Found::Template(Template::LibvirtXml)),
        ] {
            assert_eq!(MACHINE.find(plugin, name), expected, "{plugin}/{name}");
        }
        for (plugin, name) in [("ubuntu", "sudoers"), ("firstscripts", "firstbootrc"), ("vmware", "vmware")] {
            assert!(matches!(MACHINE.find(plugin, name), Found::Retired(_)), "{plugin}/{name}");
        }
    }

    #[test]
    fn names_that_are_not_known_have_near_matches() {
        for (plugin, name, near) in [
            ("debian", "host", Some("debian/hosts")),
            ("libvirt", "libvirt.xml", Some("libvirt/libvirtxml")),
            ("debain", "hosts", Some("debian/hosts")),
            ("kvm", "qqqqqqq", None),
        ] {
            let Found::Unknown(question) = MACHINE.find(plugin, name) else { panic!("{plugin}/{name}") };
            match near {
                Some(near) => assert!(question.unwrap().contains(near), "{plugin}/{name}"),
                None => assert_eq!(question, None),
            }
        }
    }

    #[test]
    fn every_template_is_in_the_table() {
        for (template, _, name, _) in TABLE {
            assert_eq!(template.name(), name);
        }
        assert_eq!(Template::of_launch_file("web.xml"), Some(Template::LibvirtXml));
        assert_eq!(Template::of_launch_file("prune.sh"), None);
        assert!(Template::Hosts.is_in_the_machine() && !Template::RunScript.is_in_the_machine());
    }
}
