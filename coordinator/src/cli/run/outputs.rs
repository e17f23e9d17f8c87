//! The files of `--output-dir`, as far as a run must know about them: that they are still there at its end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The names of the two files of a task, behind that of the task.
pub(super) const ENDS: [&str; 2] = ["stdout", "stderr"];

#[derive(Debug)]
pub(super) struct Outputs {
    dir: Option<PathBuf>,
    /// The file names of the tasks whose output is there.
    there: Vec<Box<str>>,
}

impl Outputs {
    pub(super) fn new(dir: Option<&Path>) -> Self {
        // The run may change to another directory.
        let dir = dir.map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
        Self { dir, there: Vec::new() }
    }

    /// A command has run, so its output is there.
    pub(super) fn note(&mut self, id: &str) {
        if self.dir.is_some() {
            self.there.push(file_name(id).into());
        }
    }

    /// The first file that is not there any more, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(dir) = &self.dir else { return Ok(()) };
        for name in &self.there {
            for end in ENDS {
                let path = dir.join(format!("{name}.{end}"));
                if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                    return Err(format!("{} was removed, and the output in it is lost", path.display()));
                }
            }
        }
        Ok(())
    }
}

/// A file name for an id: every byte but letters, digits, `-`, `_` and dots after the first one becomes `%` and two
/// hexadecimal digits.
pub(super) fn file_name(id: &str) -> String {
    // Writing into a string cannot fail.
    let mut name = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            _ => {
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_a_file_of_its_own() {
        for (id, name) in
            [("a1", "a1"), ("a/b", "a%2Fb"), ("..", "%2E."), ("a.b c", "a.b%20c"), ("ä%", "%C3%A4%25")]
        {
            assert_eq!(file_name(id), name);
        }
    }
}
