//! Where the settings of an appliance come from, so that an error about one says it.
//!
//! Nobody who checks a value asks for this: an error knows what it is about ([`Subject`]), or names the option,
//! and [`Origins::place`] adds the file and the line where the setting does not come from the command line.

use std::collections::BTreeMap;

use super::config::{Entry, Word};
use super::settings::{self, SETTINGS, Setting};
use crate::error::{Error, Problem, Subject};
use crate::host::access::without_login;

/// Where each setting that was given comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins(BTreeMap<&'static str, Origin>);

/// Where a setting comes from. It holds nothing that must not be shown.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    /// The command line.
    Option,
    /// A configuration file: the lines of the value, or the name alone where the value is a secret.
    File(Vec<Word>),
}

impl Origins {
    /// Notes a setting that the command line names.
    pub fn note_option(&mut self, name: &'static str) {
        self.0.insert(name, Origin::Option);
    }

    /// Notes a setting that stands in a configuration file.
    pub fn note_entry(&mut self, setting: &Setting, entry: &Entry) {
        let raw = entry.raw();
        let may_be_shown = !setting.is_secret() && without_login(&raw) == raw;
        let value = entry.value.iter().filter(|word| may_be_shown && !word.text.is_empty()).cloned();
        let mut words: Vec<Word> = value.collect();
        if words.is_empty() {
            words.push(entry.key.clone());
        }
        self.0.insert(setting.name, Origin::File(words));
    }

    /// These with what is noted in `upper` in place of their own.
    #[must_use]
    pub fn overlaid_by(mut self, upper: Origins) -> Origins {
        self.0.extend(upper.0);
        self
    }

    /// An error with the places of the settings that it is about.
    pub fn place(&self, error: Error) -> Error {
        with_named_options(error).placed(&|subject| self.problem(subject))
    }

    /// The place of a setting that stands in a configuration file.
    pub fn problem(&self, subject: &Subject) -> Option<Problem> {
        let Subject::Setting(name, item) = subject else { return None };
        let (name, Origin::File(words)) = self.0.get_key_value(name.as_str())? else { return None };
        let found = item.as_deref().and_then(|item| words.iter().find_map(|word| word.find_item(item)));
        let word = found.as_ref().or(words.first())?;
        Some(word.problem(format!("`{name}` is set here"), None))
    }
}

/// An error whose message names options is about their settings.
fn with_named_options(error: Error) -> Error {
    let message = error.message().to_owned();
    let words = message.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
    let names = words.filter_map(|word| word.strip_prefix("--"));
    let known = names.filter(|name| SETTINGS.iter().any(|setting| setting.name == settings::canonical(name)));
    known.fold(error, |error, name| error.about(Subject::setting(name))).map_parts(with_named_options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::config::parse;

    fn origins(text: &str) -> Origins {
        let mut origins = Origins::default();
        for entry in parse("x.cfg", text).unwrap().entries {
            origins.note_entry(settings::find(&entry.name).unwrap(), &entry);
        }
        origins
    }

    fn places(origins: &Origins, error: Error) -> Vec<(usize, usize, String)> {
        let placed = origins.place(error);
        placed.places().iter().map(|place| (place.line, place.column, place.text.clone())).collect()
    }

    #[test]
    fn an_error_about_a_setting_gets_its_line() {
        let text = "[kvm]\nhostname = my host\naddpkg = vim,\n  Nginx, vim-nox\nip=10.0.0.5\nmask = 24\n";
        let origins = origins(text);
        let about = |subject| Error::config("wrong").about(subject);
        for (error, expected) in [
            (about(Subject::setting("hostname")), vec![(2, 12, "hostname = my host")]),
            (about(Subject::item("addpkg", "Nginx")), vec![(4, 3, "  Nginx")]),
            (about(Subject::item("addpkg", "vim-nox")), vec![(4, 10, "  Nginx, vim-nox")]),
            (about(Subject::item("addpkg", "other")), vec![(3, 10, "addpkg = vim,")]),
            (about(Subject::setting("domain")), vec![]),
            (
                Error::config("--ip 10.0.0.5/8 and --mask differ"),
                vec![(5, 4, "ip=10.0.0.5"), (6, 8, "mask = 24")],
            ),
            (Error::config("wrong").hint("Leave --mask out."), vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(line, column, text)| (line, column, text.to_owned())).collect();
            assert_eq!(places(&origins, error), expected);
        }
    }

    #[test]
    fn an_option_has_no_line() {
        let mut upper = Origins::default();
        upper.note_option("hostname");
        let both = origins("[kvm]\nhostname = a b\n").overlaid_by(upper);
        assert!(places(&both, Error::config("wrong").about(Subject::setting("hostname"))).is_empty());
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let origins = origins("[kvm]\npass = $6$hunter2\nmirror = ftp://bob:hunter2@m.example/\n");
        for name in ["pass", "mirror"] {
            let placed = origins.place(Error::config("wrong").about(Subject::setting(name)));
            assert_eq!(placed.places().len(), 1, "{name}");
            assert!(!format!("{placed:?}{origins:?}").contains("hunter2"), "{name}");
        }
    }
}
