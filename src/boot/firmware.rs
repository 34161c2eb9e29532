//! What starts the guest: SeaBIOS, which QEMU brings, or OVMF, which is UEFI for virtual machines.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::scratch::Scratch;
use crate::error::{Context, Error, Kind, Result};

/// Which firmware starts the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// SeaBIOS.
    #[default]
    Bios,
    /// OVMF.
    Uefi,
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        })
    }
}

impl FromStr for Firmware {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "bios" => Ok(Firmware::Bios),
            "uefi" => Ok(Firmware::Uefi),
            _ => Err(format!("`{text}` is not a firmware: use bios or uefi")),
        }
    }
}

/// Code and variable store of OVMF builds without enforced Secure Boot, the first that exists is taken:
/// Debian and Ubuntu (4 MB, then the older 2 MB), Arch, Fedora.
pub const PAIRS: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
];

/// UEFI firmware, ready for one virtual machine.
pub(super) struct Uefi {
    /// The code, read only.
    pub(super) code: String,
    /// A copy of the empty variable store; the firmware writes to it.
    pub(super) vars: Scratch,
}

/// Finds UEFI firmware under `root` (`/` but for tests) and copies its variable store.
pub(super) fn find_uefi(root: &Path) -> Result<Uefi> {
    let under = |path: &str| root.join(path.trim_start_matches('/'));
    let found = PAIRS.iter().find(|(code, vars)| under(code).is_file() && under(vars).is_file());
    let Some((code, vars)) = found else {
        return Err(Error::host("no UEFI firmware for virtual machines is installed")
            .hint("Install it with `sudo apt-get install ovmf`."));
    };
    let vars = under(vars);
    let content = std::fs::read(&vars).context(Kind::Host, || format!("reading {}", vars.display()))?;
    Ok(Uefi { code: under(code).display().to_string(), vars: Scratch::with("the UEFI variables", &content)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_firmware_is_named_with_its_package() {
        let root = tempfile::tempdir().unwrap();
        let error = find_uefi(root.path()).err().unwrap();
        assert_eq!(error.kind(), Kind::Host);
        assert_eq!(error.hints(), ["Install it with `sudo apt-get install ovmf`."]);
    }

    #[test]
    fn code_without_its_variables_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("usr/share/OVMF");
        std::fs::create_dir_all(&directory).unwrap();
        for (name, content) in
            [("OVMF_CODE_4M.fd", "new"), ("OVMF_CODE.fd", "old"), ("OVMF_VARS.fd", "old variables")]
        {
            std::fs::write(directory.join(name), content).unwrap();
        }
        let uefi = find_uefi(root.path()).unwrap();
        assert!(uefi.code.ends_with("/OVMF_CODE.fd"), "{}", uefi.code);
        assert_eq!(std::fs::read(uefi.vars.path()).unwrap(), b"old variables");
    }
}
