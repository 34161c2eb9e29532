//! What a manifest promises of the guest. Pure: a text in.

use std::path::PathBuf;

use serde::Deserialize;
use uuid::Uuid;

use crate::error::{Context, Error, Kind, Result};
use crate::plan::{GuestNetwork, Mac};

/// What a manifest promises of the guest. That there is one says that rvmb built the image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Promises {
    /// The first user.
    pub(super) user: Option<User>,
    /// Packages that were asked for, in apt's words.
    pub(super) packages: Vec<String>,
    /// Whether a script runs at the first boot.
    pub(super) first_boot: bool,
    /// What is on the disks.
    pub(super) storage: Storage,
    /// The network that the guest expects; one with DHCP in manifests that know no other.
    pub(super) network: GuestNetwork,
    /// The MAC address that the hypervisor gives to its interface.
    pub(super) mac: Option<Mac>,
}

/// Where a disk is.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// In a file of that name beside the manifest.
    Image(String),
    /// In a file or block device somewhere, with what the disk is told from others by.
    Raw(PathBuf, Mark),
}

/// By what a disk is told from all others: the beginning of its partition table says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    /// The identity in its GUID partition table.
    guid: Uuid,
    /// Whether it has an msdos partition table, whose signature is made of that.
    is_msdos: bool,
}

impl Mark {
    /// How many bytes of a disk are looked at: both tables begin there.
    pub(super) const LOOKED_AT: usize = 1024;

    /// Whether the disk that begins so is the one.
    pub(super) fn is_at(self, start: &[u8]) -> bool {
        /// Where signature and end are (UEFI specification 2.10, 5.2.1 "Legacy Master Boot Record").
        const SIGNATURE: usize = 440;
        const END: usize = 510;
        /// Where the header of the table is, and the identity in it (5.3.2 "GPT Header").
        const HEADER: usize = 512;
        const IDENTITY: usize = HEADER + 56;
        let has = |at: usize, bytes: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(bytes));
        let (signature, ..) = self.guid.as_fields();
        match self.is_msdos {
            // A disk without a table, or with one of the other kind, has zeros there.
            true => signature != 0 && has(SIGNATURE, &signature.to_le_bytes()) && has(END, &[0x55, 0xaa]),
            false => has(HEADER, b"EFI PART") && has(IDENTITY, &self.guid.to_bytes_le()),
        }
    }
}

/// The first user.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct User {
    /// Log-in name.
    pub(super) name: String,
    /// Whether the password is locked.
    #[serde(default)]
    pub(super) locked: bool,
    /// Whether the password is the user's own name.
    #[serde(default)]
    pub(super) default_password: bool,
}

/// What is on the disks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Storage {
    /// Whether only a BIOS starts it: it has an msdos table.
    pub(super) bios_only: bool,
    /// Where the root file system begins.
    pub(super) root: Option<Root>,
    /// Mount points with their file systems.
    pub(super) mounts: Vec<(String, String)>,
    /// Mount points of the file systems that grow.
    pub(super) growing: Vec<String>,
    /// Number of swap spaces.
    pub(super) swaps: usize,
}

/// Where the root file system begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Number of the disk, from 0.
    pub(super) disk: usize,
    /// Offset in bytes.
    pub(super) offset: u64,
    /// Its kind, as mount(8) has it.
    pub(super) kind: String,
}

/// The part of a manifest that is used here; whatever else it has is passed over.
#[derive(Deserialize)]
struct Manifest {
    plan: Plan,
}

#[derive(Deserialize)]
struct Plan {
    disks: Vec<Disk>,
    #[serde(default)]
    output: Output,
    guest: Option<Guest>,
    packages: Option<Packages>,
    target: Option<Target>,
    #[serde(default)]
    tree: Tree,
}

#[derive(Default, Deserialize)]
struct Tree {
    #[serde(default)]
    existing: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Target {
    nic: Option<Nic>,
}

#[derive(Deserialize)]
struct Nic {
    mac: Mac,
}

/// Where the disks went.
#[derive(Default, Deserialize)]
struct Output {
    /// What disks were written onto in place of new images, the first disk first.
    #[serde(default)]
    raws: Vec<RawDisk>,
}

#[derive(Deserialize)]
struct RawDisk {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Disk {
    image: String,
    #[serde(default)]
    guid: Uuid,
    #[serde(default)]
    table: String,
    #[serde(default)]
    partitions: Vec<Volume>,
}

/// A partition or a logical volume.
#[derive(Deserialize)]
struct Volume {
    #[serde(default)]
    start: u64,
    mount: Option<String>,
    #[serde(default)]
    grows: bool,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type")]
    kind: String,
    /// Those of a volume group.
    #[serde(default)]
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
struct Guest {
    user: Option<User>,
    firstboot: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    network: GuestNetwork,
}

#[derive(Deserialize)]
struct Packages {
    #[serde(default)]
    added: Vec<String>,
}

/// Where the disks are and what is promised of the guest.
///
/// # Errors
///
/// A configuration error where the text is no manifest, or names no files beside it.
pub(super) fn parse(text: &str) -> Result<(Vec<Place>, Promises)> {
    let manifest: Manifest =
        serde_json::from_str(text).context(Kind::Config, || "the manifest is not understood".to_owned())?;
    let Plan { disks, output, guest, packages, target, tree } = manifest.plan;
    if disks.is_empty() {
        return Err(Error::config("the manifest names no disk"));
    }
    let storage = storage(&disks);
    let mut raws = output.raws.into_iter();
    let place = |disk: Disk| match raws.next() {
        Some(raw) => Ok(Place::Raw(raw.path, Mark { guid: disk.guid, is_msdos: disk.table == "msdos" })),
        None => beside(disk.image),
    };
    let places = disks.into_iter().map(place).collect::<Result<_>>()?;
    let first_boot = guest.as_ref().is_some_and(|guest| guest.firstboot.is_some());
    let (user, network) = guest.map(|guest| (guest.user, guest.network)).unwrap_or_default();
    let promises = Promises {
        // The users of a tree that was there are its own.
        user: user.filter(|_| tree.existing.is_none()),
        packages: packages.map(|packages| packages.added).unwrap_or_default(),
        first_boot,
        storage,
        network,
        mac: target.and_then(|target| target.nic).map(|nic| nic.mac),
    };
    Ok((places, promises))
}

/// An image beside the manifest, and nowhere else.
fn beside(image: String) -> Result<Place> {
    if image.is_empty() || image.contains('/') || image == ".." || image == "." {
        return Err(Error::config(format!("the manifest names {image:?}, which is not a file beside it")));
    }
    Ok(Place::Image(image))
}

fn storage(disks: &[Disk]) -> Storage {
    let mut storage =
        Storage { bios_only: disks.first().is_some_and(|disk| disk.table == "msdos"), ..Storage::default() };
    for (number, disk) in disks.iter().enumerate() {
        for volume in disk.partitions.iter().flat_map(|one| [one].into_iter().chain(&one.content.volumes)) {
            let kind = match volume.content.kind.as_str() {
                "swap" => {
                    storage.swaps += 1;
                    continue;
                }
                "esp" | "fat" => "vfat",
                other => other,
            };
            let Some(mount) = &volume.mount else { continue };
            if mount == "/" {
                storage.root = Some(Root { disk: number, offset: volume.start, kind: kind.to_owned() });
            }
            storage.mounts.push((mount.clone(), kind.to_owned()));
            if volume.grows {
                storage.growing.push(mount.clone());
            }
        }
    }
    storage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_of_an_existing_tree_are_not_known() {
        let text = r#"{"plan": {"disks": [{"image": "a"}], "tree": {"only": false, "existing": {"path": "/t"}},
            "guest": {"user": {"name": "bob", "locked": false, "default_password": true}}}}"#;
        assert_eq!(parse(text).unwrap().1.user, None);
        let other = text.replace(r#"{"path": "/t"}"#, "null");
        assert!(parse(&other).unwrap().1.user.is_some());
    }

    #[test]
    fn a_manifest_is_read_for_what_is_needed() {
        let text = r#"{"version": 1, "plan": {"format": 1, "disks": [{"image": "vm-disk0.qcow2", "new": 1}],
            "guest": {"user": {"name": "bob", "locked": false, "default_password": true}, "firstboot": null},
            "packages": {"added": ["nginx=1.2"], "base": []}}}"#;
        let (images, promises) = parse(text).unwrap();
        assert_eq!(images, [Place::Image("vm-disk0.qcow2".into())]);
        let user = Some(User { name: "bob".to_owned(), locked: false, default_password: true });
        let packages = vec!["nginx=1.2".to_owned()];
        assert_eq!(promises, Promises { user, packages, ..Promises::default() });

        let text = r#"{"plan": {"disks": [{"image": "a"}], "guest": {"firstboot": {"path": "x"}}}}"#;
        assert!(parse(text).unwrap().1.first_boot);

        let (_, promises) = parse(r#"{"plan": {"disks": [{"image": "a"}]}}"#).unwrap();
        assert_eq!(promises, Promises::default());
    }

    #[test]
    fn what_is_on_the_disks_is_known() {
        let text = r#"{"plan": {"disks": [
            {"image": "a", "table": "msdos", "partitions": [
                {"start": 1, "content": {"type": "extended"}, "mount": null},
                {"start": 1, "content": {"type": "swap"}, "mount": null},
                {"start": 2, "content": {"type": "fat"}, "mount": "/d"}]},
            {"image": "b", "partitions": [
                {"start": 3, "mount": null, "grows": true, "content": {"type": "group", "volumes": [
                    {"start": 4, "mount": "/", "grows": true, "content": {"type": "ext4"}},
                    {"start": 5, "mount": null, "content": {"type": "swap"}}]}}]}]}}"#;
        let (images, Promises { storage, .. }) = parse(text).unwrap();
        assert_eq!(images, ["a", "b"].map(|name| Place::Image(name.into())));
        let pair = |mount: &str, kind: &str| (mount.to_owned(), kind.to_owned());
        let expected = Storage {
            bios_only: true,
            root: Some(Root { disk: 1, offset: 4, kind: "ext4".into() }),
            mounts: vec![pair("/d", "vfat"), pair("/", "ext4")],
            growing: vec!["/".into()],
            swaps: 2,
        };
        assert_eq!(storage, expected);
    }

    #[test]
    fn a_disk_is_told_by_its_table() {
        let guid = uuid::uuid!("01234567-89ab-cdef-0123-456789abcdef");
        let (gpt, msdos) = (Mark { guid, is_msdos: false }, Mark { guid, is_msdos: true });
        let mut start = vec![0; Mark::LOOKED_AT];
        assert!(!gpt.is_at(&start) && !msdos.is_at(&start) && !gpt.is_at(b"") && !msdos.is_at(b""));
        start[440..444].copy_from_slice(&[0x67, 0x45, 0x23, 0x01]);
        (start[510], start[511]) = (0x55, 0xaa);
        assert!(!gpt.is_at(&start) && msdos.is_at(&start));
        assert!(!Mark { guid: Uuid::nil(), is_msdos: true }.is_at(&[0; Mark::LOOKED_AT]));
        start[512..520].copy_from_slice(b"EFI PART");
        start[568..584].copy_from_slice(&guid.to_bytes_le());
        assert!(gpt.is_at(&start));
        assert!(!Mark { guid: Uuid::from_u128(1), is_msdos: false }.is_at(&start));
    }

    #[test]
    fn a_manifest_does_not_lead_elsewhere() {
        for image in ["../etc/shadow", "/etc/shadow", "..", ""] {
            let text = format!(r#"{{"plan": {{"disks": [{{"image": "a"}}, {{"image": "{image}"}}]}}}}"#);
            assert_eq!(parse(&text).unwrap_err().kind(), Kind::Config, "{image}");
        }
        assert_eq!(parse(r#"{"plan": {"disks": []}}"#).unwrap_err().kind(), Kind::Config);
        assert_eq!(parse("{}").unwrap_err().kind(), Kind::Config);
        assert_eq!(parse("").unwrap_err().kind(), Kind::Config);
    }
}
