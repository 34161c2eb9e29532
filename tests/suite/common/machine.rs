//! Baking a machine and testing it, as a user would.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::account::Account;
use super::process::{Finished, program, run};

/// The host name of every machine here, and so the beginning of its files' names.
pub(crate) const HOSTNAME: &str = "vm";

/// A directory for one build: scratch files and the result, apart.
pub(crate) struct Bench {
    account: Account,
    /// Before the directory that it is mounted on, so that it is dropped first.
    _disk: Option<SmallDisk>,
    directory: TempDir,
    cache: Option<PathBuf>,
}

impl Bench {
    /// A bench of `account`, with the cache that all its tests share.
    pub(crate) fn new(account: &Account) -> Self {
        Bench::in_directory(account, account.directory(), None)
    }

    /// The same with an empty cache of its own.
    pub(crate) fn with_own_cache(account: &Account) -> Self {
        Bench::new(account).and_own_cache()
    }

    /// The same on a disk of this size. Needs root.
    pub(crate) fn on_a_small_disk(account: &Account, size: &str) -> Self {
        let directory = account.directory();
        let disk = SmallDisk::mount(directory.path(), size);
        account.give(directory.path());
        Bench::in_directory(account, directory, Some(disk)).and_own_cache()
    }

    fn in_directory(account: &Account, directory: TempDir, disk: Option<SmallDisk>) -> Self {
        let scratch = directory.path().join("scratch");
        std::fs::create_dir(&scratch).expect("making the scratch directory");
        account.give(&scratch);
        Bench { account: account.clone(), _disk: disk, directory, cache: None }
    }

    fn and_own_cache(mut self) -> Self {
        let cache = self.directory.path().join("cache");
        std::fs::create_dir(&cache).expect("making the cache directory");
        self.account.give(&cache);
        self.cache = Some(cache);
        self
    }

    /// Where scratch files go; empty when nothing runs.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    /// Where the result goes.
    pub(crate) fn destination(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// Whose bench it is.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// The directory that holds both.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that rvmb is to read, and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        self.account.give(&path);
        path.display().to_string()
    }

    /// Writes a program that rvmb is to run, and returns its path.
    pub(crate) fn program(&self, name: &str, content: &str) -> String {
        let path = self.file(name, content);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap_or_else(|error| panic!("chmod {path}: {error}"));
        path
    }

    /// The command that bakes a machine: `words` and where everything goes.
    pub(crate) fn command(&self, words: &[&str]) -> std::process::Command {
        let cache = self.cache.clone().unwrap_or_else(|| self.account.cache());
        let mut command = self.account.rvmb(words);
        command.args(["--hostname", HOSTNAME]).args(self.account.proxy());
        command.arg("--destdir").arg(self.destination());
        command.arg("--tmp").arg(self.scratch());
        command.arg("--cache-dir").arg(cache);
        command
    }

    /// Bakes a machine and waits.
    pub(crate) fn bake(&self, words: &[&str]) -> Finished {
        run(self.command(words).args(["--progress", "plain"]))
    }

    /// The disk image.
    pub(crate) fn image(&self) -> PathBuf {
        self.destination().join(format!("{HOSTNAME}-disk0.qcow2"))
    }

    /// Boots the machine and looks at it from inside: every check must be ok, but for that of a first boot
    /// script which the machine was not given.
    #[track_caller]
    pub(crate) fn boots(&self, firmware: &str) {
        let destination = self.destination().display().to_string();
        let mut words = vec!["test", &destination, "--json"];
        if firmware == "uefi" {
            words.extend(["--firmware", "uefi"]);
        }
        let before =
            std::fs::metadata(self.image()).and_then(|meta| meta.modified()).expect("looking at the image");
        let report = run(&mut self.account.rvmb(&words)).well();
        let parsed: serde_json::Value = serde_json::from_str(&report.stdout)
            .unwrap_or_else(|error| panic!("the report is no JSON: {error}: {report}"));
        let checks = parsed["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Those of the guest, the login, the start, and the power off.
        assert_eq!(checks.len(), 13, "{report}");
        for check in checks {
            let may_be_skipped = check["name"] == "first-boot" && !self.has_first_boot_script();
            let expected = if may_be_skipped { "skipped" } else { "ok" };
            assert_eq!(check["outcome"], expected, "{check} in {report}");
        }
        let after =
            std::fs::metadata(self.image()).and_then(|meta| meta.modified()).expect("looking at the image");
        assert_eq!(before, after, "`rvmb test` wrote to the image");
    }

    /// Whether the machine was given a script for its first boot, as its manifest says.
    fn has_first_boot_script(&self) -> bool {
        !self.manifest()["plan"]["guest"]["firstboot"].is_null()
    }

    /// The manifest beside the image.
    pub(crate) fn manifest(&self) -> serde_json::Value {
        let manifest = std::fs::read(self.destination().join("manifest.json")).expect("reading the manifest");
        serde_json::from_slice(&manifest).expect("parsing the manifest")
    }

    /// Fails the test unless nothing but `allowed` is left beside the cache.
    #[track_caller]
    pub(crate) fn is_clean(&self, allowed: &[&str]) {
        assert_eq!(names(&self.scratch()), [""; 0], "left in the scratch directory");
        let builds = self.cache.as_ref().map(|cache| cache.join("builds")).filter(|builds| builds.exists());
        assert_eq!(builds.map_or(Vec::new(), |builds| names(&builds)), [""; 0], "left in the cache");
        let left: Vec<_> = names(self.path())
            .into_iter()
            .filter(|name| {
                !["scratch", "cache"].contains(&name.as_str()) && !allowed.contains(&name.as_str())
            })
            .collect();
        assert_eq!(left, [""; 0], "left beside the destination");
    }
}

/// A file system in memory, of a size that a build does not fit into.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path, size: &str) -> Self {
        let options = format!("size={size},mode=0755");
        run(program("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place)).well();
        SmallDisk(place.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a test that fails with a file open does not leave it mounted.
        let unmounted = run(program("umount").arg("--lazy").arg(&self.0));
        assert!(unmounted.status.success() || std::thread::panicking(), "{unmounted}");
    }
}

/// The names in a directory, sorted.
#[track_caller]
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("reading {}: {error}", directory.display()));
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("reading an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
