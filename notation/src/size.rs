//! Sizes in bytes as people write them: `64MiB`. Powers of 1,024 alone, so that no reader wonders.

const UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads `64MiB` as bytes: a whole number and its unit.
///
/// The error is a sentence fragment; what to write instead follows after `; ` where that helps.
pub fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let Some(&(_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            format!("`{text}` has no unit; write `{text}B` or `{text}MiB`")
        } else {
            format!("`{unit}` is not a unit of size; they are B, KiB, MiB, GiB, TiB")
        });
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` does not begin with a whole number"))?;
    number.checked_mul(scale).ok_or_else(|| format!("`{text}` is more than 2^64 bytes"))
}

/// The largest unit that divides it: `64MiB`. [`parse`] reads it back.
pub fn exact(bytes: u64) -> String {
    let (name, scale) =
        UNITS.iter().rev().find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale)).unwrap_or(&UNITS[0]);
    format!("{}{name}", bytes / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubtful_sizes_are_refused() {
        for bad in ["", "64", "64MB", "64M", "-1B", "MiB", "1.5MiB", "99999999999TiB"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("64KiB"), Ok(65_536));
    }

    proptest! {
        #[test]
        fn an_exact_spelling_reads_back_the_same(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&exact(bytes)), Ok(bytes));
        }
    }
}
