//! What a release is: suite files, built in and overridable.
//!
//! [`Registry::load`] reads the built-in files and those of the administrator, checks all of them,
//! and answers with a [`Suite`] for what the user typed. What follows from a suite alone, such as
//! the kernel packages of a flavour, is asked of the suite itself.

mod built_in;
mod choose;
mod ext4;
mod gone;
mod model;
mod registry;
mod validate;

pub use choose::{Mirrors, title_of};
pub use ext4::{ext2_features, ext3_features, ext4_features};
pub use model::*;
pub use registry::Registry;
