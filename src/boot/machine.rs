//! A virtual machine: QEMU's command line, the process, and its two serial ports.
//!
//! The serial ports are socket pairs whose far ends QEMU inherits, as it does the disk, so nothing of them
//! has a name.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::acceleration::Acceleration;
use super::firmware::Uefi;
use super::network::{self, Network};
use super::scratch::Scratch;
use super::user_network;
use crate::error::{Context, Kind, Result};
use crate::host::run::{Process, Runner};
use crate::plan::{GuestNetwork, Mac};
use crate::units::{MIB, Size};

/// The emulator. Images for amd64 and i386 are started by the same one.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// Bytes that are taken from a port at once.
const PIECE: usize = 4096;

/// What the virtual machine is made of.
pub(super) struct Settings<'a> {
    pub(super) acceleration: Acceleration,
    /// UEFI firmware; none for a BIOS.
    pub(super) uefi: Option<&'a Uefi>,
    /// What the guest can reach.
    pub(super) network: Network,
    /// The addresses that it expects to have.
    pub(super) addressing: &'a GuestNetwork,
    /// The MAC address of its interface; none for QEMU's own.
    pub(super) mac: Option<Mac>,
    pub(super) memory: Size,
    pub(super) cpus: u32,
    /// The raw disks; the first one is started.
    pub(super) disks: &'a [Scratch],
}

/// Numbers of the descriptors that QEMU inherits.
struct Inherited {
    console: RawFd,
    check: RawFd,
    disks: Vec<RawFd>,
    /// The variables of UEFI.
    vars: Option<RawFd>,
}

impl Settings<'_> {
    /// QEMU's arguments.
    fn arguments(&self, inherited: &Inherited) -> Vec<String> {
        let acceleration: [&str; 4] = match self.acceleration {
            Acceleration::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Acceleration::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        };
        let mut arguments: Vec<String> = acceleration.map(str::to_owned).to_vec();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("-machine", "q35".to_owned());
        add("-m", (self.memory.bytes() / MIB).to_string());
        add("-smp", self.cpus.to_string());
        let file = |descriptor: RawFd| format!("/proc/self/fd/{descriptor}");
        if let (Some(uefi), Some(vars)) = (self.uefi, inherited.vars.map(file)) {
            add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={}", uefi.code));
            add("-drive", format!("if=pflash,format=raw,unit=1,file={vars}"));
        }
        // The copies are thrown away, so nothing in them has to reach the platter.
        for (number, disk) in inherited.disks.iter().copied().map(file).enumerate() {
            let id = format!("disk{number}");
            add("-drive", format!("file={disk},format=raw,if=none,id={id},cache=unsafe,discard=unmap"));
            add("-device", format!("virtio-blk-pci,drive={id},bootindex={number}"));
        }
        // The guest gets an address and a default route from QEMU itself; nothing can connect to it, and what
        // it can reach depends on the namespace that QEMU runs in. No network boot code: it would only take
        // time.
        add("-netdev", format!("user,id=net0{}", user_network::options(self.addressing)));
        let mac = self.mac.map(|mac| format!(",mac={mac}")).unwrap_or_default();
        add("-device", format!("virtio-net-pci,netdev=net0{mac},romfile="));
        add("-device", "virtio-rng-pci".to_owned());
        for (name, descriptor) in [("console", inherited.console), ("check", inherited.check)] {
            add("-chardev", format!("socket,id={name},fd={descriptor}"));
            add("-serial", format!("chardev:{name}"));
        }
        add("-display", "none".to_owned());
        add("-monitor", "none".to_owned());
        arguments.extend(["-no-reboot", "-no-user-config"].map(str::to_owned));
        arguments
    }
}

/// A virtual machine that runs. It is killed when this is dropped, and when the thread that started it ends.
pub(super) struct Machine {
    pub(super) process: Process,
    pub(super) console: Port,
    pub(super) check: Port,
}

/// Switches a virtual machine on.
pub(super) fn start(settings: &Settings<'_>, runner: &Runner) -> Result<Machine> {
    let pair = || UnixStream::pair().context(Kind::Host, || "making a socket for a serial port".to_owned());
    let ((console, far_console), (check, far_check)) = (pair()?, pair()?);
    let disks = settings.disks.iter().map(Scratch::handle).collect::<Result<Vec<_>>>()?;
    let vars = settings.uefi.map(|uefi| uefi.vars.handle()).transpose()?;
    let arguments = settings.arguments(&Inherited {
        console: far_console.as_raw_fd(),
        check: far_check.as_raw_fd(),
        disks: disks.iter().map(AsRawFd::as_raw_fd).collect(),
        vars: vars.as_ref().map(AsRawFd::as_raw_fd),
    });
    let isolation = (settings.network == Network::Isolated).then(network::isolation);
    // They live in the hook, which is gone when QEMU has been started: they are QEMU's alone then.
    let inherited: Vec<OwnedFd> =
        [far_console.into(), far_check.into()].into_iter().chain(disks).chain(vars).collect();
    let process = runner
        .command(QEMU)
        .args(arguments)
        .before_exec(Arc::new(move || {
            // The terminal's Ctrl-C is for this process alone, which then ends the machine.
            rustix::process::setpgid(None, None)?;
            for descriptor in &inherited {
                rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
            }
            match &isolation {
                Some(isolation) => isolation(),
                None => Ok(()),
            }
        }))
        .start()?;
    Ok(Machine { process, console: Port::new(console)?, check: Port::new(check)? })
}

impl Machine {
    /// Waits until a port has something to read, or for `limit`.
    pub(super) fn wait(&self, limit: Duration) -> Result<()> {
        let open: Vec<&Port> = [&self.console, &self.check].into_iter().filter(|port| port.open).collect();
        if open.is_empty() {
            // Both are closed, so QEMU is about to end.
            std::thread::sleep(limit.min(Duration::from_millis(20)));
            return Ok(());
        }
        let mut ports: Vec<PollFd<'_>> =
            open.iter().map(|port| PollFd::new(&port.stream, PollFlags::IN)).collect();
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match rustix::event::poll(&mut ports, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(std::io::Error::from(error))
                .context(Kind::Host, || "waiting for a serial port".to_owned()),
        }
    }
}

/// The near end of a serial port.
pub(super) struct Port {
    stream: UnixStream,
    open: bool,
}

impl Port {
    /// A port at the far end of which the guest is.
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(true).context(Kind::Host, || "setting up a serial port".to_owned())?;
        Ok(Port { stream, open: true })
    }

    /// What the guest wrote since the last time; empty if nothing.
    pub(super) fn read(&mut self) -> Result<Vec<u8>> {
        let mut buffer = [0; PIECE];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.open = false;
                Ok(Vec::new())
            }
            Ok(count) => Ok(buffer.get(..count).unwrap_or_default().to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Vec::new())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.open = false;
                Ok(Vec::new())
            }
            Err(error) => Err(error).context(Kind::Host, || "reading from a serial port".to_owned()),
        }
    }

    /// Types something. A guest that is gone is no error: its end is noticed elsewhere.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        match self.stream.write_all(text.as_bytes()) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Ok(())
            }
            result => result.context(Kind::Host, || "writing to a serial port".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(acceleration: Acceleration, uefi: Option<&Uefi>) -> Vec<String> {
        let network = Network::Isolated;
        let mac = "52:54:00:ab:cd:ef".parse().ok();
        let settings = Settings {
            acceleration,
            uefi,
            network,
            addressing: &GuestNetwork::default(),
            mac,
            memory: Size::mib(1024),
            cpus: 2,
            disks: &[],
        };
        let disks = vec![9, 10];
        settings.arguments(&Inherited { console: 5, check: 7, disks, vars: uefi.map(|_| 11) })
    }

    /// Two arguments a line.
    fn lines(arguments: &[String]) -> String {
        arguments.chunks(2).map(|pair| pair.join(" ")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn arguments_for_translation_and_a_bios() {
        insta::assert_snapshot!(lines(&arguments(Acceleration::Tcg, None)), @"
        -accel tcg,thread=multi
        -cpu max
        -machine q35
        -m 1024
        -smp 2
        -drive file=/proc/self/fd/9,format=raw,if=none,id=disk0,cache=unsafe,discard=unmap
        -device virtio-blk-pci,drive=disk0,bootindex=0
        -drive file=/proc/self/fd/10,format=raw,if=none,id=disk1,cache=unsafe,discard=unmap
        -device virtio-blk-pci,drive=disk1,bootindex=1
        -netdev user,id=net0
        -device virtio-net-pci,netdev=net0,mac=52:54:00:ab:cd:ef,romfile=
        -device virtio-rng-pci
        -chardev socket,id=console,fd=5
        -serial chardev:console
        -chardev socket,id=check,fd=7
        -serial chardev:check
        -display none
        -monitor none
        -no-reboot -no-user-config
        ");
    }

    #[test]
    fn arguments_for_kvm_and_uefi() {
        let uefi =
            Uefi { code: "/usr/share/OVMF/CODE.fd".to_owned(), vars: Scratch::with("vars", b"").unwrap() };
        let text = lines(&arguments(Acceleration::Kvm, Some(&uefi)));
        assert!(text.starts_with("-accel kvm\n-cpu host\n"), "{text}");
        assert!(
            text.contains("if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/CODE.fd"),
            "{text}"
        );
        assert!(text.contains("unit=1,file=/proc/self/fd/11"), "{text}");
    }
}
