//! Makes a command line as clap wants it of one as people write it.
//!
//! Hypervisor and distribution are subcommands for clap, so that each pair has its own help, and
//! options of a subcommand must follow it. People who come from vmbuilder write `vmbuilder -o kvm debian`,
//! too, and `--over` for `--overwrite`. So [`arrange`] moves `kvm debian` to the front, writes the names of
//! options out, and leaves out options with an empty value, which count as not given.

use std::ffi::{OsStr, OsString};

use super::known::{Known, Seen};
use crate::error::Result;

/// A word of a command line that is no option and no value of one, as it counts in [`arrange`].
type Words = [OsString];

/// Arranges a command line; `arguments` are without the program's name.
///
/// `counts` says how many words a command line can have that starts with given ones: 2 for a hypervisor, 3
/// for `plan`; none for a verb that has no such words. A command line with an option that is not
/// known stays as it is from there on: clap says what is wrong with it.
///
/// # Errors
///
/// [`crate::Kind::Usage`] for the beginning of several options.
pub(super) fn arrange(
    arguments: Vec<OsString>,
    known: &Known,
    counts: impl Fn(&Words) -> Option<&'static [usize]>,
) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = Vec::new();
    let mut options: Vec<OsString> = Vec::new();
    let mut wanted: &[usize] = &[];
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let is_complete = wanted.last() == Some(&words.len());
        if is_option(argument) {
            let Some(seen) = argument.to_str().map(|text| known.see(text)).transpose()?.flatten() else {
                if !is_complete {
                    return Ok(arguments);
                }
                options.push(argument.clone());
                break;
            };
            if matches!(seen.word.as_str(), "--version" | "-V") {
                return Ok(vec![OsString::from("--version")]);
            }
            add(&mut options, seen, &mut rest);
        } else if !is_complete && argument == "--" {
            return Ok(arguments);
        } else if is_complete {
            // A word too many, or what follows `--`: clap's to say.
            options.push(argument.clone());
            break;
        } else {
            words.push(argument.clone());
            match counts(&words) {
                Some(counts) => wanted = counts,
                None => return Ok(arguments),
            }
        }
    }
    if !wanted.contains(&words.len()) {
        // Without the options clap sees the help that is asked for, or else shows the one that lists
        // the words that may follow.
        let help = options.into_iter().find(|option| option == "-h" || option == "--help");
        return Ok(if words.is_empty() { arguments } else { words.into_iter().chain(help).collect() });
    }
    Ok(words.into_iter().chain(options).chain(rest.cloned()).collect())
}

fn is_option(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.len() > 1 && bytes.starts_with(b"-") && bytes != b"--"
}

/// Adds an option with its value, unless that is empty.
fn add<'a>(options: &mut Vec<OsString>, seen: Seen, rest: &mut impl Iterator<Item = &'a OsString>) {
    if seen.takes_next {
        let value = rest.next();
        if !seen.may_be_empty && value.is_some_and(|value| value.is_empty()) {
            // Of `-om ""` the first letter stays.
            let others = seen.word.get(..seen.word.len().saturating_sub(1)).unwrap_or_default();
            options.extend((!seen.word.starts_with("--") && others.len() > 1).then(|| others.into()));
            return;
        }
        options.push(seen.word.into());
        options.extend(value.cloned());
    } else if seen.may_be_empty || seen.value.as_deref() != Some("") {
        options.push(seen.word.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::tests::known;
    use super::*;

    /// The words of a line, `''` for an empty one, in the order that clap gets.
    fn arranged(line: &str) -> Result<String> {
        let counts = |words: &Words| -> Option<&'static [usize]> {
            match words.first()?.to_str() {
                Some("plan") => Some(&[3]),
                Some("show") => Some(&[1, 3]),
                Some("suites") => None,
                _ => Some(&[2]),
            }
        };
        let word = |word: &str| OsString::from(if word == "''" { "" } else { word });
        let words = arrange(line.split_whitespace().map(word).collect(), &known(), counts)?;
        let word = |word: OsString| if word.is_empty() { "''".into() } else { word.into_string().unwrap() };
        Ok(words.into_iter().map(word).collect::<Vec<String>>().join(" "))
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
            ("-o show", "show -o"),
            ("-o show kvm -v debian", "show kvm debian -o -v"),
            ("show kvm -o", "show kvm"),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn names_are_written_out_wherever_they_stand() {
        let table = [
            ("--over kvm debian --dest x", "kvm debian --overwrite --dest x"),
            ("--me 4 kvm --des x debian --verb", "kvm debian --mem 4 --dest x --verbose"),
            ("kvm debian --me=4 --over", "kvm debian --mem=4 --overwrite"),
            ("kvm debian --he", "kvm debian --help"),
            ("kvm debian --versi", "--version"),
            ("-V kvm", "--version"),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line).unwrap(), expected, "{line}");
        }
        for line in ["--pas x kvm debian", "kvm --pas x debian", "kvm debian --pas=x"] {
            assert!(arranged(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_empty_value_is_none_but_for_a_password() {
        let table = [
            ("kvm debian --mem '' -o", "kvm debian -o"),
            ("--mem= kvm debian", "kvm debian"),
            ("-m '' kvm debian", "kvm debian"),
            ("-om '' kvm debian", "kvm debian -o"),
            ("kvm debian --pass '' --pass=", "kvm debian --pass '' --pass="),
        ];
        for (line, expected) in table {
            assert_eq!(arranged(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_stays() {
        for line in [
            "",
            "kvm",
            "--mem",
            "-o suites --mem 4 x",
            "--what kvm debian",
            "-x kvm debian",
            "kvm debian --what --me 4",
            "kvm debian -- --me 4",
            "kvm debian extra --me 4",
            "-- kvm debian",
        ] {
            assert_eq!(arranged(line).unwrap(), line);
        }
    }
}
