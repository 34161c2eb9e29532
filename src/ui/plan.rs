//! A plan as a person reads it.
//!
//! One paragraph per subject, each a function; labels stand in a column. With `--verbose` every package
//! that would be installed is listed.

use std::fmt::Write as _;

use super::style::{Style, Tone, printable};
use crate::disk::layout::FileSystem;
use crate::plan::{
    Addressing, Archive, Connection, Content, Copied, Customising, ExistingTree, Guest, GuestNetwork, Layer,
    Nic, Packages, Placement, Plan, Privilege, Table, Volume, bootstrap_tool, mirror_origin,
};
use crate::units::Size;

/// Columns of a label.
const LABEL: usize = 16;

/// The whole plan.
pub fn render(plan: &Plan, every_package: bool, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    system(&mut page, plan);
    match &plan.tree.existing {
        Some(existing) => tree_there(&mut page, existing),
        None => {
            archive(&mut page, &plan.archive);
            packages(&mut page, &plan.packages);
        }
    }
    guest(&mut page, &plan.guest, plan.tree.existing.is_some());
    network(&mut page, &plan.guest.network, &plan.target.nic);
    customising(&mut page, &plan.customising);
    disks(&mut page, plan);
    host(&mut page, plan);
    output(&mut page, plan);
    if every_package && !plan.packages.resolved.is_empty() {
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
    let mut for_guest: Vec<&str> =
        archive.sources.iter().filter_map(|source| source.guest_uri.as_deref()).collect();
    for_guest.dedup();
    for (number, address) in for_guest.into_iter().enumerate() {
        page.line(if number == 0 { "In the machine" } else { "" }, address);
    }
    for ppa in archive.sources.iter().filter_map(|source| source.ppa.as_ref()) {
        page.line("PPA", &format!("{}/{}, signed by {}", ppa.owner, ppa.name, ppa.fingerprint));
    }
    page.line("Components", &archive.components.join(" "));
    page.line("Mirror from", mirror_origin(&archive.mirror_origin));
    page.line("Keyring", &archive.keyring.display().to_string());
    page.some("Proxy", archive.proxy.as_deref());
    for (number, medium) in archive.media.iter().enumerate() {
        page.line(if number == 0 { "Packages from" } else { "" }, &medium.path.display().to_string());
    }
}

fn packages(page: &mut Page, packages: &Packages) {
    let count = packages.resolved.len();
    page.heading("Packages");
    page.line("Added", &list(&packages.added));
    if !packages.removed.is_empty() {
        page.line("Removed", &list(&packages.removed));
    }
    if packages.recommends {
        page.line("Recommended", "what the added packages recommend, too");
    }
    if let Some(seeds) = &packages.seeds {
        let before = seeds.before.name();
        page.line("Seed file", &format!("{}, before the layer {before}", seeds.file.path.display()));
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
    let Some(layers) = &packages.layers else { return };
    page.line("Layers", &layer("base", &layers.base));
    page.line("", &layer("initramfs", &layers.initramfs));
    page.line("", &layer("system", &layers.system));
    if let Some(added) = &layers.packages {
        page.line("", &layer("packages", added));
    }
}

fn layer(name: &str, layer: &Layer) -> String {
    let key: String = layer.key.chars().take(12).collect();
    let state = if layer.cached { "in the cache" } else { "to be made" };
    format!("{name:10} {key:12} {state}")
}

fn guest(page: &mut Page, guest: &Guest, as_the_tree_is: bool) {
    page.heading("Machine");
    page.line("Host name", &format!("{}.{}", guest.hostname, guest.domain));
    if !as_the_tree_is {
        users(page, guest);
    }
    for (label, script) in [("First boot", &guest.firstboot), ("First login", &guest.firstlogin)] {
        let path = script.as_ref().map(|script| script.path.display().to_string());
        page.line(label, path.as_deref().unwrap_or("no script"));
    }
    page.line("Kernel options", &guest.kernel_options);
}

fn users(page: &mut Page, guest: &Guest) {
    let user = &guest.user;
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
}

fn network(page: &mut Page, network: &GuestNetwork, nic: &Nic) {
    page.heading("Network");
    match &network.addressing {
        Addressing::Dhcp => page.line("Addresses", "from DHCP"),
        Addressing::Static(fixed) => {
            page.line("Addresses", &list(&texts(&fixed.addresses)));
            let which = if fixed.mac.is_some() { "the one with the MAC address" } else { "the first one" };
            page.line("Interface", which);
            let gateways: Vec<String> =
                fixed.gateways.iter().map(|gateway| gateway.address.to_string()).collect();
            page.line("Gateway", &list(&gateways));
        }
    }
    if !network.name_servers.is_empty() {
        page.line("Name servers", &list(&texts(&network.name_servers)));
    }
    page.some("Search domain", network.search.as_deref());
    page.line("MAC address", &nic.mac.to_string());
    let connection = match &nic.connection {
        Connection::Bridge(name) => format!("bridge {name}"),
        Connection::LibvirtNetwork(name) => format!("network {name}"),
    };
    page.line("Under libvirt", &connection);
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn customising(page: &mut Page, customising: &Customising) {
    if *customising == Customising::default() {
        return;
    }
    page.heading("Customising");
    for (number, copied) in customising.copied.iter().enumerate() {
        page.line(if number == 0 { "Copied" } else { "" }, &self::copied(copied));
    }
    for template in &customising.templates {
        page.line("Template", &format!("{} from {}", template.name, template.path.display()));
    }
    let program = customising.exec.as_ref().map(|exec| exec.path.display().to_string());
    page.some("Program", program.as_deref());
}

fn copied(copied: &Copied) -> String {
    let place = match copied.placement {
        Placement::Named => copied.destination.clone(),
        Placement::Into | Placement::Contents => format!("{}/", copied.destination.trim_end_matches('/')),
    };
    let mut text = format!("{} to {place}", copied.source.display());
    if copied.placement == Placement::Contents {
        text = format!("what is in {text}");
    }
    if copied.files != 1 {
        text += &format!(", {} files", copied.files);
    }
    text += &format!(", {}", copied.size);
    if let Some(mode) = copied.mode {
        text += &format!(", mode {mode:04o}");
    }
    if let Some(owner) = &copied.owner {
        text += &format!(", owner {owner}");
    }
    text
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

fn tree_there(page: &mut Page, tree: &ExistingTree) {
    page.heading("Tree");
    page.line("Directory", &format!("{}, not written to", tree.path.display()));
    page.line("Size", &tree.size.to_string());
    page.line("Kept", "packages, users, locale, time zone and sources of packages");
}

fn host(page: &mut Page, plan: &Plan) {
    let Plan { host, tree, .. } = plan;
    page.heading("This host");
    let privilege = match &host.privilege {
        Privilege::Root => "root".to_owned(),
        Privilege::UserNamespace { subuid, subgid, count } => {
            format!("user namespace with {count} subordinate ids, users from {subuid}, groups from {subgid}")
        }
    };
    page.line("Privilege", &privilege);
    if host.bootstrap.is_some() {
        page.line("Bootstrap", &bootstrap_tool(plan));
    }
    page.line("Scratch", &host.scratch.display().to_string());
    let directory = tree.directory.as_ref().map(|path| path.display().to_string());
    page.some("Tree in", directory.as_deref());
    let memory = tree.memory.map(|size| format!("memory, {size}; layers that are made are not kept"));
    page.some("Tree in", memory.as_deref());
    let cache = host.cache.as_ref().map(|path| path.display().to_string());
    page.line("Cache", cache.as_deref().unwrap_or("not used"));
}

fn output(page: &mut Page, plan: &Plan) {
    let output = &plan.output;
    page.heading("Output");
    let list = output.package_list.as_ref().map(|path| path.display().to_string());
    if plan.tree.only {
        page.line("Tree", &output.directory.display().to_string());
        return page.some("Package list", list.as_deref());
    }
    let replaced = if output.overwrite { ", replaced if it exists" } else { "" };
    page.line("Directory", &format!("{}{replaced}", output.directory.display()));
    if let Some(libvirt) = &output.libvirt {
        let network = if libvirt.user_network { ", with a network of its own" } else { "" };
        page.line("libvirt", &format!("{}, runs by {}{network}", libvirt.uri, libvirt.runs.name()));
    }
    for (number, disk) in plan.images().enumerate() {
        page.line(if number == 0 { "Image" } else { "" }, &disk.image);
    }
    page.some("Package list", list.as_deref());
    for (number, raw) in output.raws.iter().enumerate() {
        let what = if raw.is_device { "block device" } else { "file" };
        page.line("Written onto", &format!("{} ({what}), as disk {number}", raw.path.display()));
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
mod tests;
