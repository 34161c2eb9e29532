//! What a tree must have for the disks and the network of the machine that it becomes: nothing is installed in a
//! tree that somebody else has made.

use crate::disk::layout::FileSystem;
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::plan::Package;
use crate::suite::NetworkStack;

/// Where a guest has its programs, with and without a merged /usr.
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Where systemd has its own.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd", "/lib/systemd"];

/// Programs that grow file systems at a boot, whatever their kind, and their packages.
const GROWING: [(&str, &str); 3] = [("sfdisk", "fdisk"), ("partx", "util-linux"), ("findmnt", "util-linux")];

/// What ifupdown asks for an address by DHCP.
const DHCP_CLIENTS: [&str; 3] = ["dhclient", "dhcpcd", "udhcpc"];

/// Packages that are of use at a boot only where the initial RAM file system has them, too.
const EARLY: [&str; 3] = ["lvm2", "xfsprogs", "btrfs-progs"];

/// What of `packages`, which the disks need, is not among those that are installed.
pub(super) fn packages(wanted: &[String], installed: &[Package]) -> Vec<Error> {
    let is_there = |name: &&String| installed.iter().any(|package| package.name == **name);
    let problem = |name: &String| {
        let and_then =
            if EARLY.contains(&name.as_str()) { " and run `update-initramfs -u` there" } else { "" };
        Error::config(format!("the tree has no {name}, which its disks need"))
            .hint(format!("Install {name} in the tree{and_then}."))
    };
    wanted.iter().filter(|name| !is_there(name)).map(problem).collect()
}

/// What is missing for growing and checking file systems of these kinds.
pub(super) fn growing(root: &Root, kinds: &[FileSystem]) -> Result<Vec<Error>> {
    let mut needed = GROWING.to_vec();
    if kinds.iter().any(|kind| matches!(kind, FileSystem::Ext4 | FileSystem::Ext3)) {
        needed.push(("resize2fs", "e2fsprogs"));
    }
    let mut problems = Vec::new();
    for (program, package) in needed {
        if !has(root, &PROGRAMS, program)? {
            let text = format!("the tree has no {program}, with which its file systems grow");
            problems.push(Error::config(text).hint(format!("Install {package} in the tree.")));
        }
    }
    Ok(problems)
}

/// What is missing of the stack that brings the network up, for a machine that is told its address by DHCP or
/// has one of its own.
pub(super) fn network(root: &Root, stack: NetworkStack, dhcp: bool) -> Result<Vec<Error>> {
    let mut problems = Vec::new();
    let mut lacks = |what: &str, package: &str| {
        problems.push(
            Error::config(format!("the tree has no {what}, which brings up the network of the release"))
                .hint(format!("Install {package} in the tree.")),
        );
    };
    if stack == NetworkStack::Ifupdown {
        if !has(root, &PROGRAMS, "ifup")? {
            lacks("ifup", "ifupdown");
        }
        let mut asks = !dhcp;
        for client in DHCP_CLIENTS {
            asks = asks || has(root, &PROGRAMS, client)?;
        }
        if !asks {
            lacks("client for DHCP", "isc-dhcp-client");
        }
        return Ok(problems);
    }
    if stack == NetworkStack::Netplan && !has(root, &PROGRAMS, "netplan")? {
        lacks("netplan", "netplan.io");
    }
    if !has(root, &SYSTEMD, "systemd-networkd")? {
        lacks("systemd-networkd", "systemd");
    }
    // Without DHCP the name servers are known and written.
    if dhcp && !has(root, &SYSTEMD, "systemd-resolved")? {
        lacks("systemd-resolved", "systemd-resolved, or systemd where the release has no such package,");
    }
    Ok(problems)
}

fn has(root: &Root, directories: &[&str], program: &str) -> Result<bool> {
    for directory in directories {
        if root.exists(format!("{directory}/{program}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problems: &[Error]) -> Vec<(&str, &str)> {
        problems.iter().map(|error| (error.message(), error.hints()[0].as_str())).collect()
    }

    #[test]
    fn packages_that_the_disks_need_are_named_with_their_cure() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "1".into(),
            architecture: "amd64".into(),
            size: 0,
            installed_size: 0,
            sha256: String::new(),
            file: String::new(),
        };
        let wanted = ["dosfstools", "lvm2", "xfsprogs"].map(str::to_owned);
        let problems = packages(&wanted, &[package("xfsprogs")]);
        assert_eq!(
            told(&problems),
            [
                ("the tree has no dosfstools, which its disks need", "Install dosfstools in the tree."),
                (
                    "the tree has no lvm2, which its disks need",
                    "Install lvm2 in the tree and run `update-initramfs -u` there."
                ),
            ]
        );
    }

    #[test]
    fn programs_of_the_machine_are_looked_for_in_the_tree() {
        let room = tempfile::tempdir().unwrap();
        let root = Root::open(room.path()).unwrap();
        assert_eq!(growing(&root, &[FileSystem::Xfs]).unwrap().len(), 3);
        assert_eq!(growing(&root, &[FileSystem::Ext4]).unwrap().len(), 4);
        let lacking = |stack, dhcp| network(&root, stack, dhcp).unwrap().len();
        let all = [NetworkStack::Networkd, NetworkStack::Netplan, NetworkStack::Ifupdown];
        assert_eq!(all.map(|stack| lacking(stack, true)), [2, 3, 2]);
        assert_eq!(all.map(|stack| lacking(stack, false)), [1, 2, 1]);
        for program in [
            "/sbin/sfdisk",
            "/usr/bin/partx",
            "/bin/findmnt",
            "/usr/sbin/resize2fs",
            "/lib/systemd/systemd-networkd",
            "/usr/lib/systemd/systemd-resolved",
            "/usr/sbin/netplan",
            "/sbin/ifup",
            "/sbin/dhclient",
        ] {
            root.write(program, 0o755, "").unwrap();
        }
        assert!(growing(&root, &[FileSystem::Ext3]).unwrap().is_empty());
        assert_eq!(all.map(|stack| lacking(stack, true)), [0, 0, 0]);
    }
}
