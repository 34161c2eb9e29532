//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod make;
mod model;
mod passwords;
mod resolve;

pub(crate) use archive::explain_age;
pub use make::{Planned, locale_line, make};
pub use model::*;
