//! The tree of the machine's files: where it is made, whether it is kept, or is there already.
//!
//! What the user wants is read here, and what can be said of it before a worker has looked.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::appliance::Appliance;
use crate::error::{Context, Error, Kind, Result};
use crate::host::claim::{self, Marked};
use crate::host::tree::Root;
use crate::rootfs::survey::Survey;
use crate::units::{MIB, Size};

/// What has to be free in a tmpfs beside the packages: the machine's own files, and what apt and the tool
/// for the initramfs write for a while.
const ROOM_FOR_WORK: Size = Size::mib(256);

/// What stands for a size that fits.
const FITTING: &str = "-";

/// Longest os-release that is read.
const LIMIT: u64 = 64 * 1024;

/// What is done with the tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeUse {
    /// The tree is what the user wants: it becomes the output directory, and there are no disks.
    pub only: bool,
    /// Directory that it is made in, where the user named one; it goes when the build ends.
    pub directory: Option<PathBuf>,
    /// The tree that is there already; nothing is installed then, and it is not written to.
    pub existing: Option<ExistingTree>,
    /// Size of a file system in memory that it is made in.
    pub memory: Option<Size>,
}

/// A tree that somebody else has made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExistingTree {
    /// Where it is.
    pub path: PathBuf,
    /// Digest over names, owners, modes, sizes and times of all its files.
    pub fingerprint: String,
    /// What its files take.
    pub size: Size,
}

/// A wish for a file system in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// As large as it needs to be.
    Fitting,
    /// Of that size.
    Of(Size),
}

/// Reads `--tmpfs`, and what cannot go together with the options of trees.
pub(super) fn read(appliance: &Appliance) -> (Option<Memory>, Vec<Error>) {
    let mut problems: Vec<Error> = conflicts(appliance).chain(without_meaning(appliance)).collect();
    let memory = match appliance.tree.tmpfs.as_deref() {
        None => None,
        Some(FITTING) => Some(Memory::Fitting),
        Some(text) => match text.parse() {
            Ok(size) => Some(Memory::Of(size)),
            Err(error) => {
                let hint = "Give --tmpfs a size such as 2G, or - for one that fits.";
                problems.push(Error::config("reading --tmpfs").because(&error).hint(hint));
                None
            }
        },
    };
    (memory, problems)
}

/// Options that contradict each other. The command line refuses them, too; a configuration file may have
/// the one and the command line the other.
fn conflicts(appliance: &Appliance) -> impl Iterator<Item = Error> + use<> {
    let tree = &appliance.tree;
    let (chroot, existing) = (tree.directory.is_some(), tree.existing.is_some());
    [
        ("--tmpfs", "--chroot-dir", tree.tmpfs.is_some() && chroot),
        ("--existing-chroot", "--chroot-dir", existing && chroot),
        ("--existing-chroot", "--only-chroot", existing && tree.only),
        ("--existing-chroot", "--tmpfs", existing && tree.tmpfs.is_some()),
    ]
    .into_iter()
    .filter(|(_, _, both)| *both)
    .map(|(one, other, _)| {
        Error::config(format!("{one} and {other} cannot go together")).hint("Leave one out.")
    })
}

/// Options that say what is to be in a tree, where it is there already.
fn without_meaning(appliance: &Appliance) -> impl Iterator<Item = Error> + use<> {
    let existing = appliance.tree.existing.is_some();
    let users = &appliance.users;
    [
        ("--addpkg", !appliance.add_packages.is_empty()),
        ("--removepkg", !appliance.remove_packages.is_empty()),
        ("--ppa", !appliance.ppas.is_empty()),
        ("--seedfile", appliance.seed_file.is_some()),
        ("--iso", appliance.iso.is_some()),
        ("--debootstrap-tarball", appliance.tarball.is_some()),
        ("--variant", appliance.variant.is_some()),
        ("--user", users.name.is_some()),
        ("--name", users.full_name.is_some()),
        ("--pass", users.password.is_some()),
        ("--rootpass", users.root_password.is_some()),
        ("--uid", users.uid.is_some()),
        ("--gid", users.gid.is_some()),
        ("--lock-user", users.lock),
        ("--ssh-key", users.root_keys.is_some()),
        ("--ssh-user-key", users.user_keys.is_some()),
        ("--lang", appliance.locale.is_some()),
        ("--timezone", appliance.timezone.is_some()),
    ]
    .into_iter()
    .filter(move |(_, given)| existing && *given)
    .map(|(option, _)| {
        Error::config(format!("{option} has no meaning with --existing-chroot"))
            .hint("Packages, users, locale and time zone stay as the tree has them: change it beforehand.")
    })
}

/// Options that do nothing where a tree is all that is wanted.
pub(super) fn without_effect(appliance: &Appliance) -> impl Iterator<Item = String> + use<> {
    let (tree, places) = (&appliance.tree, &appliance.places);
    let only = tree.only;
    let two_places = tree.directory.is_some() && places.destination.is_some();
    [
        (
            places.overwrite,
            "--overwrite has no effect with --only-chroot: a tree that is there is never replaced",
        ),
        (
            two_places,
            "--destdir has no effect with --only-chroot and --chroot-dir, which says where the tree goes",
        ),
    ]
    .into_iter()
    .filter(move |(given, _)| only && *given)
    .map(|(_, text)| text.to_owned())
}

/// The existing tree's directory, absolute and without links.
pub(super) fn existing(path: &Path) -> Result<PathBuf> {
    let context = || format!("looking at --existing-chroot {}", path.display());
    let cure =
        "Name the directory that has the tree of a system in it, as --only-chroot or debootstrap leaves one.";
    let real = path.canonicalize().context(Kind::Config, context).map_err(|error| error.hint(cure))?;
    if !real.is_dir() {
        return Err(
            Error::config(format!("--existing-chroot {} is not a directory", path.display())).hint(cure)
        );
    }
    if real == Path::new("/") {
        return Err(Error::config("--existing-chroot names this system itself")
            .hint("Name the directory of a tree that does not run."));
    }
    Ok(real)
}

/// A place that the build writes to, by the option that names it.
pub(super) struct Place<'a> {
    pub option: &'a str,
    pub path: &'a Path,
    /// Whether a tree may lie in it: nothing else in it is replaced or cleaned away.
    pub may_hold_trees: bool,
}

/// Refuses a tree that holds a place which the build writes to, or lies in one that is replaced or cleaned:
/// an existing tree is not to be changed, and a new one is removed when the build ends, with all in it. The
/// same for the directory of the results, which must be new or is replaced.
pub(super) fn keep_apart((option, tree): (&str, &Path), places: &[Place<'_>]) -> Result<()> {
    let real_tree = real(tree);
    let apart = |place: &Place<'_>| -> Result<()> {
        let (path, other) = (real(place.path), place.option);
        let (inner, outer) = if path.starts_with(&real_tree) {
            (format!("{other} {}", place.path.display()), format!("{option} {}", tree.display()))
        } else if real_tree.starts_with(&path) && !place.may_hold_trees {
            (format!("{option} {}", tree.display()), format!("{other} {}", place.path.display()))
        } else {
            return Ok(());
        };
        Err(Error::config(format!("{inner} is in {outer}"))
            .hint(format!("Name two places of which none holds the other, with {option} and {other}.")))
    };
    Error::all(places.iter().filter_map(|place| apart(place).err()).collect())
}

/// Whether two paths lead to one place.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    real(one) == real(other)
}

/// An absolute path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, mut real)) = there else { return path.to_owned() };
    for component in path.strip_prefix(ancestor).unwrap_or(Path::new("")).components() {
        match component {
            // There is no link in what is not there.
            Component::ParentDir => {
                real.pop();
            }
            component => real.push(component),
        }
    }
    real
}

/// The same as [`new_directory`] for a tree that goes when its build ends. One that a build has left because it was
/// killed is there still, with a mark, and may be replaced where that was asked for.
pub(super) fn own_directory(option: &str, path: &Path, overwrite: bool) -> Result<PathBuf> {
    let name = path.display();
    let absolute =
        std::path::absolute(path).context(Kind::Config, || format!("looking at {option} {name}"))?;
    match claim::marked(&absolute)? {
        Marked::Foreign => new_directory(option, path),
        Marked::Abandoned(_) if overwrite => Ok(absolute),
        Marked::Abandoned(_) => {
            Err(Error::config(format!("{option} {name} is left from a build that was killed"))
                .hint("Replace it with --overwrite: nothing in it is of use any more."))
        }
        Marked::InUse => Err(Error::config(format!("{option} {name} is in use by another build"))
            .hint("Name another directory, or wait until that build has ended.")),
    }
}

/// Refuses a directory for a tree that is there, or that cannot be made.
pub(super) fn new_directory(option: &str, path: &Path) -> Result<PathBuf> {
    let context = || format!("looking at {option} {}", path.display());
    let path = std::path::absolute(path).context(Kind::Config, context)?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::config(format!("{option} {} exists", path.display()))
            .hint("Name a directory that is not there yet: what is in it is never replaced."));
    }
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(Error::config(format!("{option} {} ends in no name", path.display()))
            .hint("Name the directory itself, not one by `..`."));
    };
    if !parent.is_dir() {
        return Err(Error::config(format!(
            "{}, which {option} is to be made in, is not there",
            parent.display()
        ))
        .hint(format!("Make it with `mkdir -p {}`.", parent.display())));
    }
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .context(Kind::Config, || format!("writing into {}", parent.display()))
        .map_err(|error| error.hint(format!("Name with {option} a directory where you may write.")))?;
    Ok(path)
}

/// What a release calls itself in os-release(5): distribution and codename.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    pub distro: String,
    pub codename: String,
}

impl Release {
    /// That of a tree, as far as this process can read it.
    pub(super) fn of_tree(path: &Path) -> Release {
        // What cannot be read here the worker's survey will tell.
        let text = Root::open(path).and_then(|root| root.read("/etc/os-release", LIMIT));
        Release::parse(&text.ok().flatten().unwrap_or_default())
    }

    /// Refuses a tree that does not say which release it is, where the user does not either: it would be taken
    /// for the newest.
    pub(super) fn is_enough(&self, path: &Path, suite: Option<&str>) -> Result<()> {
        if suite.is_some() || !self.codename.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} does not say which release it is: /etc/os-release there has no VERSION_CODENAME",
            path.display()
        );
        Err(Error::config(text).hint("Name the release with --suite."))
    }

    fn parse(text: &str) -> Release {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
        };
        Release { distro: field("ID"), codename: field("VERSION_CODENAME") }
    }
}

/// What a survey says against a tree for a release and an architecture; and a warning.
pub(super) fn judge(
    survey: &Survey,
    path: &Path,
    release: &Release,
    suite: (&str, &str),
    architecture: &str,
) -> Result<Option<String>> {
    let tree = path.display();
    let (distro, codename) = suite;
    if !release.distro.is_empty() && release.distro != distro {
        return Err(Error::config(format!("{tree} is a tree of {}, not of {distro}", release.distro))
            .hint("Name the distribution of the tree in the command."));
    }
    if !survey.architecture.is_empty() && survey.architecture != architecture {
        return Err(Error::config(format!(
            "{tree} is a tree for {}, not for {architecture}",
            survey.architecture
        ))
        .hint(format!("Say so: --arch {}.", survey.architecture)));
    }
    Error::all(survey.problems.clone())
        .map_err(|error| error.of(Kind::Config).within(format!("making a disk of {tree}")))?;
    let differs = !release.codename.is_empty() && release.codename != codename;
    Ok(differs.then(|| {
        format!(
            "{tree} says that it is {}; it is configured as {codename}, which --suite names",
            release.codename
        )
    }))
}

/// The size of the file system in memory for a tree of that size.
pub(super) fn memory(wish: Memory, tree: Size) -> Result<Size> {
    let needed = rounded_up(tree.bytes().saturating_add(ROOM_FOR_WORK.bytes()), MIB);
    let meminfo = std::fs::read_to_string("/proc/meminfo")
        .context(Kind::Host, || "reading /proc/meminfo".to_owned())?;
    within(wish, needed, parse_memory(&meminfo))
}

/// The next multiple of `unit`, or more than any host has.
fn rounded_up(bytes: u64, unit: u64) -> Size {
    Size(bytes.checked_next_multiple_of(unit).unwrap_or(u64::MAX))
}

fn within(wish: Memory, needed: Size, there: Size) -> Result<Size> {
    let size = match wish {
        Memory::Of(size) => size,
        // Packages declare what they have, and their scripts make more of it.
        Memory::Fitting => rounded_up((needed.bytes() / 4).saturating_mul(5), 64 * MIB),
    };
    if size < needed {
        return Err(Error::config(format!("the tree does not fit into --tmpfs {size}"))
            .hint(format!("Give it at least {needed}, or - for a size that fits.")));
    }
    if size > there {
        return Err(Error::host(format!(
            "--tmpfs {size} is more than memory and swap of this host, {there}"
        ))
        .hint("Leave --tmpfs out: the tree is then made in the directory that --tmp names."));
    }
    Ok(size)
}

/// Memory and swap in /proc/meminfo (proc_meminfo(5)), which counts in units of 1024 bytes.
fn parse_memory(meminfo: &str) -> Size {
    let field = |name: &str| -> u64 {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Size(field("MemTotal").saturating_add(field("SwapTotal")).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance;

    #[test]
    fn what_cannot_go_together_is_told_at_once() {
        let tree = |tmpfs: &str| appliance::Tree {
            existing: Some("/srv/tree".into()),
            directory: Some("/srv/new".into()),
            tmpfs: Some(tmpfs.into()),
            only: true,
            in_place: true,
        };
        let appliance = Appliance {
            tree: tree("lots"),
            add_packages: vec!["nginx".into()],
            locale: Some("C".into()),
            ..Appliance::default()
        };
        let (memory, problems) = read(&appliance);
        assert_eq!(memory, None);
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 7, "{text:#?}");
        for says in ["--tmpfs and --chroot-dir", "--addpkg has no meaning", "--lang", "`lots` is not a size"]
        {
            assert!(text.iter().any(|text| text.contains(says)), "{says} in {text:#?}");
        }
        let alone = appliance::Tree { tmpfs: Some("2G".into()), ..appliance::Tree::default() };
        let (memory, problems) = read(&Appliance { tree: alone, ..Appliance::default() });
        assert_eq!((memory, problems.len()), (Some(Memory::Of(Size::mib(2048))), 0));
    }

    #[test]
    fn what_says_what_is_in_a_new_tree_has_no_meaning_for_one_that_is_there() {
        for name in appliance::settings::OF_NEW_TREES.iter().filter(|name| !name.ends_with("-file")) {
            let tree = appliance::Tree { existing: Some("/srv/tree".into()), ..appliance::Tree::default() };
            let mut appliance = Appliance { tree, ..Appliance::default() };
            appliance::settings::find(name).unwrap().set(&mut appliance, "1").unwrap();
            let says = format!("--{name} has no meaning");
            assert!(without_meaning(&appliance).any(|error| error.message().contains(&says)), "{says}");
        }
    }

    #[test]
    fn what_does_nothing_for_a_tree_alone_is_told() {
        let mut appliance = Appliance::default();
        appliance.places.overwrite = true;
        appliance.places.destination = Some("out".into());
        appliance.tree.directory = Some("tree".into());
        assert_eq!(without_effect(&appliance).count(), 0);
        appliance.tree.only = true;
        assert_eq!(without_effect(&appliance).count(), 2);
        appliance.tree.directory = None;
        assert!(without_effect(&appliance).all(|text| text.starts_with("--overwrite")));
    }

    #[test]
    fn memory_is_enough_and_there() {
        let (needed, there) = (Size::mib(1000), Size::mib(4000));
        assert_eq!(within(Memory::Fitting, needed, there).unwrap(), Size::mib(1280));
        assert_eq!(within(Memory::Of(needed), needed, there).unwrap(), needed);
        let small = within(Memory::Of(Size::mib(999)), needed, there).unwrap_err();
        assert!(small.kind() == Kind::Config && small.hints()[0].contains("1000 MiB"), "{small:?}");
        for wish in [Memory::Of(Size::mib(4001)), Memory::Fitting] {
            let there = if wish == Memory::Fitting { Size::mib(1100) } else { there };
            assert_eq!(within(wish, needed, there).unwrap_err().kind(), Kind::Host);
        }
        assert!(memory(Memory::Fitting, Size(u64::MAX)).is_err());
        assert_eq!(parse_memory("MemTotal:  2048 kB\nSwapTotal: 1024 kB\n"), Size::mib(3));
        assert_eq!(parse_memory("MemTotal: many\n"), Size(0));
    }

    #[test]
    fn what_a_killed_build_left_is_replaced_on_demand() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("tree");
        let own = |overwrite| own_directory("--chroot-dir", &path, overwrite);
        assert_eq!(own(false).unwrap(), path);
        let claim = claim::Claim::make_marked(&path, claim::PRIVATE).unwrap();
        for overwrite in [false, true] {
            assert!(own(overwrite).unwrap_err().message().ends_with("is in use by another build"));
        }
        drop(claim);
        // A program that another test starts may hold the lock for a moment.
        while own(true).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let error = own(false).unwrap_err();
        assert!(error.message().ends_with("is left from a build that was killed"), "{error}");
        assert!(error.hints()[0].contains("--overwrite"));
        // Somebody else's stays, whatever is said.
        let other = room.path().join("other");
        std::fs::create_dir(&other).unwrap();
        assert!(own_directory("--chroot-dir", &other, true).unwrap_err().message().ends_with("exists"));
    }

    #[test]
    fn a_directory_for_a_tree_is_new() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        assert_eq!(new_directory("--chroot-dir", &at("new")).unwrap(), at("new"));
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        for (path, says) in [
            (room.path().to_owned(), "exists"),
            (at("link"), "exists"),
            (at("none/below"), "is not there"),
            ("/".into(), "exists"),
        ] {
            let error = new_directory("--chroot-dir", &path).unwrap_err();
            assert_eq!(error.hints().len(), 1, "{error:?}");
            assert!(error.kind() == Kind::Config && error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn an_existing_tree_is_a_directory_and_not_this_system() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(existing(room.path()).unwrap(), room.path().canonicalize().unwrap());
        for path in ["/", "/usr/..", "/etc/passwd", "/nowhere"] {
            assert_eq!(existing(Path::new(path)).unwrap_err().kind(), Kind::Config, "{path}");
        }
    }

    #[test]
    fn places_do_not_hold_each_other() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::create_dir(at("tree")).unwrap();
        std::os::unix::fs::symlink("tree", at("link")).unwrap();
        for (tree, place, may_hold_trees, good) in [
            ("tree", "out", false, true),
            ("tree", "tree-2", false, true),
            ("tree", "tree/out", false, false),
            ("tree", "tree", true, false),
            ("tree", "link/not/there", false, false),
            ("link/new", "tree", false, false),
            ("link/new", "tree", true, true),
            ("new", "new/out", false, false),
            ("new", "none/../new/out", false, false),
            ("new", "new/../out", false, true),
        ] {
            let path = at(place);
            let places = [Place { option: "--destdir", path: &path, may_hold_trees }];
            let answer = keep_apart(("--chroot-dir", &at(tree)), &places);
            assert_eq!(answer.is_ok(), good, "{tree} {place}");
            if let Err(error) = answer {
                assert!(error.kind() == Kind::Config && error.hints()[0].contains("--destdir"), "{error:?}");
            }
        }
    }

    #[test]
    fn a_tree_of_something_else_is_refused() {
        let release = Release::parse("NAME=x\nID=debian\nVERSION_CODENAME=\"bookworm\"\n");
        assert_eq!(release, Release { distro: "debian".into(), codename: "bookworm".into() });
        assert!(release.is_enough(Path::new("/srv/tree"), None).is_ok());
        let nameless = Release::parse("ID=debian\n");
        assert!(nameless.is_enough(Path::new("/srv/tree"), Some("sid")).is_ok());
        let error = nameless.is_enough(Path::new("/srv/tree"), None).unwrap_err();
        assert!(error.kind() == Kind::Config && error.hints()[0].contains("--suite"), "{error:?}");
        let survey = Survey { architecture: "amd64".into(), ..Survey::default() };
        let judge = |survey: &Survey, suite, architecture| {
            judge(survey, Path::new("/srv/tree"), &release, suite, architecture)
        };
        assert_eq!(judge(&survey, ("debian", "bookworm"), "amd64").unwrap(), None);
        assert!(judge(&survey, ("debian", "trixie"), "amd64").unwrap().unwrap().contains("bookworm"));
        assert!(judge(&survey, ("ubuntu", "jammy"), "amd64").is_err());
        let other = judge(&survey, ("debian", "bookworm"), "i386").unwrap_err();
        assert!(other.hints()[0].contains("--arch amd64"));
        let problems = vec![Error::build("no kernel is in /boot").hint("Install one.")];
        let lacking = Survey { problems, ..survey };
        let error = judge(&lacking, ("debian", "bookworm"), "amd64").unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains("no kernel"), "{error}");
    }
}
