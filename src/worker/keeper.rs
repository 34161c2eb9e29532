//! The keeper: makes the namespaces, starts the worker as PID 1 in them, and cleans up after it.
//!
//! It never has a second thread: a process with threads cannot unshare its user namespace, and one
//! that unshared its PID namespace cannot make threads. It waits with poll(2) instead.

use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;

use super::{Message, Order, receive, send};
use crate::error::{Context, Error, Kind, Result};
use crate::event::Silent;
use crate::host::namespaces;
use crate::host::run::Runner;
use crate::host::tree;

/// What the front says when what was partial is delivered.
pub(super) const RELEASE: &str = "release";

/// Runs the keeper to its end. Standard input and output lead to the front.
pub fn run(user_namespace: bool) -> Result<()> {
    let mut input = BufReader::new(File::from(unbuffered_stdin()?));
    let mut output = std::io::stdout();
    if user_namespace {
        if let Err(error) = unshare(UnshareFlags::NEWUSER, "making a user namespace") {
            // The front turns the silence into its own words.
            drop(error);
            return Ok(());
        }
        send(&mut output, &Message::Unmapped)?;
    }
    let Some(order) = receive::<Order>(&mut input)? else { return Ok(()) };
    let outcome = keep(&order, &mut input, &mut output);
    if let Err(error) = &outcome {
        send(&mut output, &Message::Failed(error.clone()))?;
    }
    let cleaned = remove_all(&order.scratch);
    let released = matches!(outcome, Ok(true))
        && receive::<String>(&mut input).is_ok_and(|line| line.as_deref() == Some(RELEASE));
    if !released {
        remove_all(&order.partial)?;
    }
    cleaned
}

/// Starts the worker and waits for its end, or for the end of the front. True where the worker ended
/// by itself.
fn keep(order: &Order, input: &mut BufReader<File>, output: &mut impl Write) -> Result<bool> {
    unshare(
        UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS,
        "making the worker's namespaces",
    )?;
    let runner = Runner::new(std::sync::Arc::new(Silent));
    let (mut worker, mut stdin) =
        runner.command("/proc/self/exe").args(["worker", "inside"]).spawn_bound()?;
    send(&mut stdin, order)?;
    drop(stdin);

    let pid = i32::try_from(worker.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::build("the worker has no process id"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .context(Kind::Host, || "watching the worker".into())?;
    let mut watched = [
        PollFd::new(&pidfd, PollFlags::IN),
        PollFd::from_borrowed_fd(input.get_ref().as_fd(), PollFlags::empty()),
    ];
    loop {
        match rustix::event::poll(&mut watched, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context(Kind::Host, || "watching the worker".into()),
        }
    }
    let ended = !watched[0].revents().is_empty();
    if !ended {
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)
            .context(Kind::Host, || "ending the worker".into())?;
    }
    let status = worker.wait().context(Kind::Build, || "waiting for the worker".into())?;
    if ended && !status.success() {
        let lost = Error::build(format!("the worker was lost: {status}"))
            .hint("Look for an out-of-memory kill in the kernel's log (`dmesg`).");
        send(output, &Message::Failed(lost))?;
    }
    Ok(ended)
}

fn remove_all(paths: &[std::path::PathBuf]) -> Result<()> {
    // Every path gets its chance; the first error is the one to tell.
    paths.iter().map(|path| tree::remove(path)).fold(Ok(()), Result::and)
}

/// Standard input without the buffer of std, which poll(2) cannot see into.
fn unbuffered_stdin() -> Result<OwnedFd> {
    rustix::io::dup(std::io::stdin().as_fd()).context(Kind::Host, || "opening standard input".into())
}

#[expect(unsafe_code, reason = "rustix marks unshare as unsafe, because of the file descriptor table")]
fn unshare(flags: UnshareFlags, what: &str) -> Result<()> {
    // SAFETY: the file descriptor table is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|errno| namespaces::refused(what, errno))
}
