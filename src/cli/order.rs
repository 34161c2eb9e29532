//! Lets options stand before the hypervisor and between it and the distribution.
//!
//! Hypervisor and distribution are subcommands for clap, so that each pair has its own help, and
//! options of a subcommand must follow it. People who come from vmbuilder write `rvmb -o kvm debian`,
//! too. So [`words_first`] moves `kvm debian` to the front before clap looks at the command line.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Which options there are, and whether each takes a value.
pub struct Known {
    long: BTreeMap<String, bool>,
    short: BTreeMap<char, bool>,
}

impl Known {
    /// The options of a command.
    pub fn of(command: &clap::Command) -> Known {
        let mut known = Known { long: BTreeMap::new(), short: BTreeMap::new() };
        // clap adds these two when it parses.
        known.long.insert("help".to_owned(), false);
        known.short.insert('h', false);
        for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let takes_value = argument.get_action().takes_values();
            let aliases = argument.get_all_aliases().unwrap_or_default();
            for name in argument.get_long().into_iter().chain(aliases) {
                known.long.insert(name.to_owned(), takes_value);
            }
            let aliases = argument.get_all_short_aliases().unwrap_or_default();
            for name in argument.get_short().into_iter().chain(aliases) {
                known.short.insert(name, takes_value);
            }
        }
        known
    }

    /// Whether the word after this option is its value; none where the option is not known.
    fn takes_next(&self, option: &str) -> Option<bool> {
        if let Some(long) = option.strip_prefix("--") {
            return match long.split_once('=') {
                Some((name, _)) => self.long.get(name).map(|_| false),
                None => self.long.get(long).copied(),
            };
        }
        let mut letters = option.chars().skip(1);
        while let Some(letter) = letters.next() {
            if *self.short.get(&letter)? {
                // `-m512` has its value in the same word.
                return Some(letters.next().is_none());
            }
        }
        Some(false)
    }
}

/// Moves the words that say what to build to the front and keeps the order of everything else.
///
/// `count` says how many words a command line has that starts with a given one: 2 for a hypervisor, 3
/// for `plan`, none for a verb that is none of these. A command line with an option that is not known
/// in front stays as it is: clap says what is wrong with it.
pub fn words_first(
    arguments: Vec<OsString>,
    known: &Known,
    count: impl Fn(&OsStr) -> Option<usize>,
) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut options = Vec::new();
    let mut wanted = usize::MAX;
    let mut rest = arguments.iter();
    while words.len() < wanted {
        let Some(argument) = rest.next() else {
            // Without the options clap sees the help that is asked for, or else shows the one that lists
            // the words that may follow.
            let help = options.into_iter().find(|option| option == "-h" || option == "--help");
            return if words.is_empty() { arguments } else { words.into_iter().chain(help).collect() };
        };
        let text = argument.to_string_lossy();
        if text == "--" {
            return arguments;
        }
        if text.len() > 1 && text.starts_with('-') {
            let Some(takes_next) = known.takes_next(&text) else { return arguments };
            options.push(argument.clone());
            if takes_next {
                options.extend(rest.next().cloned());
            }
            continue;
        }
        if words.is_empty() {
            let Some(count) = count(argument) else { return arguments };
            wanted = count;
        }
        words.push(argument.clone());
    }
    words.into_iter().chain(options).chain(rest.cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(line: &str) -> String {
        let command = clap::Command::new("x")
            .arg(clap::Arg::new("mem").short('m').long("mem").alias("memory"))
            .arg(clap::Arg::new("over").short('o').long("over").action(clap::ArgAction::SetTrue));
        let count = |word: &OsStr| match word.to_str() {
            Some("plan") => Some(3),
            Some("suites") => None,
            _ => Some(2),
        };
        let arguments = line.split_whitespace().map(OsString::from).collect();
        let words = words_first(arguments, &Known::of(&command), count);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_come_first() {
        let table = [
            ("kvm debian --mem 4", "kvm debian --mem 4"),
            ("--mem 4 kvm debian -o", "kvm debian --mem 4 -o"),
            ("--memory 4 kvm debian", "kvm debian --memory 4"),
            ("-m4 kvm -om 5 debian --mem=6", "kvm debian -m4 -om 5 --mem=6"),
            ("-o plan --mem=4 kvm -o debian", "plan kvm debian -o --mem=4 -o"),
            ("-h kvm debian", "kvm debian -h"),
            ("-o kvm", "kvm"),
            ("kvm --mem 4 --help", "kvm --help"),
        ];
        for (line, expected) in table {
            assert_eq!(ordered(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_stays() {
        for line in
            ["", "kvm", "--mem", "-o suites --mem 4 x", "--what kvm debian", "-x kvm debian", "-- kvm debian"]
        {
            assert_eq!(ordered(line), line);
        }
    }
}
