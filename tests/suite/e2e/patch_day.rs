//! The first patch day: a machine baked on the day of its release meets all updates since, a new kernel
//! and a new boot loader among them.

use std::path::Path;
use std::time::Duration;

use crate::common::account::Account;
use crate::common::archive::Archive;
use crate::common::guest::{Guest, Session};
use crate::common::launchpad::{Launchpad, PPA};
use crate::common::machine::Bench;
use crate::common::process::run;
use crate::common::{anybody, begin};

/// How long all updates may take without KVM on a busy host.
const UPDATES: Duration = Duration::from_mins(20);

/// What the first login runs. It fails for whoever has the file.
const FIRST_LOGIN: &str =
    "#!/bin/sh\necho \"welcome, $(id -un)\"\nid -un >>\"$HOME/logins\"\ntest ! -e \"$HOME/fail\"\n";

/// The key of the first user.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFVzZXJLZXlPZlRoZVRlc3RzT2ZUaGVDb21tYW5kTGlu bob@laptop\n";

/// The packages of the PPA: one that its server has, and one that a tarball has and its server has lost.
const TOOLS: [&str; 2] = ["rvmb-test-tool", "rvmb-test-rarity"];

/// A second network interface, far from the first, and a third on which nobody answers.
const MORE_INTERFACES: [&str; 8] = [
    "-netdev",
    "user,id=second,net=10.0.3.0/24",
    "-device",
    "virtio-net-pci,netdev=second,addr=0x1c,romfile=",
    "-netdev",
    "hubport,id=third,hubid=1",
    "-device",
    "virtio-net-pci,netdev=third,addr=0x1d,romfile=",
];

/// The addresses by DHCP.
const ADDRESSES: &str = "ip -o -4 address show scope global dynamic | awk '{ print $4 }' | sort";

/// The upgrade must ask nothing: it runs with a terminal and the frontend that asks there, and nobody
/// types an answer. The same machine shows what the first login does where there is no first boot script, that
/// a PPA goes on to be asked, and that an interface of any name gets its address, whoever is silent on another.
#[test]
fn the_first_patch_day_asks_nothing_and_starts_the_new_kernel() {
    let Some((_turn, account)) = begin("first patch day", anybody_with_our_archive) else { return };
    let archive = Archive::start();
    let options = archive.options_of_release_day();
    let launchpad = Launchpad::with_packages(&TOOLS);
    let bench = Bench::new(&archive.reached_by(&account));
    let script = bench.file("welcome.sh", FIRST_LOGIN);
    let key = bench.file("id.pub", KEY);
    let mut words = vec!["kvm", "ubuntu", "--suite", "jammy", "--user", "bob", "--firstlogin", &script];
    words.extend(["--rootpass", "secret", "--uid", "1500", "--gid", "1600", "--ssh-user-key", &key]);
    let tarball = bench.file("debs.tgz", "");
    launchpad.move_to_tarball(TOOLS[1], Path::new(&tarball));
    words.extend(["--ppa", PPA, "--addpkg", TOOLS[0], "--addpkg", TOOLS[1]]);
    words.extend(["--debootstrap-tarball", &tarball]);
    words.extend(options.iter().map(String::as_str));
    run(bench.command(&words).args(["--progress", "plain"]).envs(launchpad.environment())).well();
    let guest = Guest::new(&bench, "owned");

    let mut session = guest.switch_on();
    session.log_in("bob", "bob");
    assert!(session.has_said("welcome, bob"));
    session.become_root("bob");
    its_user_is_as_asked_for(&mut session);
    // Given up for time: without KVM it takes minutes to pack the modules of every machine, which the build
    // itself does; here go in those of this one.
    session.run("echo MODULES=dep >/etc/initramfs-tools/conf.d/only-mine").well();
    let old = session.run("uname -r").well();
    let sources = archive.move_to_today();
    session.run(&format!("sed -i '{sources}' /etc/apt/sources.list")).well();
    its_ppa_moves(&mut session, &launchpad);
    let said = session.run_within(UPDATES, "apt-get update").well();
    assert!(said.contains(&format!("{} jammy InRelease", launchpad.address_in_guest())), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("W:")), "{said}");
    let upgrade = "DEBIAN_FRONTEND=readline apt-get full-upgrade --assume-yes";
    let said = session.run_within(UPDATES, upgrade).well();
    let new = session.run("ls -v /boot/vmlinuz-* | tail -n 1 | sed s,/boot/vmlinuz-,,").well();
    assert_ne!(old, new, "no new kernel came:\n{said}");
    session.run(&format!("test -s /boot/initrd.img-{new}")).well();
    session.run(&format!("grep -q vmlinuz-{new} /boot/grub/grub.cfg")).well();
    session.run("test -z \"$(dpkg --audit)\"").well();
    its_packages_are_as_they_came(&mut session);
    session.run("touch /root/fail").well();
    session.power_off();

    // From here on with more interfaces, in places and so of names that the builder has not seen.
    let mut session = guest.switch_on_with(&MORE_INTERFACES);
    session.log_in("root", "secret");
    assert!(session.has_said("welcome, root"));
    assert!(session.has_said("it runs again at the next login"), "a script that failed must say so");
    assert_eq!(session.run("uname -r").well(), new);
    assert_eq!(session.run("systemctl is-system-running --wait").output, "running");
    assert_eq!(session.run(ADDRESSES).well(), "10.0.2.15/24\n10.0.3.15/24");
    // systemd would wait two minutes for all of them, which is longer than a line may take.
    session
        .run("systemctl start network-online.target && systemctl is-active systemd-networkd-wait-online")
        .well();
    assert_eq!(session.run("systemctl is-system-running").output, "running");
    session.run("rm /root/fail").well();
    // Logins of a shell: root's second, which succeeds, and then nobody's.
    session.run("for user in root root bob; do su --login $user --command 'bash -lic true'; done");
    assert_eq!(session.run("cat /root/logins").well(), "root\nroot");
    assert_eq!(session.run("cat /home/bob/logins").well(), "bob");
    session.power_off();
}

/// Ids, key and secure shell of the first user.
#[track_caller]
fn its_user_is_as_asked_for(session: &mut Session) {
    assert_eq!(session.run("id -u bob; id -g bob").well(), "1500\n1600");
    let owners = "stat --format '%U:%G %a' /home/bob/.ssh /home/bob/.ssh/authorized_keys";
    assert_eq!(session.run(owners).well(), "bob:bob 700\nbob:bob 600");
    session.run(&format!("grep -qxF '{}' /home/bob/.ssh/authorized_keys", KEY.trim())).well();
    // A login may come before the last service.
    assert_eq!(session.run("systemctl is-system-running --wait").output, "running");
    assert_eq!(session.run("systemctl is-active ssh").output, "active");
}

/// The packages of the PPA are installed, and its source is bound to its key, which vouches for nothing else. From
/// then on the source names the PPA at the address that the host has.
#[track_caller]
fn its_ppa_moves(session: &mut Session, launchpad: &Launchpad) {
    for tool in TOOLS {
        let status = format!("dpkg-query --show --showformat '${{db:Status-Status}} ${{Version}}' {tool}");
        assert_eq!(session.run(&status).well(), "installed 1.0", "{tool}");
    }
    let (list, key) =
        ("/etc/apt/sources.list.d/bob-ubuntu-tools.list", "/etc/apt/keyrings/bob-ubuntu-tools.gpg");
    let official = "https://ppa.launchpadcontent.net/bob/tools/ubuntu";
    let source = session.run(&format!("cat {list}")).well();
    assert_eq!(source, format!("deb [signed-by={key}] {official} jammy main"));
    let digest = session.run(&format!("sha256sum <{key}")).well();
    assert_eq!(digest.trim_end_matches("  -"), launchpad.digest_of_key());
    let elsewhere = "find /etc/apt/trusted.gpg /etc/apt/trusted.gpg.d -type f -exec sha256sum {} +";
    assert!(!session.run(elsewhere).output.contains(&launchpad.digest_of_key()), "trusted for everything");
    session.run(&format!("sed -i 's|{official}|{}|' {list}", launchpad.address_in_guest())).well();
}

/// What packages brought is as they brought it, so that no upgrade asks about it; and fstab names what is mounted.
#[track_caller]
fn its_packages_are_as_they_came(session: &mut Session) {
    session.run("cmp /etc/ssh/sshd_config /usr/share/openssh/sshd_config").well();
    assert_eq!(session.run("dpkg --verify sudo openssh-server").output, "");
    assert_eq!(session.run("findmnt --fstab --noheadings --output TARGET /").well().trim(), "/");
    session.run("findmnt --verify --fstab").well();
}

fn anybody_with_our_archive() -> Result<Account, String> {
    Archive::would_be_ours()?;
    anybody()
}
