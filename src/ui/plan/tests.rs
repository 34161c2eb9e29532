//! Plans as they are shown.

use super::*;
use crate::plan::copy_list::Owner;
use crate::plan::stage::Stage;
use crate::plan::{
    BootstrapTool, Disk, Exec, HostUse, Layers, Output, Package, Partition, Script, Seeds, Source, Target,
    TemplateFile, TreeUse, User,
};
use crate::suite::Registry;
use uuid::Uuid;

fn partition(number: u32, start_mib: u64, size_mib: u64, content: Content, mount: Option<&str>) -> Partition {
    Partition {
        number,
        name: String::new(),
        kind: Uuid::nil(),
        guid: Uuid::nil(),
        start: Size::mib(start_mib).bytes(),
        size: Size::mib(size_mib),
        content,
        mount: mount.map(str::to_owned),
        options: None,
        grows: false,
    }
}

fn package(name: &str, size: u64) -> Package {
    Package {
        name: name.into(),
        version: "1.2-3".into(),
        architecture: "amd64".into(),
        size,
        installed_size: 4 * size,
        sha256: String::new(),
        file: String::new(),
    }
}

fn plan() -> Plan {
    let ext4 = Content::Ext4 { uuid: Uuid::nil(), label: "root".into(), features: vec![] };
    Plan {
        format: 1,
        id: Uuid::nil(),
        epoch: 0,
        suite: Registry::built_in().unwrap().find("debian", "bookworm").unwrap().clone(),
        architecture: "amd64".into(),
        target: Target {
            hypervisor: "kvm".into(),
            format: "qcow2".into(),
            flavour: "cloud".into(),
            memory: Size::mib(512),
            cpus: 1,
            nic: Nic { mac: "52:54:00:12:34:56".parse().unwrap(), connection: Connection::default() },
        },
        archive: Archive {
            sources: ["bookworm", "bookworm-updates"]
                .map(|suite| Source {
                    uri: "http://ftp.debian.org/debian".into(),
                    suite: suite.into(),
                    digest: String::new(),
                    security: false,
                    guest_uri: None,
                    ppa: None,
                })
                .into(),
            components: vec!["main".into(), "contrib".into()],
            keyring: "/usr/share/keyrings/debian-archive-keyring.gpg".into(),
            proxy: None,
            mirror_origin: "host".into(),
            apt_options: vec![],
            index: "/var/cache/rvmb/index".into(),
            stages: "/var/cache/rvmb/index/resolved".into(),
            archives: "/home/bob/.cache/rvmb/archives".into(),
            media: vec![],
        },
        packages: Packages {
            base: vec!["linux-image-cloud-amd64".into()],
            system: vec!["grub-cloud-amd64".into()],
            added: vec!["nginx".into()],
            added_exactly: vec!["nginx".into()],
            removed: vec![],
            recommends: false,
            seeds: None,
            debconf: vec![],
            variant: None,
            pattern: "?essential".into(),
            resolved: vec![package("libc6", 2_800_000), package("nginx", 500_000)],
            layers: Some(Layers {
                base: Layer { key: "0123456789abcdef0123".into(), cached: true },
                initramfs: Layer { key: "1123456789abcdef0123".into(), cached: true },
                system: Layer { key: "3123456789abcdef0123".into(), cached: true },
                packages: Some(Layer { key: "2123456789abcdef0123".into(), cached: false }),
            }),
        },
        guest: Guest {
            hostname: "web".into(),
            domain: "example.org".into(),
            locale: "C.UTF-8".into(),
            timezone: "UTC".into(),
            network: GuestNetwork::default(),
            user: User {
                name: "bob".into(),
                full_name: "Bob".into(),
                uid: Some(1001),
                gid: None,
                groups: vec!["adm".into(), "sudo".into()],
                locked: false,
                default_password: true,
                keys: vec![],
            },
            root_keys: vec![],
            root_password: false,
            firstboot: Some(Script { path: "/home/bob/setup.sh".into(), sha256: String::new() }),
            firstlogin: None,
            kernel_options: "console=tty0 console=ttyS0,115200".into(),
        },
        customising: Customising::default(),
        tree: TreeUse::default(),
        disks: vec![Disk {
            image: "web-disk0.qcow2".into(),
            size: Size::mib(5228),
            table: Table::Gpt,
            guid: Uuid::nil(),
            partitions: vec![
                partition(14, 1, 4, Content::BiosBoot, None),
                partition(15, 5, 106, Content::Esp { volume_id: 1, label: "ESP".into() }, Some("/boot/efi")),
                partition(2, 111, 1024, Content::Swap { uuid: Uuid::nil(), label: "swap".into() }, None),
                partition(1, 1135, 4092, ext4, Some("/")),
            ],
        }],
        host: HostUse {
            privilege: Privilege::UserNamespace { subuid: 100_000, subgid: 100_000, count: 65_536 },
            bootstrap: Some(BootstrapTool { name: "mmdebstrap".into(), version: "1.3.5".into() }),
            scratch: "/var/tmp".into(),
            cache: Some("/home/bob/.cache/rvmb".into()),
            overlay: true,
        },
        output: Output {
            directory: "/home/bob/debian-kvm".into(),
            overwrite: true,
            package_list: None,
            raws: vec![],
            libvirt: None,
        },
    }
}

#[test]
fn a_plan_reads_well() {
    insta::assert_snapshot!(render(&plan(), true, Style::new(false)));
}

#[test]
fn addresses_are_shown() {
    let network = serde_json::json!({
        "addressing": {
            "mode": "static",
            "mac": null,
            "addresses": [{ "address": "192.0.2.10", "prefix": 24, "broadcast": null }],
            "gateways": [],
            "router_advertisements": false,
        },
        "name_servers": ["9.9.9.9", "2620:fe::fe"],
        "search": "example.org",
    });
    let mut plan = plan();
    plan.guest.network = serde_json::from_value(network).unwrap();
    plan.target.nic.connection = Connection::Bridge("br0".into());
    let text = render(&plan, false, Style::new(false));
    let from = text.find("Network\n").unwrap();
    let to = text.find("\nDisk, ").unwrap();
    insta::assert_snapshot!(&text[from..to], @r"
    Network
      Addresses       192.0.2.10/24
      Interface       the first one
      Gateway         none
      Name servers    9.9.9.9 2620:fe::fe
      Search domain   example.org
      MAC address     52:54:00:12:34:56
      Under libvirt   bridge br0
    ");
}

#[test]
fn what_is_the_users_own_is_shown() {
    let mut plan = plan();
    let copied = |placement, mode, owner: Option<&str>| Copied {
        source: "/home/bob/etc".into(),
        destination: "/etc".into(),
        placement,
        mode,
        owner: owner.map(|user| Owner { user: Some(user.to_owned()), group: None }),
        files: 3,
        size: Size::mib(2),
        sha256: String::new(),
    };
    plan.customising = Customising {
        copied: vec![
            copied(Placement::Contents, None, None),
            copied(Placement::Into, Some(0o600), Some("bob")),
        ],
        exec: Some(Exec { path: "/home/bob/finish".into(), sha256: String::new(), directory: "/".into() }),
        templates: vec![TemplateFile {
            name: "hosts".into(),
            path: "/home/bob/t/debian/hosts.tmpl".into(),
            sha256: String::new(),
        }],
    };
    plan.packages.recommends = true;
    let file = Script { path: "/home/bob/seeds".into(), sha256: String::new() };
    plan.packages.seeds = Some(Seeds { file, before: Stage::System });
    plan.output.package_list = Some("/home/bob/list".into());
    let text = render(&plan, false, Style::new(false));
    for line in [
        "  Recommended     what the added packages recommend, too",
        "  Seed file       /home/bob/seeds, before the layer system",
        "  Copied          what is in /home/bob/etc to /etc/, 3 files, 2 MiB",
        "                  /home/bob/etc to /etc/, 3 files, 2 MiB, mode 0600, owner bob",
        "  Template        hosts from /home/bob/t/debian/hosts.tmpl",
        "  Program         /home/bob/finish",
        "  Package list    /home/bob/list",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\nin\n{text}");
    }
}

#[test]
fn what_is_done_with_the_tree_is_said() {
    let path = "/srv/trees/web".into();
    let existing = ExistingTree { path, fingerprint: "ab".into(), size: Size::mib(400) };
    let tree = TreeUse { existing: Some(existing), ..TreeUse::default() };
    let (archive, packages) = (Archive::default(), Packages::default());
    let there = render(&Plan { tree, archive, packages, ..plan() }, true, Style::new(false));
    assert!(there.contains("/srv/trees/web, not written to") && there.contains("400 MiB"), "{there}");
    for heading in ["Archive", "Packages", "Every package", "Groups"] {
        assert!(!there.contains(heading), "{heading} in {there}");
    }
    let memory = TreeUse { memory: Some(Size::mib(2048)), ..TreeUse::default() };
    assert!(render(&Plan { tree: memory, ..plan() }, false, Style::new(false)).contains("memory, 2 GiB"));
    let only = TreeUse { only: true, ..TreeUse::default() };
    let alone = render(&Plan { tree: only, disks: vec![], ..plan() }, false, Style::new(false));
    assert!(alone.contains("Tree            /home/bob/debian-kvm"), "{alone}");
    let mut other = plan();
    other.archive.sources[0].guest_uri = Some("http://archive.example/debian".into());
    let text = render(&other, false, Style::new(false));
    assert!(text.contains("In the machine  http://archive.example/debian"), "{text}");
}

#[test]
fn packages_are_listed_for_those_who_ask() {
    assert!(!render(&plan(), false, Style::new(false)).contains("libc6"));
}
