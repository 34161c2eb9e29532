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

    fn note(&mut self, name: &str, outcome: Outcome, detail: String, took: Duration) {
        let seconds = took.as_secs_f64();
        self.checks.push(Check { name: name.to_owned(), outcome, detail, seconds });
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
        let Session { machine, console, mut checks, script_started, booted, tail, end, .. } = self;
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
                let detail = "the machine did not get that far".to_owned();
                checks.push(Check { name: name.to_owned(), outcome: Outcome::Skipped, detail, seconds: 0.0 });
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
