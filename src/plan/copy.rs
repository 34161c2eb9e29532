//! What the list of `--copy` means on this host: every source is found, walked through and read once for its
//! digest. All problems are told at once, with their places in the list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checks;
use super::copy_list::{self, Line, Place};
use super::{Copied, Placement};
use crate::error::{Context, Error, Kind, Problem, Result};
use crate::host::followed::{self, Entry};
use crate::rootfs::seal;
use crate::units::Size;

/// What is to be copied.
#[derive(Debug, Default)]
pub(super) struct Copying {
    things: Vec<Thing>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A source of a line; a pattern may have several.
#[derive(Debug)]
struct Thing {
    /// Number of the line.
    line: usize,
    /// The last part of its name.
    name: String,
    /// Its digest is open until the epoch is known.
    copied: Copied,
    entries: Vec<Entry>,
}

impl Copying {
    /// The entries of the plan; no time of a copy is later than `epoch`.
    pub(super) fn planned(self, epoch: i64) -> Vec<Copied> {
        let planned =
            |thing: Thing| Copied { sha256: followed::digest(&thing.entries, epoch), ..thing.copied };
        self.things.into_iter().map(planned).collect()
    }
}

/// Reads the list and everything that it names. Sources are relative to the working directory, as vmbuilder
/// had it.
pub(super) fn read(list: &Path) -> Result<Copying> {
    let text = checks::text_file("--copy", list)?;
    let context = || format!("reading --copy {}", list.display());
    let directory = std::env::current_dir().context(Kind::Config, context)?;
    let beside = std::path::absolute(list).context(Kind::Config, context)?;
    let beside = beside.parent().unwrap_or(Path::new("/"));
    gather(&text, &directory, beside).map_err(|problems| {
        let count = problems.len();
        let places = if count == 1 { "one place".to_owned() } else { format!("{count} places") };
        let file = list.display().to_string();
        Error::config(format!("--copy {file} is wrong in {places}"))
            .problems(problems.into_iter().map(|problem| Problem { file: file.clone(), ..problem }))
    })
}

/// Everything that a list names, relative to `directory`; the list is in the directory `beside`.
fn gather(text: &str, directory: &Path, beside: &Path) -> Result<Copying, Vec<Problem>> {
    let copy_list::Parsed { lines, mut problems } = copy_list::parse(text);
    let mut copying = Copying::default();
    for line in &lines {
        match things(line, directory, beside) {
            Ok(things) => copying.things.extend(things),
            Err(problem) => problems.push(*problem),
        }
        if let Some(emptied) = seal::emptied_above(&line.destination) {
            copying.warnings.push(format!(
                "what --copy puts into {} is there for --exec alone: the image has an empty {emptied}",
                line.destination
            ));
        }
    }
    settle(&mut copying.things);
    problems.extend(duplicates(&copying.things, &lines));
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok(copying) } else { Err(problems) }
}

/// What a line copies.
fn things(line: &Line, directory: &Path, beside: &Path) -> Result<Vec<Thing>, Box<Problem>> {
    let wrong = |message: String, help: Option<String>| {
        let word = &line.source;
        let place = Place { number: line.number, text: &line.text };
        Box::new(place.problem((word.column, word.length), message, help))
    };
    let from_error = |error: Error| {
        let help = error.hints().first().cloned();
        let causes =
            error.causes().iter().fold(error.message().to_owned(), |text, cause| text + ": " + cause);
        wrong(causes, help)
    };
    let sources = sources(line, directory).map_err(from_error)?;
    if sources.is_empty() {
        let help = beside.join(&line.source.text);
        let is_beside = !expand(line, beside).unwrap_or_default().is_empty();
        let message = match line.source.is_pattern {
            true => format!("nothing matches `{}`", line.source.text),
            false => format!("there is no `{}`", line.source.text),
        };
        let rule = "names are relative to the directory that rvmb is called in";
        let help = match is_beside {
            true => format!("There is {}, but {rule}.", help.display()),
            false => format!("Correct the name, or call rvmb elsewhere: {rule}, {}.", directory.display()),
        };
        return Err(wrong(message, Some(help)));
    }
    sources.into_iter().map(|source| thing(line, source).map_err(from_error)).collect()
}

/// The files and directories that the source of a line stands for.
fn sources(line: &Line, directory: &Path) -> Result<Vec<PathBuf>> {
    expand(line, directory).map_err(|error| {
        Error::config(format!("`{}` is no pattern: {error}", line.source.text))
            .hint("Put quotation marks around a name that has *, ? or [ in it.")
    })
}

/// A name that is there as it stands is no pattern.
fn expand(line: &Line, directory: &Path) -> Result<Vec<PathBuf>, glob::PatternError> {
    let path = directory.join(&line.source.text);
    if path.symlink_metadata().is_ok() {
        return Ok(vec![path]);
    }
    if !line.source.is_pattern {
        return Ok(Vec::new());
    }
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let inside = PathBuf::from(glob::Pattern::escape(&directory.to_string_lossy()));
    let pattern = inside.join(&line.source.pattern);
    let found = glob::glob_with(&pattern.to_string_lossy(), options)?;
    // A directory that cannot be read has nothing that matches, as for a shell.
    Ok(found.filter_map(Result::ok).collect())
}

fn thing(line: &Line, source: PathBuf) -> Result<Thing> {
    let contents = line.source.text.ends_with("/.") || line.source.text == ".";
    let Some(name) = source.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
        return Err(Error::config(format!("{} has no name that the copy could have", source.display()))
            .hint("Name the directory itself."));
    };
    if source.to_str().is_none() {
        return Err(Error::config(format!("the name {} is not UTF-8", source.display())));
    }
    let mut entries = followed::walk(&source)?;
    followed::read(&source, &mut entries)?;
    let is_pattern = line.source.is_pattern && !source.ends_with(&line.source.text);
    let placement = match () {
        () if contents => Placement::Contents,
        () if line.into || is_pattern || line.destination == "/" => Placement::Into,
        () => Placement::Named,
    };
    let copied = Copied {
        destination: line.destination.clone(),
        placement,
        mode: line.mode,
        owner: line.owner.clone(),
        files: entries.iter().filter(|entry| !entry.is_directory).count() as u64,
        size: Size(entries.iter().map(|entry| entry.size).fold(0, u64::saturating_add)),
        sha256: String::new(),
        source,
    };
    Ok(Thing { line: line.number, name, copied, entries })
}

/// Several things of different names that go to one destination say that it is a directory, also where
/// nobody wrote the slash: old lists rely on a package that has made it.
fn settle(things: &mut [Thing]) {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for thing in things.iter() {
        let known = names.entry(thing.copied.destination.clone()).or_default();
        let name = match thing.copied.placement {
            Placement::Named => thing.name.clone(),
            // What is certain to be a directory counts as another name.
            Placement::Into | Placement::Contents => format!("{}/", thing.name),
        };
        if !known.contains(&name) {
            known.push(name);
        }
    }
    for thing in things.iter_mut().filter(|thing| thing.copied.placement == Placement::Named) {
        if names.get(&thing.copied.destination).is_some_and(|names| names.len() > 1) {
            thing.copied.placement = Placement::Into;
        }
    }
}

/// Things that would lie one over the other.
fn duplicates(things: &[Thing], lines: &[Line]) -> Vec<Problem> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for thing in things {
        let Copied { destination, placement, .. } = &thing.copied;
        let place = match placement {
            Placement::Named => destination.clone(),
            Placement::Into => format!("{}/{}", destination.trim_end_matches('/'), thing.name),
            Placement::Contents => continue,
        };
        let Some(first) = seen.insert(place.clone(), thing.line) else { continue };
        let Some(line) = lines.iter().find(|line| line.number == thing.line) else { continue };
        let here = Place { number: line.number, text: &line.text };
        let message = match first == thing.line {
            true => format!("two of the matches would be {place}"),
            false => format!("line {first} makes {place} already"),
        };
        let help = "Leave one of them out, or give it another destination.".to_owned();
        let word = &line.source;
        problems.push(here.problem((word.column, word.length), message, Some(help)));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with some files.
    fn room() -> tempfile::TempDir {
        let room = tempfile::tempdir().unwrap();
        for name in ["a.conf", "b.conf", "dir/one", "dir/sub/two", "other/one", "[x]", "my file", ".hidden"] {
            let path = room.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
        }
        room
    }

    fn gathered(room: &Path, text: &str) -> Result<Vec<Copied>, Vec<Problem>> {
        gather(text, room, room).map(|copying| copying.planned(0))
    }

    fn places(room: &Path, text: &str) -> Vec<(String, String, Placement)> {
        let name = |path: &Path| path.strip_prefix(room).unwrap().display().to_string();
        let copied = gathered(room, text).unwrap();
        copied
            .iter()
            .map(|copied| (name(&copied.source), copied.destination.clone(), copied.placement))
            .collect()
    }

    #[test]
    fn sources_are_files_directories_and_patterns() {
        let room = room();
        for (text, expected) in [
            ("a.conf /etc/a", vec![("a.conf", "/etc/a", Placement::Named)]),
            ("a.conf /etc/", vec![("a.conf", "/etc", Placement::Into)]),
            ("dir /srv/x", vec![("dir", "/srv/x", Placement::Named)]),
            ("dir/. /srv", vec![("dir", "/srv", Placement::Contents)]),
            (
                "*.conf /etc/x",
                vec![("a.conf", "/etc/x", Placement::Into), ("b.conf", "/etc/x", Placement::Into)],
            ),
            ("[x] /etc/x", vec![("[x]", "/etc/x", Placement::Named)]),
            ("my* /srv/", vec![("my file", "/srv", Placement::Into)]),
            (
                "a.conf /opt\nb.conf /opt",
                vec![("a.conf", "/opt", Placement::Into), ("b.conf", "/opt", Placement::Into)],
            ),
            (
                "a.conf /opt\ndir/. /opt",
                vec![("a.conf", "/opt", Placement::Into), ("dir", "/opt", Placement::Contents)],
            ),
        ] {
            let expected: Vec<(String, String, Placement)> = expected
                .into_iter()
                .map(|(source, destination, placement)| (source.into(), destination.into(), placement))
                .collect();
            assert_eq!(places(room.path(), text), expected, "{text}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_place() {
        let room = room();
        symlink("/nowhere", room.path().join("dir/dangling")).unwrap();
        let text = "missing /a\n*.none /b\ndir /c\na.conf /d/a.conf\na.conf /d/\nother/.. /e\nx y\n\
                    a.conf /f\na.conf /f\na.conf/ /g\n";
        let problems = gathered(room.path(), text).unwrap_err();
        let found: Vec<(usize, &str)> =
            problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
        let dangling = room.path().join("dir/dangling");
        let dangling = format!("looking at {}: No such file or directory (os error 2)", dangling.display());
        let up = format!("{} has no name that the copy could have", room.path().join("other/..").display());
        assert_eq!(
            found,
            [
                (1, "there is no `missing`"),
                (2, "nothing matches `*.none`"),
                (3, &*dangling),
                (5, "line 4 makes /d/a.conf already"),
                (6, &*up),
                (7, "the destination `y` is not absolute"),
                (9, "line 8 makes /f already"),
                (10, "there is no `a.conf/`"),
            ]
        );
        assert!(problems[2].help.as_deref().unwrap().contains("/nowhere"));
    }

    #[test]
    fn a_source_beside_the_list_is_pointed_out() {
        let (list, caller) = (room(), tempfile::tempdir().unwrap());
        let problems = gather("a.conf /a\n*.conf /b/\nnone /c", caller.path(), list.path()).unwrap_err();
        let beside = list.path().display().to_string();
        let pointed = |problem: &Problem| problem.help.as_deref().is_some_and(|help| help.contains(&beside));
        let pointed: Vec<bool> = problems.iter().map(pointed).collect();
        assert_eq!(pointed, [true, true, false], "{problems:?}");
    }

    #[test]
    fn patterns_leave_hidden_files_and_directories_below_alone() {
        let room = room();
        let sources: Vec<String> =
            places(room.path(), "* /srv/").into_iter().map(|(source, ..)| source).collect();
        assert_eq!(sources, ["[x]", "a.conf", "b.conf", "dir", "my file", "other"]);
    }

    #[test]
    fn the_digest_knows_content_and_not_the_place() {
        let (one, two) = (room(), room());
        let digest = |room: &tempfile::TempDir| gathered(room.path(), "dir /x").unwrap()[0].sha256.clone();
        assert_eq!(digest(&one), digest(&two));
        std::fs::write(two.path().join("dir/one"), "other").unwrap();
        assert_ne!(digest(&one), digest(&two));
    }

    #[test]
    fn what_does_not_stay_is_said() {
        let room = room();
        let copying =
            gather("a.conf /tmp/a\nb.conf /var/tmp/x/\ndir /srv", room.path(), room.path()).unwrap();
        assert_eq!(copying.warnings.len(), 2, "{:?}", copying.warnings);
    }
}
