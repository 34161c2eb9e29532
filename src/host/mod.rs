//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod access;
pub mod apt;
pub mod claim;
pub mod identity;
pub mod in_use;
pub mod interrupt;
pub mod leftovers;
mod lines;
mod listen;
pub mod lock;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod run;
pub mod scratch;
pub mod seccomp;
pub mod sequoia;
pub mod template;
pub mod tools;
pub mod tree;
pub mod virsh;
