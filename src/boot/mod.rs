//! Starts a finished image in QEMU and checks it from inside, without changing it.
//!
//! 1. [`image`]: which images, and what their manifest [`promises`].
//! 2. [`acceleration`], [`firmware`], [`network`]: what will run and start the guest, and what it can reach.
//! 3. Each image is copied into a raw disk without a name ([`scratch`]), 1 GiB larger, as if its owner
//!    had grown it. Nothing is ever written to the images themselves.
//! 4. [`partition`] finds the root file system, [`inject`] puts a script into it ([`check`]).
//! 5. [`machine`] switches the virtual machine on, in a network that it knows ([`user_network`]); [`session`] follows the console ([`console`]), logs
//!    in ([`login`]), listens to the script on the second serial port, and has it power off.
//! 6. [`report`]: what came of it.
//!
//! Nothing outlives this process: QEMU dies with the thread that started it, and the copy has no name.

pub mod acceleration;
mod bounded;
mod check;
pub mod console;
pub mod firmware;
mod image;
mod inject;
pub mod login;
mod machine;
pub mod network;
mod partition;
mod promises;
pub mod report;
mod scratch;
mod session;
pub mod user_network;
mod vmdk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use acceleration::{Acceleration, Wish};
use bounded::Bounds;
use check::Questions;
use firmware::{Firmware, Uefi};
use image::{Image, Subject};
use network::Network;
use report::{Check, Report};
use scratch::Scratch;
use session::{Observed, Passwords, Session};

use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Outcome, Step};
use crate::host::run::Runner;
use crate::host::tools;
use crate::units::{GIB, Size};

/// How much larger than the image the disk is, so that the growing of the root can be seen.
const ENLARGED_BY: u64 = GIB;
/// The share of the time in which the system has to have started; the rest is for the checks.
const SHARE_OF_START: f64 = 0.75;

/// How long it may take from power on to the last check under KVM, where the user names no time.
pub const KVM_LIMIT: Duration = Duration::from_secs(240);
/// The same under translation.
pub const TCG_LIMIT: Duration = Duration::from_secs(600);
/// Memory of the virtual machine where the user names none.
pub const DEFAULT_MEMORY: Size = Size::mib(1024);

/// What is to be booted, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// An output directory of rvmb, or a disk image: raw, qcow2, vmdk, vdi, vhdx.
    pub path: PathBuf,
    /// What starts the guest.
    pub firmware: Firmware,
    /// What runs it.
    pub acceleration: Wish,
    /// What the guest can reach.
    pub network: network::Wish,
    /// How long it may take from power on to the last check; none for [`KVM_LIMIT`] or [`TCG_LIMIT`].
    pub limit: Option<Duration>,
    /// Memory of the virtual machine.
    pub memory: Size,
    /// Processors of the virtual machine.
    pub cpus: u32,
    /// Directory for the throw-away copy of the disk: as large as the image's content, and no tmpfs if
    /// memory is short.
    pub scratch: PathBuf,
    /// Set by a signal handler: the check ends soon, with an error of kind interrupted.
    pub interrupted: Arc<AtomicBool>,
}

/// What was found out about an image.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Every check.
    pub report: Report,
    /// Why the image could not be booted or looked at, with the cure; the report has it as a failed check.
    pub refusal: Option<Error>,
}

/// Boots a copy of the image and checks it from inside.
///
/// A failed check is no error here: it stands in the report, and so does an image that is damaged or
/// cannot be checked from inside.
///
/// # Errors
///
/// Usage, if there is no such image; config, if its manifest is not understood; host, if a tool, the
/// firmware or space is missing, or the emulator does not start; interrupted.
pub fn check(request: &Request, runner: &Runner) -> Result<Finding> {
    let begun = Instant::now();
    let subject = image::find(&request.path)?;
    let bios_only = subject.promises.as_ref().is_some_and(|promises| promises.storage.bios_only);
    if bios_only && request.firmware == Firmware::Uefi {
        return Err(Error::usage(format!("{} does not start from UEFI", request.path.display()))
            .hint("It has an msdos partition table: test it with --firmware bios."));
    }
    let uefi = whatever_is_needed(request.firmware)?;
    let acceleration =
        acceleration::choose(request.acceleration, machine::QEMU, runner).map_err(fault_of_host)?;
    let network = network::choose(request.network, machine::QEMU, runner)?;
    let found = boot(request, &subject, uefi.as_ref(), acceleration, network, runner).map_err(fault_of_host);
    let (observed, refusal) = match found {
        Ok(observed) => (observed, None),
        Err(error) if error.kind() == Kind::Check => (refused(&error), Some(error)),
        Err(error) => return Err(error),
    };
    let report = Report {
        image: request.path.display().to_string(),
        firmware: request.firmware,
        acceleration,
        network,
        boot_seconds: observed.booted.map(|after| after.as_secs_f64()),
        seconds: begun.elapsed().as_secs_f64(),
        checks: observed.checks,
        console_tail: observed.console_tail,
    };
    Ok(Finding { report, refusal })
}

/// Looks for the tools and the firmware, all at once and before the disk is copied.
fn whatever_is_needed(firmware: Firmware) -> Result<Option<Uefi>> {
    let mut lacking: Vec<Error> = [machine::QEMU, "qemu-img", "debugfs"]
        .into_iter()
        .filter(|program| tools::find(program).is_none())
        .map(tools::missing)
        .collect();
    let uefi = match firmware {
        Firmware::Bios => None,
        Firmware::Uefi => firmware::find_uefi(Path::new("/")).map_err(|error| lacking.push(error)).ok(),
    };
    Error::all(lacking)?;
    Ok(uefi)
}

/// A failure of the runner is one of a build to it. Nothing is built here, and what is the image's fault
/// was told apart before.
fn fault_of_host(error: Error) -> Error {
    if error.kind() == Kind::Build { error.of(Kind::Host) } else { error }
}

/// What came of an image that could not even be started.
fn refused(error: &Error) -> Observed {
    let check = Check {
        name: "boot".to_owned(),
        outcome: report::Outcome::Failed,
        detail: error.to_string(),
        seconds: 0.0,
    };
    Observed { checks: vec![check], booted: None, console_tail: Vec::new() }
}

fn boot(
    request: &Request,
    subject: &Subject,
    uefi: Option<&Uefi>,
    acceleration: Acceleration,
    network: Network,
    runner: &Runner,
) -> Result<Observed> {
    let limit = request.limit.unwrap_or(match acceleration {
        Acceleration::Kvm => KVM_LIMIT,
        Acceleration::Tcg => TCG_LIMIT,
    });
    let password = check::throw_away_password()
        .context(Kind::Host, || "asking the kernel for random bytes".to_owned())?;
    let questions = questions(subject, request.firmware, &password, limit);

    let (disks, home, root, mut session) = event::step(&**runner.sink(), Step::Boot, || {
        let copies = subject.images.iter().map(|image| copy(image, request, runner));
        let disks = copies.collect::<Result<Vec<_>>>()?;
        let debugfs = inject::Debugfs { runner, interrupted: &request.interrupted };
        let promised = subject.promises.as_ref().and_then(|promises| promises.storage.root.as_ref());
        let (home, root) = inject::find_root(&disks, promised, debugfs)?;
        let home_disk = disks.get(home).ok_or_else(|| Error::host("the root file system has no disk"))?;
        let script = questions.script();
        let check = inject::Check { script: &script, acceleration };
        inject::inject(home_disk, root, check, debugfs)?;
        let settings = machine::Settings {
            acceleration,
            uefi,
            network,
            addressing: &questions.network,
            mac: subject.promises.as_ref().and_then(|promises| promises.mac),
            memory: request.memory,
            cpus: request.cpus,
            disks: &disks,
        };
        let machine = machine::start(&settings, runner)?;
        let passwords =
            if questions.default_password { Passwords::UserName } else { Passwords::Given(password) };
        let mut session = Session::new(machine, passwords, limit, &request.interrupted, &**runner.sink());
        session.boot()?;
        Ok(((disks, home, root, session), Outcome::Done))
    })?;
    event::step(&**runner.sink(), Step::Check, || {
        session.check()?;
        let observed = session.finish(|| {
            let Some(disk) = disks.get(home) else { return Ok(false) };
            let found = partition::ext(&mut disk.reader(), root.offset)
                .context(Kind::Host, || "reading the copy of the disk".to_owned())?;
            Ok(found.is_some_and(|ext| !ext.needs_recovery))
        })?;
        Ok((observed, Outcome::Done))
    })
}

/// What the script in the guest is to find out.
fn questions(subject: &Subject, firmware: Firmware, password: &str, limit: Duration) -> Questions {
    let promises = subject.promises.as_ref();
    let user = promises.and_then(|promises| promises.user.as_ref());
    Questions {
        user: user.map(|user| user.name.clone()),
        default_password: user.is_some_and(|user| user.default_password && !user.locked),
        locked: user.map(|user| user.locked),
        password: password.to_owned(),
        packages: promises.map(|promises| promises.packages.clone()),
        built_by_rvmb: promises.is_some(),
        first_boot: promises.is_some_and(|promises| promises.first_boot),
        storage: promises.map(|promises| promises.storage.clone()),
        network: promises.map(|promises| promises.network.clone()).unwrap_or_default(),
        firmware,
        patience: limit.mul_f64(SHARE_OF_START).as_secs(),
    }
}

/// A raw copy of the image with holes, larger by [`ENLARGED_BY`].
fn copy(image: &Image, request: &Request, runner: &Runner) -> Result<Scratch> {
    let disk = Scratch::new_in(&request.scratch, "the copy of the disk")?;
    let command = runner
        .command("qemu-img")
        .args(["convert", "-f", image.format.name(), "-O", "raw"])
        .arg(&image.path)
        .arg(disk.path());
    let doing = format!("copying {}", image.path.display());
    let bounds = Bounds { time: None, interrupted: &request.interrupted };
    let said = bounded::run(command, &doing, bounds)?;
    if !said.status.success() {
        return Err(copy_error(said.status.code(), said.lines().collect(), doing));
    }
    disk.grow(ENLARGED_BY)?;
    Ok(disk)
}

/// Whose fault it is that an image could not be copied: the host's where there is no room or something
/// killed the program, else the image's.
fn copy_error(code: Option<i32>, said: Vec<String>, doing: String) -> Error {
    // In the words of strerror(3) for ENOSPC, EDQUOT, EFBIG; the locale is set by the runner.
    const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];
    let no_room = said.iter().any(|line| NO_ROOM.iter().any(|words| line.contains(words)));
    let error = if no_room {
        Error::host(doing).hint("Name a directory with more room by `--tmp`.")
    } else if code.is_none() {
        Error::host(format!("{doing}: qemu-img was killed"))
    } else {
        Error::new(Kind::Check, doing).hint("`qemu-img check` says more about a damaged image.")
    };
    error.tail(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    fn request(path: PathBuf, scratch: &Path) -> Request {
        Request {
            path,
            firmware: Firmware::Bios,
            acceleration: Wish::Only(Acceleration::Tcg),
            network: network::Wish::Auto,
            limit: None,
            memory: DEFAULT_MEMORY,
            cpus: 1,
            scratch: scratch.to_owned(),
            interrupted: Arc::new(AtomicBool::new(false)),
        }
    }

    #[test]
    fn a_copy_fails_for_a_reason() {
        let cases = [
            (Some(1), "error while writing at byte 0: No space left on device", Kind::Host),
            (Some(1), "Could not resize file: File too large", Kind::Host),
            (None, "", Kind::Host),
            (Some(1), "error while reading at byte 0: Input/output error", Kind::Check),
        ];
        for (code, said, kind) in cases {
            let error = copy_error(code, vec![said.to_owned()], "copying a".to_owned());
            assert_eq!(error.kind(), kind, "{said}");
        }
    }

    #[test]
    fn a_damaged_image_has_a_report() {
        if whatever_is_needed(Firmware::Bios).is_err() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("damaged.qcow2");
        let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
        header.resize(104, 0);
        std::fs::write(&image, header).unwrap();
        let runner = Runner::new(Arc::new(Silent));
        let finding = check(&request(image.clone(), directory.path()), &runner).unwrap();
        let refusal = finding.refusal.unwrap();
        assert_eq!(refusal.kind(), Kind::Check);
        assert!(!refusal.tail_lines().is_empty() && !refusal.hints().is_empty());
        let [check] = &finding.report.checks[..] else { panic!("{:?}", finding.report) };
        assert_eq!((check.name.as_str(), check.outcome), ("boot", report::Outcome::Failed));

        let interrupted = request(image, directory.path());
        interrupted.interrupted.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(super::check(&interrupted, &runner).unwrap_err().kind(), Kind::Interrupted);
    }
}
