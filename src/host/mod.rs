//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod run;
pub mod template;
pub mod tools;
