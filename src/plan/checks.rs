//! Checks of single settings. Pure: a text in, the reason why it cannot be out.

use std::collections::BTreeSet;
use std::path::Path;

use super::archive::NO_SECURITY;
use crate::error::{Error, Result};
use crate::host::access::without_login;
use crate::host::named_file::NamedFile;
use crate::near;

/// The locales of glibc, `NAME CHARSET`, as its localedata/SUPPORTED lists them.
const LOCALES: &str = include_str!("locales.txt");

/// Users and groups of every system: those of base-passwd (passwd.master and group.master), and those that
/// the packages of a minimal machine make (systemd, dbus, openssh, cron and sudo, of all releases).
const SYSTEM_NAMES: [&str; 65] = [
    "_apt",
    "_chrony",
    "_ssh",
    "adm",
    "audio",
    "backup",
    "bin",
    "cdrom",
    "clock",
    "crontab",
    "daemon",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "gnats",
    "input",
    "irc",
    "kmem",
    "kvm",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "netdev",
    "news",
    "nobody",
    "nogroup",
    "operator",
    "plugdev",
    "polkitd",
    "proxy",
    "render",
    "root",
    "sasl",
    "sgx",
    "shadow",
    "src",
    "ssh",
    "ssl-cert",
    "sshd",
    "staff",
    "sudo",
    "sync",
    "sys",
    "syslog",
    "systemd-bus-proxy",
    "systemd-coredump",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "tape",
    "tss",
    "tty",
    "users",
    "utmp",
    "uucp",
    "uuidd",
    "video",
    "voice",
    "www-data",
];

/// The zones of tzdata-legacy, a name on each line; a `#` begins a line that says where they come from.
const LEGACY_ZONES: &str = include_str!("legacy-zones.txt");

/// What a file of keys is to hold.
const PUBLIC_KEYS: &str =
    "Write a public key on each line, as ssh-keygen leaves it in the file whose name ends in .pub.";

/// Longest text that is read; what is larger belongs into a package, or is fetched by a script.
const TEXT_LIMIT: u64 = 1024 * 1024;

/// One label of a host name, RFC 1123 section 2.1.
pub(super) fn hostname(name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is not a host name")).hint(
        "A host name has 1 to 63 letters, digits and hyphens; put what follows its first dot into --domain.",
    ))
}

/// A domain: labels with dots between them.
pub(super) fn domain(name: &str) -> Result<()> {
    if name.len() <= 253 && name.split('.').all(|label| hostname(label).is_ok()) {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is not a domain"))
        .hint("A domain is host names with dots between them, such as example.org."))
}

/// A log-in name that useradd of every release takes.
pub(super) fn user_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let fits = starts
        && name.len() <= 32
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if !fits {
        return Err(Error::config(format!("`{name}` is not a user name"))
            .hint("A user name has at most 32 lower-case letters, digits, hyphens and underscores, and starts with a letter."));
    }
    if name == "root" {
        return Err(Error::config("the first user cannot be root")
            .hint("Give root a password with --rootpass, or a key with --ssh-key."));
    }
    if SYSTEM_NAMES.contains(&name) {
        return Err(Error::config(format!(
            "the first user cannot be `{name}`: the system has a user or group of that name"
        ))
        .hint("Choose another name with --user."));
    }
    Ok(())
}

/// The GECOS field: what would break /etc/passwd is refused.
pub(super) fn full_name(name: &str) -> Result<()> {
    if name.contains([':', ',']) || name.chars().any(char::is_control) {
        return Err(Error::config(format!(
            "`{name}` cannot be a full name: it has a colon, a comma or a control character"
        ))
        .hint("Leave them out: /etc/passwd parts its fields with the one, and what is known of a user with the other."));
    }
    Ok(())
}

/// The value of `SOURCE_DATE_EPOCH` (reproducible-builds.org's specification): seconds since 1970.
pub(super) fn epoch(text: &str) -> Result<i64> {
    let seconds = text.parse::<u64>().ok().and_then(|seconds| i64::try_from(seconds).ok());
    seconds.ok_or_else(|| {
        Error::config(format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds since 1970"))
            .hint("Set it as `date +%s` prints it, or unset it.")
    })
}

/// A locale's name as glibc writes its character set: `de_DE.utf8` and `de_DE.UTF8` are the same.
pub(super) fn spell_locale(name: &str) -> String {
    let (language, rest) = name.split_once('.').unwrap_or((name, ""));
    let (charset, modifier) =
        rest.split_once('@').map_or((rest, None), |(charset, modifier)| (charset, Some(modifier)));
    if !["utf8", "utf-8"].contains(&charset.to_lowercase().as_str()) {
        return name.to_owned();
    }
    let modifier = modifier.map(|modifier| format!("@{modifier}")).unwrap_or_default();
    format!("{language}.UTF-8{modifier}")
}

/// A locale that glibc knows; returns its line for /etc/locale.gen.
pub(super) fn locale(name: &str) -> Result<Option<&'static str>> {
    let wanted = spell_locale(name);
    if matches!(wanted.as_str(), "C" | "POSIX" | "C.UTF-8") {
        return Ok(None);
    }
    if let Some(line) = LOCALES.lines().find(|line| line.split(' ').next() == Some(wanted.as_str())) {
        return Ok(Some(line));
    }
    let known = LOCALES.lines().filter_map(|line| line.split(' ').next());
    Err(with_near_matches(Error::config(format!("there is no locale `{name}`")), &wanted, known))
}

/// A time zone of the IANA database.
pub(super) fn timezone(name: &str) -> Result<()> {
    let known: BTreeSet<String> =
        jiff::tz::TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    if known.contains(name) {
        return Ok(());
    }
    let known = known.iter().map(String::as_str);
    Err(with_near_matches(Error::config(format!("there is no time zone `{name}`")), name, known)
        .hint("Time zones are named like Europe/Berlin or UTC."))
}

/// Whether a zone's name is one that newer releases keep in a package of its own, such as US/Eastern.
pub(super) fn is_legacy_zone(name: &str) -> bool {
    LEGACY_ZONES.lines().any(|line| line == name)
}

/// An address of a mirror.
pub(super) fn mirror(option: &str, address: &str) -> Result<()> {
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]\"'".contains(&byte));
    let known = ["http://", "https://", "file:/", "copy:/"].iter().any(|scheme| address.starts_with(scheme));
    let may_be_left_out = option == "--security-mirror";
    if (plain && known) || (may_be_left_out && address == NO_SECURITY) {
        return Ok(());
    }
    let or_none = if may_be_left_out { ", or none to leave its packages out" } else { "" };
    Err(Error::config(format!("`{}` is not the address of a mirror", without_login(address)))
        .hint(format!("Write {option} as http://host/path, https://host/path or file:/path{or_none}.")))
}

/// A proxy is reached by http or https.
pub(super) fn proxy(address: &str) -> Result<()> {
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'".contains(&byte));
    let host = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    if plain && host.is_some_and(|host| !host.is_empty()) {
        return Ok(());
    }
    Err(Error::config(format!("`{}` is not the address of a proxy", without_login(address)))
        .hint("Write --proxy as http://host:port."))
}

/// Reads a script that runs in the guest. It must be a text file with an interpreter line.
pub(super) fn script(option: &str, path: &Path) -> Result<String> {
    let content = text_file(option, path)?;
    if !content.starts_with("#!") {
        return Err(Error::config(format!(
            "{option} {} does not start with an interpreter line",
            path.display()
        ))
        .hint("Put `#!/bin/sh` on its first line."));
    }
    if content.split('\n').next().is_some_and(|line| line.ends_with('\r')) {
        return Err(Error::config(format!("{option} {} has line ends of Windows", path.display()))
            .hint("No interpreter is found by that first line: convert it with `sed -i 's/\\r$//'`."));
    }
    Ok(content)
}

/// Reads public keys, one per line as in authorized_keys (sshd(8)).
pub(super) fn keys(option: &str, path: &Path) -> Result<Vec<String>> {
    let content = text_file(option, path)?;
    if content.contains("PRIVATE KEY") {
        return Err(Error::config(format!("{option} {} holds a private key", path.display()))
            .hint("Name the public key, whose file name ends in .pub."));
    }
    let lines = content.lines().map(str::trim).zip(1..);
    let lines: Vec<(&str, usize)> =
        lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).collect();
    let is_key = |line: &str| line.split_whitespace().any(|word| word.starts_with("AAAA"));
    match lines.iter().find(|(line, _)| !is_key(line)) {
        // What it says may be a password.
        Some((_, number)) => {
            Err(Error::config(format!("{option} {}: line {number} is no public key", path.display()))
                .hint(PUBLIC_KEYS))
        }
        None if lines.is_empty() => {
            Err(Error::config(format!("{option} {} holds no key", path.display())).hint(PUBLIC_KEYS))
        }
        None => Ok(lines.into_iter().map(|(line, _)| line.to_owned()).collect()),
    }
}

/// Reads a text file of at most 1 MiB, which `option` names.
pub(super) fn text_file(option: &str, path: &Path) -> Result<String> {
    let cure = format!("{option} takes the name of a file of at most 1 MiB.");
    let no_text = "A program goes into a package, or is fetched by a script.";
    text_of(NamedFile { option, path, cure: &cure }, no_text)
}

/// Reads a text file; `no_text` is what to do where it is none.
pub(super) fn text_of(file: NamedFile<'_>, no_text: &str) -> Result<String> {
    let shown = || format!("{} {}", file.option, file.path.display());
    let bytes = file.read(TEXT_LIMIT)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::config(format!("{} is not a text file", shown())).hint(no_text))
}

/// What to do about a word where several are meant: they are parted by signs that part no list. `is_item` says of
/// a word whether it could be an item.
pub(super) fn list_hint(text: &str, signs: &[char], is_item: impl Fn(&str) -> bool) -> Option<String> {
    let items: Vec<&str> = text.split(signs).filter(|item| !item.is_empty()).collect();
    (items.len() > 1 && items.iter().all(|item| is_item(item)))
        .then(|| format!("A list has commas: {}.", items.join(",")))
}

/// Adds names that are near a wrong one.
pub(super) fn with_near_matches<'a>(
    error: Error,
    wrong: &str,
    known: impl Iterator<Item = &'a str>,
) -> Error {
    match near::question(wrong, known) {
        Some(question) => error.hint(question),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_text_that_an_interpreter_is_found_for() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("setup.sh");
        let cases: [(&[u8], Option<&str>); 5] = [
            (b"#!/bin/sh\ntrue\n", None),
            (b"#!/bin/sh", None),
            (b"true\n", Some("interpreter line")),
            (b"#!/bin/sh\r\ntrue\r\n", Some("Windows")),
            (b"#!\xff\xfe\n", Some("not a text file")),
        ];
        for (content, wrong) in cases {
            std::fs::write(&path, content).unwrap();
            let answer = script("--firstboot", &path).map_err(|error| error.message().to_owned());
            assert_eq!(answer.is_ok(), wrong.is_none(), "{answer:?}");
            assert!(answer.map_or_else(|error| error.contains(wrong.unwrap_or("?")), |_| true));
        }
    }

    #[test]
    fn a_proxy_is_an_address_with_its_scheme() {
        for good in ["http://proxy.example:3142", "https://u:p@proxy.example"] {
            assert!(proxy(good).is_ok(), "{good}");
        }
        for wrong in ["nonsense", "localhost:9", "http://", "ftp://x", "http://a b", "http://a\"b"] {
            assert!(proxy(wrong).unwrap_err().hints()[0].contains("http://host:port"), "{wrong}");
        }
    }

    #[test]
    fn names_of_hosts_and_users() {
        for good in ["vm", "a-1", "X"] {
            assert!(hostname(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
        for good in ["bob", "admin", "ubuntu", "_me", "u-1"] {
            assert!(user_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Bob", "1a", "root", "a b", "a:b", "-x"] {
            assert!(user_name(bad).is_err(), "{bad}");
        }
        for taken in ["backup", "www-data", "sudo", "adm", "_apt", "nogroup", "systemd-network"] {
            let error = user_name(taken).unwrap_err();
            assert!(error.message().contains("the system has") && !error.hints().is_empty(), "{taken}");
        }
    }

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(epoch("1757151000").unwrap(), 1_757_151_000);
        for wrong in ["", "-1", "now", "1.5", "18446744073709551615"] {
            assert!(epoch(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn locales_and_zones_are_known_ones() {
        for name in ["de_DE.UTF-8", "de_DE.utf8", "de_DE.UTF8"] {
            assert_eq!(locale(name).unwrap(), Some("de_DE.UTF-8 UTF-8"), "{name}");
        }
        assert_eq!(spell_locale("ca_ES.utf8@valencia"), "ca_ES.UTF-8@valencia");
        assert_eq!(locale("C.UTF-8").unwrap(), None);
        assert!(locale("de_DD.UTF-8").unwrap_err().hints()[0].contains("de_DE.UTF-8"));
        assert!(timezone("Europe/Berlin").is_ok());
        assert!(timezone("UTC").is_ok());
        assert!(timezone("europe/berlin").unwrap_err().hints()[0].contains("Europe/Berlin"));
        assert!(timezone("../../etc/passwd").is_err());
    }

    #[test]
    fn legacy_zones_are_those_of_their_package() {
        for legacy in ["US/Eastern", "Europe/Kiev", "Asia/Calcutta", "America/Buenos_Aires", "EST", "Zulu"] {
            assert!(is_legacy_zone(legacy), "{legacy}");
        }
        for current in ["UTC", "GMT", "Factory", "Etc/GMT+5", "Europe/Kyiv", "America/Argentina/Buenos_Aires"]
        {
            assert!(!is_legacy_zone(current), "{current}");
        }
        let unknown: Vec<&str> =
            LEGACY_ZONES.lines().filter(|line| !line.starts_with('#') && timezone(line).is_err()).collect();
        assert!(unknown.is_empty(), "nobody can ask for {unknown:?}");
    }

    #[test]
    fn keys_and_scripts_are_looked_into() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let with = |content: &str| std::fs::write(&path, content).unwrap();
        with("ssh-ed25519 AAAAC3Nz bob@laptop\n\n# note\n");
        assert_eq!(keys("--ssh-key", &path).unwrap().len(), 1);
        with("# note\n\nhunter2\n");
        let error = keys("--ssh-key", &path).unwrap_err().to_string();
        assert!(error.contains("line 3") && !error.contains("hunter2"), "{error}");
        with("-----BEGIN OPENSSH PRIVATE KEY-----\n");
        assert!(keys("--ssh-key", &path).is_err());
        with("echo hello\n");
        assert!(script("--firstboot", &path).is_err());
        with("#!/bin/sh\necho hello\n");
        assert!(script("--firstboot", &path).is_ok());
        assert!(script("--firstboot", directory.path()).is_err());
        assert!(script("--firstboot", &directory.path().join("none")).is_err());
    }

    #[test]
    fn only_the_security_mirror_can_be_none() {
        assert!(mirror("--security-mirror", "none").is_ok());
        assert!(mirror("--security-mirror", "http://m.example/debian-security").is_ok());
        assert!(mirror("--mirror", "none").is_err());
        let error = mirror("--security-mirror", "nothing").unwrap_err();
        assert!(error.hints()[0].contains("none"));
    }
}
