//! rvmb turns one command into a Debian or Ubuntu machine image that boots.
//!
//! The rooms of the house, from the roof down. Imports run downwards, but for two things: every room may read
//! the plan and the suite, which are plain data, and `build` and `worker` import each other, being two halves of
//! one pipeline:
//!
//! - [`cli`]: one file per verb; knows terminals, decides nothing.
//! - [`ui`]: draws events and errors.
//! - [`plan`]: from what the user wants to what will be done.
//! - [`appliance`]: what the user wants: the model, and its readers.
//! - [`build`]: the pipeline, top to bottom, and [`worker`], the process that it runs in.
//! - [`deliver`]: puts results into their place.
//! - [`hypervisor`]: what a target needs.
//! - [`boot`]: starts a finished image and checks it.
//! - [`rootfs`]: a plan becomes a tree.
//! - [`templates`]: the user's own in place of files that rvmb writes.
//! - [`suite`]: what a release is.
//! - [`disk`]: a tree becomes a raw disk.
//! - [`format`](mod@format): a raw disk becomes an image.
//! - [`manifest`]: what is in it, and checksums.
//! - [`cache`]: what is kept between builds.
//! - [`host`]: programs, namespaces, trees and tools of this machine.
//! - [`event`], [`error`], [`units`], [`digest`], [`near`]: the ground that every room stands on.

pub mod appliance;
pub mod boot;
pub mod build;
pub mod cache;
pub mod cli;
pub mod deliver;
pub mod digest;
pub mod disk;
pub mod error;
pub mod event;
pub mod format;
pub mod host;
pub mod hypervisor;
pub mod manifest;
pub mod near;
pub mod plan;
pub mod rootfs;
pub mod suite;
pub mod templates;
#[cfg(test)]
mod testing;
pub mod ui;
pub mod units;
pub mod worker;

pub use error::{Context, Error, Kind, Result};
