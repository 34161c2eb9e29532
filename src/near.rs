//! Near matches for a misspelt name.

/// How many near matches an error names.
const LIMIT: usize = 3;

/// The candidates that look most like `word`, best first; none where nothing comes close.
pub fn matches<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((likeness(&word, &candidate.to_lowercase())?, candidate)))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(LIMIT).map(|(_, candidate)| candidate).collect()
}

/// From 0 to 2; none where a proposal would be a riddle.
fn likeness(word: &str, candidate: &str) -> Option<f64> {
    // One slip of the fingers counts for more than any likeness; it is all there is in short words.
    if word.len() > 1 && strsim::damerau_levenshtein(word, candidate) <= 1 {
        return Some(2.0);
    }
    Some(strsim::jaro_winkler(word, candidate)).filter(|score| *score > 0.8)
}

/// A question for a hint: "Did you mean `a` or `b`?"; none where nothing comes close.
pub fn question<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let quoted: Vec<String> =
        matches(word, candidates).iter().map(|candidate| format!("`{candidate}`")).collect();
    if quoted.is_empty() { None } else { Some(format!("Did you mean {}?", quoted.join(" or "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_find_their_like() {
        assert_eq!(matches("24.4", ["22.04", "24.04"]).first(), Some(&"24.04"));
        assert!(matches("", ["9", "sid"]).is_empty());
        let names = ["bookworm", "trixie", "jammy", "noble"];
        assert_eq!(matches("trixe", names), ["trixie"]);
        assert_eq!(matches("Jamy", names), ["jammy"]);
        assert_eq!(matches("kmv", ["kvm", "qemu"]), ["kvm"]);
        assert!(matches("xyz", names).is_empty());
        assert_eq!(question("nobel", names).as_deref(), Some("Did you mean `noble`?"));
    }
}
