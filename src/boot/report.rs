//! What came of a boot: for people, as JSON, and as JUnit XML.

use std::fmt::Write as _;

use serde::Serialize;

use super::acceleration::Acceleration;
use super::firmware::Firmware;
use super::network::Network;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Failed,
    /// Not made; the detail says why.
    Skipped,
}

/// A check that was made, or why it was not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Its name, which does not change between versions.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Details for people, one line.
    pub detail: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What came of a boot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The image that was booted, as it was named.
    pub image: String,
    /// What started the guest.
    pub firmware: Firmware,
    /// What ran it.
    pub acceleration: Acceleration,
    /// What the guest could reach.
    pub network: Network,
    /// Seconds from power on until the system had started; none if it never did.
    pub boot_seconds: Option<f64>,
    /// Seconds altogether.
    pub seconds: f64,
    /// Every check, in the order in which they are made.
    pub checks: Vec<Check>,
    /// The last lines of the console, without control sequences.
    pub console_tail: Vec<String>,
}

impl Report {
    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }

    /// A table for people.
    pub fn to_text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text = format!("{} ({}, {})\n", self.image, self.firmware, self.acceleration);
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            let line = format!("  {outcome:<8}{:<width$}  {}", check.name, check.detail);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let (ok, failed, skipped) = (count(Outcome::Ok), count(Outcome::Failed), count(Outcome::Skipped));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{ok} ok, {failed} failed, {skipped} skipped in {:.0} s", self.seconds);
        text
    }

    /// JUnit's XML, as Jenkins, GitLab and others read it: one suite, one test case per check.
    pub fn to_junit(&self) -> String {
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let suite = format!("rvmb test {} ({})", self.image, self.firmware);
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\">",
            escape(&suite),
            self.checks.len(),
            count(Outcome::Failed),
            count(Outcome::Skipped),
            self.seconds,
        );
        for check in &self.checks {
            let _ = write!(
                xml,
                "    <testcase classname=\"rvmb.{}\" name=\"{}\" time=\"{:.3}\"",
                self.firmware,
                escape(&check.name),
                check.seconds
            );
            let detail = escape(&check.detail);
            match check.outcome {
                Outcome::Ok if detail.is_empty() => xml.push_str("/>\n"),
                Outcome::Ok => {
                    let _ = writeln!(xml, "><system-out>{detail}</system-out></testcase>");
                }
                Outcome::Failed => {
                    let _ = writeln!(xml, "><failure message=\"{detail}\"/></testcase>");
                }
                Outcome::Skipped => {
                    let _ = writeln!(xml, "><skipped message=\"{detail}\"/></testcase>");
                }
            }
        }
        let _ = writeln!(xml, "    <system-out>{}</system-out>", escape(&self.console_tail.join("\n")));
        xml.push_str("  </testsuite>\n</testsuites>\n");
        xml
    }
}

/// Text for XML 1.0, in content and in attributes in double quotes. Characters that XML cannot hold in
/// any spelling (section 2.2, production Char) become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let check = |name: &str, outcome, detail: &str| Check {
            name: name.to_owned(),
            outcome,
            detail: detail.to_owned(),
            seconds: 1.25,
        };
        Report {
            image: "out/vm & co.qcow2".to_owned(),
            firmware: Firmware::Bios,
            acceleration: Acceleration::Tcg,
            network: Network::Isolated,
            boot_seconds: Some(31.5),
            seconds: 42.0,
            checks: vec![
                check("boot", Outcome::Ok, ""),
                check("kernel", Outcome::Ok, "6.1.0"),
                check("units", Outcome::Failed, "a.service: \"x\" <1> | b"),
                check("login", Outcome::Skipped, "the image has no ordinary user"),
            ],
            console_tail: vec!["Debian".to_owned(), "vm login:".to_owned()],
        }
    }

    #[test]
    fn people_read_a_table() {
        insta::assert_snapshot!(report().to_text(), @r#"
        out/vm & co.qcow2 (bios, tcg)
          ok      boot
          ok      kernel  6.1.0
          FAILED  units   a.service: "x" <1> | b
          skipped login   the image has no ordinary user
        2 ok, 1 failed, 1 skipped in 42 s
        "#);
    }

    #[test]
    fn junit_is_escaped() {
        insta::assert_snapshot!(report().to_junit(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="rvmb test out/vm &amp; co.qcow2 (bios)" tests="4" failures="1" errors="0" skipped="1" time="42.000">
            <testcase classname="rvmb.bios" name="boot" time="1.250"/>
            <testcase classname="rvmb.bios" name="kernel" time="1.250"><system-out>6.1.0</system-out></testcase>
            <testcase classname="rvmb.bios" name="units" time="1.250"><failure message="a.service: &quot;x&quot; &lt;1&gt; | b"/></testcase>
            <testcase classname="rvmb.bios" name="login" time="1.250"><skipped message="the image has no ordinary user"/></testcase>
            <system-out>Debian&#10;vm login:</system-out>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escape("a\u{1b}[0m\0\u{ffff}b\u{1f600}"), "a\u{fffd}[0m\u{fffd}\u{fffd}b\u{1f600}");
        assert_eq!(escape("]]>&<\"'\n"), "]]&gt;&amp;&lt;&quot;'&#10;");
    }

    #[test]
    fn json_has_stable_names() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["checks"][2]["outcome"], "failed");
        assert_eq!(json["firmware"], "bios");
        assert_eq!(json["network"], "isolated");
        assert_eq!(json["boot_seconds"], 31.5);
    }
}
