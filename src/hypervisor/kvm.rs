//! KVM: QEMU on the processor itself where that works, translation elsewhere.

use super::launch::{self, Engine, LaunchFile};
use super::{Hypervisor, libvirt, qemu};
use crate::plan::{Plan, Runs};

pub(super) struct Kvm;

impl Hypervisor for Kvm {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn summary(&self) -> &'static str {
        "QEMU with KVM"
    }

    fn disk_format(&self) -> &'static str {
        qemu::DISK_FORMAT
    }

    fn architectures(&self) -> &'static [&'static str] {
        qemu::ARCHITECTURES
    }

    fn kernel_options(&self) -> &'static str {
        qemu::KERNEL_OPTIONS
    }

    fn most_disks(&self) -> usize {
        launch::MOST_DISKS
    }

    fn libvirt(&self) -> Option<Runs> {
        Some(Runs::Kvm)
    }

    fn launch_files(&self, plan: &Plan) -> Vec<LaunchFile> {
        vec![launch::run_script(plan, Engine::KvmWhereItWorks), libvirt::domain_file(plan, Runs::Kvm)]
    }
}
