//! Where a file has data: lseek(2), `SEEK_DATA` and `SEEK_HOLE`.
//!
//! File systems tell it in grains of their own, and some tell nothing: an extent may hold zeros, never
//! the other way round.

use std::fs::File;
use std::io::Result;
use std::ops::Range;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// The parts of the first `size` bytes of `file` that may hold something else than zeros, in their order.
/// All of it where the file system does not tell.
pub fn of(file: &File, size: u64) -> Result<Vec<Range<u64>>> {
    let mut extents = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Ok(start) => start.max(position),
            // No data from here on.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
            Err(error) => return Err(error.into()),
        };
        let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
            // An end that is no progress would be asked for again for ever.
            Ok(end) if end > start => end.min(size),
            Ok(_) | Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => size,
            Err(error) => return Err(error.into()),
        };
        if start >= end {
            break;
        }
        extents.push(start..end);
        position = end;
    }
    Ok(extents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::units::MIB;

    #[test]
    fn a_hole_is_no_extent() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * MIB).unwrap();
        assert_eq!(of(&file, 8 * MIB).unwrap(), []);
    }

    #[test]
    fn every_byte_written_is_in_an_extent() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * MIB).unwrap();
        let places = [0, 3 * MIB + 5, 8 * MIB - 1];
        for place in places {
            file.write_all_at(b"x", place).unwrap();
        }
        let extents = of(&file, 8 * MIB).unwrap();
        for place in places {
            assert!(extents.iter().any(|extent| extent.contains(&place)), "{place} is not in {extents:?}");
        }
        assert!(extents.is_sorted_by(|one, next| one.end <= next.start));
        assert!(extents.iter().all(|extent| extent.end <= 8 * MIB));
    }

    #[test]
    fn what_lies_behind_the_size_is_left_out() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 8192], MIB).unwrap();
        assert_eq!(of(&file, MIB).unwrap(), []);
        let extents = of(&file, MIB + 10).unwrap();
        assert_eq!(extents.last().map(|extent| extent.end), Some(MIB + 10));
    }
}
