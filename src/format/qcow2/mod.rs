//! qcow2: QEMU's own format, docs/interop/qcow2.rst of QEMU, version 3. Zeros take no room.
//!
//! 1. [`scan`] finds the clusters of the disk that hold data,
//! 2. [`layout`] decides from them alone where everything goes,
//! 3. [`copy`] fills the image, and hashes it from its front to its end meanwhile.

mod copy;
mod layout;
mod scan;

use std::fs::File;
use std::path::Path;

use layout::Layout;

use crate::error::{Context, Error, Kind, Result};
use crate::manifest::Written;

/// Converts the raw disk at `raw` to the new file `image`.
pub(super) fn convert(raw: &Path, image: &Path) -> Result<Written> {
    convert_with(layout::USUAL_CLUSTER_BITS, raw, image)
}

/// With clusters of `1 << cluster_bits` bytes; small ones make small disks need many tables.
fn convert_with(cluster_bits: u32, raw: &Path, image: &Path) -> Result<Written> {
    let reading = || format!("reading the disk {}", raw.display());
    let writing = || format!("writing the image {}", image.display());
    let disk = File::open(raw).context(Kind::Build, reading)?;
    let size = disk.metadata().context(Kind::Build, reading)?.len();
    let allocated = scan::allocated(&disk, size, 1 << cluster_bits).context(Kind::Build, reading)?;
    let layout = Layout::new(cluster_bits, size, &allocated).context(Kind::Build, writing)?;
    let file = File::create_new(image).context(Kind::Build, writing)?;
    file.set_len(layout.image_size()).context(Kind::Build, writing)?;
    let sha256 = copy::fill(&layout, &disk, &file).map_err(|failure| match failure {
        copy::Failure::Read(error) => Error::build(reading()).because(&error),
        copy::Failure::Write(error) => explain_full_disk(&error, Error::build(writing()).because(&error)),
        copy::Failure::Thread(error) => Error::host("copying with several threads").because(&error),
    })?;
    Ok(Written { size: layout.image_size(), sha256 })
}

fn explain_full_disk(cause: &std::io::Error, error: Error) -> Error {
    match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            error.hint("The disk is full: free some space, or name another place with --destdir.")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests;
