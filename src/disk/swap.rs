//! Writes an empty swap space: the header of version 1, as in Linux's include/linux/swap.h.
//!
//! The header fills the first page: 1024 bytes for a boot sector, then version, last page, number of bad
//! pages, UUID and label, and a magic in the page's last ten bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use crate::error::{Context, Error, Kind, Result};

/// Page size of the kernels of Debian and Ubuntu on every architecture that disks are made for.
const PAGE: usize = 4096;
const VERSION: u32 = 1;
const MAGIC: &[u8] = b"SWAPSPACE2";
const LABEL_BYTES: usize = 16;

/// Fewer pages than these the kernel and mkswap take for a mistake.
const MINIMUM_PAGES: u64 = 10;

/// Writes a swap space of `size` bytes at `offset` of `raw`.
///
/// # Errors
///
/// A build error where the size is no swap space, the label is too long, or writing fails.
pub fn write(raw: &File, offset: u64, size: u64, uuid: Uuid, label: &str) -> Result<()> {
    let header = header(size, uuid, label)?;
    raw.write_all_at(&header, offset).context(Kind::Build, || "writing the swap space".into())
}

fn header(size: u64, uuid: Uuid, label: &str) -> Result<[u8; PAGE]> {
    let pages = size / PAGE as u64;
    let last_page = u32::try_from(pages.saturating_sub(1));
    let (true, Ok(last_page)) = (pages >= MINIMUM_PAGES, last_page) else {
        return Err(Error::build(format!("{size} bytes make no swap space")));
    };
    if label.len() >= LABEL_BYTES {
        return Err(Error::build(format!("the label {label} is too long for a swap space")));
    }
    let mut page = [0; PAGE];
    page[1024..1028].copy_from_slice(&VERSION.to_le_bytes());
    page[1028..1032].copy_from_slice(&last_page.to_le_bytes());
    page[1036..1052].copy_from_slice(uuid.as_bytes());
    page[1052..1052 + label.len()].copy_from_slice(label.as_bytes());
    page[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::tests::output_of;

    #[test]
    fn other_tools_know_it_for_a_swap_space() {
        let uuid = uuid::uuid!("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        write(file.as_file(), 0, 8 << 20, uuid, "swap").unwrap();
        if let Some(text) = output_of("blkid", &["-p", "-o", "export"], file.path()) {
            for line in ["TYPE=swap", "VERSION=1", "LABEL=swap", "UUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8"]
            {
                assert!(text.lines().any(|known| known == line), "no {line} in {text}");
            }
        }
        if let Some(text) = output_of("swaplabel", &[], file.path()) {
            assert!(text.contains("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), "{text}");
        }
    }

    #[test]
    fn what_makes_no_swap_space_is_refused() {
        assert!(header(4096, Uuid::nil(), "").is_err());
        assert!(header(u64::MAX, Uuid::nil(), "").is_err());
        assert!(header(1 << 20, Uuid::nil(), "sixteen-letters!").is_err());
        assert_eq!(header(1 << 20, Uuid::nil(), "").unwrap()[1028], 255);
    }
}
