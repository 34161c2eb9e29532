//! SIGKILL in every stage leaves nothing behind, and the next run starts from what was kept.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{FIRST_BOOT, words};
use crate::common::machine::Bench;
use crate::common::process::run;
use crate::common::traces::{self, Process};
use crate::common::{anybody, begin};

/// Whom to kill.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// What the user started.
    Front,
    /// What stands between the front and the namespaces.
    Keeper,
    /// What works inside the namespaces.
    Worker,
    /// A program that rvmb runs, such as apt. rvmb survives it, and says that the build failed.
    Program,
}

/// Every stage once, and every kind of process in a stage that is in the middle of mounts and programs.
const KILLS: [(&str, Victim); 16] = [
    ("index", Victim::Front),
    ("resolve", Victim::Front),
    ("download", Victim::Front),
    ("bootstrap", Victim::Front),
    ("bootstrap", Victim::Keeper),
    ("bootstrap", Victim::Worker),
    ("packages", Victim::Front),
    ("packages", Victim::Worker),
    ("packages", Victim::Program),
    ("initramfs", Victim::Keeper),
    ("configure", Victim::Worker),
    ("seal", Victim::Front),
    ("disk", Victim::Keeper),
    ("image", Victim::Worker),
    ("image", Victim::Front),
    ("finish", Victim::Front),
];

#[test]
fn a_kill_in_any_stage_leaves_nothing_and_the_next_run_succeeds() {
    let Some((_turn, account)) = begin("kill in each stage", anybody) else { return };
    // A cache of its own: the stages that a layer saves are to be seen here.
    let bench = Bench::with_own_cache(&account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let words = words("debian", "bookworm", &script);
    traces::are_gone(&[]);
    for (stage, victim) in KILLS {
        let (killed, status) = kill_in(&bench, &words, stage, victim);
        assert!(!status.success(), "a build survived the kill of its {victim:?} in {stage}");
        traces::are_gone(&killed);
        bench.is_clean(&["setup.sh"]);
    }
    bench.bake(&words).well();
    bench.is_clean(&["out", "setup.sh"]);
}

/// Starts a build, kills one of its processes when `stage` starts; returns them all and how the front ended.
fn kill_in(bench: &Bench, words: &[&str], stage: &str, victim: Victim) -> (Vec<Process>, ExitStatus) {
    let mut command = bench.command(words);
    command.args(["--progress", "json"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut front = command.spawn().expect("starting rvmb");
    let pid = i32::try_from(front.id()).expect("a process id");
    let stderr = front.stderr.take().expect("its standard error");
    let mut said = Vec::new();
    let mut killed = None;
    // Read to the end, so that no surviving process blocks on a full pipe or keeps it open unseen.
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line.expect("reading its events")).into_owned();
        if killed.is_none() && starts(&line, stage) {
            let family = family_with(pid, victim);
            traces::kill(pick(&family, victim));
            killed = Some(family);
        }
        said.push(line);
    }
    let status = front.wait().expect("waiting for rvmb");
    let tail = said.len().saturating_sub(30);
    let family = killed
        .unwrap_or_else(|| panic!("stage {stage} never started; {status}\n{}", said[tail..].join("\n")));
    match victim {
        Victim::Front => assert_eq!(status.signal(), Some(9), "the front ended before its kill: {status}"),
        Victim::Program => assert_eq!(status.code(), Some(5), "{status}\n{}", said[tail..].join("\n")),
        Victim::Keeper | Victim::Worker => {}
    }
    (family, status)
}

/// The processes of a build, once the victim is among them: a stage takes a moment to start a program.
fn family_with(pid: i32, victim: Victim) -> Vec<Process> {
    let start = Instant::now();
    loop {
        let family = traces::family(pid);
        let here = !matches!(victim, Victim::Program) || family.iter().any(|process| !process.is_rvmb);
        if here || start.elapsed() > Duration::from_secs(30) {
            return family;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a line of `--progress json` says that `stage` starts.
fn starts(line: &str, stage: &str) -> bool {
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    event["event"] == "started" && event["step"] == stage
}

/// The victim among the processes of a build; in stages without namespaces the front is the only one.
fn pick(family: &[Process], victim: Victim) -> &Process {
    let rvmb: Vec<_> = family.iter().filter(|process| process.is_rvmb).collect();
    let deepest = rvmb.iter().map(|process| process.depth).max().unwrap_or(0);
    let depth = match victim {
        Victim::Front => 0,
        Victim::Keeper => deepest.min(1),
        // Below the worker there may be a fork of it that is about to become a program.
        Victim::Worker => deepest.min(2),
        Victim::Program => {
            let programs = family.iter().filter(|process| !process.is_rvmb);
            return programs.min_by_key(|process| process.depth).expect("a program that rvmb runs");
        }
    };
    rvmb.into_iter().find(|process| process.depth == depth).unwrap_or(&family[0])
}

/// The same by the keyboard: a message, exit code 130, and nothing left.
#[test]
fn an_interrupt_leaves_nothing_and_says_so() {
    let Some((_turn, account)) = begin("interrupt", anybody) else { return };
    let bench = Bench::new(&account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let words = words("debian", "bookworm", &script);
    let mut command = bench.command(&words);
    command.args(["--progress", "json"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut front = command.spawn().expect("starting rvmb");
    let pid = i32::try_from(front.id()).expect("a process id");
    let stderr = front.stderr.take().expect("its standard error");
    let mut family = Vec::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line.expect("reading its events")).into_owned();
        if family.is_empty() && starts(&line, "disk") {
            family = traces::family(pid);
            run(crate::common::process::program("kill").args(["-INT", &pid.to_string()])).well();
        }
    }
    let status = front.wait().expect("waiting for rvmb");
    assert_eq!(status.code(), Some(130), "{status}");
    traces::are_gone(&family);
    bench.is_clean(&["setup.sh"]);
}
