//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod coming;
mod elsewhere;
mod here;
mod make;
mod media;
mod model;
mod passwords;
mod ppa;
mod request;
mod resolve;
pub mod stage;
mod told;
mod tree;
mod variant;

pub(crate) use archive::explain_age;
pub use make::{Planned, locale_line, make};
pub use model::*;
pub use told::{bootstrap_tool, mirror_origin};
pub use tree::{ExistingTree, TreeUse};
