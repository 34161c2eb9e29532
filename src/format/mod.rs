//! A raw disk becomes an image of the format that a hypervisor takes. One room each.

pub(crate) mod extents;
mod qcow2;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What was written, told by the writer: nobody has to read the image again for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// Converts the raw disk at `raw` to the new file `image`. Equal disks give equal images.
///
/// # Errors
///
/// A build error where a file cannot be read or written, or where the format is not known. What was
/// written until then stays.
pub fn convert(format: &str, raw: &Path, image: &Path) -> Result<Written> {
    match format {
        "qcow2" => qcow2::convert(raw, image),
        other => Err(Error::build(format!("there is no way to write the format {other}"))),
    }
}
