//! A key that signs archives of the tests.

use std::fs::{DirBuilder, read};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::process::{program, run};

/// A key of its own, in a directory of its own, with gpg's agent until it is dropped.
pub(crate) struct Signer {
    home: PathBuf,
    /// 40 hexadecimal digits.
    fingerprint: String,
}

impl Signer {
    /// Makes a key for `name` and the directory `home`, which is closed to others.
    pub(crate) fn new(home: &Path, name: &str) -> Signer {
        DirBuilder::new().mode(0o700).create(home).expect("making gpg's directory");
        let mut signer = Signer { home: home.to_owned(), fingerprint: String::new() };
        let user = format!("{name} <root@localhost>");
        run(signer.gpg().args(["--quick-gen-key", &user, "ed25519", "sign", "never"])).well();
        let list = run(signer.gpg().args(["--with-colons", "--list-keys"])).well().stdout;
        let line = list.lines().find_map(|line| line.strip_prefix("fpr:")).expect("a fingerprint");
        line.trim_matches(':').clone_into(&mut signer.fingerprint);
        signer
    }

    /// What the key is known by.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The public key.
    pub(crate) fn key(&self, armored: bool) -> Vec<u8> {
        let path = self.home.join("exported");
        let armor = if armored { "--armor" } else { "--no-armor" };
        run(self.gpg().args([armor, "--yes", "--output"]).arg(&path).arg("--export")).well();
        read(path).expect("reading the key")
    }

    /// A text with a signature around it.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new_in(&self.home).expect("making a file");
        file.write_all(text.as_bytes()).expect("writing what is to be signed");
        let options = ["--digest-algo", "SHA512", "--output", "-", "--clearsign"];
        run(self.gpg().args(options).arg(file.path())).well().stdout
    }

    fn gpg(&self) -> std::process::Command {
        let mut gpg = program("gpg");
        gpg.arg("--homedir").arg(&self.home).args(["--batch", "--quiet", "--no-tty"]);
        gpg.args(["--pinentry-mode", "loopback", "--passphrase", ""]);
        gpg
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let ended = run(program("gpgconf").arg("--homedir").arg(&self.home).args(["--kill", "all"]));
        assert!(ended.status.success() || std::thread::panicking(), "{ended}");
    }
}
