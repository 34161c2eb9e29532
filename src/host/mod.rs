//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod interrupt;
pub mod run;
pub mod tools;
