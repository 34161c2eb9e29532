//! Transactions of apt in a tree. The host's apt decides and the tree's dpkg does: indices, store and
//! keys stay outside, and nothing of them is left in the tree.

use std::collections::BTreeMap;
use std::path::Path;

use super::progress::Progress;
use super::{Site, ahead, initramfs, services};
use crate::error::{Error, Result};
use crate::event::Step;
use crate::host::apt::{self, Apt, Settings};
use crate::host::run::SEARCH_PATH;
use crate::host::tree::Root;
use crate::plan::stage::Stage;
use crate::plan::{Package, Packages, Plan};

/// dpkg's database of what is installed.
pub const STATUS: &str = "/var/lib/dpkg/status";

/// Longest status file that is read; that of a full desktop has some 5 MB.
const STATUS_LIMIT: u64 = 64 * 1024 * 1024;

/// Completes the first tree: the newest versions of all pockets, the variant's packages, and those of
/// the base layer.
pub fn complete_base(site: &Site<'_>, root: &Path) -> Result<()> {
    let packages = &site.plan.packages;
    let mut words = vec!["dist-upgrade".to_owned(), packages.pattern.clone(), "apt".to_owned()];
    words.extend(packages.base.iter().cloned());
    apt_get(site, root, Stage::Base, &words)
}

/// Installs what every machine of the release has.
pub fn install_system(site: &Site<'_>, root: &Path) -> Result<()> {
    answer_seeds(site, root, Stage::System)?;
    let mut words = vec!["install".to_owned()];
    words.extend(site.plan.packages.system.iter().cloned());
    apt_get(site, root, Stage::System, &words).map_err(|error| error.within("installing the system"))
}

/// Installs and removes what the user asked for.
pub fn install_added(site: &Site<'_>, root: &Path) -> Result<()> {
    answer_seeds(site, root, Stage::Packages)?;
    let packages = &site.plan.packages;
    // Whoever names a version may mean an older one than the layers below have.
    let mut words = vec!["install".to_owned(), "--allow-downgrades".to_owned()];
    words.extend(packages.added_exactly.iter().cloned());
    words.extend(to_remove(packages));
    apt_get(site, root, Stage::Packages, &words)
        .map_err(|error| error.within(format!("installing {}", packages.added.join(", "))))
}

/// Words for apt for what is to go. It has never heard of a package that was not resolved in any layer, and
/// there is nothing to remove then.
fn to_remove(packages: &Packages) -> impl Iterator<Item = String> {
    let is_known = |word: &&String| {
        let name = word.split(':').next();
        packages.resolved.iter().any(|package| Some(package.name.as_str()) == name)
    };
    packages.removed.iter().filter(is_known).map(|word| format!("{word}-"))
}

/// Answers debconf's questions before they are asked.
pub fn answer_debconf(site: &Site<'_>, root: &Path) -> Result<()> {
    let answers = site.plan.packages.debconf.join("\n") + "\n";
    site.program(root, "debconf-set-selections")?.input(answers).run()?;
    answer_seeds(site, root, Stage::Base)
}

/// Gives the user's own answers, where they are to be known before this stage.
fn answer_seeds(site: &Site<'_>, root: &Path, stage: Stage) -> Result<()> {
    match (&site.plan.packages.seeds, site.seeds) {
        (Some(seeds), Some(text)) if seeds.before == stage => {
            site.program(root, "debconf-set-selections")?.input(format!("{text}\n")).run().map_err(|error| {
                error.within(format!("giving debconf --seedfile {}", seeds.file.path.display()))
            })
        }
        _ => Ok(()),
    }
}

fn apt_get(site: &Site<'_>, root: &Path, stage: Stage, words: &[String]) -> Result<()> {
    let tree = Root::open(root)?;
    let archives = "var/cache/apt/archives";
    tree.create_directories(archives)?;
    tree.create_directories("var/lib/apt")?;
    services::keep_from_starting(&tree)?;
    let apt = configure(site, root, stage, &root.join(archives))?;
    let step = match stage {
        Stage::Base => Step::Bootstrap,
        Stage::System => Step::System,
        Stage::Packages => Step::Packages,
    };
    let mut view = site.view(root).bind(&site.archives, archives);
    let mut search_path = SEARCH_PATH.to_owned();
    if let Some(ahead) = &site.ahead {
        tree.create_directories(ahead::IN_TREE)?;
        view = view.bind(ahead.directory(), ahead::IN_TREE);
        search_path = ahead.search_path();
    }
    let recommends = match stage {
        Stage::Packages if site.plan.packages.recommends => "--install-recommends",
        _ => "--no-install-recommends",
    };
    let mut progress = Progress::new(site, step, installed(site.plan, &tree)?.len());
    apt.command(&site.runner, "apt-get")
        .args(["--quiet", recommends])
        // Tree and archives are this build's alone: a lock would keep nobody out.
        .arg("-oDebug::NoLocking=true")
        .args(["-oDPkg::Options::=--force-unsafe-io", "-oDPkg::Options::=--force-confold"])
        .arg(format!("-oDPkg::Chroot-Directory={}", root.display()))
        .arg(format!("-oDPkg::Path={search_path}"))
        .args(words)
        .env("INITRD", initramfs::NOT_NOW)
        .env("HOME", "/root")
        .before_exec(view.hook()?)
        .stream(|line| progress.line(line))
        .map_err(apt::explain)?;
    tree.remove(services::POLICY)
}

/// apt's view of the tree: its dpkg database, the archive of the stage, the plan's .debs.
fn configure(site: &Site<'_>, root: &Path, stage: Stage, archives: &Path) -> Result<Apt> {
    let plan = site.plan;
    let mut options = vec![format!("Dir::State={}/var/lib/apt/", root.display())];
    options.extend(stage.settings(plan).map(|(name, value)| format!("{name}={value}")));
    options.push("APT::Sandbox::User=root".to_owned());
    let key = root
        .parent()
        .and_then(Path::file_name)
        .map_or("apt".into(), |name| format!("apt-{}", name.display()));
    Apt::configure(
        &site.scratch.join(key),
        &Settings {
            sources: "",
            architecture: &plan.architecture,
            archives,
            status: Some(&root.join(STATUS.trim_start_matches('/'))),
            proxy: None,
            options: &options,
        },
    )
}

/// Looks whether the tree has the versions that were planned. A bootstrap tool that reads the archive
/// for itself may find a newer state of it.
pub fn check_versions(plan: &Plan, root: &Root) -> Result<()> {
    let mut planned: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &plan.packages.resolved {
        planned.entry(package.name.as_str()).or_default().push(package.version.as_str());
    }
    for package in installed(plan, root)? {
        let versions = planned.get(package.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if !versions.is_empty() && !versions.contains(&package.version.as_str()) {
            return Err(Error::build(format!(
                "the tree has {} {}, and the plan {}",
                package.name,
                package.version,
                versions.join(" and ")
            ))
            .hint("The archive has changed meanwhile: run the command again."));
        }
    }
    Ok(())
}

/// What is installed in the tree, sorted by name.
pub fn installed(plan: &Plan, root: &Root) -> Result<Vec<Package>> {
    let mut packages =
        all_installed(root)?.ok_or_else(|| Error::build("the tree has no dpkg status file"))?;
    for package in &mut packages {
        let known = plan.packages.resolved.iter().find(|known| {
            known.name == package.name
                && known.version == package.version
                && known.architecture == package.architecture
        });
        if let Some(known) = known {
            package.size = known.size;
            package.sha256.clone_from(&known.sha256);
            package.file.clone_from(&known.file);
        }
    }
    packages.sort();
    Ok(packages)
}

/// What dpkg's database says; none where there is no database.
pub fn all_installed(root: &Root) -> Result<Option<Vec<Package>>> {
    let text = root.read(STATUS, STATUS_LIMIT)?;
    Ok(text.map(|text| text.split("\n\n").filter_map(parse_stanza).collect()))
}

/// Reads a stanza of dpkg's status file; none for a package that is not installed.
fn parse_stanza(stanza: &str) -> Option<Package> {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    if field("Status")? != "install ok installed" {
        return None;
    }
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        size: 0,
        installed_size: field("Installed-Size")
            .and_then(|size| size.parse::<u64>().ok())
            .unwrap_or(0)
            .saturating_mul(1024),
        sha256: String::new(),
        file: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_read() {
        let stanza = "Package: dash\nStatus: install ok installed\nInstalled-Size: 191\nArchitecture: amd64\nVersion: 0.5";
        let package = parse_stanza(stanza).unwrap();
        assert_eq!((package.name.as_str(), package.installed_size), ("dash", 191 * 1024));
        assert_eq!(parse_stanza(&stanza.replace("install ok installed", "deinstall ok config-files")), None);
        assert_eq!(parse_stanza(""), None);
    }
}
