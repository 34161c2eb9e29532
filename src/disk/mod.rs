//! The disk: from a tree of files to raw bytes.

mod architecture;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod layout;
mod sparse;
pub mod swap;

pub use architecture::Architecture;

#[cfg(test)]
mod tests {
    //! What the tests of this room share: other people's tools as judges.

    use std::path::Path;
    use std::sync::Arc;

    use crate::event::Silent;
    use crate::host::run::Runner;
    use crate::host::tools;

    /// What `program` says of `file`; none, with a word to the reader, where it is not installed.
    pub(super) fn output_of(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
        if tools::find(program).is_none() {
            println!("skipped the check with {program}: it is not installed");
            return None;
        }
        let outcome =
            Runner::new(Arc::new(Silent)).command(program).args(arguments).arg(file).outcome().unwrap();
        let said = outcome.stdout + &outcome.stderr;
        assert!(outcome.status.success(), "{program} found fault: {said}");
        Some(said)
    }

    /// Lets `program` judge `file`: any exit code but 0 fails the test.
    pub(super) fn check_with(program: &str, arguments: &[&str], file: &Path) {
        output_of(program, arguments, file);
    }
}
