//! Bad input: each mistake is refused within a moment, by its name and place, with what to do, before anything is
//! built, downloaded or written.
//!
//! The cases are command lines behind `rvmb kvm debian --suite bookworm`, or `rvmb kvm ubuntu`, and the files that they
//! name. The mirror of all of them answers nobody: a mistake that came to light only there would end in another exit code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::desk::{Desk, is_coming};
use crate::common::process::{Finished, program, run};

/// Exit codes in docs/exit-codes.md.
const USAGE: i32 = 2;
const CONFIG: i32 = 3;

/// How long an answer may take: a tenth of a second as a rule, and some seconds where other tests keep the machine busy.
/// Who asked the archive would need longer.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Where nobody answers (RFC 863's port, on loopback).
const NOWHERE: &str = "http://127.0.0.1:9/debian";

/// What a message says where it says what to do: in a line of its own, or beside what is wrong.
const CURES: [&str; 9] = [
    "hint:",
    "help:",
    "tip:",
    "try '--help'",
    ": write ",
    ": use ",
    "is not a whole number from",
    "is neither yes nor no",
    "can only be given on the command line",
];

/// A mistake.
struct Case {
    /// The words behind those that all cases share; a blank parts them, `␣` stands for one.
    words: &'static str,
    /// Name and content of a file that they name.
    file: Option<(&'static str, &'static [u8])>,
    code: i32,
    /// What the message must hold.
    says: &'static [&'static str],
}

const fn bad(words: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case { words, file: None, code, says }
}

/// A mistake in a partition file.
const fn part(text: &'static str, says: &'static [&'static str]) -> Case {
    Case { words: "--part bad.part", file: Some(("bad.part", text.as_bytes())), code: CONFIG, says }
}

/// A mistake in a configuration file.
const fn cfg(text: &'static str, says: &'static [&'static str]) -> Case {
    Case { words: "--config bad.cfg", file: Some(("bad.cfg", text.as_bytes())), code: CONFIG, says }
}

/// A mistake in a list of files to copy.
const fn copy(text: &'static str, says: &'static [&'static str]) -> Case {
    Case { words: "--copy bad.list", file: Some(("bad.list", text.as_bytes())), code: CONFIG, says }
}

/// A mistake in another file, called `bad`.
const fn file(words: &'static str, text: &'static [u8], says: &'static [&'static str]) -> Case {
    Case { words, file: Some(("bad", text)), code: CONFIG, says }
}

#[rustfmt::skip]
const SIZES: &[Case] = &[
    bad("--rootsize lots", USAGE, &["--rootsize", "lots"]),
    bad("--rootsize 10X", USAGE, &["--rootsize", "10X", "k, M, G or T"]),
    bad("--swapsize -5", USAGE, &["-5"]),
    bad("--swapsize=-5", USAGE, &["--swapsize", "-5"]),
    bad("--optsize 1.5G", USAGE, &["--optsize", "1.5G"]),
    bad("--rootsize 99999999999999999999", USAGE, &["--rootsize", "too large"]),
    bad("--rootsize 18446744073709551615T", USAGE, &["--rootsize", "too large"]),
    bad("--rootsize 200M", CONFIG, &["200 MiB", "256 MiB"]),
    bad("--size 64M", CONFIG, &["64 MiB"]),
    bad("--size 4G --rootsize 2G", USAGE, &["--size", "--rootsize"]),
    bad("--mem much", USAGE, &["--mem", "much"]),
    bad("--mem 16", CONFIG, &["16 MiB", "--mem"]),
    bad("--cpus 0", CONFIG, &["--cpus"]),
    bad("--cpus two", USAGE, &["--cpus", "two"]),
    bad("--tmpfs lots", CONFIG, &["--tmpfs"]),
    bad("--rootsize lots --swapsize 10X --mem much --cpus two", USAGE, &["4 problems", "lots", "10X", "much", "two"]),
];

#[rustfmt::skip]
const NETWORKS: &[Case] = &[
    bad("--ip 192.168.1.300", CONFIG, &["--ip", "192.168.1.300"]),
    bad("--ip nonsense", CONFIG, &["--ip", "nonsense"]),
    bad("--ip 10.0.0.5/24␣10.0.0.6/24", CONFIG, &["--ip", "10.0.0.5/24,10.0.0.6/24"]),
    bad("--ip 10.0.0.5/24 --dns 10.0.0.1;10.0.0.2", CONFIG, &["--dns", "10.0.0.1,10.0.0.2"]),
    bad("--ip 10.0.0.5/33", CONFIG, &["--ip", "33"]),
    bad("--ip 2001:db8::g/64", CONFIG, &["--ip", "2001:db8::g"]),
    bad("--ip 224.0.0.5", CONFIG, &["224.0.0.5"]),
    bad("--ip 10.0.0.5 --mask 255.0.255.0", CONFIG, &["--mask", "255.0.255.0"]),
    bad("--ip 10.0.0.5 --mask nonsense", CONFIG, &["--mask", "nonsense"]),
    bad("--ip 10.0.0.5/24 --net 10.0.1.0", CONFIG, &["--net", "10.0.1.0"]),
    bad("--ip 10.0.0.5/24 --bcast 10.0.9.255", CONFIG, &["--bcast", "10.0.9.255"]),
    bad("--ip 10.0.0.5/24 --gw nonsense", CONFIG, &["--gw", "nonsense"]),
    bad("--ip 10.0.0.5/24 --dns resolver", CONFIG, &["--dns", "resolver"]),
    bad("--mac 52:54:00:12:34", CONFIG, &["--mac", "52:54:00:12:34"]),
    bad("--mac 52:54:00:12:34:zz", CONFIG, &["--mac", "52:54:00:12:34:zz"]),
    bad("--mac 01:00:5e:00:00:01", CONFIG, &["--mac", "01:00:5e:00:00:01"]),
    bad("--domain a..b", CONFIG, &["a..b", "example.org"]),
    bad("--domain -x", USAGE, &["-x"]),
];

/// A partition file with one disk more than a machine can have.
const MANY_DISKS: &str = "root 1024\n---\n/a 16\n---\n/b 16\n---\n/c 16\n---\n/d 16\n---\n/e 16\n---\n/f 16\n---\n/g 16\n---\n/h 16\n---\n/i 16\n---\n/j 16\n---\n/k 16\n---\n/l 16\n---\n/m 16\n---\n/n 16\n---\n/o 16\n---\n/p 16\n---\n/q 16\n---\n/r 16\n---\n/s 16\n---\n/t 16\n---\n/u 16\n---\n/v 16\n---\n/w 16\n---\n/x 16\n---\n/y 16\n---\n/z 16\n---\n/0 16\n";

#[rustfmt::skip]
const DISKS: &[Case] = &[
    part("root lots\n", &["bad.part", "lots"]),
    part("root -5\n", &["bad.part", "-5"]),
    part("root 99999999999999999999\n", &["bad.part", "99999999999999999999"]),
    part("swap 512\n", &["bad.part", "root"]),
    part("", &["bad.part"]),
    part("---\n", &["bad.part"]),
    part("root 1024\nroot 2048\n", &["bad.part:2"]),
    part("root 1024\n# twice\n/var 512\n/var 512\n", &["bad.part:4"]),
    part("root 1024\nvar 512\n", &["bad.part:2", "/var"]),
    part("root\n", &["bad.part:1"]),
    part("root 1024\n---\n/home 10X\n", &["bad.part:3", "10X"]),
    part("root 1024\n/var/../etc 512\n", &["bad.part:2"]),
    part("root 1024 fs=zfs\n", &["bad.part:1", "zfs"]),
    part("root 1024 colour=red\n", &["bad.part:1", "colour"]),
    part("root 1024 label=a-label-that-ext4-cannot-hold\n", &["bad.part:1"]),
    part("root 1024 grow\n/var 512 grow\n", &["bad.part:2", "grow"]),
    part("root 1024\n/a 512\n/b 512\n/c 512\n/d 64\n\u{0}\n", &["bad.part", "text"]),
    part("swap 512\nroot 1024 vg=system\n", &["bad.part:2:1", "LVM"]),
    part("root 1024\n/home 512 fs=vfat\n", &["bad.part:2:1", "vfat"]),
    part("root 1024\n---\n/srv 3T\n", &["bad.part:3:1", "too large"]),
    part(MANY_DISKS, &["bad.part:55:1", "27 disks"]),
    bad("--part fifo", CONFIG, &["--part", "FIFO that nobody writes to"]),
    bad("--copy fifo --firstboot fifo", CONFIG, &["--copy fifo is a FIFO", "--firstboot fifo is a FIFO"]),
    bad("--config fifo", CONFIG, &["fifo is a FIFO that nobody writes to"]),
    bad("--part nowhere.part", CONFIG, &["--part", "nowhere.part"]),
    bad("--part .", CONFIG, &["--part"]),
    bad("--part layout.part --rootsize 4G", USAGE, &["--part", "--rootsize"]),
    bad("--label bsd", CONFIG, &["bsd"]),
    bad("--raw nowhere.img", CONFIG, &["--raw", "nowhere.img"]),
    bad("--raw .", CONFIG, &["--raw"]),
    bad("--raw /dev/null", CONFIG, &["--raw", "/dev/null"]),
    file("--raw bad --manifest bad", b"", &["--manifest", "--raw"]),
    file("--raw bad", b"somebody needs this", &["--raw", "19 B", "larger place"]),
];

#[rustfmt::skip]
const CONFIGURATIONS: &[Case] = &[
    cfg("mem = 512\n", &["bad.cfg:1", "[DEFAULT]"]),
    cfg("[kvm\nmem = 512\n", &["bad.cfg:1", "[kvm]"]),
    cfg("[kvm]\n\nmem 512\n", &["bad.cfg:3", "key = value"]),
    cfg("[kvm]\nadpkg = nginx\n", &["bad.cfg:2", "addpkg"]),
    cfg("[kvn]\nmem = 512\n", &["bad.cfg:1", "kvm"]),
    cfg("[kvm]\nmem = lots\n", &["bad.cfg:2", "lots"]),
    cfg("[kvm]\ncpus = two\n", &["bad.cfg:2", "two"]),
    cfg("[DEFAULT]\nuid = bob\n", &["bad.cfg:2", "bob"]),
    cfg("[DEFAULT]\nlock-user = perhaps\n", &["bad.cfg:2", "perhaps"]),
    cfg("   mem = 512\n", &["bad.cfg:1"]),
    cfg("[kvm/fedora]\nmem = 512\n", &["bad.cfg:1", "kvm/fedora"]),
    cfg("[xen]\nmem = 512\n[debian]\nrootsize = 10X\n", &["bad.cfg:4", "10X"]),
    cfg("[debian]\nconfig = other.cfg\n", &["bad.cfg:2", "command line"]),
    cfg("[debian]\nhelp = yes\n", &["bad.cfg:2", "help"]),
    cfg("[kvm]\nmem = lots\ncpus = two\n[debian]\nadpkg = x\n", &["bad.cfg:2", "bad.cfg:3", "bad.cfg:5"]),
    cfg("[kvm]\nhostname = my host\n", &["bad.cfg:2:12", "my host"]),
    cfg("[kvm]\nip = 10.0.0.5\nmask = 255.0.255.0\n", &["bad.cfg:3:8", "255.0.255.0"]),
    cfg("[kvm]\nmac = 52:54:00:12:34\n", &["bad.cfg:2:7", "52:54:00:12:34"]),
    cfg("[DEFAULT]\naddpkg = vim,\n  Nginx, htop\n", &["bad.cfg:3:3", "`Nginx` is not a package"]),
    cfg("[DEFAULT]\naddpkg = vim\nremovepkg = nano, vim\n", &["bad.cfg:2:10", "bad.cfg:3:19", "to be removed"]),
    cfg("[debian]\nuser = Bob\nuid = 0\nname = a:b\n", &["bad.cfg:2", "bad.cfg:3", "bad.cfg:4"]),
    cfg("[debian]\nlang = de_DEE.UTF-8\ntimezone = Europe/Berln\n", &["bad.cfg:2", "bad.cfg:3", "Europe/Berlin"]),
    cfg("[debian]\narch = amd46\n", &["bad.cfg:2:8", "amd46"]),
    cfg("[debian]\nflavour = clod\ncomponents = main, nonfree\n", &["bad.cfg:2:11", "bad.cfg:3:20"]),
    cfg("[debian]\nproxy = localhost:3142\ninstall-mirror = x\n", &["bad.cfg:2", "bad.cfg:3"]),
    cfg("[debian]\nmem = 16\ncpus = 0\nrootsize = 200M\n", &["bad.cfg:2", "bad.cfg:3", "bad.cfg:4"]),
    cfg("[debian]\nfirstboot = nowhere.sh\nssh-key = nowhere.pub\n", &["bad.cfg:2", "bad.cfg:3"]),
    cfg("[debian]\npart = nowhere.part\ncopy = nowhere.list\n", &["bad.cfg:2", "bad.cfg:3"]),
    cfg("[debian]\ndestdir = motd\nkeyring = nowhere\n", &["bad.cfg:2", "bad.cfg:3"]),
    cfg("[debian]\nrootpass = $6$abc$def\n", &["bad.cfg:2:1", "begins like a hash"]),
    cfg("[kvm]\nfoo\nrootsiz = 1G\nmem = 1X\nlock-user = maybe\n[kvn]\n",
        &["bad.cfg:2:1", "bad.cfg:3:1", "bad.cfg:4:7", "bad.cfg:5:13", "bad.cfg:6:2", "5 places"]),
    cfg("[kvm]\nlabel = bsd\nrootsize = 1M\n", &["bad.cfg:2:9", "bad.cfg:3:12"]),
    cfg("[kvm]\narch = amd46\nflavour = clod\n", &["bad.cfg:2:8", "bad.cfg:3:11", "`cloud`"]),
    cfg("[kvm]\npass-file = nowhere\n", &["bad.cfg:2:13", "reading --pass-file nowhere: No such file", "first line"]),
    cfg("[kvm]\ntemplates = folders\n", &["2 problems", "bad.cfg:2:13"]),
    cfg("[kvm]\nuid = bob\n", &["bad.cfg:2:7", "from 1000 to 59999"]),
    file("--config bad", b"[kvm]\nname = \xff\xfe\n", &["bad"]),
    bad("--config nowhere.cfg", CONFIG, &["nowhere.cfg", "No such file or directory", "--config"]),
    bad("--config .", CONFIG, &[". is not a file"]),
];

#[rustfmt::skip]
const COPY_LISTS: &[Case] = &[
    copy("nowhere /etc/motd\n", &["--copy", "bad.list:1", "nowhere"]),
    copy("# greetings\nmotd\n", &["--copy", "bad.list:2"]),
    copy("motd etc/motd\n", &["--copy", "bad.list:1", "etc/motd"]),
    copy("motd /etc/../../motd\n", &["--copy", "bad.list:1"]),
    copy("\"motd /etc/motd\n", &["--copy", "bad.list:1"]),
    copy("motd /etc/motd\nno*thing /etc/\n", &["--copy", "bad.list:2", "no*thing"]),
    bad("--copy nowhere.list", CONFIG, &["--copy", "nowhere.list"]),
];

#[rustfmt::skip]
const NAMES: &[Case] = &[
    bad("--hostname my␣host", CONFIG, &["my host", "--domain"]),
    bad("--hostname web.example.org", CONFIG, &["web.example.org", "--domain"]),
    bad("--hostname a-very-long-name-that-no-label-of-the-domain-name-system-can-hold-at-all", CONFIG, &["1 to 63"]),
    bad("--user Bob", CONFIG, &["Bob", "lower-case"]),
    bad("--user root", CONFIG, &["root", "--rootpass"]),
    bad("--user www-data", CONFIG, &["www-data", "--user"]),
    bad("--user bob:x", CONFIG, &["bob:x"]),
    bad("--name a:b", CONFIG, &["a:b", "colon"]),
    bad("--uid 0", CONFIG, &["--uid 0", "1000 to 59999"]),
    bad("--uid bob", USAGE, &["--uid", "bob", "from 1000 to 59999"]),
    bad("--gid 99999", CONFIG, &["--gid 99999", "1000 to 59999"]),
    bad("--gid staff", USAGE, &["--gid", "staff"]),
    bad("--lang de_DEE.UTF-8", CONFIG, &["de_DEE", "de_DE.UTF-8"]),
    bad("--lang de_DE.KOI8-R", CONFIG, &["de_DE.KOI8-R"]),
    bad("--timezone Europe/Berln", CONFIG, &["Europe/Berln", "Europe/Berlin"]),
    bad("--timezone ../../etc/passwd", CONFIG, &["../../etc/passwd"]),
    bad("--pass=", CONFIG, &["password", "empty"]),
    bad("--pass $6$salt$tooshort", CONFIG, &["begins like a hash", "single quotes"]),
    bad("--rootpass $1$salt$01234567890123456789", CONFIG, &["root", "begins like a hash"]),
    bad("--pass a --pass-file password", USAGE, &["--pass", "--pass-file"]),
    bad("--pass-file nowhere", CONFIG, &["nowhere"]),
    file("--pass-file bad", b"\n", &["bad"]),
    bad("--rootpass-file .", CONFIG, &["--rootpass-file . is not a file", "first line is the password"]),
];

#[rustfmt::skip]
const ARCHIVES: &[Case] = &[
    bad("--suite bokworm", CONFIG, &["bokworm", "bookworm"]),
    bad("--suite bokworm --hostname a_b --ip 10.0.0.300 --rootsize lots --addpkg Nginx --copy nowhere", CONFIG,
        &["6 problems", "bokworm", "a_b", "10.0.0.300", "lots", "Nginx", "nowhere"]),
    bad("--suite jammy", CONFIG, &["jammy", "ubuntu"]),
    bad("--suite squeeze", CONFIG, &["squeeze", "2016", "--suite"]),
    bad("--suite 6.0", CONFIG, &["6.0", "squeeze"]),
    bad("--arch amd46", CONFIG, &["amd46", "amd64"]),
    bad("--arch s390x", CONFIG, &["s390x", "amd64"]),
    bad("--flavour clod", CONFIG, &["clod", "cloud"]),
    bad("--variant full", CONFIG, &["full", "minbase"]),
    bad("--components main␣contrib", CONFIG, &["main,contrib"]),
    bad("--components nonfree", CONFIG, &["nonfree", "non-free"]),
    bad("--mirror nonsense", CONFIG, &["--mirror", "nonsense", "http://"]),
    bad("--mirror ftp://ftp.example/debian", CONFIG, &["--mirror", "ftp://", "http://"]),
    bad("--mirror none", CONFIG, &["--mirror", "none"]),
    bad("--security-mirror nonsense", CONFIG, &["--security-mirror", "nonsense", "none"]),
    bad("--install-mirror nonsense", CONFIG, &["--install-mirror"]),
    bad("--install-security-mirror nonsense", CONFIG, &["--install-security-mirror"]),
    bad("--proxy localhost:3142", CONFIG, &["localhost:3142", "http://host:port"]),
    bad("--keyring nowhere.gpg", CONFIG, &["--keyring", "nowhere.gpg"]),
    bad("--keyring .", CONFIG, &["--keyring"]),
    bad("--ppa owner/name", USAGE, &["--ppa"]),
    bad("ubuntu --suite jammy --ppa a/b/c", CONFIG, &["--ppa"]),
    bad("ubuntu --suite jammy --components contrib", CONFIG, &["contrib", "universe"]),
    bad("ubuntu --suite lucid", CONFIG, &["lucid", "10.04", "2015"]),
    bad("--iso nowhere.iso", CONFIG, &["--iso"]),
    bad("--iso motd", CONFIG, &["--iso"]),
    bad("--debootstrap-tarball nowhere.tar", CONFIG, &["--debootstrap-tarball"]),
    bad("--debootstrap-tarball motd", CONFIG, &["--debootstrap-tarball"]),
    bad("--bootstrap cdebootstrap", USAGE, &["--bootstrap", "debootstrap"]),
    bad("--seedfile nowhere", CONFIG, &["--seedfile"]),
    file("--seedfile bad", b"postfix\n", &["--seedfile"]),
];

#[rustfmt::skip]
const PACKAGES: &[Case] = &[
    bad("--addpkg Nginx", CONFIG, &["Nginx", "name=version"]),
    bad("--addpkg x;y", CONFIG, &["x;y"]),
    bad("--addpkg vim;curl", CONFIG, &["A list has commas: vim,curl"]),
    bad("--addpkg vim␣curl", CONFIG, &["A list has commas: vim,curl"]),
    bad("--addpkg ?essential", CONFIG, &["?essential"]),
    bad("--addpkg --yes", USAGE, &["--yes"]),
    bad("--addpkg=--yes", CONFIG, &["--yes"]),
    bad("--removepkg ../x", CONFIG, &["../x"]),
    bad("--addpkg vim --removepkg vim", CONFIG, &["vim", "--removepkg"]),
    bad("--removepkg systemd-sysv", CONFIG, &["systemd-sysv", "--removepkg"]),
];

#[rustfmt::skip]
const SCRIPTS: &[Case] = &[
    bad("--firstboot nowhere.sh", CONFIG, &["--firstboot", "nowhere.sh"]),
    bad("--firstboot .", CONFIG, &["--firstboot"]),
    bad("--firstboot motd", CONFIG, &["--firstboot", "motd", "#!/bin/sh"]),
    file("--firstboot bad", b"#!/bin/sh\r\necho hello\r\n", &["--firstboot", "Windows"]),
    file("--firstlogin bad", b"\x7fELF\x02\x01\x01\x00\xff", &["--firstlogin"]),
    bad("--exec nowhere.sh", CONFIG, &["--exec"]),
    bad("--exec setup.sh", CONFIG, &["--exec"]),
    bad("--exec .", CONFIG, &["--exec"]),
    bad("--templates folders", CONFIG, &["the template folders/debian/hosts.tmpl is not a file", "A template is a text file"]),
    bad("--templates nowhere", CONFIG, &["--templates"]),
    bad("--templates motd", CONFIG, &["--templates"]),
    bad("--ssh-key nowhere.pub", CONFIG, &["--ssh-key", "nowhere.pub"]),
    file("--ssh-key bad", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", &["--ssh-key", "private key", ".pub"]),
    file("--ssh-user-key bad", b"not a key\n", &["--ssh-user-key", "line 1 is no public key"]),
    file("--ssh-user-key bad", b"# nothing\n", &["--ssh-user-key", "no key"]),
];

#[rustfmt::skip]
const PLACES: &[Case] = &[
    bad("--destdir .", CONFIG, &["current directory", "--destdir"]),
    bad("--destdir ..", CONFIG, &["--destdir"]),
    bad("--destdir motd", CONFIG, &["motd", "--destdir"]),
    bad("--destdir motd --overwrite", CONFIG, &["motd", "--destdir"]),
    bad("--tmp nowhere", CONFIG, &["nowhere"]),
    bad("--manifest nowhere/packages.txt", CONFIG, &["--manifest"]),
    bad("--chroot-dir motd", CONFIG, &["--chroot-dir"]),
    bad("--chroot-dir tree --tmpfs 1024", USAGE, &["--chroot-dir", "--tmpfs"]),
    bad("--existing-chroot fifo", CONFIG, &["fifo", "is not a directory"]),
    bad("--existing-chroot nowhere", CONFIG, &["--existing-chroot"]),
    bad("--existing-chroot motd", CONFIG, &["--existing-chroot"]),
    bad("--existing-chroot . --only-chroot", USAGE, &["--existing-chroot", "--only-chroot"]),
    bad("--libvirt nonsense", CONFIG, &["--libvirt"]),
    bad("--ec2", CONFIG, &["--ec2"]),
    bad("--sute trixie", USAGE, &["--sute", "--suite"]),
    bad("more", USAGE, &["more"]),
    bad("--quiet --verbose", USAGE, &["--quiet", "--verbose"]),
    bad("--progress loud", USAGE, &["loud", "plain"]),
];

/// Runs the cases, and fails with all that were answered wrongly.
#[track_caller]
fn refuses(cases: &[Case]) {
    let faults: Vec<String> = cases.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{} answers are wrong:\n{}", faults.len(), faults.join("\n\n"));
}

/// What is wrong with the answer to a case: its exit code, its words, its time, or what it left.
fn fault(case: &Case) -> Option<String> {
    let desk = Desk::anyway();
    if let Some((name, content)) = case.file {
        std::fs::write(desk.work().join(name), content).expect("writing the file");
    }
    run(program("mkfifo").arg(desk.work().join("fifo"))).well();
    for name in ["hosts", "fstab"] {
        let template = desk.work().join(format!("folders/debian/{name}.tmpl"));
        std::fs::create_dir_all(template).expect("making a directory");
    }
    let before = everything_below(&desk.room());
    let mut answer = ask(&desk, case);
    if answer.elapsed > AT_ONCE {
        // The machine may have been busy with something else; rvmb is not slow twice by chance.
        answer = ask(&desk, case);
    }
    let told = &answer.stderr;
    let (code, says): (_, Vec<&str>) = match coming(case, told) {
        Some(option) => (CONFIG, vec![option]),
        None => (case.code, case.says.to_vec()),
    };
    let mut faults = Vec::new();
    if answer.status.code() != Some(code) {
        faults.push(format!("wanted exit code {code}"));
    }
    faults
        .extend(says.iter().filter(|word| !told.contains(**word)).map(|word| format!("nothing of {word:?}")));
    if !CURES.iter().any(|cure| told.contains(cure)) {
        faults.push("no cure".to_owned());
    }
    if answer.elapsed > AT_ONCE {
        faults.push(format!("not within {AT_ONCE:?}"));
    }
    let left: Vec<PathBuf> = everything_below(&desk.room()).difference(&before).cloned().collect();
    if !left.is_empty() {
        faults.push(format!("left {left:?}"));
    }
    (!faults.is_empty()).then(|| format!("{}\n{answer}", faults.join("; ")))
}

/// The option of the case, where it is refused because nothing acts on it yet, whatever its value.
fn coming(case: &Case, told: &str) -> Option<&'static str> {
    let options = case.words.split(' ').map(|word| word.split('=').next().unwrap_or(word));
    options
        .filter(|option| is_coming(option))
        .find(|option| told.contains(&format!("{option} is not available yet")))
}

fn ask(desk: &Desk, case: &Case) -> Finished {
    let (distro, given) = match case.words.strip_prefix("ubuntu ") {
        Some(given) => ("ubuntu", given),
        None => ("debian", case.words),
    };
    let given: Vec<String> = given.split(' ').map(|word| word.replace('␣', " ")).collect();
    let mut words: Vec<String> = ["kvm", distro, "--suite", "bookworm"].map(str::to_owned).into();
    let is_given = |option: &str| given.iter().any(|word| word.split('=').next() == Some(option));
    let scratch = desk.room().join("scratch").display().to_string();
    let defaults = [
        ("--mirror", NOWHERE),
        ("--security-mirror", NOWHERE),
        ("--tmp", &scratch),
        ("--cache-dir", "cache"),
    ];
    words.extend(
        defaults.iter().filter(|(name, _)| !is_given(name)).map(|(name, value)| format!("{name}={value}")),
    );
    if is_given("--suite") {
        words.retain(|word| word != "--suite" && word != "bookworm");
    }
    words.extend(given);
    desk.run("rvmb", &words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Every path below a directory.
fn everything_below(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("reading a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("its type").is_dir() {
            found.extend(everything_below(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

#[test]
fn of_sizes() {
    refuses(SIZES);
}

#[test]
fn of_networks() {
    refuses(NETWORKS);
}

#[test]
fn of_disks() {
    refuses(DISKS);
}

#[test]
fn of_configuration_files() {
    refuses(CONFIGURATIONS);
}

#[test]
fn of_copy_lists() {
    refuses(COPY_LISTS);
}

#[test]
fn of_names() {
    refuses(NAMES);
}

#[test]
fn of_archives() {
    refuses(ARCHIVES);
}

#[test]
fn of_packages() {
    refuses(PACKAGES);
}

#[test]
fn of_scripts_and_keys() {
    refuses(SCRIPTS);
}

#[test]
fn of_places_and_words() {
    refuses(PLACES);
}
