//! The label of a physical volume: a sector that names the volume and says where everything is (LVM2,
//! lib/label/label.h `label_header` and lib/format_text/layout.h `pv_header`).
//!
//! ```text
//!   0  "LABELONE"                 32  identifier of the volume, 32 characters
//!   8  number of this sector      64  size of the volume in bytes
//!  16  checksum from 20 on        72  where data lies: start, size (0: to the end), and an end mark
//!  20  offset of the rest: 32    104  where metadata lies: start, size, and an end mark
//!  24  "LVM2 001"                136  an extension: version, flags, and an end mark
//! ```

use super::{DATA_START, SECTOR, area, checksum};

/// Where the label lies in the volume, in bytes: the second of the four sectors that LVM2 looks at.
pub(super) const OFFSET: u64 = SECTOR;

/// Where the checksum begins to count.
const CHECKED_FROM: usize = 20;

/// Where the header of the volume lies in the sector.
const HEADER: u32 = 32;

/// Version of the extension, and its flag for a volume that is in a group: LVM2 2.02.172 and later write it,
/// all since 2.02.99 read it.
const EXTENSION_VERSION: u32 = 2;
const EXTENSION_USED: u32 = 1;

/// The label of a volume of `size` bytes that has the identifier `id`.
pub(super) fn sector(id: &str, size: u64) -> [u8; SECTOR as usize] {
    let mut sector = [0; SECTOR as usize];
    let mut end = 0;
    let mut put = |bytes: &[u8]| {
        let room = sector.iter_mut().skip(end);
        room.zip(bytes).for_each(|(room, byte)| *room = *byte);
        end += bytes.len();
    };
    put(b"LABELONE");
    put(&(OFFSET / SECTOR).to_le_bytes());
    put(&[0; 4]);
    put(&HEADER.to_le_bytes());
    put(b"LVM2 001");
    put(id.replace('-', "").as_bytes());
    put(&size.to_le_bytes());
    for number in [DATA_START, 0, 0, 0, area::OFFSET, area::SIZE, 0, 0] {
        put(&number.to_le_bytes());
    }
    put(&EXTENSION_VERSION.to_le_bytes());
    put(&EXTENSION_USED.to_le_bytes());
    let sum = checksum(sector.split_at(CHECKED_FROM).1);
    sector[16..CHECKED_FROM].copy_from_slice(&sum.to_le_bytes());
    sector
}
