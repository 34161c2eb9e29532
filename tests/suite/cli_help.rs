//! What `--help` says, to the letter: it is the reference that users have at hand.

use assert_cmd::Command;

fn help(words: &[&str]) -> String {
    let mut command = Command::cargo_bin("rvmb").expect("the program");
    let output = command.args(words).arg("--help").env_clear().output().expect("its output");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn of_rvmb() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
fn of_a_pair() {
    insta::assert_snapshot!(help(&["kvm", "debian"]));
}

#[test]
fn of_plan() {
    insta::assert_snapshot!(help(&["plan"]));
}

#[test]
fn of_cache() {
    insta::assert_snapshot!(help(&["cache"]));
}
