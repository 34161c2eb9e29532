//! SIGKILL in every stage leaves nothing behind, and the next run starts from what was kept.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{FIRST_BOOT, words};
use crate::common::machine::{Bench, names};
use crate::common::process::run;
use crate::common::traces::{self, Process};
use crate::common::{anybody, begin_alone};

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
    /// All of them, by SIGTERM, as when a service is stopped.
    Family,
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// When a stage starts.
    In(&'static str),
    /// When it has ended.
    After(&'static str),
}
use Moment::{After, In};

/// Every stage once, and every kind of process in a stage that is in the middle of mounts and programs.
const KILLS: [(Moment, Victim, &[&str]); 20] = [
    (In("index"), Victim::Front, &[]),
    (In("resolve"), Victim::Front, &[]),
    (In("download"), Victim::Front, &[]),
    (After("download"), Victim::Front, &[]),
    (In("bootstrap"), Victim::Front, &[]),
    (In("bootstrap"), Victim::Keeper, &[]),
    (In("bootstrap"), Victim::Worker, &[]),
    (In("bootstrap"), Victim::Front, &["--no-cache"]),
    (In("packages"), Victim::Front, &[]),
    (In("packages"), Victim::Worker, &[]),
    (In("packages"), Victim::Program, &[]),
    (In("packages"), Victim::Family, &[]),
    (In("initramfs"), Victim::Keeper, &[]),
    (In("configure"), Victim::Worker, &[]),
    (In("seal"), Victim::Front, &[]),
    (In("disk"), Victim::Keeper, &[]),
    (In("disk"), Victim::Family, &[]),
    (In("image"), Victim::Worker, &[]),
    (In("image"), Victim::Front, &[]),
    (In("finish"), Victim::Front, &[]),
];

#[test]
fn a_kill_in_any_stage_leaves_nothing_and_the_next_run_succeeds() {
    let Some((_turn, account)) = begin_alone("kill in each stage", anybody) else { return };
    // A cache of its own: the stages that a layer saves are to be seen here.
    let bench = Bench::with_own_cache(&account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let words = words("debian", "bookworm", &script);
    traces::are_gone(&[]);
    for (moment, victim, more) in KILLS {
        let (killed, status) = kill_at(&bench, &[&words, more].concat(), moment, victim);
        assert!(!status.success(), "a build survived the kill of its {victim:?} {moment:?}");
        traces::are_gone(&killed);
        bench.is_clean(&["setup.sh"]);
    }
    kill_in_a_program_of_the_users(&bench, &words);
    // Until there is a keeper a throw-away cache is left; the next run removes it.
    let (killed, _) = kill_at(&bench, &[&words[..], &["--no-cache"]].concat(), In("resolve"), Victim::Front);
    traces::are_gone(&killed);
    assert_eq!(names(&bench.scratch()).len(), 1);
    bake_while_others_fill_the_store(&bench, &[&words[..], &["--addpkg", "tree"]].concat());
    bench.is_clean(&["finish", "out", "setup.sh"]);
}

/// A build whose .debs somebody replaces in the store before they are installed, as a build from another
/// archive does that has packages of the same names and versions.
fn bake_while_others_fill_the_store(bench: &Bench, words: &[&str]) {
    let store = bench.path().join("cache/archives");
    let replace = |_: &[Process]| {
        let debs = names(&store).into_iter().filter(|name| name.ends_with(".deb"));
        for path in debs.map(|name| store.join(name)) {
            std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, "another")).expect("replacing");
        }
    };
    let (_, status) = at(bench, words, In("packages"), Victim::Keeper, replace);
    assert!(status.success(), "a build lost its packages to another: {status}");
}

/// While a program of the user's is at work, with the tree in each place that it can have.
fn kill_in_a_program_of_the_users(bench: &Bench, words: &[&str]) {
    let program = bench.program("finish", "#!/bin/sh\nsleep 600\n");
    let tree = bench.path().join("tree").display().to_string();
    let elsewhere = ["--chroot-dir", tree.as_str()];
    let places: [(Victim, &[&str]); 4] = [
        (Victim::Front, &elsewhere),
        (Victim::Keeper, &elsewhere),
        (Victim::Worker, &["--tmpfs", "-"]),
        (Victim::Program, &[]),
    ];
    for (victim, place) in places {
        let words = [words, &["--exec", &program], place].concat();
        let (killed, status) = kill_at(bench, &words, In("customise"), victim);
        assert!(!status.success(), "a build with {place:?} survived the kill of its {victim:?}");
        traces::are_gone(&killed);
        bench.is_clean(&["finish", "setup.sh"]);
    }
}

/// The same for the instant in which the front and its keeper are killed together.
#[test]
fn what_a_kill_of_all_at_once_leaves_the_next_run_removes() {
    let Some((_turn, account)) = begin_alone("kill of all at once", anybody) else { return };
    let bench = Bench::new(&account);
    let script = bench.file("setup.sh", FIRST_BOOT);
    let tree = bench.path().join("tree").display().to_string();
    let words = [&words("debian", "bookworm", &script)[..], &["--chroot-dir", &tree]].concat();
    let stopped = |family: &[Process]| {
        // The keeper first, and while it cannot notice: neither sees the other end.
        for victim in [Victim::Keeper, Victim::Front] {
            traces::stop(pick(family, victim));
        }
        for victim in [Victim::Keeper, Victim::Front] {
            traces::kill(pick(family, victim));
        }
    };
    let (killed, _) = at(&bench, &words, In("disk"), Victim::Front, stopped);
    traces::are_gone(&killed);
    let left = names(bench.path()).into_iter().filter(|name| name.starts_with("out.partial-")).count();
    assert_eq!((left, names(&bench.scratch()).len()), (1, 1), "the kill left nothing, and proves nothing");
    // What has a name of the user's goes on demand alone.
    let refused = bench.bake(&words).with_code(3);
    assert!(refused.stderr.contains("is left from a build that was killed"), "{refused}");
    bench.bake(&[&words[..], &["--overwrite"]].concat()).well();
    bench.is_clean(&["out", "setup.sh"]);
}

/// Starts a build, kills one of its processes; returns them all and how the front ended.
fn kill_at(bench: &Bench, words: &[&str], moment: Moment, victim: Victim) -> (Vec<Process>, ExitStatus) {
    at(bench, words, moment, victim, |family| match victim {
        Victim::Family => traces::ask_to_end(family),
        _ => traces::kill(pick(family, victim)),
    })
}

/// Starts a build, and does something to its processes once `victim` is among them.
fn at(
    bench: &Bench,
    words: &[&str],
    moment: Moment,
    victim: Victim,
    act: impl Fn(&[Process]),
) -> (Vec<Process>, ExitStatus) {
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
        if killed.is_none() && is_at(&line, moment) {
            let family = family_with(pid, victim);
            act(&family);
            killed = Some(family);
        }
        said.push(line);
    }
    let status = front.wait().expect("waiting for rvmb");
    let tail = said.len().saturating_sub(30);
    let family =
        killed.unwrap_or_else(|| panic!("{moment:?} never came; {status}\n{}", said[tail..].join("\n")));
    match victim {
        Victim::Front => assert_eq!(status.signal(), Some(9), "the front ended before its kill: {status}"),
        Victim::Program => assert_eq!(status.code(), Some(5), "{status}\n{}", said[tail..].join("\n")),
        Victim::Family => assert_eq!(status.code(), Some(130), "{status}\n{}", said[tail..].join("\n")),
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

/// Whether a line of `--progress json` says that it is the moment.
fn is_at(line: &str, moment: Moment) -> bool {
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let (what, stage) = match moment {
        In(stage) => ("started", stage),
        After(stage) => ("finished", stage),
    };
    event["event"] == what && event["step"] == stage
}

/// The victim among the processes of a build; in stages without namespaces the front is the only one.
fn pick(family: &[Process], victim: Victim) -> &Process {
    let rvmb: Vec<_> = family.iter().filter(|process| process.is_rvmb).collect();
    let deepest = rvmb.iter().map(|process| process.depth).max().unwrap_or(0);
    let depth = match victim {
        Victim::Front | Victim::Family => 0,
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
    let Some((_turn, account)) = begin_alone("interrupt", anybody) else { return };
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
        if family.is_empty() && is_at(&line, In("disk")) {
            family = traces::family(pid);
            run(crate::common::process::program("kill").args(["-INT", &pid.to_string()])).well();
        }
    }
    let status = front.wait().expect("waiting for rvmb");
    assert_eq!(status.code(), Some(130), "{status}");
    traces::are_gone(&family);
    bench.is_clean(&["setup.sh"]);
}
