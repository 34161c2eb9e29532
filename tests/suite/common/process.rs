//! Starting programs: rvmb itself and the checkers that look at what it made.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a program ended and what it said.
pub(crate) struct Finished {
    /// Its words, for messages.
    pub(crate) line: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// How long it ran.
    pub(crate) elapsed: Duration,
}

impl Finished {
    /// Fails the test, with all that was said, unless the program ended with exit code 0.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Fails the test unless the program ended with this exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finished { line, status, stdout, stderr, elapsed } = self;
        write!(f, "{line}\n{status} after {elapsed:.1?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// A program that is not rvmb and not started by rvmb.
#[expect(clippy::disallowed_methods, reason = "the tests stand outside rvmb and its runner")]
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

/// Covers files with what is no regular file, up to `--`, and becomes the program that follows.
const COVER: &str = "while [ \"$1\" != -- ]; do\n\
    [ ! -e \"$1\" ] || mount --bind /dev/null \"$1\" || exit 99\nshift\ndone\nshift\nexec \"$@\"\n";

/// `command` on a host without `files`: they are covered in a mount namespace of its own. Needs root.
pub(crate) fn without(files: &[&str], command: &Command) -> Command {
    let mut covered = program("/usr/bin/unshare");
    covered.args(["--mount", "--propagation", "private", "--", "sh", "-c", COVER, "sh"]);
    covered.args(files).arg("--").arg(command.get_program()).args(command.get_args());
    covered.env_clear();
    for (name, value) in command.get_envs() {
        covered.env(name, value.unwrap_or_default());
    }
    if let Some(directory) = command.get_current_dir() {
        covered.current_dir(directory);
    }
    covered
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Finished {
    let line = format!("{command:?}");
    let start = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("starting {line}: {error}"));
    Finished {
        line,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        elapsed: start.elapsed(),
    }
}

/// Runs a checker, found by the search path of root, which that of ordinary users is a part of.
#[track_caller]
pub(crate) fn check<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Finished {
    let mut command = program(name);
    command.env("PATH", rvmb::host::run::SEARCH_PATH).args(arguments);
    run(&mut command).well()
}
