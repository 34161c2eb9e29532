//! The list of `--copy`: a line `SOURCE DESTINATION` for each thing to copy, as vmbuilder had it, with
//! quotation marks, comments and columns such as `mode=0644` beside.
//!
//! Only text is read here; what the words mean on this host is found out beside.

use std::path::{Component, Path};

use crate::error::Problem;
use crate::near;

/// Columns that may follow the two names.
const KEYS: [&str; 2] = ["mode", "owner"];

/// What the kernel, and not an image, puts into directories.
const NEVER_IN_AN_IMAGE: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The largest id that a user namespace of rvmb's has.
const LARGEST_ID: u32 = 65_535;

/// What a list says, as far as it can be understood, and what is wrong with the rest.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// The lines that are right.
    pub lines: Vec<Line>,
    /// What is wrong with others; the name of the file is left for the caller to fill in.
    pub problems: Vec<Problem>,
}

/// A line: something to copy.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The line itself.
    pub text: String,
    /// What to copy: a path of this host, or a pattern of such.
    pub source: Word,
    /// Where to: an absolute path of the machine, without `.` and doubled slashes, and without a slash at
    /// its end.
    pub destination: String,
    /// Whether the destination was written with a slash at its end: it is a directory.
    pub into: bool,
    /// Permission bits in place of those that the source has.
    pub mode: Option<u32>,
    /// Owner in place of root.
    pub owner: Option<Owner>,
}

/// A word of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word {
    /// Its text, without quotation marks.
    pub text: String,
    /// The same as a pattern: what was quoted stands for itself alone.
    pub pattern: String,
    /// Whether something in it that was not quoted makes it a pattern.
    pub is_pattern: bool,
    /// Number of its first character in the line, from 1.
    pub column: usize,
    /// How many characters of the line it takes.
    pub length: usize,
}

/// An owner, by names or numbers of the machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The user; none for root.
    pub user: Option<String>,
    /// The group; none for the user's own.
    pub group: Option<String>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.user.as_deref().unwrap_or_default())?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

/// Reads a list.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let place = Place { number: index + 1, text: line };
        match words(&place).and_then(|words| read(&place, &words)) {
            Ok(line) => parsed.lines.extend(line),
            Err(problem) => parsed.problems.push(*problem),
        }
    }
    parsed
}

/// A line of which something is said.
pub(super) struct Place<'a> {
    pub number: usize,
    pub text: &'a str,
}

impl Place<'_> {
    /// What is wrong with `length` characters from `column` on.
    pub(super) fn problem(
        &self,
        (column, length): (usize, usize),
        message: impl Into<String>,
        help: Option<String>,
    ) -> Problem {
        Problem {
            file: String::new(),
            line: self.number,
            column,
            length: length.max(1),
            text: self.text.to_owned(),
            message: message.into(),
            help,
        }
    }

    fn wrong<T>(&self, word: &Word, message: String, help: &str) -> Result<T, Box<Problem>> {
        Err(Box::new(self.problem((word.column, word.length), message, Some(help.to_owned()))))
    }
}

/// Splits a line into its words, as a shell would: blanks part them; quotation marks and a backslash take
/// the meaning from what they stand for; a word that begins with `#` begins a comment.
fn words(place: &Place<'_>) -> Result<Vec<Word>, Box<Problem>> {
    let mut words = Vec::new();
    let mut characters = place.text.chars().zip(1..).peekable();
    while let Some((first, column)) = characters.peek().copied() {
        if first.is_ascii_whitespace() {
            characters.next();
            continue;
        }
        if first == '#' {
            break;
        }
        let mut word = Word { column, ..Word::default() };
        let mut end = column;
        while let Some((character, at)) =
            characters.next_if(|(character, _)| !character.is_ascii_whitespace())
        {
            end = at;
            match character {
                '\'' | '"' => end = quoted(place, &mut word, &mut characters, (character, at))?,
                '\\' => match characters.next() {
                    Some((literal, at)) => {
                        word.literal(literal);
                        end = at;
                    }
                    None => {
                        let help = "Every entry is one line; two backslashes stand for one.".to_owned();
                        let message = "the line ends in a backslash";
                        return Err(Box::new(place.problem((at, 1), message, Some(help))));
                    }
                },
                plain => {
                    word.is_pattern |= "*?[".contains(plain);
                    word.text.push(plain);
                    word.pattern.push(plain);
                }
            }
        }
        word.length = end + 1 - column;
        words.push(word);
    }
    Ok(words)
}

/// Takes what follows a quotation mark, and the mark that ends it. Within double ones a backslash takes the
/// meaning from a mark and from another backslash. Returns the column of the last character.
fn quoted(
    place: &Place<'_>,
    word: &mut Word,
    characters: &mut impl Iterator<Item = (char, usize)>,
    (mark, column): (char, usize),
) -> Result<usize, Box<Problem>> {
    let mut escaped = false;
    for (character, at) in characters.by_ref() {
        match character {
            '"' | '\\' if escaped => word.literal(character),
            other if escaped => {
                word.literal('\\');
                word.literal(other);
            }
            end if end == mark => return Ok(at),
            '\\' if mark == '"' => {
                escaped = true;
                continue;
            }
            plain => word.literal(plain),
        }
        escaped = false;
    }
    let length = (place.text.chars().count() + 1).saturating_sub(column);
    let help = format!("End the name with {mark}; a mark that belongs to the name gets a backslash.");
    Err(Box::new(place.problem((column, length), "there is no second quotation mark", Some(help))))
}

impl Word {
    /// Adds a character that stands for itself.
    fn literal(&mut self, character: char) {
        self.text.push(character);
        self.pattern += &glob::Pattern::escape(character.encode_utf8(&mut [0; 4]));
    }
}

/// Makes an entry of the words of a line; none of a line without words.
fn read(place: &Place<'_>, words: &[Word]) -> Result<Option<Line>, Box<Problem>> {
    let (source, destination, columns) = match words {
        [] => return Ok(None),
        [only] => {
            let message = format!("`{}` has no destination", only.text);
            return place.wrong(only, message, "Write SOURCE DESTINATION, such as `motd /etc/motd`.");
        }
        [source, destination, columns @ ..] => (source, destination, columns),
    };
    for word in [source, destination] {
        if word.text.is_empty() || word.text.contains('\0') {
            return place.wrong(word, "this is no name of a file".into(), "Name a file or a directory.");
        }
    }
    let into = destination.text.ends_with('/');
    let mut line = Line {
        number: place.number,
        text: place.text.to_owned(),
        source: source.clone(),
        destination: read_destination(place, destination)?,
        into,
        mode: None,
        owner: None,
    };
    let mut seen = Vec::new();
    for word in columns {
        let key = read_column(place, word, &mut line)?;
        if seen.contains(&key) {
            return place.wrong(word, format!("{key} is given twice"), "Leave one of them out.");
        }
        seen.push(key);
    }
    Ok(Some(line))
}

/// A path in the machine, made plain.
fn read_destination(place: &Place<'_>, word: &Word) -> Result<String, Box<Problem>> {
    let text = &word.text;
    if !text.starts_with('/') {
        let message = format!("the destination `{text}` is not absolute");
        return place.wrong(
            word,
            message,
            "It is a place in the machine and begins with a slash; a name with blanks needs quotation marks.",
        );
    }
    let mut plain = String::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => plain += &format!("/{}", name.to_string_lossy()),
            Component::ParentDir => {
                let message = format!("the destination `{text}` has `..` in it");
                return place.wrong(word, message, "Write where that is.");
            }
            _ => {}
        }
    }
    if let Some(directory) = NEVER_IN_AN_IMAGE.into_iter().find(|name| Path::new(&plain).starts_with(name)) {
        let message = format!("nothing of an image can be in {directory}");
        return place.wrong(word, message, "The kernel of the machine fills it when it starts.");
    }
    if plain.is_empty() {
        plain.push('/');
    }
    Ok(plain)
}

/// Reads `KEY=VALUE` into the entry, and returns the key.
fn read_column(place: &Place<'_>, word: &Word, line: &mut Line) -> Result<&'static str, Box<Problem>> {
    let Some((key, value)) = word.text.split_once('=') else {
        let message = format!("`{}` is a third name", word.text);
        let help = "Put quotation marks around a name with blanks; what may follow is mode= and owner=.";
        return place.wrong(word, message, help);
    };
    let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
        let help = near::question(key, KEYS).unwrap_or_else(|| "Columns are mode= and owner=.".to_owned());
        return place.wrong(word, format!("there is no column `{key}`"), &help);
    };
    match key {
        "mode" => match read_mode(value) {
            Some(mode) => line.mode = Some(mode),
            None => {
                let message = format!("`{value}` is no mode");
                return place.wrong(word, message, "Write it in octal, such as mode=0644.");
            }
        },
        _ => match read_owner(value) {
            Some(owner) => line.owner = Some(owner),
            None => {
                let message = format!("`{value}` is no owner");
                let help =
                    "Write owner=USER, owner=USER:GROUP or owner=:GROUP, by names or by numbers below 65536.";
                return place.wrong(word, message, help);
            }
        },
    }
    Ok(key)
}

/// Three or four octal digits, as chmod(1) takes them.
fn read_mode(text: &str) -> Option<u32> {
    let fits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    fits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

fn read_owner(text: &str) -> Option<Owner> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let fits = !(user.is_empty() && group.is_empty())
        && [user, group].into_iter().all(|name| name.is_empty() || is_account(name));
    fits.then(|| Owner { user: part(user), group: part(group) })
}

/// A name or number of a user or group, as useradd(8) has them.
fn is_account(name: &str) -> bool {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse::<u32>().is_ok_and(|id| id <= LARGEST_ID);
    }
    name.len() <= 32
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let parsed = parse(text);
        assert_eq!(parsed.problems, [], "{text}");
        parsed.lines.into_iter().next().unwrap()
    }

    #[test]
    fn lists_of_vmbuilder_mean_what_they_meant() {
        let parsed = parse("files/motd /etc/motd\nfiles/www /srv\n\n/etc/hosts /root/hosts.builder\n");
        assert_eq!(parsed.problems, []);
        let pairs: Vec<(&str, &str)> =
            parsed.lines.iter().map(|line| (line.source.text.as_str(), line.destination.as_str())).collect();
        assert_eq!(
            pairs,
            [("files/motd", "/etc/motd"), ("files/www", "/srv"), ("/etc/hosts", "/root/hosts.builder")]
        );
        assert_eq!(parsed.lines[2].number, 4);
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, source, destination) in [
            ("a\t \t/b", "a", "/b"),
            ("  a /b  # why", "a", "/b"),
            ("\"a b\" '/c d'", "a b", "/c d"),
            (r"a\ b /c\'d", "a b", "/c'd"),
            (r#""a\"b\\c\d" /e"#, r#"a"b\c\d"#, "/e"),
            (r"'a\b' /c", r"a\b", "/c"),
            ("a#b /c#d", "a#b", "/c#d"),
            ("x'y'\"z\" /a//b/./c", "xyz", "/a/b/c"),
            ("é\u{a0}x /ü", "é\u{a0}x", "/ü"),
            ("a /", "a", "/"),
            ("a /b\r", "a", "/b"),
        ] {
            let line = line(text);
            assert_eq!((line.source.text.as_str(), line.destination.as_str()), (source, destination));
        }
        assert_eq!(parse("\n# nothing\n \t\n"), Parsed::default());
        assert!(line("a /b/").into && !line("a /b").into);
    }

    #[test]
    fn only_what_is_not_quoted_makes_a_pattern() {
        for (text, is_pattern, pattern) in [
            ("*.conf /etc/", true, "*.conf"),
            ("'*'.conf /etc/", false, "[*].conf"),
            (r"\*?.conf /etc/", true, "[*]?.conf"),
            ("[ab] /etc/", true, "[ab]"),
        ] {
            let source = line(text).source;
            assert_eq!((source.is_pattern, source.pattern.as_str()), (is_pattern, pattern), "{text}");
        }
    }

    #[test]
    fn modes_and_owners_are_read() {
        let line = line("a /b owner=www-data:adm mode=4755");
        assert_eq!((line.mode, line.owner.unwrap().to_string().as_str()), (Some(0o4755), "www-data:adm"));
        for (text, expected) in [("bob", "bob"), (":adm", ":adm"), ("33:33", "33:33"), ("bob:", "bob")] {
            assert_eq!(read_owner(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, column, length, message) in [
            ("motd", 1, 4, "`motd` has no destination"),
            ("  a  etc/b", 6, 5, "the destination `etc/b` is not absolute"),
            ("a /b/../c", 3, 7, "the destination `/b/../c` has `..` in it"),
            ("a /proc/x", 3, 7, "nothing of an image can be in /proc"),
            ("a /./dev", 3, 6, "nothing of an image can be in /dev"),
            ("my file /b", 4, 4, "the destination `file` is not absolute"),
            ("a /b c", 6, 1, "`c` is a third name"),
            ("a /b mod=0644", 6, 8, "there is no column `mod`"),
            ("a /b mode=rw", 6, 7, "`rw` is no mode"),
            ("a /b mode=0888", 6, 9, "`0888` is no mode"),
            ("a /b mode=0644 mode=0600", 16, 9, "mode is given twice"),
            ("a /b owner=", 6, 6, "`` is no owner"),
            ("a /b owner=:", 6, 7, "`:` is no owner"),
            ("a /b owner=a:b:c", 6, 11, "`a:b:c` is no owner"),
            ("a /b owner=70000", 6, 11, "`70000` is no owner"),
            ("\"a /b", 1, 5, "there is no second quotation mark"),
            ("a 'b c", 3, 4, "there is no second quotation mark"),
            ("a /b\\", 5, 1, "the line ends in a backslash"),
            ("'' /b", 1, 2, "this is no name of a file"),
            ("a ''", 3, 2, "this is no name of a file"),
            ("a\0b /b", 1, 3, "this is no name of a file"),
        ] {
            let parsed = parse(text);
            let [problem] = parsed.problems.as_slice() else { panic!("{text}: {parsed:?}") };
            assert_eq!(
                (problem.message.as_str(), problem.column, problem.length),
                (message, column, length),
                "{text}"
            );
            assert!(problem.help.is_some(), "{text}");
        }
    }

    #[test]
    fn one_wrong_line_hides_no_other() {
        let parsed = parse("a\nb /b\nc d\n");
        assert_eq!(parsed.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(parsed.lines.len(), 1);
    }

    /// The seeds of the fuzz target: none of them may break more than itself.
    #[test]
    fn the_corpus_is_read() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/copy-list");
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let parsed = parse(&text);
            let broken = path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("broken"));
            assert_eq!(!parsed.problems.is_empty(), broken, "{}: {parsed:?}", path.display());
            for problem in parsed.problems {
                let shown = problem.text.chars().count();
                assert!(problem.column + problem.length <= shown.max(1) + 1, "{problem:?}");
            }
            count += 1;
        }
        assert!(count >= 12, "{count}");
    }
}
