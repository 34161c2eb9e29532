//! All integration tests, in one binary.
//!
//! `e2e` bakes and boots machines. Its tests run where RVMB_TEST_E2E is set, as `make test` does; a
//! plain `cargo test` passes them over and says so, because they take minutes, a network and, for
//! some, root.

mod common;
mod e2e;
