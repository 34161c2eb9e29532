//! An archive for jammy: the Ubuntu-shaped one of tests/archive, or a real one that the user names.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use super::account::{Account, base};
use super::process::{program, run};
use super::proxy::first_line;

/// Names a real Ubuntu mirror to use instead.
const REAL_MIRROR: &str = "RVMB_TEST_UBUNTU_MIRROR";

/// The host as a guest sees it (QEMU manual, "Network emulation", user mode).
const HOST_IN_GUEST: &str = "10.0.2.2";

/// Archives are made one at a time: they share what was downloaded.
static MAKING: Mutex<()> = Mutex::new(());

/// An archive that answers while this lives.
pub(crate) struct Archive {
    mirror: String,
    keyring: Option<PathBuf>,
    server: Option<Child>,
    _files: Option<tempfile::TempDir>,
}

impl Archive {
    /// Makes and serves the test archive, unless a real mirror is named.
    pub(crate) fn start() -> Self {
        if let Ok(mirror) = std::env::var(REAL_MIRROR) {
            return Archive { mirror, keyring: None, server: None, _files: None };
        }
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archive");
        let files =
            tempfile::Builder::new().prefix("archive-").tempdir_in(base()).expect("making a directory");
        open_to_all(files.path());
        let downloads =
            std::env::var_os("RVMB_TEST_CACHE").map_or_else(|| base().join("debian"), PathBuf::from);
        let making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        run(program(tools.join("make")).arg(files.path()).env("RVMB_TEST_CACHE", downloads)).well();
        drop(making);

        let mut server = program(tools.join("serve"));
        // The server ends when the pipe to it does.
        server.arg(files.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = server.spawn().expect("starting the server");
        let address = first_line(server.stdout.take()).expect("the server did not start");
        let keyring = Some(files.path().join("keyring.gpg"));
        Archive { mirror: format!("{address}/ubuntu"), keyring, server: Some(server), _files: Some(files) }
    }

    /// `account` as it reaches this archive: ours is at hand, and changes between tests at one address.
    pub(crate) fn reached_by(&self, account: &Account) -> Account {
        if self.server.is_some() { account.without_proxy() } else { account.clone() }
    }

    /// The options that make rvmb use it.
    pub(crate) fn options(&self) -> Vec<String> {
        self.options_with(&self.mirror)
    }

    /// The options that make rvmb use it as it was on the day of the release. Only ours has that.
    pub(crate) fn options_of_release_day(&self) -> Vec<String> {
        self.options_with(&self.released())
    }

    /// A sed(1) command for apt's sources in a guest that was baked with [`Self::options_of_release_day`]:
    /// after it they name the archive of today, at the address that the host has in QEMU's user network.
    pub(crate) fn move_to_today(&self) -> String {
        let today = self.mirror.replace("127.0.0.1", HOST_IN_GUEST);
        format!("s|{}|{today}|", self.released())
    }

    /// The archive's address on the day of the release.
    fn released(&self) -> String {
        self.mirror.trim_end_matches("ubuntu").to_owned() + "released/ubuntu"
    }

    fn options_with(&self, mirror: &str) -> Vec<String> {
        let mut words = vec!["--mirror".to_owned(), mirror.to_owned()];
        words.extend(["--security-mirror".to_owned(), mirror.to_owned()]);
        if let Some(keyring) = &self.keyring {
            words.extend(["--keyring".to_owned(), keyring.display().to_string()]);
        }
        words
    }

    /// Says why, where the archive would not be the one made here: for tests that take it away.
    pub(crate) fn would_be_ours() -> Result<(), String> {
        match std::env::var(REAL_MIRROR) {
            Ok(mirror) => Err(format!("{REAL_MIRROR} names {mirror}, which is not to be played with")),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It ends by itself when its pipe is closed; a test that fails already says so.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

pub(crate) fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
        .expect("opening the archive to all");
}
