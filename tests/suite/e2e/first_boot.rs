//! What a machine does by itself: its first boots, and the first boot on a larger disk. It is one that its
//! owner has customised, and is looked at for that, too.

use std::os::unix::fs::PermissionsExt;

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
    let own = own_files(&bench);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    bench.bake(&[&words[..], &["--addpkg", "openssh-server", "--install-recommends"], &own].concat()).well();
    let packages = std::fs::read_to_string(bench.path().join("packages.list")).expect("reading --manifest");
    assert!(packages.lines().any(|line| line.starts_with("ncurses-term ")), "{packages}");
    let guest = Guest::new(&bench, "one");

    let mut session = started(&guest);
    assert_eq!(session.run("systemctl is-active multi-user.target").output, "active");
    assert_ne!(session.run(MARKER).status, 0, "a script that failed counts as done");
    assert!(session.has_said("not yet, says the script"), "the console says nothing of it");
    session.run("journalctl --unit rvmb-firstboot | grep -q 'not yet, says the script'").well();
    is_customised(&mut session);
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

/// Sees that the kernel is there, that programs of the tree run in it, and that what was copied to /tmp is
/// there; leaves two programs running, one of them in the tree.
const FINISH: &str = r#"#!/bin/sh -e
ls "$1"/boot/vmlinuz-* "$1"/boot/initrd.img-*
test -e "$1/proc/self/status"
cat "$1/tmp/word" >"$1/root/finished"
chroot "$1" sh -c 'echo "$RVMB_SUITE $RVMB_ARCH $RVMB_HOSTNAME $RVMB_USER $(id -u) $HOME" >>/root/finished'
sleep 4711 &
chroot "$1" sleep 4711 &
"#;

/// Writes the owner's own files, and returns the options that name them.
fn own_files(bench: &Bench) -> Vec<String> {
    let place = bench.path().display().to_string();
    let executable = bench.file("finish", FINISH);
    std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    bench.file("my key", "s3cret\n");
    for directory in ["data", "data/sub", "templates", "templates/debian"] {
        std::fs::create_dir(bench.path().join(directory)).expect("making a directory");
        bench.account().give(&bench.path().join(directory));
    }
    bench.file("data/sub/two", "two\n");
    std::os::unix::fs::symlink("sub/two", bench.path().join("data/link")).expect("making a link");
    bench.file("templates/debian/etc_hosts.tmpl", "{{ default }}192.0.2.7 db.{{ domain }}\n");
    let list = format!(
        "# what the owner wants\n\
         \"{place}/my key\" /etc/app/key mode=0640 owner=:adm\n\
         '{place}/my key' /tmp/word\n\
         {place}/data\t/srv/data owner=bob\n\
         {place}/data/. /opt\n"
    );
    let list = bench.file("list", &list);
    let seeds = bench.file("seeds", "openssh-server openssh-server/password-authentication boolean false\n");
    let words = [
        ("--copy", list),
        ("--exec", executable),
        ("--seedfile", seeds),
        ("--templates", format!("{place}/templates")),
        ("--manifest", format!("{place}/packages.list")),
    ];
    words.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
}

/// Looks for all of it in the machine.
#[track_caller]
fn is_customised(session: &mut Session) {
    for (command, expected) in [
        ("stat -c '%a %U:%G' /etc/app/key", "640 root:adm"),
        ("stat -c '%a %U:%G' /etc/app", "755 root:root"),
        ("stat -c '%F %U' /srv/data/link /srv/data/sub", "regular file bob\ndirectory bob"),
        ("cat /opt/sub/two", "two"),
        ("cat /root/finished", "s3cret\nbookworm amd64 vm bob 0 /root"),
        ("ls /tmp/word /usr/sbin/policy-rc.d 2>/dev/null | wc -l", "0"),
        ("grep ^PasswordAuthentication /etc/ssh/sshd_config", "PasswordAuthentication no"),
        ("dpkg-query -W -f '${Status}' ncurses-term", "install ok installed"),
        ("getent hosts db.localdomain", "192.0.2.7       db.localdomain"),
        ("readlink /etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
    ] {
        assert_eq!(session.run(command).output, expected, "{command}");
    }
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
