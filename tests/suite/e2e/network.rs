//! A machine with addresses of its own.

use crate::common::machine::Bench;
use crate::common::{anybody, begin};

/// Both families, two name servers, one of which is beside the machine: `rvmb test` looks for each of them, and
/// for both default routes.
#[test]
fn bookworm_has_the_addresses_that_it_was_given() {
    let Some((_turn, account)) = begin("addresses", anybody) else { return };
    let bench = Bench::new(&account);
    let words = [
        "kvm",
        "debian",
        "--suite",
        "bookworm",
        "--ip",
        "192.168.77.10/24,2001:db8:77::10",
        "--gw",
        "192.168.77.254,2001:db8:77::1",
        "--dns",
        "192.168.77.53,2620:fe::fe",
        "--domain",
        "example.org",
    ];
    bench.bake(&words).well();
    bench.is_clean(&["out"]);
    bench.boots("bios");
}
