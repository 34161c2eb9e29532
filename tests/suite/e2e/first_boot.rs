//! What a machine does by itself: its first boots, and the first boot on a larger disk.

use std::time::Duration;

use crate::common::desk::is_coming;
use crate::common::guest::{Guest, Session};
use crate::common::machine::Bench;
use crate::common::{anybody, begin};

/// Fails the first time it runs, and then switches the machine off; the shutdown finds it still running.
const FAILS_ONCE: &str = "#!/bin/sh\necho tried >>/root/tries\n\
    [ \"$(wc -l </root/tries)\" -gt 1 ] || { echo 'not yet, says the script'; exit 1; }\n\
    poweroff\nsleep 5\necho 'done, says the script'\n";

/// The key of the first user.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFVzZXJLZXlPZlRoZVRlc3RzT2ZUaGVDb21tYW5kTGlu bob@laptop\n";

/// A second network interface, far from the first.
const SECOND_INTERFACE: [&str; 4] =
    ["-netdev", "user,id=second", "-device", "virtio-net-pci,netdev=second,addr=0x1e"];

/// Waits until both interfaces have an address.
const TWO_ADDRESSES: &str =
    "until [ \"$(ip -o -4 address show scope global | wc -l)\" = 2 ]; do sleep 1; done";

/// Says whether the first boot script has done its work.
const MARKER: &str = "test -e /var/lib/rvmb/firstboot.done";

/// Size of the root file system in MiB.
const ROOT_SIZE: &str = "df --block-size=1M --output=size / | tail -n 1";

#[test]
fn a_machine_comes_to_itself_at_its_first_boots() {
    let Some((_turn, account)) = begin("first boots", anybody) else { return };
    let bench = Bench::new(&account);
    let script = bench.file("setup.sh", FAILS_ONCE);
    let key = bench.file("id.pub", KEY);
    let words = ["kvm", "debian", "--suite", "bookworm", "--user", "bob", "--firstboot", &script];
    let user = ["--uid", "1500", "--gid", "1600", "--ssh-user-key", &key];
    let listed = bench.path().join("listed").display().to_string();
    let manifest: &[&str] = if is_coming("--manifest") { &[] } else { &["--manifest", &listed] };
    bench.bake(&[&words[..], &user, manifest].concat()).well();
    if !manifest.is_empty() {
        let list = std::fs::read_to_string(&listed).expect("the list of packages");
        assert!(list.lines().any(|line| line.starts_with("openssh-server 1:")), "{list}");
    }
    let guest = Guest::new(&bench, "one");

    let mut session = started(&guest);
    its_user_is_as_asked_for(&mut session);
    its_packages_are_as_they_came(&mut session);
    assert_eq!(session.run("systemctl is-active multi-user.target").output, "active");
    assert_ne!(session.run(MARKER).status, 0, "a script that failed counts as done");
    assert!(session.has_said("not yet, says the script"), "the console says nothing of it");
    session.run("journalctl --unit rvmb-firstboot | grep -q 'not yet, says the script'").well();
    let small: u64 = size(&mut session);
    let mine = identity(&mut session);
    session.power_off();

    guest.enlarge("+2G");
    assert!(guest.run_until_off().has_said("done, says the script"));

    let mut session = started(&guest);
    session.run(MARKER).well();
    assert_eq!(session.run("wc -l </root/tries").well(), "2");
    assert_eq!(session.run("systemctl is-system-running").output, "running");
    let large = size(&mut session);
    assert!(large > small + 1800, "the root had {small} MiB and has {large} MiB on a disk 2 GiB larger");
    assert_eq!(identity(&mut session), mine, "it is another machine after its second boot");
    session.power_off();

    // The second machine has a second interface, in a place and so of a name that the builder has not seen.
    let other = Guest::new(&bench, "other");
    let mut session = booted(other.switch_on_with(&SECOND_INTERFACE));
    session.run_within(Duration::from_mins(3), TWO_ADDRESSES).well();
    let (machine, keys) = identity(&mut session);
    assert_ne!(machine, mine.0, "two machines of one image have one machine id");
    assert_ne!(keys, mine.1, "two machines of one image have one ssh host key");
    session.power_off();
}

/// Switches a machine on, waits until it has done all that a boot does, and is root.
#[track_caller]
fn started(guest: &Guest) -> Session {
    booted(guest.switch_on())
}

/// Waits until the machine has done all that a boot does, and is root.
#[track_caller]
fn booted(mut session: Session) -> Session {
    session.log_in("bob", "bob");
    session.become_root("bob");
    // Says `degraded`, too, where the script has failed.
    session.run("systemctl is-system-running --wait");
    session
}

/// Ids, key and secure shell of the first user.
#[track_caller]
fn its_user_is_as_asked_for(session: &mut Session) {
    assert_eq!(session.run("id -u bob; id -g bob").well(), "1500\n1600");
    let owners = "stat --format '%U:%G %a' /home/bob/.ssh /home/bob/.ssh/authorized_keys";
    assert_eq!(session.run(owners).well(), "bob:bob 700\nbob:bob 600");
    session.run(&format!("grep -qxF '{}' /home/bob/.ssh/authorized_keys", KEY.trim())).well();
    assert_eq!(session.run("systemctl is-active ssh").output, "active");
}

/// What packages brought is as they brought it, so that no upgrade asks about it; and fstab names what is mounted.
#[track_caller]
fn its_packages_are_as_they_came(session: &mut Session) {
    session.run("cmp /etc/ssh/sshd_config /usr/share/openssh/sshd_config").well();
    assert_eq!(session.run("dpkg --verify sudo openssh-server").output, "");
    assert_eq!(session.run("findmnt --fstab --noheadings --output TARGET /").well().trim(), "/");
    session.run("findmnt --verify --fstab").well();
}

/// Size of the root file system in MiB.
#[track_caller]
fn size(session: &mut Session) -> u64 {
    session.run(ROOT_SIZE).well().trim().parse().expect("a size")
}

/// Machine id and ssh host keys.
#[track_caller]
fn identity(session: &mut Session) -> (String, String) {
    let machine = session.run("cat /etc/machine-id").well();
    let keys = session.run("cut -d ' ' -f 2 /etc/ssh/ssh_host_*_key.pub").well();
    assert_eq!(machine.len(), 32, "{machine}");
    assert!(keys.lines().count() >= 2, "{keys}");
    (machine, keys)
}
