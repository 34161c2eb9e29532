//! What the user wants: the model, and its readers.
//!
//! Every source is read into an [`Appliance`] of its own, in which only what the source names is
//! set; [`Appliance::overlaid_by`] lays one over another. The command line is read by
//! [`crate::cli::options`], configuration files by [`config`]; what both call a setting stands in
//! [`settings`].
//!
//! A new option has a field in the model, a line in [`settings::SETTINGS`], a field in
//! [`crate::cli::options`], a line in `merge.rs` and, where it has one, its default in `cli/defaults.rs`.
//! Tests tell which of them is missing.

pub mod config;
mod merge;
mod model;
mod origins;
pub mod settings;

pub use model::*;
pub use origins::Origins;
