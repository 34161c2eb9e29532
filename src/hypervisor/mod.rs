//! What a target needs: disk format, kernel options, defaults of the virtual machine, launch files.
//!
//! A hypervisor is one file with one implementation of [`Hypervisor`] and one line in [`ALL`].

mod kvm;
mod launch;
pub mod libvirt;
mod qemu;

use crate::error::{Error, Result};
use crate::near;
use crate::plan::{Plan, Runs};
use crate::units::Size;

pub use launch::LaunchFile;

/// A target that images are made for.
pub trait Hypervisor: Sync {
    /// What the user types.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str;

    /// Format of the disk image, by qemu-img's name, which is the file's extension, too.
    fn disk_format(&self) -> &'static str;

    /// The architectures that it starts, by Debian's names.
    fn architectures(&self) -> &'static [&'static str];

    /// What the guest's kernel is told, so that its messages and a login reach the user.
    fn kernel_options(&self) -> &'static str;

    /// Memory of the virtual machine where the user names none.
    ///
    /// vmbuilder gave 128 MiB; kernel and initial RAM file system of today's releases do not start in that.
    fn default_memory(&self) -> Size {
        Size::mib(1024)
    }

    /// Processors of the virtual machine where the user names none, as vmbuilder had it.
    fn default_cpus(&self) -> u32 {
        1
    }

    /// How many disks one of its machines can have.
    fn most_disks(&self) -> usize;

    /// What runs its machines under libvirt; none where libvirt does not start them.
    fn libvirt(&self) -> Option<Runs> {
        None
    }

    /// The files that are left beside the image to start it.
    fn launch_files(&self, plan: &Plan) -> Vec<LaunchFile>;
}

/// Every hypervisor that images can be made for.
const ALL: &[&dyn Hypervisor] = &[&kvm::Kvm, &qemu::Qemu];

/// Names that users know from vmbuilder and others, and that come later.
pub const PLANNED: &[&str] =
    &["xen", "vmware", "vmw6", "vmserver", "esxi", "virtualbox", "vbox", "hyperv", "raw"];

/// Every hypervisor that images can be made for.
pub fn all() -> &'static [&'static dyn Hypervisor] {
    ALL
}

/// The hypervisor of that name; an error of kind usage, with near matches, if there is none.
pub fn find(name: &str) -> Result<&'static dyn Hypervisor> {
    if let Some(found) = ALL.iter().find(|hypervisor| hypervisor.name() == name) {
        return Ok(*found);
    }
    let available: Vec<&str> = ALL.iter().map(|hypervisor| hypervisor.name()).collect();
    let available = available.join(", ");
    if PLANNED.contains(&name) {
        return Err(Error::usage(format!("{name} is not available yet; available: {available}")));
    }
    let names = ALL.iter().map(|hypervisor| hypervisor.name()).chain(PLANNED.iter().copied());
    let error = Error::usage(format!("`{name}` is not a hypervisor; available: {available}"));
    Err(match near::question(name, names) {
        Some(question) => error.hint(question),
        None => error,
    })
}

/// The files that are left beside the image of `plan` to start it.
pub fn launch_files(plan: &Plan) -> Result<Vec<LaunchFile>> {
    Ok(find(&plan.target.hypervisor)?.launch_files(plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_there_is_found() {
        for hypervisor in all() {
            assert_eq!(find(hypervisor.name()).unwrap().name(), hypervisor.name());
            assert_eq!(hypervisor.disk_format(), "qcow2");
            assert!(hypervisor.kernel_options().contains("console=ttyS0"));
        }
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        for name in PLANNED {
            let error = find(name).err().unwrap();
            assert_eq!(error.kind(), Kind::Usage);
            assert_eq!(error.message(), format!("{name} is not available yet; available: kvm, qemu"));
        }
    }

    #[test]
    fn what_is_misspelt_has_near_matches() {
        let cases = [
            ("KVM", &["Did you mean `kvm`?"][..]),
            ("quemu", &["Did you mean `qemu`?"]),
            ("hyper-v", &["Did you mean `hyperv`?"]),
            ("bochs", &[]),
            ("", &[]),
        ];
        for (name, hints) in cases {
            let error = find(name).err().unwrap();
            assert_eq!(error.message(), format!("`{name}` is not a hypervisor; available: kvm, qemu"));
            assert_eq!(error.hints(), hints, "{name}");
        }
    }
}
