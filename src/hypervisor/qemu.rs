//! QEMU without KVM: translation always, so that an image behaves alike wherever it is started.

use super::launch::{self, Engine, LaunchFile};
use super::{Hypervisor, libvirt};
use crate::plan::{Plan, Runs};

/// QEMU's own format: sparse, with snapshots.
pub(super) const DISK_FORMAT: &str = "qcow2";

/// What the launch file starts: a PC, by qemu-system-x86_64.
pub(super) const ARCHITECTURES: &[&str] = &["amd64", "i386"];

/// Messages go to the screen and to the first serial port. The last one named is `/dev/console`, where
/// systemd starts a login as well.
///
/// The check of the timer's interrupt (kernel-parameters of Linux, `no_timer_check`) looks for faults that
/// QEMU's timer has not, and measures for so short a time that on a busy host it can find one.
pub(super) const KERNEL_OPTIONS: &str = "console=tty0 console=ttyS0,115200 no_timer_check";

pub(super) struct Qemu;

impl Hypervisor for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn summary(&self) -> &'static str {
        "QEMU without KVM"
    }

    fn disk_format(&self) -> &'static str {
        DISK_FORMAT
    }

    fn architectures(&self) -> &'static [&'static str] {
        ARCHITECTURES
    }

    fn kernel_options(&self) -> &'static str {
        KERNEL_OPTIONS
    }

    fn most_disks(&self) -> usize {
        launch::MOST_DISKS
    }

    fn libvirt(&self) -> Option<Runs> {
        Some(Runs::Qemu)
    }

    fn launch_files(&self, plan: &Plan) -> Vec<LaunchFile> {
        vec![launch::run_script(plan, Engine::TranslationAlways), libvirt::domain_file(plan, Runs::Qemu)]
    }
}
