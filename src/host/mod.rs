//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod apt;
pub mod identity;
pub mod interrupt;
pub mod mounts;
pub mod run;
pub mod scratch;
pub mod seccomp;
pub mod sequoia;
pub mod template;
pub mod tools;
pub mod tree;
