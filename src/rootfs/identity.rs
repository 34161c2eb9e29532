//! Host name and the names that the machine knows without asking.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Guest, Plan};

/// Where mail says that it comes from (Debian Policy 11.6). Mail servers write the name there that the
/// building machine had when they were installed.
const MAIL_NAME: &str = "/etc/mailname";

/// Writes /etc/hostname, /etc/hosts, and /etc/mailname where a package has made one.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    let Guest { hostname, domain, .. } = &plan.guest;
    root.write("/etc/hostname", 0o644, format!("{hostname}\n"))?;
    root.write("/etc/hosts", 0o644, hosts(&plan.guest))?;
    replace_mail_name(&format!("{hostname}.{domain}"), root)
}

fn replace_mail_name(name: &str, root: &Root) -> Result<()> {
    if root.exists(MAIL_NAME)? { root.write(MAIL_NAME, 0o644, format!("{name}\n")) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_comes_from_this_machine_where_there_is_mail() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        replace_mail_name("vm.example.org", &root).unwrap();
        assert!(!root.exists(MAIL_NAME).unwrap());
        root.write(MAIL_NAME, 0o644, "builder\n").unwrap();
        replace_mail_name("vm.example.org", &root).unwrap();
        assert_eq!(root.read(MAIL_NAME, 100).unwrap().as_deref(), Some("vm.example.org\n"));
    }
}
