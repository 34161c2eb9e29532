//! Runs the user's program over the tree. It is one of this host and sees the host's files; the tree is its
//! argument, and has /proc, /dev, /run and name resolution for as long as it runs, so that
//! `chroot "$1" apt-get install …` works in it.

use std::path::Path;

use super::Site;
use super::services::{self, POLICY};
use crate::digest::hex;
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Event, Step, Unit};
use crate::host::leftovers;
use crate::host::tree::Root;
use crate::host::{followed, mounts};
use crate::plan::Exec;

/// How names are resolved.
const RESOLVER: &str = "/etc/resolv.conf";

/// Longest such file that is read.
const RESOLVER_LIMIT: u64 = 64 * 1024;

/// Runs it to its end. What it leaves running is ended.
pub(super) fn run(site: &Site<'_>, exec: &Exec, tree: &Path) -> Result<()> {
    let root = Root::open(tree)?;
    let path = exec.path.display();
    let digest = followed::copy(&exec.path, &mut std::io::sink()).map_err(|error| error.of(Kind::Build))?;
    if hex(digest) != exec.sha256 {
        return Err(Error::build(format!("--exec {path} was changed after the plan was made"))
            .hint("Run the command again."));
    }
    let borrowed = Borrowed::lend(&root)?;
    let mut command =
        site.runner.command(&exec.path).arg(tree).directory(&exec.directory).env("HOME", "/root");
    for (name, value) in environment(site) {
        command = command.env(name, value);
    }
    let sink = site.runner.sink();
    let said = |line: &str| {
        // How much there is to come nobody knows.
        let (done, total, unit, detail) = (0, 0, Unit::Seconds, line.to_owned());
        sink.emit(Event::Progress { step: Step::Customise, done, total, unit, detail });
    };
    command
        .before_exec(view(site, tree).hook()?)
        .stream(said)
        .map_err(|error| error.within(format!("running --exec {path}")))?;
    leftovers::end_all()?;
    borrowed.take_back(&root)
}

/// The host's files, and the tree with what its programs need. Its /tmp is the tree's own: something may have
/// been copied there for this program.
fn view(site: &Site<'_>, tree: &Path) -> mounts::View {
    mounts::View::new(tree)
        .bind(Path::new("/proc"), "proc")
        .bind(&site.devices, "dev")
        .temporary("run", c"mode=0755")
}

/// What the program is told of the machine. docs/customising.md has the list.
fn environment<'a>(site: &Site<'a>) -> [(&'static str, &'a str); 7] {
    let plan = site.plan;
    [
        ("RVMB_ARCH", &plan.architecture),
        ("RVMB_DISTRO", &plan.suite.distro),
        ("RVMB_DOMAIN", &plan.guest.domain),
        ("RVMB_HOSTNAME", &plan.guest.hostname),
        ("RVMB_HYPERVISOR", &plan.target.hypervisor),
        ("RVMB_SUITE", &plan.suite.codename),
        // Who the users of a tree are that somebody else has made is not known.
        ("RVMB_USER", if plan.tree.existing.is_none() { &plan.guest.user.name } else { "" }),
    ]
}

/// What the tree has only while the program runs.
struct Borrowed {
    /// Whether the policy is ours.
    policy: bool,
    /// The host's resolver, where it is in the tree.
    resolver: Option<String>,
}

impl Borrowed {
    fn lend(root: &Root) -> Result<Borrowed> {
        let policy = !root.exists(POLICY)?;
        if policy {
            services::keep_from_starting(root)?;
        }
        // A file is somebody's wish; the link or nothing that is there as a rule leads to no server.
        let own = root.exists(RESOLVER)? && root.link_target(RESOLVER)?.is_none();
        let resolver = if own { None } else { host_resolver()? };
        if let Some(text) = &resolver {
            root.remove(RESOLVER)?;
            root.write(RESOLVER, 0o644, text)?;
        }
        Ok(Borrowed { policy, resolver })
    }

    /// Takes it away, unless the program has put something of its own in its place. The seal points the
    /// resolver where the machine has it.
    fn take_back(self, root: &Root) -> Result<()> {
        if self.policy {
            root.remove(POLICY)?;
        }
        match self.resolver {
            Some(text) if root.read(RESOLVER, RESOLVER_LIMIT)?.as_deref() == Some(&text) => {
                root.remove(RESOLVER)
            }
            _ => Ok(()),
        }
    }
}

/// The host's own resolver; none where there is none.
fn host_resolver() -> Result<Option<String>> {
    match std::fs::read_to_string(RESOLVER) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(Kind::Build, || format!("reading {RESOLVER}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tree_was_lent_is_taken_back() {
        let room = tempfile::tempdir().unwrap();
        let root = Root::open(room.path()).unwrap();
        root.create_directories("/etc").unwrap();
        root.link("../run/stub", RESOLVER).unwrap();
        let borrowed = Borrowed { policy: true, resolver: Some("nameserver 192.0.2.1\n".into()) };
        root.remove(RESOLVER).unwrap();
        root.write(RESOLVER, 0o644, "nameserver 192.0.2.1\n").unwrap();
        root.write(POLICY, 0o755, "").unwrap();
        borrowed.take_back(&root).unwrap();
        assert!(!root.exists(RESOLVER).unwrap() && !root.exists(POLICY).unwrap());
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let room = tempfile::tempdir().unwrap();
        let root = Root::open(room.path()).unwrap();
        root.write(RESOLVER, 0o644, "own").unwrap();
        root.write(POLICY, 0o755, "own").unwrap();
        let borrowed = Borrowed::lend(&root).unwrap();
        assert!(!borrowed.policy && borrowed.resolver.is_none());
        borrowed.take_back(&root).unwrap();
        assert_eq!(root.read(RESOLVER, 10).unwrap().as_deref(), Some("own"));
        assert_eq!(root.read(POLICY, 10).unwrap().as_deref(), Some("own"));
        let changed = Borrowed { policy: false, resolver: Some("host's".into()) };
        changed.take_back(&root).unwrap();
        assert!(root.exists(RESOLVER).unwrap());
    }
}
