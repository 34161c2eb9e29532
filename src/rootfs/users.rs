//! The first user, passwords, keys.

use std::collections::BTreeSet;

use super::Site;
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::plan::{Secrets, User};

/// Longest account file that is read.
const LIMIT: u64 = 1024 * 1024;

/// Makes the user, and sets passwords and keys.
pub(super) fn configure(site: &Site<'_>, secrets: &Secrets, root: &Root) -> Result<()> {
    let user = &site.plan.guest.user;
    add(site, user, root)?;
    set_passwords(site, user, secrets, root)?;
    if user.locked {
        root.write(format!("/etc/sudoers.d/90-rvmb-{}", user.name), 0o440, sudoers(&user.name))?;
    }
    let home = format!("/home/{}", user.name);
    root_keys(site, root)?;
    if !user.keys.is_empty() {
        let directory = format!("{home}/.ssh");
        write_keys(root, &directory, &user.keys)?;
        site.program(root.path(), "chown")?.args(["-R", &format!("{0}:", user.name), &directory]).run()?;
    }
    site.program(root.path(), "chmod")?.args([&site.plan.suite.users.home_mode, &home]).run()
}

fn root_keys(site: &Site<'_>, root: &Root) -> Result<()> {
    let keys = &site.plan.guest.root_keys;
    if keys.is_empty() { Ok(()) } else { write_keys(root, "/root/.ssh", keys) }
}

fn write_keys(root: &Root, directory: &str, keys: &[String]) -> Result<()> {
    root.write(format!("{directory}/authorized_keys"), 0o600, keys.join("\n") + "\n")?;
    root.set_mode(directory, 0o700)
}

fn add(site: &Site<'_>, user: &User, root: &Root) -> Result<()> {
    let passwd = root.read("/etc/passwd", LIMIT)?.unwrap_or_default();
    if passwd.lines().any(|line| line.split(':').next() == Some(user.name.as_str())) {
        return Err(Error::build(format!("a package has made a user {} already", user.name))
            .hint("Choose another name with --user."));
    }
    let groups = existing_groups(user, &root.read("/etc/group", LIMIT)?.unwrap_or_default());
    let mut command = site.program(root.path(), "useradd")?;
    command = command.args(["--create-home", "--shell", "/bin/bash", "--comment", &user.full_name]);
    if let Some(uid) = user.uid {
        command = command.args(["--uid", &uid.to_string()]);
    }
    match user.gid {
        Some(gid) => {
            site.program(root.path(), "groupadd")?.args(["--gid", &gid.to_string(), &user.name]).run()?;
            command = command.args(["--gid", &gid.to_string(), "--no-user-group"]);
        }
        None => command = command.arg("--user-group"),
    }
    if !groups.is_empty() {
        command = command.args(["--groups", &groups.join(",")]);
    }
    command.arg(&user.name).run().map_err(|error| error.within(format!("making the user {}", user.name)))
}

/// sudoers(5) for a user whose password is locked: sudo would ask for one that cannot be given, and with root
/// closed as well nobody could ever administer the machine. Cloud images give their user the same right.
/// In words that sudo-rs reads, too. Names of users have no dot, which sudo would pass the file over for.
fn sudoers(name: &str) -> String {
    format!(
        "# Written by rvmb: the password of {name} is locked.\n\
         {name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
}

/// The wanted groups that the tree has.
fn existing_groups(user: &User, group_file: &str) -> Vec<String> {
    let there: BTreeSet<&str> = group_file.lines().filter_map(|line| line.split(':').next()).collect();
    user.groups.iter().filter(|group| there.contains(group.as_str())).cloned().collect()
}

fn set_passwords(site: &Site<'_>, user: &User, secrets: &Secrets, root: &Root) -> Result<()> {
    let mut lines = String::new();
    if let Some(hash) = &secrets.user_hash {
        lines += &format!("{}:{hash}\n", user.name);
    }
    // `*` is no password's hash. A field that is empty would make systemd-firstboot ask at the console.
    let root_hash = secrets.root_hash.as_deref().unwrap_or("*");
    lines += &format!("root:{root_hash}\n");
    site.program(root.path(), "chpasswd")?.arg("--encrypted").input(lines).run()?;
    if user.locked {
        site.program(root.path(), "usermod")?.args(["--lock", &user.name]).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_user_needs_no_password_for_sudo() {
        let text = sudoers("bob");
        assert_eq!(text.lines().last(), Some("bob ALL=(ALL:ALL) NOPASSWD: ALL"));
        assert!(text.lines().next().unwrap().starts_with('#') && text.ends_with('\n'));
    }
}
