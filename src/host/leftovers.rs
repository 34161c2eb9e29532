//! Processes that live in a tree: daemons that a package's scripts started, against Debian Policy
//! 9.3.3 or behind its back. They must not write into a layer that is closed.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::error::{Context, Error, Kind, Result};

/// How long the kernel may take to end a killed process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends every process whose root directory is `root`. For the worker, which sees only its own.
pub fn end(root: &Path) -> Result<()> {
    // The kernel names a root directory without links.
    let root = root.canonicalize().context(Kind::Build, || format!("looking at {}", root.display()))?;
    let start = Instant::now();
    loop {
        let living = living_in(&root);
        if living.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(Error::build(format!("processes {living:?} in {} do not end", root.display())));
        }
        for pid in living.into_iter().filter_map(Pid::from_raw) {
            // One that has ended since needs no signal.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends every other process of the worker's PID namespace: what a program of the user's has left, wherever
/// its root directory is. For the worker when no program of its own runs; anywhere else it does nothing.
#[expect(unsafe_code, reason = "a signal to all processes is a call that rustix does not have")]
pub fn end_all() -> Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    // SAFETY: the call has no memory to get wrong. From PID 1 it reaches the processes of its namespace, all
    // but the caller (kill(2), pid_namespaces(7)). That there is none is no error.
    let _ = unsafe { libc::kill(-1, libc::SIGKILL) };
    let start = Instant::now();
    loop {
        // An orphan becomes a child of PID 1, which sees its end here.
        match rustix::process::wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).context(Kind::Build, || "waiting for what is left".into()),
            Ok(Some(_)) => {}
            Ok(None) if start.elapsed() > PATIENCE => {
                return Err(Error::build("processes that were left running do not end"));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The processes with this root directory; one that has ended has none any more.
fn living_in(root: &Path) -> Vec<i32> {
    // Without /proc there is nothing to be found, and the end of the worker ends them all.
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| std::fs::read_link(format!("/proc/{pid}/root")).is_ok_and(|link| link == root))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_processes_needs_no_signal() {
        let tree = tempfile::tempdir().unwrap();
        end(tree.path()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(living_in(Path::new("/")).contains(&own));
    }
}
