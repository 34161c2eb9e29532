//! Variants of the first tree, by the names that debootstrap and mmdebstrap give them.

use super::checks;
use crate::error::{Error, Result};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// The name under which debootstrap makes the first tree.
    pub name: &'static str,
    /// Its packages as a pattern of apt's (apt-patterns(7)).
    pub pattern: &'static str,
}

/// What every variant has: debootstrap's functions, `required` of scripts/debian-common.
const MINBASE: Variant = Variant { name: "minbase", pattern: "?or(?essential,?priority(required))" };

/// What debootstrap installs without a variant.
const IMPORTANT: Variant =
    Variant { name: "important", pattern: "?or(?essential,?priority(required),?priority(important))" };

/// What a machine needs on which packages are built (debootstrap's scripts: `build-essential`).
const BUILDD: Variant =
    Variant { name: "buildd", pattern: "?or(?essential,?priority(required),?exact-name(build-essential))" };

/// The same as [`IMPORTANT`] and all that a system used to have (mmdebstrap(1)).
const STANDARD: Variant = Variant {
    name: "standard",
    pattern: "?or(?essential,?priority(required),?priority(important),?priority(standard))",
};

/// Every name that is understood. `-` and `debootstrap` are mmdebstrap's names for no variant.
const NAMES: [(&str, Variant); 7] = [
    ("minbase", MINBASE),
    ("required", MINBASE),
    ("important", IMPORTANT),
    ("-", IMPORTANT),
    ("debootstrap", IMPORTANT),
    ("buildd", BUILDD),
    ("standard", STANDARD),
];

/// Names that are refused, and why.
const REFUSED: [(&str, &str); 6] = [
    ("fakechroot", "An ordinary user builds in a user namespace, with exact owners: leave --variant out."),
    ("scratchbox", "It is of a tool that is no more: leave --variant out."),
    ("essential", "A machine needs more than that to start: minbase is the least."),
    ("apt", "A machine needs more than that to start: minbase is the least."),
    ("extract", "A machine needs packages that are configured: minbase is the least."),
    ("custom", "Name the packages with --addpkg; minbase is the least."),
];

/// The variant of that name; minbase where none is named.
pub(super) fn find(name: Option<&str>) -> Result<Variant> {
    let Some(name) = name else { return Ok(MINBASE) };
    if let Some((_, variant)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*variant);
    }
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(Error::config(format!("no machine is made of the variant `{name}`")).hint(*why));
    }
    let error = Error::config(format!("there is no variant `{name}`")).hint(
        "Variants: minbase (the default), important or - (what debootstrap installs without a variant), \
         buildd, standard.",
    );
    Err(checks::with_near_matches(error, name, NAMES.iter().map(|(known, _)| *known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_their_packages() {
        assert_eq!(find(None).unwrap(), MINBASE);
        assert_eq!(find(Some("-")).unwrap(), IMPORTANT);
        assert!(find(Some("buildd")).unwrap().pattern.contains("(build-essential)"));
    }

    #[test]
    fn what_is_no_machine_is_refused_with_the_reason() {
        for (name, says) in [("fakechroot", "user namespace"), ("apt", "minbase"), ("mnibase", "`minbase`")] {
            let error = find(Some(name)).unwrap_err();
            assert!(error.message().contains(name), "{error}");
            assert!(error.hints().iter().any(|hint| hint.contains(says)), "{:?}", error.hints());
        }
    }
}
