//! What is wanted of the disks, from the options for sizes or from a partition file, and what comes of it.

use std::path::Path;

use uuid::Uuid;

use super::part_file::{self, PartFile};
use super::{Disk, Table};
use crate::appliance::{Appliance, Sizes};
use crate::disk::layout::{self, DiskWish, FileSystem, LayoutRequest, Wish};
use crate::disk::xfs;
use crate::error::{Error, Result};
use crate::host::run::Runner;
use crate::host::tools;
use crate::near;
use crate::suite::{Suite, ext3_features, ext4_features};
use crate::units::Size;

/// What is wanted of the disks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Storage {
    /// Kind of every disk's partition table.
    pub table: Table,
    /// What is wanted, disk by disk.
    pub disks: Vec<DiskWish>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Storage {
    /// Reads options and partition file.
    ///
    /// # Errors
    ///
    /// A configuration error where the file is wrong, or there is no such table.
    pub(super) fn read(appliance: &Appliance) -> Result<Storage> {
        let table = table(appliance.disks.label.as_deref());
        let Some(path) = &appliance.disks.part else {
            return Ok(Storage {
                table: table?,
                disks: vec![of_sizes(appliance.sizes)],
                warnings: Vec::new(),
            });
        };
        let (table, PartFile { disks, warnings }) = match (table, part_file::load(path)) {
            (Ok(table), Ok(file)) => (table, file),
            (table, file) => {
                return Err(Error::all([table.err(), file.err()].into_iter().flatten().collect())
                    .err()
                    .unwrap_or_else(|| Error::config("the disks were not understood")));
            }
        };
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(Storage { table, disks, warnings })
    }

    /// Where everything lies on the disks, whose images are named after `stem`; `seed` decides the identifiers
    /// alone.
    pub(super) fn plan(
        &self,
        suite: &Suite,
        architecture: &str,
        (stem, format): (&str, &str),
        seed: Uuid,
    ) -> Result<Vec<Disk>> {
        layout::can_boot(&self.disks, &suite.boot.reads)?;
        layout::plan(&LayoutRequest {
            architecture,
            table: self.table,
            disks: &self.disks,
            stem,
            format,
            ext4_features: owned(ext4_features(suite.filesystem.ext4)),
            ext3_features: owned(ext3_features()),
            seed,
        })
    }

    /// The programs of this host that make what is on the disks, beside mke2fs.
    pub(super) fn programs(&self) -> Vec<&'static str> {
        let all = self.disks.iter().flat_map(|disk| &disk.wishes);
        let mut programs: Vec<&str> =
            all.filter_map(Wish::file_system).filter_map(FileSystem::program).collect();
        programs.sort_unstable();
        programs.dedup();
        programs
    }

    /// Where file systems are mounted, disk by disk.
    pub(super) fn mounts(&self) -> Vec<String> {
        let all = self.disks.iter().flat_map(|disk| &disk.wishes);
        all.filter_map(Wish::mount).map(str::to_owned).collect()
    }

    /// The kinds of file systems on the disks, once for each that there is.
    pub(super) fn file_systems(&self) -> Vec<FileSystem> {
        self.disks.iter().flat_map(|disk| &disk.wishes).filter_map(Wish::file_system).collect()
    }

    /// Refuses / and /usr on XFS where this host's mkfs.xfs cannot copy what every release has there: hard links
    /// and capabilities. `part` is the partition file.
    pub(super) fn can_fill_xfs(&self, part: Option<&Path>, runner: &Runner) -> Result<()> {
        let wishes = self.disks.iter().flat_map(|disk| &disk.wishes);
        let on_xfs = wishes.filter(|wish| wish.file_system() == Some(FileSystem::Xfs));
        let mounts: Vec<&str> =
            on_xfs.filter_map(Wish::mount).filter(|mount| ["/", "/usr"].contains(mount)).collect();
        // One that is missing is told as such, and one that is not understood is given the chance.
        if mounts.is_empty() || tools::find("mkfs.xfs").is_none() {
            return Ok(());
        }
        let version = xfs::version(runner)?.filter(|version| *version < xfs::COPIES_DIRECTORIES);
        let refused = |mount: &&str| Some(too_old_for_xfs(version?, mount, part));
        Error::all(mounts.iter().filter_map(refused).collect())
    }

    /// The kinds of file systems that the initial RAM file system checks: those of / and /usr.
    pub(super) fn checked_early(&self) -> String {
        let all = || self.disks.iter().flat_map(|disk| &disk.wishes);
        let early =
            ["/", "/usr"].into_iter().filter_map(|path| all().find(|wish| wish.mount() == Some(path)));
        let kinds: Vec<&str> = early.filter_map(Wish::file_system).map(FileSystem::name).collect();
        kinds.join(" ")
    }

    /// The packages that the guest, and its initial RAM file system, need for what is on the disks.
    pub(super) fn packages(&self) -> Vec<String> {
        part_file::packages(&self.disks).into_iter().map(str::to_owned).collect()
    }
}

fn too_old_for_xfs((major, minor): (u32, u32), mount: &str, part: Option<&Path>) -> Error {
    let line =
        part.and_then(|path| Some(format!("{}:{}: ", path.display(), part_file::line_of(path, mount)?)));
    let (known, since) = xfs::COPIES_DIRECTORIES;
    Error::host(format!(
        "{}mkfs.xfs {major}.{minor} of this host cannot copy all the files of {mount}",
        line.unwrap_or_default()
    ))
    .hint(format!("Choose ext4 for {mount}, or build where xfsprogs is {known}.{since} or later."))
}

fn owned(words: Vec<&str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn table(label: Option<&str>) -> Result<Table> {
    match label {
        None | Some("gpt") => Ok(Table::Gpt),
        Some("msdos" | "dos" | "mbr") => Ok(Table::Msdos),
        Some(other) => {
            let error = Error::config(format!("there is no partition table `{other}`"));
            let question = near::question(other, ["gpt", "msdos"]);
            Err(error.hint(question.unwrap_or_else(|| "Tables: gpt (the default), msdos.".into())))
        }
    }
}

/// The layout of vmbuilder: root, swap, and /opt where it was asked for.
fn of_sizes(sizes: Sizes) -> DiskWish {
    let Sizes { disk, root, swap, opt } = sizes;
    // Where the disk has a size, root takes what is left.
    let root = root.or(if disk.is_some() { None } else { Some(layout::DEFAULT_ROOT) });
    let mut wishes = vec![Wish::ext4("/", root)];
    let swap = swap.unwrap_or(layout::DEFAULT_SWAP);
    if swap > Size(0) {
        wishes.push(Wish::swap(swap));
    }
    if let Some(opt) = opt.filter(|opt| *opt > Size(0)) {
        wishes.push(Wish::ext4("/opt", Some(opt)));
    }
    DiskWish { size: disk, wishes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Content;

    #[test]
    fn sizes_are_a_list_of_wishes() {
        let mib = |count| Some(Size::mib(count));
        let disk = of_sizes(Sizes { disk: None, root: None, swap: None, opt: mib(100) });
        assert_eq!(disk.wishes[0], Wish::ext4("/", mib(4096)));
        assert_eq!(disk.wishes[1], Wish::swap(Size::mib(1024)));
        assert_eq!(disk.wishes[2], Wish::ext4("/opt", mib(100)));
        let disk = of_sizes(Sizes { disk: mib(2000), root: None, swap: mib(0), opt: mib(0) });
        assert_eq!(disk.wishes, [Wish::ext4("/", None)]);
    }

    #[test]
    fn an_old_mkfs_xfs_is_told_with_the_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        std::fs::write(&path, "# all of it\nroot 1000\n//usr/ 4000 fs=xfs\n").unwrap();
        let error = too_old_for_xfs((6, 1), "/usr", Some(&path));
        let said =
            format!("{}:3: mkfs.xfs 6.1 of this host cannot copy all the files of /usr", path.display());
        assert_eq!(error.message(), said);
        assert!(error.hints()[0].contains("6.17"), "{error:?}");
        assert_eq!(part_file::line_of(&path, "/"), Some(2));
        assert_eq!(part_file::line_of(&path, "/srv"), None);
    }

    #[test]
    fn tables_have_names() {
        assert_eq!(table(None).unwrap(), Table::Gpt);
        assert_eq!(table(Some("msdos")).unwrap(), Table::Msdos);
        assert!(table(Some("gtp")).unwrap_err().hints()[0].contains("`gpt`"));
    }

    #[test]
    fn a_partition_file_becomes_disks_and_packages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        std::fs::write(&path, "root 1000 a1\n---\n/srv 400 fs=xfs vg=data\n").unwrap();
        let mut appliance = Appliance::default();
        appliance.disks.part = Some(path);
        let storage = Storage::read(&appliance).unwrap();
        assert_eq!(storage.packages(), ["lvm2", "xfsprogs"]);
        assert!(storage.warnings[0].contains(":1:11: the device `a1` means nothing"), "{storage:?}");
        let registry = crate::suite::Registry::built_in().unwrap();
        let suite = registry.find("debian", "bookworm").unwrap();
        let disks = storage.plan(suite, "amd64", ("vm", "qcow2"), Uuid::nil()).unwrap();
        assert_eq!(disks[1].image, "vm-disk1.qcow2");
        let srv = disks[1].mounted_at("/srv").unwrap();
        assert!(matches!(srv.content, Content::Xfs { .. }), "{srv:?}");
    }
}
