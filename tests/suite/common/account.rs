//! Who runs rvmb in a test, and where that account's files go.
//!
//! Everything lies in one directory, under /var/tmp where RVMB_TEST_BASE names no other, because an ordinary user cannot reach into a
//! checkout in root's home. Each account has a cache of its own there that outlives the run, so that
//! the second run of the tests downloads nothing; the rest goes when a test ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::program;
use super::proxy;

/// Names the ordinary user that tests started as root use. `.ci/run` makes one.
const TEST_USER: &str = "RVMB_TEST_USER";

/// Names another place than /var/tmp for the tests' directory, such as to run one test beside others.
const PLACE: &str = "RVMB_TEST_BASE";

/// Somebody who runs rvmb.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether the test itself runs as somebody else and has to change over.
    foreign: bool,
    /// Whether it asks archives directly.
    direct: bool,
}

impl Account {
    /// Root, where the tests run as root.
    pub(crate) fn root() -> Result<Self, String> {
        match own_uid() {
            0 => Ok(Account { name: "root".to_owned(), uid: 0, gid: 0, foreign: false, direct: false }),
            _ => Err("needs root".to_owned()),
        }
    }

    /// An ordinary user: the one who runs the tests, or the one that root names.
    pub(crate) fn user() -> Result<Self, String> {
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(|error| format!("reading /etc/passwd: {error}"))?;
        match own_uid() {
            0 => {
                let name = std::env::var(TEST_USER)
                    .map_err(|_| format!("root runs the tests and {TEST_USER} names no ordinary user"))?;
                Self::by_name(&passwd, &name)
                    .ok_or_else(|| format!("{TEST_USER} names {name}, which does not exist"))
            }
            own => {
                let (name, uid, gid) = ids_of(&passwd, |_, uid| uid == own)
                    .ok_or_else(|| format!("user id {own} is not in /etc/passwd"))?;
                Ok(Account { name, uid, gid, foreign: false, direct: false })
            }
        }
    }

    /// The user whom Debian gives no files, and nobody subordinate ids. Needs root.
    pub(crate) fn without_subordinate_ids() -> Result<Self, String> {
        Self::root()?;
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(|error| format!("reading /etc/passwd: {error}"))?;
        Self::by_name(&passwd, "nobody").ok_or_else(|| "there is no user nobody".to_owned())
    }

    /// Another user than the one who runs the tests.
    fn by_name(passwd: &str, name: &str) -> Option<Self> {
        let (name, uid, gid) = ids_of(passwd, |user, _| user == name)?;
        Some(Account { name, uid, gid, foreign: true, direct: false })
    }

    /// Whether it is the same account.
    pub(crate) fn is(&self, other: &Account) -> bool {
        self.uid == other.uid
    }

    /// The same, asking archives without a proxy.
    pub(crate) fn without_proxy(&self) -> Self {
        Account { direct: true, ..self.clone() }
    }

    /// A directory of this account that goes when it is dropped.
    pub(crate) fn directory(&self) -> TempDir {
        let home = self.own("work");
        let directory =
            tempfile::Builder::new().prefix("test-").tempdir_in(home).expect("making a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("opening it to others");
        self.give(directory.path());
        directory
    }

    /// The cache that all tests of this account share.
    pub(crate) fn cache(&self) -> PathBuf {
        self.own("cache")
    }

    /// Hands a file over to this account.
    pub(crate) fn give(&self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .unwrap_or_else(|error| panic!("giving {} to {}: {error}", path.display(), self.name));
    }

    /// rvmb as this account, with a home of its own and nothing of the caller's environment.
    pub(crate) fn rvmb(&self, arguments: &[&str]) -> Command {
        self.program(binary(), arguments)
    }

    /// Any other program in the same way.
    pub(crate) fn program(&self, path: &Path, arguments: &[&str]) -> Command {
        let mut command = if self.foreign {
            // setpriv becomes the program, where su and runuser would stay above it.
            let mut command = program("/usr/bin/setpriv");
            command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
            command.args(["--init-groups", "--"]).arg(path);
            command
        } else {
            program(path)
        };
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.own("home"));
        command.env("USER", &self.name).env("LANG", "C.UTF-8").current_dir(self.own("home"));
        command.args(arguments);
        command
    }

    /// The same with this umask.
    pub(crate) fn with_umask(umask: &str, command: &Command) -> Command {
        let mut under = program("/bin/sh");
        under.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]).arg(command.get_program());
        under.args(command.get_args()).env_clear();
        under.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            under.current_dir(directory);
        }
        under
    }

    /// `--proxy`, with the one that all tests share.
    pub(crate) fn proxy(&self) -> Vec<String> {
        if self.direct { Vec::new() } else { vec!["--proxy".to_owned(), proxy::address().to_owned()] }
    }

    /// A directory by name that stays between runs.
    fn own(&self, name: &str) -> PathBuf {
        let home = base().join(&self.name);
        let directory = home.join(name);
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("making {}: {error}", directory.display()));
        self.give(&home);
        self.give(&directory);
        directory
    }
}

/// The tests' directory.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let base = std::env::var_os(PLACE)
            .map_or_else(|| PathBuf::from(format!("/var/tmp/rvmb-tests-{}", own_uid())), PathBuf::from);
        fs::create_dir_all(&base).unwrap_or_else(|error| panic!("making {}: {error}", base.display()));
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755))
            .expect("opening the directory to others");
        base
    })
}

/// The rvmb under test, copied to where every account can start it.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let binary = base().join("rvmb");
        // A program that still runs cannot be written over, but its name can be taken away.
        let _ = fs::remove_file(&binary);
        fs::copy(env!("CARGO_BIN_EXE_rvmb"), &binary).expect("copying rvmb");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("making rvmb executable");
        binary
    })
}

/// The user id of the tests.
fn own_uid() -> u32 {
    fs::metadata("/proc/self").expect("reading /proc/self").uid()
}

/// Name, user id and group id of the first account in passwd(5) that `wanted` picks.
fn ids_of(passwd: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        wanted(name, uid).then(|| (name.to_owned(), uid, gid))
    })
}
