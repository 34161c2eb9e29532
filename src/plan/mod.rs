//! From what the user wants to what will be done: Appliance × suite × hypervisor × host → Plan.

mod archive;
mod checks;
mod coming;
mod copy;
pub mod copy_list;
mod customise;
mod customising;
mod debconf;
mod disks;
mod elsewhere;
mod exec;
mod here;
mod make;
mod model;
mod network;
mod package_list;
pub mod part_file;
mod passwords;
mod request;
mod resolve;
pub mod stage;
mod storage;
mod templates;
mod told;
mod word;

pub(crate) use archive::explain_age;
pub use customising::{Copied, Customising, Exec, Placement, TemplateFile};
pub use disks::{Content, Disk, LogicalVolume, Partition, Table, Volume};
pub use make::{Planned, locale_line, make};
pub use model::*;
pub use network::{Address, Addressing, Connection, Gateway, GuestNetwork, Mac, Nic, StaticAddresses};
pub use told::mirror_origin;
