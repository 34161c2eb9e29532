//! What is in an image and where it came from: manifest.json, packages.txt, SHA256SUMS.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Context, Kind, Result};
use crate::event::Timing;
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

/// Writes manifest.json, packages.txt and SHA256SUMS into `directory`, over the files in `names`.
pub fn write(
    directory: &Path,
    plan: &Plan,
    packages: &[Package],
    names: &[String],
    timings: &[Timing],
) -> Result<()> {
    let list: String =
        packages.iter().map(|package| format!("{} {}\n", package.name, package.version)).collect();
    save(directory, "packages.txt", list.as_bytes())?;
    let mut files = Vec::new();
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
    let context = || format!("reading {}", path.display());
    let mut file = File::open(&path).context(Kind::Build, context)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer).context(Kind::Build, context)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileEntry { name: name.to_owned(), size, sha256 })
}
