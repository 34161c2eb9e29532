//! Locks between processes: flock(2), which the kernel takes away with the process that held it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::run::Runner;
use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;

/// How often a lock that another process holds is tried.
const POLL: Duration = Duration::from_millis(50);

/// How long a wait may take before it is spoken of.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds a place for one process at a time, as long as the file lives. A wait that lasts is told with
/// what the other process does (`reads the same archive`), and ends when the user wants to stop.
///
/// # Errors
///
/// [`Kind::Host`] where the file cannot be made or locked, [`Kind::Interrupted`].
pub fn wait(runner: &Runner, path: &Path, other_does: &str) -> Result<File> {
    let context = || format!("locking {}", path.display());
    let file =
        File::options().create(true).write(true).truncate(false).open(path).context(Kind::Host, context)?;
    let start = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context(Kind::Host, context),
        }
        if runner.is_cancelled() {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        if !told && start.elapsed() >= PATIENCE {
            told = true;
            let text = format!("waiting for another rvmb that {other_does}");
            runner.sink().emit(Event::Warning { text });
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Sink;
    use crate::testing::Heard;

    #[test]
    fn the_second_waits_says_so_and_then_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let heard = Arc::new(Heard::default());
        let runner = Runner::new(Arc::clone(&heard) as Arc<dyn Sink>);
        let first = wait(&runner, &path, "sleeps").unwrap();
        assert!(heard.events().is_empty());
        let start = Instant::now();
        let held = PATIENCE + 4 * POLL;
        let release = std::thread::spawn(move || {
            std::thread::sleep(held);
            drop(first);
        });
        wait(&runner, &path, "sleeps").unwrap();
        assert!(start.elapsed() >= held);
        release.join().unwrap();
        let expected = Event::Warning { text: "waiting for another rvmb that sleeps".into() };
        assert_eq!(heard.events(), [expected]);
    }

    #[test]
    fn a_wait_ends_when_the_user_wants_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let runner = Runner::new(Arc::new(Heard::default()));
        let _first = wait(&runner, &path, "sleeps").unwrap();
        runner.canceller()();
        assert_eq!(wait(&runner, &path, "sleeps").unwrap_err().kind(), Kind::Interrupted);
    }
}
