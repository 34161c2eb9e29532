//! The base layer: the smallest system, with init system, kernel and initramfs tool. The initial RAM
//! file system itself is left for later.
//!
//! A bootstrap tool makes the first tree: mmdebstrap the essential packages from the indices that the
//! plan rests on, debootstrap the required ones from its own copy of the release's index. One
//! transaction of apt then brings it to the state of all pockets and adds the rest.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::{Site, ahead, initramfs, packages};
use crate::error::{Context, Error, Kind, Result};
use crate::event::Step;
use crate::host::apt;
use crate::host::mounts::View;
use crate::host::run::quote;
use crate::host::tree::Root;
use crate::plan::Plan;
use crate::plan::stage::Stage;
use crate::suite::MergedUsr;

/// mmdebstrap's own hooks that make the links of a merged /usr before the first package, and keep
/// usrmerge out. They end with an error in a release that does not have [`MERGED_USR_PACKAGE`].
const MERGED_USR_HOOKS: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// The package that says that a tree was merged from its first package on.
const MERGED_USR_PACKAGE: &str = "usr-is-merged";

/// Makes the base layer in `root`.
pub fn run(site: &Site<'_>, root: &Path) -> Result<()> {
    first_tree(site, root)
        .and_then(|()| prepare(site, root))
        .and_then(|()| packages::complete_base(site, root))
        .map_err(|error| apt::explain(error).within(format!("bootstrapping {}", site.plan.suite.title())))?;
    check(site, &Root::open(root)?)
}

fn first_tree(site: &Site<'_>, root: &Path) -> Result<()> {
    match site.plan.host.bootstrap.as_ref().map(|tool| tool.name.as_str()) {
        Some("mmdebstrap") => with_mmdebstrap(site, root),
        Some("debootstrap") => with_debootstrap(site, root),
        other => {
            Err(Error::build(format!("there is no way to bootstrap with {}", other.unwrap_or("nothing"))))
        }
    }
}

fn with_mmdebstrap(site: &Site<'_>, root: &Path) -> Result<()> {
    let plan = site.plan;
    let before = script(site, "before-packages", &before_packages(site))?;
    let mut command = site
        .runner
        .command("mmdebstrap")
        .args(["--verbose", "--mode=root", "--format=directory", "--variant=essential"])
        .args(["--skip=update", "--skip=essential/unlink", "--skip=cleanup/apt", "--skip=check/signed-by"])
        // The plan has looked whether this host can run the architecture's programs; mmdebstrap wants
        // one more package for that.
        .arg("--skip=check/qemu")
        .args([
            "--dpkgopt=force-unsafe-io",
            "--aptopt=APT::Sandbox::User \"root\"",
            "--aptopt=Acquire::Languages \"none\"",
        ])
        .arg(format!("--architectures={}", plan.architecture))
        .arg(format!("--setup-hook={}", before.display()));
    for (name, value) in Stage::Base.settings(plan) {
        command = command.arg(format!("--aptopt={name} \"{value}\""));
    }
    if plan.suite.bootstrap.merged_usr == MergedUsr::Bootstrap && has_merged_usr_package(plan) {
        command = command.arg(format!("--hook-dir={MERGED_USR_HOOKS}"));
    }
    if let Some(ahead) = &site.ahead {
        command = command.env("PATH", ahead.search_path());
    }
    let mut progress = Progress::new(site, Step::Bootstrap, 0);
    command
        .arg(&plan.suite.codename)
        .arg(root)
        .arg(Stage::Base.sources(plan))
        .before_exec(View::new(root).hook()?)
        .stream(|line| progress.line(line))
}

fn has_merged_usr_package(plan: &Plan) -> bool {
    plan.packages.base.iter().any(|name| name == MERGED_USR_PACKAGE)
}

/// Directories that are links into a merged /usr: `setup_merged_usr` of debootstrap's functions.
fn merged_directories(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" => &["bin", "sbin", "lib", "lib32", "lib64", "libx32"],
        "i386" => &["bin", "sbin", "lib", "lib64", "libx32"],
        "ppc64el" => &["bin", "sbin", "lib", "lib64"],
        "s390x" => &["bin", "sbin", "lib", "lib32"],
        _ => &["bin", "sbin", "lib"],
    }
}

/// Puts the plan's .debs, and what was unpacked ahead, where mmdebstrap looks for it, in a mount namespace that ends with mmdebstrap. Makes
/// the links of a merged /usr where no package of the release's and no hook of mmdebstrap's does.
fn before_packages(site: &Site<'_>) -> String {
    let plan = site.plan;
    let mut text = format!(
        "mkdir -p \"$1/var/cache/apt/archives\"\n\
         mount --bind {} \"$1/var/cache/apt/archives\"\n",
        quote(&site.archives.display().to_string()),
    );
    if let Some(ahead) = &site.ahead {
        let place = ahead::IN_TREE;
        let directory = quote(&ahead.directory().display().to_string());
        text += &format!("mkdir -p \"$1/{place}\"\nmount --bind {directory} \"$1/{place}\"\n");
    }
    if plan.suite.bootstrap.merged_usr == MergedUsr::Bootstrap && !has_merged_usr_package(plan) {
        for name in merged_directories(&plan.architecture) {
            text += &format!("mkdir -p \"$1/usr/{name}\"\nln -s usr/{name} \"$1/{name}\"\n");
        }
    }
    text
}

/// Writes a hook; mmdebstrap calls it with the tree as its only argument.
fn script(site: &Site<'_>, name: &str, body: &str) -> Result<PathBuf> {
    let path = site.scratch.join(name);
    let context = || format!("writing {}", path.display());
    std::fs::write(&path, format!("#!/bin/sh\nset -e\n{body}")).context(Kind::Build, context)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).context(Kind::Build, context)?;
    Ok(path)
}

fn with_debootstrap(site: &Site<'_>, root: &Path) -> Result<()> {
    let plan = site.plan;
    let Some(main) = plan.archive.sources.first() else { return Err(Error::build("the plan has no source")) };
    let mut command = site
        .runner
        .command("debootstrap")
        .arg(format!("--arch={}", plan.architecture))
        .arg(format!("--keyring={}", plan.archive.keyring.display()))
        .arg(format!("--components={}", plan.archive.components.join(",")))
        .arg(format!("--cache-dir={}", site.archives.display()))
        .arg(if plan.suite.bootstrap.merged_usr == MergedUsr::Split {
            "--no-merged-usr"
        } else {
            "--merged-usr"
        });
    // The rest of another variant comes with the completion of the base layer.
    if !matches!(plan.packages.variant.as_deref(), Some("important" | "standard")) {
        command = command.arg("--variant=minbase");
    }
    // With its log-in, which must not stand in argv.
    if let Some(proxy) = site.access.proxy_for(&main.uri) {
        command = command.env("http_proxy", proxy).env("https_proxy", proxy);
    }
    let script = Path::new("/usr/share/debootstrap/scripts");
    // debootstrap does not know `copy:`, which only says how apt reads a directory.
    let mirror = main.uri.replacen("copy:", "file:", 1);
    command = command.arg(&plan.suite.codename).arg(root).arg(mirror);
    if !script.join(&plan.suite.codename).exists() {
        command = command.arg(script.join(&plan.suite.bootstrap.script));
    }
    std::fs::create_dir_all(root.join("dev")).context(Kind::Build, || "creating /dev in the tree".into())?;
    let mut progress = Progress::new(site, Step::Bootstrap, 0);
    command
        // debootstrap makes no device nodes in a container, which a user namespace is to it.
        .env("container", "lxc")
        .before_exec(View::new(root).with_devices(&site.devices).hook()?)
        .stream(|line| progress.line(line))
}

/// What must be there before kernel and boot loader are configured.
fn prepare(site: &Site<'_>, root: &Path) -> Result<()> {
    let tree = Root::open(root)?;
    for (path, content) in initramfs::settings(site.plan) {
        tree.write(path, 0o644, content)?;
    }
    packages::answer_debconf(site, root)
}

/// Looks whether the tree is what the rest of the build relies on.
fn check(site: &Site<'_>, root: &Root) -> Result<()> {
    let merged =
        std::fs::symlink_metadata(root.path().join("bin")).is_ok_and(|metadata| metadata.is_symlink());
    let wanted = site.plan.suite.bootstrap.merged_usr != MergedUsr::Split;
    if merged != wanted {
        let found = if merged { "merged" } else { "split" };
        return Err(Error::build(format!(
            "/usr of the new tree is {found}, which is not how the release has it"
        )));
    }
    if initramfs::kernels(root)?.is_empty() {
        return Err(Error::build("no kernel is in /boot of the new tree"));
    }
    packages::check_versions(site.plan, root)
}
