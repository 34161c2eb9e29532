//! The appliance: what the user asked for, from whatever source. Nothing is filled in or checked
//! against the world here; a field that was not given is `None` or empty.

use std::path::PathBuf;

use crate::units::Size;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appliance {
    /// `kvm`, `qemu`.
    pub hypervisor: String,
    /// `debian`, `ubuntu`.
    pub distro: String,
    /// Codename or version of the release.
    pub suite: Option<String>,
    /// Debian's name of the architecture.
    pub architecture: Option<String>,
    /// Kernel flavour.
    pub flavour: Option<String>,
    /// Components of the archive.
    pub components: Vec<String>,
    /// Mirror of the archive.
    pub mirror: Option<String>,
    /// Mirror of the security pocket.
    pub security_mirror: Option<String>,
    /// HTTP proxy for the build.
    pub proxy: Option<String>,
    /// Keyring that must have signed the archive.
    pub keyring: Option<PathBuf>,
    /// debootstrap's variant.
    pub variant: Option<String>,
    /// `debootstrap`, `mmdebstrap` or `auto`.
    pub bootstrap: Option<String>,
    /// Packages to install, in apt's words.
    pub add_packages: Vec<String>,
    /// Packages to remove.
    pub remove_packages: Vec<String>,
    /// The first user and root.
    pub users: Users,
    /// Host name without domain.
    pub hostname: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Locale.
    pub locale: Option<String>,
    /// Time zone.
    pub timezone: Option<String>,
    /// Sizes of disk and partitions.
    pub sizes: Sizes,
    /// Memory of the virtual machine.
    pub memory: Option<Size>,
    /// Processors of the virtual machine.
    pub cpus: Option<u32>,
    /// Script of the first boot.
    pub firstboot: Option<PathBuf>,
    /// Script of the first login.
    pub firstlogin: Option<PathBuf>,
    /// Where results and scratch files go.
    pub places: Places,
}

/// The first user and root.
#[derive(Clone, Default, PartialEq)]
pub struct Users {
    /// Log-in name.
    pub name: Option<String>,
    /// Full name.
    pub full_name: Option<String>,
    /// Password in clear text, or a crypt(5) hash.
    pub password: Option<String>,
    /// Root's password in clear text, or a crypt(5) hash.
    pub root_password: Option<String>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Lock the user's password.
    pub lock: bool,
    /// File with keys that may log in as root.
    pub root_keys: Option<PathBuf>,
    /// File with keys that may log in as the user.
    pub user_keys: Option<PathBuf>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("name", &self.name)
            .field("full_name", &self.full_name)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("root_password", &self.root_password.as_ref().map(|_| "…"))
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("lock", &self.lock)
            .field("root_keys", &self.root_keys)
            .field("user_keys", &self.user_keys)
            .finish()
    }
}

/// Sizes of disk and partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    /// The whole disk; the root file system then takes what the others leave.
    pub disk: Option<Size>,
    /// Root file system.
    pub root: Option<Size>,
    /// Swap; 0 for none.
    pub swap: Option<Size>,
    /// A file system for /opt; 0 for none.
    pub opt: Option<Size>,
}

/// Where results and scratch files go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Destination directory.
    pub destination: Option<PathBuf>,
    /// Replace an existing destination.
    pub overwrite: bool,
    /// Directory for scratch files.
    pub scratch: Option<PathBuf>,
    /// Directory of the cache.
    pub cache: Option<PathBuf>,
    /// Neither read nor write layers and packages kept from earlier builds.
    pub no_cache: bool,
}
