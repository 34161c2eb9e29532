//! What is in an image and where it came from: manifest.json, packages.txt, SHA256SUMS.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest::hex;
use crate::error::{Context, Kind, Result};
use crate::event::Timing;
use crate::plan::{Package, Plan};

/// The name of the manifest in an output directory.
pub const MANIFEST: &str = "manifest.json";

/// How every version of this program begins its name in a manifest.
const GENERATOR: &str = "rvmb ";

/// A manifest of some thousand packages has a few MiB; a larger file is something else.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Whether `--overwrite` may replace what is at `path`: a directory that is empty, or that has a manifest
/// of this program. Many programs call a file of theirs `manifest.json`, so that the name alone says nothing.
pub fn may_be_replaced(path: &Path) -> bool {
    let is_directory = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    is_directory && (is_empty() || is_rvmbs(path))
}

/// Whether the manifest in `directory` is one of this program's.
fn is_rvmbs(directory: &Path) -> bool {
    let path = directory.join(MANIFEST);
    // Opening something else than a file could wait for ever, as a FIFO does.
    if !std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let Ok(file) = File::open(path) else { return false };
    let manifest: serde_json::Value =
        serde_json::from_reader(BufReader::new(file.take(LIMIT))).unwrap_or_default();
    let generator = manifest.get("generator").and_then(serde_json::Value::as_str);
    generator.is_some_and(|generator| generator.starts_with(GENERATOR))
}

/// What an image came to, told by its writer: nobody has to read it again for the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// manifest.json.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    /// Version of this structure.
    format: u32,
    /// Who made it.
    generator: &'a str,
    plan: &'a Plan,
    packages: &'a [Package],
    files: Vec<FileEntry>,
    timings: &'a [Timing],
}

#[derive(Debug, Serialize)]
struct FileEntry {
    name: String,
    size: u64,
    sha256: String,
}

impl FileEntry {
    fn new(name: &str, size: u64, sha256: &[u8]) -> Self {
        FileEntry { name: name.to_owned(), size, sha256: hex(sha256) }
    }
}

/// Writes manifest.json, packages.txt and SHA256SUMS into `directory`: over the plan's images,
/// which are what their writer says, and over the files in `names`.
pub fn write(
    directory: &Path,
    plan: &Plan,
    packages: &[Package],
    images: &[Written],
    names: &[String],
    timings: &[Timing],
) -> Result<()> {
    save(directory, "packages.txt", list(packages).as_bytes())?;
    let written = plan.images().zip(images);
    let mut files: Vec<FileEntry> =
        written.map(|(disk, image)| FileEntry::new(&disk.image, image.size, &image.sha256)).collect();
    for name in names.iter().map(String::as_str).chain(["packages.txt"]) {
        files.push(entry(directory, name)?);
    }
    let generator = &format!("{GENERATOR}{}", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest { format: 1, generator, plan, packages, files, timings };
    let mut text =
        serde_json::to_vec_pretty(&manifest).context(Kind::Build, || "writing the manifest".into())?;
    text.push(b'\n');
    save(directory, MANIFEST, &text)?;
    let mut sums: Vec<FileEntry> = manifest.files;
    sums.push(entry(directory, MANIFEST)?);
    // Two spaces: the form that sha256sum(1) --check reads.
    let sums: String = sums.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
    save(directory, "SHA256SUMS", sums.as_bytes())
}

/// A line `PACKAGE VERSION` for each package, as vmbuilder wrote them.
pub fn list(packages: &[Package]) -> String {
    packages.iter().map(|package| format!("{} {}\n", package.name, package.version)).collect()
}

fn save(directory: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, content).context(Kind::Build, || format!("writing {}", path.display()))
}

fn entry(directory: &Path, name: &str) -> Result<FileEntry> {
    let path = directory.join(name);
    let content = std::fs::read(&path).context(Kind::Build, || format!("reading {}", path.display()))?;
    Ok(FileEntry::new(name, content.len() as u64, &Sha256::digest(&content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_or_ours_may_be_replaced() {
        let cases = [
            (r#"{"format": 1, "generator": "rvmb 0.1.0", "plan": {}}"#, true),
            (r#"{"name": "my web app", "icons": []}"#, false),
            (r#"{"generator": "webpack 5"}"#, false),
            (r#"{"generator": "rvmbuilder"}"#, false),
            (r#"{"generator": 1}"#, false),
            (r#"["rvmb 0.1.0"]"#, false),
            (r#"{"generator": "rvmb 0.1.0""#, false),
            ("", false),
        ];
        for (content, expected) in cases {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(MANIFEST), content).unwrap();
            assert_eq!(may_be_replaced(directory.path()), expected, "{content}");
        }
    }

    #[test]
    fn what_is_no_directory_of_ours_stays() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::create_dir(at("empty")).unwrap();
        assert!(may_be_replaced(&at("empty")));
        std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
        std::fs::create_dir_all(at("full/manifest.json")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        for name in ["link", "full", "file", "none"] {
            assert!(!may_be_replaced(&at(name)), "{name}");
        }
    }
}
