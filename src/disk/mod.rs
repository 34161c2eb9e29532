//! The disk: from a tree of files to raw bytes.

mod architecture;
pub mod layout;

pub use architecture::Architecture;
