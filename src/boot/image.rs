//! Which images are meant, in which formats they are, and what their manifest promises of the guest.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::promises::{self, Mark, Place, Promises};
use super::vmdk;
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::MANIFEST;

/// Bytes of a manifest that are read at most; one with some thousand packages has a tenth of it.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// Bytes of an image that tell its format, and whether it is whole.
const HEADER: u64 = vmdk::LOOKED_AT as u64;

/// A machine's images and what is known of it.
#[derive(Debug, PartialEq)]
pub(super) struct Subject {
    /// The disk images; the first one is started.
    pub(super) images: Vec<Image>,
    /// What their manifest says; none for an image without one.
    pub(super) promises: Option<Promises>,
}

/// A disk image.
#[derive(Debug, PartialEq)]
pub(super) struct Image {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its format.
    pub(super) format: Format,
}

/// Finds the images in `path`: an output directory of rvmb, or an image itself.
pub(super) fn find(path: &Path) -> Result<Subject> {
    let looking = || format!("looking for the image {}", path.display());
    let metadata = std::fs::metadata(path).context(Kind::Usage, looking)?;
    // qemu-img takes `nbd:x` for an address and `json:{}` for options, and nothing that begins with `/`.
    let path = &std::path::absolute(path).context(Kind::Usage, looking)?;
    if !metadata.is_dir() {
        let image = Image { format: detect(path)?, path: path.to_owned() };
        return Ok(Subject { images: vec![image], promises: None });
    }
    let manifest = path.join(MANIFEST);
    let (places, promises) = promises::parse(&read_manifest(&manifest)?)
        .map_err(|error| error.within(format!("reading {}", manifest.display())))?;
    let images = places.into_iter().map(|place| located(&manifest, place)).collect::<Result<_>>()?;
    Ok(Subject { images, promises: Some(promises) })
}

/// The disk that a manifest places there.
fn located(manifest: &Path, place: Place) -> Result<Image> {
    match place {
        Place::Image(name) => {
            let path = manifest.with_file_name(name);
            Ok(Image { format: detect(&path)?, path })
        }
        Place::Raw(path, mark) => {
            is_of_someone_trusted(manifest)?;
            is_file_or_disk(&path)?;
            is_the_one(manifest, &path, mark)?;
            // A guest writes to its disk whatever it likes, the header of another format, too.
            Ok(Image { path, format: Format::Raw })
        }
    }
}

fn read_manifest(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).map_err(|error| {
        Error::usage(format!("opening {}", path.display()))
            .because(&error)
            .hint("Name an output directory of rvmb, which has a manifest.json, or a disk image.")
    })?;
    let mut text = String::new();
    file.take(LARGEST_MANIFEST + 1)
        .read_to_string(&mut text)
        .context(Kind::Config, || format!("reading {}", path.display()))?;
    if text.len() as u64 > LARGEST_MANIFEST {
        return Err(Error::config(format!("{} is larger than {LARGEST_MANIFEST} bytes", path.display())));
    }
    Ok(text)
}

/// Refuses a manifest of somebody else's that leads away from its directory: it could have any file of this
/// user's read.
fn is_of_someone_trusted(manifest: &Path) -> Result<()> {
    let context = || format!("looking at {}", manifest.display());
    let owner = std::fs::metadata(manifest).context(Kind::Usage, context)?.uid();
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::usage(format!("{} names a disk elsewhere, and belongs to somebody else", manifest.display()))
        .hint("If you trust whoever made it, name the disk itself."))
}

/// Refuses a disk elsewhere that is not the one which the manifest was written with: whoever downloads a
/// manifest owns it, and it may name any disk of this host.
fn is_the_one(manifest: &Path, disk: &Path, mark: Mark) -> Result<()> {
    let context = || format!("reading {}", disk.display());
    let file = std::fs::File::open(disk).context(Kind::Usage, context)?;
    let mut start = Vec::new();
    file.take(Mark::LOOKED_AT as u64).read_to_end(&mut start).context(Kind::Usage, context)?;
    if mark.is_at(&start) {
        return Ok(());
    }
    Err(Error::usage(format!("{} is not the disk that {} is about", disk.display(), manifest.display()))
        .hint("If it is the disk that you mean, name the disk itself."))
}

/// Formats of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The disk's bytes.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
}

impl Format {
    /// qemu-img's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vdi => "vdi",
            Format::Vhdx => "vhdx",
        }
    }
}

/// Refuses what to open could wait for ever, as for the other end of a pipe.
fn is_file_or_disk(image: &Path) -> Result<()> {
    let reading = || format!("reading {}", image.display());
    let kind = std::fs::metadata(image).context(Kind::Usage, reading)?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Err(Error::usage(format!("{} is neither a file nor a disk", image.display())));
    }
    Ok(())
}

fn detect(image: &Path) -> Result<Format> {
    is_file_or_disk(image)?;
    let reading = || format!("reading {}", image.display());
    let file = std::fs::File::open(image).context(Kind::Usage, || format!("opening {}", image.display()))?;
    let mut header = Vec::new();
    file.take(HEADER).read_to_end(&mut header).context(Kind::Usage, reading)?;
    if header.is_empty() {
        return Err(Error::usage(format!("{} is empty", image.display())));
    }
    // A guest writes to its raw disk whatever it likes, the header of another format, too: the name decides.
    if image.extension().is_some_and(|extension| extension == "raw") {
        return Ok(Format::Raw);
    }
    let format = parse_header(&header);
    match leans_on_other_files(format, &header) {
        None => Ok(format),
        Some(why) => Err(Error::usage(format!("{} needs another file beside it: {why}", image.display()))
            .hint("If you trust whoever made it: make it whole with `qemu-img convert -O qcow2`, and name the result.")),
    }
}

/// The format that an image's first bytes tell: qcow2 (QEMU, docs/interop/qcow2.txt), vmdk (Virtual Disk
/// Format 5.0, sparse extent and descriptor), vdi (VirtualBox, VDICore.h), vhdx (MS-VHDX 2.2.1).
fn parse_header(header: &[u8]) -> Format {
    const VDI_SIGNATURE_AT: usize = 0x40;
    const VDI_SIGNATURE: [u8; 4] = 0xbeda_107f_u32.to_le_bytes();
    if header.starts_with(b"QFI\xfb") {
        Format::Qcow2
    } else if header.starts_with(vmdk::SPARSE_MAGIC) || header.starts_with(vmdk::TEXT_MAGIC) {
        Format::Vmdk
    } else if header.get(VDI_SIGNATURE_AT..).is_some_and(|bytes| bytes.starts_with(&VDI_SIGNATURE)) {
        Format::Vdi
    } else if header.starts_with(b"vhdxfile") {
        Format::Vhdx
    } else {
        Format::Raw
    }
}

/// Why an image may need other files than itself; none where it is whole. Such an image could make us
/// read any file of this host. Raw disks have no pointers; VDI and VHDX name a parent by its id alone, and
/// QEMU refuses those that have one (block/vdi.c, `uuid_link`; block/vhdx.c, `VHDX_PARAMS_HAS_PARENT`).
fn leans_on_other_files(format: Format, header: &[u8]) -> Option<&'static str> {
    match format {
        Format::Qcow2 => qcow2_defect(header),
        Format::Vmdk => vmdk::defect(header),
        Format::Raw | Format::Vdi | Format::Vhdx => None,
    }
}

/// Whether a qcow2 image names a backing file (offset at byte 8) or keeps its data outside (bit 2 of the
/// incompatible features at byte 72, version 3).
fn qcow2_defect(header: &[u8]) -> Option<&'static str> {
    const EXTERNAL_DATA: u64 = 1 << 2;
    let u32_at = |at: usize| header.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
    let u64_at = |at: usize| header.get(at..)?.first_chunk().copied().map(u64::from_be_bytes);
    let version_3 = u32_at(4).is_some_and(|version| version >= 3);
    if u64_at(8).is_some_and(|offset| offset != 0) {
        Some("it has a backing file")
    } else if version_3 && u64_at(72).is_some_and(|features| features & EXTERNAL_DATA != 0) {
        Some("it keeps its data elsewhere")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_to_the_disk_that_was_written_onto() {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("elsewhere");
        let path = disk.display();
        let text = format!(
            r#"{{"plan": {{"disks": [{{"image": "{path}", "table": "msdos", "guid": "01020304-0000-0000-0000-000000000000"}}],
                "output": {{"raws": [{{"path": "{path}"}}]}}}}}}"#
        );
        let manifest = directory.path().join(MANIFEST);
        std::fs::write(&manifest, text).unwrap();
        assert_eq!(find(directory.path()).unwrap_err().kind(), Kind::Usage);
        // Whatever a guest has written to its start.
        let mut start = b"QFI\xfb\0\0\0\x03".to_vec();
        start.resize(512, 0);
        std::fs::write(&disk, &start).unwrap();
        let error = find(directory.path()).unwrap_err();
        assert!(error.message().contains("is not the disk"), "{error}");
        start[440..444].copy_from_slice(&[4, 3, 2, 1]);
        start[510..].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&disk, &start).unwrap();
        let subject = find(directory.path()).unwrap();
        assert_eq!(subject.images, [Image { path: disk, format: Format::Raw }]);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&manifest, Some(65534), None).unwrap();
            assert!(find(directory.path()).unwrap_err().message().contains("somebody else"));
        }
    }

    #[test]
    fn formats_are_told_by_their_headers() {
        let mut vdi = vec![b' '; 0x40];
        vdi.extend(0xbeda_107f_u32.to_le_bytes());
        let cases: [(&[u8], Format); 7] = [
            (b"QFI\xfb\0\0\0\x03", Format::Qcow2),
            (b"KDMV\x03", Format::Vmdk),
            (b"# Disk DescriptorFile\n", Format::Vmdk),
            (&vdi, Format::Vdi),
            (b"vhdxfile", Format::Vhdx),
            (b"\xeb\x63\x90", Format::Raw),
            (b"Q", Format::Raw),
        ];
        for (header, format) in cases {
            assert_eq!(parse_header(header), format);
        }
    }

    #[test]
    fn an_image_that_leans_on_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("overlay.qcow2");
        let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
        header.resize(104, 0);
        std::fs::write(&image, &header).unwrap();
        assert_eq!(find(&image).unwrap().images[0].format, Format::Qcow2);

        header[79] = 4;
        std::fs::write(&image, &header).unwrap();
        assert_eq!(find(&image).unwrap_err().kind(), Kind::Usage);
        header[79] = 0;
        header[15] = 1;
        std::fs::write(&image, &header).unwrap();
        assert_eq!(find(&image).unwrap_err().kind(), Kind::Usage);

        let text = "# Disk DescriptorFile\nparentCID=ffffffff\nRW 8 FLAT \"/etc/passwd\" 0\n";
        std::fs::write(&image, text).unwrap();
        let error = find(&image).unwrap_err();
        assert!(error.message().ends_with("it is a description of other files"), "{error}");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(find(&pipe).unwrap_err().message().ends_with("is neither a file nor a disk"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find(&directory.path().join("none")).unwrap_err().kind(), Kind::Usage);
        let error = find(directory.path()).unwrap_err();
        assert_eq!(error.hints().len(), 1);
        let empty = directory.path().join("empty.raw");
        std::fs::write(&empty, "").unwrap();
        assert!(find(&empty).unwrap_err().message().ends_with("is empty"));
    }
}
