//! What the columns of a line mean.

use std::path::Path;

use super::Line;
use super::columns::Column;
use crate::disk::layout::{ESP_MOUNT, FileSystem, LONGEST_SWAP_LABEL, Purpose, Wish};
use crate::disk::lvm;
use crate::error::Problem;
use crate::near;
use crate::units::Size;

/// What may follow size, device and file name.
const KEYS: [&str; 5] = ["fs", "label", "options", "vg", "grow"];

/// File systems of the kernel's own, and of udev and systemd; with the links that lead there.
const KERNEL_MOUNTS: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/var/lock", "/var/run"];

/// What has to be on the root file system: the table of mounts itself, and links into /usr.
const ROOT_ONLY: [&str; 8] = ["/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/sbin"];

/// Bytes of the longest path that the kernel takes (`PATH_MAX` with the end mark).
const LONGEST_PATH: usize = 4095;

/// A line's columns, as far as they were understood.
#[derive(Default)]
struct Keys<'a> {
    kind: Option<(FileSystem, Column<'a>)>,
    label: Option<Column<'a>>,
    options: Option<Column<'a>>,
    group: Option<Column<'a>>,
    grow: Option<Column<'a>>,
    positional: Vec<Column<'a>>,
}

/// Reads a line that is a partition. Returns it with warnings, or every problem in it.
pub(super) fn line<'a>(columns: &[Column<'a>], file: &str) -> Result<(Line<'a>, Vec<Problem>), Vec<Problem>> {
    let mut problems = Vec::new();
    let [first, rest @ ..] = columns else { return Err(problems) };
    let mut note = |result: Result<(), (Column<'a>, String, String)>| {
        if let Err((column, message, help)) = result {
            problems.push(column.problem(file, message, Some(help)));
        }
    };
    let mount = mount(*first).map_err(|error| note(Err(error))).ok();
    let size = match rest.first() {
        Some(column) => size(*column).map_err(|error| note(Err(error))).ok(),
        None => {
            let message = format!("{} has no size", first.text);
            note(Err((*first, message, "Write a number of MiB after it, or one with k, M, G or T.".into())));
            None
        }
    };
    let mut keys = Keys::default();
    for column in rest.iter().skip(1) {
        note(keys.read(*column));
    }
    let is_swap = first.text == "swap";
    for result in keys.fit(is_swap) {
        note(result);
    }
    let (Some(mount), Some(size), true) = (mount, size, problems.is_empty()) else { return Err(problems) };
    let kind = keys.kind.map_or(FileSystem::Ext4, |(kind, _)| kind);
    let text = |column: Option<Column<'_>>| column.map(|column| column.text.to_owned());
    let purpose = match mount {
        Some(mount) => Purpose::Files { mount, kind, options: text(keys.options) },
        None => Purpose::Swap,
    };
    let wish = Wish {
        purpose,
        size: Some(size),
        label: text(keys.label),
        grows: keys.grow.is_some(),
        group: text(keys.group),
    };
    let warnings = keys.positional.iter().zip(["device", "file name"]).map(|(column, what)| {
        let message = format!("the {what} `{}` means nothing in a disk image", column.text);
        column.problem(file, message, Some("Xen's images of single partitions have use for it.".into()))
    });
    let size = rest.first().copied();
    let line = Line { wish, mount: *first, size, group: keys.group, grow: keys.grow };
    Ok((line, warnings.collect()))
}

/// What stands for a line that was not understood, so that nothing else is found wrong for its sake.
pub(super) fn placeholder<'a>(first: &Column<'a>) -> Option<Line<'a>> {
    let mount = mount(*first).ok()?;
    let wish = match mount {
        Some(mount) => Wish::ext4(&mount, None),
        None => Wish::swap(Size(0)),
    };
    Some(Line { wish, mount: *first, size: None, group: None, grow: None })
}

type Fault<'a> = (Column<'a>, String, String);

/// The mount point; none for swap.
fn mount(column: Column<'_>) -> Result<Option<String>, Fault<'_>> {
    let fault = |message: String, help: &str| Err((column, message, help.to_owned()));
    let text = match column.text {
        "swap" => return Ok(None),
        "root" => "/",
        text => text,
    };
    if !text.starts_with('/') {
        let help = near::question(text, ["root", "swap"])
            .unwrap_or_else(|| format!("Write `/{text}`, or root or swap."));
        return fault(format!("`{text}` is no mount point"), &help);
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._+-/".contains(letter);
    if !text.chars().all(plain) || text.len() > LONGEST_PATH {
        return fault(
            format!("`{text}` cannot be a mount point"),
            "Mount points have letters, digits and `._+-` between their slashes.",
        );
    }
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| [".", ".."].contains(name)) {
        return fault(format!("the mount point `{text}` has dots for a directory"), "Write the whole path.");
    }
    let mount = format!("/{}", names.join("/"));
    let is_of = |known: &&str| Path::new(&mount).starts_with(known);
    if KERNEL_MOUNTS.iter().any(is_of) {
        return fault(format!("{mount} is the kernel's own"), "Leave the line out.");
    }
    if ROOT_ONLY.iter().any(is_of) {
        return fault(format!("{mount} has to be on the root file system"), "Leave the line out.");
    }
    if is_of(&ESP_MOUNT) {
        return fault(
            format!("the partition for {ESP_MOUNT} is made anyway"),
            "Leave the line out: every disk that UEFI starts has one.",
        );
    }
    Ok(Some(mount))
}

fn size(column: Column<'_>) -> Result<Size, Fault<'_>> {
    let help = "Write a number of MiB, or one with k, M, G or T, such as 4096 or 4G.";
    match column.text.parse::<Size>() {
        Ok(Size(0)) => Err((column, "a partition of no size".into(), "Leave the line out.".into())),
        Ok(size) => Ok(size),
        Err(_) => Err((column, format!("`{}` is not a size", column.text), help.into())),
    }
}

impl<'a> Keys<'a> {
    fn read(&mut self, column: Column<'a>) -> Result<(), Fault<'a>> {
        let (key, value) = match column.text.split_once('=') {
            Some((key, _)) => (key, Some(column.from(key.len() + 1))),
            None => (column.text, None),
        };
        let slot = match key {
            "fs" => return self.kind(column, value),
            "label" => &mut self.label,
            "options" => &mut self.options,
            "vg" => &mut self.group,
            "grow" => &mut self.grow,
            _ if value.is_none() => return self.position(column),
            _ => {
                let help = near::question(key, KEYS).unwrap_or_else(|| format!("Keys: {}.", KEYS.join(", ")));
                return Err((column, format!("there is no key `{key}`"), help));
            }
        };
        if slot.is_some() {
            return Err((column, format!("{key} is there twice"), "Leave one of them out.".into()));
        }
        *slot = match (key, value) {
            ("grow", None) => Some(column),
            ("grow", Some(value)) => {
                return Err((value, "grow has no value".into(), "Write `grow` alone.".into()));
            }
            (_, Some(value)) if !value.text.is_empty() => Some(value),
            _ => {
                return Err((
                    column,
                    format!("{key} has no value"),
                    format!("Write `{key}=` and the value."),
                ));
            }
        };
        Ok(())
    }

    fn kind(&mut self, column: Column<'a>, value: Option<Column<'a>>) -> Result<(), Fault<'a>> {
        let value = value.unwrap_or(column);
        let names = FileSystem::ALL.map(FileSystem::name);
        let Some(kind) = FileSystem::find(value.text) else {
            let help = near::question(value.text, names)
                .unwrap_or_else(|| format!("File systems: {}.", names.join(", ")));
            return Err((value, format!("there is no file system `{}`", value.text), help));
        };
        match self.kind.replace((kind, value)) {
            None => Ok(()),
            Some(_) => Err((column, "fs is there twice".into(), "Leave one of them out.".into())),
        }
    }

    /// vmbuilder's third and fourth column.
    fn position(&mut self, column: Column<'a>) -> Result<(), Fault<'a>> {
        if let Some(question) = near::question(column.text, KEYS).filter(|_| self.positional.len() >= 2) {
            return Err((column, format!("`{}` is not understood", column.text), question));
        }
        if self.positional.len() >= 2 {
            let help = "After the size there may be a device, a file name, and `key=value`.";
            return Err((column, format!("there is no column for `{}`", column.text), help.into()));
        }
        self.positional.push(column);
        Ok(())
    }

    /// Whether the values fit together.
    fn fit(&self, is_swap: bool) -> Vec<Result<(), Fault<'a>>> {
        let mut results = Vec::new();
        let mut fault = |column: Column<'a>, message: String, help: &str| {
            results.push(Err((column, message, help.to_owned())));
        };
        if is_swap {
            for (key, column) in [("fs", self.kind.map(|(_, column)| column)), ("options", self.options)] {
                if let Some(column) = column {
                    fault(column, format!("swap takes no {key}"), "Leave it out.");
                }
            }
        }
        if let Some(label) = self.label {
            let kind = self.kind.map_or(FileSystem::Ext4, |(kind, _)| kind);
            let (what, longest) = match is_swap {
                true => ("swap", LONGEST_SWAP_LABEL),
                false => (kind.name(), kind.longest_label()),
            };
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
            if label.text.len() > longest {
                let message = format!("the label has {} characters", label.text.len());
                fault(label, message, &format!("{what} has room for {longest}."));
            } else if !label.text.chars().all(plain) {
                fault(label, "this cannot be a label".into(), "Labels have letters, digits and `._+-`.");
            }
        }
        if let Some(options) = self.options {
            let plain = |letter: char| letter.is_ascii_graphic() && !"\"'\\`".contains(letter);
            let has_gap = options.text.split(',').any(str::is_empty);
            if has_gap || !options.text.chars().all(plain) {
                let help = "Write options as in fstab, with commas between: options=noatime,nodev.";
                fault(options, "these are no mount options".into(), help);
            }
        }
        if let Some(group) = self.group
            && lvm::check_name(group.text).is_err()
        {
            let help = "Names have letters, digits and `+_.-`, and no `-` at the start.";
            fault(group, format!("`{}` cannot be the name of a volume group", group.text), help);
        }
        if let Some(grow) = self.grow {
            let kind = self.kind.map(|(kind, _)| kind);
            match kind.filter(|kind| !kind.can_grow()) {
                Some(kind) => fault(grow, format!("{} cannot grow", kind.name()), "Leave `grow` out."),
                None if is_swap => fault(grow, "swap does not grow".into(), "Leave `grow` out."),
                None => {}
            }
        }
        results
    }
}
