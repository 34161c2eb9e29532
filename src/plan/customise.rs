//! Reads everything of the user's own that goes into a machine beside packages: files to copy, the program
//! that finishes the tree, answers for debconf, templates.

use std::collections::BTreeSet;

use super::copy::{self, Copying};
use super::debconf::{self, Seeds};
use super::problems::Problems;
use super::{Exec, Script, checks, exec, templates};
use crate::appliance::Appliance;
use crate::digest;
use crate::error::{About, Result};
use crate::event::{Event, Sink};
use crate::hypervisor;
use crate::suite::Registry;
use crate::templates::Templates;
use crate::templates::names::Machine;

/// What was read, with its texts.
#[derive(Debug, Default)]
pub(super) struct Customised {
    pub copying: Copying,
    pub exec: Option<Exec>,
    pub seeds: Option<Seeds>,
    pub templates: Templates,
    old_templates: Option<String>,
}

impl Customised {
    /// Reads it; what is wrong goes to `problems`.
    pub(super) fn read(appliance: &Appliance, registry: &Registry, problems: &mut Problems) -> Customised {
        let Appliance { copy, exec, seed_file, .. } = appliance;
        let mut customised = Customised { old_templates: templates::old_ones(), ..Customised::default() };
        take(&mut customised.copying, "copy", copy.as_deref().map(copy::read), problems);
        take(&mut customised.exec, "exec", exec.as_deref().map(|path| exec::read(path).map(Some)), problems);
        let seeds = seed_file.as_deref().map(|path| {
            let text = checks::text_file("--seedfile", path)?;
            let answers = debconf::read(&path.display().to_string(), &text)?;
            let sha256 = digest::sha256(&text);
            Ok(Some(Seeds { file: Script { path: path.to_owned(), sha256 }, text, answers }))
        });
        take(&mut customised.seeds, "seedfile", seeds, problems);
        let distros: BTreeSet<&str> = registry.all().iter().map(|suite| suite.distro.as_str()).collect();
        let distros: Vec<&str> = distros.into_iter().collect();
        let hypervisors: Vec<&str> = hypervisor::all().iter().map(|hypervisor| hypervisor.name()).collect();
        let machine = Machine {
            distro: &appliance.distro,
            hypervisor: &appliance.hypervisor,
            distros: &distros,
            hypervisors: &hypervisors,
        };
        let places = templates::places(appliance.templates.as_deref());
        take(&mut customised.templates, "templates", Some(templates::read(&places, machine)), problems);
        customised
    }

    /// Says what the user should know.
    pub(super) fn warn(&self, sink: &dyn Sink) {
        for text in self.copying.warnings.iter().chain(&self.old_templates) {
            sink.emit(Event::Warning { text: text.clone() });
        }
    }
}

/// Puts what a setting names into its place, or what is wrong with it among the problems.
fn take<T>(place: &mut T, setting: &str, read: Option<Result<T>>, problems: &mut Problems) {
    if let Some(value) = problems.keep(read.transpose().about(setting)).flatten() {
        *place = value;
    }
}
