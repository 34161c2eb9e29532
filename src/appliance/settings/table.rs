//! Every setting: its name, where its value lives, and the machines that it is for.

use super::{BOOTSTRAP_TOOLS, Field, ORDINARY_IDS, PROCESSORS, Scope, Setting, VBOX_DISK_FORMATS};

const fn setting(name: &'static str, field: Field) -> Setting {
    Setting { name, scope: Scope::Every, field }
}

impl Setting {
    const fn only(mut self, scope: Scope) -> Setting {
        self.scope = scope;
        self
    }
}

/// The hypervisors that libvirt and a run script start, as for vmbuilder.
const QEMU: Scope = Scope::Hypervisors(&["kvm", "qemu"]);
const VIRTUALBOX: Scope = Scope::Hypervisors(&["vbox"]);
const XEN: Scope = Scope::Hypervisors(&["xen"]);

/// Every setting, in the order of the help.
pub static SETTINGS: &[Setting] = &[
    setting("suite", Field::Text(|a| &mut a.suite)),
    setting("arch", Field::Text(|a| &mut a.architecture)),
    setting("flavour", Field::Text(|a| &mut a.flavour)),
    setting("components", Field::List(|a| &mut a.components)),
    setting("mirror", Field::Text(|a| &mut a.mirror)),
    setting("security-mirror", Field::Text(|a| &mut a.security_mirror)),
    setting("install-mirror", Field::Text(|a| &mut a.install_mirror)),
    setting("install-security-mirror", Field::Text(|a| &mut a.install_security_mirror)),
    setting("proxy", Field::Text(|a| &mut a.proxy)),
    setting("keyring", Field::Path(|a| &mut a.keyring)),
    setting("variant", Field::Text(|a| &mut a.variant)),
    setting("ppa", Field::List(|a| &mut a.ppas)).only(Scope::Distro("ubuntu")),
    setting("iso", Field::Path(|a| &mut a.iso)),
    setting("debootstrap-tarball", Field::Path(|a| &mut a.tarball)),
    setting("addpkg", Field::List(|a| &mut a.add_packages)),
    setting("removepkg", Field::List(|a| &mut a.remove_packages)),
    setting("install-recommends", Field::Switch(|a| &mut a.install_recommends)),
    setting("seedfile", Field::Path(|a| &mut a.seed_file)),
    setting("user", Field::Text(|a| &mut a.users.name)),
    setting("name", Field::Text(|a| &mut a.users.full_name)),
    setting("pass", Field::Secret(|a| &mut a.users.password)),
    setting("pass-file", Field::SecretFile(|a| &mut a.users.password)),
    setting("rootpass", Field::Secret(|a| &mut a.users.root_password)),
    setting("rootpass-file", Field::SecretFile(|a| &mut a.users.root_password)),
    setting("uid", Field::Number(&ORDINARY_IDS, |a| &mut a.users.uid)),
    setting("gid", Field::Number(&ORDINARY_IDS, |a| &mut a.users.gid)),
    setting("lock-user", Field::Switch(|a| &mut a.users.lock)),
    setting("ssh-key", Field::Path(|a| &mut a.users.root_keys)),
    setting("ssh-user-key", Field::Path(|a| &mut a.users.user_keys)),
    setting("hostname", Field::Text(|a| &mut a.hostname)),
    setting("domain", Field::Text(|a| &mut a.domain)),
    setting("lang", Field::Text(|a| &mut a.locale)),
    setting("timezone", Field::Text(|a| &mut a.timezone)),
    setting("mem", Field::Size(|a| &mut a.memory)),
    setting("cpus", Field::Number(&PROCESSORS, |a| &mut a.cpus)),
    setting("ip", Field::List(|a| &mut a.network.addresses)),
    setting("mask", Field::Text(|a| &mut a.network.mask)),
    setting("net", Field::Text(|a| &mut a.network.network)),
    setting("bcast", Field::Text(|a| &mut a.network.broadcast)),
    setting("gw", Field::List(|a| &mut a.network.gateways)),
    setting("dns", Field::List(|a| &mut a.network.name_servers)),
    setting("mac", Field::Text(|a| &mut a.network.mac)),
    setting("bridge", Field::Text(|a| &mut a.network.bridge)).only(QEMU),
    setting("network", Field::Text(|a| &mut a.network.libvirt_network)).only(QEMU),
    setting("size", Field::Size(|a| &mut a.sizes.disk)),
    setting("rootsize", Field::Size(|a| &mut a.sizes.root)),
    setting("swapsize", Field::Size(|a| &mut a.sizes.swap)),
    setting("optsize", Field::Size(|a| &mut a.sizes.opt)),
    setting("part", Field::Path(|a| &mut a.disks.part)),
    setting("label", Field::Text(|a| &mut a.disks.label)),
    setting("raw", Field::Paths(|a| &mut a.disks.raw)),
    setting("copy", Field::Path(|a| &mut a.copy)),
    setting("exec", Field::Path(|a| &mut a.exec)),
    setting("templates", Field::Path(|a| &mut a.templates)),
    setting("firstboot", Field::Path(|a| &mut a.firstboot)),
    setting("firstlogin", Field::Path(|a| &mut a.firstlogin)),
    setting("destdir", Field::Path(|a| &mut a.places.destination)),
    setting("overwrite", Field::Switch(|a| &mut a.places.overwrite)),
    setting("manifest", Field::Path(|a| &mut a.places.package_list)),
    setting("libvirt", Field::Text(|a| &mut a.libvirt)).only(QEMU),
    setting("vbox-disk-format", Field::Choice(VBOX_DISK_FORMATS, |a| &mut a.special.vbox_disk_format))
        .only(VIRTUALBOX),
    setting("xen-kernel", Field::Path(|a| &mut a.special.xen_kernel)).only(XEN),
    setting("xen-ramdisk", Field::Path(|a| &mut a.special.xen_ramdisk)).only(XEN),
    setting("only-chroot", Field::Switch(|a| &mut a.tree.only)),
    setting("chroot-dir", Field::Path(|a| &mut a.tree.directory)),
    setting("existing-chroot", Field::Path(|a| &mut a.tree.existing)),
    setting("tmpfs", Field::Text(|a| &mut a.tree.tmpfs)),
    setting("in-place", Field::Switch(|a| &mut a.tree.in_place)),
    setting("bootstrap", Field::Choice(BOOTSTRAP_TOOLS, |a| &mut a.bootstrap)),
    setting("cache-dir", Field::Path(|a| &mut a.places.cache)),
    setting("no-cache", Field::Switch(|a| &mut a.places.no_cache)),
    setting("tmp", Field::Path(|a| &mut a.places.scratch)),
    setting("ec2", Field::Switch(|a| &mut a.ec2.wanted)),
    setting("ec2-name", Field::Text(|a| &mut a.ec2.name)),
    setting("ec2-cert", Field::Path(|a| &mut a.ec2.certificate)),
    setting("ec2-key", Field::Path(|a| &mut a.ec2.key)),
    setting("ec2-user", Field::Text(|a| &mut a.ec2.user)),
    setting("ec2-bucket", Field::Text(|a| &mut a.ec2.bucket)),
    setting("ec2-access-key", Field::Text(|a| &mut a.ec2.access_key)),
    setting("ec2-secret-key", Field::Secret(|a| &mut a.ec2.secret_key)),
    setting("ec2-kernel", Field::Text(|a| &mut a.ec2.kernel)),
    setting("ec2-ramdisk", Field::Text(|a| &mut a.ec2.ramdisk)),
    setting("ec2-version", Field::Text(|a| &mut a.ec2.version)),
    setting("ec2-landscape", Field::Switch(|a| &mut a.ec2.landscape)),
    setting("ec2-bundle", Field::Switch(|a| &mut a.ec2.bundle)),
    setting("ec2-upload", Field::Switch(|a| &mut a.ec2.upload)),
    setting("ec2-register", Field::Switch(|a| &mut a.ec2.register)),
];
