//! This host: running programs, namespaces, trees of files, tools and their versions.

pub mod access;
pub mod apt;
pub mod claim;
pub mod extents;
pub mod fetch;
pub mod followed;
pub mod identity;
pub mod in_use;
pub mod interrupt;
pub mod iso9660;
pub mod leftovers;
mod lines;
mod listen;
pub mod lock;
pub mod mounts;
pub mod named_file;
pub mod namespaces;
pub mod openpgp;
pub mod process;
pub mod run;
pub mod scratch;
pub mod seccomp;
pub mod sequoia;
pub mod tarball;
pub mod template;
pub mod tools;
pub mod tree;
pub mod virsh;

/// What a gzip file begins with (RFC 1952 section 2.3.1).
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];
