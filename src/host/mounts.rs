//! Mounts inside the worker's own namespace: overlays of layers, and what a program sees that runs
//! in a tree. The host never sees any of them.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::namespaces;
use super::run::BeforeExec;
use crate::error::{Context, Error, Kind, Result};
use crate::units::Size;

/// Device nodes that programs in a tree may need, bound from the host.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Makes every mount of this namespace private, so that nothing travels back to the host.
pub fn make_private() -> Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| namespaces::refused("making the mount namespace private", errno))
}

/// Replaces /proc by one of this PID namespace.
pub fn mount_proc() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None::<&CStr>)
        .context(Kind::Host, || "mounting /proc of the worker".into())
}

/// Makes at `directory` a /dev for trees: a few nodes of the host, and pseudo terminals of its own.
pub fn make_devices(directory: &Path) -> Result<()> {
    let at = |error: std::io::Error| {
        Error::host(format!("making device nodes in {}", directory.display())).because(&error)
    };
    std::fs::create_dir_all(directory).map_err(at)?;
    rustix::mount::mount("dev", directory, "tmpfs", MountFlags::NOSUID, Some(c"mode=0755,size=4m"))
        .map_err(|error| at(error.into()))?;
    for name in DEVICES {
        let node = directory.join(name);
        std::fs::write(&node, []).map_err(at)?;
        rustix::mount::mount_bind(Path::new("/dev").join(name), &node).map_err(|error| at(error.into()))?;
    }
    let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (name, target) in links {
        std::os::unix::fs::symlink(target, directory.join(name)).map_err(at)?;
    }
    for name in ["shm", "pts"] {
        std::fs::create_dir(directory.join(name)).map_err(at)?;
    }
    std::os::unix::fs::symlink("pts/ptmx", directory.join("ptmx")).map_err(at)?;
    let options = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    rustix::mount::mount("devpts", directory.join("pts"), "devpts", MountFlags::NOSUID, Some(options))
        .map_err(|error| at(error.into()))
}

/// Mounts an empty file system in memory at `directory`, which can take `size`.
pub fn mount_memory(directory: &Path, size: Size) -> Result<()> {
    let context = || format!("mounting a tmpfs of {size} at {}", directory.display());
    std::fs::create_dir_all(directory).context(Kind::Host, context)?;
    let options = CString::new(format!("mode=0755,size={}", size.bytes())).context(Kind::Host, context)?;
    rustix::mount::mount("tmpfs", directory, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
        .context(Kind::Host, context)
}

/// An overlay of layers under one writable directory, unmounted when dropped.
#[derive(Debug)]
pub struct Overlay {
    target: Option<PathBuf>,
}

impl Overlay {
    /// Mounts `lower` (the bottom first) under `upper` at `target`. `work` is the overlay's own, on
    /// the file system of `upper`.
    pub fn mount(lower: &[&Path], upper: &Path, work: &Path, target: &Path) -> Result<Overlay> {
        for directory in [upper, work, target] {
            std::fs::create_dir_all(directory)
                .context(Kind::Build, || format!("creating {}", directory.display()))?;
        }
        // In a user namespace only `user.` attributes can mark opaque directories; the same is used
        // as root, so that a layer means the same whoever made it. `index` and `metacopy` would tie
        // a layer to this mount. `xino` keeps the numbers of files apart where the layers are on several file
        // systems, as far as those leave room in them.
        let layers: Vec<String> = lower.iter().rev().map(|path| escape(path)).collect();
        let options = format!(
            "userxattr,index=off,xino=auto,lowerdir={},upperdir={},workdir={}",
            layers.join(":"),
            escape(upper),
            escape(work)
        );
        let context = || format!("mounting an overlay at {}", target.display());
        let mount = |options: &str| -> Result<()> {
            let options = CString::new(options).context(Kind::Build, context)?;
            rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options.as_c_str()))
                .context(Kind::Host, context)
        };
        // Unmounting would wait until all of the upper directory is on the disk. Linux 5.10 and later
        // leave that out on demand; the wait harms nothing but the time.
        mount(&format!("{options},volatile")).or_else(|_| mount(&options))?;
        Ok(Overlay { target: Some(target.to_owned()) })
    }

    /// Unmounts it; what was written is then complete in the upper directory.
    pub fn close(mut self) -> Result<()> {
        match self.target.take() {
            Some(target) => unmount(&target),
            None => Ok(()),
        }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            // The namespace ends with the worker and takes the mount with it.
            let _ = rustix::mount::unmount(&target, UnmountFlags::DETACH);
        }
    }
}

fn unmount(target: &Path) -> Result<()> {
    rustix::mount::unmount(target, UnmountFlags::empty())
        .context(Kind::Build, || format!("unmounting {}", target.display()))
}

/// Escapes what overlay's options give a meaning: the separators of options and of layers.
fn escape(path: &Path) -> String {
    let mut escaped = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, '\\' | ':' | ',') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// What a program sees that runs in a tree. Turned into a hook for the command runner; every program
/// gets a mount namespace of its own, so that nothing has to be unmounted.
#[derive(Clone, Debug)]
pub struct View {
    root: PathBuf,
    mounts: Vec<Mount>,
    chroot: bool,
}

#[derive(Clone, Debug)]
enum Mount {
    Bind { source: PathBuf, target: PathBuf },
    Temporary { target: PathBuf, options: &'static CStr },
}

impl View {
    /// The host's files as they are, in a mount namespace of the program's own, with `root` at hand.
    pub fn new(root: &Path) -> View {
        View { root: root.to_owned(), mounts: Vec::new(), chroot: false }
    }

    /// The program's root directory is the tree.
    #[must_use]
    pub fn chroot(mut self) -> View {
        self.chroot = true;
        self
    }

    /// The tree has /proc, the device nodes at `devices`, and empty, temporary /run and /tmp.
    #[must_use]
    pub fn with_system(self, devices: &Path) -> View {
        self.bind(Path::new("/proc"), "proc")
            .bind(devices, "dev")
            .temporary("run", c"mode=0755")
            .temporary("tmp", c"mode=1777")
    }

    /// The device nodes at `devices` appear in the tree, and nothing else.
    #[must_use]
    pub fn with_devices(self, devices: &Path) -> View {
        self.bind(devices, "dev")
    }

    /// The host's `source` appears at `target` in the tree.
    #[must_use]
    pub fn bind(mut self, source: &Path, target: &str) -> View {
        self.mounts.push(Mount::Bind { source: source.to_owned(), target: self.root.join(target) });
        self
    }

    /// An empty, temporary file system covers `target` in the tree; `options` are those of tmpfs(5).
    #[must_use]
    pub fn temporary(mut self, target: &str, options: &'static CStr) -> View {
        self.mounts.push(Mount::Temporary { target: self.root.join(target), options });
        self
    }

    /// The hook. All memory is taken here; between fork and exec there are system calls only.
    pub fn hook(&self) -> Result<BeforeExec> {
        let text = |path: &Path| {
            CString::new(path.as_os_str().as_bytes())
                .context(Kind::Build, || format!("entering {}", path.display()))
        };
        let root = text(&self.root)?;
        let chroot = self.chroot;
        let mut binds = Vec::new();
        let mut temporaries = Vec::new();
        for mount in &self.mounts {
            match mount {
                Mount::Bind { source, target } => binds.push((text(source)?, text(target)?)),
                Mount::Temporary { target, options } => temporaries.push((text(target)?, *options)),
            }
        }
        Ok(Arc::new(move || {
            enter_mount_namespace()?;
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            for (target, options) in &temporaries {
                rustix::mount::mount(c"tmpfs", target.as_c_str(), c"tmpfs", flags, Some(*options))?;
            }
            for (source, target) in &binds {
                rustix::mount::mount_bind_recursive(source.as_c_str(), target.as_c_str())?;
            }
            if chroot {
                rustix::process::chroot(root.as_c_str())?;
                rustix::process::chdir(c"/")?;
            }
            Ok(())
        }))
    }
}

#[expect(unsafe_code, reason = "rustix marks unshare as unsafe, because of the file descriptor table")]
fn enter_mount_namespace() -> std::io::Result<()> {
    // SAFETY: only the mount namespace is unshared; the file descriptor table stays as it is.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_paths_are_escaped() {
        assert_eq!(escape(Path::new("/a:b,c\\d")), "/a\\:b\\,c\\\\d");
    }
}
