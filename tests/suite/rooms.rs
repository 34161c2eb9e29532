//! The order of the rooms, as the head of src/lib.rs tells it, is the one in which they really import.

use std::path::{Path, PathBuf};

/// Plain data, which every room may read.
const DATA: [&str; 2] = ["plan", "suite"];

#[test]
fn imports_run_downwards() {
    let floors = floors();
    let floor = |room: &str| floors.iter().position(|rooms| rooms.iter().any(|name| name == room));
    let mut wrong = Vec::new();
    for file in sources(&source()) {
        let room = room_of(&file);
        // What starts the program, the map itself, and what tests share belong to no room.
        let Some(own) = floor(&room) else {
            assert!(["lib", "main", "testing"].contains(&room.as_str()), "{room} is not on the map");
            continue;
        };
        let text = std::fs::read_to_string(&file).expect("reading a source");
        for used in imported(&text) {
            let goes_up = floor(used).is_some_and(|other| other < own);
            if goes_up && !DATA.contains(&used) {
                wrong.push(format!("{} imports {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rooms from the roof down; those on one line of the map stand side by side.
fn floors() -> Vec<Vec<String>> {
    let map = std::fs::read_to_string(source().join("lib.rs")).expect("reading src/lib.rs");
    let floors: Vec<Vec<String>> = map
        .lines()
        .filter_map(|line| line.strip_prefix("//! - "))
        .map(|line| {
            line.split("[`").skip(1).filter_map(|rest| Some(rest.split_once('`')?.0.to_owned())).collect()
        })
        .collect();
    assert!(floors.len() > 10, "src/lib.rs has no map");
    floors
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below a directory, but for those of tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("reading a directory");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("reading an entry").path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The room that a file is in: its first directory, or its own name.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(source()).expect("a file in src");
    let first = inside.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that the code of a file names, before its tests and without its comments.
fn imported(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    code.filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| {
        line.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
            rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
        })
    })
}
