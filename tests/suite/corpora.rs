//! The corpora of the fuzz targets, read by the same functions that the targets call, without a nightly compiler.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[expect(unreachable_pub, reason = "it is a crate of its own for the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

/// Fewer texts than this are no corpus.
const LEAST: usize = 8;

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[test]
fn every_text_of_the_corpora_is_read() {
    for (name, reader) in fuzz::READERS {
        let corpus = place().join("corpus").join(name);
        let mut count = 0;
        for entry in
            std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
        {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            // Cut short, too: a text that ends anywhere is one that an editor may leave.
            let text = String::from_utf8_lossy(&bytes);
            for (end, _) in text.char_indices() {
                reader(&text[..end]);
            }
            reader(&text);
            count += 1;
        }
        assert!(count >= LEAST, "{count} texts in {}", corpus.display());
    }
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_corpus() {
    let readers: BTreeSet<String> = fuzz::READERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let corpora: BTreeSet<String> = std::fs::read_dir(place().join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(corpora, readers);
    let manifest: toml::Table = std::fs::read_to_string(place().join("Cargo.toml")).unwrap().parse().unwrap();
    let targets = manifest["bin"].as_array().unwrap().iter();
    let targets: BTreeSet<String> =
        targets.map(|target| target["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(targets, readers);
}
