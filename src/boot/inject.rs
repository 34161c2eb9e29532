//! Puts the check into the throw-away copy of a disk, without mounting it: debugfs writes two files and
//! a link into its ext4 root file system.

use super::partition::{self, Extent};
use super::scratch::Scratch;
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;

/// Where the files go: a place that is on the root file system whatever else is mounted.
const DIRECTORY: &str = "/etc/systemd/system";
const UNIT: &str = "rvmb-check.service";
const SCRIPT: &str = "rvmb-check.sh";
const WANTED_BY: &str = "multi-user.target.wants";

/// Started with the system and not part of its start: a start that waits for it would wait for ever,
/// as the script waits for the start.
const UNIT_TEXT: &str = "\
[Unit]
Description=Look at the machine for rvmb test

[Service]
Type=simple
ExecStart=/bin/sh /etc/systemd/system/rvmb-check.sh
TimeoutStopSec=5
";

/// Finds the root file system of a disk: ext4, with /etc/passwd and systemd.
pub(super) fn find_root(disk: &Scratch, runner: &Runner) -> Result<Extent> {
    let unusable = |why: &str| {
        Error::new(Kind::Check, format!("the image cannot be checked from inside: {why}"))
            .hint("Images with an ext4 root file system in a GPT or MBR partition can be checked.")
    };
    let extents = partition::extents(&mut disk.reader(), disk.size()?)
        .map_err(|error| unusable("its partition table is of no use").because(&error))?;
    for extent in extents {
        let found = partition::ext(&mut disk.reader(), extent.offset)
            .context(Kind::Build, || "reading the copy of the disk".to_owned())?;
        let Some(ext) = found else { continue };
        let listing =
            debugfs(disk, extent, &["stat /etc/passwd", &format!("stat {DIRECTORY}")], false, runner)?;
        match listing.matches("Inode: ").count() {
            0 => continue,
            1 => return Err(unusable("it has no systemd")),
            _ if ext.needs_recovery => {
                return Err(unusable("its root file system was not unmounted")
                    .hint("Start the machine and shut it down once, then try again."));
            }
            _ => return Ok(extent),
        }
    }
    Err(unusable("no ext4 root file system was found on it"))
}

/// Puts `script` into the root file system, with the unit that runs it.
pub(super) fn inject(disk: &Scratch, root: Extent, script: &str, runner: &Runner) -> Result<()> {
    let unit = Scratch::with("the unit of the check", UNIT_TEXT.as_bytes())?;
    let script_file = Scratch::with("the script of the check", script.as_bytes())?;
    let commands = [
        format!("cd {DIRECTORY}"),
        // It is there in most images, and then this fails, which does no harm.
        format!("mkdir {WANTED_BY}"),
        format!("write {} {UNIT}", unit.path().display()),
        format!("write {} {SCRIPT}", script_file.path().display()),
        // The script knows a password: for root's eyes only.
        format!("set_inode_field {SCRIPT} mode 0100600"),
        format!("symlink {WANTED_BY}/{UNIT} {DIRECTORY}/{UNIT}"),
    ];
    let words: Vec<&str> = commands.iter().map(String::as_str).collect();
    let said = debugfs(disk, root, &words, true, runner)?;

    // debugfs goes on after an error and ends well, so look at what is there now.
    let look = [
        format!("cat {DIRECTORY}/{UNIT}"),
        format!("cat {DIRECTORY}/{SCRIPT}"),
        format!("stat {DIRECTORY}/{WANTED_BY}/{UNIT}"),
    ];
    let words: Vec<&str> = look.iter().map(String::as_str).collect();
    let there = debugfs(disk, root, &words, false, runner)?;
    if there.contains(UNIT_TEXT) && there.contains(script) && there.contains("Type: symlink") {
        return Ok(());
    }
    Err(Error::new(Kind::Check, "writing the check into the copy of the image failed")
        .tail(said.lines().map(str::to_owned))
        .hint("The root file system may be full, or have features that debugfs of this host does not know."))
}

/// Runs commands of debugfs(8) on the file system at `root`; returns all that it said.
fn debugfs(disk: &Scratch, root: Extent, commands: &[&str], write: bool, runner: &Runner) -> Result<String> {
    let mut script = commands.join("\n");
    script.push('\n');
    let script = Scratch::with("commands for debugfs", script.as_bytes())?;
    // `?offset=` is understood by the I/O layer of libext2fs, unix_io.
    let device = format!("{}?offset={}", disk.path().display(), root.offset);
    let mut command = runner.command("debugfs");
    if write {
        command = command.arg("-w");
    }
    let outcome = command.arg("-f").arg(script.path()).arg(device).outcome()?;
    Ok(outcome.stdout + &outcome.stderr)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;
    use crate::testing;

    fn runner() -> Runner {
        Runner::new(Arc::new(Silent))
    }

    /// A bare ext4 file system with the given directories and an /etc/passwd.
    fn disk(directories: &[&str]) -> Scratch {
        let tree = tempfile::tempdir().unwrap();
        for directory in directories {
            std::fs::create_dir_all(tree.path().join(directory)).unwrap();
        }
        std::fs::write(tree.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        let disk = Scratch::new_in(&std::env::temp_dir(), "a disk").unwrap();
        disk.grow(16 << 20).unwrap();
        let mke2fs = runner().command("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]);
        mke2fs.arg(tree.path()).arg(disk.path()).run().unwrap();
        disk
    }

    fn tools_are_there() -> bool {
        testing::has("debugfs") && testing::has("mke2fs")
    }

    #[test]
    fn the_check_is_written_and_the_file_system_stays_sound() {
        if !tools_are_there() {
            return;
        }
        let disk = disk(&["etc/systemd/system"]);
        let root = find_root(&disk, &runner()).unwrap();
        inject(&disk, root, "#!/bin/sh\necho 'it works'\n", &runner()).unwrap();
        runner().command("e2fsck").arg("-fn").arg(disk.path()).run().unwrap();
        let said =
            debugfs(&disk, root, &["stat /etc/systemd/system/rvmb-check.sh"], false, &runner()).unwrap();
        assert!(said.contains("Mode:  0600") && said.contains("User:     0"), "{said}");
    }

    #[test]
    fn a_disk_without_systemd_is_refused() {
        if !tools_are_there() {
            return;
        }
        let error = find_root(&disk(&["etc"]), &runner()).unwrap_err();
        assert_eq!(error.message(), "the image cannot be checked from inside: it has no systemd");
    }

    #[test]
    fn a_disk_without_anything_is_refused() {
        let disk = Scratch::with("a disk", &[0; 4096]).unwrap();
        assert_eq!(find_root(&disk, &runner()).unwrap_err().kind(), Kind::Check);
    }
}
