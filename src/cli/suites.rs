//! `rvmb suites`: the releases that images can be made of, with dates and mirrors.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::suite::{Registry, Suite, Tier};
use crate::ui::{Ui, columns};

/// List the releases that images can be made of
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Only the releases of this distribution
    #[arg(value_name = "DISTRO")]
    pub distro: Option<String>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// What is told about a release; a date or a version that there is not is empty in the table and
/// null in JSON.
#[derive(Debug, PartialEq, Serialize)]
struct Row<'a> {
    distro: &'a str,
    codename: &'a str,
    version: Option<&'a str>,
    tier: Tier,
    released: Option<String>,
    end_of_life: Option<String>,
    extended: Option<String>,
    mirror: &'a str,
    aliases: &'a [String],
}

/// Prints the releases.
///
/// # Errors
///
/// A suite file is wrong, the distribution is not known, or standard output cannot be written to.
pub fn run(args: &Args, ui: &Ui) -> Result<()> {
    ui.print(&text(&Registry::load()?, args)?)
}

fn text(registry: &Registry, args: &Args) -> Result<String> {
    let suites = match &args.distro {
        Some(distro) => registry.suites_of(distro)?,
        None => registry.all(),
    };
    let rows: Vec<Row> = suites.iter().map(row).collect();
    if args.json { json(&rows) } else { Ok(table(&rows)) }
}

fn row(suite: &Suite) -> Row<'_> {
    let day = |date: Option<jiff::civil::Date>| date.map(|date| date.to_string());
    Row {
        distro: &suite.distro,
        codename: &suite.codename,
        version: Some(suite.version.as_str()).filter(|version| !version.is_empty()),
        tier: suite.tier,
        released: day(suite.dates.release),
        end_of_life: day(suite.dates.end_of_life),
        extended: day(suite.dates.extended),
        // The address is that of the commonest architecture; others may have another.
        mirror: suite.mirrors("amd64").main,
        aliases: &suite.aliases,
    }
}

fn json(rows: &[Row]) -> Result<String> {
    let text = serde_json::to_string_pretty(rows)
        .map_err(|error| Error::build("writing the list of releases as JSON").because(&error))?;
    Ok(text + "\n")
}

fn table(rows: &[Row]) -> String {
    const HEAD: [&str; 8] =
        ["DISTRO", "CODENAME", "VERSION", "TIER", "RELEASED", "END OF LIFE", "EXTENDED", "MIRROR"];
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_string());
    let mut lines = vec![HEAD.map(str::to_string)];
    lines.extend(rows.iter().map(|row| {
        [
            row.distro.to_string(),
            row.codename.to_string(),
            row.version.unwrap_or("-").to_string(),
            tier_word(row.tier).to_string(),
            text(&row.released),
            text(&row.end_of_life),
            text(&row.extended),
            row.mirror.to_string(),
        ]
    }));
    columns::render(&lines)
}

fn tier_word(tier: Tier) -> &'static str {
    match tier {
        Tier::Supported => "supported",
        Tier::Testing => "testing",
        Tier::Ended => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn printed(distro: Option<&str>, json: bool) -> Result<String> {
        text(&Registry::built_in().unwrap(), &Args { distro: distro.map(str::to_string), json })
    }

    #[test]
    fn the_table_is_aligned() {
        let text = printed(Some("debian"), false).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        let column = lines[0].find("MIRROR").unwrap();
        for line in &lines[1..] {
            assert_eq!(line.find("http://"), Some(column), "{text}");
        }
        assert_eq!(
            lines[3],
            "debian  trixie    13       supported  2025-08-09  2028-08-09   2030-06-30  http://ftp.debian.org/debian"
        );
        assert!(lines[5].contains("sid       -        testing"), "{text}");
    }

    #[test]
    fn json_is_one_object_for_each_release() {
        let list: serde_json::Value = serde_json::from_str(&printed(None, true).unwrap()).unwrap();
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), Registry::built_in().unwrap().all().len());
        let questing = list.iter().find(|row| row["codename"] == "questing").unwrap();
        assert_eq!(questing["tier"], "ended");
        assert_eq!(questing["mirror"], "http://old-releases.ubuntu.com/ubuntu");
        assert!(questing["extended"].is_null());
    }

    #[test]
    fn unknown_distributions_are_an_error() {
        let error = printed(Some("debain"), false).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.hints()[0], "Did you mean `debian`?");
    }
}
