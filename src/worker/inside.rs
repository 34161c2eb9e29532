//! The worker proper: PID 1 of its namespace, where the tree, the disk and the image are made.

use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::Mode;
use rustix::thread::UnshareFlags;

use super::{Answer, Message, Order, Task, receive, send};
use crate::build;
use crate::cache::clean;
use crate::error::Result;
use crate::event::{Event, Sink};
use crate::host::mounts::{self, Overlay};
use crate::host::namespaces;
use crate::host::run::Runner;
use crate::host::{seccomp, tree};
use crate::rootfs::survey;
use crate::units::Size;

/// A tmpfs that only a few empty directories go into.
const ROOM_FOR_PROBE: Size = Size::mib(1);

/// The umask of everything that makes a tree.
const UMASK: u32 = 0o022;

/// Runs the worker to its end. Its order comes on standard input; its messages go to standard output.
pub fn run() -> Result<()> {
    // Modes in a tree must not depend on who builds it.
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    let Some(order) = receive::<Order>(&mut BufReader::new(std::io::stdin()))? else { return Ok(()) };
    let pipe = Arc::new(Pipe(Mutex::new(std::io::stdout())));
    let message = match work(order.task, &pipe) {
        Ok(answer) => Message::Done(answer),
        Err(error) => Message::Failed(error),
    };
    pipe.send(&message)
}

fn work(task: Task, pipe: &Arc<Pipe>) -> Result<Answer> {
    enter_mount_namespace()?;
    seccomp::ignore_syncs()?;
    let sink: Arc<dyn Sink> = Arc::clone(pipe) as Arc<dyn Sink>;
    let runner = Runner::new(sink);
    match task {
        Task::Probe { directories, memory } => {
            let mut overlay = directories.iter().all(|place| can_overlay(place));
            if let (true, Some(place)) = (memory && overlay, directories.first()) {
                overlay = can_overlay_in_memory(&place.join("memory"))?;
            }
            Ok(Answer::Probed { overlay })
        }
        Task::Survey { path, wanted } => Ok(Answer::Surveyed { survey: survey::survey(&path, &wanted)? }),
        Task::Build { plan, secrets, scratch, layers, output } => {
            let workshop =
                build::Workshop { plan: &plan, secrets: &secrets, scratch, layers, output, runner };
            build::stock(&workshop)?;
            pipe.send(&Message::Stocked)?;
            let (packages, images) = build::assemble(&workshop)?;
            Ok(Answer::Built { packages, images })
        }
        Task::Measure { paths } => {
            let sizes: Result<Vec<u64>> = paths.iter().map(|path| clean::size(path)).collect();
            Ok(Answer::Measured { sizes: sizes? })
        }
        Task::Remove { paths } => {
            paths.iter().try_for_each(|path| tree::remove(path))?;
            Ok(Answer::Removed)
        }
    }
}

#[expect(unsafe_code, reason = "rustix marks unshare as unsafe, because of the file descriptor table")]
fn enter_mount_namespace() -> Result<()> {
    // SAFETY: only the mount namespace is unshared; the file descriptor table stays as it is.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|errno| namespaces::refused("making a mount namespace", errno))?;
    mounts::make_private()?;
    // Where a container masks parts of /proc the kernel forbids a new one; the old one serves, too.
    mounts::mount_proc().or(Ok(()))
}

/// Tries an overlay in a scratch directory.
fn can_overlay(place: &Path) -> bool {
    let [lower, upper, work, target] = ["lower", "upper", "work", "target"].map(|name| place.join(name));
    // Whatever keeps the overlay from being made, there will be none.
    std::fs::create_dir(&lower).is_ok()
        && Overlay::mount(&[&lower], &upper, &work, &target).and_then(Overlay::close).is_ok()
}

/// Tries an overlay whose upper directory is in memory. Before Linux 6.6 a tmpfs holds no attributes of
/// users, with which an overlay marks directories.
fn can_overlay_in_memory(place: &Path) -> Result<bool> {
    mounts::mount_memory(place, ROOM_FOR_PROBE)?;
    let marked = rustix::fs::setxattr(place, "user.rvmb", b"y", rustix::fs::XattrFlags::empty());
    Ok(marked.is_ok() && can_overlay(place))
}

/// Sends events to the front.
struct Pipe(Mutex<std::io::Stdout>);

impl Pipe {
    fn send(&self, message: &Message) -> Result<()> {
        send(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), message)
    }
}

impl Sink for Pipe {
    fn emit(&self, event: Event) {
        if self.send(&Message::Event(event)).is_err() {
            // Nobody listens any more: the keeper is about to end this process.
        }
    }
}
