//! Starts a finished image in QEMU and checks it from inside, without changing it.
//!
//! 1. [`image`]: which image, and what its manifest promises.
//! 2. [`acceleration`], [`firmware`], [`network`]: what will run and start the guest, and what it can reach.
//! 3. The image is copied into a raw disk without a name ([`scratch`]), 1 GiB larger, as if its owner
//!    had grown it. Nothing is ever written to the image itself.
//! 4. [`partition`] finds the root file system, [`inject`] puts a script into it ([`check`]).
//! 5. [`machine`] switches the virtual machine on; [`session`] follows the console ([`console`]), logs
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
pub mod report;
mod scratch;
mod session;
mod vmdk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use acceleration::{Acceleration, Wish};
use check::Questions;
use firmware::Firmware;
use image::Subject;
use report::Report;
use scratch::Scratch;
use session::{Passwords, Session};

use crate::error::{Context, Error, Kind, Result};
use crate::event::{self, Outcome, Step};
use crate::host::run::Runner;
use crate::host::tools;
use crate::units::{GIB, Size};

/// How much larger than the image the disk is, so that the growing of the root can be seen.
const ENLARGED_BY: u64 = GIB;
/// The share of the time in which the system has to have started; the rest is for the checks.
const SHARE_OF_START: f64 = 0.75;

/// How long a check may take under KVM where the user names no time.
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
    /// How long it may take altogether; none for [`KVM_LIMIT`] or [`TCG_LIMIT`].
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

/// Boots a copy of the image and checks it from inside.
///
/// A failed check is no error here: it stands in the report.
///
/// # Errors
///
/// Usage, if there is no such image; host, if a tool or the firmware is missing; check, if the image
/// cannot be checked from inside; interrupted.
pub fn check(request: &Request, runner: &Runner) -> Result<Report> {
    let begun = Instant::now();
    let subject = image::find(&request.path)?;
    for program in [machine::QEMU, "qemu-img", "debugfs"] {
        if tools::find(program).is_none() {
            return Err(tools::missing(program));
        }
    }
    let uefi = match request.firmware {
        Firmware::Bios => None,
        Firmware::Uefi => Some(firmware::find_uefi(Path::new("/"))?),
    };
    let acceleration = acceleration::choose(request.acceleration, machine::QEMU, runner)?;
    let network = network::choose(request.network, machine::QEMU, runner)?;
    let limit = request.limit.unwrap_or(match acceleration {
        Acceleration::Kvm => KVM_LIMIT,
        Acceleration::Tcg => TCG_LIMIT,
    });
    let password = check::throw_away_password()
        .context(Kind::Host, || "asking the kernel for random bytes".to_owned())?;
    let questions = questions(&subject, request.firmware, &password, limit);

    let (disk, root, mut session) = event::step(&**runner.sink(), Step::Boot, || {
        let disk = copy(&subject, &request.scratch, runner).map_err(|error| request.or_interrupted(error))?;
        let debugfs = inject::Debugfs { runner, interrupted: &request.interrupted };
        let root = inject::find_root(&disk, debugfs)?;
        inject::inject(&disk, root, &questions.script(), debugfs)?;
        let settings = machine::Settings {
            acceleration,
            uefi: uefi.as_ref(),
            network,
            memory: request.memory,
            cpus: request.cpus,
            disk: &disk,
        };
        let machine = machine::start(&settings, runner)?;
        let passwords =
            if questions.default_password { Passwords::UserName } else { Passwords::Given(password) };
        let mut session = Session::new(machine, passwords, limit, &request.interrupted, &**runner.sink());
        session.boot()?;
        Ok(((disk, root, session), Outcome::Done))
    })?;
    let observed = event::step(&**runner.sink(), Step::Check, || {
        session.check()?;
        let observed = session.finish(|| {
            let found = partition::ext(&mut disk.reader(), root.offset)
                .context(Kind::Build, || "reading the copy of the disk".to_owned())?;
            Ok(found.is_some_and(|ext| !ext.needs_recovery))
        })?;
        Ok((observed, Outcome::Done))
    })?;
    Ok(Report {
        image: request.path.display().to_string(),
        firmware: request.firmware,
        acceleration,
        network,
        boot_seconds: observed.booted.map(|after| after.as_secs_f64()),
        seconds: begun.elapsed().as_secs_f64(),
        checks: observed.checks,
        console_tail: observed.console_tail,
    })
}

impl Request {
    /// A tool that was stopped by the terminal's Ctrl-C failed for that reason, whatever it says.
    fn or_interrupted(&self, error: Error) -> Error {
        if self.interrupted.load(Ordering::Relaxed) {
            return Error::new(Kind::Interrupted, "interrupted while the image was copied");
        }
        error
    }
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
        firmware,
        patience: limit.mul_f64(SHARE_OF_START).as_secs(),
    }
}

/// A raw copy of the image with holes, larger by [`ENLARGED_BY`].
fn copy(subject: &Subject, directory: &Path, runner: &Runner) -> Result<Scratch> {
    let disk = Scratch::new_in(directory, "the copy of the disk")?;
    runner
        .command("qemu-img")
        .args(["convert", "-f", subject.format.name(), "-O", "raw"])
        .arg(&subject.image)
        .arg(disk.path())
        .run()
        .map_err(|error| error.within(format!("copying {}", subject.image.display())))?;
    disk.grow(ENLARGED_BY)?;
    Ok(disk)
}
