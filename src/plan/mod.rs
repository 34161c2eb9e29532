//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod coming;
mod disks;
mod elsewhere;
mod here;
mod make;
mod model;
mod network;
pub mod part_file;
mod passwords;
mod request;
mod resolve;
pub mod stage;
mod storage;
mod told;
mod word;

pub(crate) use archive::explain_age;
pub use disks::{Content, Disk, LogicalVolume, Partition, Table, Volume};
pub use make::{Planned, locale_line, make};
pub use model::*;
pub use network::{Address, Addressing, Connection, Gateway, GuestNetwork, Mac, Nic, StaticAddresses};
pub use told::mirror_origin;
