//! The one place where programs are started.
//!
//! Every program runs with an empty environment but for what is set here, a fixed search path (that
//! of ordinary users lacks /usr/sbin, where mke2fs lives), the C.UTF-8 locale, no standard input,
//! and a parent-death signal, so that nothing outlives rvmb. What a program says goes to the log as
//! it comes; when it fails, its last lines stand in the error.
//!
//! [`Command::run`] and [`Command::output`] are for tools that finish soon (duct underneath);
//! [`Command::stream`] hands over line by line what bootstrap tools and apt say (std::process);
//! [`Command::start`] leaves a program running in the background under a guard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal};

use super::interrupt::OnCancel;
use super::listen::listen;
pub use super::process::Process;
use super::tools;
use super::tree::Root;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Sink};

/// Where programs are looked for, on the host and in the tree.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many of its last lines an error shows of a failed program.
const TAIL_LINES: usize = 12;

/// What is done in the child between fork and exec: system calls only, no allocation.
pub type BeforeExec = Arc<dyn Fn() -> std::io::Result<()> + Send + Sync>;

/// Starts programs and says what they say.
#[derive(Clone)]
pub struct Runner {
    sink: Arc<dyn Sink>,
    environment: BTreeMap<OsString, OsString>,
    running: Arc<Mutex<Running>>,
}

/// The programs that run now, so that they can be ended when the user wants to stop.
#[derive(Default)]
struct Running {
    cancelled: bool,
    pids: BTreeSet<u32>,
}

impl Runner {
    /// A runner whose programs speak to `sink`.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        let fixed = [
            ("PATH", SEARCH_PATH),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("DEBIAN_FRONTEND", "noninteractive"),
        ];
        let environment = fixed.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Runner { sink, environment, running: Arc::default() }
    }

    /// The same runner with one more variable for every program.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// What ends the programs that run, and lets no other start.
    pub fn canceller(&self) -> OnCancel {
        let running = Arc::clone(&self.running);
        Box::new(move || {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.cancelled = true;
            for pid in running.pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
                // One that has just ended needs no signal.
                let _ = rustix::process::kill_process(pid, Signal::TERM);
            }
        })
    }

    /// Whether the user wants to stop.
    pub fn is_cancelled(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// Where programs' words and the caller's own events go.
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// A program, by name or path.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: self.environment.clone(),
            directory: None,
            input: Vec::new(),
            before_exec: None,
            tree: None,
            sink: Arc::clone(&self.sink),
            running: Arc::clone(&self.running),
        }
    }
}

/// A program about to be started.
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: Option<PathBuf>,
    input: Vec<u8>,
    before_exec: Option<BeforeExec>,
    tree: Option<PathBuf>,
    sink: Arc<dyn Sink>,
    running: Arc<Mutex<Running>>,
}

/// What a program that was allowed to fail left behind.
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Command {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Gives it standard input. Never logged.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Sets what is done in the child before the program starts, such as entering a tree.
    #[must_use]
    pub fn before_exec(mut self, hook: BeforeExec) -> Self {
        self.before_exec = Some(hook);
        self
    }

    /// Says that what is done in the child makes the tree at `root` its root directory: the program is
    /// the tree's own.
    #[must_use]
    pub fn of_tree(mut self, root: &Path) -> Self {
        self.tree = Some(root.to_owned());
        self
    }

    /// Runs it to its end; any exit code but 0 is an error.
    pub fn run(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs it to its end and returns its standard output; any exit code but 0 is an error.
    pub fn output(self) -> Result<String> {
        let program = self.program.clone();
        let outcome = self.outcome()?;
        if outcome.status.success() {
            return Ok(outcome.stdout);
        }
        let lines = outcome.stdout.lines().chain(outcome.stderr.lines()).map(str::to_owned);
        Err(failure(&program, outcome.status, lines))
    }

    /// Runs it to its end, whatever its exit code.
    pub fn outcome(mut self) -> Result<Outcome> {
        self.say_command();
        #[expect(clippy::disallowed_methods, reason = "this is the runner")]
        let mut expression = duct::cmd(&self.program, &self.arguments)
            .stdin_bytes(std::mem::take(&mut self.input))
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .full_env(&self.environment);
        if let Some(directory) = &self.directory {
            expression = expression.dir(directory);
        }
        let hook = self.before_exec.clone();
        let handle = expression
            .before_spawn(move |command| {
                prepare(command, hook.clone());
                Ok(())
            })
            .start()
            .map_err(|error| self.not_started(&error))?;
        let _noted = Noted::new(&self.running, handle.pids())?;
        let output = handle.wait().map_err(|error| self.not_started(&error))?;
        let outcome = Outcome {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        for line in outcome.stderr.lines() {
            self.sink.emit(Event::Debug { text: line.to_owned() });
        }
        Ok(outcome)
    }

    /// Runs it to its end and hands over each line of standard output and standard error as it comes;
    /// any exit code but 0 is an error. What it leaves running is not waited for.
    pub fn stream(self, mut each: impl FnMut(&str)) -> Result<()> {
        self.say_command();
        let mut command = self.plain();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command, self.before_exec.clone());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;

        let _noted = Noted::new(&self.running, vec![child.id()])?;
        let mut tail = VecDeque::with_capacity(TAIL_LINES);
        let status = listen(&mut child, &mut |line| {
            self.sink.emit(Event::Debug { text: line.clone() });
            each(&line);
            keep_last(&mut tail, line);
        })
        .map_err(|error| Error::build(format!("listening to {}", self.program.display())).because(&error))?;
        if status.success() { Ok(()) } else { Err(failure(&self.program, status, tail.into_iter())) }
    }

    /// Starts it with its standard input and output in the caller's hands, in a process group of its
    /// own, where the terminal's Ctrl-C does not reach it, and without the parent-death signal.
    pub fn spawn_detached(self) -> Result<(Child, ChildStdin, ChildStdout)> {
        let mut command = self.plain();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok((child, stdin, stdout)),
            _ => Err(Error::build(format!("{} was started without pipes", self.program.display()))),
        }
    }

    /// Starts it bound to the life of this process, with its standard input in the caller's hands and
    /// this process's standard output and error.
    pub fn spawn_bound(self) -> Result<(Child, ChildStdin)> {
        let mut command = self.plain();
        command.stdin(Stdio::piped());
        prepare(&mut command, self.before_exec.clone());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        match child.stdin.take() {
            Some(stdin) => Ok((child, stdin)),
            None => Err(Error::build(format!("{} was started without a pipe", self.program.display()))),
        }
    }

    /// The command for std::process, without its streams.
    fn plain(&self) -> std::process::Command {
        #[expect(clippy::disallowed_methods, reason = "this is the runner")]
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// Starts it and leaves it running; it is killed when the [`Process`] is dropped.
    ///
    /// The kernel kills it when the calling thread ends, so the caller has to be the thread that
    /// waits for it. Standard output is dropped; the last lines of standard error are kept.
    pub fn start(self) -> Result<Process> {
        self.say_command();
        let mut command = self.plain();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        prepare(&mut command, self.before_exec.clone());
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        Ok(Process::new(self.program, child, &self.sink))
    }

    /// Why it did not start. "No such file" may be said of the program, of its interpreter, of the
    /// directory that it was to start in, or of what [`Command::before_exec`] does.
    fn not_started(&self, error: &std::io::Error) -> Error {
        let name = self.program.to_string_lossy();
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        match &self.tree {
            Some(root) if missing && !is_in_tree(root, &name) => {
                Error::build(format!("the tree has no {name}"))
            }
            None if missing && !is_here(&name) => tools::missing(&name),
            _ => Error::build(format!("starting {name}")).because(error),
        }
    }

    /// The command as a shell would take it, for the log.
    fn say_command(&self) {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let line: Vec<String> = words.map(|word| quote(&word.to_string_lossy())).collect();
        self.sink.emit(Event::Debug { text: format!("+ {}", line.join(" ")) });
    }
}

/// Notes programs as running for as long as it lives.
struct Noted<'a> {
    running: &'a Mutex<Running>,
    pids: Vec<u32>,
}

impl<'a> Noted<'a> {
    fn new(running: &'a Mutex<Running>, pids: Vec<u32>) -> Result<Noted<'a>> {
        let mut table = running.lock().unwrap_or_else(PoisonError::into_inner);
        if table.cancelled {
            // The parent-death signal ends what was just started.
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        table.pids.extend(&pids);
        Ok(Noted { running, pids })
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        let mut table = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in &self.pids {
            table.pids.remove(pid);
        }
    }
}

/// Sets up what every child has in common.
#[expect(unsafe_code, reason = "the hook between fork and exec")]
fn prepare(command: &mut std::process::Command, hook: Option<BeforeExec>) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure makes system calls only; hooks promise the same.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // A parent that died before that sends no signal; another one is here in its place. A parent outside of
            // a new PID namespace is not seen at all.
            if rustix::process::getppid().is_some_and(|now| now != parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
            match &hook {
                Some(hook) => hook(),
                None => Ok(()),
            }
        });
    }
}

/// Keeps a line among the last ones.
pub(super) fn keep_last(tail: &mut VecDeque<String>, line: String) {
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line);
}

pub(super) fn failure(program: &OsStr, status: ExitStatus, lines: impl Iterator<Item = String>) -> Error {
    let name = program.to_string_lossy();
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("{name} failed with exit code {code}"),
        (None, Some(signal)) => format!("{name} was killed by signal {signal}"),
        (None, None) => format!("{name} failed"),
    };
    let said: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    let skip = said.len().saturating_sub(TAIL_LINES);
    Error::build(how).tail(said.into_iter().skip(skip))
}

fn is_here(program: &str) -> bool {
    if program.contains('/') { Path::new(program).exists() } else { tools::find(program).is_some() }
}

fn is_in_tree(root: &Path, program: &str) -> bool {
    let Ok(root) = Root::open(root) else { return false };
    // What cannot be looked at did not start for another reason than being absent.
    let there = |path: &str| root.exists(path).unwrap_or(true);
    if program.contains('/') {
        return there(program);
    }
    SEARCH_PATH.split(':').any(|directory| there(&format!("{directory}/{program}")))
}

/// Quotes a word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    fn runner() -> Runner {
        Runner::new(Arc::new(Silent))
    }

    #[test]
    fn output_is_returned_and_the_environment_is_clean() {
        let text = runner().command("env").output().unwrap();
        assert!(text.lines().any(|line| line == "LC_ALL=C.UTF-8"), "{text}");
        assert!(!text.contains("HOME="), "{text}");
    }

    #[test]
    fn a_failure_shows_the_last_words() {
        let error = runner().command("sh").args(["-c", "echo sorry >&2; exit 3"]).run().unwrap_err();
        assert_eq!(error.message(), "sh failed with exit code 3");
        assert_eq!(error.tail_lines(), ["sorry"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = runner().command("no-such-program").run().unwrap_err();
        assert_eq!(error.kind(), Kind::Host);
    }

    #[test]
    fn lines_are_streamed_from_both_streams() {
        let mut lines = Vec::new();
        let script = "echo one; echo two >&2; printf 'three\\rfour\\n'";
        runner().command("sh").args(["-c", script]).stream(|line| lines.push(line.to_owned())).unwrap();
        lines.sort();
        assert_eq!(lines, ["four", "one", "three", "two"]);
    }

    #[test]
    fn what_a_program_leaves_running_is_not_waited_for() {
        let start = std::time::Instant::now();
        let mut lines = Vec::new();
        let script = "sleep 30 & printf 'last words'";
        runner().command("sh").args(["-c", script]).stream(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["last words"]);
        assert!(start.elapsed().as_secs() < 15, "{:?}", start.elapsed());
    }

    #[test]
    fn only_a_missing_program_is_called_missing() {
        let refuse: BeforeExec = Arc::new(|| Err(rustix::io::Errno::NOENT.into()));
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("usr/bin")).unwrap();
        std::fs::write(tree.path().join("usr/bin/there"), "").unwrap();
        let runner = runner();
        let nowhere = Path::new("/no/such/directory");
        let table = [
            (runner.command("no-such-program"), Kind::Host, "no-such-program is not installed"),
            (runner.command("true").before_exec(Arc::clone(&refuse)), Kind::Build, "starting true"),
            (runner.command("true").directory(nowhere), Kind::Build, "starting true"),
            (
                runner.command("mke2fs").before_exec(Arc::clone(&refuse)).of_tree(tree.path()),
                Kind::Build,
                "the tree has no mke2fs",
            ),
            (runner.command("there").before_exec(refuse).of_tree(tree.path()), Kind::Build, "starting there"),
        ];
        for (command, kind, message) in table {
            let error = command.stream(|_| {}).unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, message));
            assert!(kind == Kind::Host || error.hints().is_empty(), "{error:?}");
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("a/b-c=1"), "a/b-c=1");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
