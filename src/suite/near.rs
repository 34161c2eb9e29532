//! Near matches: what a user who typed an unknown word may have meant.

/// Words that are less alike are not offered (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// The words of `known` that are like `word`, the likest first, three at most.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut found: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    found.dedup_by(|a, b| a.1 == b.1);
    found.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// `Did you mean a or b?`, where something is near enough.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let found: Vec<String> = near(word, known).into_iter().map(|name| format!("`{name}`")).collect();
    (!found.is_empty()).then(|| format!("Did you mean {}?", found.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised_and_nonsense_is_not() {
        let known = ["bookworm", "bullseye", "trixie", "24.04"];
        assert_eq!(near("bokworm", known), ["bookworm"]);
        assert_eq!(near("Trixi", known), ["trixie"]);
        assert_eq!(near("24.4", known), ["24.04"]);
        assert!(near("windows", known).is_empty());
        assert!(near("", known).is_empty());
        assert_eq!(did_you_mean("bulseye", known).as_deref(), Some("Did you mean `bullseye`?"));
    }
}
