//! Which cluster of the image holds what. Pure: from the size of the disk and its clusters that hold data
//! to the bytes of header and tables.
//!
//! An image is, in this order: header, refcount table, refcount blocks, L1 table, L2 tables, data in the
//! order of the disk. So all tables are known before the first byte of data is copied, the file can be
//! hashed from its front to its end while it is written, and every cluster of it is used exactly once.
//!
//! Named sections are those of docs/interop/qcow2.rst of QEMU.

use std::ops::Range;

/// Clusters of 64 KiB, as qemu-img makes them.
pub(super) const USUAL_CLUSTER_BITS: u32 = 16;

/// Section "Header", bytes 0 to 3: `QFI\xfb`.
const MAGIC: u32 = 0x5146_49fb;
/// Section "Header", bytes 4 to 7.
const VERSION: u32 = 3;
/// Section "Header", bytes 96 to 99: refcounts of 1 << 4 bits.
const REFCOUNT_ORDER: u32 = 4;
/// Bytes of a refcount.
const REFCOUNT_BYTES: u64 = (1 << REFCOUNT_ORDER) / 8;
/// Section "Header", bytes 100 to 103: the least that version 3 allows. The zeros that follow are the
/// end of section "Header extensions".
const HEADER_LENGTH: u32 = 104;
/// Bytes of an entry of a refcount table, an L1 table or an L2 table.
const ENTRY_BYTES: u64 = 8;
/// Sections "L1 table entry" and "L2 table entry", bit 63: the refcount is exactly one.
const COPIED: u64 = 1 << 63;
/// `QCOW_MAX_L1_SIZE` of QEMU's block/qcow2.h: disks of 2 PiB, with the usual clusters.
const MAX_L1_BYTES: u64 = 32 << 20;
/// `QCOW_MAX_REFTABLE_SIZE` of QEMU's block/qcow2.h: images of 2 PiB, with the usual clusters.
const MAX_REFCOUNT_TABLE_BYTES: u64 = 8 << 20;
/// QEMU counts disks in sectors of this many bytes.
const SECTOR: u64 = 512;

/// Why there is no image of a disk.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LayoutError {
    /// The last sector is not whole.
    #[error("a disk of {0} bytes is no whole number of sectors")]
    Unaligned(u64),
    /// QEMU would not open it.
    #[error("a disk of {0} bytes is larger than a qcow2 image can be")]
    TooLarge(u64),
}

/// Neighbouring clusters of the disk that hold data.
#[derive(Debug)]
struct Run {
    /// The first one, by its number on the disk.
    start: u64,
    /// How many.
    count: u64,
    /// How many clusters with data lie before it.
    before: u64,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + self.count
    }

    fn clusters(&self) -> Range<u64> {
        self.start..self.end()
    }
}

/// Sizes of tables, as the header has them.
#[derive(Debug)]
struct HeaderSizes {
    l1_entries: u32,
    refcount_table_clusters: u32,
}

impl HeaderSizes {
    /// None where QEMU would refuse them.
    fn new(l1_entries: u64, refcount_table_clusters: u64, cluster: u64) -> Option<Self> {
        let fit = l1_entries <= MAX_L1_BYTES / ENTRY_BYTES
            && refcount_table_clusters <= MAX_REFCOUNT_TABLE_BYTES / cluster;
        let l1_entries = u32::try_from(l1_entries).ok().filter(|_| fit)?;
        Some(HeaderSizes { l1_entries, refcount_table_clusters: refcount_table_clusters.try_into().ok()? })
    }
}

/// An image, but for its data. Numbers count clusters where they do not say bytes.
#[derive(Debug)]
pub(super) struct Layout {
    cluster_bits: u32,
    /// Size of the disk in bytes.
    size: u64,
    sizes: HeaderSizes,
    runs: Vec<Run>,
    /// Entries of the L1 table that have an L2 table, in the order of those tables.
    l2_of: Vec<u64>,
    refcount_table: Range<u64>,
    refcount_blocks: Range<u64>,
    l1: Range<u64>,
    l2: Range<u64>,
    data: Range<u64>,
}

impl Layout {
    /// The image of a disk of `size` bytes with data in the clusters `allocated`, which must be ranges
    /// in their order.
    pub(super) fn new(cluster_bits: u32, size: u64, allocated: &[Range<u64>]) -> Result<Self, LayoutError> {
        if !size.is_multiple_of(SECTOR) {
            return Err(LayoutError::Unaligned(size));
        }
        let cluster = 1 << cluster_bits;
        let entries = cluster / ENTRY_BYTES;
        let l1_entries = size.div_ceil(cluster * entries);
        let runs = runs(allocated);
        let l2_of = l2_tables(&runs, entries);
        let data_count = runs.last().map_or(0, |run| run.before + run.count);
        let l1_count = l1_entries.div_ceil(entries);
        let l2_count = l2_of.len() as u64;
        let (table_count, block_count) = refcount_sizes(cluster, 1 + l1_count + l2_count + data_count);
        let sizes = HeaderSizes::new(l1_entries, table_count, cluster).ok_or(LayoutError::TooLarge(size))?;

        let after = |area: &Range<u64>, count| area.end..area.end + count;
        let refcount_table = after(&(0..1), table_count);
        let refcount_blocks = after(&refcount_table, block_count);
        let l1 = after(&refcount_blocks, l1_count);
        let l2 = after(&l1, l2_count);
        let data = after(&l2, data_count);
        Ok(Layout { cluster_bits, size, sizes, runs, l2_of, refcount_table, refcount_blocks, l1, l2, data })
    }

    /// Bytes of a cluster.
    pub(super) fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Size of the disk in bytes.
    pub(super) fn disk_size(&self) -> u64 {
        self.size
    }

    /// Size of the image in bytes.
    pub(super) fn image_size(&self) -> u64 {
        self.data.end * self.cluster()
    }

    /// Where the data begins in the image, in bytes.
    pub(super) fn data_offset(&self) -> u64 {
        self.data.start * self.cluster()
    }

    /// How many clusters of data there are.
    pub(super) fn data_count(&self) -> u64 {
        self.data.end - self.data.start
    }

    /// The clusters of the disk whose content is that of the clusters `wanted` of the image's data,
    /// counted from its start: ranges, in their order.
    pub(super) fn sources(&self, wanted: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.runs.partition_point(|run| run.before + run.count <= wanted.start);
        let reached = self.runs.iter().skip(first).take_while(move |run| run.before < wanted.end);
        reached.map(move |run| {
            let from = wanted.start.max(run.before) - run.before;
            let to = wanted.end.min(run.before + run.count) - run.before;
            run.start + from..run.start + to
        })
    }

    /// Header and tables, cluster by cluster: all that lies before the data.
    pub(super) fn tables(&self) -> impl Iterator<Item = Vec<u8>> {
        let numbers = |area: &Range<u64>| 0..area.end - area.start;
        let refcount_table = numbers(&self.refcount_table).map(|nth| self.refcount_table(nth));
        let refcounts = numbers(&self.refcount_blocks).map(|nth| self.refcounts(nth));
        let l1 = numbers(&self.l1).map(|nth| self.l1(nth));
        let l2 = self.l2_of.iter().map(|&number| self.l2(number));
        std::iter::once(self.header()).chain(refcount_table).chain(refcounts).chain(l1).chain(l2)
    }

    /// Section "Header". No backing file, no encryption, no snapshots, no features.
    fn header(&self) -> Vec<u8> {
        let Layout { sizes, .. } = self;
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([0; 12]); // backing_file_offset, backing_file_size
        bytes.extend(self.cluster_bits.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend([0; 4]); // crypt_method
        bytes.extend(sizes.l1_entries.to_be_bytes());
        bytes.extend(self.offset(self.l1.start).to_be_bytes());
        bytes.extend(self.offset(self.refcount_table.start).to_be_bytes());
        bytes.extend(sizes.refcount_table_clusters.to_be_bytes());
        bytes.extend([0; 12]); // nb_snapshots, snapshots_offset
        bytes.extend([0; 24]); // incompatible, compatible and autoclear features
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(HEADER_LENGTH.to_be_bytes());
        bytes.extend((bytes.len() as u64..self.cluster()).map(|_| 0));
        bytes
    }

    /// Section "Host cluster management": the offsets of the refcount blocks.
    fn refcount_table(&self, nth: u64) -> Vec<u8> {
        let blocks = &self.refcount_blocks;
        let block = |number| Some(blocks.start + number).filter(|block| blocks.contains(block));
        self.entries(nth, |number| block(number).map_or(0, |block| self.offset(block)))
    }

    /// Section "Host cluster management": one for each cluster of the image, zero behind its end.
    fn refcounts(&self, nth: u64) -> Vec<u8> {
        let count = self.cluster() / REFCOUNT_BYTES;
        let clusters = nth * count..(nth + 1) * count;
        clusters.flat_map(|cluster| u16::from(cluster < self.data.end).to_be_bytes()).collect()
    }

    /// Section "Cluster mapping": the offsets of the L2 tables.
    fn l1(&self, nth: u64) -> Vec<u8> {
        let table = |number| self.l2_of.binary_search(&number).ok().map(|nth| self.l2.start + nth as u64);
        self.entries(nth, |number| table(number).map_or(0, |table| self.offset(table) | COPIED))
    }

    /// Section "Cluster mapping": the offsets of data.
    fn l2(&self, nth: u64) -> Vec<u8> {
        self.entries(nth, |cluster| self.data_of(cluster).map_or(0, |data| self.offset(data) | COPIED))
    }

    /// The cluster of the image that holds this cluster of the disk.
    fn data_of(&self, cluster: u64) -> Option<u64> {
        let run = self.runs.get(self.runs.partition_point(|run| run.end() <= cluster))?;
        run.clusters().contains(&cluster).then(|| self.data.start + run.before + cluster - run.start)
    }

    /// The `nth` cluster of a table of 64-bit entries.
    fn entries(&self, nth: u64, entry: impl Fn(u64) -> u64) -> Vec<u8> {
        let count = self.cluster() / ENTRY_BYTES;
        (nth * count..(nth + 1) * count).flat_map(|number| entry(number).to_be_bytes()).collect()
    }

    /// Where a cluster of the image begins, in bytes.
    fn offset(&self, cluster: u64) -> u64 {
        cluster << self.cluster_bits
    }
}

fn runs(allocated: &[Range<u64>]) -> Vec<Run> {
    let mut before = 0;
    let run = |range: &Range<u64>| {
        let run = Run { start: range.start, count: range.end - range.start, before };
        before += run.count;
        run
    };
    allocated.iter().map(run).collect()
}

/// The L2 tables that are needed, by their numbers, where each maps `entries` clusters.
fn l2_tables(runs: &[Run], entries: u64) -> Vec<u64> {
    let mut tables: Vec<u64> =
        runs.iter().flat_map(|run| run.start / entries..run.end().div_ceil(entries)).collect();
    tables.dedup();
    tables
}

/// Clusters of the refcount table and of the refcount blocks for an image of `others` clusters beside
/// them. Both count themselves, too, so they grow until it fits.
fn refcount_sizes(cluster: u64, others: u64) -> (u64, u64) {
    let (mut table, mut blocks) = (0, 0);
    loop {
        let needed = (others + table + blocks).div_ceil(cluster / REFCOUNT_BYTES);
        if needed == blocks {
            return (table, blocks);
        }
        blocks = needed;
        table = blocks.div_ceil(cluster / ENTRY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{GIB, MIB, TIB};

    const CLUSTER: u64 = 1 << USUAL_CLUSTER_BITS;

    fn layout(size: u64, allocated: &[Range<u64>]) -> Layout {
        Layout::new(USUAL_CLUSTER_BITS, size, allocated).unwrap()
    }

    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn the_tables_of_a_small_disk() {
        let layout = layout(GIB, &[0..2, 8192..8193]);
        let tables: Vec<Vec<u8>> = layout.tables().collect();
        let header = &tables[0];
        assert_eq!(&header[..8], b"QFI\xfb\0\0\0\x03");
        assert_eq!(number(header, 24), GIB);
        assert_eq!(&header[36..40], [0, 0, 0, 2], "a GiB needs two entries");
        assert_eq!(number(header, 40), 3 * CLUSTER, "L1 table");
        assert_eq!(number(header, 48), CLUSTER, "refcount table");
        assert_eq!(&header[56..60], [0, 0, 0, 1]);
        assert_eq!(&header[100..104], [0, 0, 0, 104]);
        assert!(header[104..].iter().all(|&byte| byte == 0));
        assert_eq!(number(&tables[1], 0), 2 * CLUSTER, "refcount block");
        assert_eq!(number(&tables[1], 8), 0);
        assert_eq!(&tables[2][16..20], [0, 1, 0, 0], "nine clusters are used");
        assert_eq!(number(&tables[3], 0), COPIED | (4 * CLUSTER));
        assert_eq!(number(&tables[3], 8), COPIED | (5 * CLUSTER));
        assert_eq!(
            [0, 8, 16].map(|at| number(&tables[4], at)),
            [COPIED | (6 * CLUSTER), COPIED | (7 * CLUSTER), 0]
        );
        assert_eq!(number(&tables[5], 0), COPIED | (8 * CLUSTER));
        assert_eq!(tables.len(), 6);
        assert_eq!((layout.data_offset(), layout.data_count()), (6 * CLUSTER, 3));
        assert_eq!(layout.image_size(), 9 * CLUSTER);
    }

    #[test]
    fn tables_grow_at_their_bounds() {
        // Bytes of the disk, clusters with data; entries and clusters of the L1 table, L2 tables, refcount blocks.
        let cases = [
            (0, 0, [0, 0, 0, 1]),
            (MIB, 0, [1, 1, 0, 1]),
            (MIB, 16, [1, 1, 1, 1]),
            (512 * MIB, 8192, [1, 1, 1, 1]),
            (513 * MIB, 8192, [2, 1, 1, 1]),
            (513 * MIB, 8208, [2, 1, 2, 1]),
            // A block counts 32768 clusters: header, refcount table, block, L1 table and 4 L2 tables are 8.
            (2 * GIB, 32760, [4, 1, 4, 1]),
            (2 * GIB, 32761, [4, 1, 4, 2]),
            (4 * TIB, 0, [8192, 1, 0, 1]),
            (4 * TIB + MIB, 1, [8193, 2, 1, 1]),
            (8 * TIB, 8 * TIB / CLUSTER, [16384, 2, 16384, 4097]),
            (64 * TIB, 64 * TIB / CLUSTER, [131_072, 16, 131_072, 32774]),
        ];
        for (size, data, expected) in cases {
            let layout = layout(size, std::slice::from_ref(&(0..data)));
            let count = |area: &Range<u64>| area.end - area.start;
            let found = [
                u64::from(layout.sizes.l1_entries),
                count(&layout.l1),
                count(&layout.l2),
                count(&layout.refcount_blocks),
            ];
            assert_eq!(found, expected, "{size} bytes, {data} clusters of data");
            let table = u64::from(layout.sizes.refcount_table_clusters);
            assert_eq!(table, expected[3].div_ceil(8192));
            let used = 1 + table + found[1] + found[2] + found[3] + data;
            assert_eq!(layout.image_size(), used * CLUSTER);
            assert!(used <= found[3] * 32768 && used > (found[3] - 1) * 32768);
        }
    }

    #[test]
    fn refcount_blocks_count_themselves() {
        // Clusters of 512 bytes: 256 refcounts in a block, 64 blocks in a cluster of the table.
        assert_eq!(refcount_sizes(512, 1), (1, 1));
        assert_eq!(refcount_sizes(512, 254), (1, 1));
        assert_eq!(refcount_sizes(512, 255), (1, 2));
        assert_eq!(refcount_sizes(512, 64 * 256 - 65), (1, 64));
        assert_eq!(refcount_sizes(512, 64 * 256 - 64), (2, 65));
    }

    #[test]
    fn data_is_found_where_it_lies_on_the_disk() {
        let layout = layout(GIB, &[3..5, 10..11, 20..30]);
        let sources = |wanted| layout.sources(wanted).collect::<Vec<_>>();
        assert_eq!(sources(0..13), [3..5, 10..11, 20..30]);
        assert_eq!(sources(1..4), [4..5, 10..11, 20..21]);
        assert_eq!(sources(2..4), [10..11, 20..21]);
        assert_eq!(sources(2..20), [10..11, 20..30]);
        assert_eq!(sources(13..20), []);
    }

    #[test]
    fn what_qemu_would_not_open_is_refused() {
        let refused = |size| Layout::new(USUAL_CLUSTER_BITS, size, &[]).unwrap_err();
        assert_eq!(refused(1000), LayoutError::Unaligned(1000));
        assert_eq!(refused(2048 * TIB + MIB), LayoutError::TooLarge(2048 * TIB + MIB));
        assert_eq!(layout(2048 * TIB, &[]).sizes.l1_entries, 4 << 20);
    }
}
