//! Packages in apt's words, as apt-get(8) describes them: `name`, `name:architecture`, `name=version`,
//! `name/suite`, and `name-` for one that is to go. The words reach apt as they are; they are read here to
//! tell what is wrong with them before apt is asked.

use super::checks;
use super::problems::Problems;
use crate::error::{About, Error, Result, Subject};

/// A word for apt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub name: &'a str,
    /// Debian's name of an architecture, or one of apt's words for the machine's own.
    pub architecture: Option<&'a str>,
    pub which: Which<'a>,
}

/// Which one of the package's versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which<'a> {
    /// The one that apt prefers.
    Any,
    /// This one.
    Version(&'a str),
    /// The one of this suite.
    Suite(&'a str),
    /// None: the package is to go.
    None,
    /// All packages of the task of that name.
    Task,
}

impl<'a> Word<'a> {
    /// Reads a word. The name fits Debian Policy 5.6.1.
    pub(super) fn parse(word: &'a str) -> Result<Word<'a>> {
        Word::read(word).ok_or_else(|| {
            let error = Error::config(format!("`{word}` is not a package"));
            error.hint(list_hint(word).unwrap_or_else(|| {
                "Write packages as apt takes them: name, name=version, name/suite, name:architecture, or task^."
                    .to_owned()
            }))
        })
    }

    fn read(word: &'a str) -> Option<Word<'a>> {
        // The first of the two signs counts: a version may have a `/` in no release, and a `:` in any.
        let (package, which) =
            match word.find(['=', '/']).map(|at| (word.split_at(at), word.as_bytes().get(at).copied())) {
                Some(((package, rest), Some(b'='))) => (package, Which::Version(rest.get(1..)?)),
                Some(((package, rest), _)) => (package, Which::Suite(rest.get(1..)?)),
                None => match (word.strip_suffix('-'), word.strip_suffix('^')) {
                    (Some(package), _) => (package, Which::None),
                    (None, Some(task)) => (task, Which::Task),
                    (None, None) => (word, Which::Any),
                },
            };
        let (name, architecture) = match package.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (package, None),
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'' && byte != b'"')
        };
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let of_a_kind = match which {
            Which::Version(text) | Which::Suite(text) => plain(text) && !text.ends_with('-'),
            Which::Any | Which::None => true,
            Which::Task => !word.contains(':'),
        };
        let is_architecture =
            |text: &str| plain(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (name.len() >= 2
            && starts_well
            && name.bytes().all(fits)
            && of_a_kind
            && architecture.is_none_or(is_architecture))
        .then_some(Word { name, architecture, which })
    }

    /// The name in a word, or the word where it cannot be read.
    pub(super) fn name_of(word: &'a str) -> &'a str {
        Word::read(word).map_or(word, |word| word.name)
    }

    /// The name, with the architecture where one is named.
    pub(super) fn package(&self) -> String {
        match self.architecture {
            Some(architecture) => format!("{}:{architecture}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Whether the word stands for the package itself, in whatever version.
    pub(super) fn is_plain(&self) -> bool {
        self.which == Which::Any
    }
}

/// The architectures of Debian and Ubuntu, of today and of yesterday (dpkg's cputable).
const ARCHITECTURES: [&str; 20] = [
    "alpha",
    "amd64",
    "arm64",
    "armel",
    "armhf",
    "hppa",
    "hurd-i386",
    "i386",
    "ia64",
    "loong64",
    "m68k",
    "mips",
    "mips64el",
    "mipsel",
    "powerpc",
    "ppc64",
    "ppc64el",
    "riscv64",
    "s390x",
    "sparc64",
];

/// What to do about words with blanks or semicolons between them, or names with colons, where a list is meant.
fn list_hint(word: &str) -> Option<String> {
    let is_name = |name: &str| Word::read(name).is_some_and(|word| word.is_plain());
    checks::list_hint(word, &[' ', '\t', ';'], |item| Word::read(item).is_some())
        .or_else(|| checks::list_hint(word, &[':'], is_name).map(|hint| format!("{hint} {ONE_PACKAGE}")))
}

/// What a colon is for.
const ONE_PACKAGE: &str = "NAME:ARCHITECTURE is one package.";

/// The words of --addpkg that install, and those of it and of --removepkg that remove, the latter as
/// `name` or `name:architecture`.
///
/// Every problem goes into `problems`.
pub(super) fn sort(
    add: &[String],
    remove: &[String],
    architecture: &str,
    problems: &mut Problems,
) -> (Vec<String>, Vec<String>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for text in add {
        let word = Word::parse(text).and_then(|word| of_the_machine(word, architecture));
        match problems.keep(word.about_item("addpkg", text)) {
            Some(Word { which: Which::None, .. }) => removed.push(text.trim_end_matches('-').to_owned()),
            Some(_) => added.push(text.clone()),
            None => {}
        }
    }
    for text in remove {
        let word = Word::parse(text)
            .and_then(|word| of_the_machine(word, architecture))
            .and_then(|word| is_removable(text, &word));
        if problems.keep(word.about_item("removepkg", text)).is_some() {
            removed.push(text.clone());
        }
    }
    for text in &added {
        let name = Word::name_of(text);
        if let Some(other) = removed.iter().find(|other| Word::name_of(other) == name) {
            problems.note(
                Error::config(format!("{name} is to be added and to be removed"))
                    .hint("Leave it out of --addpkg or of --removepkg.")
                    .about(Subject::item("addpkg", text))
                    .about(Subject::item("removepkg", other)),
            );
        }
    }
    (added, removed)
}

/// Refuses what says more than which package is to go.
fn is_removable(text: &str, word: &Word<'_>) -> Result<()> {
    if word.is_plain() {
        return Ok(());
    }
    Err(Error::config(format!("`{text}` is not a package that can be removed"))
        .hint(format!("Write --removepkg {}.", word.package())))
}

/// Refuses a package of another architecture. The machine would need `dpkg --add-architecture`, and its
/// archive the indices of that architecture.
fn of_the_machine<'a>(word: Word<'a>, architecture: &str) -> Result<Word<'a>> {
    match word.architecture {
        None | Some("native" | "any" | "all") => Ok(word),
        Some(own) if own == architecture => Ok(word),
        Some(other) if !ARCHITECTURES.contains(&other) && list_hint(&word.package()).is_some() => {
            let text = word.package();
            let error = Error::config(format!("`{text}` is a package for {other}, which is no architecture"));
            Err(error.hint(list_hint(&text).unwrap_or_default()))
        }
        Some(other) => Err(Error::config(format!(
            "{} is a package for {other}, and the machine is {architecture}",
            word.package()
        ))
        .hint(format!(
            "The image has packages of its own architecture alone: add the other one in a --firstboot script, with \
             `dpkg --add-architecture {other} && apt-get update && apt-get install --yes {}`.",
            word.package()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_commas() {
        for (text, hint) in [
            ("vim curl", Some("A list has commas: vim,curl.")),
            ("vim=1; curl^", Some("A list has commas: vim=1,curl^.")),
            ("vim:curl", Some("A list has commas: vim,curl. NAME:ARCHITECTURE is one package.")),
            ("vim Curl", None),
            ("vim;", None),
        ] {
            assert_eq!(list_hint(text).as_deref(), hint, "{text}");
        }
    }

    #[test]
    fn words_are_apts() {
        let word = |name, architecture, which| Word { name, architecture, which };
        let table = [
            ("nginx", word("nginx", None, Which::Any)),
            ("g++", word("g++", None, Which::Any)),
            ("libc6:i386", word("libc6", Some("i386"), Which::Any)),
            ("bash=5.1-2", word("bash", None, Which::Version("5.1-2"))),
            ("vim=2:9.0~rc1+b1", word("vim", None, Which::Version("2:9.0~rc1+b1"))),
            ("vim:amd64=2:9", word("vim", Some("amd64"), Which::Version("2:9"))),
            ("vim/trixie-backports", word("vim", None, Which::Suite("trixie-backports"))),
            ("nano-", word("nano", None, Which::None)),
            ("standard^", word("standard", None, Which::Task)),
            ("nano:amd64-", word("nano", Some("amd64"), Which::None)),
        ];
        for (text, expected) in table {
            assert_eq!(Word::parse(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "a",
            "-",
            "--",
            "-o",
            "--yes",
            "a b",
            "Nginx",
            "x;y",
            "?essential",
            "../x",
            "vim=",
            "vim/",
            "vim:",
            "vim=1-",
            "vim:a/b:c d",
            "^",
            "standard^-",
            "standard:amd64^",
            "vim:nano:htop",
        ] {
            assert!(Word::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_with_colons_is_told_how_lists_are_written() {
        let (_, _, problems) = sorted(&["vim:nano"], &[]);
        assert_eq!(problems, ["`vim:nano` is a package for nano, which is no architecture"]);
        let hint = |text: &str| {
            let read = Word::parse(text).and_then(|word| of_the_machine(word, "amd64").map(drop));
            read.unwrap_err().hints()[0].clone()
        };
        for text in ["vim:nano", "vim:nano:htop"] {
            assert!(hint(text).contains(&text.replace(':', ",")), "{}", hint(text));
        }
        assert!(hint("libc6:i386").contains("dpkg --add-architecture"));
    }

    fn sorted(add: &[&str], remove: &[&str]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let owned = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        let mut problems = Problems::default();
        let (added, removed) = sort(&owned(add), &owned(remove), "amd64", &mut problems);
        let problems = problems.end(None::<()>).unwrap_err();
        (added, removed, problems.iter().map(|error| error.message().to_owned()).collect())
    }

    #[test]
    fn a_word_with_a_dash_behind_it_removes() {
        let (added, removed, problems) =
            sorted(&["vim=2:9", "nano-", "libc6:amd64", "htop/trixie"], &["tasksel", "dash:all"]);
        assert_eq!(added, ["vim=2:9", "libc6:amd64", "htop/trixie"]);
        assert_eq!(removed, ["nano", "tasksel", "dash:all"]);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn what_cannot_be_is_told_at_once() {
        let (_, _, problems) =
            sorted(&["libc6:i386", "vim=1", "a b", "htop", "htop-"], &["vim", "x11-=", "curl=1", "curl-"]);
        assert_eq!(
            problems,
            [
                "libc6:i386 is a package for i386, and the machine is amd64",
                "`a b` is not a package",
                "`x11-=` is not a package",
                "`curl=1` is not a package that can be removed",
                "`curl-` is not a package that can be removed",
                "vim is to be added and to be removed",
                "htop is to be added and to be removed",
            ]
        );
    }
}
