//! What the end-to-end tests share: who runs rvmb, where its files go, and how a result is looked at.
//!
//! A test begins with [`begin`], which says why where it cannot run. As many run side by side as the test
//! harness has threads, for a machine that boots leaves the other processors idle; those that count processes
//! and mounts, or look at the clock, begin with [`begin_alone`] and have the host for themselves.

pub(crate) mod account;
pub(crate) mod archive;
pub(crate) mod desk;
pub(crate) mod guest;
pub(crate) mod image;
pub(crate) mod indices;
pub(crate) mod libvirt;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod traces;

use std::io::Write;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use account::Account;
use archive::Archive;

/// Set to anything, it lets the tests that take minutes run.
const SWITCH: &str = "RVMB_TEST_E2E";

/// Read by tests that run side by side, written by those that run alone.
static HOST: RwLock<()> = RwLock::new(());

/// A test that may run, until this is dropped.
pub(crate) enum Turn {
    Together { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// Waits for this test's turn; `None`, and a line that says why, where `needed` does not hold.
pub(crate) fn begin<T>(test: &str, needed: impl FnOnce() -> Result<T, String>) -> Option<(Turn, T)> {
    let needed = has_what_it_needs(test, needed)?;
    Some((Turn::Together { _guard: HOST.read().unwrap_or_else(PoisonError::into_inner) }, needed))
}

/// The same, and no other test of a machine runs meanwhile.
pub(crate) fn begin_alone<T>(test: &str, needed: impl FnOnce() -> Result<T, String>) -> Option<(Turn, T)> {
    let needed = has_what_it_needs(test, needed)?;
    // A failed test poisons the lock; the others still run.
    Some((Turn::Alone { _guard: HOST.write().unwrap_or_else(PoisonError::into_inner) }, needed))
}

fn has_what_it_needs<T>(test: &str, needed: impl FnOnce() -> Result<T, String>) -> Option<T> {
    if std::env::var_os(SWITCH).is_none() {
        return skip(test, &format!("{SWITCH} is not set; `make test` sets it"));
    }
    match needed() {
        Ok(value) => Some(value),
        Err(why) => {
            assert!(!has_everything(), "{test}: {why}");
            skip(test, &why)
        }
    }
}

/// Whether this is `.ci/run` as root, which has all that any test needs, so that nothing is left out unseen.
/// A real Ubuntu mirror is not to be played with.
pub(crate) fn has_everything() -> bool {
    let server = std::env::var("CI").is_ok_and(|value| value == "true");
    server && Account::root().is_ok() && Archive::would_be_ours().is_ok()
}

/// The account of an ordinary user, or root's where there is none: for tests that need either.
pub(crate) fn anybody() -> Result<Account, String> {
    Account::user().or_else(|_| Account::root())
}

/// Says on the real standard error, past the capture of the test harness, that a test does not run.
pub(crate) fn skip<T>(test: &str, why: &str) -> Option<T> {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    None
}
