//! What the tests of every room share: what they need of this host, and a word where it is not there.

use std::io::Write;

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
