//! A raw disk becomes an image of the format that a hypervisor takes. One room each.

mod qcow2;

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::Written;

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
