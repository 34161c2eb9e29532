//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod model;

pub use model::*;
