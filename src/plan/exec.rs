//! The program of `--exec`: it has to be one that this host can start.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Exec;
use crate::digest::hex;
use crate::error::{Context, Error, Kind, Result};
use crate::host::{followed, tools};

/// Longest first line that the kernel reads (`BINPRM_BUF_SIZE` of linux/binfmts.h).
const FIRST_LINE: u64 = 256;

/// How an ELF file begins (elf(5)).
const ELF: &[u8] = b"\x7fELF";

/// Checks the program, and takes its digest.
pub(super) fn read(path: &Path) -> Result<Exec> {
    let context = || format!("reading --exec {}", path.display());
    let cure = "--exec takes the name of a program of this host.";
    let metadata =
        std::fs::metadata(path).context(Kind::Config, context).map_err(|error| error.hint(cure))?;
    if !metadata.is_file() {
        return Err(Error::config(format!("--exec {} is not a file", path.display())).hint(cure));
    }
    rustix::fs::access(path, rustix::fs::Access::READ_OK).context(Kind::Config, context)?;
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Err(Error::config(format!("--exec {} is not executable", path.display()))
            .hint(format!("Make it so with `chmod +x {}`.", path.display())));
    }
    let mut start = Vec::new();
    let file = File::open(path).context(Kind::Config, context)?;
    file.take(FIRST_LINE).read_to_end(&mut start).context(Kind::Config, context)?;
    can_be_started(&start, |program| tools::find(program).is_some())
        .map_err(|error| error.within(format!("--exec {} cannot be started", path.display())))?;
    let sha256 = hex(followed::copy(path, &mut std::io::sink())?);
    let directory = std::env::current_dir().context(Kind::Config, context)?;
    Ok(Exec { path: std::path::absolute(path).context(Kind::Config, context)?, sha256, directory })
}

/// Looks at the beginning of a program: an ELF file, or a script whose interpreter is here. `known` says
/// whether a program is in the search path that it gets.
fn can_be_started(start: &[u8], known: impl Fn(&str) -> bool) -> Result<()> {
    if start.starts_with(ELF) {
        return Ok(());
    }
    let Some(line) = start.strip_prefix(b"#!") else {
        return Err(Error::config("it does not start with an interpreter line")
            .hint("Put `#!/bin/sh` on its first line."));
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    if line.ends_with('\r') {
        return Err(Error::config("it has line ends of Windows")
            .hint("No interpreter is found by that first line: convert it with `sed -i 's/\\r$//'`."));
    }
    let mut words = line.split_whitespace();
    let interpreter = words.next().unwrap_or_default();
    if !Path::new(interpreter).is_absolute() || !PathBuf::from(interpreter).is_file() {
        return Err(Error::config(format!("its interpreter `{interpreter}` is not on this host"))
            .hint("It runs on this host, with the machine's files at its first argument."));
    }
    let is_env = Path::new(interpreter).file_name().is_some_and(|name| name == "env");
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
    match program {
        Some(program) if is_env && !program.contains('/') && !known(program) => Err(Error::config(format!(
            "its interpreter `{program}` is not on this host"
        ))
        .hint("It is looked for in the directories of the system: /usr/local/bin, /usr/bin and their like.")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_interpreter_must_be_here() {
        let cases: [(&[u8], Option<&str>); 10] = [
            (b"#!/bin/sh\n", None),
            (b"#! /bin/sh -e\ntrue", None),
            (b"#!/usr/bin/env sh\n", None),
            (b"#!/usr/bin/env -S A=1 sh -e\n", None),
            (b"\x7fELF\x02", None),
            (b"echo hello\n", Some("it does not start with an interpreter line")),
            (b"", Some("it does not start with an interpreter line")),
            (b"#!/bin/sh\r\ntrue\r\n", Some("it has line ends of Windows")),
            (b"#!bin/sh\n", Some("its interpreter `bin/sh` is not on this host")),
            (
                b"#!/usr/bin/env no-such-program\n",
                Some("its interpreter `no-such-program` is not on this host"),
            ),
        ];
        for (start, wrong) in cases {
            let answer = can_be_started(start, |program| program == "sh");
            let message = answer.as_ref().err().map(Error::message);
            assert_eq!(message, wrong, "{}", String::from_utf8_lossy(start));
            assert!(answer.is_ok() || !answer.unwrap_err().hints().is_empty());
        }
    }

    #[test]
    fn a_program_must_be_executable() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("finish");
        assert!(read(&path).is_err());
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.hints()[0].contains("chmod +x"), "{error:?}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let exec = read(&path).unwrap();
        assert!(exec.path.is_absolute() && exec.directory.is_absolute() && exec.sha256.len() == 64);
        assert!(read(room.path()).unwrap_err().message().ends_with("is not a file"));
    }
}
