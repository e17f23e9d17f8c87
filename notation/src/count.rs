//! Whole numbers as people write them on a command line.

/// Reads a whole number from `min` to `max`.
///
/// The error is a sentence fragment that says what would be accepted.
pub fn parse(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let text = text.trim();
    let range = format!("write a whole number from {min} to {max}");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a whole number; {range}"));
    }
    // Only digits: what does not fit into 64 bits is too large.
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is out of range; {range}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_or_out_of_range_is_refused_with_the_range() {
        for (text, words) in [
            ("abc", "`abc` is not a whole number; write a whole number from 1 to 50"),
            ("", "is not a whole number"),
            ("-1", "`-1` is not a whole number"),
            ("1.5", "is not a whole number"),
            ("0", "`0` is out of range; write a whole number from 1 to 50"),
            ("51", "out of range"),
            ("99999999999999999999", "out of range"),
        ] {
            let error = parse(text, 1, 50).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(parse("50", 1, 50), Ok(50));
    }
}
