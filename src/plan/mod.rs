//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod coming;
mod copy;
pub mod copy_list;
mod customise;
mod customising;
mod debconf;
mod elsewhere;
mod exec;
mod here;
mod make;
mod model;
mod package_list;
mod passwords;
mod request;
mod resolve;
pub mod stage;
mod templates;
mod told;

pub(crate) use archive::explain_age;
pub use customising::{Copied, Customising, Exec, Placement, TemplateFile};
pub use make::{Planned, locale_line, make};
pub use model::*;
pub use told::mirror_origin;
