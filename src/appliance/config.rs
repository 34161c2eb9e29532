//! Configuration files: the reader of vmbuilder's `.cfg` and of rvmb's own.
//!
//! A file has sections `[DEFAULT]`, `[<hypervisor>]`, `[<distro>]` and `[<hypervisor>/<distro>]`, the
//! later ones of this list win. Keys are the names of the long options with dashes or underscores,
//! `key = value` or `key: value`; a line that starts with white space continues the value above it;
//! lines that start with `#` or `;` are comments.
//!
//! [`parse`] is text to entries, [`apply`] is entries to an [`Appliance`], [`load`] finds and reads
//! the files. Every problem of all files is reported at once.

use std::path::{Path, PathBuf};

use super::model::Appliance;
use super::settings;
use crate::error::{Context, Error, Kind, Problem, Result};
use crate::near;

/// The section whose settings hold for every machine.
const DEFAULT: &str = "DEFAULT";

/// A setting as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file, as the user named it; [`parse`] leaves it empty.
    pub file: String,
    /// The section.
    pub section: Word,
    /// The key.
    pub key: Word,
    /// The value; lines of a continued one are joined by line ends.
    pub value: Word,
}

/// A piece of a line, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The piece.
    pub text: String,
    /// Number of its line, from 1.
    pub line: usize,
    /// Number of its first character, from 1.
    pub column: usize,
    /// The line up to the end of the piece. The rest may hold a password.
    pub shown: String,
}

impl Word {
    /// The piece of `line` between two byte offsets, without white space around it.
    fn of(line: &str, number: usize, start: usize, end: usize) -> Word {
        let piece = line.get(start..end).unwrap_or_default();
        let lead = piece.len() - piece.trim_start().len();
        let text = piece.trim();
        let from = start + lead;
        let before = line.get(..from).unwrap_or_default();
        let shown = line.get(..from + text.len()).unwrap_or_default();
        Word {
            text: text.to_owned(),
            line: number,
            column: before.chars().count() + 1,
            shown: shown.to_owned(),
        }
    }

    /// A problem with this piece.
    fn problem(&self, file: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        let first_line = self.text.lines().next().unwrap_or_default();
        Problem {
            file: file.to_owned(),
            line: self.line,
            column: self.column,
            length: first_line.chars().count().max(1),
            text: self.shown.clone(),
            message: message.into(),
            help,
        }
    }
}

/// Reads the text of a configuration file. Entries are in the order of the file. Whether sections and
/// keys mean something is not looked at here.
pub fn parse(text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut problems = Vec::new();
    let mut section: Option<Word> = None;
    // Whether a line that starts with white space belongs to the last entry.
    let mut open = false;

    for (number, line) in
        text.trim_start_matches('\u{feff}').lines().enumerate().map(|(i, line)| (i + 1, line))
    {
        let whole = Word::of(line, number, 0, line.len());
        if whole.text.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            match entries.last_mut().filter(|_| open) {
                Some(entry) => {
                    entry.value.text.push('\n');
                    entry.value.text.push_str(&whole.text);
                }
                None if whole.text.starts_with(['#', ';']) => {}
                None => problems.push(whole.problem(
                    "",
                    "the line is indented and there is nothing above it to continue",
                    Some("Remove the white space at its start.".into()),
                )),
            }
            continue;
        }
        open = false;
        if whole.text.starts_with('[') {
            match section_name(line, number) {
                Some(word) => section = Some(word),
                None => problems.push(whole.problem(
                    "",
                    "the line is no section header",
                    Some("Write the name between brackets, such as [kvm].".into()),
                )),
            }
            continue;
        }
        let Some(separator) = line.find(['=', ':']).filter(|at| !line[..*at].trim().is_empty()) else {
            let help = "Write `key = value`, and start a comment with `#`.";
            // What comes after the first word may be a password.
            let first = line.find(char::is_whitespace).unwrap_or(line.len());
            problems.push(Word::of(line, number, 0, first).problem(
                "",
                "the line is no setting",
                Some(help.into()),
            ));
            continue;
        };
        let key = Word::of(line, number, 0, separator);
        let value = Word::of(line, number, separator + 1, line.len());
        match &section {
            Some(section) => {
                entries.push(Entry { file: String::new(), section: section.clone(), key, value });
                open = true;
            }
            None => problems.push(key.problem(
                "",
                "the setting stands above the first section",
                Some("Write [DEFAULT] above it.".into()),
            )),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

/// The name between the brackets; what follows them may only be a comment.
fn section_name(line: &str, number: usize) -> Option<Word> {
    let end = line.find(']')?;
    let rest = line.get(end + 1..)?.trim();
    let word = Word::of(line, number, 1, end);
    let is_comment = rest.is_empty() || rest.starts_with(['#', ';']);
    (is_comment && !word.text.is_empty()).then_some(word)
}

/// The machines that sections may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Hypervisors that can be built for.
    pub hypervisors: &'a [&'a str],
    /// Hypervisors that cannot be built for yet; the keys of their sections are not looked at.
    pub coming: &'a [&'a str],
    /// Distributions.
    pub distros: &'a [&'a str],
}

/// Lays the entries that concern `hypervisor` and `distro` over each other, those of a more special
/// section last. Unknown sections and keys are problems in every section.
pub fn apply(
    entries: &[Entry],
    hypervisor: &str,
    distro: &str,
    known: Known<'_>,
) -> Result<Appliance, Vec<Problem>> {
    let pair = format!("{hypervisor}/{distro}");
    let order = [DEFAULT, hypervisor, distro, pair.as_str()];
    let mut problems: Vec<Problem> =
        entries.iter().filter_map(|entry| problem_of_names(entry, known)).collect();
    let mut appliance = Appliance::default();
    for section in order {
        for entry in entries.iter().filter(|entry| entry.section.text == section) {
            let Some(setting) = settings::find(&entry.key.text) else { continue };
            // As for vmbuilder, a key without a value says nothing.
            if entry.value.text.is_empty() {
                continue;
            }
            if let Err(message) = setting.set(&mut appliance, &entry.value.text) {
                problems.push(entry.value.problem(&entry.file, message, None));
            }
        }
    }
    if problems.is_empty() { Ok(appliance) } else { Err(problems) }
}

/// What is wrong with an entry's section or key.
fn problem_of_names(entry: &Entry, known: Known<'_>) -> Option<Problem> {
    let section = entry.section.text.as_str();
    let (hypervisor, distro) = section.split_once('/').unwrap_or((section, section));
    let is_pair = section.contains('/');
    if !is_pair && known.coming.contains(&section) || is_pair && known.coming.contains(&hypervisor) {
        return None;
    }
    let is_known = match is_pair {
        true => known.hypervisors.contains(&hypervisor) && known.distros.contains(&distro),
        false => {
            section == DEFAULT || known.hypervisors.contains(&section) || known.distros.contains(&section)
        }
    };
    if !is_known {
        let pairs: Vec<String> = known
            .hypervisors
            .iter()
            .flat_map(|hypervisor| known.distros.iter().map(move |distro| format!("{hypervisor}/{distro}")))
            .collect();
        let names = [DEFAULT]
            .into_iter()
            .chain(known.hypervisors.iter().copied())
            .chain(known.distros.iter().copied());
        let all: Vec<&str> = names.chain(pairs.iter().map(String::as_str)).collect();
        let help = near::question(section, all.iter().copied())
            .unwrap_or_else(|| format!("Sections are {}.", all.join(", ")));
        return Some(entry.section.problem(
            &entry.file,
            format!("there is no section `{section}`"),
            Some(help),
        ));
    }
    let key = settings::canonical(&entry.key.text);
    if settings::find(&key).is_some() {
        return None;
    }
    if settings::OPTIONS_ONLY.contains(&key.as_str()) {
        let message = format!("`{key}` can only be given on the command line");
        return Some(entry.key.problem(&entry.file, message, None));
    }
    let names = settings::SETTINGS.iter().map(|setting| setting.name);
    let help = near::question(&key, names)
        .unwrap_or_else(|| "`rvmb kvm debian --help` lists the settings: each long option is one.".into());
    Some(entry.key.problem(&entry.file, format!("there is no setting `{key}`"), Some(help)))
}

/// The configuration files that are read where they exist, those that win last. vmbuilder's own come
/// before those of the same rank of rvmb.
pub fn usual_files(home: Option<&Path>, xdg_config_home: Option<&Path>) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/vmbuilder.cfg"), PathBuf::from("/etc/rvmb/rvmb.cfg")];
    if let Some(home) = home {
        files.push(home.join(".vmbuilder.cfg"));
    }
    let config_home = match (xdg_config_home, home) {
        (Some(directory), _) if directory.is_absolute() => Some(directory.to_owned()),
        (_, Some(home)) => Some(home.join(".config")),
        (_, None) => None,
    };
    files.extend(config_home.map(|directory| directory.join("rvmb/rvmb.cfg")));
    files
}

/// Reads configuration for one machine: the `usual` files where they exist, then the one that the user
/// named, which must exist.
///
/// # Errors
///
/// [`Kind::Config`], with every problem of all files, or where a file cannot be read.
pub fn load(
    usual: &[PathBuf],
    named: Option<&Path>,
    hypervisor: &str,
    distro: &str,
    known: Known<'_>,
) -> Result<Appliance> {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for path in usual.iter().map(PathBuf::as_path).chain(named) {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named != Some(path) => continue,
            Err(error) => {
                return Err(error).context(Kind::Config, || format!("reading {}", path.display()));
            }
        };
        let file = path.display().to_string();
        match parse(&text) {
            Ok(found) => entries.extend(found.into_iter().map(|entry| Entry { file: file.clone(), ..entry })),
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| Problem { file: file.clone(), ..problem }));
            }
        }
    }
    match apply(&entries, hypervisor, distro, known) {
        Ok(appliance) if problems.is_empty() => return Ok(appliance),
        Ok(_) => {}
        Err(found) => problems.extend(found),
    }
    let count = problems.len();
    let places = if count == 1 { "one place".to_owned() } else { format!("{count} places") };
    Err(Error::config(format!("the configuration is wrong in {places}")).problems(problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Size;

    const KNOWN: Known<'_> =
        Known { hypervisors: &["kvm", "qemu"], coming: &["xen"], distros: &["debian", "ubuntu"] };

    fn appliance(text: &str) -> Result<Appliance, Vec<Problem>> {
        apply(&parse(text)?, "kvm", "ubuntu", KNOWN)
    }

    fn problem(text: &str) -> Problem {
        let mut problems = appliance(text).expect_err(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    #[test]
    fn sections_have_an_order_whatever_the_place() {
        let text = "\
[kvm/ubuntu]
user = pair
[ubuntu]
user = distro
suite: jammy
[kvm]
suite = bionic
MEM = 1024
[DEFAULT]
suite = xenial
lang = C
[qemu]
lang = de_DE.UTF-8
";
        let appliance = appliance(text).unwrap();
        assert_eq!(appliance.users.name.as_deref(), Some("pair"));
        assert_eq!(appliance.suite.as_deref(), Some("jammy"));
        assert_eq!(appliance.memory, Some(Size::mib(1024)));
        assert_eq!(appliance.locale.as_deref(), Some("C"));
    }

    #[test]
    fn values_go_on_and_comments_do_not_count() {
        let text = "\
# what everybody needs
[DEFAULT] ; all
addpkg = nginx,
    libc6:i386

    vim
; nothing here
mirror = http://mirror.example/ubuntu
proxy =
ssh_user_key: /home/bob/.ssh/id.pub
";
        let appliance = appliance(text).unwrap();
        assert_eq!(appliance.add_packages, ["nginx", "libc6:i386", "vim"]);
        assert_eq!(appliance.mirror.as_deref(), Some("http://mirror.example/ubuntu"));
        assert_eq!(appliance.proxy, None);
        assert_eq!(appliance.users.user_keys, Some("/home/bob/.ssh/id.pub".into()));
    }

    #[test]
    fn each_problem_has_its_place() {
        let table = [
            ("[kvm]\nadpkg = x\n", 2, 1, 5, "there is no setting `adpkg`", "Did you mean `addpkg`?"),
            ("[kvn]\nsuite = x\n", 1, 2, 3, "there is no section `kvn`", "Did you mean `kvm`"),
            ("[kvm/debain]\nmem = 1\n", 1, 2, 10, "there is no section", "Did you mean `kvm/debian`"),
            ("[kvm]\nmem =  12X\n", 2, 8, 3, "`X` is not a unit", ""),
            ("[kvm]\nverbose = yes\n", 2, 1, 7, "only be given on the command line", ""),
            ("suite = jammy\n", 1, 1, 5, "above the first section", "Write [DEFAULT] above it."),
            ("[kvm\n", 1, 1, 4, "no section header", "brackets"),
            ("[]\n", 1, 1, 2, "no section header", "brackets"),
            ("[kvm]\nnonsense here\n", 2, 1, 8, "no setting", "key = value"),
            ("[kvm]\n= jammy\n", 2, 1, 1, "no setting", "key = value"),
            ("[kvm]\n  suite = x\n", 2, 3, 9, "nothing above it", "Remove the white space"),
        ];
        for (text, line, column, length, message, help) in table {
            let problem = problem(text);
            assert_eq!((problem.line, problem.column, problem.length), (line, column, length), "{text}");
            assert!(problem.message.contains(message), "{problem}");
            assert!(problem.help.unwrap_or_default().contains(help), "{text}");
        }
    }

    #[test]
    fn a_misspelt_password_is_not_shown() {
        assert_eq!(problem("[kvm]\npas = hunter2\n").text, "pas");
        assert_eq!(problem("[kvm]\npass hunter2\n").text, "pass");
    }

    #[test]
    fn sections_of_hypervisors_that_are_coming_are_left_alone() {
        assert_eq!(appliance("[xen]\nxen-kernel = /boot/vmlinuz\n").unwrap(), Appliance::default());
    }

    #[test]
    fn later_files_win_and_all_problems_come_at_once() {
        let room = tempfile::tempdir().unwrap();
        let (low, high) = (room.path().join("low.cfg"), room.path().join("high.cfg"));
        let usual = [room.path().join("none.cfg"), low.clone()];
        std::fs::write(&low, "[DEFAULT]\nsuite = jammy\nuser = ann\n").unwrap();
        std::fs::write(&high, "[DEFAULT]\nsuite = noble\n").unwrap();
        let appliance = load(&usual, Some(&high), "kvm", "ubuntu", KNOWN).unwrap();
        assert_eq!(appliance.suite.as_deref(), Some("noble"));
        assert_eq!(appliance.users.name.as_deref(), Some("ann"));

        std::fs::write(&low, "[DEFAULT]\nsuit = jammy\n").unwrap();
        std::fs::write(&high, "broken\n").unwrap();
        let error = load(&usual, Some(&high), "kvm", "ubuntu", KNOWN).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.message(), "the configuration is wrong in 2 places");
        assert!(error.to_string().contains("high.cfg:1:1: the line is no setting"), "{error}");
        assert!(error.to_string().contains("low.cfg:2:1: there is no setting `suit`"), "{error}");
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = load(&[], Some(Path::new("/nonexistent.cfg")), "kvm", "ubuntu", KNOWN).unwrap_err();
        assert_eq!(error.message(), "reading /nonexistent.cfg");
    }

    #[test]
    fn the_usual_files_follow_the_home_directory() {
        let files = usual_files(Some(Path::new("/home/bob")), Some(Path::new("/home/bob/.cfg")));
        assert_eq!(files.last(), Some(&PathBuf::from("/home/bob/.cfg/rvmb/rvmb.cfg")));
        assert!(files.contains(&PathBuf::from("/home/bob/.vmbuilder.cfg")));
        assert_eq!(usual_files(None, None).len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]a-zé=:#; \t\n]{0,60}") {
            if let Ok(entries) = parse(&text) {
                let _ = apply(&entries, "kvm", "ubuntu", KNOWN);
            }
        }
    }
}
