//! `%(name)s` in values, as Python 3's `configparser.BasicInterpolation` has it: the name is that of
//! another setting of the same section, or else of `[DEFAULT]`; `%%` is a percent sign, and a percent sign
//! before anything else is an error.

use std::collections::BTreeSet;

use super::parse::Entry;

/// How deep values may refer to each other: Python's `MAX_INTERPOLATION_DEPTH`.
const DEPTH_LIMIT: usize = 10;

/// How many names may be looked up for one value. Ten levels of ten names each would never end.
const LOOK_UPS: usize = 10_000;

/// How long a value may become, in bytes.
const LENGTH_LIMIT: usize = 1 << 20;

/// What is wrong with a reference, and where it stands.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    /// The setting in whose value it stands.
    pub entry: &'a Entry,
    /// Where in its raw value, in bytes.
    pub start: usize,
    /// How long it is, in bytes.
    pub length: usize,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong with a reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Neither `%` nor `(` follows the percent sign.
    Percent,
    /// The name does not end with `)s`.
    Unfinished,
    /// There is no setting of that name.
    Unknown(String),
    /// Settings refer to each other more than [`DEPTH_LIMIT`] times, perhaps in a circle.
    TooDeep,
    /// The value becomes longer than [`LENGTH_LIMIT`], or takes more than [`LOOK_UPS`].
    TooLong,
}

/// The value of a setting with everything in the place of its reference. `find` gives the setting of a
/// name, which is in lower case.
pub(super) fn expand<'a>(
    entry: &'a Entry,
    find: &dyn Fn(&str) -> Option<&'a Entry>,
) -> Result<String, Fault<'a>> {
    let mut expansion = Expansion { text: String::new(), look_ups: 0, find };
    expansion.add(entry, 1)?;
    Ok(expansion.text)
}

struct Expansion<'a, 'f> {
    text: String,
    look_ups: usize,
    find: &'f dyn Fn(&str) -> Option<&'a Entry>,
}

impl<'a> Expansion<'a, '_> {
    fn add(&mut self, entry: &'a Entry, depth: usize) -> Result<(), Fault<'a>> {
        let raw = entry.raw();
        let fault = |start: usize, length: usize, wrong: Wrong| Fault { entry, start, length, wrong };
        if depth > DEPTH_LIMIT {
            return Err(fault(0, raw.len(), Wrong::TooDeep));
        }
        for token in Tokens(&raw, 0) {
            match token {
                Token::Text(text) => self.text.push_str(text),
                Token::Percent => self.text.push('%'),
                Token::Wrong(start, length, wrong) => return Err(fault(start, length, wrong)),
                Token::Name(start, length, name) => {
                    self.look_ups += 1;
                    if self.look_ups > LOOK_UPS || self.text.len() > LENGTH_LIMIT {
                        return Err(fault(start, length, Wrong::TooLong));
                    }
                    let name = name.to_lowercase();
                    let Some(found) = (self.find)(&name) else {
                        return Err(fault(start, length, Wrong::Unknown(name)));
                    };
                    let value = found.raw();
                    // What refers to nothing counts as no level.
                    if value.contains('%') {
                        self.add(found, depth + 1)?;
                    } else {
                        self.text.push_str(&value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The names that a value refers to.
pub(super) fn names(raw: &str) -> BTreeSet<String> {
    let name = |token| match token {
        Token::Name(_, _, name) => Some(name.to_lowercase()),
        _ => None,
    };
    Tokens(raw, 0).filter_map(name).collect()
}

/// A piece of a value; the numbers are where it stands, and its length.
enum Token<'t> {
    Text(&'t str),
    Percent,
    Name(usize, usize, &'t str),
    Wrong(usize, usize, Wrong),
}

/// The pieces of a value, from a byte on. They end after a wrong one.
struct Tokens<'t>(&'t str, usize);

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let start = self.1;
        let rest = self.0.get(start..).filter(|rest| !rest.is_empty())?;
        let Some(reference) = rest.strip_prefix('%') else {
            let length = rest.find('%').unwrap_or(rest.len());
            self.1 += length;
            return rest.get(..length).map(Token::Text);
        };
        if reference.starts_with('%') {
            self.1 += 2;
            return Some(Token::Percent);
        }
        let end = self.0.len();
        let Some(name) = reference.strip_prefix('(') else {
            self.1 = end;
            return Some(Token::Wrong(start, 1, Wrong::Percent));
        };
        match name.split_once(')') {
            Some((name, after)) if !name.is_empty() && after.starts_with('s') => {
                let length = name.len() + "%()s".len();
                self.1 += length;
                Some(Token::Name(start, length, name))
            }
            _ => {
                self.1 = end;
                let line = rest.find('\n').unwrap_or(rest.len());
                Some(Token::Wrong(start, line, Wrong::Unfinished))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// The value of the first setting, or what is wrong with which text.
    fn expanded(text: &str) -> Result<String, (Wrong, String)> {
        let parsed = parse("x", &format!("[DEFAULT]\n{text}")).unwrap();
        let find = |name: &str| parsed.entries.iter().rfind(|entry| entry.name == name);
        let first = parsed.entries.first().unwrap();
        expand(first, &find).map_err(|fault| (fault.wrong, fault.entry.piece(fault.start, fault.length).text))
    }

    #[test]
    fn names_become_values() {
        let table = [
            ("a = 50%%", "50%"),
            ("a = x%(B)s/%(c)s\nb: 1\nc: 2", "x1/2"),
            ("a = %(b)s\nb: %(c)s%%\nc: 2", "2%"),
            ("a = plain", "plain"),
        ];
        for (text, value) in table {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown() {
        let unknown = Wrong::Unknown("bb".to_owned());
        let table = [
            ("a = 100% sure", Wrong::Percent, "%"),
            ("a = 100%", Wrong::Percent, "%"),
            ("a = x %(b", Wrong::Unfinished, "%(b"),
            ("a = %()s", Wrong::Unfinished, "%()s"),
            ("a = %(b)d\nb = 1", Wrong::Unfinished, "%(b)d"),
            ("a = 1 %(BB)s 2", unknown, "%(BB)s"),
            ("a = %(a)s", Wrong::TooDeep, "%(a)s"),
            ("a = 1\n  2 %(b)s\nb =\n  3 %z", Wrong::Percent, "%"),
        ];
        for (text, wrong, piece) in table {
            assert_eq!(expanded(text), Err((wrong, piece.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_value_that_explodes_is_refused() {
        let many = |name: &str| format!("%({name})s").repeat(100);
        let mut text = format!("a0 = {}\n", many("a1"));
        for level in 1..9 {
            text += &format!("a{level} = {}\n", many(&format!("a{}", level + 1)));
        }
        assert!(matches!(expanded(&(text + "a9 =\n")), Err((Wrong::TooLong, _))));
    }
}
