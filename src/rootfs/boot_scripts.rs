//! What the machine does by itself at its first boots: growing its file systems, making its own keys, and the
//! user's own scripts.

use crate::error::{Error, Result};
use crate::host::run::SEARCH_PATH;
use crate::host::template::fill;
use crate::host::tree::Root;
use crate::plan::{Plan, Secrets};

const GROW: &str = include_str!("guest/grow");
const GROW_UNIT: &str = include_str!("guest/rvmb-grow.service");
const HOST_SECRETS: &str = include_str!("guest/host-secrets");
const HOST_SECRETS_UNIT: &str = include_str!("guest/rvmb-host-secrets.service");
const SNAKEOIL_UNIT: &str = include_str!("guest/rvmb-snakeoil.service");
const FIRSTBOOT: &str = include_str!("guest/run-firstboot");
const FIRSTBOOT_UNIT: &str = include_str!("guest/rvmb-firstboot.service");
const FIRSTLOGIN_PROFILE: &str = include_str!("guest/rvmb-firstlogin.sh");

/// The program of the package ssl-cert.
const MAKE_SSL_CERT: &str = "/usr/sbin/make-ssl-cert";

/// Installs them.
pub(super) fn configure(plan: &Plan, secrets: &Secrets, root: &Root) -> Result<()> {
    let growing: Vec<&str> =
        plan.volumes().filter(|volume| volume.grows).filter_map(|volume| volume.mount).collect();
    if !growing.is_empty() {
        root.write("/usr/lib/rvmb/grow", 0o755, GROW)?;
        let text = fill(GROW_UNIT, &[("@MOUNTS@", growing.join(" "))]);
        unit(root, "rvmb-grow.service", &text, "sysinit.target")?;
    }
    root.write("/usr/lib/rvmb/host-secrets", 0o755, HOST_SECRETS)?;
    unit(root, "rvmb-host-secrets.service", HOST_SECRETS_UNIT, "multi-user.target")?;
    // Where the package comes later, it makes its own.
    if root.exists(MAKE_SSL_CERT)? {
        unit(root, "rvmb-snakeoil.service", SNAKEOIL_UNIT, "multi-user.target")?;
    }
    if let Some(script) = &secrets.firstboot {
        // Only root runs it, and only root needs to read what may be in it.
        root.write("/usr/lib/rvmb/firstboot", 0o700, script)?;
        root.write("/usr/lib/rvmb/run-firstboot", 0o755, FIRSTBOOT)?;
        unit(root, "rvmb-firstboot.service", FIRSTBOOT_UNIT, "multi-user.target")?;
    }
    if let Some(script) = &secrets.firstlogin {
        root.write("/usr/lib/rvmb/firstlogin", 0o755, script)?;
        root.write("/etc/profile.d/rvmb-firstlogin.sh", 0o644, FIRSTLOGIN_PROFILE)?;
    }
    Ok(())
}

/// Refuses scripts that the machine could not start. For the finished tree: what is copied into it, or made by a
/// program of the user's, may be what starts them.
pub(super) fn can_start(secrets: &Secrets, root: &Root) -> Result<()> {
    let scripts = [("--firstboot", &secrets.firstboot), ("--firstlogin", &secrets.firstlogin)];
    scripts
        .into_iter()
        .filter_map(|(option, script)| Some((option, script.as_deref()?)))
        .try_for_each(|(option, script)| has_interpreter(root, option, script))
}

fn has_interpreter(root: &Root, option: &str, script: &str) -> Result<()> {
    let Some(program) = interpreter(script) else { return Ok(()) };
    let places: Vec<String> = match program.starts_with('/') {
        true => vec![program.to_owned()],
        false => SEARCH_PATH.split(':').map(|directory| format!("{directory}/{program}")).collect(),
    };
    for place in places {
        if root.exists(place)? {
            return Ok(());
        }
    }
    Err(Error::config(format!("the script of {option} starts with `{program}`, which the machine has not"))
        .hint("Add the package that has it with --addpkg, or write the script for /bin/sh."))
}

/// The program that the first line of a script names (execve(2), "Interpreter scripts"), and for env(1)
/// the one that it looks for; none where the line names none.
fn interpreter(script: &str) -> Option<&str> {
    let mut words = script.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let program = words.next()?;
    if !program.ends_with("/env") {
        return Some(program);
    }
    words.find(|word| !word.starts_with('-') && !word.contains('='))
}

/// Writes a unit and enables it, as `systemctl enable` would.
fn unit(root: &Root, name: &str, content: &str, wanted_by: &str) -> Result<()> {
    let path = format!("/etc/systemd/system/{name}");
    root.write(&path, 0o644, content)?;
    enable(root, name, &path, wanted_by)
}

/// Links a unit into the ones that a target wants.
pub(super) fn enable(root: &Root, name: &str, path: &str, wanted_by: &str) -> Result<()> {
    let wants = format!("/etc/systemd/system/{wanted_by}.wants");
    root.create_directories(&wants)?;
    root.link(path, format!("{wants}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [(&str, &str); 4] = [
        (GROW_UNIT, "sysinit.target"),
        (HOST_SECRETS_UNIT, "multi-user.target"),
        (SNAKEOIL_UNIT, "multi-user.target"),
        (FIRSTBOOT_UNIT, "multi-user.target"),
    ];

    #[test]
    fn every_unit_is_wanted_by_what_it_says() {
        for (text, target) in UNITS {
            assert!(text.contains(&format!("WantedBy={target}\n")), "{text}");
        }
    }

    #[test]
    fn units_with_default_dependencies_come_before_no_socket() {
        for (text, _) in UNITS.iter().filter(|(text, _)| !text.contains("DefaultDependencies=no")) {
            let before = text.lines().filter_map(|line| line.strip_prefix("Before="));
            for name in before.flat_map(str::split_whitespace) {
                let early = name.ends_with(".socket") || ["sockets.target", "basic.target"].contains(&name);
                assert!(!early, "{name} comes before basic.target, which comes before every such unit");
            }
        }
    }

    #[test]
    fn the_certificate_is_made_where_its_package_is() {
        assert!(SNAKEOIL_UNIT.contains(&format!("ConditionPathExists={MAKE_SSL_CERT}\n")));
    }

    #[test]
    fn a_script_needs_its_interpreter() {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("usr/bin")).unwrap();
        std::fs::write(room.path().join("usr/bin/perl"), "").unwrap();
        let root = Root::open(room.path()).unwrap();
        for script in
            ["#!/usr/bin/perl -w\n", "#! /usr/bin/env perl\n", "#!/usr/bin/env -S A=1 perl\n", "#!\n", ""]
        {
            has_interpreter(&root, "--firstboot", script).unwrap();
        }
        for script in ["#!/usr/bin/python3\n", "#!/usr/bin/env python3\n", "#!/usr/bin/perl5"] {
            let error = has_interpreter(&root, "--firstboot", script).unwrap_err();
            assert!(error.message().contains("--firstboot"), "{error}");
            assert!(error.hints()[0].contains("--addpkg"), "{script}");
        }
    }

    #[test]
    fn what_grows_is_mounted_before() {
        for key in ["RequiresMountsFor=@MOUNTS@\n", "ExecStart=/usr/lib/rvmb/grow @MOUNTS@\n"] {
            assert!(GROW_UNIT.contains(key), "{key}");
        }
    }

    #[test]
    fn the_scripts_are_shell() {
        for script in [GROW, HOST_SECRETS, FIRSTBOOT] {
            assert!(script.starts_with("#!/bin/sh\n"));
        }
    }
}
