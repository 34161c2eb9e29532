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

/// Where the guest finds a suite: where the build found it, unless that was a directory of this host's,
/// which the guest does not have; then where the release has it.
fn address<'a>(plan: &'a Plan, source: &'a Source) -> &'a str {
    let release = plan.suite.mirrors(&plan.architecture);
    let own = match source.security {
        // The archive of ended releases may have no security pocket.
        true if release.security.is_empty() => &plan.suite.archive.security_mirror,
        true => release.security,
        false => release.main,
    };
    on_the_network(source.address_for_guest(), own)
}

fn on_the_network<'a>(uri: &'a str, otherwise: &'a str) -> &'a str {
    let is_directory = ["file:", "copy:"].iter().any(|scheme| uri.starts_with(scheme));
    if is_directory { otherwise } else { uri }
}

/// sources.list(5), one line per suite.
fn list(plan: &Plan) -> String {
    let components = plan.archive.components.join(" ");
    let line = |source: &Source| format!("deb {} {} {components}\n", address(plan, source), source.suite);
    plan.archive.sources.iter().map(line).collect()
}

/// sources.list(5), one stanza per mirror.
fn deb822(plan: &Plan, signed_by: &str) -> String {
    let mut stanzas: Vec<(&Source, Vec<&str>)> = Vec::new();
    for source in &plan.archive.sources {
        let same = |(first, _): &&mut (&Source, Vec<&str>)| {
            first.address_for_guest() == source.address_for_guest() && first.security == source.security
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
            address(plan, source),
            suites.join(" "),
            plan.archive.components.join(" ")
        )
    };
    stanzas.iter().map(render).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directory_of_the_host_gets_into_the_guest() {
        let own = "http://own.example/debian";
        for (uri, expected) in [
            ("http://m.example/debian", "http://m.example/debian"),
            ("https://m.example/file:", "https://m.example/file:"),
            ("file:/srv/debian", own),
            ("file:///srv/debian", own),
            ("copy:/srv/debian", own),
        ] {
            assert_eq!(on_the_network(uri, own), expected);
        }
    }
}
