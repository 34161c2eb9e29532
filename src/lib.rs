//! rvmb turns one command into a Debian or Ubuntu machine image that boots.
//!
//! The rooms of the house, from the roof down; imports only run downwards:
//!
//! - [`appliance`]: what the user wants.
//! - [`plan`]: from what the user wants to what will be done.
//! - [`suite`]: what a release is.
//! - [`disk`]: a tree of files becomes a raw disk.
//! - [`event`], [`error`], [`units`]: the ground that every room stands on.

pub mod appliance;
pub mod disk;
pub mod error;
pub mod event;
pub mod host;
pub mod plan;
pub mod suite;
pub mod units;

pub use error::{Context, Error, Kind, Result};
