//! How this host reaches the mirrors: proxies, log-ins, and what its apt is told of certificates and
//! protocols.
//!
//! Addresses carry log-ins (`http://user:password@host`), and addresses are published: in the plan, the
//! manifest, the log, the guest's sources. So log-ins are taken out of addresses as soon as mirrors and
//! proxies are chosen, and kept in an [`Access`], which is never published. Programs get them by files
//! that only their user can read and that go with the program, or by their environment; never by argv.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apt::{self, Apt};
use super::run::{Command, Runner};
use super::tree;
use crate::error::{Context, Error, Kind, Result};

/// Variables by which apt's methods find a proxy where no setting names one, and which hosts need none.
const VARIABLES: [&str; 3] = ["http_proxy", "https_proxy", "no_proxy"];

/// How this host reaches the mirrors. Holds log-ins.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// apt's settings, `Name=value`.
    settings: Vec<String>,
    /// Variables of [`VARIABLES`] with their values.
    environment: Vec<(String, String)>,
    logins: Vec<Login>,
}

/// A log-in at a mirror.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    /// The mirror's address without it.
    address: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access(…)")
    }
}

impl Access {
    /// What the host's apt would use, or the user's own proxy instead of all that it has.
    pub fn of_host(proxy: Option<&str>, runner: &Runner) -> Result<Access> {
        let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let environment = VARIABLES.into_iter().filter_map(variable).collect();
        Ok(Access::choose(proxy, apt::host_options(runner)?, environment))
    }

    fn choose(proxy: Option<&str>, host: Vec<String>, environment: Vec<(String, String)>) -> Access {
        let Some(proxy) = proxy else {
            return Access { settings: host, environment, logins: Vec::new() };
        };
        let mut settings: Vec<String> = host.into_iter().filter(|setting| !is_proxy(setting)).collect();
        settings.extend(["http", "https"].map(|method| format!("Acquire::{method}::Proxy={proxy}")));
        Access { settings, environment: Vec::new(), logins: Vec::new() }
    }

    /// Takes the log-in out of a mirror's address; returns the address without it.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for a log-in that apt's files cannot hold.
    pub fn take_login(&mut self, address: &str) -> Result<String> {
        let (address, Some(userinfo)) = split(address) else { return Ok(address.to_owned()) };
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let (user, password) = (decode(user), decode(password));
        // auth.conf has no quotes.
        let broken = |text: &str| text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
        if user.is_empty() || broken(&user) || broken(&password) {
            return Err(Error::config(format!("the log-in for {address} cannot be given to apt"))
                .hint("User name and password must not be empty or have spaces in them."));
        }
        let login = Login { address: address.clone(), user, password };
        if !self.logins.contains(&login) {
            self.logins.push(login);
        }
        Ok(address)
    }

    /// Whether a mirror wants a log-in.
    pub fn has_login(&self, address: &str) -> bool {
        self.logins.iter().any(|login| login.address == address)
    }

    /// The settings that say nothing about proxies, and so may be published.
    pub fn public_settings(&self) -> Vec<String> {
        self.settings.iter().filter(|setting| !is_proxy(setting)).cloned().collect()
    }

    /// The proxy that apt takes for an address, with its log-in; the order is that of apt's
    /// methods/basehttp.cc and methods/http.cc.
    pub fn proxy_for(&self, address: &str) -> Option<&str> {
        let (scheme, rest) = address.split_once("://")?;
        let methods: &[&str] = match scheme {
            "http" => &["http"],
            // What is not set for https is taken from http.
            "https" => &["https", "http"],
            _ => return None,
        };
        let authority = rest.split('/').next().unwrap_or(rest);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
        let set = |suffix: &str| {
            methods.iter().find_map(|method| self.setting(&format!("Acquire::{method}::Proxy{suffix}")))
        };
        let proxy = set(&format!("::{host}"))
            .or_else(|| set(""))
            .or_else(|| self.variable(&format!("{scheme}_proxy")))?;
        let is_direct = proxy.is_empty() || proxy == "DIRECT" || proxy == "false";
        (!is_direct && !self.is_near(host)).then_some(proxy)
    }

    /// Whether no_proxy names a host, by the end of its name.
    fn is_near(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let near = self.variable("no_proxy").unwrap_or_default().to_lowercase();
        near.split(',').any(|end| !end.is_empty() && host.ends_with(end))
    }

    fn setting(&self, wanted: &str) -> Option<&str> {
        let value = |setting: &'_ String| -> Option<usize> {
            let (name, _) = setting.split_once('=')?;
            name.eq_ignore_ascii_case(wanted).then_some(name.len() + 1)
        };
        self.settings.iter().rev().find_map(|setting| setting.get(value(setting)?..))
    }

    fn variable(&self, wanted: &str) -> Option<&str> {
        self.environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// Makes a configuration of apt's reach the network, until what is returned is dropped.
    pub fn open(&self, apt: &Apt) -> Result<Opened> {
        let context = || "preparing apt's access to the network".to_owned();
        // In the place that the caller has locked: what a killed rvmb left there goes now.
        let directory = apt.directory().join("access");
        tree::remove(&directory)?;
        DirBuilder::new().mode(0o700).create(&directory).context(Kind::Host, context)?;
        let guard = Files(directory);
        let configuration = guard.0.join("apt.conf");
        let logins = guard.0.join("auth.conf");
        let text = self.configuration(&apt.configuration(), &logins);
        write_private(&configuration, &text).context(Kind::Host, context)?;
        write_private(&logins, &self.auth_conf()).context(Kind::Host, context)?;
        Ok(Opened { configuration, environment: self.environment.clone(), _files: guard })
    }

    /// apt.conf(5).
    fn configuration(&self, base: &Path, logins: &Path) -> String {
        let mut text = format!("#include \"{}\";\n", base.display());
        for (name, value) in self.settings.iter().filter_map(|setting| setting.split_once('=')) {
            text += &apt::setting(name, value);
            text.push('\n');
        }
        text + &apt::setting("Dir::Etc::netrc", &logins.display().to_string()) + "\n"
    }

    /// apt_auth.conf(5). Without a scheme an entry would not hold for http. The slash keeps the log-in
    /// for `/debian` away from `/debian-security`.
    fn auth_conf(&self) -> String {
        let line = |login: &Login| {
            let Login { address, user, password } = login;
            let password = if password.is_empty() { String::new() } else { format!(" password {password}") };
            format!("machine {}/ login {user}{password}\n", address.trim_end_matches('/'))
        };
        self.logins.iter().map(line).collect()
    }
}

/// A configuration of apt's that reaches the network. Its files go when it is dropped.
#[derive(Debug)]
pub struct Opened {
    configuration: PathBuf,
    environment: Vec<(String, String)>,
    _files: Files,
}

#[derive(Debug)]
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // What stays is readable by its owner alone, and goes at the next use.
        let _ = tree::remove(&self.0);
    }
}

impl Opened {
    /// A program of apt's under this configuration.
    pub fn command(&self, runner: &Runner, program: &str) -> Command {
        let command = runner.command(program).env("APT_CONFIG", &self.configuration);
        self.environment.iter().fold(command, |command, (name, value)| command.env(name, value))
    }
}

/// An address without its log-in, for what is published.
pub fn without_login(address: &str) -> String {
    split(address).0
}

/// An address without its log-in, and the log-in. An address without a scheme is a host.
fn split(address: &str) -> (String, Option<&str>) {
    let start = address.find("://").map_or(0, |position| position + 3);
    let (scheme, rest) = address.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((userinfo, host)) => (format!("{scheme}{host}{path}"), Some(userinfo)),
        None => (address.to_owned(), None),
    }
}

/// Undoes percent-encoding (RFC 3986 section 2.1); what is none stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_proxy(setting: &str) -> bool {
    let name = setting.split('=').next().unwrap_or_default().to_lowercase();
    ["acquire::http::proxy", "acquire::https::proxy"].iter().any(|proxy| name.starts_with(proxy))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn the_users_proxy_takes_the_place_of_all_of_the_hosts() {
        let host = texts(&[
            "Acquire::Retries=5",
            "Acquire::http::Proxy=http://old:1",
            "Acquire::http::Proxy::m.example=DIRECT",
            "Acquire::https::Proxy=http://old:2",
        ]);
        let environment = variables(&[("http_proxy", "http://old:3"), ("no_proxy", "m.example")]);
        let access = Access::choose(Some("http://new:4"), host, environment);
        for address in ["http://m.example/debian", "https://n.example/debian"] {
            assert_eq!(access.proxy_for(address), Some("http://new:4"), "{address}");
        }
        assert_eq!(access.public_settings(), ["Acquire::Retries=5"]);
        let text = access.configuration(Path::new("/base"), Path::new("/logins"));
        assert!(!text.contains("old"), "{text}");
    }

    #[test]
    fn the_hosts_proxy_is_found_as_apt_finds_it() {
        let set = ["Acquire::http::Proxy=http://set:1"].as_slice();
        let per_host =
            ["Acquire::http::Proxy=http://set:1", "acquire::http::proxy::m.example=DIRECT"].as_slice();
        let own = ["Acquire::http::Proxy=http://set:1", "Acquire::https::Proxy=http://own:1"].as_slice();
        let environment = [("http_proxy", "http://var:1")].as_slice();
        let excepted = [("http_proxy", "http://var:1"), ("no_proxy", "localhost,Example")].as_slice();
        for (settings, variables_set, address, expected) in [
            (&[][..], &[][..], "http://m.example/d", None),
            (set, &[], "http://m.example/d", Some("http://set:1")),
            (set, environment, "http://m.example/d", Some("http://set:1")),
            (set, &[], "https://m.example/d", Some("http://set:1")),
            (own, &[], "https://m.example/d", Some("http://own:1")),
            (per_host, &[], "http://m.example:80/d", None),
            (per_host, &[], "http://n.example/d", Some("http://set:1")),
            (&[], environment, "http://m.example/d", Some("http://var:1")),
            (&[], environment, "https://m.example/d", None),
            (&[], excepted, "http://m.example/d", None),
            (set, &[], "file:/srv/d", None),
        ] {
            let access = Access::choose(None, texts(settings), variables(variables_set));
            assert_eq!(access.proxy_for(address), expected, "{settings:?} {variables_set:?} {address}");
        }
    }

    #[test]
    fn logins_are_taken_out_of_addresses() {
        for (address, expected, login) in [
            ("http://m.example/debian", "http://m.example/debian", None),
            ("http://u:p@m.example:80/debian", "http://m.example:80/debian", Some("u:p")),
            ("https://a@b.example:p@m.example", "https://m.example", Some("a@b.example:p")),
            ("http://m.example/a@b", "http://m.example/a@b", None),
            ("u:p@proxy:3128", "proxy:3128", Some("u:p")),
            ("proxy:3128", "proxy:3128", None),
            ("file:/srv/debian", "file:/srv/debian", None),
        ] {
            assert_eq!(split(address), (expected.to_owned(), login), "{address}");
        }
    }

    #[test]
    fn logins_go_to_apt_and_to_nobody_else() {
        let mut access = Access::choose(Some("http://u:geheim@proxy:1"), Vec::new(), Vec::new());
        let address = access.take_login("http://bob:s%40cret%25@m.example/debian/").unwrap();
        assert_eq!(access.take_login("http://n.example/debian").unwrap(), "http://n.example/debian");
        assert_eq!(access.take_login("http://bob@n.example/x").unwrap(), "http://n.example/x");
        assert_eq!(address, "http://m.example/debian/");
        assert!(access.has_login(&address) && !access.has_login("http://n.example/debian"));
        assert_eq!(
            access.auth_conf(),
            "machine http://m.example/debian/ login bob password s@cret%\n\
             machine http://n.example/x/ login bob\n"
        );
        assert!(!format!("{access:?}{:?}", access.public_settings()).contains("geheim"));

        let directory = tempfile::tempdir().unwrap();
        let opened = access.open(&Apt::open(directory.path())).unwrap();
        let text = std::fs::read_to_string(&opened.configuration).unwrap();
        assert!(text.contains("geheim") && text.starts_with("#include "), "{text}");
        let mode = std::fs::metadata(&opened.configuration).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = opened.configuration.clone();
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn a_login_that_apt_cannot_hold_is_refused_without_telling_it() {
        for address in
            ["http://u:p%20w@m.example/d", "http://:geheim@m.example/d", "http://u%0a:geheim@m.example/"]
        {
            let error = Access::default().take_login(address).unwrap_err();
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn percent_encoding_is_undone() {
        for (text, expected) in
            [("a%20b", "a b"), ("100%", "100%"), ("%zz%41", "%zzA"), ("%C3%A4", "ä"), ("%ä", "%ä")]
        {
            assert_eq!(decode(text), expected);
        }
    }
}
