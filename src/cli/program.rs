//! The names that rvmb goes by, and what follows each of them on the command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The name that the program was started by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `rvmb HYPERVISOR DISTRO`.
    Rvmb,
    /// `vmbuilder HYPERVISOR DISTRO`.
    Vmbuilder,
    /// `ubuntu-vm-builder HYPERVISOR SUITE`, for Ubuntu alone.
    UbuntuVmBuilder,
}

impl Program {
    /// The program of a command line, which has its name in front.
    pub fn of(arguments: &mut impl Iterator<Item = OsString>) -> Program {
        let name = arguments.next().unwrap_or_default();
        match Path::new(&name).file_name().and_then(OsStr::to_str) {
            Some("vmbuilder") => Program::Vmbuilder,
            Some("ubuntu-vm-builder") => Program::UbuntuVmBuilder,
            _ => Program::Rvmb,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Program::Rvmb => "rvmb",
            Program::Vmbuilder => "vmbuilder",
            Program::UbuntuVmBuilder => "ubuntu-vm-builder",
        }
    }

    /// Its name beside the version.
    pub(super) fn full_name(self) -> String {
        match self {
            Program::Rvmb => self.name().to_owned(),
            _ => format!("{} (rvmb)", self.name()),
        }
    }

    /// What a machine is named by.
    pub(super) fn words(self) -> &'static str {
        match self {
            Program::Rvmb | Program::Vmbuilder => "HYPERVISOR DISTRO",
            Program::UbuntuVmBuilder => "HYPERVISOR SUITE",
        }
    }

    /// The distribution, where no word of the command line names it.
    pub(super) fn distro(self) -> Option<&'static str> {
        match self {
            Program::Rvmb | Program::Vmbuilder => None,
            Program::UbuntuVmBuilder => Some("ubuntu"),
        }
    }

    /// The words of a machine in an example, with a release where `suite` names one.
    pub(super) fn machine(self, hypervisor: &str, distro: &str, suite: Option<&str>) -> String {
        match (self, suite) {
            (Program::UbuntuVmBuilder, suite) => format!("{hypervisor} {}", suite.unwrap_or("jammy")),
            (_, Some(suite)) => format!("{hypervisor} {distro} --suite {suite}"),
            (_, None) => format!("{hypervisor} {distro}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_file() {
        let table = [
            ("vmbuilder", Program::Vmbuilder),
            ("/usr/bin/vmbuilder", Program::Vmbuilder),
            ("./ubuntu-vm-builder", Program::UbuntuVmBuilder),
            ("rvmb", Program::Rvmb),
            ("/proc/self/exe", Program::Rvmb),
            ("", Program::Rvmb),
        ];
        for (name, program) in table {
            let mut words = [name, "kvm"].into_iter().map(OsString::from);
            assert_eq!(Program::of(&mut words), program, "{name}");
            assert_eq!(words.next(), Some("kvm".into()));
        }
    }
}
