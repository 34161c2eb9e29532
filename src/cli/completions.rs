//! `rvmb completions SHELL`: a script that lets a shell complete rvmb's words.

use std::io::Write;

use crate::error::{Context, Kind, Result};

/// Arguments of `rvmb completions`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The shell; `rvmb completions bash > ~/.local/share/bash-completion/completions/rvmb`
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "rvmb", &mut script);
    out.write_all(&script).context(Kind::Build, || "writing to standard output".into())
}
