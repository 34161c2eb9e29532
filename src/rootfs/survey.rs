//! Looks at a tree that somebody else has made, and changes nothing: what is in it, what it lacks for a
//! disk that boots, and whether its owners can be told.

mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySets;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mounts::leads_elsewhere;
use super::packages;
use crate::digest::hex;
use crate::disk::bootloader;
use crate::disk::layout::FileSystem;
use crate::error::{Context, Error, Kind, Result};
use crate::host::tree::{self, Root};
use crate::plan::ExistingTree;
use crate::suite::Suite;

/// As whom the kernel shows owners and groups that a user namespace does not know.
const OVERFLOW_UID: &str = "/proc/sys/kernel/overflowuid";
const OVERFLOW_GID: &str = "/proc/sys/kernel/overflowgid";

/// What a tree is to become.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The release that it is to be a machine of.
    pub suite: Box<Suite>,
    /// Debian's name of the machine's architecture.
    pub architecture: String,
    /// Packages that the machine needs for what is on its disks.
    pub packages: Vec<String>,
    /// Where file systems are mounted.
    pub mounts: Vec<String>,
    /// Kinds of the file systems on its disks.
    pub file_systems: Vec<FileSystem>,
    /// Whether it is told its address by DHCP.
    pub dhcp: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    /// Digest over names, owners, modes, sizes and times of everything, in hexadecimal.
    pub fingerprint: String,
    /// Bytes in files.
    pub bytes: u64,
    /// The same at each mount point that has some.
    pub held: BTreeMap<String, u64>,
    /// The latest time of any file, in seconds since 1970.
    pub newest: i64,
    /// Debian's name of the architecture; empty where dpkg does not say.
    pub architecture: String,
    /// What keeps it from becoming a disk that boots.
    pub problems: Vec<Error>,
}

/// Looks at the tree at `path`, which is to become what is wanted.
///
/// # Errors
///
/// [`Kind::Config`] where it cannot be read to its end, or has files of owners that are not known here.
pub fn survey(path: &Path, wanted: &Wanted) -> Result<Survey> {
    let mut survey = files(path, &wanted.mounts)?;
    let owner = std::fs::symlink_metadata(path).context(Kind::Config, || looking_at(path))?.uid();
    let root = Root::open(path)?;
    let mut problems: Vec<Error> = owner_problem(path, owner).into_iter().collect();
    problems.extend(bootloader::lacks(&root, &wanted.suite, &wanted.architecture)?);
    for mount in &wanted.mounts {
        problems.extend(root.obstacle(mount)?.map(|obstacle| leads_elsewhere(mount, &obstacle)));
    }
    problems.extend(needs::growing(&root, &wanted.file_systems)?);
    problems.extend(needs::network(&root, wanted.suite.network.stack, wanted.dhcp)?);
    let installed = packages::all_installed(&root)?;
    let Some(installed) = installed else {
        problems.push(Error::config("the tree has no dpkg database, /var/lib/dpkg/status"));
        return Ok(Survey { problems, ..survey });
    };
    if !root.exists("/sbin/init")? {
        let hint = "Install systemd-sysv in the tree.";
        problems.push(Error::config("the tree has no init system, /sbin/init").hint(hint));
    }
    problems.extend(needs::packages(&wanted.packages, &installed));
    let dpkg = installed.into_iter().find(|package| package.name == "dpkg");
    survey.architecture = dpkg.map(|package| package.architecture).unwrap_or_default();
    Ok(Survey { problems, ..survey })
}

/// Looks at every file, and at no content.
fn files(path: &Path, mounts: &[String]) -> Result<Survey> {
    let strangers = Strangers::of_this_namespace()?;
    let mut hash = Sha256::new();
    let (mut held, mut linked) = (BTreeMap::new(), BTreeSet::new());
    let mut newest = i64::MIN;
    let top = std::fs::symlink_metadata(path).context(Kind::Config, || looking_at(path))?;
    let mut visit = |file: &Path, metadata: &Metadata| {
        strangers.refuse(path, file, metadata)?;
        if metadata.dev() != top.dev() && metadata.is_dir() {
            return Err(Error::config(format!("something is mounted at {} in the tree", file.display()))
                .hint("Unmount it first: what is mounted is not part of the tree."));
        }
        let below = file.strip_prefix(path).unwrap_or(file);
        hash.update(line(below, metadata));
        if metadata.is_symlink() {
            let target = std::fs::read_link(file)
                .context(Kind::Config, || format!("reading the link {}", file.display()))?;
            hash.update(target.as_os_str().as_bytes());
        }
        // A file of several names is there once.
        if metadata.is_file() && (metadata.nlink() == 1 || linked.insert(metadata.ino())) {
            let bytes: &mut u64 = held.entry(holder(mounts, below).to_owned()).or_default();
            *bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
        }
        newest = newest.max(metadata.mtime());
        Ok(())
    };
    visit(path, &top)?;
    tree::walk(path, &mut visit).map_err(|error| error.of(Kind::Config))?;
    let bytes = held.values().copied().fold(0, u64::saturating_add);
    let fingerprint = hex(hash.finalize());

    Ok(Survey { fingerprint, bytes, held, newest, ..Survey::default() })
}

fn looking_at(path: &Path) -> String {
    format!("looking at the tree {}", path.display())
}

/// Looks whether a tree is still what the plan was made of: the identity of the image says what is in it.
///
/// # Errors
///
/// [`Kind::Build`] where it is not; those of [`survey`] else.
pub(super) fn is_unchanged(tree: &ExistingTree) -> Result<()> {
    if files(&tree.path, &[])?.fingerprint == tree.fingerprint {
        return Ok(());
    }
    Err(Error::build(format!("the tree {} was changed since the plan was made", tree.path.display()))
        .hint("Run the command again."))
}

/// A tree whose own directory is not root's was made by an ordinary user, seen with other eyes than that
/// user's: all owners would be wrong.
fn owner_problem(path: &Path, uid: u32) -> Option<Error> {
    let text = || format!("{} belongs to the user {uid} and not to root", path.display());
    let hint = "Build as the user who has made the tree.";
    (uid != 0).then(|| Error::config(text()).hint(hint))
}

/// The nearest of `mounts` above a file of the tree, whose path begins at its root.
fn holder<'a>(mounts: &'a [String], below: &Path) -> &'a str {
    let above = mounts.iter().filter(|mount| below.starts_with(mount.trim_start_matches('/')));
    above.max_by_key(|mount| mount.len()).map_or("/", String::as_str)
}

/// What a file adds to the fingerprint.
fn line(path: &Path, metadata: &Metadata) -> Vec<u8> {
    // A directory's own size depends on its history.
    let size = if metadata.is_dir() { 0 } else { metadata.size() };
    let mut line = path.as_os_str().as_bytes().to_vec();
    let numbers = [u64::from(metadata.mode()), u64::from(metadata.uid()), u64::from(metadata.gid()), size];
    for number in numbers.into_iter().chain([metadata.rdev()]) {
        line.extend_from_slice(&number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec()] {
        line.extend_from_slice(&number.to_le_bytes());
    }
    line
}

/// Tells owners and groups that this user namespace does not know.
struct Strangers {
    /// As whom owners are shown; none where every one is known.
    user: Option<u32>,
    /// As what groups are shown; none where every one is known.
    group: Option<u32>,
}

impl Strangers {
    fn of_this_namespace() -> Result<Strangers> {
        let shown = |map: &str, overflow: &str| -> Result<Option<u32>> {
            let context = || "reading the mapping of user ids".to_owned();
            let map = std::fs::read_to_string(map).context(Kind::Host, context)?;
            let overflow = std::fs::read_to_string(overflow).context(Kind::Host, context)?;
            Ok(if is_whole(&map) { None } else { overflow.trim().parse().ok() })
        };
        let user = shown("/proc/self/uid_map", OVERFLOW_UID)?;
        Ok(Strangers { user, group: shown("/proc/self/gid_map", OVERFLOW_GID)? })
    }

    fn refuse(&self, tree: &Path, file: &Path, metadata: &Metadata) -> Result<()> {
        let user = self.user == Some(metadata.uid()) && is_strange(file, metadata);
        let group = || self.group == Some(metadata.gid()) && has_strange_group(file, metadata);
        if !user && !group() {
            return Ok(());
        }
        let (tree, file) = (tree.display(), file.display());
        let what = match user {
            true => "belongs to neither you nor your subordinate ids",
            false => "has a group that is neither yours nor among your subordinate ids",
        };
        Err(Error::config(format!("{file} in the tree {what}"))
            .hint(format!("A tree that root has made becomes a disk as root: run rvmb with sudo, or make {tree} anew with --only-chroot.")))
    }
}

/// Whether a mapping (user_namespaces(7)) has every id.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().nth(2).and_then(|count| count.parse().ok()) == Some(u32::MAX)
}

/// Whether the owner is really not known, or is the user that the guest has by that number: only who has
/// rights over the owner may open a file without a mark of the time (open(2), `O_NOATIME`). What can only
/// be opened otherwise is taken for known; files and directories tell of a wrong owner before it.
fn is_strange(file: &Path, metadata: &Metadata) -> bool {
    let opened = || {
        let flags = OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        std::fs::File::options().read(true).custom_flags(flags.bits().cast_signed()).open(file)
    };
    (metadata.is_file() || metadata.is_dir()) && opened().is_err()
}

/// Whether the group is really not known, or is the group that the guest has by that number. Who is not the
/// owner and may override permissions may write wherever both owner and group are known, and only there
/// (user_namespaces(7), "Capabilities"); nothing is written. What everybody may write to is taken for known,
/// and so is everything on a kernel before Linux 5.8.
fn has_strange_group(file: &Path, metadata: &Metadata) -> bool {
    if !metadata.is_file() && !metadata.is_dir() {
        return false;
    }
    // Credentials are a thread's own, and this one ends with the question.
    let asked = std::thread::scope(|scope| scope.spawn(|| may_write_as_another(file)).join());
    matches!(asked, Ok(Err(Errno::ACCESS)))
}

/// Whether a user who is not root and has root's rights may write. The calling thread is that user afterwards.
#[expect(unsafe_code, reason = "no crate here has setfsuid")]
fn may_write_as_another(file: &Path) -> rustix::io::Result<()> {
    /// Neither root nor whoever owns much of a tree.
    const ANOTHER: libc::uid_t = 1;
    // SAFETY: it takes a number, and changes nothing but this thread's identity for file systems.
    unsafe { libc::setfsuid(ANOTHER) };
    // That took away what root may do with files (capabilities(7), "Effect of user ID changes").
    let rights = rustix::thread::capabilities(None)?;
    let all = CapabilitySets { effective: rights.permitted, ..rights };
    rustix::thread::set_capabilities(None, all)?;
    rustix::fs::accessat(rustix::fs::CWD, file, Access::WRITE_OK, AtFlags::EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Registry;

    #[test]
    fn a_survey_names_all_that_is_lacking_and_sees_every_change() {
        let room = tempfile::tempdir().unwrap();
        let root = Root::open(room.path()).unwrap();
        let registry = Registry::built_in().unwrap();
        let suite = registry.find("debian", "bookworm").unwrap();
        let wanted = Wanted {
            suite: Box::new(suite.clone()),
            architecture: "amd64".into(),
            packages: vec!["lvm2".into()],
            mounts: vec!["/".into(), "/var/run/here".into()],
            file_systems: vec![FileSystem::Ext4],
            dhcp: true,
        };
        let look = || survey(room.path(), &wanted).unwrap();
        root.write("/etc/hostname", 0o644, "one").unwrap();
        let empty = look();
        let text: String = empty.problems.iter().map(|problem| format!("{problem}\n")).collect();
        let kernel = empty.problems.iter().find(|error| error.message().contains("no kernel")).unwrap();
        assert!(kernel.hints().iter().any(|hint| hint.contains("linux-image")), "{kernel:?}");
        for lacking in ["no kernel", "GRUB for a BIOS", "GRUB for UEFI", "grub-mkimage", "dpkg database"] {
            assert!(text.contains(lacking), "{lacking} in {text}");
        }
        assert_eq!(look().fingerprint, empty.fingerprint);
        let (path, fingerprint) = (room.path().to_owned(), empty.fingerprint.clone());
        let tree = ExistingTree { path, fingerprint, size: crate::units::Size(0) };
        is_unchanged(&tree).unwrap();
        root.set_mode("/etc/hostname", 0o600).unwrap();
        assert_ne!(look().fingerprint, empty.fingerprint);
        let error = is_unchanged(&tree).unwrap_err();
        assert!(error.message().contains("was changed") && !error.hints().is_empty(), "{error}");
        root.create_directories("/var").unwrap();
        root.link("/run", "/var/run").unwrap();
        let dpkg = "Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
        root.write(packages::STATUS, 0o644, dpkg).unwrap();
        let found = look();
        assert_eq!(found.architecture, "amd64");
        for lacking in ["init system", "no lvm2", "no resize2fs", "no systemd-networkd", "a link to /run"] {
            assert!(found.problems.iter().any(|problem| problem.message().contains(lacking)), "{lacking}");
        }
        assert!(found.newest > 1_700_000_000 && found.bytes > 0);
        assert_eq!(found.held, BTreeMap::from([("/".to_owned(), found.bytes)]));
    }

    #[test]
    fn files_are_counted_where_they_will_be() {
        let mounts = ["/", "/srv", "/srv/www", "/var/log"].map(str::to_owned);
        for (path, expected) in [
            ("etc/fstab", "/"),
            ("var/lib/x", "/"),
            ("var/log/x", "/var/log"),
            ("srv/wwww", "/srv"),
            ("srv/www/index", "/srv/www"),
        ] {
            assert_eq!(holder(&mounts, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_tree_is_roots() {
        assert!(owner_problem(Path::new("/srv/tree"), 0).is_none());
        assert!(owner_problem(Path::new("/srv/tree"), 1004).unwrap().message().contains("1004"));
    }

    #[test]
    fn a_group_is_asked_for_and_nothing_else_changes() {
        if !crate::testing::is_root() {
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::chown(file.path(), Some(1004), Some(65534)).unwrap();
        let metadata = file.path().metadata().unwrap();
        assert!(!has_strange_group(file.path(), &metadata), "here all groups are known");
        let strangers = Strangers { user: None, group: Some(65534) };
        strangers.refuse(Path::new("/"), file.path(), &metadata).unwrap();
        // Still root, in this thread.
        assert_eq!(tempfile::tempfile().unwrap().metadata().unwrap().uid(), 0);
    }

    #[test]
    fn a_whole_mapping_knows_everybody() {
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0       1000          1\n         1     100000      65536\n"));
    }
}
