//! Ubuntu 22.04, from an Ubuntu-shaped archive or, where one is named, a real mirror.

use super::{FIRST_BOOT, words};
use crate::common::archive::Archive;
use crate::common::machine::Bench;
use crate::common::{anybody, begin, image};

#[test]
fn jammy_boots() {
    let Some((_turn, account)) = begin("jammy", anybody) else { return };
    let archive = Archive::start();
    let options = archive.options();
    let bench = Bench::new(&archive.reached_by(&account));
    let script = bench.file("setup.sh", FIRST_BOOT);
    let mut words = words("ubuntu", "jammy", &script);
    // Each form of a package that apt knows.
    words.extend(["--addpkg", "apache2/jammy,libc6:amd64", "--addpkg", "cowsay-"]);
    words.extend(["--variant", "buildd"]);
    words.extend(options.iter().map(String::as_str));
    bench.bake(&words).well();
    bench.is_clean(&["out", "setup.sh"]);
    let resolved = bench.manifest()["plan"]["packages"]["resolved"].to_string();
    assert!(resolved.contains("\"build-essential\""), "{resolved}");
    image::is_sound(&bench.image(), &bench.scratch());
    bench.boots("bios");
}
