//! apt's sources in the guest: all pockets, in the format that the release expects.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::{Plan, Source};
use crate::suite::SourcesFormat;

const OTHER_FILE: &str = "/etc/apt/sources.list";

/// Writes them.
pub(super) fn configure(plan: &Plan, root: &Root) -> Result<()> {
    let sources = &plan.suite.archive.sources;
    if sources.file != OTHER_FILE {
        root.write(OTHER_FILE, 0o644, format!("# The sources are in {}.\n", sources.file))?;
    }
    let text = match sources.format {
        SourcesFormat::List => list(plan),
        SourcesFormat::Deb822 => deb822(plan, &sources.signed_by),
    };
    root.write(&sources.file, 0o644, text)
}

/// sources.list(5), one line per suite.
fn list(plan: &Plan) -> String {
    let components = plan.archive.components.join(" ");
    let line = |source: &Source| format!("deb {} {} {components}\n", source.uri, source.suite);
    plan.archive.sources.iter().map(line).collect()
}

/// sources.list(5), one stanza per mirror.
fn deb822(plan: &Plan, signed_by: &str) -> String {
    let mut stanzas: Vec<(&Source, Vec<&str>)> = Vec::new();
    for source in &plan.archive.sources {
        let same = |(first, _): &&mut (&Source, Vec<&str>)| {
            first.uri == source.uri && first.security == source.security
        };
        match stanzas.iter_mut().find(same) {
            Some((_, suites)) => suites.push(&source.suite),
            None => stanzas.push((source, vec![&source.suite])),
        }
    }
    let render = |(source, suites): &(&Source, Vec<&str>)| {
        let signed_by =
            if signed_by.is_empty() { String::new() } else { format!("Signed-By: {signed_by}\n") };
        format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n{signed_by}",
            source.uri,
            suites.join(" "),
            plan.archive.components.join(" ")
        )
    };
    stanzas.iter().map(render).collect::<Vec<_>>().join("\n")
}
