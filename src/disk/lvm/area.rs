//! The area for metadata: a header of one sector and a ring in which descriptions of the group follow each
//! other, as it changes (LVM2, lib/format_text/layout.h `mda_header`). Here the first stands in it.
//!
//! ```text
//!   0  checksum from 4 on             24  where the area lies in the volume
//!   4  a mark of 16 bytes             32  size of the area
//!  20  version                        40  the current description: offset in the area, size, checksum, flags
//! ```

use super::{DATA_START, SECTOR, checksum};

/// Where the area lies in the volume, in bytes: behind the first page, as pvcreate has it.
pub(super) const OFFSET: u64 = 4096;

/// Its size in bytes: up to the data.
pub(super) const SIZE: u64 = DATA_START - OFFSET;

const MARK: &[u8; 16] = b" LVM2 x[5A%r0N*>";
const VERSION: u32 = 1;
const CHECKED_FROM: usize = 4;

/// Header and ring, as far as they are not zero; none where `text` is too long. A change is written behind
/// the description that it replaces, so that both have to fit.
pub(super) fn area(text: &str) -> Option<Vec<u8>> {
    // A final zero is part of the description.
    let mut description = text.as_bytes().to_vec();
    description.push(0);
    let length = description.len() as u64;
    if length > (SIZE - SECTOR) / 2 - SECTOR {
        return None;
    }
    let mut header = Vec::new();
    header.extend(MARK);
    header.extend(VERSION.to_le_bytes());
    for number in [OFFSET, SIZE, SECTOR, length] {
        header.extend(number.to_le_bytes());
    }
    header.extend(checksum(&description).to_le_bytes());
    header.resize(SECTOR as usize - CHECKED_FROM, 0);

    let mut bytes = checksum(&header).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(description);
    Some(bytes)
}
