//! What is wanted of the disks, from the options for sizes or from a partition file, and what comes of it.

use uuid::Uuid;

use super::part_file::{self, PartFile};
use super::problems::Problems;
use super::{Disk, Table, numbers};
use crate::appliance::{self, Appliance};
use crate::disk::layout::{self, DiskWish, FileSystem, LayoutRequest, Wish};
use crate::disk::xfs;
use crate::error::{About, Error, Problem, Result, Subject};
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
    /// Where each wish stands in a file of the user's.
    places: Vec<Vec<Option<Problem>>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Storage {
    /// Reads options and partition file. What is wrong goes to `problems`: a file, a size that is none, or the name
    /// of a table, beside which sizes and file are read with the usual one.
    pub(super) fn read(appliance: &Appliance, problems: &mut Problems) -> Option<Storage> {
        let table = problems.keep(table(appliance.disks.label.as_deref()).about("label")).unwrap_or_default();
        let part = appliance.disks.part.as_deref();
        let sizes = problems.keep(Sizes::read(&appliance.sizes));
        let file = problems.keep(part.map(part_file::load).transpose().about("part"));
        let (sizes, file) = (sizes?, file?);
        let Some(PartFile { disks, places, warnings }) = file else {
            let (wishes, settings): (_, Vec<&str>) = sizes.wishes().into_iter().unzip();
            let place = |name| appliance.origins.problem(&Subject::setting(name));
            return Some(Storage {
                table,
                disks: vec![DiskWish { size: sizes.disk, wishes }],
                places: vec![settings.into_iter().map(place).collect()],
                warnings: Vec::new(),
            });
        };
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let places = places.into_iter().map(|disk| disk.into_iter().map(Some).collect()).collect();
        Some(Storage { table, disks, places, warnings })
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
        let request = LayoutRequest {
            architecture,
            table: self.table,
            disks: &self.disks,
            stem,
            format,
            ext4_features: owned(ext4_features(suite.filesystem.ext4)),
            ext3_features: owned(ext3_features()),
            seed,
        };
        layout::can_boot(&self.disks, &suite.boot.reads)
            .and_then(|()| layout::plan(&request))
            .map_err(|error| self.placed(error))
    }

    /// Refuses more disks than a machine of the hypervisor's can have.
    pub(super) fn can_be_attached(&self, most: usize) -> Result<()> {
        let count = self.disks.len();
        if count <= most {
            return Ok(());
        }
        let error = Error::config(format!("a machine can have {most} disks, not {count}"))
            .hint("Put more partitions on each disk: leave out some of the lines with ---.")
            .about(Subject::Disk(most));
        Err(self.placed(error))
    }

    /// An error with the lines of the partition file, or of the configuration files, that it is about.
    fn placed(&self, error: Error) -> Error {
        error.placed(&|subject| {
            let (disk, number) = match subject {
                Subject::Disk(disk) => (disk, 0),
                Subject::Partition(disk, number) => (disk, *number),
                Subject::Setting(..) => return None,
            };
            self.places.get(*disk)?.get(number)?.clone()
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
    /// and capabilities.
    pub(super) fn can_fill_xfs(&self, runner: &Runner) -> Result<()> {
        let on_xfs: Vec<(&str, Subject)> = self.on_xfs().collect();
        // One that is missing is told as such, and one that is not understood is given the chance.
        if on_xfs.is_empty() || tools::find("mkfs.xfs").is_none() {
            return Ok(());
        }
        let Some(version) = xfs::version(runner)?.filter(|version| *version < xfs::COPIES_DIRECTORIES) else {
            return Ok(());
        };
        let refused = |(mount, subject)| self.placed(too_old_for_xfs(version, mount).about(subject));
        Error::all(on_xfs.into_iter().map(refused).collect())
    }

    /// / and /usr, where they are on XFS.
    fn on_xfs(&self) -> impl Iterator<Item = (&str, Subject)> {
        self.disks.iter().enumerate().flat_map(|(number, disk)| {
            disk.wishes.iter().enumerate().filter_map(move |(index, wish)| {
                let mount = wish.mount().filter(|mount| ["/", "/usr"].contains(mount))?;
                let is_xfs = wish.file_system() == Some(FileSystem::Xfs);
                is_xfs.then_some((mount, Subject::Partition(number, index)))
            })
        })
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

fn too_old_for_xfs((major, minor): (u32, u32), mount: &str) -> Error {
    let (known, since) = xfs::COPIES_DIRECTORIES;
    Error::host(format!("mkfs.xfs {major}.{minor} of this host cannot copy all the files of {mount}"))
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

/// The sizes that options give, each with its setting's name where a wish comes of it.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    disk: Option<Size>,
    root: Option<Size>,
    swap: Option<Size>,
    opt: Option<Size>,
}

impl Sizes {
    fn read(texts: &appliance::Sizes) -> Result<Sizes> {
        let mut problems = Problems::default();
        let mut size = |option: &str, text: &Option<String>| {
            problems.keep(numbers::size(option, text.as_deref())).flatten()
        };
        let sizes = Sizes {
            disk: size("--size", &texts.disk),
            root: size("--rootsize", &texts.root),
            swap: size("--swapsize", &texts.swap),
            opt: size("--optsize", &texts.opt),
        };
        problems.told().map(|()| sizes)
    }

    /// The layout of vmbuilder: root, swap, and /opt where it was asked for; each with the setting that says so.
    fn wishes(&self) -> Vec<(Wish, &'static str)> {
        // Where the disk has a size, root takes what is left.
        let root = match (self.root, self.disk) {
            (Some(root), _) => (Wish::ext4("/", Some(root)), "rootsize"),
            (None, Some(_)) => (Wish::ext4("/", None), "size"),
            (None, None) => (Wish::ext4("/", Some(layout::DEFAULT_ROOT)), "rootsize"),
        };
        let mut wishes = vec![root];
        let swap = self.swap.unwrap_or(layout::DEFAULT_SWAP);
        if swap > Size(0) {
            wishes.push((Wish::swap(swap), "swapsize"));
        }
        if let Some(opt) = self.opt.filter(|opt| *opt > Size(0)) {
            wishes.push((Wish::ext4("/opt", Some(opt)), "optsize"));
        }
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Content;

    #[test]
    fn sizes_are_a_list_of_wishes() {
        let mib = |count| Some(Size::mib(count));
        let wishes =
            |sizes: Sizes| -> Vec<Wish> { sizes.wishes().into_iter().map(|(wish, _)| wish).collect() };
        let of_parts = wishes(Sizes { opt: mib(100), ..Sizes::default() });
        assert_eq!(of_parts[0], Wish::ext4("/", mib(4096)));
        assert_eq!(of_parts[1], Wish::swap(Size::mib(1024)));
        assert_eq!(of_parts[2], Wish::ext4("/opt", mib(100)));
        let of_disk = wishes(Sizes { disk: mib(2000), swap: mib(0), opt: mib(0), ..Sizes::default() });
        assert_eq!(of_disk, [Wish::ext4("/", None)]);
    }

    #[test]
    fn every_size_that_is_none_is_told() {
        let texts = appliance::Sizes {
            root: Some("lots".into()),
            swap: Some("10X".into()),
            opt: Some("1G".into()),
            ..appliance::Sizes::default()
        };
        assert_eq!(Sizes::read(&texts).unwrap_err().parts().len(), 2);
    }

    fn of_part_file(text: &str) -> Storage {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        std::fs::write(&path, text).unwrap();
        let mut appliance = Appliance::default();
        appliance.disks.part = Some(path);
        let mut problems = Problems::default();
        let storage = Storage::read(&appliance, &mut problems);
        problems.told().unwrap();
        storage.unwrap()
    }

    /// The lines of a file that an error names.
    fn lines(error: &Error) -> Vec<usize> {
        let own = error.places().iter().map(|place| place.line);
        own.chain(error.parts().iter().flat_map(lines)).collect()
    }

    #[test]
    fn an_old_mkfs_xfs_is_told_with_the_line() {
        let storage = of_part_file("# all of it\nroot 1000\n//usr/ 4000 fs=xfs\n");
        let (mount, subject) = storage.on_xfs().next().unwrap();
        let error = storage.placed(too_old_for_xfs((6, 1), mount).about(subject));
        assert_eq!(error.message(), "mkfs.xfs 6.1 of this host cannot copy all the files of /usr");
        assert!(error.hints()[0].contains("6.17"), "{error:?}");
        assert_eq!(lines(&error), [3]);
    }

    #[test]
    fn what_cannot_be_a_machine_is_told_with_its_lines() {
        let registry = crate::suite::Registry::built_in().unwrap();
        let suite = registry.find("debian", "bookworm").unwrap();
        let many: String = (0..130).map(|number| format!("/srv/{number} 16\n")).collect();
        for (text, expected) in [
            ("swap 100\nroot 1000 vg=system\n", vec![2]),
            ("root 1000\n\n/boot 300 fs=btrfs vg=a\n", vec![3]),
            ("root 1000\n/var 300 fs=vfat\n/home 300 fs=vfat\n", vec![2, 3]),
            ("root 1000\n---\n/srv 16 vg=snapshot\n", vec![]),
            ("root 1000\n/srv 100\n---\n# big\n/data 3T\n", vec![5]),
            ("root 1000\n/a 16777215T\n/b 16777215T\n", vec![1]),
            // The first one that gets no number.
            (&format!("root 1000\n---\n{many}"), vec![3 + 128]),
            (&format!("root 1000\n{many}"), vec![2 + 125]),
        ] {
            let planned = of_part_file(text).plan(suite, "amd64", ("vm", "qcow2"), Uuid::nil());
            assert_eq!(planned.map_or_else(|error| lines(&error), |_| vec![]), expected, "{text}");
        }
        let error = of_part_file("root 1000\n---\n/a 16\n---\n/b 16\n").can_be_attached(2).unwrap_err();
        assert_eq!(lines(&error), [5]);
    }

    #[test]
    fn tables_have_names() {
        assert_eq!(table(None).unwrap(), Table::Gpt);
        assert_eq!(table(Some("msdos")).unwrap(), Table::Msdos);
        assert!(table(Some("gtp")).unwrap_err().hints()[0].contains("`gpt`"));
    }

    #[test]
    fn a_partition_file_becomes_disks_and_packages() {
        let storage = of_part_file("root 1000 a1\n---\n/srv 400 fs=xfs vg=data\n");
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
