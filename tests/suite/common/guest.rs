//! A machine that is somebody's: its disk keeps what a boot leaves behind, run.sh as it was shipped
//! starts it, and somebody logs in on the serial console and types.
//!
//! [`Guest`] is the machine while it is off. [`Guest::switch_on`] makes a [`Session`] of one boot.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rvmb::boot::console::Console;
use rvmb::boot::login::{Login, Next};
use rvmb::boot::report::Outcome;

use super::account::Account;
use super::machine::Bench;
use super::process::check;

/// How long a machine may take from power on to its first prompt, without KVM on a busy host.
const BOOT: Duration = Duration::from_secs(300);

/// How long a command may take that does next to nothing.
const SHORT: Duration = Duration::from_secs(90);

/// How long the console is listened to before the time is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Bytes given to the console at once: fewer than the lines that it keeps, so that none is lost.
const PIECE: usize = 256;

/// What the shell says when a command has ended. It is typed in two parts, so that an echo is no answer.
const ENDED: &str = "rvmb-ended:";

/// A machine that is off. Its disk lies over the image, which is never written to.
pub(crate) struct Guest {
    account: Account,
    directory: PathBuf,
}

/// How a command in the guest ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit status that the shell saw.
    pub(crate) status: i32,
    /// What came on the console meanwhile, without empty lines.
    pub(crate) output: String,
}

impl Answer {
    /// Fails the test unless the command ended with exit status 0.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.status, 0, "{}", self.output);
        self.output
    }
}

impl Guest {
    /// A new machine `name` from the image of `bench`, beside it.
    pub(crate) fn new(bench: &Bench, name: &str) -> Self {
        let account = bench.account();
        let directory = bench.path().join(name);
        std::fs::create_dir(&directory).expect("making the machine's directory");
        account.give(&directory);
        let script = directory.join("run.sh");
        std::fs::copy(bench.destination().join("run.sh"), &script).expect("copying run.sh");
        account.give(&script);
        let image = bench.image();
        let guest = Guest { account: account.clone(), directory };
        let disk = guest.directory.join(image.file_name().expect("the image's name"));
        let words = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"].map(Path::new);
        check("qemu-img", words.into_iter().chain([image.as_path(), &disk]));
        account.give(&disk);
        guest
    }

    /// Makes the disk larger, as its owner would: `+1G`.
    pub(crate) fn enlarge(&self, by: &str) {
        let disk = self.directory.join(format!("{}-disk0.qcow2", super::machine::HOSTNAME));
        check("qemu-img", [Path::new("resize"), Path::new("-q"), &disk, Path::new(by)]);
    }

    /// Switches it on and waits for a prompt.
    pub(crate) fn switch_on(&self) -> Session {
        self.switch_on_with(&[])
    }

    /// The same with more options for QEMU.
    pub(crate) fn switch_on_with(&self, options: &[&str]) -> Session {
        let mut session = self.start(options);
        session.wait_for("a login prompt", BOOT, |console, _| console.partial().ends_with("login:"));
        session
    }

    /// Switches it on and waits until it has switched itself off.
    #[track_caller]
    pub(crate) fn run_until_off(&self) -> Session {
        let mut session = self.start(&[]);
        session.wait_until_off();
        session
    }

    /// Switches it on by `run.sh -nographic`, with more options for QEMU.
    fn start(&self, options: &[&str]) -> Session {
        let options = [&["-nographic"], options].concat();
        let mut command = self.account.program(&self.directory.join("run.sh"), &options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("starting run.sh");
        let keyboard = process.stdin.take().expect("its standard input");
        let mut screen = process.stdout.take().expect("its standard output");
        let (sender, heard) = channel();
        // Ends with QEMU, or with the session.
        std::thread::spawn(move || {
            let mut buffer = [0; PIECE];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Session { process, keyboard, heard, console: Console::new(), said: Vec::new() }
    }
}

/// One boot. A session that is dropped pulls the plug.
pub(crate) struct Session {
    process: Child,
    keyboard: ChildStdin,
    heard: Receiver<Vec<u8>>,
    console: Console,
    said: Vec<String>,
}

impl Session {
    /// Logs in, in which the scripts of the user's shell run, and leaves the session in a shell that
    /// says nothing of its own.
    #[track_caller]
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        let mut login = Login::new(user.to_owned(), password.to_owned(), Instant::now());
        loop {
            let fresh = self.listen();
            match login.step(&self.console, &fresh, Instant::now()) {
                Next::Wait => {}
                Next::Type(text) => self.type_in(&text),
                Next::Over(Outcome::Ok, _) => break,
                Next::Over(_, why) => panic!("{why}\n{}", self.tail()),
            }
        }
        // A shell without line editing reads whole lines: what is typed is what runs.
        self.type_in("stty -echo; exec env PS1= PS2= sh\n");
        self.run("true");
    }

    /// Becomes root by sudo.
    #[track_caller]
    pub(crate) fn become_root(&mut self, password: &str) {
        self.run(&format!("echo {password} | sudo -S -v -p ''")).well();
        self.type_in("exec sudo -n env PS1= PS2= sh\n");
        assert_eq!(self.run("id -u").well(), "0");
    }

    /// Runs a line of shell.
    #[track_caller]
    pub(crate) fn run(&mut self, line: &str) -> Answer {
        self.run_within(SHORT, line)
    }

    /// Runs a line of shell for `limit` at most. Nobody answers what it may ask.
    #[track_caller]
    pub(crate) fn run_within(&mut self, limit: Duration, line: &str) -> Answer {
        assert!(!line.contains('\n'), "a line is one line");
        let (first, second) = ENDED.split_at(4);
        let from = self.said.len();
        self.type_in(&format!("{line}; printf '\\n%s%s%s\\n' {first} {second} $?\n"));
        self.wait_for(line, limit, |_, fresh| fresh.iter().any(|said| said.starts_with(ENDED)));
        let said = &self.said[from..];
        let end = said.iter().position(|said| said.starts_with(ENDED)).expect("the end was heard");
        let status = said[end].trim_start_matches(ENDED).parse();
        Answer { status: status.expect("an exit status"), output: said[..end].join("\n") }
    }

    /// Whether a line with `words` was on the console since power on.
    pub(crate) fn has_said(&self, words: &str) -> bool {
        self.said.iter().any(|line| line.contains(words))
    }

    /// Powers the machine off, as root, and waits until it is.
    #[track_caller]
    pub(crate) fn power_off(mut self) {
        self.type_in("systemctl poweroff\n");
        self.wait_until_off();
    }

    /// Waits until the machine is off.
    #[track_caller]
    fn wait_until_off(&mut self) {
        let start = Instant::now();
        while self.process.try_wait().expect("looking after QEMU").is_none() {
            self.listen();
            assert!(start.elapsed() < BOOT, "the machine does not power off\n{}", self.tail());
        }
        let status = self.process.wait().expect("waiting for QEMU");
        assert!(status.success(), "{status}\n{}", self.tail());
    }

    /// Listens until `done`, which sees the console and the newest lines.
    #[track_caller]
    fn wait_for(&mut self, what: &str, limit: Duration, done: impl Fn(&Console, &[String]) -> bool) {
        let start = Instant::now();
        loop {
            let fresh = self.listen();
            if done(&self.console, &fresh) {
                return;
            }
            let ended = self.process.try_wait().expect("looking after QEMU");
            assert!(ended.is_none(), "QEMU ended while waiting for {what}\n{}", self.tail());
            assert!(start.elapsed() < limit, "waited {limit:?} for {what}\n{}", self.tail());
        }
    }

    /// Takes in what the machine says, for a moment; returns the lines that are new.
    fn listen(&mut self) -> Vec<String> {
        match self.heard.recv_timeout(TICK) {
            Ok(bytes) => self.console.feed(&bytes),
            // QEMU has closed its output and is about to end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let fresh = self.console.take_fresh();
        self.said.extend(fresh.iter().cloned());
        fresh
    }

    /// Types. A machine that is gone is noticed by who waits for its answer.
    fn type_in(&mut self, text: &str) {
        let _ = self.keyboard.write_all(text.as_bytes()).and_then(|()| self.keyboard.flush());
    }

    /// The end of what was on the console, for messages.
    fn tail(&self) -> String {
        self.console.tail(60).join("\n")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // After a power off there is nothing to kill; a test that fails already says so.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
