//! The front's side: starting the keeper, mapping ids, sending the order, reading messages.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Answer, Message, Order, Places, Task, receive, send};
use crate::error::{Context, Error, Kind, Result};
use crate::event::Sink;
use crate::host::claim;
use crate::host::namespaces;
use crate::host::run::Runner;
use crate::host::tools;
use crate::plan::Privilege;
use crate::rootfs::survey::{Survey, Wanted};

/// Stem of the directories in which a worker tries what the kernel can do.
pub(crate) const PROBE: &str = "rvmb-probe";

/// A worker at work.
pub struct Worker {
    keeper: Child,
    orders: Arc<Mutex<Option<ChildStdin>>>,
    /// The same after the point of no return, where nobody else can take them.
    committed: Option<ChildStdin>,
    messages: BufReader<ChildStdout>,
    /// What is to be removed should the keeper die.
    places: Places,
    privilege: Privilege,
    cleaner: Runner,
}

impl Worker {
    /// Starts a worker and gives it its order. The directories of the order are there when it returns.
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
        // From here on there is something to clean up.
        let mut worker = Worker {
            keeper,
            orders: Arc::new(Mutex::new(Some(stdin))),
            committed: None,
            messages,
            places: order.places.clone(),
            privilege: privilege.clone(),
            // The user's wish to stop ends what this runner starts, and must not end the cleaning.
            cleaner: Runner::new(Arc::clone(runner.sink())),
        };
        match receive::<Message>(&mut worker.messages)? {
            Some(Message::Ready) => Ok(worker),
            Some(Message::Failed(error)) => Err(error),
            _ => Err(worker.lost()),
        }
    }

    /// What ends the work when it is called, from any thread: the keeper sees the end of its input.
    pub fn canceller(&self) -> impl FnOnce() + Send + 'static {
        let orders = Arc::clone(&self.orders);
        move || drop(orders.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Hands events over until a build has its own view of the store of packages.
    pub fn wait_until_stocked(&mut self, sink: &dyn Sink) -> Result<()> {
        match self.listen(sink)? {
            None => Ok(()),
            Some(_) => Err(Error::build("the worker ended its work before it began")),
        }
    }

    /// Hands events over until the work has ended.
    pub fn wait(&mut self, sink: &dyn Sink) -> Result<Answer> {
        loop {
            if let Some(answer) = self.listen(sink)? {
                return Ok(answer);
            }
        }
    }

    /// Hands events over until the work has ended, or none: until the store is not needed any more.
    fn listen(&mut self, sink: &dyn Sink) -> Result<Option<Answer>> {
        loop {
            match receive::<Message>(&mut self.messages)? {
                Some(Message::Event(event)) => sink.emit(event),
                Some(Message::Stocked) => return Ok(None),
                Some(Message::Done(answer)) => return Ok(Some(answer)),
                Some(Message::Failed(error)) => return Err(error),
                Some(Message::Unmapped | Message::Ready) => {}
                None => return Err(self.lost()),
            }
        }
    }

    fn lost(&self) -> Error {
        if self.orders.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Error::new(Kind::Interrupted, "interrupted");
        }
        Error::build("the worker was lost: its keeper ended without a word")
            .hint("Look for an out-of-memory kill in the kernel's log (`dmesg`).")
    }

    /// The point of no return: from here on [`Worker::canceller`] does nothing.
    ///
    /// # Errors
    ///
    /// [`Kind::Interrupted`] where it was called before: the keeper is removing the results.
    pub fn commit(&mut self) -> Result<()> {
        self.committed = self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.committed.is_some() { Ok(()) } else { Err(Error::new(Kind::Interrupted, "interrupted")) }
    }

    /// Tells the keeper that the results were delivered, and waits for its end.
    pub fn release(mut self) {
        // Whatever happens to the keeper now, what was partial is so no more.
        self.places.partial.clear();
        self.places.parents.clear();
        if let Some(orders) = &mut self.committed {
            // A keeper that has died is no failure any more: its scratch directories go with this value.
            let _ = send(orders, &super::keeper::RELEASE);
        }
    }

    fn end(&mut self) -> Result<()> {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.committed.take());
        let status = self.keeper.wait().context(Kind::Build, || "waiting for the keeper".into())?;
        if status.success() {
            return Ok(());
        }
        // The keeper died before it could clean up; another one does.
        if self.places.remain() {
            remove(&self.cleaner, &self.privilege, self.places.trees().cloned().collect())?;
        }
        self.places.remove_partial()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            let text = format!("cleaning up after the worker: {error}");
            self.cleaner.sink().emit(crate::event::Event::Warning { text });
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

/// Asks a worker what this host can do for a build that keeps its files in `directories`, and with `memory`
/// its tree in memory.
pub fn probe(runner: &Runner, privilege: &Privilege, directories: &[PathBuf], memory: bool) -> Result<bool> {
    let mut scratch = Vec::new();
    for directory in directories {
        scratch.push(claim::fresh(directory, PROBE)?);
    }
    let task = Task::Probe { directories: scratch.clone(), memory };
    let order = Order { task, places: Places { scratch, ..Places::default() } };
    let mut worker = Worker::start(runner, privilege, &order)?;
    match worker.wait(&crate::event::Silent)? {
        Answer::Probed { overlay } => Ok(overlay),
        other => Err(Error::build(format!("the worker answered {other:?} to a probe"))),
    }
}

/// Looks at a tree that somebody else has made.
pub fn survey(runner: &Runner, privilege: &Privilege, path: &Path, wanted: Wanted) -> Result<Survey> {
    let task = Task::Survey { path: path.to_owned(), wanted };
    let order = Order { task, places: Places::default() };
    match Worker::start(runner, privilege, &order)?.wait(&crate::event::Silent)? {
        Answer::Surveyed { survey } => Ok(survey),
        other => Err(Error::build(format!("the worker answered {other:?} to a survey"))),
    }
}

/// Measures trees whose files belong to many owners, in bytes on the disk.
pub fn measure(runner: &Runner, privilege: &Privilege, paths: Vec<PathBuf>) -> Result<Vec<u64>> {
    let order = Order { task: Task::Measure { paths }, places: Places::default() };
    match Worker::start(runner, privilege, &order)?.wait(&crate::event::Silent)? {
        Answer::Measured { sizes } => Ok(sizes),
        other => Err(Error::build(format!("the worker answered {other:?} to a measuring"))),
    }
}

/// Removes trees whose files belong to many owners.
pub fn remove(runner: &Runner, privilege: &Privilege, paths: Vec<PathBuf>) -> Result<()> {
    let order = Order { task: Task::Remove { paths }, places: Places::default() };
    Worker::start(runner, privilege, &order)?.wait(&crate::event::Silent).map(drop)
}
