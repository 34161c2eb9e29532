//! The libvirt that gets the machine: its address, and what is asked of it before anything is built.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::request::Request;
use super::{Plan, Secrets};
use crate::appliance::Appliance;
use crate::boot::acceleration::{self, Acceleration, Wish};
use crate::error::{Error, Kind, Result, Subject};
use crate::event::Event;
use crate::host::run::{Runner, quote};
use crate::host::tools;
use crate::host::virsh::{Capability, Domain, VIRSH, Virsh, has_tpm};
use crate::hypervisor::libvirt::{DEFAULT_NETWORK, can_name};
use crate::hypervisor::{self, Hypervisor};
use crate::templates::{Context, Template};

/// libvirt's name of the only architecture whose machines are started.
const ARCHITECTURE: &str = "x86_64";

/// QEMU's program for it.
const QEMU: &str = "qemu-system-x86_64";

/// The libvirt of the whole host, and that of the user.
const PATHS: [&str; 2] = ["/system", "/session"];

/// The libvirt that gets the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Libvirt {
    /// Its address, such as `qemu:///system`.
    pub uri: String,
    /// What runs the machine.
    pub runs: Runs,
    /// Whether the interface gets the network that QEMU makes for a machine of its own: the user's libvirt
    /// mostly has no other.
    pub user_network: bool,
}

/// What runs a machine under libvirt: the type of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// The processor itself, through KVM.
    Kvm,
    /// QEMU's translation.
    Qemu,
}

impl Runs {
    /// libvirt's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Runs::Kvm => "kvm",
            Runs::Qemu => "qemu",
        }
    }
}

/// What can be said of --libvirt without asking it.
pub(super) fn check(appliance: &Appliance, hypervisor: &dyn Hypervisor) -> Vec<Error> {
    let Some(uri) = &appliance.libvirt else { return Vec::new() };
    let mut problems: Vec<Error> = address(uri).err().into_iter().collect();
    if hypervisor.libvirt().is_none() {
        let name = hypervisor.name();
        problems.push(
            Error::config(format!("libvirt does not start machines made for {name}"))
                .hint("Leave out --libvirt, or make the machine for kvm or qemu.")
                .about(Subject::setting("libvirt")),
        );
    }
    if appliance.tree.only {
        problems.push(
            Error::config("--only-chroot makes no disk that libvirt could start")
                .hint("Leave out --libvirt or --only-chroot."),
        );
    }
    problems
}

/// Checks an address: a libvirt of QEMU on this host, which alone can read the images that are made here.
fn address(uri: &str) -> Result<()> {
    let usual = "Write qemu:///system for the libvirt of this host, or qemu:///session for your own.";
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Err(Error::config(format!("--libvirt {uri} is not an address of a libvirt")).hint(usual));
    };
    let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, "unix"));
    if driver != "qemu" {
        return Err(Error::config(format!("--libvirt {uri} is not a libvirt of QEMU")).hint(usual));
    }
    let place = rest.split_once('?').map_or(rest, |(place, _)| place);
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    if !host.is_empty() || transport != "unix" {
        let error =
            format!("--libvirt {uri} is on another machine, which cannot read the images of this one");
        return Err(Error::config(error).hint(
            "Build there, or without --libvirt: copy the results to the same place there, and define the machine with `virsh define`.",
        ));
    }
    if !PATHS.contains(&path) {
        return Err(Error::config(format!("--libvirt {uri} names no libvirt of QEMU")).hint(usual));
    }
    Ok(())
}

/// Asks the libvirt that the user named whether it will take the machine; none where none was named.
/// Every problem goes to `note`.
pub(super) fn look(
    appliance: &Appliance,
    request: &Request<'_>,
    destination: Option<&Path>,
    runner: &Runner,
    note: &mut impl FnMut(Error),
) -> Option<Libvirt> {
    let uri = appliance.libvirt.as_deref()?;
    if tools::find(VIRSH).is_none() {
        note(tools::missing(VIRSH));
        return None;
    }
    let virsh = Virsh::new(runner, uri);
    let capabilities = match virsh.capabilities() {
        Ok(capabilities) => capabilities,
        Err(error) => {
            note(unreachable(error, uri));
            return None;
        }
    };
    let mut check = |result: Result<()>| result.err().into_iter().for_each(&mut *note);
    if let Some(destination) = destination {
        check(is_in_reach(destination, uri, runner));
    }
    let name = &request.guest.hostname;
    check(name_is_free(&virsh, name, appliance.places.overwrite));
    let user_network = match user_network(&virsh, appliance, uri, runner) {
        Ok(answer) => answer,
        Err(error) => {
            check(Err(error));
            false
        }
    };
    let runs = runs(request.hypervisor.libvirt()?, &capabilities, uri, runner).map_err(note).ok()?;
    Some(Libvirt { uri: uri.to_owned(), runs, user_network })
}

fn unreachable(error: Error, uri: &str) -> Error {
    let error = error.of(Kind::Host).within(format!("asking the libvirt at {uri}"));
    if uri.ends_with("/session") {
        return error.hint(
            "The user's libvirt starts by itself where it is installed: `sudo apt-get install libvirt-daemon`.",
        );
    }
    let error = error.hint("Install and start it with `sudo apt-get install libvirt-daemon-system`.");
    if rustix::process::geteuid().is_root() {
        return error;
    }
    error.hint("Only members of the group libvirt reach it: `sudo adduser $USER libvirt`, then log in anew; or name qemu:///session, your own.")
}

/// Whether libvirt's description can hold the path of the results; and a word where the QEMU of the host's
/// libvirt, which runs as a user of its own, will not get there.
fn is_in_reach(destination: &Path, uri: &str, runner: &Runner) -> Result<()> {
    if !can_name(destination) {
        let error = format!("the destination {} cannot be named in XML", destination.display());
        return Err(Error::config(error).hint("Name one without control characters with --destdir."));
    }
    let closed = closed_to_others(destination);
    if let (true, Some(closed)) = (uri.contains("/system"), closed) {
        let text = format!(
            "{} is closed to other users: libvirt's QEMU may not reach the image in it; another place is \
             named with --destdir, such as one in /var/lib/libvirt/images",
            closed.display()
        );
        runner.sink().emit(Event::Warning { text });
    }
    Ok(())
}

/// The outermost directory above `path` that only its owner and group may pass through; none where there is
/// no such directory.
fn closed_to_others(path: &Path) -> Option<&Path> {
    let is_closed = |place: &&Path| {
        place.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o001 == 0)
    };
    path.ancestors().skip(1).filter(is_closed).last()
}

/// Whether a machine of that name may be defined.
fn name_is_free(virsh: &Virsh<'_>, name: &str, overwrite: bool) -> Result<()> {
    may_be_replaced(virsh, name, overwrite).map(drop)
}

/// The machine that libvirt knows by the name; an error where it may not be replaced.
pub(crate) fn may_be_replaced(virsh: &Virsh<'_>, name: &str, overwrite: bool) -> Result<Option<Domain>> {
    let Some(domain) = asked(virsh.domain(name))? else { return Ok(None) };
    speaks_nothing_against(name, &domain, asked(virsh.snapshots(&domain))?, overwrite)?;
    if has_tpm(&asked(virsh.describe(&domain))?) && !asked(virsh.keeps_tpm())? {
        let error = format!("libvirt's machine {name} has a TPM, which this virsh would empty");
        return Err(Error::config(error).hint(format!(
            "If what it holds is of no use without the old disk, take the machine away with `virsh undefine --keep-nvram {name}`."
        )));
    }
    Ok(Some(domain))
}

/// Whether a machine in that state may be replaced.
fn speaks_nothing_against(name: &str, domain: &Domain, snapshots: usize, overwrite: bool) -> Result<()> {
    if !overwrite {
        return Err(Error::config(format!("libvirt knows a machine {name} already"))
            .hint("Replace it with --overwrite, or name another with --hostname."));
    }
    if !domain.is_off() {
        let state = &domain.state;
        return Err(Error::config(format!("libvirt's machine {name} is not off but {state}"))
            .hint(format!("Switch it off with `virsh shutdown {name}`; what runs is never replaced.")));
    }
    if domain.saved {
        return Err(Error::config(format!("libvirt's machine {name} sleeps, and is to go on from there"))
            .hint(format!(
                "Forget that with `virsh managedsave-remove {name}`, or start it and switch it off."
            )));
    }
    if snapshots > 0 {
        return Err(Error::config(format!("libvirt's machine {name} has {snapshots} snapshots")).hint(
            format!("Remove them with `virsh snapshot-delete {name} SNAPSHOT`: they belong to its old disk."),
        ));
    }
    Ok(())
}

/// Whether the description for libvirt is that of the planned machine and of no other. Before the build, as every other
/// question; asked again before anything is put in its place.
pub(super) fn is_nobody_elses(plan: &Plan, secrets: &Secrets, runner: &Runner) -> Result<()> {
    let Some(libvirt) = &plan.output.libvirt else { return Ok(()) };
    let name = &plan.guest.hostname;
    let file_name = hypervisor::libvirt::file_name(name);
    let file = hypervisor::launch_files(plan)?.into_iter().find(|file| file.name == file_name);
    let Some(file) = file else { return Ok(()) };
    let own = match Template::of_launch_file(&file.name) {
        Some(template) => secrets.templates.render(template, &Context::of(plan), &file.content)?,
        None => None,
    };
    let virsh = Virsh::new(runner, &libvirt.uri);
    describes(&own.unwrap_or(file.content), name, |uuid| asked(virsh.name_of(uuid)))
}

/// Whether a description is that of the machine `name` and of no other: a template may say what it likes, and a
/// machine that the same plan has made may have got another name.
/// `name_of` tells which machine libvirt knows by a UUID.
pub(crate) fn describes(
    text: &str,
    name: &str,
    name_of: impl Fn(&str) -> Result<Option<String>>,
) -> Result<()> {
    let wrong = |what: String| Error::config(format!("the description for libvirt {what}"));
    let write_name = "In the template libvirt/libvirtxml write {{ hostname }} as the name.";
    match element(text, "name") {
        Some(found) if found == name => {}
        Some(found) => return Err(wrong(format!("is of {found}, and not of {name}")).hint(write_name)),
        None => return Err(wrong("has no name".to_owned()).hint(write_name)),
    }
    let Some(uuid) = element(text, "uuid") else { return Ok(()) };
    match name_of(uuid)? {
        Some(other) if other != name => Err(wrong(format!("has the UUID of {other}")).hint(format!(
            "In the template libvirt/libvirtxml write no <uuid>; without one, {other} is this machine under another \
             name: give the new one another --hostname, or call the old one {name} again with `virsh domrename`."
        ))),
        _ => Ok(()),
    }
}

/// What the first element of that name holds.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content.trim())
}

/// Whether the interface gets a network of the machine's own; an error where what it is to be connected to
/// is not there.
fn user_network(virsh: &Virsh<'_>, appliance: &Appliance, uri: &str, runner: &Runner) -> Result<bool> {
    if let Some(bridge) = &appliance.network.bridge {
        return is_bridge(Path::new("/sys/class/net"), bridge).map(|()| false);
    }
    let named = appliance.network.libvirt_network.as_deref();
    let name = named.unwrap_or(DEFAULT_NETWORK);
    match asked(virsh.network(name))? {
        Some(true) => Ok(false),
        Some(false) => {
            let text = format!(
                "libvirt's network {name} is not started: before the machine starts, say `virsh -c {} net-start {}`",
                quote(uri),
                quote(name)
            );
            runner.sink().emit(Event::Warning { text });
            Ok(false)
        }
        None if named.is_none() && uri.contains("/session") => {
            let text = "the user's libvirt has no network: the machine gets one of its own from QEMU".to_owned();
            runner.sink().emit(Event::Info { text });
            Ok(true)
        }
        None => Err(Error::config(format!("libvirt has no network {name}"))
            .hint(format!("`virsh -c {} net-list --all` shows those that there are; name one with --network, or a bridge with --bridge.", quote(uri)))),
    }
}

/// Whether the host has a bridge of that name among the interfaces in `directory` (sysfs, class/net).
fn is_bridge(directory: &Path, name: &str) -> Result<()> {
    if directory.join(name).join("bridge").is_dir() {
        return Ok(());
    }
    let what = if directory.join(name).exists() { "is not a bridge" } else { "is not there" };
    Err(Error::config(format!("the bridge {name} {what}"))
        .hint("Make it with `ip link add NAME type bridge`, or name a network of libvirt's with --network."))
}

/// What runs the machine: KVM where it is wished, offered, and really works.
fn runs(wish: Runs, capabilities: &[Capability], uri: &str, runner: &Runner) -> Result<Runs> {
    let runs = offered(wish, capabilities).ok_or_else(|| {
        Error::host(format!("the libvirt at {uri} offers no machines of {ARCHITECTURE}"))
            .hint("Install QEMU for it with `sudo apt-get install qemu-system-x86`, and start libvirt anew.")
    })?;
    let without = match (runs, wish) {
        (Runs::Qemu, Runs::Kvm) => format!("the libvirt at {uri} offers no KVM"),
        (Runs::Kvm, _) if can_probe_kvm() && !kvm_works(runner)? => {
            "KVM runs no code on this host".to_owned()
        }
        _ => return Ok(runs),
    };
    runner.sink().emit(Event::Warning { text: format!("{without}: the machine is defined without it") });
    Ok(Runs::Qemu)
}

/// Whether this user can find out if KVM works. libvirt's QEMU may be let to it where the user is not.
fn can_probe_kvm() -> bool {
    let opened = std::fs::File::options().read(true).write(true).open("/dev/kvm");
    opened.is_ok() && tools::find(QEMU).is_some()
}

fn kvm_works(runner: &Runner) -> Result<bool> {
    Ok(acceleration::choose(Wish::Auto, QEMU, runner)? == Acceleration::Kvm)
}

/// The best that libvirt offers of what is wished; none where it has no machines of the architecture.
fn offered(wish: Runs, capabilities: &[Capability]) -> Option<Runs> {
    let offers = |runs: Runs| {
        capabilities.iter().any(|guest| {
            guest.full
                && guest.architecture == ARCHITECTURE
                && guest.types.iter().any(|name| name == runs.name())
        })
    };
    [wish, Runs::Qemu].into_iter().find(|runs| offers(*runs))
}

/// A question that failed is this host's fault.
fn asked<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| error.of(Kind::Host).within("asking libvirt"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Sink;
    use crate::testing::Heard;

    #[test]
    fn only_a_libvirt_of_qemu_on_this_host_will_do() {
        for uri in
            ["qemu:///system", "qemu:///session", "qemu+unix:///system", "qemu:///system?socket=/run/x"]
        {
            assert!(address(uri).is_ok(), "{uri}");
        }
        let table = [
            ("", "is not an address"),
            ("system", "is not an address"),
            ("/var/run/libvirt/libvirt-sock", "is not an address"),
            ("xen:///system", "is not a libvirt of QEMU"),
            ("test:///default", "is not a libvirt of QEMU"),
            ("lxc:///", "is not a libvirt of QEMU"),
            ("kvm:///system", "is not a libvirt of QEMU"),
            ("qemu+ssh://bob@host/system", "is on another machine"),
            ("qemu://host/system", "is on another machine"),
            ("qemu+tcp:///system", "is on another machine"),
            ("qemu:///", "names no libvirt"),
            ("qemu://", "names no libvirt"),
            ("qemu:///sytem", "names no libvirt"),
            ("qemu:///embed?root=/tmp/x", "names no libvirt"),
        ];
        for (uri, expected) in table {
            let error = address(uri).unwrap_err();
            assert!(error.message().contains(expected), "{uri}: {error}");
            assert!(error.kind() == Kind::Config && error.hints().len() == 1, "{uri}: {error:?}");
        }
    }

    #[test]
    fn a_machine_that_is_there_is_replaced_only_on_demand_and_while_it_is_off() {
        let off = Domain { state: "shut off".into(), ..Domain::default() };
        let running = Domain { state: "running".into(), ..Domain::default() };
        let saved = Domain { saved: true, ..off.clone() };
        assert!(speaks_nothing_against("vm", &off, 0, true).is_ok());
        let table = [
            (&off, 0, false, "knows a machine vm already"),
            (&running, 0, false, "knows a machine vm already"),
            (&running, 0, true, "not off but running"),
            (&saved, 0, true, "sleeps"),
            (&off, 2, true, "2 snapshots"),
        ];
        for (domain, snapshots, overwrite, expected) in table {
            let error = speaks_nothing_against("vm", domain, snapshots, overwrite).unwrap_err();
            assert!(error.message().contains(expected) && error.hints().len() == 1, "{error:?}");
        }
    }

    #[test]
    fn a_description_is_of_its_own_machine() {
        let name_of = |uuid: &str| Ok((uuid == "1-2").then(|| "old".to_owned()));
        for good in ["<domain>\n<name>web</name>", "<name> web </name><uuid>3-4</uuid>"] {
            describes(good, "web", name_of).unwrap();
        }
        for (bad, says) in [
            ("<name>other</name>", "is of other"),
            ("<domain/>", "has no name"),
            ("<name>web", "has no name"),
            ("<name>web</name><uuid>1-2</uuid>", "the UUID of old"),
        ] {
            let error = describes(bad, "web", name_of).unwrap_err();
            assert!(error.message().contains(says) && !error.hints().is_empty(), "{bad}: {error}");
        }
    }

    #[test]
    fn a_tpm_is_not_emptied_behind_its_owners_back() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("virsh");
        let search = format!("{}:{}", room.path().display(), crate::host::run::SEARCH_PATH);
        let runner = Runner::new(Arc::new(crate::event::Silent)).with_env("PATH", search);
        let virsh = Virsh::new(&runner, "qemu:///session");
        for (device, help, may) in [("disk", "", true), ("tpm", "[--keep-tpm]", true), ("tpm", "", false)] {
            let script = format!(
                "#!/bin/sh\ncase \" $* \" in\n*' list '*) echo '1-2 vm';;\n*' dominfo '*) printf 'UUID: 1-2\\nState: shut off\\n';;\n\
                 *' dumpxml '*) echo \"<{device} model='x'/>\";;\n*' help '*) echo 'undefine {help}';;\nesac\n"
            );
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let answer = may_be_replaced(&virsh, "vm", true);
            assert_eq!(answer.is_ok(), may, "{answer:?}");
        }
    }

    #[test]
    fn what_is_offered_decides_what_runs_the_machine() {
        let capability = |architecture: &str, full, types: &[&str]| Capability {
            architecture: architecture.into(),
            full,
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        };
        let both = [capability("i686", true, &["qemu"]), capability("x86_64", true, &["qemu", "kvm"])];
        assert_eq!(offered(Runs::Kvm, &both), Some(Runs::Kvm));
        assert_eq!(offered(Runs::Qemu, &both), Some(Runs::Qemu));
        assert_eq!(offered(Runs::Kvm, &[capability("x86_64", true, &["qemu"])]), Some(Runs::Qemu));
        assert_eq!(offered(Runs::Kvm, &[capability("aarch64", true, &["kvm"])]), None);
        assert_eq!(offered(Runs::Kvm, &[capability("x86_64", false, &["kvm"])]), None);
    }

    #[test]
    fn a_bridge_is_told_from_other_interfaces() {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("br0/bridge")).unwrap();
        std::fs::create_dir_all(room.path().join("eth0")).unwrap();
        assert!(is_bridge(room.path(), "br0").is_ok());
        assert!(is_bridge(room.path(), "eth0").unwrap_err().message().ends_with("is not a bridge"));
        assert!(is_bridge(room.path(), "br1").unwrap_err().message().ends_with("is not there"));
    }

    #[test]
    fn a_place_that_libvirts_qemu_cannot_reach_is_warned_of() {
        let room = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let runner = Runner::new(Arc::clone(&heard) as Arc<dyn Sink>);
        std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let place = room.path().join("below/out");
        is_in_reach(&place, "qemu:///session", &runner).unwrap();
        assert!(heard.events().is_empty());
        is_in_reach(&place, "qemu:///system", &runner).unwrap();
        assert_eq!(heard.events().len(), 1);
        assert!(is_in_reach(Path::new("/srv/\u{1}"), "qemu:///session", &runner).is_err());
    }
}
