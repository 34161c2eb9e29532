//! Command lines of old tutorials and scripts, and what `rvmb plan` answers to each: the plan, or what is
//! wrong and what to do. tests/suite/command-lines.txt has the lines, snapshots/plans/ the answers;
//! `INSTA_UPDATE=always cargo test plans` renews them.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use crate::common::account::Account;
use crate::common::desk::{Desk, is_coming};
use crate::common::host::LIBVIRT;
use crate::common::process::Finished;
use crate::common::skip;

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

/// Further names of options that nothing acts on yet, and the names by which those are refused.
const OTHER_NAMES: [(&str, &str); 3] =
    [("ec2-prefix", "ec2-name"), ("ec2-aki", "ec2-kernel"), ("ec2-ari", "ec2-ramdisk")];

/// Where the answers are.
const ANSWERS: &str = "tests/suite/snapshots/plans";

/// How the answer to a line begins that does not plan.
const REFUSAL: &str = "exit code ";

/// A command line and its name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
}

impl Line {
    /// Whether it makes a plan, as its answer says, which `old_command_lines_are_answered` compares.
    fn plans(&self) -> bool {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ANSWERS).join(format!("{}.snap", self.name));
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("no answer yet, {}: {error}", path.display()));
        // The answer is below two lines of hyphens.
        !text.splitn(3, "---\n").last().expect("an answer").starts_with(REFUSAL)
    }

    /// The long options that stand in it, whole.
    fn options(&self) -> impl Iterator<Item = String> {
        let options = self.words.iter().filter_map(|word| word.strip_prefix("--"));
        options.map(|option| option.split('=').next().unwrap_or(option).to_owned())
    }
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
    let mut lines = lines();
    if let Err(why) = Account::root() {
        // Only root can put another virsh into the place of this host's.
        skip::<()>("command lines with a libvirt", &why);
        lines.retain(|line| !line.words.iter().any(|word| word == LIBVIRT));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/plans");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // What follows from the signatures of the archive, which are made anew, and from the host.
    settings.add_filter(r"(base|initramfs|system|packages) +[0-9a-f]{12}", "$1 ............");
    settings.add_filter(r"(?s)\nThis host\n.*?\n\n", "\nThis host\n  ...\n\n");
    settings.add_filter(r" +[0-9]+\.[0-9] s\n", " ... s\n");
    settings.add_filter(r"(?m)^  [A-Z][a-z ]+: [0-9]+\.[0-9] s.*\n", "");
    // What a file system takes for a tree, and who may pass through the directories of this run.
    settings.add_filter(r"(?s)(\nTree\n.*?  Size +)[^\n]+", "$1...");
    settings.add_filter(r"warning: \S+ is closed to other users: .*\n", "");
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
        format!("{REFUSAL}{}\n{stderr}", status.code().expect("an exit code"))
    };
    desk.without_paths(&said)
}

/// `rvmb plan` with the words of a line, which were written for vmbuilder or its wrapper.
fn plan(desk: &Desk, line: &Line) -> Finished {
    let words = desk.with_paths(&line.words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
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

/// The help and the manual of vmbuilder have no option that no plan was made with, but for those that are refused.
#[test]
fn every_option_is_in_a_line_that_plans() {
    let desk = Desk::anyway();
    let mut wanted: BTreeSet<String> = VMBUILDER.iter().map(|option| (*option).to_owned()).collect();
    for hypervisor in rvmb::hypervisor::all() {
        wanted.extend(options_of_help(&desk, hypervisor.name()));
    }
    wanted.retain(|option| option != "help" && option != "version");
    let (good, refused): (Vec<Line>, Vec<Line>) = lines().into_iter().partition(Line::plans);
    let options = |lines: &[Line]| lines.iter().flat_map(Line::options).collect::<BTreeSet<String>>();
    let (planned, refused) = (options(&good), options(&refused));
    let comes = |option: &str| {
        let own = OTHER_NAMES.iter().find(|(other, _)| *other == option).map_or(option, |(_, own)| own);
        is_coming(&format!("--{own}"))
    };
    let is_shown = |option: &String| match comes(option) {
        true => refused.contains(option) && !planned.contains(option),
        false => planned.contains(option),
    };
    let missing: Vec<&String> = wanted.iter().filter(|option| !is_shown(option)).collect();
    assert_eq!(
        missing, [""; 0],
        "add a line to tests/suite/command-lines.txt, or take them out of coming.rs"
    );
}

#[test]
fn names_of_lines_are_their_own() {
    let lines = lines();
    let names: BTreeSet<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names.len(), lines.len());
    let shots = Path::new(env!("CARGO_MANIFEST_DIR")).join(ANSWERS);
    for entry in std::fs::read_dir(shots).expect("the snapshots") {
        let path = entry.expect("a snapshot").path();
        if path.extension() != Some("snap".as_ref()) {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(names.contains(name.as_str()), "{name} answers to no line: remove {}", path.display());
    }
}
