//! qcow2: QEMU's own format, docs/interop/qcow2.rst of QEMU. Holes of the disk take no room.

use std::path::Path;

use crate::error::Result;
use crate::host::run::Runner;

/// Converts with qemu-img, which writes the same bytes for the same disk.
pub(super) fn convert(runner: &Runner, raw: &Path, image: &Path) -> Result<()> {
    runner
        .command("qemu-img")
        // Clusters in the order in which requests finish are faster, and differ from run to run; so in order.
        .args(["convert", "-f", "raw", "-O", "qcow2", "-T", "none", "-t", "unsafe"])
        .args([raw, image])
        .run()
        .map_err(|error| error.within(format!("converting to {}", image.display())))
}
