//! The initial RAM file system: made once, when everything that goes into it is there.
//!
//! Kernel packages and triggers would make it at every opportunity. While packages are installed there
//! is none yet, which makes the triggers do nothing, and `INITRD` keeps the kernel's hooks from making
//! the first one.

use std::path::Path;

use super::{Site, seal};
use crate::disk::layout::FileSystem;
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::plan::Plan;
use crate::suite::InitramfsTool;

/// What the kernel's hooks of both tools take in the variable `INITRD` for: do not make one.
pub const NOT_NOW: &str = "No";

/// dpkg's log of the transaction that was last; tidied away afterwards.
const DPKG_LOG: &str = "/var/log/dpkg.log";

/// Longest log that is read.
const LOG_LIMIT: u64 = 64 * 1024 * 1024;

/// Settings of the tool that must be there before it first runs: path in the tree and content.
pub fn settings(plan: &Plan) -> Vec<(&'static str, String)> {
    match plan.suite.initramfs.tool {
        // In a tree the root file system's type cannot be seen, and without it no fsck goes in. All
        // usual drivers go in, wherever the image boots next.
        InitramfsTool::InitramfsTools => {
            let kinds = checked_early(plan).join(",");
            vec![("/etc/initramfs-tools/conf.d/rvmb.conf", format!("MODULES=most\nFSTYPE={kinds}\n"))]
        }
        InitramfsTool::Dracut => {
            vec![("/etc/dracut.conf.d/10-rvmb.conf", "hostonly=\"no\"\nreproducible=\"yes\"\n".into())]
        }
    }
}

/// The file systems that are mounted before the machine's own programs are there, and so are checked by what
/// is in the initial RAM file system: those of / and /usr. The tool takes a list with commas between.
pub fn checked_early(plan: &Plan) -> Vec<&'static str> {
    let holders = ["/", "/usr"].into_iter().filter_map(|path| plan.holder_of(path));
    let mut kinds: Vec<&str> =
        holders.filter_map(|holder| holder.content.file_system()).map(FileSystem::name).collect();
    kinds.dedup();
    kinds
}

/// Versions of the kernels in the tree, those of /boot/vmlinuz-VERSION.
pub fn kernels(root: &Root) -> Result<Vec<String>> {
    let names = root.names("/boot")?;
    Ok(names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).map(str::to_owned).collect())
}

/// Makes it for every kernel.
pub fn make(site: &Site<'_>, root: &Path) -> Result<()> {
    let tree = Root::open(root)?;
    // Hooks of packages copy what they find: open-iscsi's the initiator's name.
    seal::remove_secrets(&tree)?;
    for version in kernels(&tree)? {
        let image = format!("/boot/initrd.img-{version}");
        let command = match site.plan.suite.initramfs.tool {
            InitramfsTool::InitramfsTools => {
                let there = tree.exists(format!("/var/lib/initramfs-tools/{version}"))?;
                let verb = if there { "-u" } else { "-c" };
                site.program(root, "update-initramfs")?.args([verb, "-k", &version])
            }
            InitramfsTool::Dracut => {
                site.program(root, "dracut")?.args(["--force", "--no-hostonly", "--kver", &version, &image])
            }
        };
        command.stream(|_| {}).map_err(|error| error.within(format!("making {image}")))?;
        if !tree.exists(&image)? {
            return Err(Error::build(format!("{image} was not made")));
        }
    }
    Ok(())
}

/// Makes it where the last transaction touched what goes into it.
pub fn make_if_touched(site: &Site<'_>, root: &Path) -> Result<()> {
    if is_touched(&Root::open(root)?)? { make(site, root) } else { Ok(()) }
}

/// Whether the last transaction touched what goes into it: a trigger of the tool, or a kernel.
fn is_touched(root: &Root) -> Result<bool> {
    let log = root.read(DPKG_LOG, LOG_LIMIT)?.unwrap_or_default();
    Ok(log.lines().any(touches))
}

/// Reads a line of dpkg's log, `DATE TIME ACTION PACKAGE …`.
fn touches(line: &str) -> bool {
    let mut words = line.split(' ').skip(2);
    let (Some(action), Some(package)) = (words.next(), words.next()) else { return false };
    match action {
        "trigproc" => package.starts_with("initramfs-tools:") || package.starts_with("dracut"),
        "install" | "upgrade" => {
            ["linux-image-", "linux-modules-", "linux-binary-"]
                .iter()
                .any(|kernel| package.starts_with(kernel))
                || package.starts_with("initramfs-tools")
                || package.starts_with("dracut")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_triggers_and_kernels_touch_it() {
        assert!(touches("2026-01-01 10:00:00 trigproc initramfs-tools:all 0.142 <none>"));
        assert!(touches("2026-01-01 10:00:00 install linux-image-6.1.0-1-amd64:amd64 <none> 6.1"));
        assert!(!touches("2026-01-01 10:00:00 install openssh-server:amd64 <none> 1:9.2"));
        assert!(!touches("2026-01-01 10:00:00 status triggers-pending initramfs-tools:all 0.142"));
        assert!(!touches(""));
    }
}
