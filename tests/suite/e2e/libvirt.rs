//! The machine is given to a real libvirt, its disk written onto a block device, and started there.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::common::account::Account;
use crate::common::libvirt::{self, Libvirt, URI};
use crate::common::machine::{Bench, HOSTNAME};
use crate::common::process::{Finished, check, program, run};
use crate::common::{begin, image, skip};
use rvmb::boot::console::Console;

/// How long the machine may take from power on to its prompt, without KVM on a busy host.
const BOOT: Duration = Duration::from_secs(300);

/// Size of the device: more than the disk needs, and no whole number of MiB.
const DEVICE: u64 = (2 << 30) + 3 * 512;

/// A file as a block device, until this is dropped; the file itself where this kernel gives no device.
struct Device {
    path: PathBuf,
    is_loop: bool,
}

impl Device {
    /// A device that was used for something else before.
    fn with_old_content(file: &Path) -> Self {
        let disk = File::create_new(file).expect("making a file");
        disk.set_len(DEVICE).expect("giving it a size");
        let old = vec![0xa5; 1 << 20];
        for place in (0..256).map(|mib| mib << 20).chain([DEVICE - (1 << 20)]) {
            disk.write_all_at(&old, place).expect("filling it");
        }
        drop(disk);
        check("mke2fs", [Path::new("-q"), Path::new("-F"), file]);
        let made = run(program("losetup")
            .env("PATH", rvmb::host::run::SEARCH_PATH)
            .args(["--find", "--show"])
            .arg(file));
        match made.status.success() {
            true => Device { path: made.stdout.trim().into(), is_loop: true },
            false => {
                skip::<()>("a block device as disk", "this kernel gives no loop device: a file it is");
                Device { path: file.to_owned(), is_loop: false }
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_loop {
            let gone = run(program("losetup")
                .env("PATH", rvmb::host::run::SEARCH_PATH)
                .arg("--detach")
                .arg(&self.path));
            assert!(gone.status.success() || std::thread::panicking(), "{gone}");
        }
    }
}

#[test]
fn libvirt_gets_the_machine_and_starts_it() {
    let Some((_turn, ())) = begin("libvirt", libvirt::is_here) else { return };
    let bench = Bench::new(&Account::root().expect("root"));
    let libvirt = Libvirt::start();
    let device = Device::with_old_content(&bench.path().join("device"));
    let onto = device.path.display().to_string();
    let words =
        ["kvm", "debian", "--suite", "bookworm", "--rootsize", "1500", "--swapsize", "0", "--libvirt", URI];
    let bake = |more: &[&str]| -> Finished {
        let mut command = bench.command(&[words.as_slice(), more].concat());
        run(&mut libvirt.seen_by(command.args(["--progress", "plain"])))
    };

    let refused = bake(&["--raw", &onto]).with_code(3);
    for words in ["libvirt has no network default", "holds a file system"] {
        assert!(refused.stderr.contains(words), "{refused}");
    }
    libvirt.has_network("default", bench.path());
    let made = bake(&["--raw", &onto, "--overwrite"]).well();
    assert_eq!(made.stdout.trim(), onto, "{made}");
    assert!(made.stderr.contains("network default is not started"), "{made}");
    bench.is_clean(&["out", "device"]);
    assert_eq!(image::raw_is_sound(&device.path, &bench.scratch()), ["bios-boot", "esp", "root"]);
    reaches_login(&libvirt, &device);

    // It is there, and replaced on demand alone; what runs is not replaced at all.
    let refused = bake(&[]).with_code(3);
    assert!(refused.stderr.contains("libvirt knows a machine vm already"), "{refused}");
    let refused = bake(&["--overwrite"]).with_code(3);
    assert!(refused.stderr.contains("is not off but running"), "{refused}");
    libvirt.virsh(&["destroy", HOSTNAME]).well();
    let before = libvirt.virsh(&["domuuid", HOSTNAME]).well().stdout;
    libvirt.virsh(&["autostart", HOSTNAME]).well();
    bake(&["--overwrite"]).well();
    let after = libvirt.virsh(&["dumpxml", HOSTNAME]).well().stdout;
    assert!(after.contains(&format!("<source file='{}'/>", bench.image().display())), "{after}");
    assert!(!after.contains(before.trim()), "another disk makes another machine: {after}");
    let info = libvirt.virsh(&["dominfo", HOSTNAME]).well().stdout;
    assert!(info.lines().any(|line| line.starts_with("Autostart:") && line.ends_with("enable")), "{info}");
    bench.is_clean(&["out", "device"]);
    let written = bench.destination().join(format!("{HOSTNAME}.xml"));
    check("virt-xml-validate", [written.as_path(), Path::new("domain")]);
}

/// Starts the machine, whose disk is `device`, and waits on its serial console for the prompt.
#[track_caller]
fn reaches_login(libvirt: &Libvirt, device: &Device) {
    let description = libvirt.virsh(&["dumpxml", HOSTNAME]).well().stdout;
    let kind = if device.is_loop { "block" } else { "file" };
    assert!(description.contains("<domain type='qemu'"), "KVM was kept away: {description}");
    assert!(description.contains(&format!("<disk type='{kind}' device='disk'>")), "{description}");
    assert!(description.contains(&device.path.display().to_string()), "{description}");
    assert!(description.contains("<source network='default'/>"), "{description}");
    // No network of libvirt's starts without a firewall, which a container may not have.
    libvirt.virsh(&["detach-interface", HOSTNAME, "network", "--config"]).well();
    libvirt.virsh(&["start", HOSTNAME]).well();
    let terminal = libvirt.virsh(&["ttyconsole", HOSTNAME]).well().stdout;
    let mut terminal = File::open(terminal.trim()).expect("opening the serial console");
    let (sender, heard) = channel();
    // Ends with the machine, which ends with libvirt.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut console = Console::new();
    let mut said = Vec::new();
    let start = Instant::now();
    while !console.partial().ends_with("login:") {
        match heard.recv_timeout(Duration::from_millis(200)) {
            Ok(bytes) => {
                console.feed(&bytes);
                said.extend(console.take_fresh());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the machine has gone:\n{}", said.join("\n")),
        }
        assert!(start.elapsed() < BOOT, "no login within {BOOT:?}:\n{}", said.join("\n"));
    }
}
