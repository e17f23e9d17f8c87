//! The files that a restore has made: they are removed again if it does not come to its work, and would be in the way of the
//! next attempt.

use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    /// Notes `path` if it was not there before `make`, and is then.
    pub(super) fn by<T, E>(&mut self, path: &Path, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let is_new = path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let made = make()?;
        if is_new {
            self.0.push(path.to_owned());
        }
        Ok(made)
    }

    /// They are used.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
