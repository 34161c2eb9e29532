//! Host name and the names that the machine knows without asking.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Guest, Plan};

/// Writes /etc/hostname and /etc/hosts.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    root.write("/etc/hostname", 0o644, format!("{}\n", plan.guest.hostname))?;
    root.write("/etc/hosts", 0o644, hosts(&plan.guest))
}

/// hosts(5). Debian gives the machine's own name an address of its own, 127.0.1.1 (Debian Reference 5.1.1).
fn hosts(guest: &Guest) -> String {
    let Guest { hostname, domain, .. } = guest;
    format!(
        "127.0.0.1\tlocalhost\n\
         127.0.1.1\t{hostname}.{domain}\t{hostname}\n\
         \n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n"
    )
}
