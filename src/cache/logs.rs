//! Logs of builds: they begin with the first step, and stay where a build does not end well.
//!
//! ```text
//! <cache>/logs/<time>-<process>.log     the newest of them
//! ```

use std::path::{Path, PathBuf};

use crate::error::{Context, Kind, Result};

/// How many logs are kept.
const KEPT: usize = 20;

/// The path of a new log, which is not made here, in the cache at `option`, else at the user's own place;
/// older ones than the newest are removed.
///
/// # Errors
///
/// [`Kind::Host`] where there is no place for a cache, or older logs cannot be removed.
pub fn fresh(option: Option<&Path>) -> Result<PathBuf> {
    let directory = super::place(option)?.join("logs");
    if directory.is_dir() {
        prune(&directory, KEPT - 1)?;
    }
    // Names sort by time.
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    Ok(directory.join(format!("{time}-{}.log", std::process::id())))
}

/// Removes all logs but the `kept` newest.
fn prune(directory: &Path, kept: usize) -> Result<()> {
    let context = || format!("clearing up {}", directory.display());
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(directory).context(Kind::Host, context)? {
        let path = entry.context(Kind::Host, context)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
    logs.sort();
    for path in logs.iter().rev().skip(kept) {
        match std::fs::remove_file(path) {
            // Another build may have been faster.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(Kind::Host, || format!("removing {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_logs_stay() {
        let cache = tempfile::tempdir().unwrap();
        let logs = cache.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        for day in 10..40 {
            std::fs::write(logs.join(format!("202601{day}T000000.000Z-1.log")), "").unwrap();
        }
        std::fs::write(logs.join("notes"), "").unwrap();
        let log = fresh(Some(cache.path())).unwrap();
        assert!(log.starts_with(&logs) && !log.exists());
        std::fs::write(&log, "").unwrap();
        let mut names: Vec<String> =
            logs.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), KEPT + 1, "{names:?}");
        assert!(names.first().unwrap().starts_with("20260121T"), "{names:?}");
        assert!(names.contains(&"notes".to_owned()));
    }
}
