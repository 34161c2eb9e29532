//! Files that the user names: opened without waiting for anybody, read up to a limit, and explained where
//! they cannot be read.
//!
//! A regular file is the rule. A pipe or a terminal is read, too, because shells pass `<(program)` as one; a
//! FIFO that nobody writes to is refused, where opening it in the usual way would wait for ever.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;

use crate::error::{Error, Kind, Result};
use crate::near;
use crate::units::Size;

/// How often a FIFO is asked again that has neither a writer nor content yet, and how long is waited before.
const PATIENCE: (u32, Duration) = (20, Duration::from_millis(50));

/// A file that the user names.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile<'a> {
    /// The option that names it; empty for none.
    pub option: &'a str,
    /// The file.
    pub path: &'a Path,
    /// What to do where it cannot be used: one full sentence.
    pub cure: &'a str,
}

impl NamedFile<'_> {
    /// What is in it.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] where it cannot be read, is neither a file nor a pipe, or is longer than `limit` bytes.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let nonblocking = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
        let mut file = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open(self.path)
            .map_err(|error| self.explain(&error))?;
        let kind = file.metadata().map_err(|error| self.explain(&error))?.file_type();
        let mut bytes = Vec::new();
        if kind.is_file() {
            (&file).take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.explain(&error))?;
        } else if kind.is_fifo() || kind.is_char_device() {
            // The writer of a FIFO may be a moment late; a device has none.
            let tries = if kind.is_fifo() { PATIENCE.0 } else { 0 };
            let written =
                stream(&mut file, limit, tries, &mut bytes).map_err(|error| self.explain(&error))?;
            if !written && kind.is_fifo() {
                return Err(self.refusal("is a FIFO that nobody writes to").hint(self.cure));
            }
        } else {
            return Err(self.refusal("is not a file").hint(self.cure));
        }
        if bytes.len() as u64 > limit {
            return Err(self.refusal(&format!("is larger than {}", Size(limit))).hint(self.cure));
        }
        Ok(bytes)
    }

    /// An error of the kernel's about it, with what to do.
    pub fn explain(&self, error: &std::io::Error) -> Error {
        let told = Error::new(Kind::Config, format!("reading {}", self.shown())).because(error);
        match error.kind() {
            ErrorKind::NotFound => match self.near() {
                Some(question) => told.hint(question),
                None => told.hint(self.cure),
            },
            // Without a command: the file may hold a password, which is not for everybody to read.
            ErrorKind::PermissionDenied => told.hint(
                "Run rvmb as the file's owner, or let its user read the file and enter the directories above it.",
            ),
            _ => told.hint(self.cure),
        }
    }

    /// Option and path as messages have them.
    fn shown(&self) -> String {
        format!("{} {}", self.option, self.path.display()).trim_start().to_owned()
    }

    fn refusal(&self, what: &str) -> Error {
        Error::config(format!("{} {what}", self.shown()))
    }

    /// Files beside it that are called alike.
    fn near(&self) -> Option<String> {
        let name = self.path.file_name()?.to_str()?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let entries = std::fs::read_dir(directory.unwrap_or(Path::new("."))).ok()?;
        let names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(10_000).collect();
        near::question(name, names.iter().map(String::as_str))
    }
}

/// Reads a stream that does not block, at most one byte beyond `limit`; whether anybody wrote to it. One that
/// has no writer is asked again `tries` times. A signal ends it.
fn stream(file: &mut File, limit: u64, mut tries: u32, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut writer = false;
    let mut buffer = [0; 4096];
    while bytes.len() as u64 <= limit {
        match file.read(&mut buffer) {
            Ok(0) if writer || tries == 0 => break,
            Ok(0) => {
                tries -= 1;
                std::thread::sleep(PATIENCE.1);
            }
            Ok(count) => {
                writer = true;
                bytes.extend(buffer.iter().take(count));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                writer = true;
                poll(&mut [PollFd::new(&*file, PollFlags::IN)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(path: &Path) -> Result<Vec<u8>> {
        NamedFile { option: "--part", path, cure: "Name a file." }.read(8)
    }

    #[test]
    fn what_cannot_be_read_is_told_with_a_cure() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::write(at("layout.part"), "root 1\n").unwrap();
        std::fs::write(at("long"), "123456789").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(read(&at("layout.part")).unwrap(), b"root 1\n");
        for (name, says, cure) in [
            ("layout.prt", "No such file or directory", "`layout.part`"),
            ("other", "No such file or directory", "Name a file."),
            ("layout.part/x", "Not a directory", "Name a file."),
            ("", "is not a file", "Name a file."),
            ("long", "is larger than 8 B", "Name a file."),
            ("fifo", "is a FIFO that nobody writes to", "Name a file."),
        ] {
            let error = read(&at(name)).unwrap_err();
            assert!(error.to_string().contains(says) && error.to_string().contains("--part"), "{error}");
            assert!(error.hints()[0].contains(cure), "{error:?}");
        }
        let refused = NamedFile { option: "", path: Path::new("x.cfg"), cure: "" }
            .explain(&std::io::Error::from(rustix::io::Errno::ACCESS));
        assert_eq!(refused.message(), "reading x.cfg");
        assert!(refused.hints()[0].contains("the file's owner"), "{refused:?}");
    }

    #[test]
    fn what_a_program_writes_into_a_pipe_is_read_to_its_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let writing = std::thread::spawn(move || {
            for piece in [b"ro".as_slice(), b"ot 1\n"] {
                std::thread::sleep(Duration::from_millis(50));
                writer.write_all(piece).unwrap();
            }
        });
        assert_eq!(read(Path::new(&path)).unwrap(), b"root 1\n");
        writing.join().unwrap();
        assert!(read(Path::new("/dev/zero")).unwrap_err().message().contains("larger"));
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
    }
}
