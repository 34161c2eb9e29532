//! Which settings of a configuration count for one machine.

use super::parse::Entry;
use super::{Configuration, DEFAULT, check};
use crate::appliance::Appliance;
use crate::appliance::settings::{self, Setting};
use crate::error::{Error, Result};

/// A setting that counts, and where it comes from.
#[derive(Clone)]
pub struct Choice<'a> {
    /// The setting.
    pub setting: &'static Setting,
    /// What stands in the file.
    pub entry: &'a Entry,
    /// The value, with other values in the place of their names.
    pub text: String,
    /// How much the section counts, and then the file.
    strength: (usize, usize),
}

impl Configuration {
    /// The settings that count for machines of `distro` for `hypervisor`, beside those that were `given`
    /// otherwise, as names and values: these take the place of all that exclude them.
    ///
    /// In each section the last one of a name counts, and where that has no value none does; of the sections
    /// the most special one that gives a value.
    pub fn choose(&self, hypervisor: &str, distro: &str, given: &[(&str, &str)]) -> Vec<Choice<'_>> {
        let pair = format!("{hypervisor}/{distro}");
        let sections = [DEFAULT, hypervisor, distro, pair.as_str()];
        let mut choices = Vec::new();
        for setting in settings::SETTINGS {
            if !setting.scope.has(Some(hypervisor), Some(distro)) {
                continue;
            }
            let of_section = |(rank, section): (usize, &&str)| self.in_section(setting, rank, section);
            choices.extend(sections.iter().enumerate().rev().find_map(of_section));
        }
        choices.retain(|choice: &Choice<'_>| {
            let own = (choice.setting.name, choice.text.as_str());
            !given.iter().any(|given| given.0 == own.0 || settings::displaces(*given, own))
        });
        let all = choices.clone();
        choices.retain(|choice| !all.iter().any(|other| other.excludes(choice)));
        let is_existing = |name: &str| name == "existing-chroot";
        let exists = given.iter().any(|(name, _)| is_existing(name))
            || choices.iter().any(|choice| is_existing(choice.setting.name));
        choices.retain(|choice| !exists || !settings::OF_NEW_TREES.contains(&choice.setting.name));
        choices
    }

    /// What each section says of each setting, in the order in which they stand.
    pub fn everything(&self) -> Vec<Choice<'_>> {
        let counts = |entry: &Entry| {
            let setting = settings::find(&entry.name)?;
            let choice = self.in_section(setting, 0, &entry.section.text)?;
            (choice.entry.key == entry.key).then_some(choice)
        };
        self.entries.iter().filter_map(counts).collect()
    }

    /// What one section says of a setting; none where it says nothing, or an empty value.
    fn in_section(&self, setting: &'static Setting, rank: usize, section: &str) -> Option<Choice<'_>> {
        let is_meant = |entry: &&Entry| {
            entry.section.text == section
                && settings::find(&entry.name).is_some_and(|found| found.name == setting.name)
        };
        let entry = self.entries.iter().rfind(is_meant)?;
        // What cannot be read was found when the files were.
        let text = check::value(entry, &self.entries).ok().filter(|text| !text.trim().is_empty())?;
        let file = self.files.iter().position(|file| *file == entry.key.file);
        Some(Choice { setting, entry, text, strength: (rank, file.unwrap_or_default()) })
    }
}

impl Choice<'_> {
    /// Whether this choice leaves no room for a weaker one.
    fn excludes(&self, other: &Choice<'_>) -> bool {
        settings::displaces((self.setting.name, &self.text), (other.setting.name, &other.text))
            && self.strength > other.strength
            && !self.setting.is_off(&self.text)
    }

    /// The value as it may be shown.
    pub fn shown(&self) -> String {
        self.setting.shown(&self.text)
    }
}

/// What was chosen, as an appliance; files with passwords are read.
///
/// # Errors
///
/// [`crate::Kind::Config`] where a file with a password cannot be read or is empty.
pub fn appliance(choices: &[Choice<'_>]) -> Result<Appliance> {
    let mut appliance = Appliance::default();
    let mut problems = Vec::new();
    for choice in choices {
        if let Err(error) = choice.setting.set(&mut appliance, &choice.text) {
            problems.push(choice.entry.start().problem_of(&error));
        }
        appliance.origins.note_entry(choice.setting, choice.entry);
    }
    if problems.is_empty() {
        return Ok(appliance);
    }
    Err(Error::config("the configuration names a file that cannot be used").problems(problems))
}
