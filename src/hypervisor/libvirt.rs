//! `<hostname>.xml`: the machine as libvirt knows it (libvirt, "Domain XML format").
//!
//! [`domain_file`] gathers what a plan says of the machine, [`Domain::text`] writes it. The firmware is a
//! BIOS, which every libvirt has; the images start from either.

use std::fmt::Write as _;
use std::path::Path;

use uuid::Uuid;

use super::launch::LaunchFile;
use crate::plan::{self, Plan, Runs};
use crate::units::{KIB, Size};

/// Mode of the file: it holds no secret.
const MODE: u32 = 0o644;

/// libvirt's network where the user names neither one nor a bridge.
pub const DEFAULT_NETWORK: &str = "default";

/// The description of the machine of `plan`, which runs by `usual` where libvirt was not asked.
pub(super) fn domain_file(plan: &Plan, usual: Runs) -> LaunchFile {
    let name = &plan.guest.hostname;
    let libvirt = plan.output.libvirt.as_ref();
    let disks = plan.disks.iter().enumerate().map(|(number, disk)| Drive {
        path: plan.output.directory.join(&disk.image).display().to_string(),
        format: plan.format_of(number).to_owned(),
        is_device: plan.output.raws.get(number).is_some_and(|raw| raw.is_device),
    });
    let domain = Domain {
        name,
        uuid: Uuid::new_v5(&plan.id, format!("libvirt domain {name}").as_bytes()),
        title: format!("{}, {}", plan.suite.title(), plan.architecture),
        runs: libvirt.map_or(usual, |libvirt| libvirt.runs),
        memory: plan.target.memory,
        cpus: plan.target.cpus,
        disks: disks.collect(),
        interface: interface(plan),
    };
    LaunchFile { name: file_name(name), mode: MODE, content: domain.text() }
}

/// The network interface of the machine of `plan`.
fn interface(plan: &Plan) -> Interface<'_> {
    let nic = &plan.target.nic;
    let connection = match (&plan.output.libvirt, &nic.connection) {
        (Some(libvirt), _) if libvirt.user_network => Connection::User,
        (_, plan::Connection::LibvirtNetwork(name)) => Connection::Network(name),
        (_, plan::Connection::Bridge(name)) => Connection::Bridge(name),
    };
    Interface { mac: Some(nic.mac.to_string()), connection }
}

/// The name of the description of a machine.
pub fn file_name(hostname: &str) -> String {
    format!("{hostname}.xml")
}

/// What the description says.
struct Domain<'a> {
    name: &'a str,
    uuid: Uuid,
    title: String,
    runs: Runs,
    memory: Size,
    cpus: u32,
    disks: Vec<Drive>,
    interface: Interface<'a>,
}

/// The network interface of the machine.
struct Interface<'a> {
    mac: Option<String>,
    connection: Connection<'a>,
}

/// What it is connected to.
enum Connection<'a> {
    /// A network of libvirt's.
    Network(&'a str),
    /// A bridge of the host.
    Bridge(&'a str),
    /// What QEMU gives to machines of ordinary users: the guest reaches out, and nobody in.
    User,
}

/// A disk of the machine.
struct Drive {
    path: String,
    format: String,
    is_device: bool,
}

impl Domain<'_> {
    /// The whole file.
    fn text(&self) -> String {
        let (domain_type, cpu) = match self.runs {
            Runs::Kvm => ("kvm", "host-passthrough"),
            Runs::Qemu => ("qemu", "maximum"),
        };
        let values = [
            ("@TYPE@", domain_type.to_owned()),
            ("@NAME@", escape(self.name)),
            ("@UUID@", self.uuid.to_string()),
            ("@TITLE@", escape(&self.title)),
            ("@MEMORY@", (self.memory.bytes() / KIB).to_string()),
            ("@CPUS@", self.cpus.to_string()),
            ("@CPU@", cpu.to_owned()),
            ("@DISKS@", self.disks()),
            ("@INTERFACE@", self.interface()),
        ];
        crate::host::template::fill(include_str!("libvirt.xml.in"), &values)
    }

    fn disks(&self) -> String {
        let mut text = String::new();
        for (number, disk) in self.disks.iter().enumerate() {
            let (kind, source) = if disk.is_device { ("block", "dev") } else { ("file", "file") };
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n    <disk type='{kind}' device='disk'>\
                 \n      <driver name='qemu' type='{}'/>\
                 \n      <source {source}='{}'/>\
                 \n      <target dev='{}' bus='virtio'/>\
                 \n    </disk>",
                escape(&disk.format),
                escape(&disk.path),
                drive_name(number),
            );
        }
        text
    }

    fn interface(&self) -> String {
        let (kind, source) = match self.interface.connection {
            Connection::Network(name) => ("network", format!("<source network='{}'/>", escape(name))),
            Connection::Bridge(name) => ("bridge", format!("<source bridge='{}'/>", escape(name))),
            Connection::User => ("user", String::new()),
        };
        let mac = self.interface.mac.as_ref().map(|mac| format!("<mac address='{}'/>", escape(mac)));
        let lines = [mac.unwrap_or_default(), source, "<model type='virtio'/>".to_owned()];
        let lines = lines.iter().filter(|line| !line.is_empty());
        let inside: String = lines.map(|line| format!("\n      {line}")).collect();
        format!("\n    <interface type='{kind}'>{inside}\n    </interface>")
    }
}

/// The guest's name of its disk of that number, from 0: vda to vdz, vdaa and on, as Linux counts them
/// (drivers/block/virtio_blk.c, `virtblk_name_format`).
fn drive_name(number: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = number;
    loop {
        letters.push(char::from(b"abcdefghijklmnopqrstuvwxyz"[rest % 26]));
        match (rest / 26).checked_sub(1) {
            Some(next) => rest = next,
            None => break,
        }
    }
    letters.extend(['d', 'v']);
    letters.iter().rev().collect()
}

/// A text as the content of an element, or of an attribute between quotation marks of either kind
/// (XML 1.0, 2.4 and 3.3.3).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&apos;"),
            '"' => escaped.push_str("&quot;"),
            // Readers would make blanks of them.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            other if holds(other) => escaped.push(other),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    escaped
}

/// Whether XML can hold a character at all (XML 1.0, production 2).
fn holds(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether a description can name a file at `path`: its schema knows no paths of several lines, either.
pub fn can_name(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| text.chars().all(|character| holds(character) && !character.is_control()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;
    use crate::host::run::Runner;

    fn drive(path: &str, format: &str, is_device: bool) -> Drive {
        Drive { path: path.into(), format: format.into(), is_device }
    }

    fn domain<'a>(runs: Runs, disks: Vec<Drive>, connection: Connection<'a>) -> Domain<'a> {
        Domain {
            name: "web",
            uuid: uuid::uuid!("d4f1d5b0-1c5e-5b63-9a51-72766d620000"),
            title: "Debian 12 (bookworm), amd64".into(),
            runs,
            memory: Size::mib(1024),
            cpus: 2,
            disks,
            interface: Interface { mac: Some("52:54:00:12:34:56".into()), connection },
        }
    }

    /// Every shape that a description has.
    fn all() -> Vec<Domain<'static>> {
        let image = || drive("/srv/<a> & 'b'/web-disk0.qcow2", "qcow2", false);
        let many = (0..28).map(|_| drive("/dev/vg/a-b", "raw", true)).chain([image()]);
        vec![
            domain(Runs::Kvm, vec![image()], Connection::Network("default")),
            domain(Runs::Qemu, many.collect(), Connection::Bridge("br0")),
            Domain {
                interface: Interface { mac: None, connection: Connection::User },
                ..domain(Runs::Qemu, vec![], Connection::User)
            },
        ]
    }

    #[test]
    fn a_description_reads_well() {
        insta::assert_snapshot!(all()[0].text());
    }

    #[test]
    fn libvirts_own_schema_takes_every_description() {
        if !crate::testing::has("virt-xml-validate") || !crate::testing::has("xmllint") {
            return;
        }
        let runner = Runner::new(Arc::new(Silent));
        for domain in all() {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), domain.text()).unwrap();
            let validate = || runner.command("virt-xml-validate").arg(file.path()).arg("domain");
            validate().run().unwrap_or_else(|error| panic!("{error:?}\n{}", domain.text()));
            // The schema finds what is wrong.
            std::fs::write(file.path(), domain.text().replace("virtio", "virtual")).unwrap();
            assert!(validate().run().is_err());
        }
    }

    #[test]
    fn disks_are_counted_in_letters() {
        let cases = [
            (0, "vda"),
            (25, "vdz"),
            (26, "vdaa"),
            (51, "vdaz"),
            (52, "vdba"),
            (701, "vdzz"),
            (702, "vdaaa"),
        ];
        for (number, name) in cases {
            assert_eq!(drive_name(number), name);
        }
    }

    #[test]
    fn no_text_breaks_out_of_its_place() {
        assert_eq!(escape("a<b>&'\"\n\u{1}\u{fffe}"), "a&lt;b&gt;&amp;&apos;&quot;&#10;\u{fffd}\u{fffd}");
        assert_eq!(escape("ä 😀"), "ä 😀");
        assert!(can_name(Path::new("/srv/ä 'b'")) && !can_name(Path::new("/srv/\u{7}")));
    }
}
