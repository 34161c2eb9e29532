//! Partition files: vmbuilder's `--part`, with more columns.
//!
//! ```text
//! # a comment
//! MOUNTPOINT  SIZE  [DEVICE [FILENAME]]  [KEY=VALUE …]
//! ---
//! ```
//!
//! A line is a partition: `root` for /, `swap`, or an absolute mount point; a size in MiB, or with k, M, G or T.
//! `---` begins the next disk. [`parse`] is text to wishes, with every problem of the file and its place;
//! [`load`] reads the file. What the wishes come to on a disk is decided in [`layout`](crate::disk::layout).

mod columns;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::columns::Column;
use crate::disk::layout::{self, DiskWish, FileSystem, Wish};
use crate::error::{Error, Problem, Result};
use crate::host::named_file::NamedFile;

/// Bytes of a file that are read; one with a line for each of a thousand partitions has less.
const LARGEST: u64 = 64 << 10;

/// What to do where there is no such file.
const CURE: &str =
    "--part takes the name of a file with a line for each partition; docs/partition-files.md says how.";

/// What begins the next disk, as the first column of a line.
const NEXT_DISK: &str = "---";

/// What a partition file says.
#[derive(Clone, Debug, PartialEq)]
pub struct PartFile {
    /// What is wanted, disk by disk. There is at least one, none of them is empty, and one has a root.
    pub disks: Vec<DiskWish>,
    /// Where each of them stands, in the same order.
    pub places: Vec<Vec<Problem>>,
    /// What is understood and has no meaning for a disk image.
    pub warnings: Vec<Problem>,
}

/// Reads a partition file.
///
/// # Errors
///
/// A configuration error where it cannot be read, is too large or no text, or with every problem in it.
pub fn load(path: &Path) -> Result<PartFile> {
    let file = NamedFile { option: "--part", path, cure: CURE };
    let text = String::from_utf8(file.read(LARGEST)?).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        return Err(Error::config(format!("--part {} is no text", path.display())).hint(CURE));
    };
    parse(&text, &path.display().to_string()).map_err(|problems| {
        let places =
            if problems.len() == 1 { "one place".into() } else { format!("{} places", problems.len()) };
        Error::config(format!("the partition file is wrong in {places}")).problems(problems)
    })
}

/// Reads the text of a partition file; `file` is its name in problems.
///
/// # Errors
///
/// Every problem of the text.
pub fn parse(text: &str, file: &str) -> Result<PartFile, Vec<Problem>> {
    let mut reader = Reader { file, disks: vec![Vec::new()], problems: Vec::new(), warnings: Vec::new() };
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let columns = columns::of(line, number);
        match columns.first() {
            None => {}
            Some(first) if first.text == NEXT_DISK => reader.next_disk(&columns),
            Some(_) => reader.partition(&columns),
        }
    }
    reader.finish(text)
}

/// A wish and the columns that it came from.
struct Line<'a> {
    wish: Wish,
    mount: Column<'a>,
    size: Option<Column<'a>>,
    group: Option<Column<'a>>,
    grow: Option<Column<'a>>,
}

struct Reader<'a> {
    file: &'a str,
    disks: Vec<Vec<Line<'a>>>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn next_disk(&mut self, columns: &[Column<'a>]) {
        if let [rule, second, ..] = columns {
            self.problems.push(second.problem(
                self.file,
                format!("nothing may follow `{}`", rule.text),
                Some("Write it on a line of its own, between two disks.".into()),
            ));
        }
        if self.disks.last().is_some_and(Vec::is_empty) {
            self.problems.extend(columns.first().map(|rule| {
                let help = "Write the partitions of a disk above the line, or remove it.";
                rule.problem(self.file, "there is nothing on the disk above this line", Some(help.into()))
            }));
        }
        self.disks.push(Vec::new());
    }

    fn partition(&mut self, columns: &[Column<'a>]) {
        match words::line(columns, self.file) {
            Ok((line, warnings)) => {
                self.warnings.extend(warnings);
                if let Some(disk) = self.disks.last_mut() {
                    disk.push(line);
                }
            }
            Err(problems) => {
                self.problems.extend(problems);
                // The disk is not empty, whatever is on it.
                if let (Some(disk), Some(first)) = (self.disks.last_mut(), columns.first()) {
                    disk.extend(words::placeholder(first));
                }
            }
        }
    }

    fn finish(mut self, text: &str) -> Result<PartFile, Vec<Problem>> {
        // vmbuilder took a rule at the end for one more disk, with nothing on it.
        if self.disks.len() > 1 && self.disks.last().is_some_and(Vec::is_empty) {
            self.disks.pop();
        }
        self.find_doubles();
        self.find_split_groups();
        self.find_two_that_grow();
        let all = || self.disks.iter().flatten();
        if !all().any(|line| line.wish.mount() == Some("/")) {
            let (message, help) = match all().next() {
                None => ("the file has no partition", "Write a line such as `root 4096`."),
                Some(_) => ("there is no root file system", "Add a line such as `root 4096`."),
            };
            let start = Column::start_of(text);
            self.problems.push(start.problem(self.file, message, Some(help.into())));
        }
        if self.problems.is_empty() {
            self.find_too_small();
        }
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| (problem.line, problem.column));
            return Err(self.problems);
        }
        let place = |line: &Line<'_>| line.mount.problem(self.file, "it is asked for here", None);
        let places = self.disks.iter().map(|lines| lines.iter().map(place).collect()).collect();
        let disk = |lines: Vec<Line<'_>>| DiskWish {
            size: None,
            wishes: lines.into_iter().map(|line| line.wish).collect(),
        };
        let disks = self.disks.into_iter().map(disk).collect();
        Ok(PartFile { disks, places, warnings: self.warnings })
    }

    /// Partitions that are too small for their file systems; told when all else is right.
    fn find_too_small(&mut self) {
        let all = || self.disks.iter().flatten();
        let has_usr = all().any(|line| line.wish.mount() == Some("/usr"));
        let mut problems = Vec::new();
        for line in all() {
            let (Some(mount), Some(kind), Some(size), Some(column)) =
                (line.wish.mount(), line.wish.file_system(), line.wish.size, &line.size)
            else {
                continue;
            };
            let minimum = layout::minimum(mount, kind, has_usr);
            if size < minimum {
                let message = format!("{size} is too small for {mount} with {}", kind.name());
                problems.push(column.problem(
                    self.file,
                    message,
                    Some(format!("Give it at least {minimum}.")),
                ));
            }
        }
        self.problems.extend(problems);
    }

    /// Two partitions at one mount point.
    fn find_doubles(&mut self) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for line in self.disks.iter().flatten() {
            let Some(mount) = line.wish.mount() else { continue };
            if let Some(first) = seen.insert(mount, line.mount.line) {
                let help = format!("Line {first} has it already.");
                let message = format!("there is a partition for {mount} already");
                self.problems.push(line.mount.problem(self.file, message, Some(help)));
            }
        }
    }

    /// Volume groups on more than one disk.
    fn find_split_groups(&mut self) {
        let mut homes: BTreeMap<&str, usize> = BTreeMap::new();
        for (disk, line) in
            self.disks.iter().enumerate().flat_map(|(disk, lines)| lines.iter().map(move |line| (disk, line)))
        {
            let Some(group) = &line.group else { continue };
            if *homes.entry(group.text).or_insert(disk) != disk {
                let message = format!("the volume group {} is on another disk already", group.text);
                let help = "Give each disk a group of its own.";
                self.problems.push(group.problem(self.file, message, Some(help.into())));
            }
        }
    }

    /// More than one partition of a disk that grows.
    fn find_two_that_grow(&mut self) {
        for disk in &self.disks {
            for grow in disk.iter().filter_map(|line| line.grow.as_ref()).skip(1) {
                let message = "another partition of this disk grows already";
                let help =
                    "Leave one `grow` on each disk: only what is last on it can take what is behind it.";
                self.problems.push(grow.problem(self.file, message, Some(help.into())));
            }
        }
    }
}

/// What the packages of a guest must bring for what is wanted, and the initial RAM file system with them: a tool
/// for each kind of file system, and LVM.
pub fn packages(disks: &[DiskWish]) -> BTreeSet<&'static str> {
    let all = || disks.iter().flat_map(|disk| &disk.wishes);
    let kinds = all().filter_map(Wish::file_system).filter_map(FileSystem::package);
    kinds.chain(all().filter(|wish| wish.group.is_some()).map(|_| "lvm2")).collect()
}

#[cfg(test)]
mod tests;
