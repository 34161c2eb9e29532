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
        (&["kvm", "debian", "-c", "/nonexistent.cfg"], 3, "error: reading /nonexistent.cfg\n  caused by: "),
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
