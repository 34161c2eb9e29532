//! What the user wants: the model, and its readers.
//!
//! Every source is read into an [`Appliance`] of its own, in which only what the source names is
//! set; [`Appliance::overlaid_by`] lays one over another. The command line is read by
//! [`crate::cli::options`], configuration files by [`config`]; what both call a setting stands in
//! [`settings`].

pub mod config;
mod merge;
mod model;
pub mod settings;

pub use model::*;
