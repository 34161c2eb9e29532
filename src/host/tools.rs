//! Programs of the host that rvmb uses, and the packages that bring them.

use std::path::{Path, PathBuf};

use super::run::SEARCH_PATH;
use crate::error::Error;

/// Program and package, for Debian and Ubuntu alike.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
    ("apt-config", "apt"),
    ("debootstrap", "debootstrap"),
    ("mmdebstrap", "mmdebstrap"),
    ("dpkg", "dpkg"),
    ("mke2fs", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("mkswap", "util-linux"),
    ("newuidmap", "uidmap"),
    ("newgidmap", "uidmap"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("gpgv", "gpgv"),
];

/// Looks for a program in the fixed search path.
pub fn find(program: &str) -> Option<PathBuf> {
    SEARCH_PATH.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

/// The error for a program that is not there, with the package that has it.
pub fn missing(program: &str) -> Error {
    let name = Path::new(program).file_name().map_or(program.into(), std::ffi::OsStr::to_string_lossy);
    let error = Error::host(format!("{name} is not installed"));
    match PACKAGES.iter().find(|(known, _)| *known == name) {
        Some((_, package)) => error.hint(format!("Install it with `sudo apt-get install {package}`.")),
        None => error,
    }
}

/// The version that a program tells with `--version`: its first word that starts with a digit.
pub fn version(runner: &super::run::Runner, program: &str) -> crate::Result<String> {
    let text = runner.command(program).arg("--version").output()?;
    Ok(first_version(&text))
}

fn first_version(text: &str) -> String {
    let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    text.split_whitespace().find(is_version).unwrap_or("unknown").to_owned()
}

/// `ID` of the host's os-release(5), such as `debian`.
pub fn host_distro() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or("debian");
    id.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        assert_eq!(first_version("mmdebstrap 1.3.5\n"), "1.3.5");
        assert_eq!(first_version("debootstrap 1.0.128+nmu2"), "1.0.128+nmu2");
        assert_eq!(first_version(""), "unknown");
    }

    #[test]
    fn what_is_missing_names_its_package() {
        assert!(missing("/usr/bin/mmdebstrap").hints()[0].contains("mmdebstrap"));
        assert!(missing("unheard-of").hints().is_empty());
    }
}
