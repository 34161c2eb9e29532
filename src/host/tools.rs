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
