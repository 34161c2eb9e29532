//! Puts results into their place.
//!
//! - [`local`]: the output directory, always.
//! - [`raw`]: the files and block devices that disks are written onto in place of images.
//! - [`libvirt`]: the machine is made known to the libvirt that was named.

pub mod libvirt;
pub mod local;
pub mod raw;
