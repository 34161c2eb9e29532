//! The signals that end a service or a session, as something that poll(2) sees.
//!
//! They reach every process of a build at once. The keeper has to outlive them, or nobody would clean
//! up; what it starts gets them as usual, since handlers do not outlive exec(2).

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::error::{Context, Kind, Result};

/// Listens to them without a thread.
pub(super) struct Stop {
    heard: UnixStream,
}

impl Stop {
    /// Takes the signals over, for the rest of the process.
    pub(super) fn listen() -> Result<Stop> {
        let context = || "taking over the signals that end a process".to_owned();
        let (heard, told) = UnixStream::pair().context(Kind::Host, context)?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let told = told.try_clone().context(Kind::Host, context)?;
            pipe::register(signal, told).context(Kind::Host, context)?;
        }
        Ok(Stop { heard })
    }

    /// Becomes readable with the first signal.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}
