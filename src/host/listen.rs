//! Listening to a program until its end, and no longer.
//!
//! A program may leave others behind that hold its pipes: a daemon that a maintainer script started
//! holds them for ever. So the end of the program counts, not that of the pipes; what it said just
//! before is still read.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::lines::Lines;

/// How long a silence ends the reading once the program has ended, and how long it lasts at most.
const SILENCE: Duration = Duration::from_millis(50);
const LONGEST_GRACE: Duration = Duration::from_secs(1);

/// Hands over each line that a child says on its standard output and standard error, if they are
/// pipes, and returns how it ended.
pub(super) fn listen(child: &mut Child, each: &mut dyn FnMut(String)) -> std::io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("a child without a process id"))?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let mut streams: Vec<Stream> = Vec::new();
    streams.extend(child.stdout.take().map(|pipe| Stream::new(pipe.into())));
    streams.extend(child.stderr.take().map(|pipe| Stream::new(pipe.into())));

    let mut ended: Option<Instant> = None;
    while !streams.is_empty() {
        let mut watched: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::new(&stream.pipe, PollFlags::IN)).collect();
        if ended.is_none() {
            watched.push(PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN));
        }
        let patience = Timespec::try_from(SILENCE).ok();
        match poll(&mut watched, ended.and(patience.as_ref())) {
            Err(rustix::io::Errno::INTR) => continue,
            // Silence after the end.
            Ok(0) => break,
            result => result?,
        };
        let spoke: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ended.is_none() && spoke.last() == Some(&true) {
            ended = Some(Instant::now());
        }
        let mut spoke = spoke.into_iter();
        streams.retain_mut(|stream| !spoke.next().unwrap_or(false) || stream.read(each));
        if ended.is_some_and(|end| end.elapsed() > LONGEST_GRACE) {
            break;
        }
    }
    for stream in &mut streams {
        stream.lines.end(each);
    }
    child.wait()
}

/// One of a child's pipes.
struct Stream {
    pipe: std::fs::File,
    lines: Lines,
}

impl Stream {
    fn new(pipe: std::os::fd::OwnedFd) -> Stream {
        Stream { pipe: pipe.into(), lines: Lines::default() }
    }

    /// Reads what is there; false at the end.
    fn read(&mut self, each: &mut dyn FnMut(String)) -> bool {
        let mut block = [0; 16 * 1024];
        match self.pipe.read(&mut block) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => true,
            Ok(0) | Err(_) => {
                self.lines.end(each);
                false
            }
            Ok(count) => {
                self.lines.push(&block[..count], each);
                true
            }
        }
    }
}
