//! Values that must not stand in a command line: the first line of a file.

use std::io::Read;
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::host::named_file::NamedFile;

/// What stands for standard input in place of a file's name.
pub const STANDARD_INPUT: &str = "-";

/// What to do where no password comes of what was named.
const CURE: &str = "Name a file whose first line is the password, or - for standard input.";

/// Longest file with a password that is read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// What to do for a user who is not to log in by password.
pub const NO_PASSWORD: &str =
    "Leave it out for root, who then cannot log in by password; lock the first user's with --lock-user.";

/// The first line of a file that `option` names, for a value that must not stand in a command line; `-` is standard
/// input.
///
/// # Errors
///
/// [`Kind::Config`] where it cannot be read, or is empty.
pub fn read_secret(option: &str, path: &Path) -> Result<String> {
    let (text, place) = if path == Path::new(STANDARD_INPUT) {
        let text = bounded(std::io::stdin().lock());
        let reading = || "reading a password from standard input".to_owned();
        (text.context(Kind::Config, reading).map_err(|error| error.hint(CURE))?, "standard input".to_owned())
    } else {
        (text_of(option, path)?, path.display().to_string())
    };
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Error::config(format!("the password from {place} is empty")).hint(NO_PASSWORD)),
    }
}

/// The text of a file.
fn text_of(option: &str, path: &Path) -> Result<String> {
    let bytes = NamedFile { option, path, cure: CURE }.read(SECRET_LIMIT)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::config(format!("{option} {} is no text", path.display())).hint(CURE))
}

/// What `source` has, where it is not longer than the limit.
fn bounded(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(SECRET_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_LIMIT {
        return Err(std::io::Error::other("it is longer than 64 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::Appliance;
    use crate::appliance::settings::find;

    fn set(name: &str, text: &str) -> Result<Appliance> {
        let mut appliance = Appliance::default();
        find(name).expect("a known setting").set(&mut appliance, text)?;
        Ok(appliance)
    }

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret \nsecond\n").unwrap();
        let text = file.path().to_string_lossy().into_owned();
        assert_eq!(set("pass-file", &text).unwrap().users.password.as_deref(), Some("s3cret "));
        assert!(
            find("pass-file").unwrap().check("-").is_err() && find("pass-file").unwrap().check("x").is_ok()
        );
        let endless = read_secret("--pass-file", Path::new("/dev/zero")).unwrap_err();
        assert!(endless.to_string().contains("larger than 64 KiB"), "{endless}");
        for empty in ["", "\n", "\nsecond\n", "\r\n"] {
            std::fs::write(file.path(), empty).unwrap();
            assert!(set("rootpass-file", &text).unwrap_err().message().ends_with("is empty"), "{empty:?}");
        }
    }
}
