//! Copies what the user's list names into the tree. Nothing of the host's owners gets there: everything is
//! root's, unless the list says otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, Timespec, Timestamps};

use crate::error::{Context, Error, Kind, Result};
use crate::event::{Event, Sink};
use crate::host::followed::{self, Entry};
use crate::host::tree::Root;
use crate::plan::copy_list::Owner;
use crate::plan::{Copied, Placement, Plan};

/// Longest account file that is read.
const LIMIT: u64 = 1024 * 1024;

/// Copies everything that the plan names, and returns the files that it made.
pub(super) fn copy(plan: &Plan, root: &Root, sink: &dyn Sink) -> Result<BTreeSet<PathBuf>> {
    let mut made = BTreeSet::new();
    for copied in &plan.customising.copied {
        let (source, destination) = (copied.source.display(), &copied.destination);
        sink.emit(Event::Info { text: format!("copying {source} to {destination}") });
        copy_one(copied, plan.epoch, root, &mut made)
            .map_err(|error| error.of(Kind::Build).within(format!("copying {source} to {destination}")))?;
    }
    Ok(made)
}

fn copy_one(copied: &Copied, epoch: i64, root: &Root, made: &mut BTreeSet<PathBuf>) -> Result<()> {
    let target = target(copied, root)?;
    let owner = copied.owner.as_ref().map_or(Ok((0, 0)), |owner| ids(owner, root))?;
    let mut entries = followed::walk(&copied.source)?;
    if let Some(parent) = target.parent() {
        root.create_directories(parent)?;
    }
    for entry in &mut entries {
        let place =
            if entry.below.as_os_str().is_empty() { target.clone() } else { target.join(&entry.below) };
        if entry.is_directory {
            make_directory(&place, directory_mode(copied.mode, entry.mode), owner, root)?;
        } else {
            entry.sha256 = copy_file(copied, entry, &place, epoch, owner, root)?;
            made.insert(place);
        }
    }
    if followed::digest(&entries, epoch) == copied.sha256 {
        return Ok(());
    }
    Err(Error::build("it was changed after the plan was made").hint("Run the command again."))
}

/// Where the copy is to be: as cp(1) has it, a directory that is there gets it into it.
fn target(copied: &Copied, root: &Root) -> Result<PathBuf> {
    let destination = Path::new(&copied.destination);
    let into = match copied.placement {
        Placement::Into => true,
        Placement::Contents => false,
        Placement::Named => root.leads_to_directory(destination)?,
    };
    match (into, copied.source.file_name()) {
        (true, Some(name)) => Ok(destination.join(name)),
        (true, None) => Err(Error::build("it has no name")),
        (false, _) => Ok(destination.to_owned()),
    }
}

fn copy_file(
    copied: &Copied,
    entry: &Entry,
    place: &Path,
    epoch: i64,
    (user, group): (u32, u32),
    root: &Root,
) -> Result<[u8; 32]> {
    let context = || format!("writing {} in the tree", place.display());
    let mut file = root.replace(place)?;
    let sha256 = followed::copy(&entry.place(&copied.source), &mut file)?;
    std::os::unix::fs::fchown(&file, Some(user), Some(group)).context(Kind::Build, context)?;
    // After the owner, whose change takes the set-id bits away.
    let mode = Mode::from_raw_mode(copied.mode.unwrap_or(entry.mode));
    rustix::fs::fchmod(&file, mode).context(Kind::Build, context)?;
    let time = Timespec { tv_sec: entry.time(epoch), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::futimens(&file, &times).context(Kind::Build, context)?;
    Ok(sha256)
}

/// A directory that is there keeps its mode and owner: they are the system's.
fn make_directory(place: &Path, mode: u32, (user, group): (u32, u32), root: &Root) -> Result<()> {
    if root.leads_to_directory(place)? {
        return Ok(());
    }
    root.create_directories(place)?;
    root.set_owner(place, user, group)?;
    root.set_mode(place, mode)
}

/// The mode for files, and for directories what goes with it: who may read one may enter it.
fn directory_mode(given: Option<u32>, own: u32) -> u32 {
    given.map_or(own, |mode| mode | ((mode & 0o444) >> 2))
}

/// The ids of an owner in the tree.
fn ids(owner: &Owner, root: &Root) -> Result<(u32, u32)> {
    let (user, own_group) = match &owner.user {
        None => (0, 0),
        Some(name) => account(&root.read("/etc/passwd", LIMIT)?.unwrap_or_default(), name)
            .ok_or_else(|| unknown("user", name))?,
    };
    let group = match &owner.group {
        None => own_group,
        Some(name) => {
            account(&root.read("/etc/group", LIMIT)?.unwrap_or_default(), name)
                .ok_or_else(|| unknown("group", name))?
                .0
        }
    };
    Ok((user, group))
}

fn unknown(what: &str, name: &str) -> Error {
    Error::build(format!("the machine has no {what} {name}"))
        .hint("Owners are those of the machine: add the package that makes it, or name it by number.")
}

/// Third and fourth field of the line of `name` in passwd(5) or group(5), whose third fields are both an id.
/// A number stands for itself, and for the group of that number where no line has it.
fn account(text: &str, name: &str) -> Option<(u32, u32)> {
    let number: Option<u32> = name.parse().ok();
    let line = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| match number {
        Some(number) => fields.get(2).is_some_and(|id| id.parse() == Ok(number)),
        None => fields.first() == Some(&name),
    });
    let field = |index: usize| line.as_ref()?.get(index)?.parse::<u32>().ok();
    let id = number.or_else(|| field(2))?;
    Some((id, field(3).unwrap_or(id)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::testing;
    use crate::units::Size;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:44::/:/x\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:bob\nwww:x:44:\n";

    #[test]
    fn owners_are_those_of_the_machine() {
        for (text, name, expected) in [
            (PASSWD, "www-data", Some((33, 44))),
            (PASSWD, "33", Some((33, 44))),
            (PASSWD, "1000", Some((1000, 1000))),
            (PASSWD, "nobody", None),
            (GROUP, "adm", Some((4, 4))),
            (GROUP, "4", Some((4, 4))),
        ] {
            assert_eq!(account(text, name), expected, "{name}");
        }
    }

    /// A directory to copy from, and a tree.
    struct Room(tempfile::TempDir);

    impl Room {
        fn new() -> Room {
            let room = Room(tempfile::tempdir().unwrap());
            for directory in ["tree/etc", "tree/opt", "from/dir/sub"] {
                std::fs::create_dir_all(room.at(directory)).unwrap();
            }
            std::fs::write(room.at("tree/etc/passwd"), PASSWD).unwrap();
            std::fs::write(room.at("tree/etc/group"), GROUP).unwrap();
            for (name, mode) in [("from/file", 0o6751), ("from/dir/one", 0o640), ("from/dir/sub/two", 0o600)]
            {
                std::fs::write(room.at(name), name).unwrap();
                std::fs::set_permissions(room.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
            }
            std::fs::set_permissions(room.at("from/dir/sub"), std::fs::Permissions::from_mode(0o750))
                .unwrap();
            room
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn copy(&self, source: &str, destination: &str, placement: Placement, more: More) -> Result<()> {
            let source = self.at(source);
            let mut entries = followed::walk(&source).unwrap();
            followed::read(&source, &mut entries).unwrap();
            let copied = Copied {
                sha256: followed::digest(&entries, EPOCH),
                destination: destination.to_owned(),
                placement,
                mode: more.0,
                owner: more.1,
                files: 0,
                size: Size(0),
                source,
            };
            copy_one(&copied, EPOCH, &Root::open(&self.at("tree")).unwrap(), &mut BTreeSet::new())
        }

        fn mode(&self, name: &str) -> u32 {
            self.at(name).metadata().unwrap().mode() & 0o7777
        }
    }

    type More = (Option<u32>, Option<Owner>);
    const EPOCH: i64 = 1_000_000;
    const PLAIN: More = (None, None);

    #[test]
    fn copies_are_where_cp_would_put_them() {
        if !testing::is_root() {
            return;
        }
        for (source, destination, placement, expected) in [
            ("from/file", "/etc/new", Placement::Named, "etc/new"),
            ("from/file", "/etc", Placement::Named, "etc/file"),
            ("from/file", "/srv/deep/new", Placement::Into, "srv/deep/new/file"),
            ("from/dir", "/srv/new", Placement::Named, "srv/new/sub/two"),
            ("from/dir", "/opt", Placement::Named, "opt/dir/sub/two"),
            ("from/dir", "/opt", Placement::Contents, "opt/sub/two"),
            ("from/dir", "/", Placement::Contents, "sub/two"),
        ] {
            let room = Room::new();
            room.copy(source, destination, placement, PLAIN).unwrap();
            assert!(room.at("tree").join(expected).is_file(), "{source} {destination}");
        }
    }

    #[test]
    fn modes_times_and_owners_are_as_documented() {
        if !testing::is_root() {
            return;
        }
        let room = Room::new();
        room.copy("from/file", "/etc/new", Placement::Named, PLAIN).unwrap();
        assert_eq!(room.mode("tree/etc/new"), 0o751);
        let made = room.at("tree/etc/new").metadata().unwrap();
        assert_eq!((made.uid(), made.gid(), made.mtime()), (0, 0, EPOCH));
        let owner = |user: &str| Some(Owner { user: Some(user.to_owned()), group: None });
        room.copy("from/file", "/etc/new", Placement::Named, (Some(0o4755), owner("www-data"))).unwrap();
        let made = room.at("tree/etc/new").metadata().unwrap();
        assert_eq!((room.mode("tree/etc/new"), made.uid(), made.gid()), (0o4755, 33, 44));
        room.copy("from/dir", "/srv", Placement::Into, PLAIN).unwrap();
        assert_eq!([room.mode("tree/srv"), room.mode("tree/srv/dir/sub")], [0o755, 0o750]);
        assert_eq!(room.mode("tree/srv/dir/one"), 0o640);
        room.copy("from/dir", "/var/x", Placement::Named, (Some(0o640), owner("33"))).unwrap();
        assert_eq!([room.mode("tree/var/x/sub"), room.mode("tree/var/x/one")], [0o750, 0o640]);
        assert_eq!(room.at("tree/var/x/sub").metadata().unwrap().uid(), 33);
        assert_eq!(room.at("tree/var").metadata().unwrap().uid(), 0);
        let error = room.copy("from/file", "/etc/x", Placement::Named, (None, owner("nobody"))).unwrap_err();
        assert_eq!(error.message(), "the machine has no user nobody");
    }

    #[test]
    fn links_in_the_tree_lead_nowhere_else() {
        if !testing::is_root() {
            return;
        }
        let room = Room::new();
        std::fs::create_dir(room.at("outside")).unwrap();
        symlink(room.at("outside"), room.at("tree/away")).unwrap();
        symlink("../../outside", room.at("tree/up")).unwrap();
        symlink("/etc/passwd", room.at("tree/etc/link")).unwrap();
        for destination in ["/away/x", "/up/x"] {
            assert!(room.copy("from/file", destination, Placement::Named, PLAIN).is_err(), "{destination}");
        }
        assert_eq!(std::fs::read_dir(room.at("outside")).unwrap().count(), 0);
        // A link in the place of the copy itself is replaced, and what it leads to stays.
        room.copy("from/file", "/etc/link", Placement::Named, PLAIN).unwrap();
        assert!(room.at("tree/etc/link").symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read_to_string(room.at("tree/etc/passwd")).unwrap(), PASSWD);
        // A directory is not.
        std::fs::create_dir(room.at("tree/opt/file")).unwrap();
        assert!(room.copy("from/file", "/opt", Placement::Named, PLAIN).is_err());
        assert!(room.copy("from/dir", "/etc/passwd", Placement::Named, PLAIN).is_err());
    }

    #[test]
    fn what_changed_after_the_plan_is_not_taken() {
        if !testing::is_root() {
            return;
        }
        let room = Room::new();
        let source = room.at("from/file");
        let copied = Copied {
            source,
            destination: "/etc/new".to_owned(),
            placement: Placement::Named,
            mode: None,
            owner: None,
            files: 1,
            size: Size(0),
            sha256: "of another content".to_owned(),
        };
        let root = Root::open(&room.at("tree")).unwrap();
        let error = copy_one(&copied, EPOCH, &root, &mut BTreeSet::new()).unwrap_err();
        assert_eq!(error.message(), "it was changed after the plan was made");
    }
}
