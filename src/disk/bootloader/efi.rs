//! GRUB for UEFI: what lies in the EFI system partition.
//!
//! Everything stands there twice: in /EFI/BOOT, where a firmware without boot entries looks (UEFI
//! specification 2.10, section 3.5.1.1), and in the distribution's own directory, where its signed GRUB looks
//! for grub.cfg and the packages' upgrades for themselves.

use std::collections::BTreeMap;

use super::LARGEST;
use super::{DIRECTORY, Home, InTree, menu};
use crate::disk::architecture::Architecture;
use crate::error::{Error, Result};
use crate::host::tree::Root;
use crate::suite::Boot;

/// What a GRUB of our own making brings with it, as it finds no modules on the disk: to read the disk, to
/// load kernels, and what update-grub's configuration uses.
const MODULES: &[&str] = &[
    "all_video",
    "boot",
    "btrfs",
    "cat",
    "configfile",
    "echo",
    "ext2",
    "fat",
    "font",
    "gettext",
    "gfxmenu",
    "gfxterm",
    "gzio",
    "halt",
    "help",
    "keystatus",
    "linux",
    "loadenv",
    "ls",
    "minicmd",
    "normal",
    "part_gpt",
    "part_msdos",
    "probe",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "sleep",
    "test",
    "true",
    "xfs",
];

/// Gathers the files of the EFI system partition, by path.
pub(super) fn prepare(
    guest: &Root,
    boot: &Boot,
    architecture: Architecture,
    home: &Home,
    in_tree: InTree<'_>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let Architecture { efi_suffix: suffix, .. } = architecture;
    if !is_directory_name(&boot.efi_directory) {
        return Err(Error::build(format!("`{}` cannot be a directory under /EFI", boot.efi_directory)));
    }
    let shim = first_of(guest, &boot.shim)?;
    let mok_manager = first_of(guest, &boot.mok_manager)?;
    let grub = match first_of(guest, &boot.grub_efi)? {
        Some(grub) => grub,
        None => unsigned(guest, architecture, boot, in_tree)?,
    };
    let stub = menu::stub(home).into_bytes();
    let own = boot.efi_directory.as_str();
    let fallback = format!("BOOT/BOOT{}.EFI", suffix.to_ascii_uppercase());
    let mut files = BTreeMap::new();
    let mut put = |path: String, content: &Vec<u8>| files.insert(format!("EFI/{path}"), content.clone());
    put(fallback, shim.as_ref().unwrap_or(&grub));
    if let Some(shim) = &shim {
        put(format!("{own}/shim{suffix}.efi"), shim);
    }
    for directory in ["BOOT", own] {
        put(format!("{directory}/grub{suffix}.efi"), &grub);
        put(format!("{directory}/grub.cfg"), &stub);
        // Only shim starts it.
        if let (Some(mok_manager), true) = (&mok_manager, shim.is_some()) {
            put(format!("{directory}/mm{suffix}.efi"), mok_manager);
        }
    }
    Ok(files)
}

/// The content of the first path that exists.
fn first_of(guest: &Root, paths: &[String]) -> Result<Option<Vec<u8>>> {
    for path in paths {
        if let Some(content) = guest.read_bytes(path, LARGEST)? {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// A GRUB without signature: the one that the package has, or one that the guest's grub-mkimage makes.
fn unsigned(guest: &Root, architecture: Architecture, boot: &Boot, in_tree: InTree<'_>) -> Result<Vec<u8>> {
    let Architecture { efi_suffix: suffix, grub_efi: platform, grub_package: package, .. } = architecture;
    let directory = format!("/usr/lib/grub/{platform}");
    if let Some(grub) = guest.read_bytes(format!("{directory}/monolithic/grub{suffix}.efi"), LARGEST)? {
        return Ok(grub);
    }
    let there = guest.names(&directory)?;
    if there.is_empty() {
        return Err(Error::build("the tree has no GRUB for UEFI")
            .hint(format!("The package {package} has to be installed in the machine.")));
    }
    // Not under the name that grub-install gives it: the packages would take it for theirs.
    let path = format!("{DIRECTORY}/first.efi");
    in_tree("grub-mkimage")
        .args(["--format", platform, "--directory", &directory, "--output", &path])
        .args(["--prefix", &format!("/EFI/{}", boot.efi_directory)])
        // Releases and platforms differ in what they have beside the necessary.
        .args(MODULES.iter().filter(|module| there.contains(&format!("{module}.mod"))))
        .run()
        .map_err(|error| error.within("making GRUB for UEFI"))?;
    let grub = guest.read_bytes(&path, LARGEST)?;
    guest.remove(&path)?;
    grub.ok_or_else(|| Error::build("grub-mkimage left no GRUB for UEFI"))
}

fn is_directory_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::FileSystem;

    fn boot() -> Boot {
        let list = |path: &str| vec![format!("/lib/{path}.latest"), format!("/lib/{path}")];
        Boot {
            packages: BTreeMap::new(),
            efi_directory: "debian".into(),
            shim: list("shim"),
            grub_efi: list("grub"),
            mok_manager: list("mm"),
            flag_file: String::new(),
            reads: Vec::new(),
            secure_boot: true,
            debconf: Vec::new(),
        }
    }

    /// Path and content, where contents are short.
    fn gathered(names: &[&str]) -> Result<Vec<(String, String)>> {
        let tree = tempfile::tempdir().unwrap();
        let guest = Root::open(tree.path()).unwrap();
        guest.create_directories("/lib").unwrap();
        for name in names {
            guest.write(format!("/lib/{name}"), 0o644, name.as_bytes()).unwrap();
        }
        let in_tree: InTree<'_> = &|_| unreachable!("nothing is run");
        let home = Home { identifier: "0".into(), kind: FileSystem::Ext4, is_boot: false };
        let files = prepare(&guest, &boot(), Architecture::find("amd64").unwrap(), &home, in_tree)?;
        let text = |content: Vec<u8>| String::from_utf8(content).unwrap();
        Ok(files.into_iter().map(|(path, content)| (path, text(content))).collect())
    }

    #[test]
    fn signed_programs_stand_in_both_directories() {
        let files = gathered(&["shim", "grub", "mm"]).unwrap();
        let named = |suffix: &str| {
            let found = files.iter().filter(|(path, _)| path.ends_with(suffix));
            found.map(|(path, content)| (path.as_str(), content.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(named("BOOTX64.EFI"), [("EFI/BOOT/BOOTX64.EFI", "shim")]);
        assert_eq!(named("shimx64.efi"), [("EFI/debian/shimx64.efi", "shim")]);
        let both = [("EFI/BOOT/grubx64.efi", "grub"), ("EFI/debian/grubx64.efi", "grub")];
        assert_eq!(named("grubx64.efi"), both);
        assert_eq!(named("mmx64.efi").len(), 2);
        assert_eq!(named("grub.cfg").len(), 2);
        assert!(named("grub.cfg")[0].1.contains("configfile"));
    }

    #[test]
    fn the_first_path_that_exists_is_taken() {
        let files = gathered(&["shim.latest", "shim", "grub"]).unwrap();
        assert!(files.contains(&("EFI/BOOT/BOOTX64.EFI".into(), "shim.latest".into())));
    }

    #[test]
    fn without_shim_the_firmware_starts_grub() {
        let files = gathered(&["grub", "mm"]).unwrap();
        assert!(files.contains(&("EFI/BOOT/BOOTX64.EFI".into(), "grub".into())));
        assert!(!files.iter().any(|(path, _)| path.contains("mmx64") || path.contains("shim")));
    }

    #[test]
    fn without_grub_there_is_the_name_of_the_package() {
        let error = gathered(&["shim"]).unwrap_err();
        assert!(error.hints()[0].contains("grub-efi-amd64-bin"), "{error:?}");
    }
}
