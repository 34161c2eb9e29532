//! What the fuzz targets do with their input, which tests/suite/corpora.rs does with every file in corpus/.
//!
//! No text may make a reader panic, and whatever it says of a text must have its place in it.

use rvmb::appliance::config::{Configuration, Known};
use rvmb::error::Problem;
use rvmb::plan::{copy_list, part_file};

/// A reader of text that comes from a user.
pub type Reader = fn(&str);

/// Every reader, by the name of its target and of its corpus.
pub const READERS: [(&str, Reader); 3] =
    [("config", config), ("copy-list", read_copy_list), ("part-file", read_part_file)];

/// The machines that configurations speak of here.
const KNOWN: Known<'static> = Known { hypervisors: &["kvm", "qemu"], distros: &["debian", "ubuntu"] };

/// A configuration file.
pub fn config(text: &str) {
    let name = "fuzz.cfg".to_owned();
    if let Err(problems) = Configuration::of_texts(&[(name, text.to_owned())], KNOWN) {
        have_their_place(&problems, text);
    }
}

/// A partition file.
pub fn read_part_file(text: &str) {
    match part_file::parse(text, "fuzz.part") {
        Ok(file) => {
            assert!(file.disks.iter().all(|disk| !disk.wishes.is_empty()), "a disk without partitions");
            have_their_place(&file.warnings, text);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            have_their_place(&problems, text);
        }
    }
}

/// A list of files to copy.
pub fn read_copy_list(text: &str) {
    have_their_place(&copy_list::parse(text).problems, text);
}

/// Each problem is of a line that there is, and says something.
fn have_their_place(problems: &[Problem], text: &str) {
    let lines = text.lines().count().max(1);
    for problem in problems {
        assert!((1..=lines).contains(&problem.line), "{problem:?} in {lines} lines");
        assert!(problem.column >= 1 && problem.length >= 1, "{problem:?}");
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
}
