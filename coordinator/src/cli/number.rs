//! Numbers and sizes on the command line.

use notation::{count, size};
use std::num::NonZeroU32;

/// Reads a whole number from `min` to `max`.
pub(super) fn number<T>(min: T, max: T) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Into<u64> + TryFrom<u64> + Send + Sync + 'static,
{
    move |text: &str| {
        let number = count::parse(text, min.into(), max.into())?;
        T::try_from(number).map_err(|_| format!("`{text}` is too large"))
    }
}

/// Reads a number of things, of which there is at least one.
pub(super) fn some(text: &str) -> Result<NonZeroU32, String> {
    let count: u32 = number(1, u32::MAX)(text)?;
    NonZeroU32::try_from(count).map_err(|error| error.to_string())
}

/// Reads a size: bytes, or a number and its unit.
pub(super) fn bytes<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{text}` is not a size; write a number of bytes, or a size such as 64KiB"));
    }
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = if digits_only { count::parse(text, 0, u64::MAX)? } else { size::parse(text)? };
    T::try_from(bytes).map_err(|_| format!("`{text}` is too large: it must be less than 4GiB"))
}

/// As [`bytes`], and at least one.
pub(super) fn some_bytes(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err(format!("`{text}` is too small: it must be at least 1 byte")),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_bytes_or_a_number_with_its_unit() {
        assert_eq!(bytes::<u32>("4096"), Ok(4096));
        assert_eq!(bytes::<u32>("64KiB"), Ok(65_536));
        for (text, words) in [
            ("4M", "`M` is not a unit of size; they are B, KiB, MiB"),
            ("abc", "`abc` is not a size; write a number of bytes, or a size such as 64KiB"),
            ("4GiB", "must be less than 4GiB"),
        ] {
            let error = bytes::<u32>(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(some_bytes("0").unwrap_err().contains("at least 1 byte"));
    }

    #[test]
    fn a_number_is_refused_with_its_range() {
        assert_eq!(number(1_u8, 254)("7"), Ok(7));
        assert!(number(1_u32, 5_000)("abc").unwrap_err().contains("write a whole number from 1 to 5000"));
    }
}
