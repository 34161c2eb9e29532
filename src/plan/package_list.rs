//! The file of `--manifest` on this host.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

/// Where the list goes, absolute. Its directory must be there and writable, and it must not lie in
/// `destination`.
pub(super) fn place(path: &Path, destination: &Path) -> Result<PathBuf> {
    let shown = path.display();
    let context = || format!("looking at --manifest {shown}");
    let absolute = std::path::absolute(path).context(Kind::Config, context)?;
    let (Some(parent), Some(_)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Error::config(format!("--manifest {shown} is not the name of a file")));
    };
    if absolute.starts_with(destination) {
        return Err(Error::config(format!("--manifest {shown} lies in the destination")).hint(
            "Name a file elsewhere, or leave --manifest out: beside images the list is there already, as packages.txt.",
        ));
    }
    if !parent.is_dir() {
        return Err(Error::config(format!("there is no directory {} for --manifest", parent.display()))
            .hint(format!("Make it with `mkdir -p {}`.", parent.display())));
    }
    match std::fs::symlink_metadata(&absolute) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(Kind::Config, context),
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if metadata.is_dir() => {
            return Err(Error::config(format!("--manifest {shown} is a directory"))
                .hint("Name the file that is to be written."));
        }
        Ok(_) => {
            return Err(Error::config(format!("--manifest {shown} is not a file"))
                .hint("Links, pipes and devices are not replaced; name a plain file."));
        }
    }
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .context(Kind::Config, || format!("writing --manifest into {}", parent.display()))?;
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_in_a_directory_that_is_there_is_taken() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::write(at("old"), "").unwrap();
        std::os::unix::fs::symlink("old", at("link")).unwrap();
        for (name, wrong) in [
            ("new", None),
            ("old", None),
            ("link", Some("is not a file")),
            ("none/new", Some("there is no directory")),
            ("old/new", Some("there is no directory")),
            (".", Some("is a directory")),
            ("..", Some("is not the name of a file")),
            ("out/list", Some("lies in the destination")),
        ] {
            let answer = place(&at(name), &at("out"));
            match wrong {
                None => assert_eq!(answer.unwrap(), at(name)),
                Some(words) => {
                    let error = answer.unwrap_err();
                    assert!(error.message().contains(words), "{name}: {error}");
                }
            }
        }
    }
}
