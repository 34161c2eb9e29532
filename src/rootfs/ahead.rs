//! Packages without their compression, ahead of their use.
//!
//! dpkg takes one package after the other, and much of the time goes into xz, on one processor. While a
//! tree is made from nothing, the other processors take the compression off the packages that come
//! next. A `dpkg-deb` in front of the search path gives out what is ready, and is the real one for
//! everything else: what is not ready in time costs nothing but that time.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Kind, Result};
use crate::host::process::Process;
use crate::host::run::{Runner, SEARCH_PATH};
use crate::host::tree;
use crate::plan::Plan;

/// Where the directory is in a tree; the seal empties what is above it.
pub(super) const IN_TREE: &str = "var/cache/apt/ahead";

/// A smaller package is unpacked before its archive is found.
const SMALLEST: u64 = 64 * 1024;

const DPKG_DEB: &str = include_str!("ahead/dpkg-deb");
const UNPACK: &str = include_str!("ahead/unpack");

/// A directory that fills with packages without their compression.
pub(super) struct Ahead {
    directory: PathBuf,
    work: Process,
}

impl Ahead {
    /// Begins with the plan's packages, in their order, from `archives` into the new `directory`. The work
    /// ends with the calling thread.
    pub(super) fn begin(plan: &Plan, archives: &Path, runner: &Runner, directory: &Path) -> Result<Ahead> {
        let worth = plan.packages.resolved.iter().filter(|package| package.size >= SMALLEST);
        let packages: Vec<PathBuf> = worth.map(|package| archives.join(&package.file)).collect();
        Ahead::with(&packages, runner, directory)
    }

    fn with(packages: &[PathBuf], runner: &Runner, directory: &Path) -> Result<Ahead> {
        let context = || format!("writing into {}", directory.display());
        std::fs::create_dir(directory).context(Kind::Build, context)?;
        for (name, content) in [("dpkg-deb", DPKG_DEB), ("unpack", UNPACK)] {
            let path = directory.join(name);
            std::fs::write(&path, content).context(Kind::Build, context)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .context(Kind::Build, context)?;
        }
        let list: String = packages.iter().map(|path| format!("{}\n", path.display())).collect();
        let names = directory.join("list");
        std::fs::write(&names, list).context(Kind::Build, context)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let work = runner
            // What it is done for goes first.
            .command("nice")
            .args(["--adjustment=5", "xargs"])
            .arg(format!("--arg-file={}", names.display()))
            .args(["--delimiter=\\n", "--max-args=1", "--no-run-if-empty"])
            .arg(format!("--max-procs={processors}"))
            .arg(directory.join("unpack"))
            .start()?;
        Ok(Ahead { directory: directory.to_owned(), work })
    }

    /// Where it is on this host.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The search path with the directory in front, for programs of this host and for those of a tree
    /// that has it at [`IN_TREE`].
    pub(super) fn search_path(&self) -> String {
        format!("{}:/{IN_TREE}:{SEARCH_PATH}", self.directory.display())
    }

    /// Ends the work and removes what is there.
    pub(super) fn close(self) {
        drop(self.work);
        // A program that is still writing keeps the directory from going; it goes with all scratch files.
        let _ = tree::remove(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::event::Silent;
    use crate::testing;

    /// A package `name` with a file of that content.
    fn package(runner: &Runner, room: &Path, name: &str) -> PathBuf {
        let tree = room.join("tree");
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.example>\nDescription: x\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        std::fs::write(tree.join("file"), name).unwrap();
        let path = room.join(format!("{name}.deb"));
        runner.command("dpkg-deb").args(["--build"]).args([&tree, &path]).run().unwrap();
        path
    }

    #[test]
    fn what_is_ready_is_given_out_and_the_rest_is_unpacked() {
        if !testing::has("dpkg-deb") {
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let runner = Runner::new(Arc::new(Silent));
        let [ready, later] = ["ready", "later"].map(|name| package(&runner, room.path(), name));
        let directory = room.path().join("ahead");
        let list = [ready.clone()];
        let mut ahead = Ahead::with(&list, &runner, &directory).unwrap();
        assert!(ahead.work.wait(Duration::from_secs(60)).unwrap().is_some_and(|status| status.success()));
        let names: Vec<bool> =
            ["ready.deb.tar", "later.deb.tar"].iter().map(|name| directory.join(name).exists()).collect();
        assert_eq!(names, [true, false]);
        for deb in [&ready, &later] {
            let said =
                |program: &Path| runner.command(program).arg("--fsys-tarfile").arg(deb).output().unwrap();
            assert_eq!(said(&directory.join("dpkg-deb")), said(Path::new("/usr/bin/dpkg-deb")));
        }
        let fields = |program: &Path| runner.command(program).arg("--field").arg(&ready).output().unwrap();
        assert_eq!(fields(&directory.join("dpkg-deb")), fields(Path::new("/usr/bin/dpkg-deb")));
        ahead.close();
        assert!(!directory.exists());
    }
}
