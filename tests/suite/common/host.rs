//! What a desk's command lines name of a host beside its files: media, a tree that is there, and a libvirt.

use std::path::Path;
use std::process::Command;

use super::process::{program, run};

/// The address of the desk's libvirt.
pub(crate) const LIBVIRT: &str = "qemu:///system";

/// Where `virsh` is looked for first.
const FIRST_PLACE: &str = "/usr/local/sbin";

/// Covers a directory by another, and becomes the program that follows.
const COVER: &str = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";

/// Files of a Debian 12, as far as a plan looks at them.
const TREE: &[(&str, &str)] = &[
    ("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n"),
    (
        "var/lib/dpkg/status",
        "Package: dpkg\nStatus: install ok installed\nVersion: 1.21.22\nArchitecture: amd64\n",
    ),
    ("boot/vmlinuz-6.1.0-1-amd64", ""),
    ("boot/initrd.img-6.1.0-1-amd64", ""),
    ("sbin/init", ""),
    ("usr/bin/findmnt", ""),
    ("usr/bin/grub-mkimage", ""),
    ("usr/bin/partx", ""),
    ("usr/lib/grub/i386-pc/boot.img", ""),
    ("usr/lib/grub/x86_64-efi/normal.mod", ""),
    ("usr/lib/systemd/systemd-networkd", ""),
    ("usr/lib/systemd/systemd-resolved", ""),
    ("usr/sbin/resize2fs", ""),
    ("usr/sbin/sfdisk", ""),
];

/// Writes an image and an archive without packages, `server.iso` and `debs.tgz`: only a build looks for packages.
pub(crate) fn put_media(directory: &Path) {
    // A volume descriptor in sector 16 tells an image (ECMA-119, section 8.1).
    let mut image = vec![0; 18 * 2048];
    image[16 * 2048..16 * 2048 + 6].copy_from_slice(b"\x01CD001");
    std::fs::write(directory.join("server.iso"), image).expect("writing an image");
    let words = ["--create", "--gzip", "--file", "debs.tgz", "motd"];
    run(program("tar").args(words).current_dir(directory)).well();
}

/// Writes a tree of a system that somebody else has made.
pub(crate) fn put_tree(tree: &Path) {
    for (name, content) in TREE {
        let path = tree.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("making a directory");
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("writing {name}: {error}"));
    }
}

/// `command` on a host whose `virsh` is tests/suite/host/virsh: in a mount namespace of its own. Needs root.
pub(crate) fn with_libvirt(command: &Command) -> Command {
    let mut beside = program("unshare");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/host");
    beside.args(["--mount", "--propagation", "private", "--", "sh", "-c", COVER, "sh"]);
    beside.arg(ours).arg(FIRST_PLACE).arg(command.get_program()).args(command.get_args()).env_clear();
    beside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    beside.current_dir(command.get_current_dir().expect("a directory"));
    beside
}
