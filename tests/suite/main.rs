//! All integration tests, in one binary.
//!
//! `e2e` bakes and boots machines. Its tests run where RVMB_TEST_E2E is set, as `make test` does; a
//! plain `cargo test` passes them over and says so, because they take minutes, a network and, for
//! some, root.

mod bad_input;
mod cli_help;
mod command_line;
mod common;
mod corpora;
mod e2e;
mod migration_page;
mod plans;
mod rooms;
mod vmbuilder;

/// A file of tests that its directory's root file does not name would never run.
#[test]
fn no_file_of_tests_is_forgotten() {
    let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    for root in ["main.rs", "e2e/mod.rs", "common/mod.rs"] {
        let root = suite.join(root);
        let text = std::fs::read_to_string(&root).unwrap();
        let named = |name: &str| text.lines().any(|line| line.ends_with(&format!("mod {name};")));
        let mut forgotten = Vec::new();
        for entry in std::fs::read_dir(root.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let is_tests = path.join("mod.rs").exists() || path.extension() == Some("rs".as_ref());
            if is_tests && path != root && !named(&name) {
                forgotten.push(name);
            }
        }
        assert_eq!(forgotten, Vec::<String>::new(), "{}", root.display());
    }
}
