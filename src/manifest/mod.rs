//! What is in an image and where it came from: manifest.json, packages.txt, SHA256SUMS.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Context, Kind, Result};
use crate::event::Timing;
use crate::format::Written;
use crate::plan::{Package, Plan};

/// The name of the manifest in an output directory. A directory that has one is rvmb's.
pub const MANIFEST: &str = "manifest.json";

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
        let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        FileEntry { name: name.to_owned(), size, sha256 }
    }
}

/// Writes manifest.json, packages.txt and SHA256SUMS into `directory`: over the image, which is what its
/// writer says, and over the files in `names`.
pub fn write(
    directory: &Path,
    plan: &Plan,
    packages: &[Package],
    image: &Written,
    names: &[String],
    timings: &[Timing],
) -> Result<()> {
    let list: String =
        packages.iter().map(|package| format!("{} {}\n", package.name, package.version)).collect();
    save(directory, "packages.txt", list.as_bytes())?;
    let mut files = vec![FileEntry::new(&plan.output.image, image.size, &image.sha256)];
    for name in names.iter().map(String::as_str).chain(["packages.txt"]) {
        files.push(entry(directory, name)?);
    }
    let generator = concat!("rvmb ", env!("CARGO_PKG_VERSION"));
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

fn save(directory: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, content).context(Kind::Build, || format!("writing {}", path.display()))
}

fn entry(directory: &Path, name: &str) -> Result<FileEntry> {
    let path = directory.join(name);
    let content = std::fs::read(&path).context(Kind::Build, || format!("reading {}", path.display()))?;
    Ok(FileEntry::new(name, content.len() as u64, &Sha256::digest(&content)))
}
