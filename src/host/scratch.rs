//! Where scratch files go.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

/// The directory for scratch files where none is named. /tmp is often memory, and a disk image is large:
/// /var/tmp it is, unless `TMPDIR` says otherwise.
pub fn default_directory() -> PathBuf {
    let environment = std::env::var_os("TMPDIR").filter(|value| !value.is_empty());
    environment.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// The directory that was named with `--tmp`, or else the usual one; absolute.
///
/// # Errors
///
/// [`Kind::Config`] where it is not there, or may not be written to.
pub fn directory(option: Option<&Path>) -> Result<PathBuf> {
    let path = option.map_or_else(default_directory, Path::to_owned);
    let context = || format!("looking at the scratch directory {}", path.display());
    let path = std::path::absolute(&path).context(Kind::Config, context)?;
    readable_by_apt(&path)?;
    if !path.is_dir() {
        return Err(Error::config(format!("the scratch directory {} is not there", path.display()))
            .hint("Make it, or name another with --tmp."));
    }
    rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).context(Kind::Config, context)?;
    Ok(path)
}

/// Refuses a path that apt.conf(5) cannot hold: it has no escape for a quotation mark.
///
/// # Errors
///
/// [`Kind::Config`].
pub fn readable_by_apt(path: &Path) -> Result<()> {
    if path.to_string_lossy().contains(['"', '\n']) {
        return Err(Error::config(format!(
            "{} has a character in its name that apt cannot read",
            path.display()
        ))
        .hint("Name a directory without quotation marks and line ends in its path."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_must_be_a_directory() {
        assert_eq!(directory(Some(Path::new("/var/tmp"))).unwrap(), Path::new("/var/tmp"));
        for wrong in ["/nowhere", "/etc/passwd"] {
            assert!(directory(Some(Path::new(wrong))).unwrap_err().hints()[0].contains("--tmp"));
        }
    }
}
