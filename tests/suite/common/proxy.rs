//! The proxy between the tests and the archive: for one run of the tests the archive stands still, so that
//! two bakes can be compared whatever its maintainers do meanwhile. Packages are kept between runs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::OnceLock;

use super::account::base;
use super::process::program;

/// An HTTP proxy for what the tests download; ours asks it in turn.
pub(crate) const UPSTREAM: &str = "RVMB_TEST_PROXY";

/// Its address, once it answers. It serves all tests, and ends with them: with the pipe to it.
pub(crate) fn address() -> &'static str {
    static PROXY: OnceLock<(Child, String)> = OnceLock::new();
    &PROXY
        .get_or_init(|| {
            let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/archive-proxy");
            let mut command = program(tool);
            command.arg(base().join("proxy")).env_remove("http_proxy");
            if let Ok(upstream) = std::env::var(UPSTREAM) {
                command.env("http_proxy", upstream);
            }
            let mut proxy =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starting it");
            let address = first_line(proxy.stdout.take()).expect("the proxy did not start");
            (proxy, address)
        })
        .1
}

/// The first line that a server says: where it is to be found.
pub(crate) fn first_line(output: Option<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    let read = BufReader::new(output?).read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}
