//! What is not rvmb's fault: a mirror that is gone, a full disk, an archive signed by somebody else.

use std::net::TcpListener;

use crate::common::account::Account;
use crate::common::archive::Archive;
use crate::common::machine::Bench;
use crate::common::{anybody, begin};

/// Exit code of a build that failed, in docs/exit-codes.md.
const BUILD: i32 = 5;

#[test]
fn a_mirror_that_is_gone_is_an_error_that_names_it() {
    let Some((_turn, account)) = begin("lost mirror", anybody) else { return };
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mirror = format!("http://127.0.0.1:{port}/debian");
    let bench = Bench::with_own_cache(&account.without_proxy());
    let words = ["kvm", "debian", "--suite", "bookworm", "--mirror", &mirror, "--security-mirror", &mirror];
    let failed = bench.bake(&words).with_code(BUILD);
    assert!(failed.stderr.contains("127.0.0.1"), "{failed}");
    bench.is_clean(&[]);
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let accounts = || Account::root().and_then(|_| anybody());
    let Some((_turn, account)) = begin("full disk", accounts) else { return };
    let bench = Bench::on_a_small_disk(&account, "350m");
    let failed = bench.bake(&["kvm", "debian", "--suite", "bookworm"]).with_code(BUILD);
    assert!(failed.stderr.to_lowercase().contains("no space left"), "{failed}");
    bench.is_clean(&[]);
}

#[test]
fn an_archive_signed_by_somebody_else_is_refused() {
    let Some((_turn, account)) = begin("wrong signature", anybody_with_our_archive) else { return };
    let archive = Archive::start();
    let mut options = archive.options();
    let keyring = options.last_mut().expect("options");
    "/usr/share/keyrings/debian-archive-keyring.gpg".clone_into(keyring);
    let bench = Bench::with_own_cache(&archive.reached_by(&account));
    let mut words = vec!["kvm", "ubuntu", "--suite", "jammy"];
    words.extend(options.iter().map(String::as_str));
    let failed = bench.bake(&words).with_code(BUILD);
    let cure = "The keyring does not hold the key that signed this archive: name another with --keyring.";
    assert!(failed.stderr.contains(cure), "{failed}");
    bench.is_clean(&[]);
}

fn anybody_with_our_archive() -> Result<Account, String> {
    Archive::would_be_ours()?;
    anybody()
}
