//! `rvmb worker`: what rvmb starts by itself. Not for users.

use clap::ValueEnum;

use crate::error::Result;
use crate::worker::{inside, keeper};

/// Arguments of the hidden verb.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Which part to play
    #[arg(value_enum)]
    role: Role,

    /// Make a user namespace first, and wait for its ids
    #[arg(long)]
    user_namespace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Make namespaces, start the worker in them, clean up after it
    Keeper,
    /// Carry out the order on standard input
    Inside,
}

/// Plays the role. Before this, no thread may have been started.
pub fn run(args: &Args) -> Result<()> {
    match args.role {
        Role::Keeper => keeper::run(args.user_namespace),
        Role::Inside => inside::run(),
    }
}
