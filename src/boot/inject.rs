//! Puts the check into the throw-away copy of a disk, without mounting it: debugfs writes files and
//! a link into its ext4 root file system.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::acceleration::Acceleration;
use super::bounded::{self, Bounds, Said};
use super::partition::{self, Extent};
use super::promises::Root;
use super::scratch::Scratch;
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;

/// Where the files go: a place that is on the root file system whatever else is mounted.
const DIRECTORY: &str = "/etc/systemd/system";
const UNIT: &str = "rvmb-check.service";
/// The file systems that debugfs knows.
const EXT: [&str; 2] = ["ext4", "ext3"];
const SCRIPT: &str = "rvmb-check.sh";
const WANTED_BY: &str = "multi-user.target.wants";
/// Settings of systemd itself: systemd-system.conf(5).
const SETTINGS_DIRECTORY: &str = "/etc/systemd/system.conf.d";
const SETTINGS: &str = "rvmb-check.conf";
/// How long debugfs may take for its few commands.
const LIMIT: Duration = Duration::from_secs(60);

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

/// A machine without KVM on a busy host takes longer to find its disks than systemd waits for them.
const PATIENCE: &str = "[Manager]\nDefaultDeviceTimeoutSec=10min\n";

/// What is put into the copy.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    /// What looks at the machine from inside.
    pub(super) script: &'a str,
    /// What runs the machine.
    pub(super) acceleration: Acceleration,
}

/// Finds the root file system, ext4, with /etc/passwd and systemd, and the number of its disk: where it is
/// promised to be, else on the first disk.
pub(super) fn find_root(
    disks: &[Scratch],
    promised: Option<&Root>,
    debugfs: Debugfs<'_>,
) -> Result<(usize, Extent)> {
    let number = promised.map_or(0, |root| root.disk);
    let disk = disks.get(number).ok_or_else(|| unusable("it has no disk for its root file system"))?;
    let extents = match promised {
        Some(root) if !EXT.contains(&root.kind.as_str()) => {
            return Err(unusable(&format!("its root file system is {}", root.kind)));
        }
        Some(root) => vec![Extent { offset: root.offset, root_type: true }],
        None => partition::extents(&mut disk.reader(), disk.size()?)
            .map_err(|error| unusable("its partition table is of no use").because(&error))?,
    };
    Ok((number, root_among(disk, extents, debugfs)?))
}

fn unusable(why: &str) -> Error {
    Error::new(Kind::Check, format!("the image cannot be checked from inside: {why}"))
        .hint("Images with an ext4 root file system in a GPT or MBR partition can be checked, and those that rvmb built with one on LVM. Start others with their run.sh, and look at them from their console.")
}

fn root_among(disk: &Scratch, extents: Vec<Extent>, debugfs: Debugfs<'_>) -> Result<Extent> {
    for extent in extents {
        let found = partition::ext(&mut disk.reader(), extent.offset)
            .context(Kind::Host, || "reading the copy of the disk".to_owned())?;
        let Some(ext) = found else { continue };
        let look = ["stat /etc/passwd", &format!("stat {DIRECTORY}")];
        let listing = debugfs.run(disk, extent, &look, false)?;
        match listing.text.matches("Inode: ").count() {
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

/// Puts the script of `check` into the root file system, with the unit that runs it.
pub(super) fn inject(disk: &Scratch, root: Extent, check: Check<'_>, debugfs: Debugfs<'_>) -> Result<()> {
    let Check { script, acceleration } = check;
    let unit = Scratch::with("the unit of the check", UNIT_TEXT.as_bytes())?;
    let script_file = Scratch::with("the script of the check", script.as_bytes())?;
    let settings = Scratch::with("settings for the check", PATIENCE.as_bytes())?;
    let wanted_by = format!("{DIRECTORY}/{WANTED_BY}");
    let is_slow = acceleration == Acceleration::Tcg;
    let mut commands = Vec::from_iter(missing_directory(&wanted_by, disk, root, debugfs)?);
    if is_slow {
        commands.extend(missing_directory(SETTINGS_DIRECTORY, disk, root, debugfs)?);
        commands.extend([
            format!("cd {SETTINGS_DIRECTORY}"),
            format!("rm {SETTINGS}"),
            format!("write {} {SETTINGS}", settings.path().display()),
        ]);
    }
    commands.extend([
        format!("cd {DIRECTORY}"),
        // These are there in no image but one that was made to deceive.
        format!("rm {UNIT}"),
        format!("rm {SCRIPT}"),
        format!("rm {WANTED_BY}/{UNIT}"),
        format!("write {} {UNIT}", unit.path().display()),
        format!("write {} {SCRIPT}", script_file.path().display()),
        // The script knows a password: for root's eyes only.
        format!("set_inode_field {SCRIPT} mode 0100600"),
        format!("symlink {WANTED_BY}/{UNIT} {DIRECTORY}/{UNIT}"),
    ]);
    let words: Vec<&str> = commands.iter().map(String::as_str).collect();
    let said = debugfs.run(disk, root, &words, true)?;

    // debugfs goes on after an error and ends well, so look at what is there now.
    let look = [
        format!("cat {DIRECTORY}/{UNIT}"),
        format!("cat {DIRECTORY}/{SCRIPT}"),
        format!("stat {wanted_by}/{UNIT}"),
        format!("cat {SETTINGS_DIRECTORY}/{SETTINGS}"),
    ];
    let words: Vec<&str> = look.iter().map(String::as_str).collect();
    let there = debugfs.run(disk, root, &words, false)?.text;
    let is_patient = !is_slow || there.contains(PATIENCE);
    if there.contains(UNIT_TEXT) && there.contains(script) && there.contains("Type: symlink") && is_patient {
        return Ok(());
    }
    Err(Error::new(Kind::Check, "writing the check into the copy of the image failed")
        .tail(said.lines())
        .hint("The root file system may be full, or have features that debugfs of this host does not know."))
}

/// The command that makes a directory, where it is not there: to make one again is to lose an inode
/// (debugfs 1.47).
fn missing_directory(
    path: &str,
    disk: &Scratch,
    root: Extent,
    debugfs: Debugfs<'_>,
) -> Result<Option<String>> {
    let there = debugfs.run(disk, root, &[&format!("stat {path}")], false)?.text.contains("Inode: ");
    Ok((!there).then(|| format!("mkdir {path}")))
}

/// debugfs(8), within bounds: the file system may have been made to keep it busy.
#[derive(Clone, Copy)]
pub(super) struct Debugfs<'a> {
    pub(super) runner: &'a Runner,
    /// Set when the user wants to stop.
    pub(super) interrupted: &'a AtomicBool,
}

impl Debugfs<'_> {
    /// Runs commands on the file system at `root`.
    fn run(self, disk: &Scratch, root: Extent, commands: &[&str], write: bool) -> Result<Said> {
        let mut script = commands.join("\n");
        script.push('\n');
        let script = Scratch::with("commands for debugfs", script.as_bytes())?;
        // `?offset=` is understood by the I/O layer of libext2fs, unix_io.
        let device = format!("{}?offset={}", disk.path().display(), root.offset);
        let mut command = self.runner.command("debugfs");
        if write {
            command = command.arg("-w");
        }
        let bounds = Bounds { time: Some(LIMIT), interrupted: self.interrupted };
        bounded::run(
            command.arg("-f").arg(script.path()).arg(device),
            "looking into the root file system",
            bounds,
        )
    }
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

    /// What `use_it` makes of debugfs.
    fn with_debugfs<T>(use_it: impl FnOnce(Debugfs<'_>) -> T) -> T {
        use_it(Debugfs { runner: &runner(), interrupted: &AtomicBool::new(false) })
    }

    /// The root file system of a disk that nothing is known of.
    fn found(disk: &Scratch) -> Result<Extent> {
        let extents = partition::extents(&mut disk.reader(), disk.size()?).map_err(|_| unusable("table"))?;
        with_debugfs(|debugfs| root_among(disk, extents, debugfs))
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
        check_is_written(&disk);
        // Once more, over what is there now.
        check_is_written(&disk);
    }

    fn check_is_written(disk: &Scratch) {
        let root = found(disk).unwrap();
        let check = Check { script: "#!/bin/sh\necho 'it works'\n", acceleration: Acceleration::Tcg };
        with_debugfs(|debugfs| inject(disk, root, check, debugfs)).unwrap();
        runner().command("e2fsck").arg("-fn").arg(disk.path()).run().unwrap();
        let look = ["stat /etc/systemd/system/rvmb-check.sh"];
        let said = with_debugfs(|debugfs| debugfs.run(disk, root, &look, false)).unwrap().text;
        assert!(said.contains("Mode:  0600") && said.contains("User:     0"), "{said}");
        let look = ["cat /etc/systemd/system.conf.d/rvmb-check.conf"];
        let said = with_debugfs(|debugfs| debugfs.run(disk, root, &look, false)).unwrap().text;
        assert!(said.contains(PATIENCE), "{said}");
    }

    #[test]
    fn a_file_without_end_is_not_read() {
        if !tools_are_there() {
            return;
        }
        let disk = disk(&["etc/systemd/system"]);
        let root = found(&disk).unwrap();
        let commands =
            ["cd /etc/systemd/system", "write /dev/null big", "set_inode_field big size 0x10000000000"];
        with_debugfs(|debugfs| debugfs.run(&disk, root, &commands, true)).unwrap();
        let error = with_debugfs(|debugfs| debugfs.run(&disk, root, &["cat /etc/systemd/system/big"], false));
        assert!(error.unwrap_err().to_string().contains("said more than"));
        // A directory in the place of the script cannot be removed.
        let commands = ["cd /etc/systemd/system", "mkdir rvmb-check.sh"];
        with_debugfs(|debugfs| debugfs.run(&disk, root, &commands, true)).unwrap();
        let check = Check { script: "true\n", acceleration: Acceleration::Kvm };
        let error = with_debugfs(|debugfs| inject(&disk, root, check, debugfs)).unwrap_err();
        assert_eq!(error.kind(), Kind::Check);
    }

    #[test]
    fn a_disk_without_systemd_is_refused() {
        if !tools_are_there() {
            return;
        }
        let error = found(&disk(&["etc"])).unwrap_err();
        assert_eq!(error.message(), "the image cannot be checked from inside: it has no systemd");
    }

    #[test]
    fn a_disk_without_anything_is_refused() {
        let disk = Scratch::with("a disk", &[0; 4096]).unwrap();
        assert_eq!(found(&disk).unwrap_err().kind(), Kind::Check);
        let promised = Root { disk: 0, offset: 0, kind: "xfs".into() };
        let error = with_debugfs(|debugfs| find_root(&[disk], Some(&promised), debugfs)).unwrap_err();
        assert!(error.message().ends_with("its root file system is xfs"), "{error}");
    }
}
