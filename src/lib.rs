//! rvmb turns one command into a Debian or Ubuntu machine image that boots.
//!
//! The rooms of the house, from the roof down; imports only run downwards:
//!
//! - [`cli`]: the verbs and their options.
//! - [`ui`]: events become bars, lines or JSON; errors become something to read.
//! - [`appliance`]: what the user wants.
//! - [`plan`]: from what the user wants to what will be done.
//! - [`suite`]: what a release is.
//! - [`event`], [`error`], [`units`], [`near`]: the ground that every room stands on.

pub mod appliance;
pub mod cli;
pub mod error;
pub mod event;
pub mod host;
pub mod near;
pub mod plan;
pub mod suite;
pub mod ui;
pub mod units;

pub use error::{Context, Error, Kind, Result};
