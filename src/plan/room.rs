//! Whether every file system can hold what is known to come into it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Plan;
use crate::error::{Error, Result};
use crate::units::{MIB, Size};

/// What initramfs, indices and logs take beside the packages.
const BESIDE_PACKAGES: u64 = 192 * MIB;

/// Refuses file systems that cannot hold what comes into them. Packages are in /usr, but for a little; of a tree
/// that is there, `held` tells the bytes at every mount point; copies go where they are named.
pub(super) fn fits(plan: &Plan, held: &BTreeMap<String, u64>) -> Result<()> {
    let volumes = plan.volumes().filter_map(|volume| Some((volume.mount?, volume.size)));
    let mut rooms: Vec<Room<'_>> = volumes.map(|(mount, size)| Room::new(mount, size)).collect();
    let packages = BTreeMap::from([("/usr".to_owned(), plan.packages.installed_size().bytes())]);
    let (what, files) = match &plan.tree.existing {
        Some(_) => ("files of the tree", held),
        None => ("packages", &packages),
    };
    let copied = plan.customising.copied.iter();
    fill(&mut rooms, files, copied.map(|copied| (copied.destination.as_str(), copied.size.bytes())));
    Error::all(rooms.iter().filter_map(|room| room.problem(what)).collect())
}

/// Puts every number to the file system that it belongs to.
fn fill<'a>(
    rooms: &mut [Room<'_>],
    files: &BTreeMap<String, u64>,
    copied: impl Iterator<Item = (&'a str, u64)>,
) {
    let mut at = |path: &str, add: &dyn Fn(&mut Room<'_>)| {
        if let Some(room) = holder(rooms, path) {
            add(room);
        }
    };
    for (path, bytes) in files {
        at(path, &|room| room.files = room.files.saturating_add(*bytes));
    }
    for (path, bytes) in copied {
        at(path, &|room| room.copied = room.copied.saturating_add(bytes));
    }
    at("/usr", &|room| room.beside = BESIDE_PACKAGES);
}

/// What `path` lies on: the file system at the nearest mount point above it.
fn holder<'a, 'b>(rooms: &'a mut [Room<'b>], path: &str) -> Option<&'a mut Room<'b>> {
    let above = rooms.iter_mut().filter(|room| Path::new(path).starts_with(room.mount));
    above.max_by_key(|room| Path::new(room.mount).components().count())
}

/// A file system and what comes into it, in bytes.
struct Room<'a> {
    mount: &'a str,
    size: Size,
    files: u64,
    copied: u64,
    beside: u64,
}

impl<'a> Room<'a> {
    fn new(mount: &'a str, size: Size) -> Room<'a> {
        Room { mount, size, files: 0, copied: 0, beside: 0 }
    }

    /// Bytes that it must have. File systems keep back some 6 % for inode tables, journal and root's reserve.
    fn needed(&self) -> u64 {
        let content = u128::from(self.files) + u128::from(self.copied) + u128::from(self.beside);
        u64::try_from(content * 100 / 94).unwrap_or(u64::MAX)
    }

    /// What is wrong where it cannot hold them; `what` says what its files are.
    fn problem(&self, what: &str) -> Option<Error> {
        let needed = self.needed();
        if self.size.bytes() >= needed {
            return None;
        }
        let needed = Size(needed.div_ceil(MIB).saturating_mul(MIB));
        let (files, copied, size) = (Size(self.files), Size(self.copied), self.size);
        let content = match (self.files, self.copied) {
            (_, 0) => format!("the {what} take {files} installed, and do not fit"),
            (0, _) => format!("what --copy names takes {copied}, and does not fit"),
            _ => format!("the {what} take {files} installed, what --copy names {copied}, and do not fit"),
        };
        let (place, cure) = match self.mount {
            "/" => (
                "a root file system".to_owned(),
                "with --rootsize or in the partition file, or enlarge --size",
            ),
            "/opt" => ("a file system for /opt".to_owned(), "with --optsize or in the partition file"),
            mount => (format!("a file system for {mount}"), "in the partition file"),
        };
        Some(
            Error::config(format!("{content} into {place} of {size}"))
                .hint(format!("Give it at least {needed} {cure}.")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of file systems of these MiB for files and copies of these MiB.
    fn said(rooms: &[(&str, u64)], files: &[(&str, u64)], copied: &[(&str, u64)]) -> Vec<String> {
        let mut rooms: Vec<Room<'_>> =
            rooms.iter().map(|(mount, size)| Room::new(mount, Size::mib(*size))).collect();
        let files = files.iter().map(|(path, size)| ((*path).to_owned(), size.saturating_mul(MIB))).collect();
        fill(&mut rooms, &files, copied.iter().map(|(path, size)| (*path, size.saturating_mul(MIB))));
        let problems = rooms.iter().filter_map(|room| room.problem("packages"));
        problems.map(|problem| format!("{} {}", problem.message(), problem.hints()[0])).collect()
    }

    #[test]
    fn each_file_system_is_measured_by_what_comes_into_it() {
        let rooms = [("/", 600), ("/srv", 100), ("/srv/www", 50), ("/var", 40)];
        let none: [String; 0] = [];
        assert_eq!(said(&rooms, &[("/usr", 300)], &[]), none);
        assert_eq!(said(&rooms, &[("/usr", 300)], &[("/srv/data", 90), ("/srv/www", 40)]), none);
        assert_eq!(
            said(&rooms, &[("/usr", 300)], &[("/srv/data", 99), ("/srv/wwww", 1), ("/srv/www/x", 60)]),
            [
                "what --copy names takes 100 MiB, and does not fit into a file system for /srv of 100 MiB \
                 Give it at least 107 MiB in the partition file.",
                "what --copy names takes 60 MiB, and does not fit into a file system for /srv/www of 50 MiB \
                 Give it at least 64 MiB in the partition file.",
            ]
        );
        let root = said(&rooms, &[("/usr", 400)], &[("/root", 10)]);
        assert!(
            root[0].starts_with("the packages take 400 MiB installed, what --copy names 10 MiB"),
            "{root:?}"
        );
        assert!(root[0].contains("into a root file system of 600 MiB") && root[0].contains("--rootsize"));
        // A tree that is there: what is below other mount points is not in the root file system.
        assert_eq!(said(&rooms, &[("/", 300), ("/srv", 90), ("/var", 39)], &[]).len(), 1);
        assert_eq!(said(&[("/", 600), ("/usr", 300)], &[("/usr", 300)], &[]).len(), 1);
    }

    #[test]
    fn no_number_is_too_large() {
        let huge = said(&[("/", 600)], &[("/usr", u64::MAX)], &[("/", u64::MAX), ("/", u64::MAX)]);
        assert_eq!(huge.len(), 1);
    }
}
