//! The ext4 features of each named set, in mke2fs's words, ext4(5).
//!
//! The list is complete: mke2fs gets `-O none,…`, so that the builder's mke2fs.conf decides nothing.
//! mke2fs of Debian 13 would turn on metadata_csum_seed, which GRUB of Debian 11 cannot read, and
//! orphan_file, which fsck before e2fsprogs 1.47 refuses.

use super::Ext4Set;

/// What every ext4 driver, GRUB since 2.00 and e2fsck since 1.42 read.
const COMMON: &[&str] = &[
    "has_journal",
    "ext_attr",
    "resize_inode",
    "dir_index",
    "filetype",
    "extent",
    "flex_bg",
    "sparse_super",
    "large_file",
    "huge_file",
    "dir_nlink",
    "extra_isize",
];

/// Group checksums of the time before metadata_csum, which replaces them.
const ANCIENT: &[&str] = &["uninit_bg"];

/// e2fsprogs 1.43 and later, Linux 3.5 and later.
const CLASSIC: &[&str] = &["64bit", "metadata_csum"];

/// e2fsprogs 1.47 and later, GRUB 2.06 as patched by Debian 12 and later.
const MODERN: &[&str] = &["metadata_csum_seed", "orphan_file"];

/// The features of `set`, for `mke2fs -O none,…`.
pub fn ext4_features(set: Ext4Set) -> Vec<&'static str> {
    let parts: &[&[&'static str]] = match set {
        Ext4Set::Ancient => &[COMMON, ANCIENT],
        Ext4Set::Classic => &[COMMON, CLASSIC],
        Ext4Set::Modern => &[COMMON, CLASSIC, MODERN],
    };
    parts.concat()
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
        }
    }
}
