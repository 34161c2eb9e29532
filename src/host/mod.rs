//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod access;
pub mod apt;
pub mod identity;
pub mod interrupt;
pub mod lock;
pub mod mounts;
pub mod namespaces;
pub mod run;
pub mod seccomp;
pub mod template;
pub mod tools;
pub mod tree;
