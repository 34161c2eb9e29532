//! Parse, start, map an error to an exit code. Nothing else.

fn main() {}
