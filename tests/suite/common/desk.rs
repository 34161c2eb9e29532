//! A user's desk: a directory with the files that command lines name, and an archive of indices, so that `rvmb
//! plan` answers within a second. Needs neither root nor a network.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tempfile::TempDir;

use super::indices::{Indices, stanza};
use super::launchpad::Launchpad;
use super::process::{Finished, program, run};
use super::{has_everything, host, skip};

/// Exit code for what this host lacks, in docs/exit-codes.md.
const HOST: i32 = 4;

/// Options that nothing acts on yet: the place that refuses them.
const COMING: &str = include_str!("../../../src/plan/coming.rs");

/// Whether nothing acts on an option yet.
pub(crate) fn is_coming(option: &str) -> bool {
    COMING.contains(&format!("(\"{option}\","))
}

/// What the archives have: this host's, and Launchpad's for `--ppa`.
struct Archives {
    indices: Indices,
    launchpad: Launchpad,
}

/// Shared by the tests that run at one time; the last one takes it away.
static ARCHIVES: Mutex<Weak<Archives>> = Mutex::new(Weak::new());

fn archives() -> Arc<Archives> {
    // A test that failed while it made the archives has left none.
    let mut shared = ARCHIVES.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let launchpad = Launchpad::start(&stanza("tool", "2.0-1", "amd64", false));
        let made = Arc::new(Archives { indices: Indices::make(), launchpad });
        *shared = Arc::downgrade(&made);
        made
    })
}

/// A directory with the files of tests/suite/desk, and with places for what rvmb writes.
pub(crate) struct Desk {
    room: TempDir,
    /// Made when something is planned.
    archives: OnceLock<Arc<Archives>>,
}

impl Desk {
    /// A desk; none, and a line that says why, on a host that lacks what a plan needs.
    pub(crate) fn new(test: &str) -> Option<Desk> {
        static LACK: OnceLock<Option<String>> = OnceLock::new();
        let desk = Desk::anyway();
        host::put_media(&desk.work());
        host::put_tree(&desk.work().join("system"));
        let lack = LACK.get_or_init(|| {
            if program("gpg").arg("--version").output().is_err() {
                return Some("there is no gpg to sign an archive with".to_owned());
            }
            let tried = desk.plan(&["kvm", "debian"]);
            if tried.status.code() == Some(HOST) {
                return Some(tried.stderr);
            }
            tried.well();
            None
        });
        match lack {
            None => Some(desk),
            Some(why) => {
                assert!(!has_everything(), "{test}: {why}");
                skip(test, why.trim())
            }
        }
    }

    /// A desk, whatever the host has: for what is said before the host is looked at.
    pub(crate) fn anyway() -> Desk {
        let room = tempfile::Builder::new().prefix("rvmb-desk-").tempdir().expect("making a directory");
        for place in ["home", "scratch", "bin"] {
            std::fs::create_dir(room.path().join(place)).expect("making a directory");
        }
        for name in ["rvmb", "vmbuilder", "ubuntu-vm-builder"] {
            symlink(env!("CARGO_BIN_EXE_rvmb"), room.path().join("bin").join(name)).expect("naming rvmb");
        }
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/desk");
        run(program("cp").arg("--recursive").arg(files).arg(room.path().join("work"))).well();
        Desk { room, archives: OnceLock::new() }
    }

    /// Everything of this desk.
    pub(crate) fn room(&self) -> PathBuf {
        self.room.path().to_owned()
    }

    /// Where the user works: relative paths are meant from here.
    pub(crate) fn work(&self) -> PathBuf {
        self.room.path().join("work")
    }

    /// Writes a file there.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.work().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    }

    /// Writes the user's own configuration file.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.room.path().join("home/.vmbuilder.cfg"), text).expect("writing a configuration");
    }

    /// Runs rvmb under one of its names, with these words and no others.
    pub(crate) fn run(&self, name: &str, words: &[&str]) -> Finished {
        let mut command = program(self.room.path().join("bin").join(name));
        command.env_clear().env("LANG", "C.UTF-8").env("HOME", self.room.path().join("home"));
        command.env("PATH", "/usr/bin:/bin").current_dir(self.work()).args(words);
        // Who names a PPA has archives.
        if let Some(archives) = self.archives.get() {
            command.envs(archives.launchpad.environment());
        }
        match words.contains(&host::LIBVIRT) {
            true => run(&mut host::with_libvirt(&command)),
            false => run(&mut command),
        }
    }

    /// `rvmb plan` with these words, from the archive of indices.
    pub(crate) fn plan(&self, words: &[&str]) -> Finished {
        let mut all = vec!["plan"];
        all.extend(words);
        let options = self.options(words);
        all.extend(options.iter().map(String::as_str));
        self.run("rvmb", &all)
    }

    /// The plan of these words, which must be a good one.
    #[track_caller]
    pub(crate) fn planned(&self, words: &[&str]) -> serde_json::Value {
        let done = self.plan(&[words, &["--json"]].concat()).well();
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {done}"))
    }

    fn archives(&self) -> &Archives {
        self.archives.get_or_init(|| {
            let archives = archives();
            // The keyring as a user has it at hand.
            let keyring = archives.indices.path().join("keyring.gpg");
            std::fs::copy(keyring, self.work().join("archive.gpg")).expect("copying the keyring");
            archives
        })
    }

    fn archive(&self) -> &Indices {
        &self.archives().indices
    }

    /// `words` with the archive where they say `/archive`, as answers do.
    pub(crate) fn with_paths(&self, words: &[String]) -> Vec<String> {
        let archive = format!("file:{}", self.archive().path().display());
        words.iter().map(|word| word.replace("file:/archive", &archive)).collect()
    }

    /// The options that name archive, cache and scratch, for a machine of the distribution among `words`; those that
    /// stand there already are left out.
    pub(crate) fn options(&self, words: &[&str]) -> Vec<String> {
        let distro = if words.contains(&"debian") { "debian" } else { "ubuntu" };
        let mut options = self.archive().options(distro);
        options.push(format!("--cache-dir={}", self.archive().path().join("cache").display()));
        options.push(format!("--tmp={}", self.room.path().join("scratch").display()));
        let is_given = |option: &str| {
            let name = option.split('=').next().unwrap_or(option);
            words.iter().any(|word| word.split('=').next() == Some(name))
                || (name == "--tmp" && words.contains(&"-t"))
        };
        options.retain(|option| !is_given(option));
        options
    }

    /// Paths and addresses of this run in `text`, by names that are the same in every run.
    pub(crate) fn without_paths(&self, text: &str) -> String {
        let archive = self.archive().path().display().to_string();
        let room = self.room.path().display().to_string();
        let launchpad = &self.archives().launchpad;
        text.replace(&archive, "/archive")
            .replace(&room, "/desk")
            .replace(launchpad.address(), "http://127.0.0.1")
            .replace(launchpad.fingerprint(), "....")
    }
}
