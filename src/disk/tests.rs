//! What the tests of this room share: other people's tools as judges. And the whole way from a tree to a
//! disk, with a tree that has the shape of a machine's and a stand-in for its grub-mkimage.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use rustix::mount::MountPropagationFlags;
use serde_json::json;

use super::layout::Wish;
use super::*;
use crate::error::Error;
use crate::event::Silent;
use crate::host::mounts::View;
use crate::host::run::Command;
use crate::plan::{Table, Volume};
use crate::suite::{Ext4Set, ext3_features, ext4_features};
use crate::testing;
use crate::units::{MIB, Size};

/// What `program` says of `file`; none, with a word to the reader, where it is not installed.
pub(super) fn output_of(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    if !testing::has(program) {
        return None;
    }
    let outcome = runner().command(program).args(arguments).arg(file).outcome().unwrap();
    let said = outcome.stdout + &outcome.stderr;
    assert!(outcome.status.success(), "{program} found fault: {said}");
    Some(said)
}

/// Lets `program` judge `file`: any exit code but 0 fails the test.
pub(super) fn check_with(program: &str, arguments: &[&str], file: &Path) {
    output_of(program, arguments, file);
}

/// Gives the files of a test's tree modes that are not usual, and times of which that of `late` is later than
/// any epoch.
pub(super) fn set_modes_and_times(root: &Path, old: i64) {
    for (name, mode) in [("", 0o750), ("setuid", 0o4755), ("sticky", 0o1777)] {
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let date = |path: &Path| {
        let seconds = if path.ends_with("late") { 2_000_000_000 } else { old };
        let time = Timespec { tv_sec: seconds, tv_nsec: 5 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    crate::host::tree::walk(root, &mut |path, _| {
        date(path);
        Ok(())
    })
    .unwrap();
    date(root);
}

fn runner() -> Runner {
    Runner::new(Arc::new(Silent))
}

/// A plan for a small disk.
fn plan(opt: Option<Size>) -> Plan {
    let mut wishes = vec![Wish::ext4("/", Some(Size::mib(256))), Wish::swap(Size::mib(1))];
    wishes.extend(opt.map(|size| Wish::ext4("/opt", Some(size))));
    plan_of(&[layout::DiskWish { size: None, wishes }], Table::Gpt)
}

/// A plan for such disks.
fn plan_of(disks: &[layout::DiskWish], table: Table) -> Plan {
    let disks = layout::plan(&layout::LayoutRequest {
        architecture: "amd64",
        table,
        disks,
        stem: "vm",
        format: "raw",
        ext4_features: ext4_features(Ext4Set::Classic).into_iter().map(str::to_owned).collect(),
        ext3_features: ext3_features().into_iter().map(str::to_owned).collect(),
        seed: uuid::Uuid::nil(),
    });
    let layer = json!({ "key": "", "cached": false });
    let plan = json!({
        "format": 1,
        "id": uuid::Uuid::nil(),
        "epoch": 1_700_000_000,
        "suite": suite(),
        "architecture": "amd64",
        "target": { "hypervisor": "kvm", "format": "raw", "flavour": "cloud", "memory": 0, "cpus": 1,
            "nic": { "mac": "52:54:00:12:34:56", "connection": { "type": "libvirt-network", "name": "default" } },
        },
        "archive": {
            "sources": [], "components": [], "keyring": "", "proxy": null, "mirror_origin": "suite",
            "apt_options": [], "index": "", "stages": "", "archives": "",
        },
        "packages": {
            "base": [], "system": [], "pattern": "", "added": [], "added_exactly": [], "removed": [], "debconf": [], "variant": null, "resolved": [],
            "layers": { "base": layer, "initramfs": layer, "system": layer, "packages": null },
        },
        "guest": {
            "hostname": "vm", "domain": "", "locale": "", "timezone": "", "network": { "addressing": { "mode": "dhcp" }, "name_servers": [], "search": null },
            "root_keys": [],
            "root_password": false, "firstboot": null, "firstlogin": null, "kernel_options": "quiet",
            "user": {
                "name": "", "full_name": "", "uid": null, "gid": null, "groups": [], "locked": false,
                "default_password": false, "keys": [],
            },
        },
        "disks": disks.unwrap(),
        "host": {
            "privilege": { "mode": "root" }, "bootstrap": { "name": "", "version": "" }, "scratch": "",
            "cache": null, "overlay": false,
        },
        "output": { "directory": "", "overwrite": false },
    });
    serde_json::from_value(plan).unwrap()
}

fn suite() -> serde_json::Value {
    json!({
        "schema": 1, "distro": "debian", "codename": "bookworm", "version": "12", "tier": "supported",
        "dates": { "release": null, "end_of_life": null, "extended": null },
        "archive": {
            "mirror": "", "security_mirror": "", "pockets": [], "security": "", "components": [],
            "extra_components": [], "architectures": [], "sources": { "format": "list", "file": "" },
        },
        "keys": { "keyrings": [], "host_packages": {} },
        "bootstrap": { "merged_usr": "native", "script": "", "packages": [] },
        "kernel": { "default": "", "flavours": {} },
        "initramfs": { "tool": "initramfs-tools", "packages": [] },
        "init": { "machine_id": "empty" }, "system": { "packages": [] },
        "boot": {
            "packages": {}, "efi_directory": "debian", "secure_boot": true, "debconf": [],
            "shim": ["/usr/lib/shim.efi"], "grub_efi": ["/usr/lib/grub.efi"],
        },
        "filesystem": { "ext4": "classic" },
        "network": { "stack": "networkd", "packages": [] },
        "locale": { "style": "locale-gen", "file": "", "packages": [], "timezone_file": false },
        "users": { "groups": [], "hash": "yescrypt", "home_mode": "0700", "packages": [] },
        "ssh": { "package": "" },
    })
}

/// A tree with a kernel and a boot loader, as far as the names go.
fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let mut boot_sector = vec![0xb0; 512];
    boot_sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut core = vec![0xc0; 5000];
    core[510..512].copy_from_slice(&[0x20, 0x08]);
    let files: BTreeMap<&str, Vec<u8>> = [
        ("boot/vmlinuz-6.1", b"kernel".to_vec()),
        ("boot/initrd.img-6.1", b"initrd".to_vec()),
        ("opt/own", b"file".to_vec()),
        ("usr/lib/grub.efi", b"grub".to_vec()),
        ("usr/lib/shim.efi", b"shim".to_vec()),
        ("usr/lib/grub/i386-pc/boot.img", boot_sector),
        ("usr/lib/grub/i386-pc/normal.mod", b"module".to_vec()),
        ("made-by-grub-mkimage", core),
    ]
    .into();
    for (path, content) in files {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    tree
}

/// Writes the disk of `plan` from `tree`; none where mke2fs is not installed.
fn written_from(
    tree: &Path,
    plan: &Plan,
    hide: &dyn Fn(&[&str]) -> Result<BeforeExec>,
) -> Option<Result<tempfile::TempDir>> {
    if !testing::has("mke2fs") {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let runner = runner();
    // Stands in for grub-mkimage: puts a core image where --output, the tenth word, says.
    let script = "cp made-by-grub-mkimage \".${10}\"";
    let in_tree =
        |program: &str| -> Command { runner.command("sh").args(["-c", script, program]).directory(tree) };
    let names =
        (0..plan.disks.len()).map(|number| if number == 0 { "raw".into() } else { format!("raw{number}") });
    let raws: Vec<PathBuf> = names.map(|name| directory.path().join(name)).collect();
    let inputs = Inputs { plan, tree, in_tree: &in_tree, hide, runner: &runner };
    Some(write(&inputs, &raws).map(|()| directory))
}

/// The same from a tree of its own.
fn written(plan: &Plan) -> Option<Result<tempfile::TempDir>> {
    written_from(tree().path(), plan, &|_| Err(Error::build("nothing hides the other file systems")))
}

/// The bytes of a partition as a file of their own.
fn partition(raw: &Path, volume: Option<Volume<'_>>) -> tempfile::NamedTempFile {
    let volume = volume.unwrap();
    let mut bytes = vec![0; usize::try_from(volume.size.bytes()).unwrap()];
    File::open(raw).unwrap().read_exact_at(&mut bytes, volume.start).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn opened(system: &Path) -> ext4_view::Ext4 {
    ext4_view::Ext4::load(Box::new(std::fs::read(system).unwrap())).unwrap()
}

#[test]
fn a_tree_becomes_a_disk_that_every_judge_accepts() {
    let plan = plan(None);
    let Some(directory) = written(&plan) else { return };
    let directory = directory.unwrap();
    let raw = directory.path().join("raw");
    let root = partition(&raw, plan.mounted_at("/"));
    check_with("e2fsck", &["-fn"], root.path());
    let system = opened(root.path());
    let menu = system.read_to_string("/boot/grub/grub.cfg").unwrap();
    assert!(menu.contains("linux /boot/vmlinuz-6.1 root=UUID="), "{menu}");
    assert_eq!(system.read("/boot/grub/i386-pc/normal.mod").unwrap(), b"module");
    assert_eq!(system.read("/opt/own").unwrap(), b"file");

    check_with("fsck.vfat", &["-n"], partition(&raw, plan.mounted_at("/boot/efi")).path());
    let mut sector = [0; 512];
    File::open(&raw).unwrap().read_exact_at(&mut sector, MIB).unwrap();
    assert_eq!(sector[..500], [0xc0; 500]);
    if let Some(text) = output_of("sgdisk", &["-v"], &raw) {
        assert!(text.contains("No problems found"), "{text}");
    }
}

#[test]
fn the_same_plan_gives_the_same_disk() {
    let plan = plan(None);
    let (Some(one), Some(other)) = (written(&plan), written(&plan)) else { return };
    let bytes = |directory: Result<tempfile::TempDir>| std::fs::read(directory.unwrap().path().join("raw"));
    assert!(bytes(one).unwrap() == bytes(other).unwrap());
}

#[test]
fn a_file_system_of_its_own_for_opt_must_be_hidden_from_the_root() {
    let Some(without) = written(&plan(Some(Size::mib(16)))) else { return };
    assert!(without.unwrap_err().message().contains("hides"));
}

/// Covers directories in a mount namespace of the program's own, from which nothing travels back to the host.
fn hides(tree: &Path, paths: &[&str]) -> Result<BeforeExec> {
    let enter = View::new(tree).hook()?;
    let cover = |view: View, path: &&str| view.temporary(path.trim_start_matches('/'), c"mode=0755");
    let cover = paths.iter().fold(View::new(tree), cover).hook()?;
    Ok(Arc::new(move || {
        enter()?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", private)?;
        cover()
    }))
}

#[test]
fn what_opt_holds_is_in_its_file_system_and_not_in_the_root() {
    // A mount namespace, which the worker has, takes root.
    if !testing::is_root() {
        return;
    }
    let (plan, tree) = (plan(Some(Size::mib(16))), tree());
    let Some(directory) = written_from(tree.path(), &plan, &|paths| hides(tree.path(), paths)) else {
        return;
    };
    let raw = directory.as_ref().unwrap().path().join("raw");
    let [opt, root] = ["/opt", "/"].map(|mount| partition(&raw, plan.mounted_at(mount)));
    check_with("e2fsck", &["-fn"], opt.path());
    check_with("e2fsck", &["-fn"], root.path());
    assert_eq!(opened(opt.path()).read("/own").unwrap(), b"file");
    let root = opened(root.path());
    assert!(root.metadata("/opt").unwrap().is_dir());
    assert!(!root.exists("/opt/own").unwrap());
    assert!(tree.path().join("opt/own").exists(), "the mount was seen outside");
}

/// Three disks: what is mounted in another volume is in its own alone, in a logical volume, too.
#[test]
fn what_is_mounted_within_another_volume_is_in_its_own_alone() {
    if !testing::is_root() {
        return;
    }
    let files = |mount: &str| Wish::ext4(mount, Some(Size::mib(32)));
    let in_group = |mount: &str| Wish { group: Some("vg0".into()), ..files(mount) };
    let disk = |wishes: Vec<Wish>| layout::DiskWish { size: None, wishes };
    let disks = [
        disk(vec![Wish::ext4("/", Some(Size::mib(256))), files("/boot")]),
        disk(vec![in_group("/var"), in_group("/srv/data")]),
        disk(vec![files("/var/lib"), Wish::swap(Size::mib(1))]),
    ];
    let (plan, tree) = (plan_of(&disks, Table::Gpt), tree());
    for directory in ["var/lib/x", "var/cache", "srv/data", "boot/efi"] {
        std::fs::create_dir_all(tree.path().join(directory)).unwrap();
    }
    let hide = |paths: &[&str]| hides(tree.path(), paths);
    let Some(directory) = written_from(tree.path(), &plan, &hide) else { return };
    let directory = directory.unwrap();
    let system = |number: usize, mount: &str| {
        let raw = directory.path().join(if number == 0 { "raw".into() } else { format!("raw{number}") });
        let volume = partition(&raw, plan.disks[number].mounted_at(mount));
        check_with("e2fsck", &["-fn"], volume.path());
        opened(volume.path())
    };
    let root = system(0, "/");
    for path in ["/boot", "/var", "/srv"] {
        assert!(root.metadata(path).unwrap().is_dir(), "{path}");
    }
    for path in ["/boot/vmlinuz-6.1", "/var/lib", "/var/cache"] {
        assert!(!root.exists(path).unwrap(), "{path}");
    }
    let menu = system(0, "/boot").read_to_string("/grub/grub.cfg").unwrap();
    assert!(menu.contains("linux /vmlinuz-6.1 root=UUID="), "{menu}");
    let var = system(1, "/var");
    assert!(var.exists("/lib").unwrap() && var.exists("/cache").unwrap() && !var.exists("/lib/x").unwrap());
    assert!(system(2, "/var/lib").exists("/x").unwrap());
    assert!(system(1, "/srv/data").exists("/lost+found").unwrap());
}

#[test]
fn an_msdos_disk_has_its_boot_code_before_the_first_partition() {
    let wishes = ["/", "/var", "/home", "/srv", "/opt"]
        .map(|mount| Wish::ext4(mount, Some(Size::mib(if mount == "/" { 256 } else { 16 }))));
    let disks = [layout::DiskWish { size: None, wishes: wishes.to_vec() }];
    // A mount namespace takes root.
    if !testing::is_root() {
        return;
    }
    let (plan, tree) = (plan_of(&disks, Table::Msdos), tree());
    for directory in ["var", "home", "srv"] {
        std::fs::create_dir_all(tree.path().join(directory)).unwrap();
    }
    let hide = |paths: &[&str]| hides(tree.path(), paths);
    let Some(directory) = written_from(tree.path(), &plan, &hide) else { return };
    let raw = directory.as_ref().unwrap().path().join("raw");
    let mut sectors = [0; 1024];
    File::open(&raw).unwrap().read_exact_at(&mut sectors, 0).unwrap();
    assert_eq!(sectors[512..1000], [0xc0; 488]);
    assert_eq!(sectors[0x5c..0x64], [1, 0, 0, 0, 0, 0, 0, 0]);
    if let Some(text) = output_of("sfdisk", &["--verify"], &raw) {
        assert!(text.contains("No errors detected"), "{text}");
    }
    check_with("e2fsck", &["-fn"], partition(&raw, plan.mounted_at("/opt")).path());
}
