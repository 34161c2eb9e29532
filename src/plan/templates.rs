//! Where the user's templates are found. The first place that has one wins:
//!
//! 1. the directory of `--templates`
//! 2. `$XDG_CONFIG_HOME/rvmb/templates`, which is `~/.config/rvmb/templates`
//! 3. `/etc/rvmb/templates`
//!
//! vmbuilder's own directories are not read: its package filled them with templates for Cheetah.

use std::path::{Path, PathBuf};

use super::{TemplateFile, checks};
use crate::digest;
use crate::error::{Context, Error, Kind, Result};
use crate::host::named_file::NamedFile;
use crate::templates::names::{EXTENSION, Found, Machine};
use crate::templates::{Template, Templates};

/// What to do where a file cannot be a template.
const CURE: &str = "A template is a text file of at most 1 MiB: write one, or take the file away.";

/// Where templates of the whole host are.
const OF_THE_HOST: &str = "/etc/rvmb/templates";

/// The places of this caller, those that win first. The second is whether it has to be there.
pub(super) fn places(option: Option<&Path>) -> Vec<(PathBuf, bool)> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let mut places: Vec<(PathBuf, bool)> = option.map(|path| (path.to_owned(), true)).into_iter().collect();
    places.extend(own.map(|own| (own.join("rvmb/templates"), false)));
    places.push((PathBuf::from(OF_THE_HOST), false));
    places
}

/// Says of vmbuilder's own templates of this caller that they are not read.
pub(super) fn old_ones() -> Option<String> {
    let directory = PathBuf::from(std::env::var_os("HOME")?).join(".vmbuilder");
    let old = files(&directory).ok()?.into_iter().next()?;
    Some(format!(
        "{} is not read: convert it as docs/customising.md says, and put it below ~/.config/rvmb/templates",
        old.path.display()
    ))
}

/// Reads the templates for a machine from all places. All problems are told at once.
pub(super) fn read(places: &[(PathBuf, bool)], machine: Machine<'_>) -> Result<Templates> {
    let mut templates = Templates::default();
    let mut problems = Vec::new();
    for (place, must_be_there) in places {
        if *must_be_there && !place.is_dir() {
            problems.push(
                Error::config(format!("--templates {} is not a directory", place.display()))
                    .hint("Name the directory that has the templates' directories in it, such as debian."),
            );
            continue;
        }
        match files(place) {
            Ok(files) => problems.extend(read_place(&files, machine, &mut templates)),
            Err(error) => problems.push(error),
        }
        // What stands in a directory that somebody names is meant to be used.
        if *must_be_there {
            match strangers(place, machine) {
                Ok(strangers) => problems.extend(strangers.iter().map(|path| stranger(path, place, machine))),
                Err(error) => problems.push(error),
            }
        }
    }
    Error::all(problems)?;
    Ok(templates)
}

/// Reads what is in one place, and returns what is wrong there.
fn read_place(files: &[TemplatePath], machine: Machine<'_>, templates: &mut Templates) -> Vec<Error> {
    let mut problems = Vec::new();
    let mut here: Vec<(Template, &Path)> = Vec::new();
    for TemplatePath { path, plugin, name } in files {
        let shown = path.display();
        match machine.find(plugin, name) {
            Found::Template(template) => {
                if let Some((_, first)) = here.iter().find(|(known, _)| *known == template) {
                    let message = format!("{} and {shown} are the same template", first.display());
                    problems.push(Error::config(message).hint("Keep one of them."));
                    continue;
                }
                here.push((template, path));
                let added = text(path).and_then(|text| templates.add(template, path, text));
                problems.extend(added.err());
            }
            Found::Other => {}
            Found::Retired(instead) => {
                problems
                    .push(Error::config(format!("there is no use for the template {shown}")).hint(instead));
            }
            Found::Unknown(question) => {
                let hint = question.unwrap_or_else(|| "docs/customising.md lists the templates.".to_owned());
                problems.push(Error::config(format!("{shown} is no template of rvmb's")).hint(hint));
            }
        }
    }
    problems
}

/// The text of a template.
fn text(path: &Path) -> Result<String> {
    checks::text_of(NamedFile { option: "the template", path, cure: CURE }, CURE)
}

/// Files in a directory that look like templates for the machine and that nobody would find: at the wrong level,
/// or without the ending.
fn strangers(place: &Path, machine: Machine<'_>) -> Result<Vec<PathBuf>> {
    let is_template = |path: &Path| path.extension().is_some_and(|extension| extension == EXTENSION);
    let mut strangers = Vec::new();
    for path in entries(place)? {
        if !path.is_dir() {
            if is_template(&path) {
                strangers.push(path);
            }
            continue;
        }
        let plugin = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What is for other machines is left alone.
        if !plugins(machine).contains(&plugin.as_str()) {
            continue;
        }
        for inner in entries(&path)? {
            let name = inner.file_name().unwrap_or_default().to_string_lossy();
            let lacks_ending = !inner.is_dir() && matches!(machine.find(&plugin, &name), Found::Template(_));
            if lacks_ending {
                strangers.push(inner);
            } else if inner.is_dir() {
                strangers.extend(entries(&inner)?.into_iter().filter(|path| is_template(path)));
            }
        }
    }
    Ok(strangers)
}

/// The directories that have templates for the machine.
fn plugins(machine: Machine<'_>) -> [&str; 3] {
    [machine.distro, machine.hypervisor, "libvirt"]
}

/// What is said of such a file, with the place that it may be meant for.
fn stranger(path: &Path, place: &Path, machine: Machine<'_>) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(&format!(".{EXTENSION}")).unwrap_or(&name);
    let is_there = |plugin: &&str| matches!(machine.find(plugin, stem), Found::Template(_));
    let plugin = plugins(machine).into_iter().find(is_there);
    let error = Error::config(format!("{} is at no place where templates are looked for", path.display()));
    error.hint(match plugin {
        Some(plugin) => {
            format!("Call it {}.", place.join(plugin).join(format!("{stem}.{EXTENSION}")).display())
        }
        None => {
            "Templates are DIRECTORY/NAME.tmpl; docs/customising.md lists directories and names.".to_owned()
        }
    })
}

/// A file that is named as templates are.
struct TemplatePath {
    path: PathBuf,
    plugin: String,
    name: String,
}

/// The files `PLUGIN/NAME.tmpl` in a directory, sorted; none in one that is not there. Files of other names are
/// no templates.
fn files(place: &Path) -> Result<Vec<TemplatePath>> {
    let mut files = Vec::new();
    for plugin in entries(place)?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&plugin)? {
            let text =
                |name: Option<&std::ffi::OsStr>| name.and_then(|name| name.to_str()).map(str::to_owned);
            let (Some(plugin), Some(name)) = (text(plugin.file_name()), text(path.file_stem())) else {
                continue;
            };
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(TemplatePath { path, plugin, name });
            }
        }
    }
    Ok(files)
}

/// What is in a directory, sorted, without what hides behind a dot: `.git`, or what editors leave.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("reading the templates in {}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(Kind::Config, context)?,
    };
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.context(Kind::Config, context)?;
    let is_hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

/// What the plan says of templates.
pub(super) fn planned(templates: &Templates) -> Vec<TemplateFile> {
    let file = |(template, source): (Template, &crate::templates::Source)| TemplateFile {
        name: template.name().to_owned(),
        path: source.path.clone(),
        sha256: digest::sha256(&source.text),
    };
    templates.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine<'static> = Machine {
        distro: "debian",
        hypervisor: "kvm",
        distros: &["debian", "ubuntu"],
        hypervisors: &["kvm", "qemu"],
    };

    fn room(files: &[(&str, &str)]) -> tempfile::TempDir {
        let room = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = room.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        room
    }

    fn messages(error: &Error) -> Vec<String> {
        let parts = if error.parts().is_empty() { std::slice::from_ref(error) } else { error.parts() };
        parts.iter().map(|part| part.message().to_owned()).collect()
    }

    #[test]
    fn the_first_place_wins() {
        let first = room(&[("debian/hosts.tmpl", "first"), ("debian/README", "x"), ("note", "x")]);
        let second = room(&[("debian/etc_hosts.tmpl", "second"), ("kvm/run.sh.tmpl", "#!/bin/sh\n")]);
        let places =
            [(first.path().into(), true), (second.path().into(), false), ("/no/such/place".into(), false)];
        let templates = read(&places, MACHINE).unwrap();
        let found: Vec<(&str, &str)> =
            templates.iter().map(|(template, source)| (template.name(), source.text.as_str())).collect();
        assert_eq!(found, [("hosts", "first"), ("run.sh", "#!/bin/sh\n")]);
        let planned = planned(&templates);
        assert_eq!((planned[0].name.as_str(), planned[0].sha256.len()), ("hosts", 64));
    }

    #[test]
    fn files_at_a_wrong_place_are_told_where_they_belong() {
        let room = room(&[
            ("hosts.tmpl", ""),
            ("debian/fstab", ""),
            ("debian/deep/network.tmpl", ""),
            ("kvm/README", ""),
            ("note.tmpl", ""),
            // Neither other machines' nor what hides is looked at.
            ("ubuntu/deep/network.tmpl", ""),
            (".git/objects/a.tmpl", ""),
            (".git/b.tmpl", ""),
            ("debian/.hosts.tmpl", ""),
            ("debian/.old/hosts.tmpl", ""),
        ]);
        let error = read(&[(room.path().into(), true)], MACHINE).unwrap_err();
        let hints: Vec<String> = error.parts().iter().map(|part| part.hints()[0].clone()).collect();
        let call = |name: &str| format!("Call it {}.", room.path().join(name).display());
        assert_eq!(hints[..3], ["debian/network.tmpl", "debian/fstab.tmpl", "debian/hosts.tmpl"].map(call));
        assert!(hints.len() == 4 && hints[3].contains("docs/customising.md"), "{hints:?}");
        // The usual places may hold what their owner likes.
        assert!(read(&[(room.path().into(), false)], MACHINE).is_ok());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let room = room(&[
            ("debian/hosts.tmpl", "$hostname"),
            ("debian/fstab.tmpl", "{{ open"),
            ("debian/host.tmpl", ""),
            ("debian/network.tmpl", ""),
            ("debian/interfaces.tmpl", ""),
            ("debian/sudoers.tmpl", ""),
            ("ubuntu/hosts.tmpl", "$hostname"),
            ("bochs/run.sh.tmpl", ""),
        ]);
        std::fs::write(room.path().join("debian/locale.tmpl"), b"\xff").unwrap();
        let error = read(&[(room.path().into(), true)], MACHINE).unwrap_err();
        let at = |name: &str| room.path().join(name).display().to_string();
        assert_eq!(
            messages(&error),
            [
                format!("{} is no template of rvmb's", at("bochs/run.sh.tmpl")),
                format!("the template {} is wrong", at("debian/fstab.tmpl")),
                format!("{} is no template of rvmb's", at("debian/host.tmpl")),
                format!("{} is a template for Cheetah", at("debian/hosts.tmpl")),
                format!("the template {} is not a text file", at("debian/locale.tmpl")),
                format!(
                    "{} and {} are the same template",
                    at("debian/interfaces.tmpl"),
                    at("debian/network.tmpl")
                ),
                format!("there is no use for the template {}", at("debian/sudoers.tmpl")),
            ]
        );
        let error = read(&[("/no/such/place".into(), true)], MACHINE).unwrap_err();
        assert!(error.message().ends_with("is not a directory"));
    }
}
