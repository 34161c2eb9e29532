//! Exit codes, and which of the two streams says what.

use std::process::Output;

use assert_cmd::Command;

fn rvmb(words: &[&str]) -> Output {
    let mut command = Command::cargo_bin("rvmb").expect("the program");
    command.args(words).env_clear().output().expect("its output")
}

#[test]
fn the_version_is_a_result() {
    let output = rvmb(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("rvmb {}\n", env!("CARGO_PKG_VERSION")));
    assert!(output.status.success());
}

#[test]
fn refusals_go_to_standard_error_with_their_code() {
    let table: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage: rvmb HYPERVISOR DISTRO"),
        (&["kvm", "--suite", "jammy"], 2, "<DISTRO>"),
        (&["xen", "debian"], 2, "error: xen is not available yet; available: kvm, qemu\n"),
        (&["kmv", "debian"], 2, "Did you mean `kvm`?"),
        (&["kvm", "debian", "--sute", "trixie"], 2, "--suite"),
        (
            &["kvm", "debian", "-c", "/nonexistent.cfg"],
            3,
            "error: reading --config /nonexistent.cfg\n  caused by: ",
        ),
    ];
    for (words, code, text) in table {
        let output = rvmb(words);
        assert_eq!(output.status.code(), Some(*code), "{words:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(text), "{words:?}: {told}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn a_wrong_configuration_is_shown_with_its_place() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("rvmb.cfg");
    std::fs::write(&file, "[kvm]\nadpkg = nginx\nmem = 1X\n").unwrap();
    let output = rvmb(&["plan", "kvm", "debian", "-c", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr).replace(&*room.path().to_string_lossy(), "/room");
    insta::assert_snapshot!(told);
}

#[test]
fn programs_read_an_error_as_json() {
    let output = rvmb(&["kvm", "debian", "-c", "/nonexistent.cfg", "--progress", "json"]);
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(line["event"], "error");
    assert_eq!(line["exit_code"], 3);
}

#[test]
fn programs_read_what_is_wrong_with_their_words_as_json() {
    for words in [
        ["kvm", "debian", "--sute", "trixie", "--progress", "json"].as_slice(),
        &["xen", "debian", "--progress=json"],
    ] {
        let output = rvmb(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((&line["event"], &line["kind"]), (&"error".into(), &"usage".into()), "{words:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "assert_cmd has no way to give a program a closed pipe")]
fn a_reader_that_went_away_is_no_error() {
    for words in [["completions", "bash"].as_slice(), &["suites"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rvmb"));
        let output =
            command.args(words).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn shells_can_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let output = rvmb(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("addpkg"), "{shell}");
    }
}

/// The program by another name.
fn by_name(name: &str, words: &[&str]) -> Output {
    let room = tempfile::tempdir().expect("a directory");
    let link = room.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rvmb"), &link).expect("a link");
    Command::new(link).args(words).env_clear().output().expect("its output")
}

#[test]
fn the_name_decides_the_words() {
    let table: &[(&str, &[&str], i32, &str)] = &[
        ("vmbuilder", &["--version"], 0, "vmbuilder (rvmb) "),
        ("vmbuilder", &[], 2, "Usage: vmbuilder HYPERVISOR DISTRO"),
        ("vmbuilder", &["kvm", "--over"], 2, "Usage: vmbuilder kvm [OPTIONS] <DISTRO>"),
        ("vmbuilder", &["bochs", "debian"], 2, "available: kvm, qemu"),
        ("vmbuilder", &["kvm", "gentoo"], 2, "available: debian, ubuntu"),
        ("ubuntu-vm-builder", &["kvm"], 2, "Usage: ubuntu-vm-builder kvm <SUITE>"),
        ("ubuntu-vm-builder", &["-o", "kvm", "jammy", "--he"], 0, "[default: ubuntu-kvm]"),
        ("ubuntu-vm-builder", &["config", "show", "kvm", "jammy"], 0, "suite                    jammy"),
        ("ubuntu-vm-builder", &["completions", "bash"], 0, "ubuntu-vm-builder"),
    ];
    for (name, words, code, text) in table {
        let output = by_name(name, words);
        let told = String::from_utf8_lossy(if *code == 0 { &output.stdout } else { &output.stderr });
        assert_eq!(output.status.code(), Some(*code), "{name} {words:?}: {told}");
        assert!(told.contains(text), "{name} {words:?}: {told}");
    }
}

#[test]
fn the_beginning_of_several_options_is_refused_before_anything() {
    let output = rvmb(&["--install", "x", "kvm", "debian"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("`--install` is the beginning of several options"), "{told}");
    assert!(told.contains("--install-mirror, --install-recommends, --install-security-mirror"), "{told}");
}

#[test]
fn the_configuration_says_what_counts_and_where_it_comes_from() {
    let room = tempfile::tempdir().unwrap();
    let home = room.path().join("home");
    std::fs::create_dir_all(home.join(".config/rvmb")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.join(name), text).unwrap();
    write(".vmbuilder.cfg", "[DEFAULT]\nuser = ann\nmem = 512\nrootsize = 8G\n[xen]\nmem = 64\n");
    write(".config/rvmb/rvmb.cfg", "[DEFAULT]\nuser = bob\npass = hunter2\n[kvm]\nlock_user = yes\n");
    write("more.cfg", "[kvm/debian]\nmirror = http://bob:hunter2@m.example/%(user)s\nuser = x\n");
    let show = |words: &[&str]| {
        let mut command = Command::cargo_bin("rvmb").expect("the program");
        let output = command.args(words).env_clear().env("HOME", &home).output().expect("its output");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().replace(&*home.to_string_lossy(), "/home")
    };
    let more = home.join("more.cfg").to_string_lossy().into_owned();
    let text = show(&[
        "config",
        "show",
        "kvm",
        "debian",
        "--size",
        "9g",
        "--addpkg",
        "a,b",
        "--addpkg=c",
        "-c",
        &more,
    ]);
    let set: Vec<&str> = text.lines().filter(|line| !line.ends_with("default")).collect();
    insta::assert_snapshot!(set.join("\n"));
    assert!(!text.contains("hunter2"));
    insta::assert_snapshot!(show(&["config", "show", "-c", &more]));
    let json: serde_json::Value =
        serde_json::from_str(&show(&["--json", "config", "show", "kvm", "debian"])).unwrap();
    let row =
        |name: &str| json.as_array().unwrap().iter().find(|row| row["setting"] == name).cloned().unwrap();
    assert_eq!((&row("user")["value"], &row("user")["line"]), (&"bob".into(), &2.into()));
    assert_eq!((&row("pass")["value"], &row("pass")["section"]), (&"…".into(), &"DEFAULT".into()));
    assert_eq!((&row("iso")["value"], &row("iso")["from"]), (&serde_json::Value::Null, &"default".into()));
    let paths = show(&["config", "path"]);
    let states: Vec<(&str, &str)> = paths.lines().filter_map(|line| line.split_once(' ')).collect();
    let state = |file: &str| states.iter().find(|(name, _)| *name == file).map(|(_, state)| state.trim());
    assert_eq!(state("/home/.vmbuilder.cfg"), Some("read"), "{paths}");
    assert_eq!(state("/home/.config/rvmb/rvmb.cfg"), Some("read"), "{paths}");
}
