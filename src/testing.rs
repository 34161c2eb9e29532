//! What the tests of every room share: what they need of this host, and a word where it is not there.

use std::io::Write;
use std::sync::Mutex;

use crate::event::{Event, Sink};
use crate::host::run::{Command, Runner};
use crate::host::tools;

/// Whether `program` is installed; says so where it is not. On a continuous integration server (CI=true)
/// it has to be, so that no check is left out unseen there.
#[track_caller]
pub(crate) fn has(program: &str) -> bool {
    let found = tools::find(program).is_some();
    if !found {
        let server = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!server, "{program} is not installed");
        skipped(&format!("{program} is not installed"));
    }
    found
}

/// Whether root runs the tests; says so where not.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("needs root");
    }
    root
}

/// Says on the real standard error, past the capture of the test harness, what does not run.
pub(crate) fn skipped(why: &str) {
    // The harness names a test's thread after the test.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// What was said.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Event>>);

impl Heard {
    /// All of it until now.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Heard {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A keyring of gpg's with one key, in a directory that goes with it.
pub(crate) struct Gpg {
    home: tempfile::TempDir,
    /// Of the key, 40 digits.
    pub(crate) fingerprint: String,
}

impl Gpg {
    /// Makes a key for `name`.
    pub(crate) fn with_key(name: &str) -> Gpg {
        let mut gpg = Gpg { home: tempfile::tempdir().unwrap(), fingerprint: String::new() };
        let words = ["--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never"];
        gpg.command().args(words).run().unwrap();
        let list = gpg.command().args(["--with-colons", "--list-keys"]).output().unwrap();
        let line = list.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        gpg.fingerprint = line.trim_matches(':').to_owned();
        gpg
    }

    /// The public key.
    pub(crate) fn export(&self, armored: bool) -> Vec<u8> {
        let path = self.home.path().join("exported");
        let armor = if armored { "--armor" } else { "--no-armor" };
        self.command().args([armor, "--yes", "--output"]).arg(&path).arg("--export").run().unwrap();
        std::fs::read(path).unwrap()
    }

    /// A text with a signature around it.
    pub(crate) fn sign(&self, text: &str) -> String {
        self.command().arg("--clearsign").input(text).output().unwrap()
    }

    fn command(&self) -> Command {
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        runner.command("gpg").env("GNUPGHOME", self.home.path()).args(["--batch", "--quiet"])
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent would outlive the directory.
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        let _ =
            runner.command("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "gpg-agent"]).run();
    }
}
