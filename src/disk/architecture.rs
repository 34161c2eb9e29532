//! What differs between processor architectures on a disk: partition type, firmware file names, GRUB.
//!
//! Partition types are those of the UAPI group's Discoverable Partitions Specification; the file names
//! are those of the UEFI specification 2.10, section 3.5.1.1 (removable media boot behaviour).

use uuid::{Uuid, uuid};

use crate::error::{Error, Result};

/// An architecture that disks can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Debian's name.
    pub name: &'static str,
    /// Partition type GUID of its root file system.
    pub root_type: Uuid,
    /// What its EFI programs end in: `x64` as in `grubx64.efi`.
    pub efi_suffix: &'static str,
    /// GRUB's name of its EFI platform, the directory under /usr/lib/grub.
    pub grub_efi: &'static str,
    /// The package that has it.
    pub grub_package: &'static str,
    /// Whether it may start from a BIOS.
    pub bios: bool,
}

const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "amd64",
        root_type: uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        efi_suffix: "x64",
        grub_efi: "x86_64-efi",
        grub_package: "grub-efi-amd64-bin",
        bios: true,
    },
    Architecture {
        name: "i386",
        root_type: uuid!("44479540-f297-41b2-9af7-d131d5f0458a"),
        efi_suffix: "ia32",
        grub_efi: "i386-efi",
        grub_package: "grub-efi-ia32-bin",
        bios: true,
    },
    Architecture {
        name: "arm64",
        root_type: uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
        efi_suffix: "aa64",
        grub_efi: "arm64-efi",
        grub_package: "grub-efi-arm64-bin",
        bios: false,
    },
    Architecture {
        name: "armhf",
        root_type: uuid!("69dad710-2ce4-4e3c-b16c-21a1d49abed3"),
        efi_suffix: "arm",
        grub_efi: "arm-efi",
        grub_package: "grub-efi-arm-bin",
        bios: false,
    },
    Architecture {
        name: "riscv64",
        root_type: uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
        efi_suffix: "riscv64",
        grub_efi: "riscv64-efi",
        grub_package: "grub-efi-riscv64-bin",
        bios: false,
    },
];

impl Architecture {
    /// Looks an architecture up by Debian's name.
    ///
    /// # Errors
    ///
    /// A configuration error that lists the known ones.
    pub fn find(name: &str) -> Result<Self> {
        ARCHITECTURES.iter().find(|known| known.name == name).copied().ok_or_else(|| {
            let known: Vec<&str> = ARCHITECTURES.iter().map(|known| known.name).collect();
            Error::config(format!("disks for the architecture {name} are not known"))
                .hint(format!("Choose one of {}.", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_its_own_type_and_suffix() {
        let types: std::collections::BTreeSet<_> = ARCHITECTURES.iter().map(|a| a.root_type).collect();
        let suffixes: std::collections::BTreeSet<_> = ARCHITECTURES.iter().map(|a| a.efi_suffix).collect();
        assert_eq!((types.len(), suffixes.len()), (ARCHITECTURES.len(), ARCHITECTURES.len()));
    }

    #[test]
    fn an_unknown_architecture_is_an_error_with_the_known_ones() {
        let error = Architecture::find("vax").unwrap_err();
        assert!(error.hints()[0].contains("amd64"), "{error:?}");
    }
}
