//! apt's sources in the guest: all pockets, in the format that the release expects.

use crate::error::{Context, Kind, Result};
use crate::host::tree::Root;
use crate::plan::{Plan, Ppa, Source};
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
    root.write(&sources.file, 0o644, text)?;
    plan.archive.sources.iter().try_for_each(|source| match &source.ppa {
        Some(ppa) => own_archive(source, ppa, root),
        None => Ok(()),
    })
}

/// Writes the source of a personal package archive, with its key, which vouches for this archive alone.
fn own_archive(source: &Source, ppa: &Ppa, root: &Root) -> Result<()> {
    let context = || format!("reading the key {}", ppa.keyring.display());
    let key = std::fs::read(&ppa.keyring).context(Kind::Build, context)?;
    let stem = stem(ppa);
    let keyring = format!("/etc/apt/keyrings/{stem}.gpg");
    root.write(&keyring, 0o644, key)?;
    root.write(format!("/etc/apt/sources.list.d/{stem}.list"), 0o644, own_line(source, ppa, &keyring))
}

/// The stem of the files' names. apt passes over names with other characters (sources.list(5)).
fn stem(ppa: &Ppa) -> String {
    format!("{}-ubuntu-{}", ppa.owner, ppa.name).replace('+', "-")
}

fn own_line(source: &Source, ppa: &Ppa, keyring: &str) -> String {
    format!("deb [signed-by={keyring}] {} {} {}\n", source.address_for_guest(), source.suite, ppa.component)
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
    plan.archive.sources.iter().filter(|source| source.ppa.is_none()).map(line).collect()
}

/// sources.list(5), one stanza per mirror.
fn deb822(plan: &Plan, signed_by: &str) -> String {
    let mut stanzas: Vec<(&Source, Vec<&str>)> = Vec::new();
    for source in plan.archive.sources.iter().filter(|source| source.ppa.is_none()) {
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
    fn a_personal_archive_has_its_own_file_and_key() {
        let room = tempfile::tempdir().unwrap();
        let keyring = room.path().join("key.gpg");
        std::fs::write(&keyring, "key").unwrap();
        let root = Root::open(room.path()).unwrap();
        let (owner, name) = ("git-core+x".to_owned(), "ppa".to_owned());
        let ppa = Ppa { owner, name, component: "main".into(), fingerprint: "AB".into(), keyring };
        let source = Source {
            uri: "http://cache.example/git-core/ppa/ubuntu".into(),
            suite: "jammy".into(),
            digest: String::new(),
            security: false,
            guest_uri: Some("https://ppa.launchpadcontent.net/git-core/ppa/ubuntu".into()),
            ppa: None,
        };
        own_archive(&source, &ppa, &root).unwrap();
        let keyring = "/etc/apt/keyrings/git-core-x-ubuntu-ppa.gpg";
        assert_eq!(root.read(keyring, 10).unwrap().as_deref(), Some("key"));
        let line = root.read("/etc/apt/sources.list.d/git-core-x-ubuntu-ppa.list", 1000).unwrap().unwrap();
        let address = "https://ppa.launchpadcontent.net/git-core/ppa/ubuntu";
        assert_eq!(line, format!("deb [signed-by={keyring}] {address} jammy main\n"));
    }

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
