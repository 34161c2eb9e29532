//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod apt;
pub mod identity;
pub mod mounts;
pub mod interrupt;
pub mod run;
pub mod seccomp;
pub mod tools;
pub mod tree;
