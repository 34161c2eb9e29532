//! A raw disk becomes an image of the format that a hypervisor takes. One file each.

mod qcow2;

use std::path::Path;

use crate::error::{Error, Result};
use crate::host::run::Runner;

/// Converts the raw disk at `raw` to a new image at `image`.
pub fn convert(runner: &Runner, format: &str, raw: &Path, image: &Path) -> Result<()> {
    match format {
        "qcow2" => qcow2::convert(runner, raw, image),
        other => Err(Error::build(format!("there is no way to write the format {other}"))),
    }
}
