//! Which clusters of a raw disk hold something else than zeros.
//!
//! Extents alone do not decide it: how fine they are differs between file systems, and equal disks shall
//! give equal images everywhere.

use std::fs::File;
use std::io::Result;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::host::extents;

/// What is read of a cluster first: most that hold data show it there, and the rest stays unread.
const PROBE: usize = 4096;
static ZEROS: [u8; PROBE] = [0; PROBE];

/// The clusters of the first `size` bytes of `file` that hold data: ranges in their order, none of them
/// touching the next.
pub(super) fn allocated(file: &File, size: u64, cluster: u64) -> Result<Vec<Range<u64>>> {
    let mut allocated: Vec<Range<u64>> = Vec::new();
    let mut buffer = vec![0; usize::try_from(cluster).unwrap_or(PROBE)];
    let mut next = 0;
    for extent in extents::of(file, size)? {
        // Two extents may lie in one cluster.
        for number in next.max(extent.start / cluster)..extent.end.div_ceil(cluster) {
            let start = number * cluster;
            let length = usize::try_from(cluster.min(size - start)).unwrap_or(buffer.len());
            next = number + 1;
            if !is_data(file, &mut buffer[..length], start)? {
                continue;
            }
            match allocated.last_mut() {
                Some(last) if last.end == number => last.end = next,
                _ => allocated.push(number..next),
            }
        }
    }
    Ok(allocated)
}

/// Whether the part of `file` at `start` that `buffer` takes holds something else than zeros.
fn is_data(file: &File, buffer: &mut [u8], start: u64) -> Result<bool> {
    let (probe, rest) = buffer.split_at_mut(PROBE.min(buffer.len()));
    file.read_exact_at(probe, start)?;
    if !is_zero(probe) {
        return Ok(true);
    }
    file.read_exact_at(rest, start + probe.len() as u64)?;
    Ok(!is_zero(rest))
}

/// Comparing slices of bytes is memcmp(3), the fastest loop there is.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(PROBE).all(|chunk| ZEROS.starts_with(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    const CLUSTER: u64 = 65536;

    #[test]
    fn zeros_are_no_data_however_they_are_stored() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![0; 4 << 20], 0).unwrap();
        assert_eq!(allocated(&file, 4 * MIB, CLUSTER).unwrap(), []);
    }

    #[test]
    fn one_byte_makes_a_cluster() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * MIB).unwrap();
        for place in [CLUSTER - 1, CLUSTER, 5 * CLUSTER + 4096, 4 * MIB - 1] {
            file.write_all_at(b"x", place).unwrap();
        }
        assert_eq!(allocated(&file, 4 * MIB, CLUSTER).unwrap(), [0..2, 5..6, 63..64]);
    }

    #[test]
    fn the_last_cluster_may_be_short() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"x", CLUSTER + 511).unwrap();
        file.write_all_at(b"x", 3 * CLUSTER + 511).unwrap();
        assert_eq!(allocated(&file, 3 * CLUSTER + 512, CLUSTER).unwrap(), [1..2, 3..4]);
    }
}
