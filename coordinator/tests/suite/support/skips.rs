//! What a test wants and not every desk gives. Without it the test is skipped, which `cargo xtask check` lists at its end; in
//! CI it fails. Shared by every program of tests that skips one.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that gets a line for each skipped test: what a test prints is captured.
const FILE: &str = "TEST_SKIPS_FILE";

/// Returns `has`.
///
/// # Panics
/// It is missing, and nothing may be skipped.
pub fn has_or_skips(what: &str, has: bool) -> bool {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
    assert!(has || !ci, "this test wants {what}, and nothing is skipped in CI");
    if !has && let Some(path) = std::env::var_os(FILE) {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // In one write: tests of several programs append to it at the same time.
        let line = format!("{test}: it wants {what}\n");
        let noted = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = noted.and_then(|mut file| file.write_all(line.as_bytes())) {
            panic!("cannot note in {} that {}: {error}", path.display(), line.trim_end());
        }
    }
    has
}
