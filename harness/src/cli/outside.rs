//! Files that other programs have written.

use reports::runlog::codec;
use std::io::Read as _;
use std::path::Path;

/// A coverage report of a large workspace has a few MiB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The whole of a regular file. An error is a fragment.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = codec::open_file(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err("it is too large".to_owned()) } else { Ok(bytes) }
}
