//! GRUB for a BIOS: the boot sector in the MBR, the core image in the BIOS boot partition, or between an msdos
//! table and the first partition.
//!
//! The offsets are those of GRUB's own installer, from include/grub/i386/pc/boot.h of GRUB 2: the boot
//! sector reads the first sector of the core image from an address patched into it, and that sector reads
//! the others from a list of blocks at its end.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::LARGEST;
use super::{DIRECTORY, Home, InTree, menu};
use crate::disk::gpt::SECTOR;
use crate::error::{Context, Error, Kind, Result};
use crate::host::tree::Root;
use crate::plan::{Content, Disk, Table};

/// Where the package grub-pc-bin keeps its files.
pub(super) const MODULES: &str = "/usr/lib/grub/i386-pc";

/// What the core image needs to find /boot/grub, beside the module of its file system; all else it loads from
/// there.
const CORE_MODULES: &[&str] = &["biosdisk", "part_gpt", "part_msdos", "search_fs_uuid"];

const SECTOR_BYTES: usize = 512;
/// `GRUB_BOOT_MACHINE_BPB_START`: the jump over the BIOS parameter block ends here.
const JUMP_END: usize = 3;
/// `GRUB_BOOT_MACHINE_BPB_END`: code begins again.
const CODE_START: usize = 0x5a;
/// `GRUB_BOOT_MACHINE_WINDOWS_NT_MAGIC`: disk signature and partition table begin.
const CODE_END: usize = 0x1b8;
/// `GRUB_BOOT_MACHINE_KERNEL_SECTOR`: 64-bit address of the core image's first sector.
const KERNEL_SECTOR: usize = 0x5c;
/// `GRUB_BOOT_MACHINE_BOOT_DRIVE`: the drive to read from.
const BOOT_DRIVE: usize = 0x64;
/// The drive that the BIOS says it started from.
const BIOS_DRIVE: u8 = 0xff;
/// `GRUB_BOOT_MACHINE_DRIVE_CHECK`: a jump that two no-operations replace on hard disks, for a BIOS that
/// names the wrong drive.
const DRIVE_CHECK: usize = 0x66;
const NO_OPERATION: u8 = 0x90;
/// The first entry of the block list, at the end of the core image's first sector: 64-bit start, 16-bit
/// number of sectors, 16-bit segment to load to.
const BLOCK_LIST: usize = SECTOR_BYTES - 12;
/// Where the second sector of the core image goes: `GRUB_BOOT_MACHINE_KERNEL_SEG` (0x800) and a sector.
const LOAD_SEGMENT: u16 = 0x820;

/// What a BIOS starts.
#[derive(Debug)]
pub struct Images {
    /// GRUB's boot.img, one sector.
    pub boot: Vec<u8>,
    /// GRUB's core.img.
    pub core: Vec<u8>,
}

/// Says that there is none.
pub(super) fn missing() -> Error {
    Error::build("the tree has no GRUB for a BIOS")
        .hint("The package grub-pc-bin has to be installed in the machine.")
}

/// Writes GRUB's modules to /boot/grub/i386-pc and lets the guest's grub-mkimage make the core image there,
/// as grub-install does.
pub(super) fn prepare(guest: &Root, home: &Home, in_tree: InTree<'_>) -> Result<Images> {
    let boot = guest.read_bytes(format!("{MODULES}/boot.img"), LARGEST)?.ok_or_else(missing)?;
    let directory = format!("{DIRECTORY}/i386-pc");
    guest.create_directories(&directory)?;
    for name in guest.names(MODULES)?.iter().filter(|name| is_loaded(name)) {
        if let Some(content) = guest.read_bytes(format!("{MODULES}/{name}"), LARGEST)? {
            guest.write(format!("{directory}/{name}"), 0o644, &content)?;
        }
    }
    guest.write(format!("{directory}/boot.img"), 0o644, &boot)?;
    let config = format!("{directory}/load.cfg");
    guest.write(&config, 0o644, menu::find_files(home).as_bytes())?;
    let core_path = format!("{directory}/core.img");
    guest.remove(&core_path)?;
    in_tree("grub-mkimage")
        .args(["--format", "i386-pc", "--directory", MODULES, "--prefix", home.path(DIRECTORY)])
        .args(["--config", &config, "--output", &core_path])
        .args(CORE_MODULES)
        .arg(home.module())
        .run()
        .map_err(|error| error.within("making GRUB's core image"))?;
    let core = guest.read_bytes(&core_path, LARGEST)?;
    Ok(Images { boot, core: core.ok_or_else(|| Error::build("grub-mkimage left no core image"))? })
}

/// What GRUB loads at run time: modules, lists of modules, and the stages for EFI tables under a BIOS.
fn is_loaded(name: &str) -> bool {
    [".mod", ".lst", ".o"].iter().any(|suffix| name.ends_with(suffix))
}

/// Writes boot sector and core image to a disk whose partition table is written.
///
/// # Errors
///
/// A build error where the disk has no place for the core image, or the images are not GRUB's or do not fit.
pub fn embed(raw: &File, images: &Images, disk: &Disk) -> Result<()> {
    let (start, size) = core_place(disk)?;
    let first_sector = start / SECTOR;
    let core = patch_core(&images.core, first_sector)?;
    if core.len() as u64 > size {
        return Err(Error::build(format!("GRUB's core image has {} bytes, and room for {size}", core.len())));
    }
    let doing = || "writing GRUB's boot sector".to_owned();
    let mut sector = [0; SECTOR_BYTES];
    raw.read_exact_at(&mut sector, 0).context(Kind::Build, doing)?;
    patch_boot(&mut sector, &images.boot, first_sector)?;
    raw.write_all_at(&sector, 0).context(Kind::Build, doing)?;
    raw.write_all_at(&core, start).context(Kind::Build, || "writing GRUB's core image".into())
}

/// Where the core image goes, and how many bytes it may have: the BIOS boot partition of a GPT; what lies between
/// an msdos table, which takes the first sector, and the first partition.
fn core_place(disk: &Disk) -> Result<(u64, u64)> {
    match disk.table {
        Table::Gpt => {
            let found = disk.partitions.iter().find(|partition| partition.content == Content::BiosBoot);
            let partition = found.ok_or_else(|| Error::build("the disk has no BIOS boot partition"))?;
            Ok((partition.start, partition.size.bytes()))
        }
        Table::Msdos => {
            let starts = disk.partitions.iter().map(|partition| partition.start);
            let first = starts.chain([disk.size.bytes()]).min().unwrap_or(0);
            Ok((SECTOR, first.saturating_sub(SECTOR)))
        }
    }
}

/// Puts the boot code around what else the first sector holds.
fn patch_boot(sector: &mut [u8; SECTOR_BYTES], boot: &[u8], core_sector: u64) -> Result<()> {
    if boot.len() != SECTOR_BYTES || !boot.ends_with(&[0x55, 0xaa]) {
        return Err(Error::build("GRUB's boot.img is no boot sector"));
    }
    for range in [0..JUMP_END, CODE_START..CODE_END] {
        sector[range.clone()].copy_from_slice(&boot[range]);
    }
    sector[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core_sector.to_le_bytes());
    sector[BOOT_DRIVE] = BIOS_DRIVE;
    sector[DRIVE_CHECK..DRIVE_CHECK + 2].fill(NO_OPERATION);
    Ok(())
}

/// The core image in whole sectors, told where its own rest lies.
fn patch_core(core: &[u8], first_sector: u64) -> Result<Vec<u8>> {
    let sectors = core.len().div_ceil(SECTOR_BYTES);
    let is_core = core.get(BLOCK_LIST + 10..BLOCK_LIST + 12) == Some(&LOAD_SEGMENT.to_le_bytes());
    let (true, true, Ok(rest)) = (is_core, sectors > 1, u16::try_from(sectors.saturating_sub(1))) else {
        return Err(Error::build("grub-mkimage made something that is no core image for a BIOS"));
    };
    let mut patched = core.to_vec();
    patched.resize(sectors * SECTOR_BYTES, 0);
    patched[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(first_sector + 1).to_le_bytes());
    patched[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::tests::small_disk;

    fn images() -> Images {
        let mut boot = vec![0xb0; SECTOR_BYTES];
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut core = vec![0xc0; 3 * SECTOR_BYTES + 1];
        core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&LOAD_SEGMENT.to_le_bytes());
        Images { boot, core }
    }

    #[test]
    fn the_partition_table_stays_and_the_code_knows_its_place() {
        let disk = small_disk();
        let mut raw = tempfile::tempfile().unwrap();
        raw.set_len(disk.size.bytes()).unwrap();
        crate::disk::gpt::write(&mut raw, &disk).unwrap();
        let mut before = [0; SECTOR_BYTES];
        raw.read_exact_at(&mut before, 0).unwrap();
        embed(&raw, &images(), &disk).unwrap();
        let mut after = [0; SECTOR_BYTES];
        raw.read_exact_at(&mut after, 0).unwrap();
        assert_eq!(after[CODE_END..], before[CODE_END..]);
        assert_eq!(after[JUMP_END..CODE_START], before[JUMP_END..CODE_START]);
        assert_eq!(after[KERNEL_SECTOR..DRIVE_CHECK + 2], [0, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xb0, 0x90, 0x90]);
        let mut list = [0; 12];
        raw.read_exact_at(&mut list, (1 << 20) + 500).unwrap();
        assert_eq!(list, [1, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0x20, 8]);
    }

    #[test]
    fn what_is_not_grub_is_refused() {
        let disk = small_disk();
        let raw = tempfile::tempfile().unwrap();
        raw.set_len(disk.size.bytes()).unwrap();
        let good = images;
        let large = vec![0; 2 << 20].into_iter().enumerate();
        let template = good().core;
        let large = large.map(|(at, zero)| template.get(at).copied().unwrap_or(zero)).collect();
        for bad in [
            Images { boot: Vec::new(), ..good() },
            Images { core: Vec::new(), ..good() },
            Images { core: vec![0; 4096], ..good() },
            Images { core: large, ..good() },
        ] {
            assert!(embed(&raw, &bad, &disk).is_err());
        }
        let mut none = small_disk();
        none.partitions.remove(0);
        assert!(embed(&raw, &good(), &none).is_err());
    }
}
