//! libvirt: the machine is defined, by the description that lies beside its image.
//!
//! The images are in their place before. Where the definition fails they stay there, and a definition that
//! was to be replaced is put back, so that libvirt knows one machine of the name or the other at any time
//! but for a moment.

use std::path::Path;

use crate::error::{Context, Kind, Result};
use crate::event::Event;
use crate::host::run::{Runner, quote};
use crate::host::virsh::{Domain, Virsh, has_tpm};
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
    plan::describes(&text, &plan.guest.hostname, |uuid| virsh.name_of(uuid))
        .and_then(|()| known(&virsh, plan).map(drop))
        .map_err(|error| error.of(Kind::Delivery))
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
    plan::may_be_replaced(virsh, &plan.guest.hostname, plan.output.overwrite)
}

/// Replaces a definition by what `define` makes, or puts it back.
fn replace(virsh: &Virsh<'_>, old: &Domain, define: impl FnOnce() -> Result<()>) -> Result<()> {
    let description = virsh.describe(old)?;
    virsh.undefine(old, has_tpm(&description))?;
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
    use crate::error::Error;
    use crate::event::Silent;

    #[test]
    fn what_failed_to_be_replaced_is_put_back() {
        let table =
            [("<old/>", "--keep-nvram"), ("<old><tpm model=\"x\"/></old>", "--keep-nvram --keep-tpm")];
        for (description, keeps) in table {
            is_put_back(description, keeps);
        }
    }

    fn is_put_back(description: &str, keeps: &str) {
        // A virsh that notes its words, and what it is given.
        let room = tempfile::tempdir().unwrap();
        let noted = room.path().join("noted");
        let virsh = room.path().join("virsh");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{0}\ncase \" $* \" in *' dumpxml '*) echo '{description}';; *' define '*) cat >>{0};; esac\n",
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
            &format!("undefine {keeps} 1-2"),
            "define --file /dev/stdin",
            description,
            "autostart 1-2",
        ];
        let noted = std::fs::read_to_string(noted).unwrap();
        let said: Vec<&str> =
            noted.lines().map(|line| line.trim_start_matches("--quiet --connect qemu:///session ")).collect();
        assert_eq!(said, expected);
    }
}
