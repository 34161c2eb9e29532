//! What is wrong with a configuration: names that there are not, values that cannot be read, settings in
//! a section of machines that do not have them. Every section is looked at, whatever is to be built.

use std::collections::BTreeSet;

use super::DEFAULT;
use super::interpolate::{self, Fault, Wrong};
use super::parse::{Entry, Word};
use crate::appliance::settings::{self, Setting};
use crate::error::Problem;
use crate::near;

/// The machines that sections may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Hypervisors, also those that nothing can be built for yet.
    pub hypervisors: &'a [&'a str],
    /// Distributions.
    pub distros: &'a [&'a str],
}

/// Everything that is wrong.
pub(super) fn problems(headers: &[Word], entries: &[Entry], known: Known<'_>) -> Vec<Problem> {
    // A name that is no setting may be a variable: something refers to it.
    let variables: BTreeSet<String> = entries
        .iter()
        .flat_map(|entry| interpolate::names(&entry.raw()))
        .map(|name| settings::canonical(&name))
        .collect();
    let mut problems: Vec<Problem> =
        headers.iter().filter_map(|header| problem_of_section(header, known)).collect();
    for entry in entries {
        let Some(setting) = settings::find(&entry.name) else {
            if !variables.contains(&settings::canonical(&entry.name)) {
                problems.push(problem_of_key(entry));
            }
            continue;
        };
        problems.extend(problem_of_scope(entry, setting, known));
        problems.extend(problem_of_value(entry, setting, entries));
        problems.extend(problem_of_pair(entry, setting, entries));
    }
    problems
}

/// Hypervisor and distribution that a section is for.
fn machines<'a>(section: &'a str, known: Known<'_>) -> Option<(Option<&'a str>, Option<&'a str>)> {
    if section == DEFAULT {
        return Some((None, None));
    }
    if let Some((hypervisor, distro)) = section.split_once('/') {
        let is_known = known.hypervisors.contains(&hypervisor) && known.distros.contains(&distro);
        return is_known.then_some((Some(hypervisor), Some(distro)));
    }
    if known.hypervisors.contains(&section) {
        return Some((Some(section), None));
    }
    known.distros.contains(&section).then_some((None, Some(section)))
}

fn problem_of_section(header: &Word, known: Known<'_>) -> Option<Problem> {
    let section = header.text.as_str();
    if machines(section, known).is_some() {
        return None;
    }
    let pair = |hypervisor: &&str| {
        known.distros.iter().map(move |distro| format!("{hypervisor}/{distro}")).collect::<Vec<_>>()
    };
    let pairs: Vec<String> = known.hypervisors.iter().flat_map(pair).collect();
    let names = [DEFAULT].into_iter().chain(known.hypervisors.iter().chain(known.distros).copied());
    let names: Vec<&str> = names.collect();
    let all = names.iter().copied().chain(pairs.iter().map(String::as_str));
    let help = near::question(section.trim(), all).unwrap_or_else(|| {
        format!("Sections are {}, and HYPERVISOR/DISTRO such as kvm/debian.", names.join(", "))
    });
    Some(header.problem(format!("there is no section `{section}`"), Some(help)))
}

fn problem_of_key(entry: &Entry) -> Problem {
    let name = settings::canonical(&entry.name);
    if settings::OPTIONS_ONLY.contains(&name.as_str()) {
        return entry.key.problem(format!("`{name}` can only be given on the command line"), None);
    }
    let names = settings::SETTINGS.iter().map(|setting| setting.name);
    let help = near::question(&name, names).unwrap_or_else(|| {
        "`rvmb config show kvm debian` lists the settings; another name must be used by a `%(name)s`."
            .to_owned()
    });
    entry.key.problem(format!("there is no setting `{name}`"), Some(help))
}

/// A setting in a section of machines that have it not. `[DEFAULT]` may have it for others.
fn problem_of_scope(entry: &Entry, setting: &Setting, known: Known<'_>) -> Option<Problem> {
    let (hypervisor, distro) = machines(&entry.section.text, known)?;
    if setting.scope.has(hypervisor, distro) {
        return None;
    }
    let message = format!("`{}` is a setting of {}", setting.name, setting.scope);
    Some(entry.key.problem(message, Some("Move it into a section of theirs, or into [DEFAULT].".to_owned())))
}

fn problem_of_value(entry: &Entry, setting: &Setting, entries: &[Entry]) -> Option<Problem> {
    let text = match value(entry, entries) {
        Ok(text) => text,
        Err(fault) => return Some(problem_of_reference(fault)),
    };
    if text.trim().is_empty() {
        // The default password would come as a surprise.
        return setting.is_secret().then(|| {
            let message = format!("`{}` is empty", setting.name);
            entry.key.problem(message, Some(settings::NO_PASSWORD.to_owned()))
        });
    }
    Some(entry.start().problem_of(&setting.check(&text).err()?))
}

/// The value of a setting, with names of its own section and of `[DEFAULT]` replaced. A name may also be
/// found with dashes for underscores.
pub(super) fn value<'a>(entry: &'a Entry, entries: &'a [Entry]) -> Result<String, Fault<'a>> {
    let section = entry.section.text.as_str();
    let find = |name: &str| {
        let canonical = settings::canonical(name);
        let last = |section: &str, fits: &dyn Fn(&Entry) -> bool| {
            entries.iter().rfind(|entry| entry.section.text == section && fits(entry))
        };
        let exactly = |entry: &Entry| entry.name == name;
        let alike = |entry: &Entry| settings::canonical(&entry.name) == canonical;
        last(section, &exactly)
            .or_else(|| last(DEFAULT, &exactly))
            .or_else(|| last(section, &alike))
            .or_else(|| last(DEFAULT, &alike))
    };
    interpolate::expand(entry, &find)
}

fn problem_of_reference(fault: Fault<'_>) -> Problem {
    let Fault { entry, start, length, wrong } = fault;
    // The value of a password is not shown, and a variable may be one.
    let may_be_shown = settings::find(&entry.name).is_some_and(|setting| !setting.is_secret());
    let place = if may_be_shown { entry.piece(start, length) } else { entry.key.clone() };
    let (message, help) = match wrong {
        Wrong::Percent => (
            "a `%` stands for nothing".to_owned(),
            "Write %% for a percent sign, and %(name)s for the value of another setting.".to_owned(),
        ),
        Wrong::Unfinished => (
            "a reference does not end".to_owned(),
            "Write %(name)s for the value of another setting, and %% for a percent sign.".to_owned(),
        ),
        Wrong::Unknown(name) => {
            let section = &entry.section.text;
            (
                format!("there is no `{name}` in [{section}] or in [{DEFAULT}]"),
                near::question(&name, settings::SETTINGS.iter().map(|setting| setting.name))
                    .unwrap_or_else(|| format!("Set `{name}` in one of these sections.")),
            )
        }
        Wrong::TooDeep => (
            "the value refers to others more than ten deep, or to itself".to_owned(),
            "Write one of the values out.".to_owned(),
        ),
        Wrong::TooLong => (
            "the value becomes too long".to_owned(),
            "Write it with fewer references to other settings.".to_owned(),
        ),
    };
    place.problem(message, Some(help))
}

/// Two settings of one section of one file that answer the same question.
fn problem_of_pair(entry: &Entry, setting: &Setting, entries: &[Entry]) -> Option<Problem> {
    let says_something = |entry: &Entry, setting: &Setting| {
        let raw = entry.raw();
        !raw.is_empty() && !setting.is_off(&raw)
    };
    let place = |entry: &Entry| (entry.key.line, entry.key.column);
    let other = entries.iter().find(|other| {
        other.section.text == entry.section.text
            && other.key.file == entry.key.file
            && place(other) < place(entry)
            && settings::find(&other.name).is_some_and(|other_setting| {
                settings::exclude_each_other(other_setting.name, setting.name)
                    && says_something(other, other_setting)
            })
    })?;
    if !says_something(entry, setting) {
        return None;
    }
    let message =
        format!("`{}` cannot be used with `{}` of line {}", setting.name, other.name, other.key.line);
    Some(entry.key.problem(message, Some("Leave one of them out.".to_owned())))
}
