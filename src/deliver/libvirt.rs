//! libvirt: the machine is defined, by the description that lies beside its image.
//!
//! The images are in their place before. Where the definition fails they stay there, and a definition that
//! was to be replaced is put back, so that libvirt knows one machine of the name or the other at any time
//! but for a moment.

use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;
use crate::host::run::{Runner, quote};
use crate::host::virsh::{Domain, Virsh};
use crate::hypervisor;
use crate::plan::{self, Plan};

/// Whether libvirt may be told of the machine whose description is in `partial`. Before anything is put in its
/// place: the disks of a machine that runs are not to be taken away, and no other machine's definition.
///
/// # Errors
///
/// [`Kind::Delivery`] where it may not; nothing was changed.
pub fn check(plan: &Plan, partial: &Path, runner: &Runner) -> Result<()> {
    let Some(libvirt) = &plan.output.libvirt else { return Ok(()) };
    let file = partial.join(hypervisor::libvirt::file_name(&plan.guest.hostname));
    let text =
        std::fs::read_to_string(&file).context(Kind::Delivery, || format!("reading {}", file.display()))?;
    let virsh = Virsh::new(runner, &libvirt.uri);
    describes(&text, &plan.guest.hostname, |uuid| virsh.name_of(uuid))
        .and_then(|()| known(&virsh, plan).map(drop))
        .map_err(|error| error.of(Kind::Delivery))
}

/// Whether a description is that of the machine `name` and of no other: a template may say what it likes.
/// `name_of` tells which machine libvirt knows by a UUID.
fn describes(text: &str, name: &str, name_of: impl Fn(&str) -> Result<Option<String>>) -> Result<()> {
    let wrong = |what: String| {
        Error::build(format!("the description for libvirt {what}"))
            .hint("In the template libvirt/libvirtxml write {{ hostname }} as the name, and no <uuid>.")
    };
    match element(text, "name") {
        Some(found) if found == name => {}
        Some(found) => return Err(wrong(format!("is of {found}, and not of {name}"))),
        None => return Err(wrong("has no name".to_owned())),
    }
    let Some(uuid) = element(text, "uuid") else { return Ok(()) };
    match name_of(uuid)? {
        Some(other) if other != name => Err(wrong(format!("has the UUID of {other}"))),
        _ => Ok(()),
    }
}

/// What the first element of that name holds.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content.trim())
}

/// Defines the machine of `plan`, if a libvirt was named. The images and the description are in their place.
///
/// # Errors
///
/// [`Kind::Delivery`], with the command that does by hand what failed; libvirt knows what it knew before.
pub fn define(plan: &Plan, runner: &Runner) -> Result<()> {
    let Some(libvirt) = &plan.output.libvirt else { return Ok(()) };
    let (name, uri) = (&plan.guest.hostname, &libvirt.uri);
    let file = plan.output.directory.join(hypervisor::libvirt::file_name(name));
    let virsh = Virsh::new(runner, uri);
    let defined = known(&virsh, plan).and_then(|old| match old {
        None => virsh.define(&file),
        Some(old) => {
            replace(&virsh, &old, || virsh.define(&file)).and_then(|()| keep_autostart(&virsh, &old, name))
        }
    });
    defined.map_err(|error| {
        let file = file.display();
        error
            .of(Kind::Delivery)
            .within(format!("defining {name} at {uri}; the images are made, and stay"))
            .hint(format!(
                "Define it by hand with `virsh -c {} define {}`.",
                quote(uri),
                quote(&file.to_string())
            ))
    })?;
    let address = quote(uri);
    let text = format!("libvirt knows {name} now: start it with `virsh -c {address} start {name} --console`");
    runner.sink().emit(Event::Info { text });
    Ok(())
}

/// The machine that libvirt knows by the name, where it may be replaced.
fn known(virsh: &Virsh<'_>, plan: &Plan) -> Result<Option<Domain>> {
    let name = &plan.guest.hostname;
    let Some(domain) = virsh.domain(name)? else { return Ok(None) };
    plan::may_be_replaced(name, &domain, virsh.snapshots(&domain)?, plan.output.overwrite)?;
    Ok(Some(domain))
}

/// Replaces a definition by what `define` makes, or puts it back.
fn replace(virsh: &Virsh<'_>, old: &Domain, define: impl FnOnce() -> Result<()>) -> Result<()> {
    let description = virsh.describe(old)?;
    virsh.undefine(old)?;
    let Err(error) = define() else { return Ok(()) };
    let put_back = virsh.define_text(description).and_then(|()| match old.autostart {
        true => virsh.start_with_host(&old.uuid),
        false => Ok(()),
    });
    Err(match put_back {
        Ok(()) => error,
        Err(second) => error.within(format!("libvirt's old definition is lost, too: {second}")),
    })
}

/// Lets the new machine of that name start with its host where the old one did.
fn keep_autostart(virsh: &Virsh<'_>, old: &Domain, name: &str) -> Result<()> {
    match virsh.domain(name)? {
        Some(new) if old.autostart => virsh.start_with_host(&new.uuid),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::event::Silent;

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
    fn what_failed_to_be_replaced_is_put_back() {
        // A virsh that notes its words, and what it is given.
        let room = tempfile::tempdir().unwrap();
        let noted = room.path().join("noted");
        let virsh = room.path().join("virsh");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{0}\ncase \" $* \" in *' dumpxml '*) echo '<old/>';; *' define '*) cat >>{0};; esac\n",
            noted.display()
        );
        std::fs::write(&virsh, script).unwrap();
        std::fs::set_permissions(&virsh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!("{}:{}", room.path().display(), crate::host::run::SEARCH_PATH);
        let runner = Runner::new(Arc::new(Silent)).with_env("PATH", search);
        let virsh = Virsh::new(&runner, "qemu:///session");
        let old = Domain { uuid: "1-2".into(), state: "shut off".into(), autostart: true, saved: false };
        let error = replace(&virsh, &old, || Err(Error::build("no"))).unwrap_err();
        assert_eq!(error.message(), "no");
        let expected = [
            "dumpxml --inactive --security-info 1-2",
            "undefine --keep-nvram 1-2",
            "define --file /dev/stdin",
            "<old/>",
            "autostart 1-2",
        ];
        let noted = std::fs::read_to_string(noted).unwrap();
        let said: Vec<&str> =
            noted.lines().map(|line| line.trim_start_matches("--quiet --connect qemu:///session ")).collect();
        assert_eq!(said, expected);
    }
}
