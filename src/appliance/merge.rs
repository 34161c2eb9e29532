//! Laying one appliance over another.

use super::model::{Appliance, Disks, Ec2, Network, Places, Sizes, Special, Tree, Users};

impl Appliance {
    /// This appliance with everything that `upper` sets in place of its own. A list replaces a list;
    /// a switch that is on in either is on, because a command line can only turn it on.
    #[must_use]
    pub fn overlaid_by(self, upper: Appliance) -> Appliance {
        Appliance {
            hypervisor: non_empty(upper.hypervisor, self.hypervisor),
            distro: non_empty(upper.distro, self.distro),
            suite: upper.suite.or(self.suite),
            architecture: upper.architecture.or(self.architecture),
            flavour: upper.flavour.or(self.flavour),
            components: list(upper.components, self.components),
            mirror: upper.mirror.or(self.mirror),
            security_mirror: upper.security_mirror.or(self.security_mirror),
            install_mirror: upper.install_mirror.or(self.install_mirror),
            install_security_mirror: upper.install_security_mirror.or(self.install_security_mirror),
            proxy: upper.proxy.or(self.proxy),
            ppas: list(upper.ppas, self.ppas),
            iso: upper.iso.or(self.iso),
            tarball: upper.tarball.or(self.tarball),
            keyring: upper.keyring.or(self.keyring),
            variant: upper.variant.or(self.variant),
            bootstrap: upper.bootstrap.or(self.bootstrap),
            add_packages: list(upper.add_packages, self.add_packages),
            remove_packages: list(upper.remove_packages, self.remove_packages),
            install_recommends: upper.install_recommends || self.install_recommends,
            seed_file: upper.seed_file.or(self.seed_file),
            users: users(self.users, upper.users),
            hostname: upper.hostname.or(self.hostname),
            domain: upper.domain.or(self.domain),
            locale: upper.locale.or(self.locale),
            timezone: upper.timezone.or(self.timezone),
            network: network(self.network, upper.network),
            sizes: sizes(self.sizes, upper.sizes),
            disks: disks(self.disks, upper.disks),
            memory: upper.memory.or(self.memory),
            cpus: upper.cpus.or(self.cpus),
            firstboot: upper.firstboot.or(self.firstboot),
            firstlogin: upper.firstlogin.or(self.firstlogin),
            copy: upper.copy.or(self.copy),
            exec: upper.exec.or(self.exec),
            templates: upper.templates.or(self.templates),
            tree: tree(self.tree, upper.tree),
            libvirt: upper.libvirt.or(self.libvirt),
            special: special(self.special, upper.special),
            ec2: ec2(self.ec2, upper.ec2),
            places: places(self.places, upper.places),
            origins: self.origins.overlaid_by(upper.origins),
        }
    }
}

fn users(lower: Users, upper: Users) -> Users {
    Users {
        name: upper.name.or(lower.name),
        full_name: upper.full_name.or(lower.full_name),
        password: upper.password.or(lower.password),
        root_password: upper.root_password.or(lower.root_password),
        uid: upper.uid.or(lower.uid),
        gid: upper.gid.or(lower.gid),
        lock: upper.lock || lower.lock,
        root_keys: upper.root_keys.or(lower.root_keys),
        user_keys: upper.user_keys.or(lower.user_keys),
    }
}

fn sizes(lower: Sizes, upper: Sizes) -> Sizes {
    // A size of the whole disk and one of root are two answers to one question: where the upper
    // source gives one of them, the other one of the lower source no longer counts.
    let (disk, root) = match (upper.disk, upper.root) {
        (None, None) => (lower.disk, lower.root),
        given => given,
    };
    Sizes { disk, root, swap: upper.swap.or(lower.swap), opt: upper.opt.or(lower.opt) }
}

fn network(lower: Network, upper: Network) -> Network {
    Network {
        addresses: list(upper.addresses, lower.addresses),
        mask: upper.mask.or(lower.mask),
        network: upper.network.or(lower.network),
        broadcast: upper.broadcast.or(lower.broadcast),
        gateways: list(upper.gateways, lower.gateways),
        name_servers: list(upper.name_servers, lower.name_servers),
        mac: upper.mac.or(lower.mac),
        bridge: upper.bridge.or(lower.bridge),
        libvirt_network: upper.libvirt_network.or(lower.libvirt_network),
    }
}

fn disks(lower: Disks, upper: Disks) -> Disks {
    Disks {
        part: upper.part.or(lower.part),
        label: upper.label.or(lower.label),
        raw: list(upper.raw, lower.raw),
    }
}

fn tree(lower: Tree, upper: Tree) -> Tree {
    Tree {
        only: upper.only || lower.only,
        directory: upper.directory.or(lower.directory),
        existing: upper.existing.or(lower.existing),
        tmpfs: upper.tmpfs.or(lower.tmpfs),
        in_place: upper.in_place || lower.in_place,
    }
}

fn special(lower: Special, upper: Special) -> Special {
    Special {
        vbox_disk_format: upper.vbox_disk_format.or(lower.vbox_disk_format),
        xen_kernel: upper.xen_kernel.or(lower.xen_kernel),
        xen_ramdisk: upper.xen_ramdisk.or(lower.xen_ramdisk),
    }
}

fn ec2(lower: Ec2, upper: Ec2) -> Ec2 {
    Ec2 {
        wanted: upper.wanted || lower.wanted,
        name: upper.name.or(lower.name),
        certificate: upper.certificate.or(lower.certificate),
        key: upper.key.or(lower.key),
        user: upper.user.or(lower.user),
        bucket: upper.bucket.or(lower.bucket),
        access_key: upper.access_key.or(lower.access_key),
        secret_key: upper.secret_key.or(lower.secret_key),
        kernel: upper.kernel.or(lower.kernel),
        ramdisk: upper.ramdisk.or(lower.ramdisk),
        version: upper.version.or(lower.version),
        landscape: upper.landscape || lower.landscape,
        bundle: upper.bundle || lower.bundle,
        upload: upper.upload || lower.upload,
        register: upper.register || lower.register,
    }
}

fn places(lower: Places, upper: Places) -> Places {
    Places {
        destination: upper.destination.or(lower.destination),
        package_list: upper.package_list.or(lower.package_list),
        overwrite: upper.overwrite || lower.overwrite,
        scratch: upper.scratch.or(lower.scratch),
        cache: upper.cache.or(lower.cache),
        no_cache: upper.no_cache || lower.no_cache,
    }
}

fn list<T>(upper: Vec<T>, lower: Vec<T>) -> Vec<T> {
    if upper.is_empty() { lower } else { upper }
}

fn non_empty(upper: String, lower: String) -> String {
    if upper.is_empty() { lower } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower() -> Appliance {
        Appliance {
            suite: Some("precise".into()),
            add_packages: vec!["nginx".into()],
            sizes: Sizes { root: Some("4096".into()), swap: Some("512".into()), ..Sizes::default() },
            places: Places { overwrite: true, ..Places::default() },
            ..Appliance::default()
        }
    }

    #[test]
    fn the_upper_one_wins_where_it_says_something() {
        let upper = Appliance {
            suite: Some("lucid".into()),
            add_packages: vec!["apache2".into()],
            ..Appliance::default()
        };
        let both = lower().overlaid_by(upper);
        assert_eq!(both.suite.as_deref(), Some("lucid"));
        assert_eq!(both.add_packages, ["apache2"]);
        assert!(both.places.overwrite);
        assert_eq!(both.sizes, lower().sizes);
    }

    #[test]
    fn an_empty_one_changes_nothing() {
        assert_eq!(lower().overlaid_by(Appliance::default()), lower());
    }

    #[test]
    fn a_disk_size_above_takes_the_place_of_a_root_size_below() {
        let upper = Appliance {
            sizes: Sizes { disk: Some("8192".into()), ..Sizes::default() },
            ..Appliance::default()
        };
        let sizes = lower().overlaid_by(upper).sizes;
        assert_eq!((sizes.disk.as_deref(), sizes.root), (Some("8192"), None));
        assert_eq!(sizes.swap.as_deref(), Some("512"));
    }
}
