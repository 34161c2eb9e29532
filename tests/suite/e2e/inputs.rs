//! Bad input gets an error within a second, before anything is downloaded or written.

use std::time::Duration;

use crate::common::account::Account;
use crate::common::machine::{Bench, names};
use crate::common::process::{Finished, run, without};
use crate::common::{anybody, begin_alone};

/// Exit codes in docs/exit-codes.md.
pub(super) const USAGE: i32 = 2;
pub(super) const CONFIG: i32 = 3;
const HOST: i32 = 4;

/// How long an answer may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A bad command line: its words, its exit code, and what the message must hold.
pub(super) struct Case {
    pub(super) words: &'static [&'static str],
    pub(super) code: i32,
    pub(super) says: &'static [&'static str],
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
    Case {
        words: &["kvm", "debian", "--rootsize", "200M"],
        code: CONFIG,
        says: &["200 MiB", "at least 256 MiB"],
    },
    Case { words: &["kvm", "debian", "--hostnme", "x"], code: USAGE, says: &["--hostnme", "--hostname"] },
    Case { words: &["--install", "x", "kvm", "debian"], code: USAGE, says: &["--install-mirror"] },
    Case { words: &["kvm", "debian", "--xen-kernel", "k"], code: USAGE, says: &["machines for xen"] },
    Case { words: &["kvm", "debian", "--ppa", "a/b"], code: USAGE, says: &["machines of ubuntu"] },
    Case {
        words: &["kvm", "debian", "--arch", "amd64", "--addpkg", "libc6:s390x"],
        code: CONFIG,
        says: &["libc6:s390x", "the machine is amd64", "dpkg --add-architecture"],
    },
    Case { words: &["kvm", "debian", "--removepkg", "vim=1"], code: CONFIG, says: &["--removepkg vim"] },
    Case {
        words: &["kvm", "debian", "--rootpass", ""],
        code: CONFIG,
        says: &["the password of root is empty"],
    },
    Case { words: &["kvm", "debian", "--user", "Bob Smith"], code: CONFIG, says: &["Bob Smith"] },
    Case {
        words: &["kvm", "debian", "--firstboot", "/nowhere/setup.sh"],
        code: CONFIG,
        says: &["/nowhere/setup.sh"],
    },
    Case { words: &["kvm", "debian", "--copy", "/nowhere/list"], code: CONFIG, says: &["/nowhere/list"] },
    Case { words: &["kvm", "debian", "--exec", "/etc/passwd"], code: CONFIG, says: &["chmod +x"] },
    Case { words: &["kvm", "debian", "--seedfile", "/etc/passwd"], code: CONFIG, says: &["/etc/passwd:1:1"] },
    Case { words: &["kvm", "debian", "--templates", "/nowhere"], code: CONFIG, says: &["/nowhere"] },
    Case { words: &["kvm", "debian", "--manifest", "/nowhere/list"], code: CONFIG, says: &["mkdir -p"] },
    Case {
        words: &["kvm", "debian", "--ssh-key", "/nowhere/key.pub"],
        code: CONFIG,
        says: &["/nowhere/key.pub"],
    },
    Case { words: &["kvm", "debian", "--config", "/nowhere/a.cfg"], code: CONFIG, says: &["/nowhere/a.cfg"] },
    Case {
        words: &["kvm", "debian", "--libvirt", "qemu+ssh://web.example/system"],
        code: CONFIG,
        says: &["another machine", "virsh define"],
    },
    Case { words: &["kvm", "debian", "--libvirt", "xen:///"], code: CONFIG, says: &["qemu:///system"] },
    Case { words: &["kvm", "debian", "--raw", "/nowhere/disk"], code: CONFIG, says: &["/nowhere/disk"] },
    Case {
        words: &["kvm", "debian", "--raw", "/dev/null"],
        code: CONFIG,
        says: &["neither a file nor a block device"],
    },
    Case {
        words: &["kvm", "debian", "--keyring", "/nowhere/k.gpg"],
        code: CONFIG,
        says: &["/nowhere/k.gpg"],
    },
];

/// Files of the host that are not there, and what the message must hold.
struct Lack {
    files: &'static [&'static str],
    says: &'static [&'static str],
}

const LACKS: &[Lack] = &[
    Lack { files: &["/usr/sbin/mke2fs"], says: &["mke2fs", "apt-get install e2fsprogs"] },
    Lack { files: &["/usr/bin/qemu-img"], says: &["qemu-img", "apt-get install qemu-utils"] },
    Lack { files: &["/usr/bin/newuidmap"], says: &["newuidmap", "apt-get install uidmap"] },
    Lack {
        files: &["/usr/bin/mmdebstrap", "/usr/sbin/debootstrap"],
        says: &["mmdebstrap", "apt-get install mmdebstrap"],
    },
    Lack {
        files: &[
            "/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp",
        ],
        says: &["/usr/share/keyrings/debian-archive-keyring", "apt-get install debian-archive-keyring"],
    },
];

/// What is wrong with the answer to bad input: its exit code, its words, its time, or what it left.
fn fault(bench: &Bench, bake: impl Fn() -> Finished, code: i32, says: &[&str]) -> Option<String> {
    let mut answer = bake();
    if answer.elapsed > AT_ONCE {
        // The machine may have been busy with something else; rvmb is not slow twice by chance.
        answer = bake();
    }
    let silent: Vec<_> = says.iter().filter(|word| !answer.stderr.contains(**word)).collect();
    let cached = names(&bench.path().join("cache"));
    bench.is_clean(&[]);
    let right = answer.status.code() == Some(code) && silent.is_empty() && cached.is_empty();
    (!right || answer.elapsed > AT_ONCE).then(|| {
        format!(
            "wanted exit code {code} within {AT_ONCE:?}, and {silent:?} in the message; \
             {cached:?} is in the cache:\n{answer}"
        )
    })
}

/// Fails the test, with all of them, where there are faults.
#[track_caller]
fn nothing_in(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<_> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{} answers are wrong:\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn bad_input_is_refused_at_once() {
    let Some((_turn, account)) = begin_alone("bad input", anybody) else { return };
    are_refused(&account, CASES);
}

/// Fails the test unless all of them get their answer.
#[track_caller]
pub(super) fn are_refused(account: &Account, cases: &[Case]) {
    let wrong = cases.iter().filter_map(|case| {
        let bench = Bench::with_own_cache(account);
        fault(&bench, || bench.bake(case.words), case.code, case.says)
    });
    nothing_in(wrong);
}

#[test]
fn what_the_host_lacks_is_named_with_its_package() {
    // Only root can take a file away for one program.
    let needed = || Account::root().and_then(|_| Account::user());
    let Some((_turn, account)) = begin_alone("missing tools and keyring", needed) else { return };
    let wrong = LACKS.iter().filter_map(|lack| {
        let bench = Bench::with_own_cache(&account);
        let bake = || {
            let mut command = bench.command(&["kvm", "debian", "--suite", "bookworm"]);
            run(&mut without(lack.files, command.args(["--progress", "plain"])))
        };
        fault(&bench, bake, HOST, lack.says)
    });
    nothing_in(wrong);
}

#[test]
fn a_user_without_subordinate_ids_is_told_the_line_to_add() {
    let Some((_turn, account)) = begin_alone("no subordinate ids", Account::without_subordinate_ids) else {
        return;
    };
    let bench = Bench::with_own_cache(&account);
    let says = ["nobody:", ":65536", "/etc/subuid", "/etc/subgid"];
    nothing_in(fault(&bench, || bench.bake(&["kvm", "debian"]), HOST, &says));
}

/// What only the archive's index can tell: not at once, but before anything is written.
#[test]
fn packages_are_refused_before_they_are_fetched() {
    let Some((_turn, account)) = begin_alone("wrong packages", anybody) else { return };
    let cases: [(&[&str], &[&str]); 2] = [
        (&["--addpkg", "nginxx"], &["no package nginxx", "Did you mean `nginx`"]),
        (
            &["--addpkg", "openjdk-17-jdk", "--rootsize", "700M"],
            &["do not fit into a root file system of 700 MiB", "--rootsize"],
        ),
    ];
    for (more, says) in cases {
        let bench = Bench::new(&account);
        let words = [&["kvm", "debian", "--suite", "bookworm"], more].concat();
        let answer = bench.bake(&words).with_code(CONFIG);
        for words in says {
            assert!(answer.stderr.contains(words), "{words:?} is not in the message:\n{answer}");
        }
        bench.is_clean(&[]);
    }
}

#[test]
fn a_destination_that_exists_is_kept() {
    let Some((_turn, account)) = begin_alone("destination exists", anybody) else { return };
    let bench = Bench::with_own_cache(&account);
    std::fs::create_dir(bench.destination()).expect("making the destination");
    std::fs::write(bench.destination().join("mine"), "precious").expect("writing a file");
    let answer = bench.bake(&["kvm", "debian"]);
    assert!(answer.elapsed < AT_ONCE, "{answer}");
    let answer = answer.with_code(CONFIG);
    assert!(answer.stderr.contains("--overwrite"), "{answer}");
    assert_eq!(names(&bench.destination()), ["mine"]);
}
