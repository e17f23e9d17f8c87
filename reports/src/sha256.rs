//! SHA-256 of what is read, in hex.

use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// In hex, and how many bytes there were.
pub(crate) fn sha256_of(mut content: impl Read) -> io::Result<(String, u64)> {
    let (mut digest, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok((hex(&digest.finalize()), length)),
            Ok(read) => {
                digest.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether these are digits as [`hex`] writes them; how many is for the caller.
pub fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
