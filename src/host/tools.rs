//! Programs of the host that rvmb uses, and the packages that bring them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::run::SEARCH_PATH;
use crate::error::{Context, Error, Kind};

/// The set-uid bit (inode(7)).
const SET_UID: u32 = 0o4000;

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
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkswap", "util-linux"),
    ("blkid", "util-linux"),
    ("newuidmap", "uidmap"),
    ("newgidmap", "uidmap"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("gpgv", "gpgv"),
    ("virsh", "libvirt-clients"),
];

/// What apt checks signatures with: gpgv, and sqv since Debian 13.
const VERIFIERS: &[&str] = &["gpgv", "sqv"];

/// The oldest mmdebstrap that can be used: its changelog names 1.2.0 for the hooks and patterns, and 1.3.0
/// for the `--skip` that rvmb needs. Ubuntu 22.04 has 0.8.4, Debian 11 0.7.5.
pub const OLDEST_MMDEBSTRAP: (u32, u32) = (1, 3);

/// Looks for a program in the fixed search path.
pub fn find(program: &str) -> Option<PathBuf> {
    SEARCH_PATH.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

/// Whether apt can check signatures on this host.
///
/// # Errors
///
/// A host error where it cannot.
pub fn can_verify() -> crate::Result<()> {
    if VERIFIERS.iter().any(|program| find(program).is_some()) {
        return Ok(());
    }
    Err(Error::host("apt has nothing to check signatures with")
        .hint("Install it with `sudo apt-get install gpgv`."))
}

/// Whether a program runs with more rights than its caller's, by its set-uid bit or by file capabilities
/// (capabilities(7), `security.capability`).
///
/// # Errors
///
/// A host error where it has neither.
pub fn has_rights_of_its_own(program: &str) -> crate::Result<()> {
    let Some(path) = find(program) else { return Ok(()) };
    let context = || format!("looking at {}", path.display());
    let metadata = std::fs::metadata(&path).context(Kind::Host, context)?;
    let mut value = [0_u8; 64];
    let has_capabilities = matches!(rustix::fs::getxattr(&path, "security.capability", &mut value), Ok(1..));
    if metadata.mode() & SET_UID != 0 || has_capabilities {
        return Ok(());
    }
    Err(Error::host(format!("{} has lost the rights to map subordinate ids", path.display()))
        .hint("Give them back: `sudo apt-get install --reinstall uidmap`."))
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

/// The error for an mmdebstrap of this version, which is too old.
pub fn too_old(version: &str) -> Error {
    let (major, minor) = OLDEST_MMDEBSTRAP;
    Error::host(format!("mmdebstrap {version} is too old: {major}.{minor} or later is needed"))
        .hint("Use debootstrap instead: `sudo apt-get install debootstrap` and --bootstrap auto.")
}

/// Whether an mmdebstrap of this version can be used; one that cannot be read is given the chance.
pub fn is_recent_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+', '~']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST_MMDEBSTRAP,
        _ => true,
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

/// Whether the host's dpkg unpacks packages that are compressed with zstd: Debian's from 1.21.18 on
/// (Debian 12), Ubuntu's in every release that is left.
pub fn dpkg_reads_zstd(runner: &super::run::Runner) -> crate::Result<bool> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    Ok(is_like_ubuntu(&release) || reads_zstd(&version(runner, "dpkg-deb")?))
}

/// Whether an os-release(5) is Ubuntu's, or of a distribution made from it.
fn is_like_ubuntu(release: &str) -> bool {
    let names = release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    names.flat_map(|names| names.trim_matches('"').split(' ')).any(|name| name == "ubuntu")
}

fn reads_zstd(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    numbers.as_slice() >= [1, 21, 18].as_slice()
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
    fn an_old_mmdebstrap_is_known() {
        for (version, expected) in [
            ("0.7.5", false),
            ("0.8.4", false),
            ("1.2.5", false),
            ("1.3.0", true),
            ("1.10", true),
            ("2.0~rc1", true),
            ("unknown", true),
        ] {
            assert_eq!(is_recent_enough(version), expected, "{version}");
        }
    }

    #[test]
    fn old_dpkg_cannot_read_zstd() {
        for new in ["1.21.18", "1.21.22", "1.22", "1.22.6", "2.0"] {
            assert!(reads_zstd(new), "{new}");
        }
        for old in ["1.20.13", "1.21.17", "1.21", "unknown"] {
            assert!(!reads_zstd(old), "{old}");
        }
        assert!(is_like_ubuntu("NAME=Mint\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(is_like_ubuntu("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_like_ubuntu("ID=debian\n"));
    }

    #[test]
    fn rights_are_seen_by_the_bit() {
        // Neither has capabilities: su always has the bit, ls never.
        assert!(has_rights_of_its_own("su").is_ok());
        let error = has_rights_of_its_own("ls").unwrap_err();
        assert!(error.message().contains("/ls has lost"), "{error}");
        assert!(has_rights_of_its_own("unheard-of").is_ok(), "what is missing is another error");
    }

    #[test]
    fn what_is_missing_names_its_package() {
        assert!(missing("/usr/bin/mmdebstrap").hints()[0].contains("mmdebstrap"));
        assert!(missing("unheard-of").hints().is_empty());
    }
}
