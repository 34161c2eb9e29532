//! The ext4 features of each named set, in mke2fs's words, ext4(5), and those of ext3 and ext2.
//!
//! The list is complete: mke2fs gets `-O none,…`, so that the builder's mke2fs.conf decides nothing.
//! mke2fs of Debian 13 would turn on metadata_csum_seed, which GRUB of Debian 11 cannot read, and
//! orphan_file, which fsck before e2fsprogs 1.47 refuses.

use super::Ext4Set;

/// What ext2 has had since Linux 2.6.
const EXT2: &[&str] = &["ext_attr", "resize_inode", "dir_index", "filetype", "sparse_super", "large_file"];

/// What makes an ext3 of it.
const JOURNAL: &[&str] = &["has_journal"];

/// What every ext4 driver, GRUB since 2.00 and e2fsck since 1.42 read beyond ext3.
const COMMON: &[&str] = &["extent", "flex_bg", "huge_file", "dir_nlink", "extra_isize"];

/// Group checksums of the time before metadata_csum, which replaces them.
const ANCIENT: &[&str] = &["uninit_bg"];

/// e2fsprogs 1.43 and later, Linux 3.5 and later.
const CLASSIC: &[&str] = &["64bit", "metadata_csum"];

/// e2fsprogs 1.47 and later, GRUB 2.06 as patched by Debian 12 and later.
const MODERN: &[&str] = &["metadata_csum_seed", "orphan_file"];

/// The features of `set`, for `mke2fs -O none,…`.
pub fn ext4_features(set: Ext4Set) -> Vec<&'static str> {
    let parts: &[&[&'static str]] = match set {
        Ext4Set::Ancient => &[EXT2, JOURNAL, COMMON, ANCIENT],
        Ext4Set::Classic => &[EXT2, JOURNAL, COMMON, CLASSIC],
        Ext4Set::Modern => &[EXT2, JOURNAL, COMMON, CLASSIC, MODERN],
    };
    parts.concat()
}

/// The features of an ext3 file system, the same for every release.
pub fn ext3_features() -> Vec<&'static str> {
    [EXT2, JOURNAL].concat()
}

/// The features of an ext2 file system, the same for every release.
pub fn ext2_features() -> Vec<&'static str> {
    EXT2.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_has_its_own_and_nothing_of_later_ones() {
        let cases = [
            (Ext4Set::Ancient, "uninit_bg", "metadata_csum"),
            (Ext4Set::Classic, "metadata_csum", "metadata_csum_seed"),
            (Ext4Set::Classic, "64bit", "uninit_bg"),
            (Ext4Set::Modern, "orphan_file", "uninit_bg"),
        ];
        for (set, has, lacks) in cases {
            let features = ext4_features(set);
            assert!(features.contains(&has), "{set:?} has {has}");
            assert!(!features.contains(&lacks), "{set:?} lacks {lacks}");
            assert!(features.contains(&"extent"), "{set:?} is ext4");
            assert!(ext3_features().iter().all(|feature| features.contains(feature)), "{set:?} extends ext3");
        }
    }

    #[test]
    fn only_ext3_has_a_journal_and_neither_has_what_makes_an_ext4() {
        assert!(ext3_features().contains(&"has_journal"));
        assert!(!ext2_features().contains(&"has_journal"));
        for features in [ext2_features(), ext3_features()] {
            assert!(!features.contains(&"extent") && !features.contains(&"extra_isize"), "{features:?}");
        }
    }
}
