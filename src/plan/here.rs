//! What of this host a build uses: rights, tools, keyring, cache, places. All problems are told at once.

use std::path::{Path, PathBuf};

use super::archive::{self, Mirrors};
use super::request::Request;
use super::{BootstrapTool, Privilege};
use crate::appliance::Appliance;
use crate::cache::Cache;
use crate::error::{Context, Error, Kind, Result};
use crate::host::run::Runner;
use crate::host::{apt, identity, scratch, tools};
use crate::manifest;
use crate::suite::Suite;

/// What this host has and gives.
pub(super) struct Host {
    pub privilege: Privilege,
    pub bootstrap: BootstrapTool,
    pub keyring: PathBuf,
    pub cache: Cache,
    pub scratch: PathBuf,
    pub destination: PathBuf,
    pub apt_options: Vec<String>,
    pub mirrors: Mirrors,
    pub overlay: bool,
}

impl Host {
    pub(super) fn look(appliance: &Appliance, request: &Request<'_>, runner: &Runner) -> Result<Host> {
        let mut problems = Vec::new();
        let mut note = |error: Error| problems.push(error);
        let privilege = identity::privilege().map_err(&mut note).ok();
        for program in needed_tools(privilege.as_ref()) {
            if tools::find(program).is_none() {
                note(tools::missing(program));
            }
        }
        if request.suite.bootstrap.zstd_packages && !tools::dpkg_reads_zstd(runner)? {
            note(old_dpkg(request.suite));
        }
        let tool = choose_bootstrap(appliance.bootstrap.as_deref()).map_err(&mut note).ok();
        let keyring = find_keyring(appliance.keyring.as_deref(), request.suite).map_err(&mut note).ok();
        let destination = destination(appliance, request).map_err(&mut note).ok();
        let scratch = scratch::directory(appliance.places.scratch.as_deref()).map_err(&mut note).ok();
        Error::all(problems)?;
        let (Some(privilege), Some(tool), Some(keyring), Some(destination), Some(scratch)) =
            (privilege, tool, keyring, destination, scratch)
        else {
            return Err(Error::host("this host was not understood"));
        };

        let cache = Cache::open(appliance.places.cache.as_deref(), appliance.places.no_cache, &scratch)?;
        let overlay = crate::worker::front::probe(runner, &privilege, cache.directory().to_owned())?;
        let sources = apt::host_sources(runner)?;
        Ok(Host {
            bootstrap: BootstrapTool { version: tools::version(runner, tool)?, name: tool.to_owned() },
            mirrors: archive::choose_mirrors(appliance, request.suite, &request.architecture, &sources),
            apt_options: apt::host_options(runner)?,
            privilege,
            keyring,
            cache,
            scratch,
            destination,
            overlay,
        })
    }
}

fn needed_tools(privilege: Option<&Privilege>) -> Vec<&'static str> {
    let mut programs = vec!["apt-get", "apt-config", "dpkg", "mke2fs", "qemu-img"];
    if matches!(privilege, Some(Privilege::UserNamespace { .. })) {
        programs.extend(["newuidmap", "newgidmap"]);
    }
    programs
}

fn old_dpkg(suite: &Suite) -> Error {
    Error::host(format!("this host's dpkg cannot unpack the packages of {}, which are zstd", suite.title()))
        .hint("Build on Debian 12, Ubuntu 20.04 or later.")
}

fn choose_bootstrap(option: Option<&str>) -> Result<&'static str> {
    let there = |program| tools::find(program).is_some();
    match option {
        None | Some("auto") if there("mmdebstrap") => Ok("mmdebstrap"),
        None | Some("auto") if there("debootstrap") => Ok("debootstrap"),
        None | Some("auto" | "mmdebstrap") if !there("mmdebstrap") => Err(tools::missing("mmdebstrap")),
        Some("mmdebstrap") => Ok("mmdebstrap"),
        Some("debootstrap") if there("debootstrap") => Ok("debootstrap"),
        Some("debootstrap") => Err(tools::missing("debootstrap")),
        other => Err(Error::usage(format!("`{}` is not a bootstrap tool", other.unwrap_or_default()))
            .hint("Bootstrap tools: mmdebstrap, debootstrap, auto.")),
    }
}

fn find_keyring(option: Option<&Path>, suite: &Suite) -> Result<PathBuf> {
    if let Some(path) = option {
        let absolute = std::path::absolute(path)
            .context(Kind::Config, || format!("reading --keyring {}", path.display()))?;
        return match absolute.is_file() {
            true => Ok(absolute),
            false => Err(Error::config(format!("--keyring {} is not a file", path.display()))),
        };
    }
    if let Some(found) = suite.keys.keyrings.iter().map(PathBuf::from).find(|path| path.is_file()) {
        return Ok(found);
    }
    let missing = suite.keys.keyrings.first().map_or("", String::as_str);
    let error = Error::host(format!("the keyring that checks {} is not here: {missing}", suite.title()));
    Err(match suite.keys.host_packages.get(&tools::host_distro()).or(suite.keys.host_packages.get("debian")) {
        Some(package) => error.hint(format!(
            "Install it with `sudo apt-get install {package}` (on Debian 12 from its backports), or name one with --keyring."
        )),
        None => error.hint("Name one with --keyring."),
    })
}

/// The destination, absolute. One that exists is only replaced when that was asked for and it is ours.
fn destination(appliance: &Appliance, request: &Request<'_>) -> Result<PathBuf> {
    let default = || PathBuf::from(format!("{}-{}", request.suite.distro, request.hypervisor.name()));
    let given = appliance.places.destination.clone().unwrap_or_else(default);
    let context = || format!("looking at the destination {}", given.display());
    let path = std::path::absolute(&given).context(Kind::Config, context)?;
    if path.file_name().is_none() {
        return Err(Error::config(format!("the destination {} ends in no name", given.display()))
            .hint("Name the directory itself with --destdir, not one by `..`."));
    }
    let current = std::env::current_dir().context(Kind::Config, context)?;
    if current.starts_with(&path) {
        return Err(Error::config(format!("the destination {} holds the current directory", path.display()))
            .hint("Name another with --destdir."));
    }
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(Kind::Config, context),
        Ok(_) if !appliance.places.overwrite => {
            return Err(Error::config(format!("the destination {} exists", path.display()))
                .hint("Replace it with --overwrite, or name another with --destdir."));
        }
        Ok(_) if !manifest::may_be_replaced(&path) => {
            return Err(Error::config(format!("the destination {} is not a directory of rvmb's", path.display()))
                .hint("--overwrite replaces what rvmb has made and nothing else; remove it yourself, or name another."));
        }
        Ok(_) => {}
    }
    let parent = path.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .context(Kind::Config, || format!("writing into {}", parent.display()))?;
    Ok(path)
}
