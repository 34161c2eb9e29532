//! `rvmb HYPERVISOR DISTRO`: builds a machine.

use super::target::Target;
use crate::error::Result;
use crate::ui::Ui;

/// Arguments of a build.
#[derive(Clone, Debug)]
pub struct Args {
    /// The machine.
    pub target: Target,
}

/// Understands what the user wants.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let appliance = args.target.appliance()?;
    ui.print(&format!("{appliance:#?}\n"))
}
