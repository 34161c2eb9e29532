//! Who uses a file or a block device: what must not be written to behind somebody's back.
//!
//! The kernel knows best: a block device that is opened exclusively (`O_EXCL`, open(2)) is refused while it,
//! or a partition of it, is mounted anywhere, swapped to, or part of another device. What /proc and /sys tell
//! gives the words.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, major, minor};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};

/// What sysfs has of a block device, by its numbers.
const DEVICES: &str = "/sys/dev/block";

/// What tells a file or block device from every other one: a path may lead to another one later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    file_system: u64,
    inode: u64,
    /// Of a device.
    numbers: u64,
}

impl Identity {
    /// That of what the metadata were asked of.
    pub fn of(metadata: &Metadata) -> Identity {
        Identity { file_system: metadata.dev(), inode: metadata.ino(), numbers: metadata.rdev() }
    }
}

/// Refuses a file or block device that somebody uses.
///
/// # Errors
///
/// [`Kind::Config`], with who uses it as far as it is known.
pub fn check(path: &Path, metadata: &Metadata) -> Result<()> {
    let is_device = metadata.file_type().is_block_device();
    let user = if is_device { user_of_device(metadata.rdev())? } else { user_of_file(path, metadata)? };
    if let Some(user) = user {
        return Err(Error::config(format!("{} {user}", path.display()))
            .hint("Name another one, or take it out of use first."));
    }
    open(path).map(drop)
}

/// Opens a file or block device for reading and writing, for this process alone: nobody can mount the device,
/// or start a virtual machine of QEMU's with it, while it is open.
///
/// # Errors
///
/// [`Kind::Config`] where it cannot be opened, or somebody else has it.
pub fn open(path: &Path) -> Result<File> {
    let context = || format!("opening {}", path.display());
    let is_device = std::fs::metadata(path).context(Kind::Config, context)?.file_type().is_block_device();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if is_device {
        options.custom_flags(OFlags::EXCL.bits().cast_signed());
    }
    let used = |by: &str| {
        Error::config(format!("{} is used by {by}", path.display()))
            .hint("Name another one, or take it out of use first.")
    };
    let file = match options.open(path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {
            return Err(used("the kernel: mounted, swapped to, or part of another device"));
        }
        opened => opened.context(Kind::Config, context)?,
    };
    // QEMU locks the images of its machines by bytes (QEMU, block/file-posix.c).
    match lock(&file) {
        Ok(()) => Ok(file),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(used("another program, such as a virtual machine")),
        Err(error) => Err(error).context(Kind::Config, || format!("locking {}", path.display())),
    }
}

/// Locks all of a file for writing, for as long as it is open here. A lock of the open file description, as
/// QEMU's are: one of the process (`F_SETLK`) would go with the first other handle on the same file that this
/// process closes (fcntl_locking(2)).
fn lock(file: &File) -> Result<(), Errno> {
    // The numbers are small ones, whatever the types are called.
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match set_lock(file, &lock) {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

#[expect(unsafe_code, reason = "no crate here has locks of open file descriptions")]
fn set_lock(file: &File, lock: &libc::flock) -> libc::c_int {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the kernel only reads the lock.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, std::ptr::from_ref(lock)) }
}

/// Bytes of a file or a block device.
///
/// # Errors
///
/// That of the kernel where it does not tell.
pub fn size(mut file: &File) -> std::io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// Whether two block devices are the same, or one is a partition of the other.
pub fn overlap(one: u64, other: u64) -> bool {
    let place = |device: u64| sysfs(device).canonicalize();
    match (place(one), place(other)) {
        (Ok(one), Ok(other)) => one.starts_with(&other) || other.starts_with(&one),
        _ => one == other,
    }
}

fn sysfs(device: u64) -> PathBuf {
    Path::new(DEVICES).join(number(device))
}

/// A device's numbers as the kernel writes them.
fn number(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// Who uses a block device, or a partition of it.
fn user_of_device(device: u64) -> Result<Option<String>> {
    let place = sysfs(device);
    if read(&place.join("ro")).is_some_and(|text| text.trim() == "1") {
        return Ok(Some("cannot be written to: the kernel has it read-only".to_owned()));
    }
    let mut devices = vec![(number(device), place.clone())];
    for entry in entries(&place) {
        if entry.join("partition").exists() {
            devices.extend(read(&entry.join("dev")).map(|text| (text.trim().to_owned(), entry)));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")
        .context(Kind::Host, || "reading the table of mounts".into())?;
    let swaps = read(Path::new("/proc/swaps")).unwrap_or_default();
    let swapped: Vec<String> =
        parse_swaps(&swaps).filter_map(|path| Some(number(std::fs::metadata(path).ok()?.rdev()))).collect();
    for (numbers, place) in &devices {
        if let Some(mounted) = parse_mounts(&mounts, numbers) {
            return Ok(Some(format!("is mounted at {mounted}")));
        }
        if swapped.contains(numbers) {
            return Ok(Some("is swap space of this host".to_owned()));
        }
        if let Some(holder) = entries(&place.join("holders")).first() {
            let name = holder.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Some(format!("is part of {name}: LVM, RAID or an encrypted device")));
        }
    }
    Ok(None)
}

/// Who uses a file.
fn user_of_file(path: &Path, metadata: &Metadata) -> Result<Option<String>> {
    let same = |other: &str| {
        std::fs::metadata(other).is_ok_and(|it| (it.dev(), it.ino()) == (metadata.dev(), metadata.ino()))
    };
    let swaps = read(Path::new("/proc/swaps")).unwrap_or_default();
    if parse_swaps(&swaps).any(&same) {
        return Ok(Some("is swap space of this host".to_owned()));
    }
    for entry in entries(Path::new("/sys/block")) {
        let backing = read(&entry.join("loop/backing_file"));
        if backing.is_some_and(|file| same(file.trim_end_matches('\n')) || path == Path::new(file.trim_end()))
        {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Some(format!("is attached to /dev/{name}")));
        }
    }
    Ok(None)
}

/// Where the device of these numbers is mounted (proc(5), `/proc/PID/mountinfo`).
fn parse_mounts<'a>(text: &'a str, numbers: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(2);
        (fields.next()? == numbers).then(|| fields.nth(1))?
    })
}

/// The files and devices in /proc/swaps (proc(5)).
fn parse_swaps(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next())
}

/// What a file of sysfs or /proc says; none where it is not there, as for most devices.
fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// What is in a directory; nothing where it is not there.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_their_device() {
        let text =
            "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 22 0:26 / /tmp rw - tmpfs tmpfs rw\nbroken\n";
        assert_eq!(parse_mounts(text, "8:1"), Some("/"));
        assert_eq!(parse_mounts(text, "0:26"), Some("/tmp"));
        assert_eq!(parse_mounts(text, "8:11"), None);
    }

    #[test]
    fn swap_space_is_listed() {
        let text = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2  partition\t1\t0\t-2\n/swapfile file\t1\t0\t-3\n";
        assert_eq!(parse_swaps(text).collect::<Vec<_>>(), ["/dev/sda2", "/swapfile"]);
        assert_eq!(parse_swaps("").count(), 0);
    }

    #[test]
    fn a_file_that_a_machine_has_is_in_use() {
        if !crate::testing::has("python3") {
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![0; 4096]).unwrap();
        let metadata = file.path().metadata().unwrap();
        check(file.path(), &metadata).unwrap();
        // As QEMU locks its images: a byte, of the open file description.
        let script = "import fcntl, struct, sys, time\nfile = open(sys.argv[1], 'r+b')\n\
                      fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 201, 1, 0))\n\
                      open(sys.argv[1] + '.held', 'w').close()\ntime.sleep(60)\n";
        let held = PathBuf::from(format!("{}.held", file.path().display()));
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        let holder = runner.command("python3").args(["-c", script]).arg(file.path()).start().unwrap();
        for _ in 0..200 {
            if held.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let error = check(file.path(), &metadata).unwrap_err();
        assert!(error.message().contains("such as a virtual machine"), "{error}");
        drop(holder);
        std::fs::remove_file(held).unwrap();
    }

    #[test]
    fn what_is_open_here_is_taken_for_everybody_else() {
        if !crate::testing::has("python3") {
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![0; 4096]).unwrap();
        let held = open(file.path()).unwrap();
        assert_eq!(size(&held).unwrap(), 4096);
        // What this process does with the file elsewhere lets go of nothing.
        assert_eq!(size(&File::open(file.path()).unwrap()).unwrap(), 4096);
        assert!(open(file.path()).unwrap_err().message().contains("such as a virtual machine"));
        let script = "import fcntl, struct, sys\nfile = open(sys.argv[1], 'r+b')\n\
                      fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 201, 1, 0))\n";
        let runner = crate::host::run::Runner::new(std::sync::Arc::new(crate::event::Silent));
        let other = || runner.command("python3").args(["-c", script]).arg(file.path()).run();
        assert!(other().is_err());
        drop(held);
        other().unwrap();
    }

    #[test]
    fn an_identity_is_of_the_file_and_not_of_its_path() {
        let room = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| room.path().join(name));
        let identity = |path: &Path| Identity::of(&path.metadata().unwrap());
        std::fs::write(&one, "1").unwrap();
        std::fs::write(&two, "2").unwrap();
        let before = identity(&one);
        assert_ne!(before, Identity::default());
        std::fs::rename(&two, &one).unwrap();
        assert_ne!(identity(&one), before);
    }

    #[test]
    fn a_device_and_its_partition_overlap() {
        assert!(overlap(0x801, 0x801));
        assert!(!overlap(rustix::fs::makedev(7, 1000), rustix::fs::makedev(7, 1001)));
    }
}
