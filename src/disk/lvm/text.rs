//! The description of a volume group as LVM2 writes it down (LVM2, lib/format_text/export.c; shown by
//! `vgcfgbackup`): sections in braces, `name = value` lines, numbers in sectors and extents.

use std::fmt::{self, Write};

use super::{DATA_START, EXTENT, Group, Place, SECTOR, id};

/// Who made it, where LVM2 names the host.
const MAKER: &str = "rvmb";

/// The description of `group`, whose logical volumes lie at `places`.
pub(super) fn describe(group: &Group, places: &[Place]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_group(&mut text, group, places);
    text
}

fn write_group(text: &mut String, group: &Group, places: &[Place]) -> fmt::Result {
    writeln!(text, "{} {{", group.name)?;
    writeln!(text, "id = \"{}\"", id(group.uuid))?;
    // How often it was changed: 1 is the first.
    writeln!(text, "seqno = 1")?;
    writeln!(text, "format = \"lvm2\"")?;
    writeln!(text, "status = [\"RESIZEABLE\", \"READ\", \"WRITE\"]")?;
    writeln!(text, "flags = []")?;
    writeln!(text, "extent_size = {}", EXTENT / SECTOR)?;
    // No limits, and every physical volume holds this description.
    writeln!(text, "max_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n")?;
    write_physical(text, group)?;
    if !group.logical.is_empty() {
        write_logical(text, group, places)?;
    }
    writeln!(text, "}}\n")?;
    writeln!(text, "contents = \"Text Format Volume Group\"\nversion = 1\n")?;
    writeln!(text, "description = \"\"\n")?;
    writeln!(text, "creation_host = \"{MAKER}\"")?;
    writeln!(text, "creation_time = {}\n", group.epoch.max(0))
}

fn write_physical(text: &mut String, group: &Group) -> fmt::Result {
    writeln!(text, "physical_volumes {{")?;
    for (number, volume) in group.physical.iter().enumerate() {
        writeln!(text, "\npv{number} {{")?;
        writeln!(text, "id = \"{}\"", id(volume.uuid))?;
        // A hint only: the guest finds its volumes by their identifiers.
        writeln!(text, "device = \"unknown\"\n")?;
        writeln!(text, "status = [\"ALLOCATABLE\"]\nflags = []")?;
        writeln!(text, "dev_size = {}", volume.size / SECTOR)?;
        writeln!(text, "pe_start = {}", DATA_START / SECTOR)?;
        writeln!(text, "pe_count = {}\n}}", volume.extents())?;
    }
    writeln!(text, "}}\n")
}

fn write_logical(text: &mut String, group: &Group, places: &[Place]) -> fmt::Result {
    writeln!(text, "logical_volumes {{")?;
    for (volume, place) in group.logical.iter().zip(places) {
        writeln!(text, "\n{} {{", volume.name)?;
        writeln!(text, "id = \"{}\"", id(volume.uuid))?;
        writeln!(text, "status = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = []")?;
        writeln!(text, "creation_time = {}", group.epoch.max(0))?;
        writeln!(text, "creation_host = \"{MAKER}\"")?;
        writeln!(text, "segment_count = 1\n")?;
        writeln!(text, "segment1 {{\nstart_extent = 0")?;
        writeln!(text, "extent_count = {}\n", place.size / EXTENT)?;
        // A linear volume is one of a single stripe.
        writeln!(text, "type = \"striped\"\nstripe_count = 1\n")?;
        writeln!(text, "stripes = [\n\"pv{}\", {}\n]\n}}\n}}", place.physical, place.first)?;
    }
    writeln!(text, "}}\n")
}
