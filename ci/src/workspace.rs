//! The checkout that this program was called in, and how commands are run in it.

use cargo_metadata::{Metadata, MetadataCommand};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, in words: the only reader is a person.
pub(crate) type Outcome<T = ()> = Result<T, String>;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
}

impl Workspace {
    pub(crate) fn find() -> Outcome<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .map_err(|error| format!("cargo cannot read the workspace: {error}"))?;
        Ok(Self { metadata })
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// `words[0]` is the program; `cargo` is the cargo that runs us.
    pub(crate) fn command(&self, words: &[impl AsRef<str>]) -> Command {
        let program = match words[0].as_ref() {
            "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            other => other.into(),
        };
        let mut command = Command::new(program);
        command.args(words[1..].iter().map(AsRef::as_ref)).current_dir(self.root()).stdin(Stdio::null());
        command.env("TEST_SKIPS_FILE", self.skips_file());
        command
    }

    /// Gets a line for each test that was skipped, and why.
    pub(crate) fn skips_file(&self) -> PathBuf {
        self.metadata.target_directory.as_std_path().join("skipped-tests")
    }

    /// Runs a command whose output the user sees.
    pub(crate) fn run(&self, words: &[impl AsRef<str>]) -> Outcome {
        let status = self
            .command(words)
            .status()
            .map_err(|error| format!("`{}` cannot be started: {error}", said(words)))?;
        if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", said(words))) }
    }

    /// Runs a command for its standard output; its errors the user sees.
    pub(crate) fn read(&self, words: &[impl AsRef<str>]) -> Outcome<String> {
        let output = self
            .command(words)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("`{}` cannot be started: {error}", said(words)))?;
        if !output.status.success() {
            return Err(format!("`{}` failed: {}", said(words), output.status));
        }
        String::from_utf8(output.stdout).map_err(|error| format!("`{}`: {error}", said(words)))
    }

    /// True if the command is there and answers; says nothing.
    pub(crate) fn answers(&self, words: &[impl AsRef<str>]) -> bool {
        self.command(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Every file that is tracked or could be, relative to the root, in order: what a commit would see.
    pub(crate) fn files(&self) -> Outcome<Vec<String>> {
        let list = self
            .read(&["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .map_err(|error| {
                format!("{error}; the list of files comes from git: is this a clone, with git installed?")
            })?;
        let mut files: Vec<String> = list
            .split_terminator('\0')
            .filter(|file| self.root().join(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// A command as one types it.
pub(crate) fn said(words: &[impl AsRef<str>]) -> String {
    words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

/// Of the variable `CI`: true where nothing may be skipped.
pub(crate) fn is_ci(variable: Option<&str>) -> bool {
    matches!(variable, Some("true" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_what_ci_services_say() {
        assert!(is_ci(Some("true")) && is_ci(Some("1")));
        assert!(!is_ci(None) && !is_ci(Some("")) && !is_ci(Some("false")) && !is_ci(Some("0")));
    }
}
