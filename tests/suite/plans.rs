//! Command lines of old tutorials and scripts, and what `rvmb plan` answers to each: the plan, or what is
//! wrong and what to do. tests/suite/command-lines.txt has the lines, snapshots/plans/ the answers;
//! `INSTA_UPDATE=always cargo test plans` renews them.

use std::collections::BTreeSet;
use std::thread;

use crate::common::desk::Desk;
use crate::common::process::Finished;

/// What was handed to users of vmbuilder: every long option of its manual, by the name that the help has.
const VMBUILDER: &[&str] = &[
    "addpkg",
    "arch",
    "bcast",
    "bridge",
    "chroot-dir",
    "components",
    "config",
    "copy",
    "cpus",
    "debootstrap-tarball",
    "debug",
    "dest",
    "destdir",
    "dns",
    "domain",
    "ec2",
    "ec2-access-key",
    "ec2-aki",
    "ec2-ari",
    "ec2-bucket",
    "ec2-bundle",
    "ec2-cert",
    "ec2-kernel",
    "ec2-key",
    "ec2-landscape",
    "ec2-name",
    "ec2-prefix",
    "ec2-ramdisk",
    "ec2-register",
    "ec2-secret-key",
    "ec2-upload",
    "ec2-user",
    "ec2-version",
    "exec",
    "execscript",
    "existing-chroot",
    "firstboot",
    "firstlogin",
    "flavour",
    "gid",
    "gw",
    "hostname",
    "in-place",
    "install-mirror",
    "install-security-mirror",
    "ip",
    "iso",
    "kernel-flavour",
    "lang",
    "libvirt",
    "lock-user",
    "mac",
    "manifest",
    "mask",
    "mem",
    "mirror",
    "name",
    "net",
    "network",
    "only-chroot",
    "optsize",
    "overwrite",
    "part",
    "pass",
    "ppa",
    "proxy",
    "quiet",
    "raw",
    "removepkg",
    "rootpass",
    "rootsize",
    "security-mirror",
    "seedfile",
    "ssh-key",
    "ssh-user-key",
    "suite",
    "swapsize",
    "templates",
    "timezone",
    "tmp",
    "tmpfs",
    "uid",
    "user",
    "variant",
    "vbox-disk-format",
    "verbose",
    "xen-kernel",
    "xen-ramdisk",
];

/// A command line and its name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
}

/// The command lines of tests/suite/command-lines.txt.
pub(crate) fn lines() -> Vec<Line> {
    let text = include_str!("command-lines.txt").replace("\\\n", " ");
    let written = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    written
        .map(|line| {
            let (name, words) = line.split_once(": ").unwrap_or_else(|| panic!("no name: {line}"));
            Line { name: name.to_owned(), words: split(words) }
        })
        .collect()
}

/// Words as a shell splits them, as far as the lines need it: double quotes keep blanks.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, piece) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn old_command_lines_are_answered() {
    let Some(desk) = Desk::new("old command lines") else { return };
    let lines = lines();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/plans");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // What follows from the signatures of the archive, which are made anew, and from the host.
    settings.add_filter(r"(base|initramfs|system|packages) +[0-9a-f]{12}", "$1 ............");
    settings.add_filter(r"(?s)\nThis host\n.*?\n\n", "\nThis host\n  ...\n\n");
    settings.add_filter(r" +[0-9]+\.[0-9] s\n", " ... s\n");
    settings.add_filter(r"\b52:54:00(:[0-9a-f]{2}){3}\b", "52:54:00:..:..:..");
    for (line, answer) in lines.iter().zip(answers(&desk, &lines)) {
        settings.set_description(line.words.join(" "));
        settings.bind(|| insta::assert_snapshot!(line.name.as_str(), answer));
    }
}

/// The answers to all lines, as many at a time as this machine has processors.
fn answers(desk: &Desk, lines: &[Line]) -> Vec<String> {
    let workers = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let share = lines.len().div_ceil(workers);
    thread::scope(|scope| {
        let started: Vec<_> = lines
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(|line| answer(desk, line)).collect::<Vec<_>>()))
            .collect();
        started.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    })
}

/// What rvmb says to one line: its warnings and the plan, or its refusal with the exit code.
fn answer(desk: &Desk, line: &Line) -> String {
    let Finished { status, stdout, stderr, .. } = plan(desk, line);
    let said = if status.success() {
        let warnings = stderr.lines().filter(|line| line.starts_with("warning:"));
        warnings.map(|warning| format!("{warning}\n")).collect::<String>() + &stdout
    } else {
        format!("exit code {}\n{stderr}", status.code().expect("an exit code"))
    };
    desk.without_paths(&said)
}

/// `rvmb plan` with the words of a line, which were written for vmbuilder or its wrapper.
fn plan(desk: &Desk, line: &Line) -> Finished {
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first().expect("a program");
    match *program {
        "vmbuilder" => desk.plan(rest),
        wrapper => {
            let options = desk.options(rest);
            let all = ["plan"].iter().chain(rest).copied().chain(options.iter().map(String::as_str));
            desk.run(wrapper, &all.collect::<Vec<_>>())
        }
    }
}

/// The long options in the help of a pair.
fn options_of_help(desk: &Desk, hypervisor: &str) -> BTreeSet<String> {
    let help = desk.run("rvmb", &[hypervisor, "ubuntu", "--help"]).well().stdout;
    let options = help.lines().filter_map(|line| {
        // `      --long <VALUE>`, or `  -s, --long`.
        let line = line.trim_start();
        let long = line.strip_prefix('-').and_then(|rest| rest.get(1..)?.strip_prefix(", "));
        long.unwrap_or(line).strip_prefix("--")?.split(' ').next()
    });
    options.map(str::to_owned).collect()
}

/// The long options that the lines use, whole.
fn options_of_lines() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for word in lines().into_iter().flat_map(|line| line.words) {
        if let Some(option) = word.strip_prefix("--") {
            used.insert(option.split('=').next().unwrap_or(option).to_owned());
        }
    }
    used
}

#[test]
fn every_option_is_in_a_line() {
    let desk = Desk::anyway();
    let used = options_of_lines();
    let mut unused = BTreeSet::new();
    for hypervisor in rvmb::hypervisor::all() {
        unused.extend(options_of_help(&desk, hypervisor.name()));
    }
    unused.retain(|option| !used.contains(option) && option != "help" && option != "version");
    assert_eq!(unused, BTreeSet::new(), "add a line to tests/suite/command-lines.txt");
    let forgotten: Vec<_> = VMBUILDER.iter().filter(|option| !used.contains(**option)).collect();
    assert_eq!(forgotten, [&""; 0], "options of vmbuilder without a line");
}

#[test]
fn names_of_lines_are_their_own() {
    let lines = lines();
    let names: BTreeSet<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names.len(), lines.len());
    let shots = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/snapshots/plans");
    for entry in std::fs::read_dir(shots).expect("the snapshots") {
        let path = entry.expect("a snapshot").path();
        if path.extension() != Some("snap".as_ref()) {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(names.contains(name.as_str()), "{name} answers to no line: remove {}", path.display());
    }
}
