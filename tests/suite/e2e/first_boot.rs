//! What a machine does by itself: its first boots, and the first boot on a larger disk.

use crate::common::guest::{Guest, Session};
use crate::common::machine::Bench;
use crate::common::{anybody, begin};

/// Fails the first time it runs, and then switches the machine off; the shutdown finds it still running.
const FAILS_ONCE: &str = "#!/bin/sh\necho tried >>/root/tries\n\
    [ \"$(wc -l </root/tries)\" -gt 1 ] || { echo 'not yet, says the script'; exit 1; }\n\
    poweroff\nsleep 5\necho 'done, says the script'\n";

/// Says whether the first boot script has done its work.
const MARKER: &str = "test -e /var/lib/rvmb/firstboot.done";

/// Size of the root file system in MiB.
const ROOT_SIZE: &str = "df --block-size=1M --output=size / | tail -n 1";

#[test]
fn a_machine_comes_to_itself_at_its_first_boots() {
    let Some((_turn, account)) = begin("first boots", anybody) else { return };
    let bench = Bench::new(&account);
    let script = bench.file("setup.sh", FAILS_ONCE);
    let words = ["kvm", "debian", "--suite", "bookworm", "--user", "bob", "--firstboot", &script];
    bench.bake(&[&words[..], &["--addpkg", "openssh-server"]].concat()).well();
    let guest = Guest::new(&bench, "one");

    let mut session = started(&guest);
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

    let mut session = started(&Guest::new(&bench, "other"));
    let (machine, keys) = identity(&mut session);
    assert_ne!(machine, mine.0, "two machines of one image have one machine id");
    assert_ne!(keys, mine.1, "two machines of one image have one ssh host key");
    session.power_off();
}

/// Switches a machine on, waits until it has done all that a boot does, and is root.
#[track_caller]
fn started(guest: &Guest) -> Session {
    let mut session = guest.switch_on();
    session.log_in("bob", "bob");
    session.become_root("bob");
    // Says `degraded`, too, where the script has failed.
    session.run("systemctl is-system-running --wait");
    session
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
