//! What makes a machine its owner's: files that are copied, a program that finishes the tree, templates. Each is
//! named and has a digest here; no content is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::copy_list::Owner;
use crate::units::Size;

/// Everything of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Customising {
    /// What is copied into the tree, in this order.
    pub copied: Vec<Copied>,
    /// The program that finishes the tree.
    pub exec: Option<Exec>,
    /// Templates that take the place of rvmb's own.
    pub templates: Vec<TemplateFile>,
}

impl Customising {
    /// Bytes of all files that are copied.
    pub fn size(&self) -> Size {
        Size(self.copied.iter().map(|copied| copied.size.bytes()).fold(0, u64::saturating_add))
    }
}

/// A file or directory of this host that is copied into the tree. The worker reads it by its path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// Where it is on this host, absolute.
    pub source: PathBuf,
    /// Where to: an absolute path of the machine.
    pub destination: String,
    /// What the destination is.
    pub placement: Placement,
    /// Permission bits in place of those of the source.
    pub mode: Option<u32>,
    /// Owner; root where there is none.
    pub owner: Option<Owner>,
    /// How many files it is.
    pub files: u64,
    /// Bytes of all of them.
    pub size: Size,
    /// SHA-256 over names, modes, times and content, in hexadecimal.
    pub sha256: String,
}

/// What the destination of a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The copy itself; a directory that the tree has already gets the copy into it.
    Named,
    /// A directory that gets the copy into it.
    Into,
    /// A directory that gets into it what is in the source.
    Contents,
}

/// A program of this host that is run with the tree as its argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// SHA-256 of its content in hexadecimal.
    pub sha256: String,
    /// Directory in which it is started: that of the caller.
    pub directory: PathBuf,
}

/// A template that was read when the plan was made. Its text is in [`Secrets`](super::Secrets).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateFile {
    /// The name of the file that it makes, as rvmb calls it, such as `hosts`.
    pub name: String,
    /// Where it was read.
    pub path: PathBuf,
    /// SHA-256 of its text in hexadecimal.
    pub sha256: String,
}
