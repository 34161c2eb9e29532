//! What a release is: suite files, built in and overridable.

mod model;

pub use model::*;
