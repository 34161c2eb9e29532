//! All integration tests, in one binary.
//!
//! `e2e` bakes and boots machines. Its tests run where RVMB_TEST_E2E is set, as `make test` does; a
//! plain `cargo test` passes them over and says so, because they take minutes, a network and, for
//! some, root.

mod cli_help;
mod command_line;
mod common;
mod e2e;

/// A file of tests that is not named above would never run.
#[test]
fn no_file_of_tests_is_forgotten() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let main = include_str!("main.rs");
    let mut forgotten = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_tests =
            path.is_dir() && path.join("mod.rs").exists() || path.extension() == Some("rs".as_ref());
        if is_tests && name != "main" && !main.lines().any(|line| line == format!("mod {name};")) {
            forgotten.push(name);
        }
    }
    assert_eq!(forgotten, Vec::<String>::new());
}
