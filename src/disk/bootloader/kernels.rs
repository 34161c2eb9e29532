//! Kernels in /boot, the newest first.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::host::tree::Root;

/// Names of kernels: compressed on most architectures, plain on riscv64.
const PREFIXES: [&str; 2] = ["vmlinuz-", "vmlinux-"];

/// A kernel with its initial RAM file system; paths are the guest's.
#[derive(Debug, PartialEq)]
pub(super) struct Kernel {
    pub(super) version: String,
    pub(super) image: String,
    pub(super) initrd: String,
}

/// Finds the kernels of the tree.
pub(super) fn find(guest: &Root) -> Result<Vec<Kernel>> {
    match_up(&guest.names("/boot")?)
}

/// Pairs kernels with their initial RAM file systems; `names` are those of files in /boot.
fn match_up(names: &[String]) -> Result<Vec<Kernel>> {
    let mut kernels = Vec::new();
    let mut lonely = None;
    for name in names {
        let Some(version) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else { continue };
        if !is_plain(version) {
            continue;
        }
        let initrd = format!("initrd.img-{version}");
        if names.contains(&initrd) {
            let (image, initrd) = (format!("/boot/{name}"), format!("/boot/{initrd}"));
            kernels.push(Kernel { version: version.to_owned(), image, initrd });
        } else {
            lonely = Some(name);
        }
    }
    kernels.sort_by(|one, other| compare(&other.version, &one.version));
    match (kernels.is_empty(), lonely) {
        (false, _) => Ok(kernels),
        (true, Some(name)) => Err(Error::build(format!("/boot/{name} has no initial RAM file system"))
            .hint("The package initramfs-tools or dracut has to be installed, and to succeed.")),
        (true, None) => Err(Error::build("there is no kernel in /boot of the tree")
            .hint("The machine cannot boot without the kernel's package.")),
    }
}

/// Whether a version may stand in GRUB's configuration as it is.
fn is_plain(version: &str) -> bool {
    !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c))
}

/// Compares versions as dpkg does (deb-version(7)): runs of digits by value, others by character, letters
/// before signs, and `~` before even the end.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    while !(one.is_empty() && other.is_empty()) {
        let (word, rest) = split(one, |c| !c.is_ascii_digit());
        let (other_word, other_rest) = split(other, |c| !c.is_ascii_digit());
        let weights = |word: &str| word.chars().map(weight).chain([0]).collect::<Vec<_>>();
        let (number, rest) = split(rest, |c| c.is_ascii_digit());
        let (other_number, other_rest) = split(other_rest, |c| c.is_ascii_digit());
        let digits = |number: &str| number.trim_start_matches('0').to_owned();
        let (number, other_number) = (digits(number), digits(other_number));
        let order = weights(word)
            .cmp(&weights(other_word))
            .then(number.len().cmp(&other_number.len()))
            .then(number.cmp(&other_number));
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// The end of the text weighs 0.
fn weight(c: char) -> i64 {
    match c {
        '~' => -1,
        c if c.is_ascii_alphabetic() => i64::from(u32::from(c)),
        c => i64::from(u32::from(c)) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        match_up(&names).unwrap().into_iter().map(|kernel| kernel.version).collect()
    }

    #[test]
    fn the_newest_kernel_comes_first() {
        let names = ["initrd.img-6.1.0-9-amd64", "initrd.img-6.1.0-56-amd64", "config-6.1.0-56-amd64"];
        let names: Vec<&str> =
            names.into_iter().chain(["vmlinuz-6.1.0-56-amd64", "vmlinuz-6.1.0-9-amd64"]).collect();
        assert_eq!(versions(&names), ["6.1.0-56-amd64", "6.1.0-9-amd64"]);
    }

    #[test]
    fn a_kernel_without_initrd_or_with_a_strange_name_is_passed_over() {
        let names = ["initrd.img-6", "initrd.img-6$(reboot)", "vmlinuz-6", "vmlinuz-6$(reboot)", "vmlinuz-7"];
        assert_eq!(versions(&names), ["6"]);
    }

    #[test]
    fn no_kernel_is_an_error() {
        assert!(match_up(&[]).unwrap_err().message().contains("no kernel"));
        assert!(match_up(&["vmlinuz-6".into()]).unwrap_err().message().contains("vmlinuz-6"));
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let rising = ["5.10.0", "6.1~rc3", "6.1", "6.1.0a", "6.1.0+b", "6.1.0-9", "6.1.0-56", "6.12"];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("6.01", "6.1"), Ordering::Equal);
    }
}
