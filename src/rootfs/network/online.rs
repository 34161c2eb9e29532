//! When the network counts as up, for services that wait for it.
//!
//! systemd-networkd-wait-online waits two minutes for every interface that asks DHCP, and then fails. An
//! interface on which nobody answers would hold up each boot with a first boot script, so that one interface
//! with an address will do (`--any`).

use crate::error::Result;
use crate::host::tree::Root;
use crate::rootfs::packages;

/// Where it is, with and without a merged /usr.
const PROGRAMS: [&str; 2] =
    ["/usr/lib/systemd/systemd-networkd-wait-online", "/lib/systemd/systemd-networkd-wait-online"];

/// The drop-in for its unit; netplan's own, `10-netplan.conf`, comes before it.
const DROP_IN: &str = "/etc/systemd/system/systemd-networkd-wait-online.service.d/rvmb.conf";

/// The first systemd that knows `--any` (systemd, NEWS, "CHANGES WITH 242").
const FIRST_WITH_ANY: u32 = 242;

/// Lets one interface with an address be enough, where the tree's systemd can.
pub(super) fn configure(root: &Root) -> Result<()> {
    for program in PROGRAMS {
        if root.exists(program)? {
            let installed = packages::all_installed(root)?.unwrap_or_default();
            let systemd = installed.iter().find(|package| package.name == "systemd");
            if systemd.is_some_and(|systemd| release(&systemd.version) >= FIRST_WITH_ANY) {
                return root.write(DROP_IN, 0o644, drop_in(program));
            }
        }
    }
    Ok(())
}

/// systemd.service(5): an empty ExecStart= takes back the one before.
fn drop_in(program: &str) -> String {
    format!(
        "# Written by rvmb: one interface with an address will do, for nobody may answer on another.\n\
         [Service]\nExecStart=\nExecStart={program} --any\n"
    )
}

/// The release in a version of the package: 252 in `252.36-1~deb12u1`; 0 where it has none.
fn release(version: &str) -> u32 {
    let end = version.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_is_enough_where_systemd_knows_how() {
        for (version, expected) in [
            ("252.36-1~deb12u1", true),
            ("249.11-0ubuntu3", true),
            ("242-7ubuntu3", true),
            ("258~rc1-1", true),
            ("237-3ubuntu10", false),
            ("", false),
        ] {
            let room = tempfile::tempdir().unwrap();
            let root = Root::open(room.path()).unwrap();
            configure(&root).unwrap();
            assert!(!root.exists(DROP_IN).unwrap(), "nothing waits in an empty tree");
            let status = format!(
                "Package: systemd\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n"
            );
            root.write("/var/lib/dpkg/status", 0o644, status).unwrap();
            root.write(PROGRAMS[1], 0o755, "").unwrap();
            configure(&root).unwrap();
            let written = root.read(DROP_IN, 1000).unwrap();
            assert_eq!(written, expected.then(|| drop_in(PROGRAMS[1])), "{version}");
        }
    }
}
