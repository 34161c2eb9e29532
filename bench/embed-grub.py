#!/usr/bin/python3
"""Puts GRUB's boot code into a disk with an MBR: bench/embed-grub.py BOOT.IMG CORE.IMG DISK.

The places are those of GRUB's include/grub/i386/pc/boot.h: boot.img keeps clear of the BIOS parameter
block and of the partition table, holds the sector of core.img at 0x5c and the drive at 0x64. The end
of core.img's first sector tells where its other sectors lie.
"""

import struct
import sys

SECTOR = 512
CODE = slice(0x5a, 0x1b8)       # boot.img's code, after the BIOS parameter block, before the disk's id
CORE_SECTOR, DRIVE, DRIVE_CHECK = 0x5c, 0x64, 0x66
BLOCK_LIST = SECTOR - 12        # first sector, count, segment
SEGMENT = 0x820                 # where the second sector of core.img is loaded
GAP = 2048                      # sectors before the first partition


def main():
    """Writes the boot code."""
    boot_name, core_name, disk_name = sys.argv[1:]
    with open(boot_name, "rb") as file:
        boot = file.read(SECTOR)
    with open(core_name, "rb") as file:
        core = bytearray(file.read())
    core += bytes(-len(core) % SECTOR)
    sectors = len(core) // SECTOR
    if sectors >= GAP:
        sys.exit(f"{core_name} does not fit before the first partition")
    struct.pack_into("<QHH", core, BLOCK_LIST, 2, sectors - 1, SEGMENT)
    with open(disk_name, "r+b") as disk:
        record = bytearray(disk.read(SECTOR))
        record[:3] = boot[:3]
        record[CODE] = boot[CODE]
        struct.pack_into("<Q", record, CORE_SECTOR, 1)
        record[DRIVE] = 0xff                              # the drive that the BIOS booted from
        record[DRIVE_CHECK:DRIVE_CHECK + 2] = b"\x90\x90"  # no correction of that drive
        disk.seek(0)
        disk.write(record + core)


if __name__ == "__main__":
    main()
