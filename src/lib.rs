//! rvmb turns one command into a Debian or Ubuntu machine image that boots.
//!
//! The rooms of the house, from the roof down; imports only run downwards:
//!
//! - [`appliance`]: what the user wants.
//! - [`plan`]: from what the user wants to what will be done.
//! - [`suite`]: what a release is.
//! - [`hypervisor`]: what a target needs.
//! - [`boot`]: starts a finished image in QEMU and checks it.
//! - [`host`]: running programs.
//! - [`event`], [`error`], [`units`]: the ground that every room stands on.

pub mod appliance;
pub mod boot;
pub mod cli;
pub mod error;
pub mod event;
pub mod host;
pub mod hypervisor;
pub mod plan;
pub mod suite;
pub mod units;

pub use error::{Context, Error, Kind, Result};
