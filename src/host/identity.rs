//! Who runs this, and which ids of the host a user namespace may be given (subuid(5), subgid(5)).

use std::path::Path;

use crate::error::{Error, Result};
use crate::plan::Privilege;

/// Ids that a tree needs: 0 to 65534, and the one that is reserved above them.
const NEEDED: u32 = 65536;

/// Chooses how ownership is made exact: root, then a user namespace, then an error with the cure.
pub fn privilege() -> Result<Privilege> {
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 {
        return Ok(Privilege::Root);
    }
    let name = user_name(&read(Path::new("/etc/passwd")), uid);
    let subuids = read(Path::new("/etc/subuid"));
    let subgids = read(Path::new("/etc/subgid"));
    from_tables(name.as_deref(), uid, &subuids, &subgids)
}

fn read(path: &Path) -> String {
    // A host without the file has no entry in it: that is the error the caller reports.
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The name of a user in a passwd(5) text.
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn from_tables(name: Option<&str>, uid: u32, subuids: &str, subgids: &str) -> Result<Privilege> {
    let owner = uid.to_string();
    let owners = [name.unwrap_or(&owner), &owner];
    let ranges = (largest_range(subuids, &owners), largest_range(subgids, &owners));
    let (Some(uids), Some(gids)) = ranges else { return Err(no_subordinate_ids(owners[0], subuids)) };
    if uids.1 < NEEDED || gids.1 < NEEDED {
        return Err(no_subordinate_ids(owners[0], subuids)
            .within(format!("{owners:?} has fewer than {NEEDED} subordinate ids", owners = owners[0])));
    }
    Ok(Privilege::UserNamespace { subuid: uids.0, subgid: gids.0, count: NEEDED })
}

/// The largest range `(start, count)` of any of `owners` in a subuid(5) text.
fn largest_range(text: &str, owners: &[&str]) -> Option<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let start: u32 = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            start.checked_add(count)?;
            owners.contains(&owner).then_some((start, count))
        })
        .max_by_key(|(_, count)| *count)
}

/// The error for a user without ids, with the line that gives some which nobody has.
fn no_subordinate_ids(name: &str, subuids: &str) -> Error {
    let ends = subuids.lines().filter_map(|line| {
        let mut fields = line.trim().split(':').skip(1);
        let start: u32 = fields.next()?.parse().ok()?;
        start.checked_add(fields.next()?.parse().ok()?)
    });
    let first = ends.max().unwrap_or(0).max(100_000);
    let last = u64::from(first) + u64::from(NEEDED) - 1;
    Error::host(format!("{name} has no subordinate ids, and a tree has files of many owners"))
        .hint(format!(
            "Give some: `sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {name}` \
             adds the line `{name}:{first}:{NEEDED}` to /etc/subuid and /etc/subgid."
        ))
        .hint("Or run rvmb as root.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_found_by_name_or_number() {
        let table = "alice:100000:65536\n1001:300000:65536\nbob:200000:1000\n";
        let expected = Privilege::UserNamespace { subuid: 100_000, subgid: 100_000, count: 65536 };
        assert_eq!(from_tables(Some("alice"), 1000, table, table).unwrap(), expected);
        let expected = Privilege::UserNamespace { subuid: 300_000, subgid: 300_000, count: 65536 };
        assert_eq!(from_tables(Some("bob"), 1001, table, table).unwrap(), expected);
    }

    #[test]
    fn without_a_range_the_line_to_add_is_told() {
        let error = from_tables(Some("carol"), 1002, "alice:100000:65536\n", "").unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Host);
        assert!(error.hints()[0].contains("carol:165536:65536"), "{:?}", error.hints());
        let small = from_tables(Some("carol"), 1002, "carol:100000:10\n", "carol:100000:10\n").unwrap_err();
        assert!(small.message().contains("fewer than"), "{small}");
    }

    #[test]
    fn nonsense_in_the_tables_is_passed_over() {
        assert_eq!(largest_range("a:b:c\n::\na:4294967295:10\n\u{fffd}", &["a"]), None);
    }

    #[test]
    fn names_are_found_in_passwd() {
        assert_eq!(
            user_name("root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/:\n", 1000).as_deref(),
            Some("bob")
        );
        assert_eq!(user_name("broken\n", 7), None);
    }
}
