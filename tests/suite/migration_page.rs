//! docs/vmbuilder.md, the page for those who come from vmbuilder: its tables of options are made from the help, so
//! that they cannot fall behind, and the tests that it names exist.
//!
//! `RVMB_UPDATE_DOCS=1 cargo test migration_page` writes the tables anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::common::desk::Desk;

/// Writes the tables instead of comparing them.
const UPDATE: &str = "RVMB_UPDATE_DOCS";

/// What stands around the tables in the page.
const BEGIN: &str = "<!-- made by tests/suite/migration_page.rs from here -->\n";
const END: &str = "<!-- to here -->";

/// Options of every program, whose meaning nobody looks up.
const COMMON: [&str; 2] = ["help", "version"];

/// An option as the help shows it.
struct Shown {
    heading: String,
    name: String,
    /// `-m, --mem <SIZE>`.
    usage: String,
    help: String,
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vmbuilder.md")
}

/// The options in a help text, in its order.
fn read_help(text: &str) -> Vec<Shown> {
    let mut heading = String::new();
    let mut shown: Vec<Shown> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_suffix(':').filter(|title| !title.starts_with(' ')) {
            title.clone_into(&mut heading);
        } else if line.trim_start().starts_with('-') {
            let line = line.trim_start();
            let (usage, help) = line.split_once("  ").unwrap_or((line, ""));
            let long = usage.split_whitespace().find_map(|word| word.strip_prefix("--")).unwrap_or_default();
            shown.push(Shown {
                heading: heading.clone(),
                name: long.to_owned(),
                usage: usage.to_owned(),
                help: help.trim().to_owned(),
            });
        } else if let Some(option) = shown.last_mut().filter(|_| line.starts_with("        ")) {
            option.help += " ";
            option.help += line.trim();
        } else {
            heading.clear();
        }
    }
    shown.retain(|option| !COMMON.contains(&option.name.as_str()) && !option.heading.is_empty());
    shown
}

/// The options of all hypervisors, each once; those of one hypervisor alone come after what all have.
fn options() -> Vec<Shown> {
    let desk = Desk::anyway();
    let mut all: Vec<Shown> = Vec::new();
    for hypervisor in rvmb::hypervisor::all() {
        let help = desk.run("rvmb", &[hypervisor.name(), "ubuntu", "--help"]).well().stdout;
        for option in read_help(&help) {
            if !all.iter().any(|known| known.name == option.name) {
                all.push(option);
            }
        }
    }
    all
}

/// What differs, by option.
fn differences() -> BTreeMap<&'static str, &'static str> {
    let text = include_str!("vmbuilder-options.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no option: {line}"))).collect()
}

/// A table for each heading of the help.
fn tables(options: &[Shown], differences: &BTreeMap<&str, &str>) -> String {
    let mut headings: Vec<&str> = Vec::new();
    for option in options {
        if !headings.contains(&option.heading.as_str()) {
            headings.push(&option.heading);
        }
    }
    let mut text = String::new();
    for heading in headings {
        // Writing to a String cannot fail.
        let _ =
            write!(text, "\n### {heading}\n\n| Option | What it does | Beside vmbuilder |\n|---|---|---|\n");
        for option in options.iter().filter(|option| option.heading == heading) {
            let difference = differences.get(option.name.as_str()).copied().unwrap_or_default();
            let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
            let _ = writeln!(
                text,
                "| `{}` | {} | {difference} |",
                option.usage.replace('|', "\\|"),
                cell(&option.help)
            );
        }
    }
    text + "\n"
}

#[test]
fn its_tables_of_options_are_those_of_the_help() {
    let (options, differences) = (options(), differences());
    let known: BTreeSet<&str> = options.iter().map(|option| option.name.as_str()).collect();
    let told: BTreeSet<&str> = differences.keys().copied().collect();
    let silent: Vec<_> = known.difference(&told).collect();
    assert_eq!(silent, [&""; 0], "say in tests/suite/vmbuilder-options.txt what differs from vmbuilder");

    let path = page();
    let text = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the tables");
    let (_, after) = rest.split_once(END).expect("the end of the tables");
    let expected = format!("{before}{BEGIN}{}{END}{after}", tables(&options, &differences));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, expected).expect("writing the page");
    } else {
        assert!(text == expected, "docs/vmbuilder.md is not of today: {UPDATE}=1 cargo test migration_page");
    }
}

/// A test is named by its module and its name, `vmbuilder::an_option_before_the_positionals_counts`.
#[test]
fn the_tests_that_it_names_exist() {
    let text = std::fs::read_to_string(page()).expect("the page");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    let mut count = 0;
    for name in text.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.contains(' ')) {
        let (module, test) = name.rsplit_once("::").expect("a module");
        let place = module.replace("::", "/");
        let files = [
            format!("tests/suite/{place}.rs"),
            format!("src/{place}.rs"),
            format!("src/{place}/mod.rs"),
            format!("src/{place}/tests.rs"),
        ];
        let needle = format!("fn {test}(");
        let holds =
            |file: &String| std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&needle));
        count += 1;
        if !files.iter().any(holds) {
            missing.push(name);
        }
    }
    assert!(count > 30, "only {count} tests are named");
    assert_eq!(missing, [""; 0]);
}
