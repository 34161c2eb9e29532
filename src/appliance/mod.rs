//! What the user wants: the model, and its readers.

mod model;

pub use model::*;
