//! A plan as a person reads it.
//!
//! One paragraph per subject, each a function; labels stand in a column. With `--verbose` every package
//! that would be installed is listed.

use std::fmt::Write as _;

use super::style::{Style, Tone, printable};
use crate::disk::layout::FileSystem;
use crate::plan::{
    Archive, Content, Guest, HostUse, Layer, Packages, Plan, Privilege, Table, Volume, mirror_origin,
};
use crate::units::Size;

/// Columns of a label.
const LABEL: usize = 16;

/// The whole plan.
pub fn render(plan: &Plan, every_package: bool, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    system(&mut page, plan);
    archive(&mut page, &plan.archive);
    packages(&mut page, &plan.packages);
    guest(&mut page, &plan.guest);
    disks(&mut page, plan);
    host(&mut page, &plan.host);
    output(&mut page, plan);
    if every_package {
        every(&mut page, &plan.packages);
    }
    page.text
}

/// Text with headings and labelled lines.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text += &self.style.paint(Tone::Strong, text);
        self.text.push('\n');
    }

    /// A line with a label; an empty label continues the one above.
    fn line(&mut self, label: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "  {label:LABEL$}{}", printable(value));
    }

    /// The same, left out where there is nothing to say.
    fn some(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(label, value);
        }
    }
}

fn system(page: &mut Page, plan: &Plan) {
    let (suite, target) = (&plan.suite, &plan.target);
    page.heading("System");
    page.line("Release", &suite.title());
    page.line("Architecture", &plan.architecture);
    page.line("Kernel", &target.flavour);
    let secure_boot =
        if plan.suite.boot.secure_boot { "starts with it" } else { "firmware must have it off" };
    page.line("Secure Boot", secure_boot);
    page.line("Hypervisor", &format!("{}, disk as {}", target.hypervisor, target.format));
    page.line("Memory", &target.memory.to_string());
    page.line("Processors", &target.cpus.to_string());
}

fn archive(page: &mut Page, archive: &Archive) {
    page.heading("Archive");
    for (number, source) in archive.sources.iter().enumerate() {
        let label = if number == 0 { "Sources" } else { "" };
        page.line(label, &format!("{} {}", source.uri, source.suite));
    }
    page.line("Components", &archive.components.join(" "));
    page.line("Mirror from", mirror_origin(&archive.mirror_origin));
    page.line("Keyring", &archive.keyring.display().to_string());
    page.some("Proxy", archive.proxy.as_deref());
}

fn packages(page: &mut Page, packages: &Packages) {
    let count = packages.resolved.len();
    page.heading("Packages");
    page.line("Added", &list(&packages.added));
    if !packages.removed.is_empty() {
        page.line("Removed", &list(&packages.removed));
    }
    page.some("Variant", packages.variant.as_deref());
    page.line(
        "In all",
        &format!(
            "{count} packages, {} to download without a cache, {} installed",
            packages.download_size(),
            packages.installed_size()
        ),
    );
    page.line("Layers", &layer("base", &packages.layers.base));
    page.line("", &layer("initramfs", &packages.layers.initramfs));
    page.line("", &layer("system", &packages.layers.system));
    if let Some(added) = &packages.layers.packages {
        page.line("", &layer("packages", added));
    }
}

fn layer(name: &str, layer: &Layer) -> String {
    let key: String = layer.key.chars().take(12).collect();
    let state = if layer.cached { "in the cache" } else { "to be made" };
    format!("{name:10} {key:12} {state}")
}

fn guest(page: &mut Page, guest: &Guest) {
    let user = &guest.user;
    page.heading("Machine");
    page.line("Host name", &format!("{}.{}", guest.hostname, guest.domain));
    page.line("Locale", &guest.locale);
    page.line("Time zone", &guest.timezone);
    let mut about = format!("{} ({})", user.name, user.full_name);
    if let Some(uid) = user.uid {
        about += &format!(", uid {uid}");
    }
    if let Some(gid) = user.gid {
        about += &format!(", gid {gid}");
    }
    page.line("User", &about);
    page.line("Groups", &list(&user.groups));
    let password = match (user.locked, user.default_password) {
        (true, _) => "locked",
        (false, true) => "the user's name, which is the default: change it",
        (false, false) => "as given",
    };
    page.line("Password", password);
    let root = if guest.root_password { "can log in by password" } else { "cannot log in by password" };
    page.line("Root", root);
    page.line("SSH keys", &format!("{} for the user, {} for root", user.keys.len(), guest.root_keys.len()));
    for (label, script) in [("First boot", &guest.firstboot), ("First login", &guest.firstlogin)] {
        let path = script.as_ref().map(|script| script.path.display().to_string());
        page.line(label, path.as_deref().unwrap_or("no script"));
    }
    page.line("Kernel options", &guest.kernel_options);
}

fn disks(page: &mut Page, plan: &Plan) {
    let is_only = plan.disks.len() == 1;
    for (number, disk) in plan.disks.iter().enumerate() {
        let name = if is_only { "Disk".to_owned() } else { format!("Disk {number}") };
        page.heading(&format!("{name}, {}", disk.size));
        if disk.table == Table::Msdos {
            page.line("Table", "msdos, starts from a BIOS and not from UEFI");
        }
        let heads =
            format!("{:>3}  {:>12}  {:>10}  {:10}  {}", "no", "start", "size", "content", "mounted at");
        page.line("Partitions", &heads);
        for partition in &disk.partitions {
            page.line("", &row(&partition.number.to_string(), &Volume::from(partition)));
            if let Content::Group { volumes, .. } = &partition.content {
                volumes.iter().for_each(|volume| page.line("", &row("", &Volume::from(volume))));
            }
        }
    }
}

fn row(number: &str, volume: &Volume<'_>) -> String {
    let content = match volume.content {
        Content::BiosBoot => "BIOS boot",
        Content::Extended => "extended",
        Content::Esp { .. } => "FAT32",
        Content::Group { .. } => "LVM",
        Content::Swap { .. } => "swap",
        other => other.file_system().map_or("", FileSystem::name),
    };
    let use_of = match (volume.content, volume.mount) {
        (Content::Group { name, .. }, _) => format!("group {name}"),
        (_, Some(mount)) if volume.grows => format!("{mount}, grows"),
        (_, mount) => mount.unwrap_or_default().to_owned(),
    };
    let (start, size) = (Size(volume.start).to_string(), volume.size.to_string());
    let row = format!("{number:>3}  {start:>12}  {size:>10}  {content:10}  {use_of}");
    row.trim_end().to_owned()
}

fn host(page: &mut Page, host: &HostUse) {
    page.heading("This host");
    let privilege = match &host.privilege {
        Privilege::Root => "root".to_owned(),
        Privilege::UserNamespace { subuid, subgid, count } => {
            format!("user namespace with {count} subordinate ids, users from {subuid}, groups from {subgid}")
        }
    };
    page.line("Privilege", &privilege);
    page.line("Bootstrap", &format!("{} {}", host.bootstrap.name, host.bootstrap.version));
    page.line("Scratch", &host.scratch.display().to_string());
    let cache = host.cache.as_ref().map(|path| path.display().to_string());
    page.line("Cache", cache.as_deref().unwrap_or("not used"));
}

fn output(page: &mut Page, plan: &Plan) {
    let output = &plan.output;
    page.heading("Output");
    let replaced = if output.overwrite { ", replaced if it exists" } else { "" };
    page.line("Directory", &format!("{}{replaced}", output.directory.display()));
    for (number, disk) in plan.disks.iter().enumerate() {
        page.line(if number == 0 { "Image" } else { "" }, &disk.image);
    }
}

fn every(page: &mut Page, packages: &Packages) {
    page.heading("Every package");
    for package in &packages.resolved {
        let name = format!("{} {} {}", package.name, package.version, package.architecture);
        page.line("", &format!("{:>10}  {name}", Size(package.size).to_string()));
    }
}

/// Names in a row.
fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        BootstrapTool, Disk, Layers, Output, Package, Partition, Script, Source, Target, User,
    };
    use crate::suite::Registry;
    use uuid::Uuid;

    fn partition(
        number: u32,
        start_mib: u64,
        size_mib: u64,
        content: Content,
        mount: Option<&str>,
    ) -> Partition {
        Partition {
            number,
            name: String::new(),
            kind: Uuid::nil(),
            guid: Uuid::nil(),
            start: Size::mib(start_mib).bytes(),
            size: Size::mib(size_mib),
            content,
            mount: mount.map(str::to_owned),
            options: None,
            grows: false,
        }
    }

    fn package(name: &str, size: u64) -> Package {
        Package {
            name: name.into(),
            version: "1.2-3".into(),
            architecture: "amd64".into(),
            size,
            installed_size: 4 * size,
            sha256: String::new(),
            file: String::new(),
        }
    }

    fn plan() -> Plan {
        let ext4 = Content::Ext4 { uuid: Uuid::nil(), label: "root".into(), features: vec![] };
        Plan {
            format: 1,
            id: Uuid::nil(),
            epoch: 0,
            suite: Registry::built_in().unwrap().find("debian", "bookworm").unwrap().clone(),
            architecture: "amd64".into(),
            target: Target {
                hypervisor: "kvm".into(),
                format: "qcow2".into(),
                flavour: "cloud".into(),
                memory: Size::mib(512),
                cpus: 1,
            },
            archive: Archive {
                sources: ["bookworm", "bookworm-updates"]
                    .map(|suite| Source {
                        uri: "http://ftp.debian.org/debian".into(),
                        suite: suite.into(),
                        digest: String::new(),
                        security: false,
                    })
                    .into(),
                components: vec!["main".into(), "contrib".into()],
                keyring: "/usr/share/keyrings/debian-archive-keyring.gpg".into(),
                proxy: None,
                mirror_origin: "host".into(),
                apt_options: vec![],
                index: "/var/cache/rvmb/index".into(),
                stages: "/var/cache/rvmb/index/resolved".into(),
                archives: "/home/bob/.cache/rvmb/archives".into(),
            },
            packages: Packages {
                base: vec!["linux-image-cloud-amd64".into()],
                system: vec!["grub-cloud-amd64".into()],
                added: vec!["nginx".into()],
                added_exactly: vec!["nginx".into()],
                removed: vec![],
                debconf: vec![],
                variant: None,
                pattern: "?essential".into(),
                resolved: vec![package("libc6", 2_800_000), package("nginx", 500_000)],
                layers: Layers {
                    base: Layer { key: "0123456789abcdef0123".into(), cached: true },
                    initramfs: Layer { key: "1123456789abcdef0123".into(), cached: true },
                    system: Layer { key: "3123456789abcdef0123".into(), cached: true },
                    packages: Some(Layer { key: "2123456789abcdef0123".into(), cached: false }),
                },
            },
            guest: Guest {
                hostname: "web".into(),
                domain: "example.org".into(),
                locale: "C.UTF-8".into(),
                timezone: "UTC".into(),
                user: User {
                    name: "bob".into(),
                    full_name: "Bob".into(),
                    uid: Some(1001),
                    gid: None,
                    groups: vec!["adm".into(), "sudo".into()],
                    locked: false,
                    default_password: true,
                    keys: vec![],
                },
                root_keys: vec![],
                root_password: false,
                firstboot: Some(Script { path: "/home/bob/setup.sh".into(), sha256: String::new() }),
                firstlogin: None,
                kernel_options: "console=tty0 console=ttyS0,115200".into(),
            },
            disks: vec![Disk {
                image: "web-disk0.qcow2".into(),
                size: Size::mib(5228),
                table: Table::Gpt,
                guid: Uuid::nil(),
                partitions: vec![
                    partition(14, 1, 4, Content::BiosBoot, None),
                    partition(
                        15,
                        5,
                        106,
                        Content::Esp { volume_id: 1, label: "ESP".into() },
                        Some("/boot/efi"),
                    ),
                    partition(2, 111, 1024, Content::Swap { uuid: Uuid::nil(), label: "swap".into() }, None),
                    partition(1, 1135, 4092, ext4, Some("/")),
                ],
            }],
            host: HostUse {
                privilege: Privilege::UserNamespace { subuid: 100_000, subgid: 100_000, count: 65_536 },
                bootstrap: BootstrapTool { name: "mmdebstrap".into(), version: "1.3.5".into() },
                scratch: "/var/tmp".into(),
                cache: Some("/home/bob/.cache/rvmb".into()),
                overlay: true,
            },
            output: Output { directory: "/home/bob/debian-kvm".into(), overwrite: true },
        }
    }

    #[test]
    fn a_plan_reads_well() {
        insta::assert_snapshot!(render(&plan(), true, Style::new(false)));
    }

    #[test]
    fn packages_are_listed_for_those_who_ask() {
        assert!(!render(&plan(), false, Style::new(false)).contains("libc6"));
    }
}
