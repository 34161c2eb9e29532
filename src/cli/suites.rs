//! `rvmb suites`: lists the releases that can be built.

use std::io::Write;

use crate::error::{Error, Result};

/// Arguments of `rvmb suites`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {}

/// Holds the verb's place until the list of releases is there.
pub fn run(_args: &Args, _out: &mut dyn Write) -> Result<()> {
    Err(Error::build("this build has no list of releases"))
}
