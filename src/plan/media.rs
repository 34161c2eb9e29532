//! Packages that are at hand: an installation medium, and the archive of debootstrap's `--make-tarball`.
//!
//! Neither decides anything. The index is the mirror's, with its signature; a medium only saves the
//! download of those packages that it has, to the byte.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Medium, MediumKind};
use crate::appliance::Appliance;
use crate::error::{About, Context, Error, Kind, Result};
use crate::host::{GZIP, iso9660};

/// Where a tar header says that it is one: POSIX.1-1988 (ustar) and GNU alike.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// The media that the user named, and what is wrong with them.
pub(super) fn read(appliance: &Appliance) -> (Vec<Medium>, Vec<Error>) {
    let named = [
        ("--iso", MediumKind::Iso, &appliance.iso),
        ("--debootstrap-tarball", MediumKind::Tarball, &appliance.tarball),
    ];
    let (mut media, mut problems) = (Vec::new(), Vec::new());
    for (option, kind, path) in named {
        let Some(path) = path else { continue };
        match medium(option, kind, path).about(option) {
            Ok(medium) => media.push(medium),
            Err(error) => problems.push(error),
        }
    }
    (media, problems)
}

fn medium(option: &str, kind: MediumKind, path: &Path) -> Result<Medium> {
    let context = || format!("reading {option} {}", path.display());
    let cure = || format!("{option} takes the name of a file.");
    let metadata =
        std::fs::metadata(path).context(Kind::Config, context).map_err(|error| error.hint(cure()))?;
    let is_device = std::os::unix::fs::FileTypeExt::is_block_device(&metadata.file_type());
    // An optical drive is as good as its image.
    let is_readable = metadata.is_file() || (is_device && kind == MediumKind::Iso);
    if !is_readable {
        return Err(Error::config(format!("{option} {} is not a file", path.display())).hint(cure()));
    }
    let mut file = File::open(path).context(Kind::Config, context)?;
    match kind {
        MediumKind::Iso if !iso9660::is_one(&mut file).context(Kind::Config, context)? => {
            return Err(Error::config(format!("{option} {} is not an ISO 9660 image", path.display()))
                .hint("Name the image of an installation medium, such as debian-12-amd64-DVD-1.iso."));
        }
        MediumKind::Iso => {}
        MediumKind::Tarball => tarball(option, path, &mut file)?,
    }
    let path = std::path::absolute(path).context(Kind::Config, context)?;
    Ok(Medium { kind, path })
}

/// Whether a file begins as an archive that can be read.
fn tarball(option: &str, path: &Path, file: &mut File) -> Result<()> {
    let mut head = Vec::new();
    file.take(512)
        .read_to_end(&mut head)
        .context(Kind::Config, || format!("reading {option} {}", path.display()))?;
    let is_tar = head.get(TAR_MAGIC).is_some_and(|magic| magic == b"ustar");
    if head.starts_with(&GZIP) || is_tar {
        return Ok(());
    }
    Err(Error::config(format!("{option} {} is no tar archive, plain or with gzip", path.display())).hint(
        "Make one with `debootstrap --make-tarball=FILE SUITE DIR`; take another compression off it first.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_medium_is_refused_by_name() {
        let room = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = room.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let text = file("text", b"hello");
        let xz = file("debs.tar.xz", &[0xfd, b'7', b'z', b'X', b'Z', 0]);
        let gzip = file("debs.tgz", &GZIP);
        let mut descriptor = vec![0; 18 * 2048];
        descriptor[16 * 2048 + 1..16 * 2048 + 6].copy_from_slice(b"CD001");
        let iso = file("dvd.iso", &descriptor);
        let none = room.path().join("none");
        let directory = room.path().to_owned();
        let cases = [
            (MediumKind::Iso, &iso, None),
            (MediumKind::Tarball, &gzip, None),
            (MediumKind::Iso, &text, Some("not an ISO 9660 image")),
            (MediumKind::Iso, &gzip, Some("not an ISO 9660 image")),
            (MediumKind::Iso, &none, Some("none")),
            (MediumKind::Iso, &directory, Some("is not a file")),
            (MediumKind::Tarball, &xz, Some("no tar archive")),
            (MediumKind::Tarball, &text, Some("no tar archive")),
            (MediumKind::Tarball, &none, Some("none")),
            (MediumKind::Tarball, &directory, Some("is not a file")),
        ];
        for (kind, path, says) in cases {
            let read = medium("--option", kind, path);
            match says {
                None => assert_eq!(read.unwrap(), Medium { kind, path: path.clone() }),
                Some(says) => {
                    let error = read.unwrap_err();
                    assert_eq!(error.kind(), Kind::Config);
                    assert!(error.to_string().contains(says), "{error}");
                }
            }
        }
    }
}
