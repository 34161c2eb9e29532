//! The keeper: makes the directories of a run and the namespaces, starts the worker as PID 1 in them,
//! and cleans up after it.
//!
//! It cleans first and reports last, because the one to report to may be gone. It never has a second
//! thread: a process with threads cannot unshare its user namespace, and one that unshared its PID
//! namespace cannot make threads. It waits with poll(2) instead.

use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;

use super::stop::Stop;
use super::{Message, Order, receive, send};
use crate::error::{Context, Error, Kind, Result};
use crate::event::Silent;
use crate::host::namespaces;
use crate::host::run::Runner;

/// What the front says when what was partial is delivered.
pub(super) const RELEASE: &str = "release";

/// How the work ended.
enum Ending {
    /// The worker has said all that there is to say.
    ByItself,
    /// The front is gone, or a signal came.
    Stopped,
    /// The worker ended without a word.
    Lost(Error),
}

/// Runs the keeper to its end. Standard input and output lead to the front.
pub fn run(user_namespace: bool) -> Result<()> {
    let stop = Stop::listen()?;
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
    // Locked until this process ends.
    let _claims = match order.places.make() {
        Ok(claims) => claims,
        Err(error) => return send(&mut output, &Message::Failed(error)),
    };
    let outcome = keep(&order, &input, &mut output, &stop);
    let scratch = order.places.remove_scratch();
    let released = matches!(outcome, Ok(Ending::ByItself))
        && receive::<String>(&mut input).is_ok_and(|line| line.as_deref() == Some(RELEASE));
    let partial = if released { Ok(()) } else { order.places.remove_partial() };
    let report = match outcome {
        Ok(Ending::ByItself) => None,
        Ok(Ending::Stopped) => Some(Error::new(Kind::Interrupted, "interrupted")),
        Ok(Ending::Lost(error)) | Err(error) => Some(error),
    };
    if let Some(error) = report {
        // The front may be gone, and everything is done without it.
        let _ = send(&mut output, &Message::Failed(error));
    }
    scratch.and(partial)
}

/// Starts the worker and waits for its end, for the end of the front, or for a signal.
fn keep(order: &Order, input: &BufReader<File>, output: &mut impl Write, stop: &Stop) -> Result<Ending> {
    send(output, &Message::Ready)?;
    unshare(
        UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS,
        "making the worker's namespaces",
    )?;
    // Maintainer scripts write the host's name into configurations: that of the builder is of no use there.
    rustix::system::sethostname(b"localhost").context(Kind::Host, || "naming the worker's host".into())?;
    let runner = Runner::new(std::sync::Arc::new(Silent));
    let (mut worker, mut stdin) =
        runner.command("/proc/self/exe").args(["worker", "inside"]).spawn_bound()?;
    let pid = i32::try_from(worker.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::build("the worker has no process id"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .context(Kind::Host, || "watching the worker".into())?;
    // One that has ended before it read its order is lost, which is told below.
    let _ = send(&mut stdin, order);
    drop(stdin);

    let ended = wait(pidfd.as_fd(), input, stop);
    if !matches!(ended, Ok(true)) {
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)
            .context(Kind::Host, || "ending the worker".into())?;
    }
    // The worker is the first process of its namespace: with its end everything in it has ended.
    let status = worker.wait().context(Kind::Build, || "waiting for the worker".into())?;
    Ok(match ended? {
        false => Ending::Stopped,
        true if status.success() => Ending::ByItself,
        true => Ending::Lost(
            Error::build(format!("the worker was lost: {status}"))
                .hint("Look for an out-of-memory kill in the kernel's log (`dmesg`)."),
        ),
    })
}

/// Waits. True where the worker ended by itself.
fn wait(worker: std::os::fd::BorrowedFd<'_>, input: &BufReader<File>, stop: &Stop) -> Result<bool> {
    let mut watched = [
        PollFd::from_borrowed_fd(worker, PollFlags::IN),
        // No flag: the end of the pipe is always told.
        PollFd::from_borrowed_fd(input.get_ref().as_fd(), PollFlags::empty()),
        PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
    ];
    loop {
        match rustix::event::poll(&mut watched, None) {
            Ok(_) => return Ok(!watched[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context(Kind::Host, || "watching the worker".into()),
        }
    }
}

/// Standard input without the buffer of std, which poll(2) cannot see into. Not for the worker, which
/// would keep the front from seeing the keeper's end.
fn unbuffered_stdin() -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3)
        .context(Kind::Host, || "opening standard input".into())
}

#[expect(unsafe_code, reason = "rustix marks unshare as unsafe, because of the file descriptor table")]
fn unshare(flags: UnshareFlags, what: &str) -> Result<()> {
    // SAFETY: the file descriptor table is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|errno| namespaces::refused(what, errno))
}
