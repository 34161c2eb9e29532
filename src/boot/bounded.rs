//! Programs that read an image of unknown origin: what they say is bounded, and so is how long they take.
//!
//! A file system can make debugfs print a file of terabytes without end, or follow a tree that leads back
//! into itself. Standard output and standard error both come through one socket, which is read up to
//! [`LARGEST`]. The program has a process group of its own, where the terminal's Ctrl-C does not reach it,
//! so that it is this process that decides what an interruption means.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::console::plain;
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Command;

/// Bytes that a program may say; the check's script, the largest thing that is read back, has some 10 KiB.
const LARGEST: usize = 1 << 20;
/// How often to look at the clock.
const TICK: Duration = Duration::from_millis(100);

/// What came of a program.
#[derive(Debug)]
pub(super) struct Said {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// What it wrote to standard output and standard error.
    pub(super) text: String,
}

impl Said {
    /// Its lines, without what could steer a terminal.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.text.lines().map(|line| plain(line.as_bytes())).filter(|line| !line.is_empty())
    }
}

/// What may end a program before its own end.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// How long it may take; none for as long as it likes.
    pub(super) time: Option<Duration>,
    /// Set when the user wants to stop.
    pub(super) interrupted: &'a AtomicBool,
}

/// Runs `command` to its end, whatever its exit code, within `bounds`. `doing` what stands in errors.
///
/// # Errors
///
/// Check, if it says too much or takes too long; interrupted; and whatever keeps it from starting.
pub(super) fn run(command: Command, doing: &str, bounds: Bounds<'_>) -> Result<Said> {
    let about = || doing.to_owned();
    let (mut near, far) = UnixStream::pair().context(Kind::Host, about)?;
    near.set_read_timeout(Some(TICK)).context(Kind::Host, about)?;
    let begun = Instant::now();
    // The far end lives in the hook, which is gone when the program has been started.
    let mut process = command
        .before_exec(Arc::new(move || {
            rustix::process::setpgid(None, None)?;
            rustix::stdio::dup2_stdout(&far)?;
            rustix::stdio::dup2_stderr(&far)?;
            Ok(())
        }))
        .start()?;
    let go_on = || bounds.go_on(begun).map_err(|error| error.within(doing));

    let mut said = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        go_on()?;
        match near.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context(Kind::Host, about),
        }
        if said.len() > LARGEST {
            let text = format!("the program said more than {LARGEST} bytes, as it does for a damaged image");
            return Err(Error::new(Kind::Check, text).within(doing));
        }
    }
    loop {
        if let Some(status) = process.wait(TICK)? {
            return Ok(Said { status, text: String::from_utf8_lossy(&said).into_owned() });
        }
        go_on()?;
    }
}

impl Bounds<'_> {
    fn go_on(&self, begun: Instant) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        match self.time {
            Some(time) if begun.elapsed() > time => Err(Error::new(
                Kind::Check,
                format!("not done within {} s, as happens with a damaged image", time.as_secs()),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::host::run::Runner;

    fn shell(script: &str, milliseconds: u64, interrupted: bool) -> Result<Said> {
        let command = Runner::new(Arc::new(Silent)).command("sh").args(["-c", script]);
        let interrupted = AtomicBool::new(interrupted);
        let time = Some(Duration::from_millis(milliseconds));
        run(command, "asking a shell", Bounds { time, interrupted: &interrupted })
    }

    #[test]
    fn both_streams_and_the_exit_code_are_taken() {
        let said = shell("echo out; printf 'e\\033[2Jrr\\n\\n' >&2; exit 3", 60_000, false).unwrap();
        assert_eq!(said.status.code(), Some(3));
        assert_eq!(said.lines().collect::<Vec<_>>(), ["out", "e[2Jrr"]);
    }

    #[test]
    fn what_has_no_end_is_ended() {
        let cases = [
            (shell("while :; do echo and on and on; done", 60_000, false), Kind::Check, "said more than"),
            (shell("exec sleep 100", 300, false), Kind::Check, "not done within"),
            (shell("exec sleep 100 >&- 2>&-", 300, false), Kind::Check, "not done within"),
            (shell("exec sleep 100", 60_000, true), Kind::Interrupted, "interrupted"),
        ];
        for (result, kind, expected) in cases {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, "asking a shell"));
            assert!(error.causes()[0].contains(expected), "{error}");
        }
    }
}
