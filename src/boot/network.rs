//! What the guest can reach: nothing but QEMU itself, or all that this host reaches.
//!
//! QEMU's user networking gives the guest an address and a default route, and opens its connections as
//! the user who runs it: to the host's own services, on 10.0.2.2, and to everything beyond. An image of
//! unknown origin has no business there, so QEMU gets a network namespace of its own. It is empty, and QEMU
//! answers DHCP in it as ever: the guest comes up with an address and a default route that leads nowhere.
//! (`restrict=on` would do the same to connections, and takes the default route away.)
//!
//! Source: namespaces(7), `network_namespaces(7)`, `user_namespaces(7)`.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::host::run::{BeforeExec, Runner};

/// What the guest can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// QEMU itself: an address, a default route, and nothing behind it.
    Isolated,
    /// All that this host reaches, and its own services.
    Host,
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Isolated where this host allows it.
    Auto,
    /// This one, or an error.
    Only(Network),
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Network::Isolated => "isolated",
            Network::Host => "host",
        })
    }
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Wish::Auto),
            "isolated" => Ok(Wish::Only(Network::Isolated)),
            "host" => Ok(Wish::Only(Network::Host)),
            _ => Err(format!("`{text}` is not a network: use auto, isolated or host")),
        }
    }
}

/// Decides what the guest can reach. Tries whether `qemu` starts in a namespace, so that a host that
/// forbids it is noticed before anything is copied.
pub(super) fn choose(wish: Wish, qemu: &str, runner: &Runner) -> Result<Network> {
    if wish == Wish::Only(Network::Host) {
        return Ok(Network::Host);
    }
    let defect = match runner.command(qemu).arg("--version").before_exec(isolation()).run() {
        Ok(()) => return Ok(Network::Isolated),
        Err(error) if error.kind() == Kind::Interrupted => return Err(error),
        Err(error) => error,
    };
    if wish == Wish::Auto {
        let text = format!(
            "the machine can reach all that this host reaches: a network of its own cannot be made ({defect})"
        );
        runner.sink().emit(Event::Warning { text });
        return Ok(Network::Host);
    }
    Err(Error::host("the machine cannot be given a network of its own").because(&defect).hint(
        "Allow unprivileged user namespaces, run rvmb as root, or let the image reach all that this host \
         reaches with `--network host`.",
    ))
}

/// The hook that takes a program into a network namespace of its own. Root needs no more; everybody else
/// needs a user namespace for it, in which the program is who it was.
pub(super) fn isolation() -> BeforeExec {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (uid_map, gid_map) = (format!("{uid} {uid} 1"), format!("{gid} {gid} 1"));
    Arc::new(move || {
        if unshare(UnshareFlags::NEWNET).is_ok() {
            return Ok(());
        }
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", uid_map.as_bytes())?;
        write(c"/proc/self/gid_map", gid_map.as_bytes())
    })
}

#[expect(unsafe_code, reason = "rustix marks unshare as unsafe, because of the file descriptor table")]
fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    // SAFETY: only namespaces are unshared; the file descriptor table stays as it is.
    unsafe { rustix::thread::unshare_unsafe(flags)? };
    Ok(())
}

/// Writes to a file of /proc, which takes all at once or nothing. No memory is taken.
fn write(path: &CStr, content: &[u8]) -> std::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, content)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    fn runner() -> Runner {
        Runner::new(Arc::new(Silent))
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!("auto".parse(), Ok(Wish::Auto));
        assert_eq!("host".parse(), Ok(Wish::Only(Network::Host)));
        assert_eq!("isolated".parse(), Ok(Wish::Only(Network::Isolated)));
        assert!("none".parse::<Wish>().is_err());
    }

    #[test]
    fn what_is_chosen_is_what_this_host_allows() {
        let allowed = choose(Wish::Auto, "true", &runner()).unwrap();
        let wanted = choose(Wish::Only(Network::Isolated), "true", &runner());
        assert_eq!(wanted.is_ok(), allowed == Network::Isolated);
        assert_eq!(choose(Wish::Only(Network::Host), "true", &runner()).unwrap(), Network::Host);
        // A program that does not start is no reason to give up isolation unsaid.
        assert!(choose(Wish::Only(Network::Isolated), "false", &runner()).is_err());
        let runner = runner();
        runner.canceller()();
        assert_eq!(choose(Wish::Auto, "true", &runner).unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn an_isolated_program_is_who_it_was_and_sees_no_network() {
        if choose(Wish::Auto, "true", &runner()).unwrap() == Network::Host {
            return;
        }
        let command =
            runner().command("sh").args(["-c", "id -u; grep -c : /proc/net/dev; cat /proc/net/route"]);
        let said = command.before_exec(isolation()).output().unwrap();
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some(rustix::process::geteuid().as_raw().to_string().as_str()));
        // The loopback device alone, and not a route.
        assert_eq!(lines.next(), Some("1"), "{said}");
        assert!(lines.count() <= 1, "{said}");
    }
}
