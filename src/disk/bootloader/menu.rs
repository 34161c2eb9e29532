//! The text of GRUB's configuration files.

use std::fmt::Write;

use super::kernels::Kernel;
use super::{DIRECTORY, Home};
use crate::host::run::quote;

/// Bytes of an environment block (GRUB manual, "The GRUB environment block").
const ENVIRONMENT_BYTES: usize = 1024;

/// What the first boot menu says.
pub(super) struct Menu<'a> {
    /// The system's name, as [`title`] makes it.
    pub(super) system: &'a str,
    /// What `root=UUID=` takes for the root file system.
    pub(super) root: &'a str,
    /// Where the kernels are.
    pub(super) home: &'a Home,
    /// Kernel command line beside `root=` and `ro`.
    pub(super) options: &'a str,
    /// Whether GRUB itself drives the serial port: elsewhere the firmware does.
    pub(super) serial: bool,
}

impl Menu<'_> {
    /// The text of grub.cfg: each kernel, the newest first, and each again for recovery.
    pub(super) fn text(&self, kernels: &[Kernel]) -> String {
        let mut text = String::from(
            "# The configuration of the first boot. update-grub replaces it when a kernel comes or goes.\n\
             set timeout_style=hidden\n\
             set timeout=0\n\
             set default=0\n",
        );
        if self.serial {
            text.push_str(
                "if serial --unit=0 --speed=115200; then\n  \
                 terminal_input console serial\n  \
                 terminal_output console serial\n\
                 fi\n",
            );
        }
        let _ = writeln!(text, "search --no-floppy --fs-uuid --set=root {}", self.home.identifier);
        for (kind, extra) in [("", ""), (" (recovery mode)", " single")] {
            for kernel in kernels {
                self.entry(&mut text, kernel, kind, extra);
            }
        }
        text
    }

    fn entry(&self, text: &mut String, kernel: &Kernel, kind: &str, extra: &str) {
        let Kernel { version, image, initrd } = kernel;
        let (image, initrd) = (self.home.path(image), self.home.path(initrd));
        let options: String =
            self.options.split_whitespace().map(|option| format!(" {}", quote(option))).collect();
        let system = self.system;
        let _ = write!(
            text,
            "menuentry '{system}, with Linux {version}{kind}' --class gnu-linux --class os {{\n  \
             linux {image} root=UUID={} ro{extra}{options}\n  \
             initrd {initrd}\n}}\n",
            self.root,
        );
    }
}

/// The system's name in the menu, such as `Debian 12 (bookworm)`, without what GRUB could take for more.
pub(super) fn title(distro: &str, version: &str, codename: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let clean = |text: &str| text.chars().filter(plain).collect::<String>();
    let (distro, version, codename) = (clean(distro), clean(version), clean(codename));
    let mut letters = distro.chars();
    let first: String = letters.next().map(|c| c.to_ascii_uppercase()).into_iter().collect();
    let name = first + letters.as_str();
    if version.is_empty() { format!("{name} ({codename})") } else { format!("{name} {version} ({codename})") }
}

/// An empty environment block.
pub(super) fn environment_block() -> String {
    let header = "# GRUB Environment Block\n";
    format!("{header}{}", "#".repeat(ENVIRONMENT_BYTES - header.len()))
}

/// Finds the file system with GRUB's files and sets where they are: the start of every way to grub.cfg. In the
/// first words that a core image runs there is no `search` command yet, only its modules' own.
pub(super) fn find_files(home: &Home) -> String {
    let directory = home.path(DIRECTORY);
    format!("search.fs_uuid {} root\nset prefix=($root)'{directory}'\n", home.identifier)
}

/// The text of grub.cfg beside an EFI program.
pub(super) fn stub(home: &Home) -> String {
    format!("{}configfile $prefix/grub.cfg\n", find_files(home))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::FileSystem;

    fn kernel(version: &str) -> Kernel {
        let (image, initrd) = (format!("/boot/vmlinuz-{version}"), format!("/boot/initrd.img-{version}"));
        Kernel { version: version.into(), image, initrd }
    }

    #[test]
    fn the_menu_starts_the_newest_kernel() {
        let (root, home) = ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", home(false));
        let options = "console=tty1 console=ttyS0";
        let menu = Menu { system: "Debian 12 (bookworm)", root, home: &home, options, serial: true };
        insta::assert_snapshot!(menu.text(&[kernel("6.2"), kernel("6.1")]));
    }

    fn home(is_boot: bool) -> Home {
        let identifier = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".to_owned();
        Home { identifier, kind: FileSystem::Ext4, is_boot }
    }

    #[test]
    fn a_file_system_of_its_own_for_boot_has_no_directory_boot() {
        let home = home(true);
        let menu = Menu { system: "x", root: "r", home: &home, options: "", serial: false };
        let text = menu.text(&[kernel("6.1")]);
        assert!(text.contains("--set=root 6ba7b810-"), "{text}");
        assert!(text.contains("linux /vmlinuz-6.1 root=UUID=r ro\n"), "{text}");
        assert!(text.contains("initrd /initrd.img-6.1\n"), "{text}");
        assert!(stub(&home).contains("set prefix=($root)'/grub'\n"), "{}", stub(&home));
    }

    #[test]
    fn options_cannot_end_the_entry() {
        let home = home(false);
        let menu =
            Menu { system: "x", root: "r", home: &home, options: "a=1;reboot\n} $b 'c", serial: false };
        let text = menu.text(&[kernel("6.1")]);
        assert!(text.contains(r"ro 'a=1;reboot' '}' '$b' ''\''c'"), "{text}");
    }

    #[test]
    fn titles_are_clean() {
        assert_eq!(title("debian", "12", "bookworm"), "Debian 12 (bookworm)");
        assert_eq!(title("debian", "", "s'id }"), "Debian (sid)");
    }

    #[test]
    fn an_environment_block_has_its_size() {
        assert_eq!(environment_block().len(), ENVIRONMENT_BYTES);
    }
}
