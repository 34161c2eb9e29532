//! `rvmb test`: boots a finished image and checks it from inside.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use crate::boot::acceleration::Wish;
use crate::boot::firmware::Firmware;
use crate::boot::network::{self, Network};
use crate::boot::report::Report;
use crate::boot::{self, Finding, Request};
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;
use crate::host::scratch;
use crate::units::Size;

/// Lines of the console that an error shows.
const TAIL_LINES: usize = 20;

/// Boot a finished image in QEMU and check it from inside
///
/// A copy of the image is booted and thrown away; the image itself is only read. Where this host allows it,
/// the machine has a network that leads nowhere. The check logs in on
/// the serial console and finds out whether the machine has started, whether a unit failed, whether user
/// and packages are there, whether the network is up, whether the root has grown with its disk, and
/// whether the first boot ran once. Exit code 7 says that it did not all come out well.
///
/// It needs qemu-system-x86, qemu-utils and e2fsprogs, and ovmf for UEFI.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  rvmb test debian-kvm                         what rvmb built there
  rvmb test debian-kvm --firmware uefi         started by UEFI instead of a BIOS
  rvmb test disk.qcow2 --timeout 1200          any image, on a slow host
  rvmb test debian-kvm --junit results.xml     for a CI server")]
pub struct Arguments {
    /// Output directory of rvmb, or a disk image (raw, qcow2, vmdk, vdi, vhdx)
    #[arg(value_name = "DIR|IMAGE")]
    pub path: PathBuf,

    /// What starts the machine: bios or uefi
    #[arg(long, value_name = "FIRMWARE", default_value = "bios")]
    pub firmware: Firmware,

    /// Seconds from power on to the last check [default: 240 under KVM, 600 without]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=86400))]
    pub timeout: Option<u64>,

    /// Memory of the machine in MiB, or with a unit
    #[arg(long, alias = "mem", value_name = "SIZE", default_value = "1024")]
    pub memory: Size,

    /// Processors of the machine
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cpus: u32,

    /// What runs the machine: auto (KVM where it really works), kvm or tcg
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub acceleration: Wish,

    /// What the machine can reach: isolated (nothing), host (all that this host reaches, and its own
    /// services on 10.0.2.2), or auto (isolated, with a warning where this host does not allow it)
    #[arg(long, value_name = "NETWORK", default_value = "auto")]
    pub network: network::Wish,

    /// Write the report to standard output as JSON
    #[arg(long)]
    pub json: bool,

    /// Write the report as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Directory for the throw-away copy of the disk [default: $TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub tmp: Option<PathBuf>,
}

/// Boots the image and writes the report. `interrupted` is set by the program's signal handler.
///
/// # Errors
///
/// Check, if a check failed, with the end of the console; the report is written then, too. And whatever
/// [`boot::check`] returns.
pub fn run(arguments: &Arguments, interrupted: Arc<AtomicBool>, runner: &Runner) -> Result<()> {
    let request = Request {
        path: arguments.path.clone(),
        firmware: arguments.firmware,
        acceleration: arguments.acceleration,
        network: arguments.network,
        limit: arguments.timeout.map(Duration::from_secs),
        memory: arguments.memory,
        cpus: arguments.cpus,
        scratch: arguments.tmp.clone().unwrap_or_else(scratch::default_directory),
        interrupted,
    };
    let context = |path: &PathBuf| format!("writing {}", path.display());
    // Opened before the boot: what cannot be written is told at once.
    let open = |path| Ok((path, File::create(path).context(Kind::Usage, || context(path))?));
    let junit = arguments.junit.as_ref().map(open).transpose()?;
    let Finding { report, refusal } = boot::check(&request, runner)?;
    if let Some((path, mut file)) = junit {
        file.write_all(report.to_junit().as_bytes()).context(Kind::Usage, || context(path))?;
    }
    let text = if arguments.json { to_json(&report)? } else { report.to_text() };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .context(Kind::Usage, || "writing to standard output".to_owned())?;
    match refusal {
        Some(error) => Err(error),
        None => verdict(&report),
    }
}

fn to_json(report: &Report) -> Result<String> {
    let json = serde_json::to_string_pretty(report)
        .context(Kind::Build, || "writing the report as JSON".to_owned())?;
    Ok(json + "\n")
}

/// The error for a report with failed checks.
fn verdict(report: &Report) -> Result<()> {
    let failed: Vec<&str> = report.failed().map(|check| check.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let skip = report.console_tail.len().saturating_sub(TAIL_LINES);
    let error =
        Error::new(Kind::Check, format!("{} failed the check of: {}", report.image, failed.join(", ")))
            .tail(report.console_tail.iter().skip(skip).cloned());
    let may_miss_the_network = failed.iter().any(|name| ["units", "first-boot"].contains(name));
    if report.network == Network::Isolated && may_miss_the_network {
        return Err(error.hint(
            "The machine could reach nothing. If its services or its first boot script need the network: \
             `--network host` lets them reach all that this host reaches.",
        ));
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::boot::acceleration::Acceleration;
    use crate::boot::report::{Check, Outcome};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn arguments_are_read() {
        let words = ["rvmb", "out", "--firmware", "uefi", "--timeout", "900", "--memory", "2G", "--json"];
        let arguments = Program::try_parse_from(words).unwrap().arguments;
        assert_eq!(arguments.firmware, Firmware::Uefi);
        assert_eq!(arguments.timeout, Some(900));
        assert_eq!(arguments.memory, Size::mib(2048));
        assert_eq!((arguments.cpus, arguments.acceleration), (1, Wish::Auto));
        for wrong in [
            &["rvmb"][..],
            &["rvmb", "out", "--firmware", "coreboot"],
            &["rvmb", "out", "--timeout", "0"],
            &["rvmb", "out", "--acceleration", "hvf"],
            &["rvmb", "out", "--cpus", "0"],
            &["rvmb", "out", "--network", "bridge"],
        ] {
            assert!(Program::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_failed_check_is_an_error_with_the_end_of_the_console() {
        let check = |outcome| Check {
            name: "network".to_owned(),
            outcome,
            detail: "addresses: none".to_owned(),
            seconds: 1.0,
        };
        let mut report = Report {
            image: "vm.qcow2".to_owned(),
            firmware: Firmware::Bios,
            acceleration: Acceleration::Tcg,
            network: Network::Isolated,
            boot_seconds: None,
            seconds: 1.0,
            checks: vec![check(Outcome::Ok), check(Outcome::Skipped)],
            console_tail: (0..30).map(|line| line.to_string()).collect(),
        };
        assert!(verdict(&report).is_ok());
        report.checks.push(check(Outcome::Failed));
        let error = verdict(&report).unwrap_err();
        assert_eq!((error.kind(), error.tail_lines().len()), (Kind::Check, TAIL_LINES));
        assert_eq!(error.message(), "vm.qcow2 failed the check of: network");
        assert_eq!(error.tail_lines().last().map(String::as_str), Some("29"));
        assert!(error.hints().is_empty());
        report.checks.push(Check { name: "first-boot".to_owned(), ..check(Outcome::Failed) });
        assert!(verdict(&report).unwrap_err().hints()[0].contains("--network host"));
        report.network = Network::Host;
        assert!(verdict(&report).unwrap_err().hints().is_empty());
    }
}
