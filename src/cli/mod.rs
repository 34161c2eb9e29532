//! One file per verb: its clap arguments and one `run`. Knows terminals; decides nothing.

pub mod suites;
