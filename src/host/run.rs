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
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::interrupt::OnCancel;
use super::tools;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Sink};

/// Where programs are looked for, on the host and in the tree.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many of its last lines an error shows of a failed program.
const TAIL_LINES: usize = 12;

/// How often a program in the background is asked whether it still runs.
const POLL: Duration = Duration::from_millis(20);

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
    pub fn outcome(self) -> Result<Outcome> {
        self.say_command();
        #[expect(clippy::disallowed_methods, reason = "this is the runner")]
        let mut expression = duct::cmd(&self.program, &self.arguments)
            .stdin_bytes(self.input)
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
            .map_err(|error| not_started(&self.program, &error))?;
        let _noted = Noted::new(&self.running, handle.pids())?;
        let output = handle.wait().map_err(|error| not_started(&self.program, &error))?;
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
    /// any exit code but 0 is an error.
    pub fn stream(self, mut each: impl FnMut(&str)) -> Result<()> {
        self.say_command();
        let mut command = self.plain();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command, self.before_exec.clone());
        let mut child = command.spawn().map_err(|error| not_started(&self.program, &error))?;

        let _noted = Noted::new(&self.running, vec![child.id()])?;
        let (sender, lines) = mpsc::channel();
        let mut tail = VecDeque::with_capacity(TAIL_LINES);
        std::thread::scope(|scope| {
            if let Some(stdout) = child.stdout.take() {
                let sender = sender.clone();
                scope.spawn(move || send_lines(stdout, &sender));
            }
            if let Some(stderr) = child.stderr.take() {
                scope.spawn(move || send_lines(stderr, &sender));
            }
            for line in lines {
                self.sink.emit(Event::Debug { text: line.clone() });
                each(&line);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        });
        let status = child.wait().map_err(|error| not_started(&self.program, &error))?;
        if status.success() { Ok(()) } else { Err(failure(&self.program, status, tail.into_iter())) }
    }

    /// Starts it with its standard input and output in the caller's hands, in a process group of its
    /// own, where the terminal's Ctrl-C does not reach it, and without the parent-death signal.
    pub fn spawn_detached(self) -> Result<(Child, ChildStdin, ChildStdout)> {
        let mut command = self.plain();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(&self.program, &error))?;
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
        let mut child = command.spawn().map_err(|error| not_started(&self.program, &error))?;
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
        let mut child = command.spawn().map_err(|error| not_started(&self.program, &error))?;
        let said = child.stderr.take().map(|stderr| {
            let sink = Arc::clone(&self.sink);
            std::thread::spawn(move || keep_tail(stderr, &*sink))
        });
        Ok(Process { program: self.program, child, said, status: None })
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

/// A program that runs in the background. Dropping it kills the program and waits for its end.
pub struct Process {
    program: OsString,
    child: Child,
    said: Option<JoinHandle<VecDeque<String>>>,
    status: Option<ExitStatus>,
}

impl Process {
    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(|error| {
                Error::build(format!("waiting for {}", self.program.to_string_lossy())).because(&error)
            })?;
        }
        Ok(self.status)
    }

    /// Waits for its end, at most for `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.ended()?;
            if status.is_some() || start.elapsed() >= limit {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Stops it if it still runs, and returns the error that tells how it ended and what it said last.
    pub fn into_failure(mut self) -> Error {
        let status = self.stop();
        let said = self.said.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status {
            Ok(status) => failure(&self.program, status, said.into_iter()),
            Err(error) => not_started(&self.program, &error),
        }
    }

    fn stop(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to take an error, and a program that has ended already is no error.
        let _ = self.stop();
    }
}

/// Reads a stream to its end, says its lines and keeps the last ones.
fn keep_tail(stream: impl std::io::Read, sink: &dyn Sink) -> VecDeque<String> {
    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    let mut reader = BufReader::new(stream);
    let mut buffer = Vec::new();
    while reader.read_until(b'\n', &mut buffer).is_ok_and(|count| count > 0) {
        let line = String::from_utf8_lossy(&buffer).trim_end().to_owned();
        sink.emit(Event::Debug { text: line.clone() });
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
        buffer.clear();
    }
    tail
}

/// Sets up what every child has in common.
#[expect(unsafe_code, reason = "the hook between fork and exec")]
fn prepare(command: &mut std::process::Command, hook: Option<BeforeExec>) {
    // SAFETY: the closure makes system calls only; hooks promise the same.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            match &hook {
                Some(hook) => hook(),
                None => Ok(()),
            }
        });
    }
}

/// Sends what a stream says, line by line; a carriage return ends a line, too.
fn send_lines(stream: impl std::io::Read, lines: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut buffer = Vec::new();
    while reader.read_until(b'\n', &mut buffer).is_ok_and(|count| count > 0) {
        for line in
            String::from_utf8_lossy(&buffer).split(['\r', '\n']).filter(|line| !line.trim().is_empty())
        {
            if lines.send(line.trim_end().to_owned()).is_err() {
                return;
            }
        }
        buffer.clear();
    }
}

fn failure(program: &OsStr, status: ExitStatus, lines: impl Iterator<Item = String>) -> Error {
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

fn not_started(program: &OsStr, error: &std::io::Error) -> Error {
    let name = program.to_string_lossy();
    if error.kind() == std::io::ErrorKind::NotFound {
        return tools::missing(&name);
    }
    Error::new(Kind::Build, format!("starting {name}")).because(error)
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
    fn a_program_in_the_background_is_waited_for() {
        let mut process = runner().command("sh").args(["-c", "exit 7"]).start().unwrap();
        let status = process.wait(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!(status.code(), Some(7));

        let mut process = runner().command("sh").args(["-c", "echo gone >&2; exit 1"]).start().unwrap();
        process.wait(Duration::from_secs(10)).unwrap();
        let error = process.into_failure();
        assert_eq!(
            (error.message(), error.tail_lines()),
            ("sh failed with exit code 1", &["gone".to_owned()][..])
        );
    }

    #[test]
    fn a_program_in_the_background_dies_with_its_guard() {
        let mut process = runner().command("sleep").arg("1000").start().unwrap();
        let directory = PathBuf::from(format!("/proc/{}", process.child.id()));
        assert_eq!(process.wait(Duration::ZERO).unwrap(), None);
        assert!(directory.exists());
        drop(process);
        assert!(!directory.exists());
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("a/b-c=1"), "a/b-c=1");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
