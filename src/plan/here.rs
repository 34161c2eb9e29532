//! What of this host a build uses: rights, tools, keyring, cache, places. All problems are told at once.

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use super::archive::{self, Mirrors};
use super::request::Request;
use super::{BootstrapTool, Libvirt, Privilege, RawDisk, libvirt, package_list, raw, tree};
use crate::appliance::{self, Appliance};
use crate::cache::Cache;
use crate::error::{About, Context, Error, Kind, Result};
use crate::host::access::Access;
use crate::host::run::Runner;
use crate::host::{apt, identity, scratch, tools};
use crate::manifest;
use crate::suite::Suite;
use crate::worker::front;

/// The option that names a directory for the tree.
const CHROOT_DIR: &str = "--chroot-dir";

/// The option that names the directory for the results.
const DESTDIR: &str = "--destdir";

/// What this host has and gives.
pub(super) struct Host {
    pub privilege: Privilege,
    /// None where the tree is there already.
    pub bootstrap: Option<BootstrapTool>,
    /// Empty where the tree is there already.
    pub keyring: PathBuf,
    /// The tree that is there already.
    pub existing: Option<PathBuf>,
    /// The directory that the tree is made in, where the user named one and it goes when the build ends.
    pub tree: Option<PathBuf>,
    pub cache: Cache,
    pub scratch: PathBuf,
    pub destination: PathBuf,
    pub package_list: Option<PathBuf>,
    /// How the mirrors are reached, with log-ins.
    pub access: Access,
    pub mirrors: Mirrors,
    pub overlay: bool,
    /// What disks are written onto in place of images.
    pub raws: Vec<RawDisk>,
    /// The libvirt that gets the machine.
    pub libvirt: Option<Libvirt>,
}

impl Host {
    pub(super) fn look(appliance: &Appliance, request: &Request<'_>, runner: &Runner) -> Result<Host> {
        let mut problems = Vec::new();
        let mut note = |error: Error| problems.push(error);
        let privilege = identity::privilege().map_err(&mut note).ok();
        let disks = request.storage.programs().into_iter().filter(|_| !appliance.tree.only);
        let needed = needed_tools(privilege.as_ref(), &appliance.tree).into_iter().chain(disks);
        for program in needed {
            if tools::find(program).is_none() {
                note(tools::missing(program));
            }
        }
        // Where nothing is installed, nothing is needed for it.
        let wanted = appliance.tree.existing.is_none();
        let verifies = if wanted { tools::can_verify() } else { Ok(()) };
        for result in [verifies, can_map(privilege.as_ref()), proc_is_mounted()] {
            result.unwrap_or_else(&mut note);
        }
        if !appliance.tree.only {
            request.storage.can_fill_xfs(runner).unwrap_or_else(&mut note);
        }
        let version =
            |program: &str| tools::find(program).map(|_| tools::version(runner, program)).transpose();
        let bootstrap = wanted.then(|| choose_bootstrap(appliance.bootstrap.as_deref(), version)).transpose();
        let bootstrap = bootstrap.map_err(&mut note).ok();
        // A dpkg that is missing was told as such.
        if wanted && request.suite.bootstrap.zstd_packages && tools::find("dpkg").is_some() {
            match tools::dpkg_reads_zstd(runner) {
                Ok(true) => {}
                Ok(false) => note(old_dpkg(request.suite)),
                Err(error) => note(error),
            }
        }
        let keyring = wanted
            .then(|| find_keyring(appliance.keyring.as_deref(), request.suite).about("keyring"))
            .transpose();
        let keyring = keyring.map(Option::unwrap_or_default).map_err(&mut note).ok();
        let existing =
            appliance.tree.existing.as_deref().map(tree::existing).transpose().about("existing-chroot");
        let existing = existing.map_err(&mut note).ok().flatten();
        let tree = tree_directory(appliance).about("chroot-dir").map_err(&mut note).ok().flatten();
        let destination = destination(appliance, request).about("destdir").map_err(&mut note).ok();
        let package_list = match (&appliance.places.package_list, &destination) {
            (Some(path), Some(destination)) => {
                package_list::place(path, destination).about("manifest").map_err(&mut note).ok()
            }
            _ => None,
        };
        let scratch =
            scratch::directory(appliance.places.scratch.as_deref()).about("tmp").map_err(&mut note).ok();
        let raws = raw::look(appliance, request, destination.as_deref(), runner, &mut note);
        let libvirt = libvirt::look(appliance, request, destination.as_deref(), runner, &mut note);
        Error::all(problems)?;
        let (Some(privilege), Some(bootstrap), Some(keyring), Some(destination), Some(scratch)) =
            (privilege, bootstrap, keyring, destination, scratch)
        else {
            return Err(Error::host("this host was not understood"));
        };

        let places = &appliance.places;
        // A cache that is thrown away lies in the scratch directory.
        let cache = (!places.no_cache).then(|| crate::cache::place(places.cache.as_deref())).transpose()?;
        let mut written: Vec<(&str, &Path)> = vec![("--tmp", &scratch)];
        written.extend(cache.iter().map(|path| ("--cache-dir", path.as_path())));
        written.extend(package_list.iter().map(|path| ("--manifest", path.as_path())));
        written.extend(raws.iter().map(|raw| ("--raw", raw.path.as_path())));
        let tree_is_result = appliance.tree.only && appliance.tree.directory.is_some();
        let results = (if tree_is_result { CHROOT_DIR } else { DESTDIR }, destination.as_path());
        let trees = [("--existing-chroot", existing.as_deref()), (CHROOT_DIR, tree.as_deref())];
        let trees: Vec<(&str, &Path)> =
            trees.into_iter().filter_map(|(option, path)| Some((option, path?))).collect();
        are_apart(results, &trees, &written)?;
        let cache = Cache::open(appliance.places.cache.as_deref(), appliance.places.no_cache, &scratch)?;
        // Each of these waits for a program, and none for the answer of another.
        let (sources, access, overlay) = std::thread::scope(|scope| {
            let sources = wanted.then(|| scope.spawn(|| apt::host_sources(runner)));
            let access = wanted.then(|| scope.spawn(|| Access::of_host(appliance.proxy.as_deref(), runner)));
            let beside = tree.as_deref().and_then(Path::parent).unwrap_or(&scratch);
            let places = [cache.builds(), beside.to_owned()];
            let overlay = front::probe(runner, &privilege, &places, request.memory.is_some());
            (sources.map(answer).transpose(), access.map(answer).transpose(), overlay)
        });
        let (sources, mut access) = (sources?.unwrap_or_default(), access?.unwrap_or_default());
        let overlay = overlay?;
        let mirrors = archive::choose_mirrors(appliance, request.suite, &request.architecture, &sources);
        let mirrors = mirrors.without_logins(&mut access)?;
        let with_debootstrap = bootstrap.as_ref().is_some_and(|tool| tool.name == "debootstrap");
        if with_debootstrap && access.has_login(&mirrors.main) {
            return Err(no_login_for_debootstrap(&mirrors.main));
        }
        Ok(Host {
            bootstrap,
            mirrors,
            access,
            privilege,
            keyring,
            existing,
            tree,
            cache,
            scratch,
            destination,
            package_list,
            overlay,
            raws,
            libvirt,
        })
    }
}

/// Refuses directories for results and trees that hold a place which is written to, or each other.
fn are_apart(results: (&str, &Path), trees: &[(&str, &Path)], written: &[(&str, &Path)]) -> Result<()> {
    let place = |(option, path), may_hold_trees| tree::Place { option, path, may_hold_trees };
    let beside: Vec<_> = written.iter().map(|written| place(*written, true)).collect();
    tree::keep_apart(results, &beside)?;
    // The cache is cleaned, and results are replaced.
    let mut around: Vec<_> = written.iter().map(|written| place(*written, written.0 == "--tmp")).collect();
    around.push(place(results, false));
    trees.iter().try_for_each(|tree| tree::keep_apart(*tree, &around))?;
    // The list of packages is a file of its own.
    let (lists, others): (Vec<_>, Vec<_>) = written.iter().partition(|(option, _)| *option == "--manifest");
    lists.into_iter().flat_map(|list| others.iter().map(move |other| (list, *other))).try_for_each(
        |((option, list), (other, place))| match tree::is_same(list, place) {
            true => Err(Error::config(format!("{option} {} is {other} {}", list.display(), place.display()))
                .hint(format!("Name another file with {option}."))),
            false => Ok(()),
        },
    )
}

fn answer<T>(question: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    question.join().unwrap_or_else(|_| Err(Error::host("looking at this host: the thread panicked")))
}

fn needed_tools(privilege: Option<&Privilege>, tree: &appliance::Tree) -> Vec<&'static str> {
    let mut programs = match tree.existing {
        None => vec!["apt-get", "apt-config", "dpkg"],
        Some(_) => Vec::new(),
    };
    if !tree.only {
        programs.extend(["mke2fs", "qemu-img"]);
    }
    if matches!(privilege, Some(Privilege::UserNamespace { .. })) {
        programs.extend(["newuidmap", "newgidmap"]);
    }
    programs
}

fn can_map(privilege: Option<&Privilege>) -> Result<()> {
    match privilege {
        Some(Privilege::UserNamespace { .. }) => {
            ["newuidmap", "newgidmap"].into_iter().try_for_each(tools::has_rights_of_its_own)
        }
        _ => Ok(()),
    }
}

/// Namespaces, mounts and rvmb's own program are reached through /proc.
fn proc_is_mounted() -> Result<()> {
    if Path::new("/proc/self/exe").exists() {
        return Ok(());
    }
    Err(Error::host("/proc is not mounted").hint(
        "In a chroot: `mount -t proc proc /proc`, or enter it with systemd-nspawn or unshare --mount-proc.",
    ))
}

fn old_dpkg(suite: &Suite) -> Error {
    Error::host(format!("this host's dpkg cannot unpack the packages of {}, which are zstd", suite.title()))
        .hint("Build on Debian 12, Ubuntu 20.04 or later.")
}

/// Chooses the bootstrap tool; `version` tells that of a program, or none for one that is not there.
fn choose_bootstrap(
    option: Option<&str>,
    version: impl Fn(&str) -> Result<Option<String>>,
) -> Result<BootstrapTool> {
    let (mmdebstrap, debootstrap) = ("mmdebstrap", "debootstrap");
    let find = |name: &str| -> Result<Option<BootstrapTool>> {
        Ok(version(name)?.map(|version| BootstrapTool { name: name.to_owned(), version }))
    };
    let usable = |tool: &BootstrapTool| tools::is_recent_enough(&tool.version);
    match option.unwrap_or("auto") {
        "mmdebstrap" => match find(mmdebstrap)? {
            Some(tool) if usable(&tool) => Ok(tool),
            Some(old) => Err(tools::too_old(&old.version)),
            None => Err(tools::missing(mmdebstrap)),
        },
        "debootstrap" => find(debootstrap)?.ok_or_else(|| tools::missing(debootstrap)),
        "auto" => {
            let first = find(mmdebstrap)?;
            match first {
                Some(tool) if usable(&tool) => Ok(tool),
                first => find(debootstrap)?.ok_or_else(|| match first {
                    Some(old) => tools::too_old(&old.version),
                    None => tools::missing(mmdebstrap),
                }),
            }
        }
        other => Err(Error::usage(format!("`{other}` is not a bootstrap tool"))
            .hint("Bootstrap tools: mmdebstrap, debootstrap, auto.")),
    }
}

/// debootstrap takes a mirror's log-in on its command line only, where everybody can read it.
fn no_login_for_debootstrap(mirror: &str) -> Error {
    Error::config(format!("debootstrap cannot log in at {mirror} without showing the password"))
        .hint("Use mmdebstrap 1.3 or later, or reach the mirror through a --proxy that logs in.")
}

fn find_keyring(option: Option<&Path>, suite: &Suite) -> Result<PathBuf> {
    if let Some(path) = option {
        let absolute = std::path::absolute(path)
            .context(Kind::Config, || format!("reading --keyring {}", path.display()))?;
        return match absolute.is_file() {
            true => Ok(absolute),
            false => Err(Error::config(format!("--keyring {} is not a file", path.display()))
                .hint("Name the keyring of whoever signs the archive, as apt's signed-by takes it.")),
        };
    }
    if let Some(found) = suite.keys.keyrings.iter().map(PathBuf::from).find(|path| path.is_file()) {
        return Ok(found);
    }
    let missing = suite.keys.keyrings.first().map_or("", String::as_str);
    let error = Error::host(format!("the keyring that checks {} is not here: {missing}", suite.title()));
    Err(
        match suite.keys.host_packages.get(&tools::host_distro()).or(suite.keys.host_packages.get("debian")) {
            Some(package) => {
                let whence =
                    if package == "ubuntu-keyring" { " (on Debian 12 from its backports)" } else { "" };
                error.hint(format!(
                    "Install it with `sudo apt-get install {package}`{whence}, or name one with --keyring."
                ))
            }
            None => error.hint("Name one with --keyring."),
        },
    )
}

/// The directory that the tree is made in for the time of the build, where the user named one.
fn tree_directory(appliance: &Appliance) -> Result<Option<PathBuf>> {
    let directory = appliance.tree.directory.as_deref().filter(|_| !appliance.tree.only);
    let overwrite = appliance.places.overwrite;
    directory.map(|path| tree::own_directory(CHROOT_DIR, path, overwrite)).transpose()
}

/// The directory that receives a tree, where that is all that is wanted: it must be new.
fn destination_of_tree(appliance: &Appliance, suite: &Suite) -> Result<PathBuf> {
    match (&appliance.tree.directory, &appliance.places.destination) {
        (Some(path), _) => tree::new_directory(CHROOT_DIR, path),
        (None, Some(path)) => tree::new_directory(DESTDIR, path),
        (None, None) => tree::new_directory(CHROOT_DIR, Path::new(&format!("{}-chroot", suite.distro))),
    }
}

/// The destination, absolute. One that exists is only replaced when that was asked for and it is ours.
fn destination(appliance: &Appliance, request: &Request<'_>) -> Result<PathBuf> {
    if appliance.tree.only {
        return destination_of_tree(appliance, request.suite);
    }
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
        Ok(_) if !manifest::may_be_replaced(&path) => {
            return Err(Error::config(format!("the destination {} is not a directory of rvmb's", path.display()))
                .hint("--overwrite replaces what rvmb has made and nothing else; remove it yourself, or name another with --destdir."));
        }
        Ok(_) if !appliance.places.overwrite => {
            return Err(Error::config(format!("the destination {} exists", path.display()))
                .hint("Replace it with --overwrite, or name another with --destdir."));
        }
        Ok(_) => {}
    }
    let parent = path.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .context(Kind::Config, || format!("writing into {}", parent.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests;
