//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod coming;
mod elsewhere;
mod here;
mod libvirt;
mod make;
mod model;
mod passwords;
mod raw;
mod request;
mod resolve;
pub mod stage;
mod told;

pub(crate) use archive::explain_age;
pub(crate) use libvirt::may_be_replaced;
pub use libvirt::{Libvirt, Runs};
pub use make::{Planned, locale_line, make};
pub use model::*;
pub use raw::RawDisk;
pub use told::mirror_origin;
