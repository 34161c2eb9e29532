//! The front's side: starting the keeper, mapping ids, sending the order, reading messages.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Answer, Message, Order, Task, receive, send};
use crate::error::{Context, Error, Kind, Result};
use crate::event::Sink;
use crate::host::namespaces;
use crate::host::run::Runner;
use crate::host::tools;
use crate::plan::Privilege;

/// A worker at work.
pub struct Worker {
    keeper: Child,
    orders: Arc<Mutex<Option<ChildStdin>>>,
    messages: BufReader<ChildStdout>,
    /// What is to be removed should the keeper die.
    scratch: Vec<PathBuf>,
    partial: Vec<PathBuf>,
    privilege: Privilege,
    runner: Runner,
}

impl Worker {
    /// Starts a worker and gives it its order.
    pub fn start(runner: &Runner, privilege: &Privilege, order: &Order) -> Result<Worker> {
        let mut command = runner.command("/proc/self/exe").args(["worker", "keeper"]);
        if matches!(privilege, Privilege::UserNamespace { .. }) {
            command = command.arg("--user-namespace");
        }
        let (mut keeper, mut stdin, stdout) = command.spawn_detached()?;
        let mut messages = BufReader::new(stdout);
        if let Privilege::UserNamespace { subuid, subgid, count } = privilege {
            match receive::<Message>(&mut messages)? {
                Some(Message::Unmapped) => {}
                Some(Message::Failed(error)) => return Err(error),
                _ => return Err(no_user_namespace(&mut keeper)),
            }
            map_ids(runner, keeper.id(), *subuid, *subgid, *count)?;
        }
        send(&mut stdin, order)?;
        Ok(Worker {
            keeper,
            orders: Arc::new(Mutex::new(Some(stdin))),
            messages,
            scratch: order.scratch.clone(),
            partial: order.partial.clone(),
            privilege: privilege.clone(),
            runner: runner.clone(),
        })
    }

    /// What ends the work when it is called, from any thread: the keeper sees the end of its input.
    pub fn canceller(&self) -> impl FnOnce() + Send + 'static {
        let orders = Arc::clone(&self.orders);
        move || drop(orders.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Hands events over until the work has ended.
    pub fn wait(&mut self, sink: &dyn Sink) -> Result<Answer> {
        loop {
            match receive::<Message>(&mut self.messages)? {
                Some(Message::Event(event)) => sink.emit(event),
                Some(Message::Done(answer)) => return Ok(answer),
                Some(Message::Failed(error)) => return Err(error),
                Some(Message::Unmapped) => {}
                None => {
                    let cancelled = self.orders.lock().unwrap_or_else(PoisonError::into_inner).is_none();
                    return Err(if cancelled {
                        Error::new(Kind::Interrupted, "interrupted")
                    } else {
                        Error::build("the worker was lost: its keeper ended without a word")
                            .hint("Look for an out-of-memory kill in the kernel's log (`dmesg`).")
                    });
                }
            }
        }
    }

    /// Tells the keeper that what it holds for partial was delivered, and waits for its end.
    pub fn release(mut self) -> Result<()> {
        if let Some(mut orders) = self.orders.lock().unwrap_or_else(PoisonError::into_inner).take() {
            send(&mut orders, &super::keeper::RELEASE)?;
        }
        self.partial.clear();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        let status = self.keeper.wait().context(Kind::Build, || "waiting for the keeper".into())?;
        let paths: Vec<PathBuf> = self.scratch.drain(..).chain(self.partial.drain(..)).collect();
        if status.success() || paths.is_empty() {
            return Ok(());
        }
        // The keeper died before it could clean up; another one does.
        remove(&self.runner, &self.privilege, paths)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            let text = format!("cleaning up after the worker: {error}");
            self.runner.sink().emit(crate::event::Event::Warning { text });
        }
    }
}

/// Gives the keeper's namespace its ids: its root is the caller, everything else a subordinate id.
fn map_ids(runner: &Runner, pid: u32, subuid: u32, subgid: u32, count: u32) -> Result<()> {
    let own = [
        ("newuidmap", rustix::process::geteuid().as_raw(), subuid),
        ("newgidmap", rustix::process::getegid().as_raw(), subgid),
    ];
    for (program, id, first) in own {
        let numbers = [pid, 0, id, 1, 1, first, count];
        let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        runner.command(program).args(words).run().map_err(|error| {
            if tools::find(program).is_none() { error } else { error.within("mapping subordinate ids") }
        })?;
    }
    Ok(())
}

fn no_user_namespace(keeper: &mut Child) -> Error {
    // Its status tells nothing that the missing message does not.
    drop(keeper.wait());
    let refused = "this host's kernel does not let ordinary users make a user namespace";
    namespaces::with_cures(Error::host(refused))
}

/// Asks a worker what this host can do for a build that keeps its files in `directory`.
pub fn probe(runner: &Runner, privilege: &Privilege, directory: PathBuf) -> Result<bool> {
    let order = Order { task: Task::Probe { directory }, scratch: Vec::new(), partial: Vec::new() };
    let mut worker = Worker::start(runner, privilege, &order)?;
    match worker.wait(&crate::event::Silent)? {
        Answer::Probed { overlay } => Ok(overlay),
        other => Err(Error::build(format!("the worker answered {other:?} to a probe"))),
    }
}

/// Removes trees whose files belong to many owners.
pub fn remove(runner: &Runner, privilege: &Privilege, paths: Vec<PathBuf>) -> Result<()> {
    let order = Order { task: Task::Remove { paths }, scratch: Vec::new(), partial: Vec::new() };
    Worker::start(runner, privilege, &order)?.wait(&crate::event::Silent).map(drop)
}
