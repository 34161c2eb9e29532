//! The archive that the worker sees: for each layer of packages an index of nothing but the packages
//! that were resolved for it. What was planned is then all that can be installed, and apt reads some
//! hundred stanzas instead of tens of thousands.
//!
//! The signatures are checked before, over the indices that the stanzas are taken from. The .debs are in
//! the store; nothing is ever fetched from the address in the sources.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Plan;

/// A layer of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Release and kernel.
    Base,
    /// What every machine of the release has.
    System,
    /// What the user asked for.
    Packages,
}

impl Stage {
    /// All of them, from the bottom to the top.
    pub const ALL: [Stage; 3] = [Stage::Base, Stage::System, Stage::Packages];

    /// The name of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Base => "base",
            Stage::System => "system",
            Stage::Packages => "packages",
        }
    }

    /// sources.list(5) of its archive.
    pub fn sources(self, plan: &Plan) -> PathBuf {
        self.directory(plan).join(SOURCES)
    }

    /// Settings that let apt read its archive and no other.
    pub fn settings(self, plan: &Plan) -> [(&'static str, String); 3] {
        let directory = self.directory(plan);
        let directory = directory.display();
        [
            ("Dir::Etc::SourceList", format!("{directory}/{SOURCES}")),
            ("Dir::Etc::SourceParts", format!("{directory}/{NOTHING}")),
            ("Dir::State::Lists", format!("{directory}/{LISTS}/")),
        ]
    }

    fn directory(self, plan: &Plan) -> PathBuf {
        plan.archive.stages.join(self.name())
    }
}

const SOURCES: &str = "sources.list";
const NOTHING: &str = "nothing.d";
const LISTS: &str = "lists";

/// Writes the archive of a stage into a new `directory`. apt finds lists by names that it makes from the
/// address in the sources (`URItoFileName` of apt-pkg/strutl.cc).
pub(super) fn write(
    directory: &Path,
    codename: &str,
    architecture: &str,
    stanzas: &[&str],
) -> std::io::Result<()> {
    let lists = directory.join(LISTS);
    std::fs::create_dir_all(lists.join("partial"))?;
    std::fs::create_dir(directory.join(NOTHING))?;
    let sources = format!("deb [trusted=yes arch={architecture}] file:/rvmb {codename} main\n");
    std::fs::write(directory.join(SOURCES), sources)?;
    let release =
        format!("Suite: {codename}\nCodename: {codename}\nArchitectures: {architecture}\nComponents: main\n");
    std::fs::write(lists.join(format!("_rvmb_dists_{codename}_Release")), release)?;
    let packages = format!("_rvmb_dists_{codename}_main_binary-{architecture}_Packages");
    std::fs::write(lists.join(packages), stanzas.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_parted_by_empty_lines() {
        let room = tempfile::tempdir().unwrap();
        let place = room.path().join("base");
        write(&place, "trixie", "amd64", &["Package: a\nVersion: 1\n", "Package: b\nVersion: 2\n"]).unwrap();
        let index = place.join("lists/_rvmb_dists_trixie_main_binary-amd64_Packages");
        let text = std::fs::read_to_string(index).unwrap();
        assert_eq!(text, "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n");
        assert!(write(&place, "trixie", "amd64", &[]).is_err(), "one that is there is not written over");
    }
}
