//! The options of a command: their names, the prefixes that stand for them, and which take a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};

/// Which options there are.
pub(super) struct Known {
    long: BTreeMap<String, Long>,
    short: BTreeMap<char, Meaning>,
}

/// A long option by one of its names.
struct Long {
    /// The name that the help has.
    first: String,
    meaning: Meaning,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Whether it takes a value.
    pub(super) takes_value: bool,
    /// Whether an empty value is one: that of a password is not passed over.
    pub(super) may_be_empty: bool,
}

impl Meaning {
    const SWITCH: Meaning = Meaning { takes_value: false, may_be_empty: false };
}

/// An option as it stands on a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The word, with the whole name in the place of a prefix.
    pub(super) word: String,
    /// Its value, where it has one in the same word.
    pub(super) value: Option<String>,
    /// Whether the next word is its value.
    pub(super) takes_next: bool,
    /// Whether an empty value is one.
    pub(super) may_be_empty: bool,
}

impl Known {
    /// The options of a command, and those that clap adds when it parses.
    pub(super) fn of(command: &clap::Command, may_be_empty: impl Fn(&str) -> bool) -> Known {
        let mut known = Known { long: BTreeMap::new(), short: BTreeMap::new() };
        for (long, short) in [("help", 'h'), ("version", 'V')] {
            let option = Long { first: long.to_owned(), meaning: Meaning::SWITCH };
            known.long.insert(long.to_owned(), option);
            known.short.insert(short, Meaning::SWITCH);
        }
        for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let first = argument.get_long().unwrap_or_default();
            let meaning = Meaning {
                takes_value: argument.get_action().takes_values(),
                may_be_empty: may_be_empty(first),
            };
            let aliases = argument.get_all_aliases().unwrap_or_default();
            for name in argument.get_long().into_iter().chain(aliases) {
                known.long.insert(name.to_owned(), Long { first: first.to_owned(), meaning });
            }
            let aliases = argument.get_all_short_aliases().unwrap_or_default();
            for name in argument.get_short().into_iter().chain(aliases) {
                known.short.insert(name, meaning);
            }
        }
        known
    }

    /// What a word that begins with a dash means; none where it has an option that is not known.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Usage`] for a prefix of several options.
    pub(super) fn see(&self, word: &str) -> Result<Option<Seen>> {
        match word.strip_prefix("--") {
            Some(long) => self.see_long(long),
            None => Ok(self.see_short(word)),
        }
    }

    fn see_long(&self, word: &str) -> Result<Option<Seen>> {
        let (prefix, value) = match word.split_once('=') {
            Some((prefix, value)) => (prefix, Some(value.to_owned())),
            None => (word, None),
        };
        let Some((name, meaning)) = self.complete(prefix)? else { return Ok(None) };
        let takes_next = meaning.takes_value && value.is_none();
        let word = match &value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        };
        Ok(Some(Seen { word, value, takes_next, may_be_empty: meaning.may_be_empty }))
    }

    /// The option that a name stands for, or the beginning of one.
    fn complete(&self, prefix: &str) -> Result<Option<(&str, Meaning)>> {
        if let Some((name, option)) = self.long.get_key_value(prefix) {
            return Ok(Some((name, option.meaning)));
        }
        let fitting: Vec<(&String, &Long)> =
            self.long.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix)).collect();
        let different: BTreeSet<&str> = fitting.iter().map(|(_, option)| option.first.as_str()).collect();
        if different.len() > 1 {
            let names: Vec<String> = different.iter().map(|name| format!("--{name}")).collect();
            return Err(Error::usage(format!("`--{prefix}` is the beginning of several options"))
                .hint(format!("Write more of one of {}.", names.join(", "))));
        }
        Ok(fitting.first().map(|(name, option)| (name.as_str(), option.meaning)))
    }

    /// `-o`, `-m512`, `-om 512`: letters, the last of which may have its value in the same word.
    fn see_short(&self, word: &str) -> Option<Seen> {
        let seen = |value, takes_next, may_be_empty| {
            Some(Seen { word: word.to_owned(), value, takes_next, may_be_empty })
        };
        let mut letters = word.chars().skip(1);
        while let Some(letter) = letters.next() {
            let meaning = self.short.get(&letter)?;
            if meaning.takes_value {
                let value: String = letters.collect();
                let takes_next = value.is_empty();
                return seen(Some(value).filter(|_| !takes_next), takes_next, meaning.may_be_empty);
            }
        }
        seen(None, false, false)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn known() -> Known {
        let switch = |name: &'static str| clap::Arg::new(name).long(name).action(clap::ArgAction::SetTrue);
        let command = clap::Command::new("x")
            .arg(clap::Arg::new("mem").short('m').long("mem").alias("memory"))
            .arg(clap::Arg::new("destdir").short('d').long("destdir").alias("dest"))
            .arg(clap::Arg::new("pass").long("pass"))
            .arg(clap::Arg::new("pass-file").long("pass-file"))
            .arg(switch("overwrite").short('o'))
            .arg(switch("verbose").short('v'));
        Known::of(&command, |name| name == "pass")
    }

    #[test]
    fn a_prefix_stands_for_the_one_option_that_begins_with_it() {
        let table = [
            ("--mem", Some("--mem")),
            ("--me", Some("--mem")),
            ("--memo=1", Some("--memory=1")),
            ("--des", Some("--dest")),
            ("--destd", Some("--destdir")),
            ("--over", Some("--overwrite")),
            ("--pass=x", Some("--pass=x")),
            ("--pass-f", Some("--pass-file")),
            ("--he", Some("--help")),
            ("--versi", Some("--version")),
            ("--what", None),
            ("--overwritten", None),
        ];
        for (word, expected) in table {
            let seen = known().see(word).unwrap().map(|seen| seen.word);
            assert_eq!(seen.as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn a_prefix_of_several_names_them() {
        let error = known().see("--pas=hunter2").unwrap_err();
        assert_eq!(error.message(), "`--pas` is the beginning of several options");
        assert_eq!(error.hints(), ["Write more of one of --pass, --pass-file."]);
        assert!(known().see("--ver").unwrap_err().hints()[0].contains("--verbose, --version"));
    }

    #[test]
    fn values_are_in_the_same_word_or_in_the_next() {
        let table = [
            ("-m", None, true),
            ("-m512", Some("512"), false),
            ("-om", None, true),
            ("-vom5", Some("5"), false),
            ("-o", None, false),
            ("--mem", None, true),
            ("--mem=", Some(""), false),
            ("--overwrite", None, false),
        ];
        for (word, value, takes_next) in table {
            let seen = known().see(word).unwrap().unwrap();
            assert_eq!((seen.value.as_deref(), seen.takes_next), (value, takes_next), "{word}");
        }
        assert_eq!(known().see("-ox").unwrap(), None);
    }
}
