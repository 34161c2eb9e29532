//! `rvmb test`: boots an image and checks it.

use crate::error::{Error, Result};
use crate::ui::Ui;

/// Arguments of `rvmb test`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {}

/// Holds the verb's place until the check is there.
pub fn run(_args: &Args, _ui: &Ui) -> Result<()> {
    Err(Error::build("this build cannot boot images"))
}
