//! Whether KVM really runs code here.
//!
//! `/dev/kvm` can be opened on machines where KVM has no hardware under it: nested, or emulated by the
//! hypervisor outside. There a guest gets through its firmware, some hundred times too slowly, and then
//! stands still. So the answer comes from running something: a boot sector that counts down from
//! [`ROUNDS`] and leaves through QEMU's debug exit device, within [`LIMIT`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::host::run::Runner;

/// How often the boot sector counts. Some 0.05 s on hardware; minutes where instructions are emulated
/// one by one.
pub const ROUNDS: u32 = 1 << 26;

/// How long the probe may take in seconds. On hardware it takes a third of a second, the firmware included.
pub const LIMIT: u64 = 4;

/// Exit code of QEMU when the boot sector came to its end: the debug exit device gives
/// `(value << 1) | 1` (QEMU, hw/misc/debugexit.c), and the boot sector writes 42.
pub const EXIT_CODE: i32 = (42 << 1) | 1;

/// Arguments of the probe beside `-accel`, the drive and its file.
pub const PROBE_ARGUMENTS: &[&str] = &[
    "-machine",
    "pc",
    "-nodefaults",
    "-display",
    "none",
    "-m",
    "16",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=0x04",
];

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    /// The processor itself, through KVM.
    Kvm,
    /// QEMU's own translation, TCG. Works everywhere, some ten times slower.
    Tcg,
}

impl fmt::Display for Acceleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acceleration::Kvm => "kvm",
            Acceleration::Tcg => "tcg",
        })
    }
}

/// What the user wants to run the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// KVM where it works, TCG elsewhere.
    #[default]
    Auto,
    /// This one.
    Only(Acceleration),
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Wish::Auto),
            "kvm" => Ok(Wish::Only(Acceleration::Kvm)),
            "tcg" => Ok(Wish::Only(Acceleration::Tcg)),
            _ => Err(format!("`{text}` is not an acceleration: use auto, kvm or tcg")),
        }
    }
}

/// The code of the boot sector, without the padding.
///
/// ```text
/// 66 b9 imm32   mov ecx, ROUNDS
/// 66 49         again: dec ecx
/// 75 fc         jnz again
/// b0 2a         mov al, 42
/// e6 f4         out 0xf4, al
/// f4            stop: hlt
/// eb fd         jmp stop
/// ```
pub const CODE: [u8; 17] = {
    let [a, b, c, d] = ROUNDS.to_le_bytes();
    [0x66, 0xb9, a, b, c, d, 0x66, 0x49, 0x75, 0xfc, 0xb0, 42, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]
};

/// What the firmware looks for at the end of a boot sector.
pub const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// Size of a sector in bytes.
pub const SECTOR: usize = 512;

/// The boot sector.
pub fn boot_sector() -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let (code, rest) = sector.split_at_mut(CODE.len());
    code.copy_from_slice(&CODE);
    let padding = rest.len() - SIGNATURE.len();
    rest[padding..].copy_from_slice(&SIGNATURE);
    sector
}

/// Decides what runs the guest. The wish for KVM where it does not work is an error.
pub fn choose(wish: Wish, qemu: &str, runner: &Runner) -> Result<Acceleration> {
    match wish {
        Wish::Only(Acceleration::Tcg) => Ok(Acceleration::Tcg),
        Wish::Auto => Ok(match kvm_defect(qemu, runner)? {
            None => Acceleration::Kvm,
            Some(defect) => {
                runner.sink().emit(Event::Info { text: format!("KVM is not used: {defect}") });
                Acceleration::Tcg
            }
        }),
        Wish::Only(Acceleration::Kvm) => match kvm_defect(qemu, runner)? {
            None => Ok(Acceleration::Kvm),
            Some(defect) => Err(Error::host(format!("KVM does not work on this host: {defect}")).hint(
                "Leave out `--acceleration kvm`, or say `--acceleration tcg`: slower, and works everywhere.",
            )),
        },
    }
}

/// Why KVM cannot be used; none where it can.
fn kvm_defect(qemu: &str, runner: &Runner) -> Result<Option<String>> {
    if let Err(error) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("opening /dev/kvm: {error}")));
    }
    let sector = Scratch::with("the boot sector of the KVM probe", &boot_sector())?;
    let mut process = runner
        .command(qemu)
        .args(["-accel", "kvm"])
        .args(PROBE_ARGUMENTS)
        .args(["-drive", &format!("file={},format=raw,if=ide", sector.path().display())])
        .start()?;
    Ok(match process.wait(Duration::from_secs(LIMIT))? {
        None => Some(format!("a boot sector did not come to its end within {LIMIT} s")),
        Some(status) if status.code() == Some(EXIT_CODE) => None,
        Some(_) => Some(process.into_failure().to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_sector_is_one() {
        let sector = boot_sector();
        assert_eq!(sector[..CODE.len()], CODE);
        assert_eq!(sector[510..], SIGNATURE);
        // The jumps: `jnz` back to `dec`, `jmp` back to `hlt`, each counted from the instruction after it.
        assert_eq!(10 + i32::from(CODE[9].cast_signed()), 6);
        assert_eq!(17 + i32::from(CODE[16].cast_signed()), 14);
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!("auto".parse(), Ok(Wish::Auto));
        assert_eq!("tcg".parse(), Ok(Wish::Only(Acceleration::Tcg)));
        assert!("hvf".parse::<Wish>().is_err());
    }

    #[test]
    fn the_boot_sector_ends_under_translation() {
        if !crate::testing::has("qemu-system-x86_64") {
            return;
        }
        let runner = Runner::new(std::sync::Arc::new(crate::event::Silent));
        let sector = Scratch::with("a boot sector", &boot_sector()).unwrap();
        let mut process = runner
            .command("qemu-system-x86_64")
            .args(["-accel", "tcg"])
            .args(PROBE_ARGUMENTS)
            .args(["-drive", &format!("file={},format=raw,if=ide", sector.path().display())])
            .start()
            .unwrap();
        let status = process.wait(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(status.code(), Some(EXIT_CODE));
    }
}
