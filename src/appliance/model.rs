//! The appliance: what the user asked for, from whatever source. Nothing is filled in or checked
//! against the world here, and sizes and numbers are text; a field that was not given is `None` or empty.

use std::path::PathBuf;

use super::origins::Origins;

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
    /// The same for the build alone; the guest gets [`mirror`](Self::mirror).
    pub install_mirror: Option<String>,
    /// The same for the security pocket.
    pub install_security_mirror: Option<String>,
    /// HTTP proxy for the build.
    pub proxy: Option<String>,
    /// Personal package archives, `OWNER` or `OWNER/NAME`.
    pub ppas: Vec<String>,
    /// ISO 9660 image that the packages of the first tree are taken from.
    pub iso: Option<PathBuf>,
    /// Archive of packages that debootstrap made with `--make-tarball`.
    pub tarball: Option<PathBuf>,
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
    /// Install what packages recommend, too.
    pub install_recommends: bool,
    /// File with answers for debconf.
    pub seed_file: Option<PathBuf>,
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
    /// The guest's network.
    pub network: Network,
    /// Sizes of disk and partitions.
    pub sizes: Sizes,
    /// Which disks, and what lies on them.
    pub disks: Disks,
    /// Memory of the virtual machine.
    pub memory: Option<String>,
    /// Processors of the virtual machine.
    pub cpus: Option<String>,
    /// Script of the first boot.
    pub firstboot: Option<PathBuf>,
    /// Script of the first login.
    pub firstlogin: Option<PathBuf>,
    /// List of files to copy into the tree.
    pub copy: Option<PathBuf>,
    /// Program of this host that finishes the tree.
    pub exec: Option<PathBuf>,
    /// Directory with the user's own templates.
    pub templates: Option<PathBuf>,
    /// The tree itself: where it is made, and whether it is made at all.
    pub tree: Tree,
    /// Address of the libvirt that gets the machine.
    pub libvirt: Option<String>,
    /// What only one hypervisor asks for.
    pub special: Special,
    /// What EC2 gets.
    pub ec2: Ec2,
    /// Where results and scratch files go.
    pub places: Places,
    /// Where all this comes from.
    pub origins: Origins,
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
    pub uid: Option<String>,
    /// Group id.
    pub gid: Option<String>,
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

/// Sizes of disk and partitions, as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// The whole disk; the root file system then takes what the others leave.
    pub disk: Option<String>,
    /// Root file system.
    pub root: Option<String>,
    /// Swap; 0 for none.
    pub swap: Option<String>,
    /// A file system for /opt; 0 for none.
    pub opt: Option<String>,
}

/// The guest's network, as text: what it means is found out together with the release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Addresses of the guest, each with or without a prefix length, or `dhcp`.
    pub addresses: Vec<String>,
    /// Netmask.
    pub mask: Option<String>,
    /// Address of the network.
    pub network: Option<String>,
    /// Broadcast address.
    pub broadcast: Option<String>,
    /// Gateways, at most one for IPv4 and one for IPv6.
    pub gateways: Vec<String>,
    /// Name servers.
    pub name_servers: Vec<String>,
    /// MAC address of the first interface.
    pub mac: Option<String>,
    /// Bridge of the host that the interface is put on.
    pub bridge: Option<String>,
    /// libvirt's network that the interface is put on.
    pub libvirt_network: Option<String>,
}

/// Which disks, and what lies on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disks {
    /// Partition file.
    pub part: Option<PathBuf>,
    /// Kind of partition table: `gpt` or `msdos`.
    pub label: Option<String>,
    /// Files or block devices that are written to in place of new images, in the order of the disks.
    pub raw: Vec<PathBuf>,
}

/// The tree of the guest's files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// Stop when the tree is there.
    pub only: bool,
    /// Where the tree is made.
    pub directory: Option<PathBuf>,
    /// A tree that is there already and is to become a disk.
    pub existing: Option<PathBuf>,
    /// Size of a tmpfs that the tree is made in; `-` for the default.
    pub tmpfs: Option<String>,
    /// Write to the destination without a scratch file between.
    pub in_place: bool,
}

/// What only one hypervisor asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Special {
    /// Format of VirtualBox's disks: `vdi` or `vmdk`.
    pub vbox_disk_format: Option<String>,
    /// Kernel that Xen's toolstack loads, a file of the host that starts the machine.
    pub xen_kernel: Option<PathBuf>,
    /// The initial RAM file system for it.
    pub xen_ramdisk: Option<PathBuf>,
}

/// What EC2 gets: vmbuilder's options for it.
#[derive(Clone, Default, PartialEq)]
pub struct Ec2 {
    /// Make an image for EC2.
    pub wanted: bool,
    /// Name of the image, and prefix of its files.
    pub name: Option<String>,
    /// Certificate that bundles are signed with.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Account number.
    pub user: Option<String>,
    /// Bucket.
    pub bucket: Option<String>,
    /// Id of the access key.
    pub access_key: Option<String>,
    /// Secret of the access key.
    pub secret_key: Option<String>,
    /// Id of the kernel image.
    pub kernel: Option<String>,
    /// Id of the RAM disk image.
    pub ramdisk: Option<String>,
    /// Text of the file that names the version.
    pub version: Option<String>,
    /// Install Landscape's client.
    pub landscape: bool,
    /// Bundle the image.
    pub bundle: bool,
    /// Upload the bundle.
    pub upload: bool,
    /// Register what was uploaded.
    pub register: bool,
}

impl std::fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ec2")
            .field("wanted", &self.wanted)
            .field("name", &self.name)
            .field("bucket", &self.bucket)
            .field("access_key", &self.access_key)
            .field("secret_key", &self.secret_key.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// Where results and scratch files go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Destination directory.
    pub destination: Option<PathBuf>,
    /// File of this host that gets the list of what is installed.
    pub package_list: Option<PathBuf>,
    /// Replace an existing destination.
    pub overwrite: bool,
    /// Directory for scratch files.
    pub scratch: Option<PathBuf>,
    /// Directory of the cache.
    pub cache: Option<PathBuf>,
    /// Neither read nor write layers and packages kept from earlier builds.
    pub no_cache: bool,
}
