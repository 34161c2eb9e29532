//! Progress of a transaction, read from what dpkg and debootstrap say: every package is unpacked once
//! and set up once. All transactions together count to the number of packages that the plan resolved.
//!
//! apt's own status descriptor would not do: apt closes it before it starts dpkg, and with one
//! descriptor for both that would be the standard output of every maintainer script.

use super::Site;
use crate::event::{Event, Step, Unit};

/// What precedes a package's name, in dpkg's words and in debootstrap's.
const WORDS: [&str; 4] = ["Unpacking ", "Setting up ", "I: Unpacking ", "I: Configuring "];

/// Counts what was unpacked and what was set up.
pub(super) struct Progress<'a> {
    site: &'a Site<'a>,
    step: Step,
    done: u64,
    total: u64,
}

impl<'a> Progress<'a> {
    /// Begins to count; `there` packages are installed already.
    pub(super) fn new(site: &'a Site<'a>, step: Step, there: usize) -> Self {
        let total = 2 * site.plan.packages.resolved.len() as u64;
        Progress { site, step, done: total.min(2 * there as u64), total }
    }

    /// Takes a line that a program said.
    pub(super) fn line(&mut self, line: &str) {
        let Some(package) = package(line) else { return };
        self.done = (self.done + 1).min(self.total);
        self.site.runner.sink().emit(Event::Progress {
            step: self.step,
            done: self.done / 2,
            total: self.total / 2,
            unit: Unit::Packages,
            detail: package.to_owned(),
        });
    }
}

/// The package that a line is about; none where it speaks of something else.
fn package(line: &str) -> Option<&str> {
    let rest = WORDS.iter().find_map(|word| line.strip_prefix(word))?;
    let name = rest.split([' ', ':']).next()?.trim_end_matches('.');
    // debootstrap says `I: Unpacking the base system...` of all of them.
    (!name.is_empty() && name != "the").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn lines_about_packages_are_told_from_others() {
        for (line, expected) in [
            ("Unpacking libc6:amd64 (2.36-9) ...", Some("libc6")),
            ("Setting up python3.11-minimal (3.11.2-6) ...", Some("python3.11-minimal")),
            ("I: Configuring libblkid1:amd64...", Some("libblkid1")),
            ("I: Unpacking dash...", Some("dash")),
            ("I: Unpacking the base system...", None),
            ("Preparing to unpack .../dash_0.5_amd64.deb ...", None),
            ("Unpacking ", None),
        ] {
            assert_eq!(package(line), expected, "{line}");
        }
    }
}
