//! Bad input gets an error within a second, before anything is downloaded or written.

use std::time::Duration;

use crate::common::machine::{Bench, names};
use crate::common::{anybody, begin};

/// Exit codes in docs/exit-codes.md.
const USAGE: i32 = 2;
const CONFIG: i32 = 3;

/// How long an answer may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A bad command line: its words, its exit code, and what the message must hold.
struct Case {
    words: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { words: &["kvm", "debian", "--suite", "bokworm"], code: CONFIG, says: &["bokworm", "bookworm"] },
    Case { words: &["kvm", "ubuntu", "--suite", "jamy"], code: CONFIG, says: &["jamy", "jammy"] },
    Case { words: &["kvm", "debain"], code: USAGE, says: &["debain", "debian"] },
    Case { words: &["vmware", "debian"], code: USAGE, says: &["vmware"] },
    Case { words: &["kvm", "debian", "--flavour", "clod"], code: CONFIG, says: &["clod", "cloud"] },
    Case { words: &["kvm", "debian", "--arch", "amd46"], code: CONFIG, says: &["amd46", "amd64"] },
    Case { words: &["kvm", "debian", "--lang", "de_DEE.UTF-8"], code: CONFIG, says: &["de_DEE"] },
    Case { words: &["kvm", "debian", "--timezone", "Europe/Berln"], code: CONFIG, says: &["Europe/Berln"] },
    Case { words: &["kvm", "debian", "--bootstrap", "bootstrp"], code: USAGE, says: &["bootstrp"] },
    Case { words: &["kvm", "debian", "--rootsize", "lots"], code: USAGE, says: &["lots"] },
    Case { words: &["kvm", "debian", "--size", "64M"], code: CONFIG, says: &["64"] },
    Case { words: &["kvm", "debian", "--hostnam", "x"], code: USAGE, says: &["--hostnam", "--hostname"] },
    Case { words: &["kvm", "debian", "--user", "Bob Smith"], code: CONFIG, says: &["Bob Smith"] },
    Case {
        words: &["kvm", "debian", "--firstboot", "/nowhere/setup.sh"],
        code: CONFIG,
        says: &["/nowhere/setup.sh"],
    },
    Case {
        words: &["kvm", "debian", "--ssh-key", "/nowhere/key.pub"],
        code: CONFIG,
        says: &["/nowhere/key.pub"],
    },
    Case { words: &["kvm", "debian", "--config", "/nowhere/a.cfg"], code: CONFIG, says: &["/nowhere/a.cfg"] },
    Case {
        words: &["kvm", "debian", "--keyring", "/nowhere/k.gpg"],
        code: CONFIG,
        says: &["/nowhere/k.gpg"],
    },
];

#[test]
fn bad_input_is_refused_at_once() {
    let Some((_turn, account)) = begin("bad input", anybody) else { return };
    let mut wrong = Vec::new();
    for case in CASES {
        let bench = Bench::with_own_cache(&account);
        let mut answer = bench.bake(case.words);
        if answer.elapsed > AT_ONCE {
            // The machine may have been busy with something else; rvmb is not slow twice by chance.
            answer = bench.bake(case.words);
        }
        let silent: Vec<_> = case.says.iter().filter(|word| !answer.stderr.contains(**word)).collect();
        if answer.status.code() != Some(case.code) || answer.elapsed > AT_ONCE || !silent.is_empty() {
            wrong.push(format!("wanted exit code {}, and {silent:?} in the message:\n{answer}", case.code));
        }
        let cached = names(&bench.path().join("cache"));
        if !cached.is_empty() {
            wrong.push(format!("{cached:?} were written to the cache:\n{answer}"));
        }
        bench.is_clean(&[]);
    }
    assert!(
        wrong.is_empty(),
        "{} of {} answers are wrong:\n{}",
        wrong.len(),
        CASES.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn a_destination_that_exists_is_kept() {
    let Some((_turn, account)) = begin("destination exists", anybody) else { return };
    let bench = Bench::with_own_cache(&account);
    std::fs::create_dir(bench.destination()).expect("making the destination");
    std::fs::write(bench.destination().join("mine"), "precious").expect("writing a file");
    let answer = bench.bake(&["kvm", "debian"]);
    assert!(answer.elapsed < AT_ONCE, "{answer}");
    let answer = answer.with_code(CONFIG);
    assert!(answer.stderr.contains("--overwrite"), "{answer}");
    assert_eq!(names(&bench.destination()), ["mine"]);
}
