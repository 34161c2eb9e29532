//! Sizes and numbers, which the appliance has as text.

use std::ops::RangeInclusive;

use crate::appliance::settings::{self, ORDINARY_IDS, PROCESSORS};
use crate::error::{About, Error, Result};
use crate::units::{ParseSizeError, Size};

/// Less than this not even the smallest kernel starts in; what a release really needs is more.
const LEAST_MEMORY: Size = Size::mib(64);

/// The size that `option` names.
pub(super) fn size(option: &str, text: Option<&str>) -> Result<Option<Size>> {
    let Some(text) = text else { return Ok(None) };
    let size = text.parse().map_err(|error| {
        let told = Error::usage(format!("{option}: {error}"));
        match error {
            ParseSizeError::TooLarge(_) => told.hint("Write a smaller one, such as 4096 or 4G."),
            // These say what to write.
            ParseSizeError::NotANumber(_) | ParseSizeError::UnknownUnit(..) => told,
        }
    });
    size.map(Some).about(option)
}

/// The number that `option` names, which is to be in a range.
fn number(option: &str, text: &str, range: &RangeInclusive<u32>) -> Result<u32> {
    settings::number(text, range).map_err(|what| Error::usage(format!("{option}: {what}"))).about(option)
}

/// Memory of the virtual machine.
pub(super) fn memory(text: Option<&str>) -> Result<Option<Size>> {
    match size("--mem", text)? {
        Some(size) if size < LEAST_MEMORY => {
            Err(Error::config(format!("a machine cannot start with {size} of memory"))
                .hint(format!("Give at least {LEAST_MEMORY} with --mem; a bare number counts MiB.")))
            .about("mem")
        }
        size => Ok(size),
    }
}

/// Processors of the virtual machine.
pub(super) fn cpus(text: Option<&str>) -> Result<Option<u32>> {
    match text.map(|text| number("--cpus", text, &PROCESSORS)).transpose()? {
        Some(0) => Err(Error::config("a machine needs a processor").hint("Give at least 1 with --cpus."))
            .about("cpus"),
        count => Ok(count),
    }
}

/// The id that `option` gives to the first user or to its group.
pub(super) fn ordinary_id(option: &str, text: Option<&str>) -> Result<Option<u32>> {
    let Some(text) = text else { return Ok(None) };
    let id = number(option, text, &ORDINARY_IDS)?;
    if ORDINARY_IDS.contains(&id) {
        return Ok(Some(id));
    }
    let (first, last) = (ORDINARY_IDS.start(), ORDINARY_IDS.end());
    Err(Error::config(format!("{option} {id} is no id of an ordinary user"))
        .hint(format!("Choose one from {first} to {last}; all others are the system's or reserved.")))
    .about(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_ordinary_users() {
        for good in ["1000", "1001", "59999"] {
            assert!(ordinary_id("--uid", Some(good)).is_ok(), "{good}");
        }
        for bad in ["0", "27", "33", "999", "60000", "65534", "65536", "4294967295"] {
            let error = ordinary_id("--gid", Some(bad)).unwrap_err();
            assert!(error.message().starts_with(&format!("--gid {bad} ")));
            assert!(error.hints()[0].contains("1000 to 59999"));
        }
    }

    #[test]
    fn what_is_no_number_is_told_with_its_option() {
        assert_eq!(size("--rootsize", Some(" 4G")).unwrap(), Some(Size::mib(4096)));
        assert_eq!((memory(None).unwrap(), memory(Some("64")).unwrap()), (None, Some(LEAST_MEMORY)));
        assert_eq!(ordinary_id("--uid", Some("1000")).unwrap(), Some(1000));
        for (error, says) in [
            (size("--rootsize", Some("lots")).unwrap_err(), "--rootsize: `lots` is not a size"),
            (memory(Some("much")).unwrap_err(), "--mem: `much` is not a size"),
            (memory(Some("63")).unwrap_err(), "63 MiB of memory"),
            (cpus(Some("two")).unwrap_err(), "--cpus: `two` is not a whole number from 1 to"),
            (cpus(Some("0")).unwrap_err(), "needs a processor"),
            (
                ordinary_id("--uid", Some("bob")).unwrap_err(),
                "--uid: `bob` is not a whole number from 1000 to 59999",
            ),
            (ordinary_id("--gid", Some("4294967296")).unwrap_err(), "is not a whole number"),
        ] {
            assert!(error.message().contains(says), "{error:?}");
            assert_eq!(error.subjects().len(), 1, "{error:?}");
        }
    }
}
