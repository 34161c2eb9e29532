use proptest::prelude::*;

use super::*;
use crate::disk::layout::Purpose;
use crate::error::Kind;
use crate::units::Size;

fn parsed(text: &str) -> PartFile {
    parse(text, "a.part").unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

/// Mount points, disk by disk; swap is `swap`.
fn mounts(file: &PartFile) -> Vec<Vec<&str>> {
    let mount = |wish| Wish::mount(wish).unwrap_or("swap");
    file.disks.iter().map(|disk| disk.wishes.iter().map(mount).collect()).collect()
}

#[test]
fn what_vmbuilder_read_is_read() {
    let file = parsed("root 8000\nswap 4000\n---\n/var 8000\n/var/log 2000\n");
    assert_eq!(mounts(&file), [vec!["/", "swap"], vec!["/var", "/var/log"]]);
    assert_eq!(file.disks[0].wishes[0], Wish::ext4("/", Some(Size::mib(8000))));
    assert_eq!(file.disks[1].size, None);
    assert!(file.warnings.is_empty());
    let file = parsed("root 2048 a1\n/mnt 99 a2\nswap 1024 a3 swap.img\n");
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "a.part:1:11: the device `a1` means nothing in a disk image",
            "a.part:2:9: the device `a2` means nothing in a disk image",
            "a.part:3:11: the device `a3` means nothing in a disk image",
            "a.part:3:14: the file name `swap.img` means nothing in a disk image",
        ]
    );
}

#[test]
fn comments_tabs_blank_lines_and_a_rule_at_the_end_do_not_count() {
    let file = parsed(
        "\u{feff}# the machine\r\n\r\n\troot\t4G  # grows\r\n  swap 512m\r\n---   # next\r\n//srv//data/ 1t\r\n---\r\n",
    );
    assert_eq!(mounts(&file), [vec!["/", "swap"], vec!["/srv/data"]]);
    let sizes: Vec<_> = file.disks.iter().flat_map(|disk| &disk.wishes).map(|wish| wish.size).collect();
    assert_eq!(sizes, [4096, 512, 1024 * 1024].map(|count| Some(Size::mib(count))));
}

#[test]
fn keys_say_more() {
    let text = "root 4096 fs=btrfs label=system options=noatime,compress=zstd:1 grow\nswap 100 label=s\n/boot 300\n/srv 1g vg=data fs=xfs";
    let file = parsed(text);
    let [root, swap, _, srv] = &file.disks[0].wishes[..] else { panic!("{file:?}") };
    let purpose = Purpose::Files {
        mount: "/".into(),
        kind: FileSystem::Btrfs,
        options: Some("noatime,compress=zstd:1".into()),
    };
    assert_eq!((&root.purpose, root.label.as_deref(), root.grows), (&purpose, Some("system"), true));
    assert_eq!(swap.label.as_deref(), Some("s"));
    assert_eq!((srv.group.as_deref(), srv.file_system()), (Some("data"), Some(FileSystem::Xfs)));
    let packages: Vec<&str> = packages(&file.disks).into_iter().collect();
    assert_eq!(packages, ["btrfs-progs", "lvm2", "xfsprogs"]);
}

#[test]
fn each_problem_has_its_place_and_its_cure() {
    // Text, line, column and length of the only problem, and words of message and help.
    let table = [
        ("swap 100", 1, 1, 8, "there is no root", "root 4096"),
        ("", 1, 1, 1, "no partition", "root 4096"),
        ("# nothing\n", 1, 1, 9, "no partition", "root 4096"),
        ("root", 1, 1, 4, "root has no size", "MiB"),
        ("root 0", 1, 6, 1, "of no size", "Leave"),
        ("root 0k", 1, 6, 2, "of no size", "Leave"),
        ("root big", 1, 6, 3, "`big` is not a size", "4096 or 4G"),
        ("root 10X", 1, 6, 3, "not a size", "4G"),
        ("root -1", 1, 6, 2, "not a size", "4G"),
        ("root 1.5G", 1, 6, 4, "not a size", "4G"),
        ("root 99999999999999999999", 1, 6, 20, "not a size", "4G"),
        ("root fs=ext4", 1, 6, 7, "not a size", "4G"),
        ("root 100\nroot 100", 2, 1, 4, "partition for / already", "Line 1"),
        ("/ 100\nroot 100", 2, 1, 4, "partition for / already", "Line 1"),
        ("root 100\n---\n/var 10\n/var/ 20", 4, 1, 5, "partition for /var already", "Line 3"),
        ("root 100\nopt 100", 2, 1, 3, "`opt` is no mount point", "Write `/opt`"),
        ("root 100\nswpa 100", 2, 1, 4, "no mount point", "Did you mean `swap`"),
        ("root 100\n/../etc 1", 2, 1, 7, "dots", "whole path"),
        ("root 100\n/a/./b 1", 2, 1, 6, "dots", "whole path"),
        ("root 100\n/a:b 1", 2, 1, 4, "cannot be a mount point", "letters"),
        ("root 100\n/ä 1", 2, 1, 2, "cannot be a mount point", "letters"),
        ("root 100\n/proc 1", 2, 1, 5, "kernel's own", "Leave"),
        ("root 100\n/sys 1", 2, 1, 4, "kernel's own", "Leave"),
        ("root 100\n/dev/shm 1", 2, 1, 8, "kernel's own", "Leave"),
        ("root 100\n/run 1", 2, 1, 4, "kernel's own", "Leave"),
        ("root 100\n/etc 1", 2, 1, 4, "on the root file system", "Leave"),
        ("root 100\n/lib/modules 1", 2, 1, 12, "on the root file system", "Leave"),
        ("root 100\n/var/run 1", 2, 1, 8, "kernel's own", "Leave"),
        ("root 100\n/var/lock/x 1", 2, 1, 11, "kernel's own", "Leave"),
        ("root 100\n/boot/efi 1", 2, 1, 9, "made anyway", "UEFI"),
        ("root 100 fs=ext5", 1, 13, 4, "no file system `ext5`", "`ext4`"),
        ("root 100 fs=ntfs", 1, 13, 4, "no file system `ntfs`", "ext4, ext3, xfs, btrfs, vfat"),
        ("root 100 fs=", 1, 13, 1, "no file system ``", "ext4"),
        ("root 100 fs=xfs fs=xfs", 1, 17, 6, "fs is there twice", "Leave"),
        ("root 100 lable=x", 1, 10, 7, "no key `lable`", "`label`"),
        ("root 100 x=y", 1, 10, 3, "no key `x`", "fs, label, options, vg, grow"),
        ("root 100 label=x label=y", 1, 18, 7, "label is there twice", "Leave"),
        ("root 100 label=", 1, 10, 6, "label has no value", "label="),
        ("root 100 vg", 1, 10, 2, "vg has no value", "vg="),
        ("root 100 grow=yes", 1, 15, 3, "grow has no value", "alone"),
        ("root 100 label=seventeen-letters", 1, 16, 17, "17 characters", "room for 16"),
        ("root 100 fs=xfs label=thirteen-long", 1, 23, 13, "13 characters", "xfs has room for 12"),
        ("root 100\n/d 100 fs=vfat label=twelve-chars", 2, 22, 12, "12 characters", "room for 11"),
        ("root 100\nswap 9 label=sixteen-letters.", 2, 14, 16, "16 characters", "swap has room for 15"),
        ("root 100 label=a\"b", 1, 16, 3, "cannot be a label", "letters"),
        ("root 100 options=a,,b", 1, 18, 4, "no mount options", "fstab"),
        ("root 100 options=a`b", 1, 18, 3, "no mount options", "fstab"),
        ("root 100\n/d 9 vg=-x", 2, 9, 2, "name of a volume group", "letters"),
        ("root 100\nswap 10 fs=ext4", 2, 12, 4, "swap takes no fs", "Leave"),
        ("root 100\nswap 10 options=pri=5", 2, 17, 5, "swap takes no options", "Leave"),
        ("root 100\nswap 10 grow", 2, 9, 4, "swap does not grow", "Leave"),
        ("root 100\n/d 100 fs=vfat grow", 2, 16, 4, "vfat cannot grow", "Leave"),
        ("root 100 grow\n/d 100 grow", 2, 8, 4, "grows already", "each disk"),
        ("root 100 a1 root.img more", 1, 22, 4, "no column for `more`", "key=value"),
        ("root 100 a1 root.img grwo", 1, 22, 4, "`grwo` is not understood", "`grow`"),
        ("---\nroot 100", 1, 1, 3, "nothing on the disk above", "remove"),
        ("root 100\n---\n---\n/d 1", 3, 1, 3, "nothing on the disk above", "remove"),
        ("root 100\n--- disk2\n/d 1", 2, 5, 5, "nothing may follow", "own"),
        ("root 100", 1, 6, 3, "too small for / with ext4", "256 MiB"),
        ("root 300\n/mnt 1 a2", 2, 6, 1, "1 MiB is too small for /mnt with ext4", "16 MiB"),
        ("/usr 900\nroot 64\n/srv 200 fs=xfs", 3, 6, 3, "for /srv with xfs", "300 MiB"),
        ("root 9\n/a 9 vg=x\n---\n/b 9 vg=x", 4, 9, 1, "on another disk already", "own"),
    ];
    for (text, line, column, length, message, help) in table {
        let problems = parse(text, "a.part").expect_err(text);
        let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
        assert_eq!((problem.line, problem.column, problem.length), (line, column, length), "{text}");
        assert!(problem.message.contains(message), "{text}: {problem:?}");
        assert!(problem.help.as_ref().is_some_and(|known| known.contains(help)), "{text}: {problem:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_their_order() {
    let text = "swap none fs=ext9\n/proc 1 lable=x\n---\n/var 0\n/var 1\n";
    let problems = parse(text, "a.part").unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(1, 1), (1, 6), (1, 14), (2, 1), (2, 9), (4, 6), (5, 1)]);
    assert_eq!(problems[0].file, "a.part");
}

#[test]
fn what_is_no_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.part");
    let refused = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        load(&path).unwrap_err()
    };
    assert!(refused(b"root 100\n\0").message().ends_with("is no text"));
    assert!(refused(b"root 100 \xff\n").message().ends_with("is no text"));
    assert!(refused(&b"# long\n".repeat(10_000)).message().ends_with("is larger than 64 KiB"));
    let error = refused(b"root 0\nswap 0\n");
    assert_eq!((error.message(), error.kind()), ("the partition file is wrong in 2 places", Kind::Config));
    assert!(load(directory.path()).is_err());
    let error = load(&directory.path().join("none")).unwrap_err();
    assert!(error.message().starts_with("reading --part "), "{error}");
}

/// Every problem lies in the text, and a file that is read has a root.
fn is_reasonable(text: &str) {
    match parse(text, "a.part") {
        Ok(file) => {
            assert!(file.disks.iter().all(|disk| !disk.wishes.is_empty()), "{text}");
            assert!(mounts(&file).concat().contains(&"/"), "{text}");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text}");
            for problem in problems {
                assert!(problem.line <= text.lines().count().max(1), "{text}: {problem:?}");
                assert!(problem.column <= problem.text.chars().count() + 1, "{text}: {problem:?}");
                assert!(problem.length > 0 && !problem.message.is_empty(), "{text}: {problem:?}");
            }
        }
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_read_or_refused() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/part-file");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        is_reasonable(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
        count += 1;
    }
    assert!(count >= 12, "{count} seeds");
}

#[test]
fn the_files_that_are_shipped_are_right_and_fit_every_release() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("partition-files");
    let registry = crate::suite::Registry::built_in().unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "part") {
            continue;
        }
        let file = load(&path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        for suite in registry.all() {
            crate::disk::layout::can_boot(&file.disks, &suite.boot.reads)
                .unwrap_or_else(|error| panic!("{} on {}: {error:?}", path.display(), suite.codename));
        }
        count += 1;
    }
    assert!(count >= 8, "{count} files");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(root|swap|/[a-z.]{0,3}|---|#|[0-9]{1,3}[kKmMgGtTx]?|fs=[a-z]{0,5}|grow|vg=[a-z-]?|label=|\\PC| |\t|\r?\n){0,60}") {
        is_reasonable(&text);
    }
}
