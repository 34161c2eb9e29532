//! What a build could leave on the host: processes and mounts.

use std::fs;
use std::time::{Duration, Instant};

use super::account::{base, binary};

/// How long the kernel and rvmb may take to clear up after a kill.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Process id.
    pub(crate) pid: i32,
    /// How many processes lie between it and the first one asked for; 0 is that one itself.
    pub(crate) depth: usize,
    /// Whether it is rvmb, not a program that rvmb started.
    pub(crate) is_rvmb: bool,
    /// Start in clock ticks since the machine's boot: with the id, the identity of a process.
    started: u64,
}

/// `pid` and all that descend from it, from the top to the bottom.
pub(crate) fn family(pid: i32) -> Vec<Process> {
    let all = processes();
    let mut found: Vec<Process> = Vec::new();
    let mut generation = vec![pid];
    for depth in 0.. {
        let members: Vec<_> = all.iter().filter(|(id, _, _)| generation.contains(id)).collect();
        if members.is_empty() {
            break;
        }
        found.extend(members.iter().map(|(id, _, started)| Process {
            pid: *id,
            depth,
            is_rvmb: is_rvmb(*id),
            started: *started,
        }));
        generation =
            all.iter().filter(|(_, parent, _)| generation.contains(parent)).map(|(id, _, _)| *id).collect();
    }
    found
}

/// Fails the test unless, soon, none of `known` is left, no rvmb runs and nothing is mounted.
#[track_caller]
pub(crate) fn are_gone(known: &[Process]) {
    let start = Instant::now();
    loop {
        let left = remains(known);
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "left behind after {PATIENCE:?}: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Everything of a build that is still there, as text.
fn remains(known: &[Process]) -> Vec<String> {
    let mut left = Vec::new();
    for (pid, _, started) in processes() {
        let was_known = known.iter().any(|process| process.pid == pid && process.started == started);
        if was_known || is_rvmb(pid) || lives_in_base(pid) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            left.push(format!("process {pid}: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("reading the mounts");
    let place = base().display().to_string();
    left.extend(mounts.lines().filter(|line| line.contains(&place)).map(|line| format!("mount {line}")));
    left
}

/// Id, parent and start of every process that has not ended (proc(5), `stat`).
fn processes() -> Vec<(i32, i32, u64)> {
    let entries = fs::read_dir("/proc").expect("reading /proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        // A process may end between the listing and the look.
        .filter_map(|pid| parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// Reads a line of /proc/PID/stat; none for a zombie, which has ended.
fn parse_stat(line: &str) -> Option<(i32, i32, u64)> {
    let (pid, rest) = line.split_once(" (")?;
    // The name in brackets may hold anything, brackets too.
    let mut fields = rest.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    (state != "Z" && state != "X").then_some((pid.parse().ok()?, parent, started))
}

fn is_rvmb(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary())
}

/// Whether a process has its root or its working directory among the tests' files.
fn lives_in_base(pid: i32) -> bool {
    ["root", "cwd"].iter().any(|link| {
        fs::read_link(format!("/proc/{pid}/{link}"))
            .is_ok_and(|place| place.starts_with(base()) && pid != own_pid())
    })
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// Asks processes to end, as a service manager asks all of a service's at once.
pub(crate) fn ask_to_end(family: &[Process]) {
    for process in family {
        let pid = rustix::process::Pid::from_raw(process.pid).expect("a process id");
        // One that has ended since needs no asking.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Keeps a process from doing anything more; it can still be killed.
pub(crate) fn stop(process: &Process) {
    let pid = rustix::process::Pid::from_raw(process.pid).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP)
        .unwrap_or_else(|error| panic!("stopping {process:?}: {error}"));
}

/// Kills a process at once.
pub(crate) fn kill(process: &Process) {
    let pid = rustix::process::Pid::from_raw(process.pid).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        .unwrap_or_else(|error| panic!("killing {process:?}: {error}"));
}

#[test]
fn a_line_of_stat_is_read_whatever_the_name() {
    let fields = "S 41 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
    assert_eq!(parse_stat(&format!("42 (a) (b) {fields}")), Some((42, 41, 98765)));
    assert_eq!(parse_stat(&format!("42 (x) {}", fields.replace("S ", "Z "))), None);
    assert_eq!(family(own_pid()).first().map(|process| process.depth), Some(0));
}
