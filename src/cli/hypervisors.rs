//! The hypervisors and distributions that the command line knows.

/// Hypervisors that can be built for, with what the help says of each.
pub const AVAILABLE: &[(&str, &str)] =
    &[("kvm", "Build a machine for QEMU with KVM"), ("qemu", "Build a machine for QEMU without KVM")];

/// Hypervisors that vmbuilder or its users know and that cannot be built for yet.
pub const COMING: &[&str] =
    &["xen", "vmware", "vmw6", "vmserver", "esxi", "virtualbox", "vbox", "hyperv", "raw"];

/// Distributions, with what the help says of each.
pub const DISTROS: &[(&str, &str)] =
    &[("debian", "Build a Debian machine"), ("ubuntu", "Build an Ubuntu machine")];
