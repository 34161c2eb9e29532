//! What is checked inside the guest: the script that does it and the lines that it says.

use std::collections::VecDeque;
use std::net::IpAddr;

use uuid::Uuid;

use super::console;
use super::firmware::Firmware;
use super::promises::Storage;
use super::report::Outcome;
use crate::host::run::quote;
use crate::host::template::fill;
use crate::plan::GuestNetwork;

const SCRIPT: &str = include_str!("guest.sh.in");
/// What every line of the script begins with.
const PREFIX: &str = "rvmb-check ";
/// Bytes of a line that are kept; the script cuts its texts at 2000.
const LONGEST_LINE: usize = 8192;
/// Lines that may wait to be read.
const MOST_LINES: usize = 1000;

/// Every check that the script makes, in its order; `login` is made from the host.
pub(super) const NAMES: [&str; 11] = [
    "multi-user",
    "user",
    "login",
    "units",
    "packages",
    "network",
    "mounts",
    "root-size",
    "first-boot",
    "kernel",
    "firmware",
];

/// What the script has to know.
pub(super) struct Questions {
    /// The user who has to exist; none if nobody knows.
    pub(super) user: Option<String>,
    /// Whether his password is the documented default, his own name.
    pub(super) default_password: bool,
    /// Whether his password has to be locked; none if nobody knows.
    pub(super) locked: Option<bool>,
    /// The password that the script gives him, unless he has the default one.
    pub(super) password: String,
    /// Packages that have to be installed, in apt's words; none if nobody knows.
    pub(super) packages: Option<Vec<String>>,
    /// Whether rvmb built the image, as its manifest says: then nothing may be lacking.
    pub(super) built_by_rvmb: bool,
    /// Whether a script has to run at the first boot.
    pub(super) first_boot: bool,
    /// What has to be mounted and to have grown; none if nobody knows.
    pub(super) storage: Option<Storage>,
    /// The network that it has to be in.
    pub(super) network: GuestNetwork,
    /// What has to have started the guest.
    pub(super) firmware: Firmware,
    /// Seconds until the script no longer waits for the system to have started.
    pub(super) patience: u64,
}

impl Questions {
    /// The script that asks them.
    pub(super) fn script(&self) -> String {
        // What a task stands for is known to the archive alone.
        let named = self.packages.iter().flatten().filter(|word| !word.ends_with('^'));
        let names: Vec<&str> = named.map(|word| package_name(word)).collect();
        let storage = self.storage.clone().unwrap_or_default();
        let mounts: Vec<String> =
            storage.mounts.iter().map(|(mount, kind)| format!("{mount}:{kind}")).collect();
        let growing = match &self.storage {
            // Nothing is known of older manifests, and of images of others.
            Some(storage) if !storage.mounts.is_empty() => storage.growing.join(" "),
            _ => "/".to_owned(),
        };
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let values = [
            ("@USER@", quote(self.user.as_deref().unwrap_or_default())),
            ("@DEFAULT_PASSWORD@", yes_or_no(self.default_password)),
            ("@LOCKED@", self.locked.map_or("unknown".to_owned(), yes_or_no)),
            ("@PASSWORD@", quote(&self.password)),
            ("@PACKAGES@", quote(&names.join(" "))),
            ("@PACKAGES_KNOWN@", yes_or_no(self.packages.is_some())),
            ("@BUILT_BY_RVMB@", yes_or_no(self.built_by_rvmb)),
            ("@FIRST_BOOT@", yes_or_no(self.first_boot)),
            ("@MOUNTS@", quote(&mounts.join(" "))),
            ("@SWAPS@", storage.swaps.to_string()),
            ("@GROWING@", quote(&growing)),
            ("@ADDRESSES@", quote(&self.addresses())),
            ("@ROUTES@", quote(&self.routes())),
            ("@NAME_SERVERS@", quote(&words(&self.network.name_servers))),
            ("@FIRMWARE@", self.firmware.to_string()),
            ("@PATIENCE@", self.patience.to_string()),
        ];
        fill(SCRIPT, &values)
    }

    /// The addresses that the guest has to have; empty for any.
    fn addresses(&self) -> String {
        let fixed = self.network.static_addresses();
        let addresses = fixed.iter().flat_map(|fixed| &fixed.addresses).map(|address| address.address);
        words(&addresses.collect::<Vec<_>>())
    }

    /// The families of which it has to have a default route. DHCP gives one of IPv4.
    fn routes(&self) -> String {
        let Some(fixed) = self.network.static_addresses() else { return "4".to_owned() };
        let family = |address: IpAddr| if address.is_ipv4() { "4" } else { "6" };
        words(&fixed.gateways.iter().map(|gateway| family(gateway.address)).collect::<Vec<_>>())
    }
}

fn words(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A password that nobody can guess, for a machine that lives for minutes.
pub(super) fn throw_away_password() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(Uuid::from_bytes(bytes).simple().to_string())
}

/// The name in apt's words for a package: `name`, `name=version`, `name/suite`.
fn package_name(word: &str) -> &str {
    word.split(['=', '/']).next().unwrap_or(word)
}

/// A line of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The script runs.
    Started,
    /// The host may log in as this user.
    Login(String),
    /// What came of a check.
    Result {
        /// Which, one of [`NAMES`].
        name: &'static str,
        /// What came of it.
        outcome: Outcome,
        /// Details for people.
        detail: String,
    },
    /// Every check was made.
    End,
}

/// Reads one line; none if it is not the script's, or damaged.
pub(super) fn parse_line(line: &str) -> Option<Message> {
    let words = line.trim_end().strip_prefix(PREFIX)?;
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    match (first, rest) {
        ("started", "") => return Some(Message::Started),
        ("end", "") => return Some(Message::End),
        _ => {}
    }
    let (second, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    let outcome = match second {
        "ok" => Outcome::Ok,
        "failed" => Outcome::Failed,
        "skipped" => Outcome::Skipped,
        "" => return None,
        // `login NAME`: a user named `ok` cannot be told apart from an outcome and is never announced so.
        user if first == "login" && detail.is_empty() => return Some(Message::Login(user.to_owned())),
        _ => return None,
    };
    let name = NAMES.into_iter().find(|name| *name == first)?;
    let detail = detail.trim_matches(['|', ' ']).replace('|', " | ");
    Some(Message::Result { name, outcome, detail })
}

/// Makes lines of the bytes of the check channel, in bounded memory. Whoever writes there may be anybody in
/// the guest: what could steer a terminal is taken out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    ended: VecDeque<String>,
}

impl Lines {
    /// Takes bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = console::plain(&self.partial);
                self.partial.clear();
                if self.ended.len() < MOST_LINES {
                    self.ended.push_back(line);
                }
            } else if self.partial.len() < LONGEST_LINE {
                self.partial.push(byte);
            }
        }
    }

    /// The next line that is whole.
    pub(super) fn next(&mut self) -> Option<String> {
        self.ended.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions() -> Questions {
        Questions {
            storage: None,
            user: Some("bob".to_owned()),
            default_password: false,
            locked: Some(false),
            password: "it's".to_owned(),
            packages: Some(vec!["nginx=1.2-3".to_owned(), "curl/trixie-backports".to_owned()]),
            built_by_rvmb: true,
            first_boot: false,
            network: GuestNetwork::default(),
            firmware: Firmware::Uefi,
            patience: 450,
        }
    }

    #[test]
    fn lines_are_read() {
        let result =
            |name, outcome, detail: &str| Some(Message::Result { name, outcome, detail: detail.to_owned() });
        let cases = [
            ("rvmb-check started", Some(Message::Started)),
            ("rvmb-check end\r", Some(Message::End)),
            ("rvmb-check login bob", Some(Message::Login("bob".to_owned()))),
            (
                "rvmb-check login skipped the password is locked",
                result("login", Outcome::Skipped, "the password is locked"),
            ),
            (
                "rvmb-check network ok 10.0.2.15 through eth0",
                result("network", Outcome::Ok, "10.0.2.15 through eth0"),
            ),
            (
                "rvmb-check units failed a.service: one|two|",
                result("units", Outcome::Failed, "a.service: one | two"),
            ),
            ("rvmb-check kernel ok", result("kernel", Outcome::Ok, "")),
            ("rvmb-check kernel", None),
            ("rvmb-check kernel maybe", None),
            ("rvmb-check unheard-of ok", None),
            ("rvmb-check", None),
            ("[    1.0] usb: rvmb-check end", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(parse_line(line), expected, "{line:?}");
        }
    }

    #[test]
    fn pieces_make_lines() {
        let mut lines = Lines::default();
        lines.feed(b"rvmb-check st");
        assert_eq!(lines.next(), None);
        lines.feed(b"arted\nrvmb");
        assert_eq!(lines.next().as_deref(), Some("rvmb-check started"));
        assert_eq!(lines.next(), None);
        lines.feed(&[b'x'; 3 * LONGEST_LINE]);
        assert!(lines.partial.len() <= LONGEST_LINE);
    }

    #[test]
    fn the_script_asks_what_it_should_and_a_shell_accepts_it() {
        let script = questions().script();
        let expected = [
            "user=bob",
            "default_password=no",
            "locked=no",
            r"password='it'\''s'",
            "packages='nginx curl'",
            "packages_known=yes",
            "built_by_rvmb=yes",
            "first_boot=no",
            "wanted_addresses=''",
            "wanted_routes=4",
            "wanted_servers=''",
            "firmware=uefi",
            "patience=450",
        ];
        for line in expected {
            assert!(script.lines().any(|have| have == line), "{line} in {script}");
        }
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        runner.command("sh").args(["-n", "/dev/stdin"]).input(script).run().unwrap();
    }

    #[test]
    fn the_script_looks_for_what_was_planned() {
        let network = serde_json::json!({
            "addressing": {
                "mode": "static",
                "mac": null,
                "addresses": [
                    { "address": "192.0.2.10", "prefix": 24, "broadcast": null },
                    { "address": "2001:db8::10", "prefix": 64, "broadcast": null },
                ],
                "gateways": [{ "address": "2001:db8::1", "on_link": false }],
                "router_advertisements": false,
            },
            "name_servers": ["9.9.9.9", "2620:fe::fe"],
            "search": null,
        });
        let network = serde_json::from_value(network).unwrap();
        let script = Questions { network, ..questions() }.script();
        for line in [
            "wanted_addresses='192.0.2.10 2001:db8::10'",
            "wanted_routes=6",
            "wanted_servers='9.9.9.9 2620:fe::fe'",
        ] {
            assert!(script.lines().any(|have| have == line), "{line} in {script}");
        }
    }

    #[test]
    fn the_script_makes_every_check() {
        for name in NAMES {
            assert!(SCRIPT.contains(&format!("check {name} ")), "{name}");
        }
    }

    #[test]
    fn passwords_differ() {
        assert_ne!(throw_away_password().unwrap(), throw_away_password().unwrap());
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".{0,60}") {
            let _ = parse_line(&format!("rvmb-check {line}"));
        }

        #[test]
        fn nothing_gets_a_control_character_through(bytes: Vec<u8>) {
            let mut lines = Lines::default();
            lines.feed(b"rvmb-check kernel ok \x1b]0;title\x07\xc2\x9b");
            lines.feed(&bytes);
            lines.feed(b"\n");
            while let Some(line) = lines.next() {
                proptest::prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
