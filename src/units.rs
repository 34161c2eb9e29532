//! Sizes as users write and read them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One KiB in bytes.
pub const KIB: u64 = 1024;
/// One MiB in bytes.
pub const MIB: u64 = 1024 * KIB;
/// One GiB in bytes.
pub const GIB: u64 = 1024 * MIB;
/// One TiB in bytes.
pub const TIB: u64 = 1024 * GIB;

/// A size in bytes. A bare number counts MiB, as it did for vmbuilder; suffixes are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(pub u64);

impl Size {
    /// `count` MiB.
    pub const fn mib(count: u64) -> Self {
        Size(count * MIB)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a size could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// There is no number in front.
    #[error("`{0}` is not a size: write a number of MiB, or a number with k, M, G or T, such as 4096 or 4G")]
    NotANumber(String),
    /// The suffix is not known.
    #[error("`{1}` is not a unit of size in `{0}`: use k, M, G or T")]
    UnknownUnit(String, String),
    /// It does not fit into 64 bits.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(ParseSizeError::NotANumber(text.to_string()));
        }
        let number: u64 = number.parse().map_err(|_| ParseSizeError::TooLarge(text.to_string()))?;
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "m" | "mb" | "mib" => MIB,
            "k" | "kb" | "kib" => KIB,
            "g" | "gb" | "gib" => GIB,
            "t" | "tb" | "tib" => TIB,
            _ => return Err(ParseSizeError::UnknownUnit(text.to_string(), unit.to_string())),
        };
        number.checked_mul(factor).map(Size).ok_or_else(|| ParseSizeError::TooLarge(text.to_string()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            bytes if bytes >= 10 * GIB || (bytes >= GIB && bytes.is_multiple_of(GIB)) => (GIB, "GiB"),
            bytes if bytes >= MIB => (MIB, "MiB"),
            bytes if bytes >= KIB => (KIB, "KiB"),
            _ => return write!(f, "{} B", self.0),
        };
        if self.0.is_multiple_of(unit) {
            write!(f, "{} {name}", self.0 / unit)
        } else {
            #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
            let value = self.0 as f64 / unit as f64;
            write!(f, "{value:.1} {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};

    use super::*;

    #[test]
    fn a_bare_number_is_mebibytes() {
        assert_eq!("4096".parse(), Ok(Size::mib(4096)));
        assert_eq!("512k".parse(), Ok(Size(512 * KIB)));
        assert_eq!("4G".parse(), Ok(Size::mib(4096)));
        assert_eq!(" 1 TiB ".parse(), Ok(Size(TIB)));
    }

    #[test]
    fn nonsense_is_named() {
        assert!(matches!("".parse::<Size>(), Err(ParseSizeError::NotANumber(_))));
        assert!(matches!("-4".parse::<Size>(), Err(ParseSizeError::NotANumber(_))));
        assert!(matches!("10X".parse::<Size>(), Err(ParseSizeError::UnknownUnit(..))));
        assert!(matches!("99999999999999999999".parse::<Size>(), Err(ParseSizeError::TooLarge(_))));
        assert!(matches!("18446744073709551615T".parse::<Size>(), Err(ParseSizeError::TooLarge(_))));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(Size(0).to_string(), "0 B");
        assert_eq!(Size::mib(4096).to_string(), "4 GiB");
        assert_eq!(Size(1536 * KIB).to_string(), "1.5 MiB");
    }

    /// A unit as users write it, and what it counts.
    fn unit() -> impl Strategy<Value = (String, u64)> {
        let units = [("", MIB), ("k", KIB), ("m", MIB), ("g", GIB), ("t", TIB)];
        let ends = proptest::sample::select(vec!["", "b", "ib"]);
        (proptest::sample::select(units.to_vec()), ends, any::<bool>()).prop_map(
            |((letter, factor), end, upper)| {
                let text = if letter.is_empty() { String::new() } else { format!("{letter}{end}") };
                (if upper { text.to_uppercase() } else { text }, factor)
            },
        )
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<Size>();
        }

        /// Whatever the unit's spelling and the blanks around it: the product, or that it is too large.
        #[test]
        fn a_size_is_its_number_times_its_unit(
            number: u64, (unit, factor) in unit(), blanks in "[ \t]{0,2}", between in "[ \t]{0,2}",
        ) {
            let text = format!("{blanks}{number}{between}{unit}{blanks}");
            match number.checked_mul(factor) {
                Some(bytes) => prop_assert_eq!(text.parse(), Ok(Size(bytes))),
                None => prop_assert_eq!(text.parse::<Size>(), Err(ParseSizeError::TooLarge(text.clone()))),
            }
        }

        /// What is shown is what it is, to the half of a decimal: never a size of another magnitude.
        #[test]
        fn a_size_that_is_shown_is_near_the_one_that_is_meant(bytes: u64) {
            let shown = Size(bytes).to_string();
            let (number, unit) = shown.split_once(' ').unwrap();
            let factor = match unit {
                "B" => 1,
                "KiB" => KIB,
                "MiB" => MIB,
                "GiB" => GIB,
                other => panic!("{other}"),
            };
            let meant: f64 = number.parse().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "a twentieth of the unit is allowed for")]
            let off = (meant * factor as f64 - bytes as f64).abs() / factor as f64;
            prop_assert!(off <= 0.0501 + meant * f64::EPSILON, "{} is shown as {}", bytes, shown);
        }

        /// A whole number that is shown can be typed in again.
        #[test]
        fn a_whole_size_that_is_shown_can_be_typed(mib in 0_u64..1 << 40) {
            let size = Size::mib(mib);
            let shown = size.to_string();
            if !shown.contains('.') && !shown.ends_with(" B") {
                prop_assert_eq!(shown.parse(), Ok(size));
            }
        }

        #[test]
        fn what_has_no_unit_of_size_is_refused(number: u32, unit in "[a-zA-Z]{1,8}") {
            let known = ["k", "kb", "kib", "m", "mb", "mib", "g", "gb", "gib", "t", "tb", "tib"];
            proptest::prop_assume!(!known.contains(&unit.to_lowercase().as_str()));
            let text = format!("{number}{unit}");
            prop_assert_eq!(text.parse::<Size>(), Err(ParseSizeError::UnknownUnit(text.clone(), unit)));
        }
    }
}
