//! One boot, from power on to power off: reads both serial ports, logs in, notes what comes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::check::{self, Lines, Message};
use super::console::Console;
use super::login::{Login, Next};
use super::machine::Machine;
use super::report::{Check, Outcome};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Sink, Step, Unit};

/// How long to wait for the ports before looking at everything else.
const TICK: Duration = Duration::from_millis(100);
/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(500);
/// Lines of the console in a report.
const TAIL_LINES: usize = 40;
/// How long a machine may take to power off.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(120);
/// Words on the console after which nothing good comes. Matched within a line.
const LOST: &[&str] = &[
    "Kernel panic - not syncing",
    "No bootable device",
    "Boot failed: not a bootable disk",
    "Entering rescue mode...",
    "You are in emergency mode",
    "Gave up waiting for root file system device",
];

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// QEMU ended after the machine was told to power off.
    PoweredOff(Duration),
    /// Anything else, in words.
    Early(String),
}

/// One boot.
pub(super) struct Session<'a> {
    machine: Machine,
    sink: &'a dyn Sink,
    interrupted: &'a AtomicBool,
    limit: Duration,
    password: Passwords,
    begun: Instant,
    told: Instant,
    console: Console,
    lines: Lines,
    checks: Vec<Check>,
    /// When the check that runs now began.
    check_begun: Instant,
    script_started: Option<Duration>,
    booted: Option<Duration>,
    login: Option<(Login, Instant)>,
    script_ended: bool,
    powering_off: Option<Instant>,
    /// The last lines of the console before the machine was told to power off.
    tail: Vec<String>,
    end: Option<End>,
}

/// How a user's password is known.
pub(super) enum Passwords {
    /// It is the user's own name.
    UserName,
    /// It was given by the check's script.
    Given(String),
}

/// What came of a session.
pub(super) struct Observed {
    /// Every check in order.
    pub(super) checks: Vec<Check>,
    /// Time from power on to the started system.
    pub(super) booted: Option<Duration>,
    /// The last lines of the console: those before a power off that went well say more than its own.
    pub(super) console_tail: Vec<String>,
}

impl<'a> Session<'a> {
    /// A session with a machine that was just switched on; it may take `limit` altogether.
    pub(super) fn new(
        machine: Machine,
        password: Passwords,
        limit: Duration,
        interrupted: &'a AtomicBool,
        sink: &'a dyn Sink,
    ) -> Self {
        let now = Instant::now();
        Session {
            machine,
            sink,
            interrupted,
            limit,
            password,
            begun: now,
            told: now,
            console: Console::new(),
            lines: Lines::default(),
            checks: Vec::new(),
            check_begun: now,
            script_started: None,
            booted: None,
            login: None,
            script_ended: false,
            powering_off: None,
            tail: Vec::new(),
            end: None,
        }
    }

    /// Goes on until the system has started, or will not.
    pub(super) fn boot(&mut self) -> Result<()> {
        while self.end.is_none() && self.checks.is_empty() {
            self.turn(Step::Boot)?;
        }
        Ok(())
    }

    /// Goes on until the machine is off.
    pub(super) fn check(&mut self) -> Result<()> {
        while self.end.is_none() {
            self.turn(Step::Check)?;
        }
        Ok(())
    }

    fn turn(&mut self, step: Step) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted while the machine was running"));
        }
        self.machine.wait(TICK)?;
        let written = self.machine.console.read()?;
        self.console.feed(&written);
        let fresh = self.console.take_fresh();
        let said = self.machine.check.read()?;
        self.lines.feed(&said);
        while let Some(line) = self.lines.next() {
            if let Some(message) = check::parse_line(&line) {
                self.take(message);
            }
        }
        self.go_on_with_login(&fresh)?;
        if self.script_ended && self.login.is_none() && self.powering_off.is_none() {
            self.machine.check.write("poweroff\n")?;
            self.powering_off = Some(Instant::now());
            self.tail = self.console.tail(TAIL_LINES);
        }
        let nothing_came = written.is_empty() && said.is_empty();
        self.look_for_the_end(&fresh, nothing_came)?;
        self.tell(step);
        Ok(())
    }

    fn take(&mut self, message: Message) {
        let now = Instant::now();
        if self.script_started.is_none() {
            self.script_started = Some(now.duration_since(self.begun));
            self.check_begun = now;
        }
        match message {
            Message::Started => {}
            // Asked once: a guest that asks again would keep the session busy.
            Message::Login(_) if self.login.is_some() || self.is_noted("login") => {}
            Message::Login(user) => {
                let password = match &self.password {
                    Passwords::UserName => user.clone(),
                    Passwords::Given(password) => password.clone(),
                };
                self.login = Some((Login::new(user, password, now), now));
            }
            Message::Result { name, outcome, detail } => {
                if name == "multi-user" && outcome == Outcome::Ok {
                    self.booted = Some(now.duration_since(self.begun));
                }
                let began = std::mem::replace(&mut self.check_begun, now);
                self.note(name, outcome, detail, now.duration_since(began));
            }
            Message::End => self.script_ended = true,
        }
    }

    /// Notes what came of a check; the first word on it counts, so there are no more notes than names.
    fn note(&mut self, name: &str, outcome: Outcome, detail: String, took: Duration) {
        if self.is_noted(name) {
            return;
        }
        let seconds = took.as_secs_f64();
        self.checks.push(Check { name: name.to_owned(), outcome, detail, seconds });
    }

    fn is_noted(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name)
    }

    fn go_on_with_login(&mut self, fresh: &[String]) -> Result<()> {
        let now = Instant::now();
        let Some((login, begun)) = &mut self.login else { return Ok(()) };
        match login.step(&self.console, fresh, now) {
            Next::Wait => {}
            Next::Type(text) => self.machine.console.write(&text)?,
            Next::Over(outcome, detail) => {
                let took = now.duration_since(*begun);
                self.login = None;
                self.machine.console.write("exit\n")?;
                self.note("login", outcome, detail, took);
            }
        }
        Ok(())
    }

    fn look_for_the_end(&mut self, fresh: &[String], nothing_came: bool) -> Result<()> {
        // What a machine wrote last is read before its end is noticed.
        if nothing_came && self.machine.process.ended()?.is_some() {
            self.end = Some(match self.powering_off {
                Some(since) => End::PoweredOff(since.elapsed()),
                None => End::Early("the machine stopped or restarted by itself".to_owned()),
            });
            return Ok(());
        }
        if let Some(line) = fresh.iter().find(|line| LOST.iter().any(|words| line.contains(words))) {
            self.end = Some(End::Early(format!("the console says: {}", line.trim())));
        } else if self.powering_off.is_some_and(|since| since.elapsed() > POWER_OFF_LIMIT) {
            let text = format!("the machine did not power off within {} s", POWER_OFF_LIMIT.as_secs());
            self.end = Some(End::Early(text));
        } else if self.powering_off.is_none() && self.begun.elapsed() > self.limit {
            let text = format!("not done within {} s", self.limit.as_secs());
            self.end = Some(End::Early(text));
        }
        Ok(())
    }

    fn tell(&mut self, step: Step) {
        if self.told.elapsed() < PROGRESS {
            return;
        }
        self.told = Instant::now();
        let detail = match step {
            Step::Check => self.checks.last().map(|check| check.name.clone()).unwrap_or_default(),
            _ => self.console.last(),
        };
        let done = self.begun.elapsed().as_secs();
        let total = self.limit.as_secs().max(done);
        self.sink.emit(Event::Progress { step, done, total, unit: Unit::Seconds, detail });
    }

    /// Switches the machine off, if it still runs, and returns what came of it. `unmounted` tells whether
    /// the root file system was unmounted in the end.
    pub(super) fn finish(self, unmounted: impl FnOnce() -> Result<bool>) -> Result<Observed> {
        let Session { machine, console, mut checks, script_started, script_ended, booted, tail, end, .. } =
            self;
        let end = end.unwrap_or(End::Early("it was not waited for".to_owned()));
        let failure = match &end {
            // An emulator that does not start at all is the host's fault: its own words say why.
            End::Early(_) if script_started.is_none() && console.last().is_empty() => {
                let mut process = machine.process;
                if process.ended()?.is_some_and(|status| !status.success()) {
                    return Err(process.into_failure().within("starting the virtual machine"));
                }
                Some(&end)
            }
            End::Early(_) => Some(&end),
            End::PoweredOff(_) => None,
        };
        let why = match failure {
            Some(End::Early(text)) => text.clone(),
            _ => String::new(),
        };
        checks.insert(0, start_check(script_started, &why));
        for name in check::NAMES {
            if !checks.iter().any(|check| check.name == name) {
                checks.push(unheard(name, script_ended));
            }
        }
        let place = |check: &Check| check::NAMES.iter().position(|name| *name == check.name);
        checks.sort_by_key(place);
        checks.push(match &end {
            End::PoweredOff(took) => power_off_check(*took, unmounted()?),
            End::Early(_) if script_started.is_none() => {
                check("power-off", Outcome::Skipped, "the machine did not get that far")
            }
            End::Early(text) => check("power-off", Outcome::Failed, text),
        });
        let console_tail = if matches!(end, End::PoweredOff(_)) { tail } else { console.tail(TAIL_LINES) };
        Ok(Observed { checks, booted, console_tail })
    }
}

fn check(name: &str, outcome: Outcome, detail: &str) -> Check {
    Check { name: name.to_owned(), outcome, detail: detail.to_owned(), seconds: 0.0 }
}

/// A check of which nothing was heard: lost, if the script in the guest came to its end.
fn unheard(name: &str, script_ended: bool) -> Check {
    if script_ended {
        check(name, Outcome::Failed, "the check came to its end, and nothing was heard of this")
    } else {
        check(name, Outcome::Skipped, "the machine did not get that far")
    }
}

/// Whether the guest came so far as to run a program of ours.
fn start_check(script_started: Option<Duration>, why: &str) -> Check {
    match script_started {
        Some(after) => {
            let detail = format!("the system runs after {:.0} s", after.as_secs_f64());
            Check { seconds: after.as_secs_f64(), ..check("boot", Outcome::Ok, &detail) }
        }
        None => check("boot", Outcome::Failed, why),
    }
}

fn power_off_check(took: Duration, unmounted: bool) -> Check {
    let seconds = took.as_secs_f64();
    let found = if unmounted {
        check("power-off", Outcome::Ok, &format!("after {seconds:.0} s, with the root file system unmounted"))
    } else {
        check("power-off", Outcome::Failed, "the root file system was not unmounted")
    };
    Check { seconds, ..found }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;
    use crate::boot::machine::Port;
    use crate::event::Silent;
    use crate::host::run::Runner;

    /// A machine that is a shell command, with the guest's ends of console and check channel.
    fn machine(command: &str) -> (Machine, UnixStream, UnixStream) {
        let (console, guest_console) = UnixStream::pair().unwrap();
        let (check, guest_check) = UnixStream::pair().unwrap();
        let runner = Runner::new(Arc::new(Silent));
        let process = runner.command("sh").args(["-c", command]).start().unwrap();
        let machine =
            Machine { process, console: Port::new(console).unwrap(), check: Port::new(check).unwrap() };
        (machine, guest_console, guest_check)
    }

    fn session(machine: Machine, limit: u64, interrupted: &AtomicBool) -> Session<'_> {
        let password = Passwords::Given("secret".to_owned());
        Session::new(machine, password, Duration::from_secs(limit), interrupted, &Silent)
    }

    fn expect(stream: &mut UnixStream, text: &str) {
        let mut bytes = vec![0; text.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    fn outcome(observed: &Observed, name: &str) -> (Outcome, String) {
        let check = observed.checks.iter().find(|check| check.name == name).unwrap();
        (check.outcome, check.detail.clone())
    }

    #[test]
    fn a_whole_conversation() {
        let (machine, mut console, mut check) = machine("sleep 4");
        let guest = std::thread::spawn(move || {
            // The words of a firmware, without an end of line.
            check.write_all(b"BdsDxe: starting\nrvmb-check started\n").unwrap();
            check.write_all(b"rvmb-check multi-user ok after 20 s\nrvmb-check login bob\n").unwrap();
            check.write_all(b"rvmb-check kernel failed old\nrvmb-check kernel ok no\n").unwrap();
            check.write_all(b"rvmb-check end\n").unwrap();
            console.write_all(b"vm login: ").unwrap();
            expect(&mut console, "bob\n");
            console.write_all(b"bob\r\nPassword: ").unwrap();
            expect(&mut console, "secret\n");
            console.write_all(b"\r\nrvmb-user:bob\r\n").unwrap();
            expect(&mut console, "exit\n");
            check.write_all(b"rvmb-check login bob\n").unwrap();
            expect(&mut check, "poweroff\n");
            console.write_all(b"reboot: Power down\r\n").unwrap();
        });
        let interrupted = AtomicBool::new(false);
        let mut session = session(machine, 60, &interrupted);
        session.boot().unwrap();
        assert!(session.booted.is_some());
        session.check().unwrap();
        guest.join().unwrap();
        let observed = session.finish(|| Ok(true)).unwrap();
        assert_eq!(outcome(&observed, "boot").0, Outcome::Ok);
        assert_eq!(outcome(&observed, "multi-user"), (Outcome::Ok, "after 20 s".to_owned()));
        assert_eq!(outcome(&observed, "login").0, Outcome::Ok);
        assert_eq!(outcome(&observed, "kernel"), (Outcome::Failed, "old".to_owned()));
        assert_eq!(outcome(&observed, "network").0, Outcome::Failed, "it was lost");
        assert_eq!(outcome(&observed, "power-off").0, Outcome::Ok);
        assert_eq!(observed.checks.len(), check::NAMES.len() + 2);
        assert!(!observed.console_tail.iter().any(|line| line.contains("Power down")));
    }

    #[test]
    fn a_panic_ends_it_at_once() {
        let (machine, mut console, _check) = machine("sleep 100");
        console.write_all(b"[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n").unwrap();
        let interrupted = AtomicBool::new(false);
        let mut session = session(machine, 60, &interrupted);
        session.boot().unwrap();
        session.check().unwrap();
        let observed = session.finish(|| Ok(true)).unwrap();
        let (outcome, detail) = outcome(&observed, "boot");
        assert_eq!(outcome, Outcome::Failed);
        assert!(detail.contains("Unable to mount root fs"), "{detail}");
        assert_eq!(observed.console_tail.len(), 1);
    }

    #[test]
    fn time_runs_out() {
        let (machine, mut console, mut check) = machine("sleep 100");
        console.write_all(b"Loading...").unwrap();
        check.write_all(b"rvmb-check started\n").unwrap();
        let interrupted = AtomicBool::new(false);
        let mut session = session(machine, 1, &interrupted);
        session.boot().unwrap();
        session.check().unwrap();
        let observed = session.finish(|| Ok(true)).unwrap();
        assert_eq!(outcome(&observed, "boot").0, Outcome::Ok);
        assert_eq!(outcome(&observed, "network").0, Outcome::Skipped);
        assert_eq!(outcome(&observed, "power-off"), (Outcome::Failed, "not done within 1 s".to_owned()));
    }

    #[test]
    fn an_emulator_that_does_not_start_is_an_error() {
        let (machine, _, _) = machine("echo 'no such device' >&2; exit 1");
        let interrupted = AtomicBool::new(false);
        let mut session = session(machine, 60, &interrupted);
        session.boot().unwrap();
        let error = session.finish(|| Ok(true)).err().unwrap();
        assert_eq!(error.message(), "starting the virtual machine");
        assert_eq!(error.tail_lines(), ["no such device"]);
    }

    #[test]
    fn an_interruption_ends_it() {
        let (machine, _console, _check) = machine("sleep 100");
        let interrupted = AtomicBool::new(true);
        let error = session(machine, 60, &interrupted).boot().unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }
}
