//! The checkout that this program was called in, and how commands are run in it.

#[cfg(test)]
pub(crate) mod made_up;

use cargo_metadata::{Metadata, MetadataCommand};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, in words: the only reader is a person.
pub(crate) type Outcome<T = ()> = Result<T, String>;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
    /// Programs that are taken from here, and not from where the caller has them: stand-ins, in tests.
    programs: Option<PathBuf>,
}

impl Workspace {
    pub(crate) fn find() -> Outcome<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .map_err(|error| format!("cargo cannot read the workspace: {error}"))?;
        Ok(Self { metadata, programs: None })
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// `words[0]` is the program; `cargo` is the cargo that runs us.
    pub(crate) fn command(&self, words: &[impl AsRef<str>]) -> Command {
        let name = words[0].as_ref();
        let own = self.programs.as_ref().map(|programs| programs.join(name)).filter(|own| own.exists());
        let program = match (own, name) {
            (Some(own), _) => own.into_os_string(),
            (None, "cargo") => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            (None, other) => other.into(),
        };
        let mut command = Command::new(program);
        command.args(words[1..].iter().map(AsRef::as_ref)).current_dir(self.root()).stdin(Stdio::null());
        command.env("TEST_SKIPS_FILE", self.skips_file());
        if self.programs.is_some() {
            // A made-up checkout, whatever repository a hook that runs the tests has named.
            for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
                command.env_remove(name);
            }
        }
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
    use super::made_up::Tree;
    use super::*;

    #[test]
    fn ci_is_what_ci_services_say() {
        assert!(is_ci(Some("true")) && is_ci(Some("1")));
        assert!(!is_ci(None) && !is_ci(Some("")) && !is_ci(Some("false")) && !is_ci(Some("0")));
    }

    #[test]
    fn the_checkout_is_the_one_that_this_is_built_of() {
        let found = Workspace::find().unwrap();
        assert_eq!(found.root().join("ci"), Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(found.skips_file().starts_with(found.metadata.target_directory.as_std_path()));
    }

    #[test]
    fn a_command_that_fails_or_is_not_there_is_named_as_one_types_it() {
        let tree = Tree::new(&[]);
        let workspace = &tree.workspace;
        assert_eq!(
            workspace.run(&["sh", "-c", "test $PWD = $0", workspace.root().to_str().unwrap()]),
            Ok(())
        );
        assert_eq!(workspace.run(&["false", "x"]).unwrap_err(), "`false x` failed: exit status: 1");
        let gone = workspace.run(&["no-such-program", "x"]).unwrap_err();
        assert!(gone.starts_with("`no-such-program x` cannot be started: "), "{gone}");
        assert_eq!(workspace.read(&["sh", "-c", "echo a; echo b"]).as_deref(), Ok("a\nb\n"));
        assert_eq!(workspace.read(&["false"]).unwrap_err(), "`false` failed: exit status: 1");
        let gone = workspace.read(&["no-such-program"]).unwrap_err();
        assert!(gone.starts_with("`no-such-program` cannot be started: "), "{gone}");
        let odd = workspace.read(&["printf", "\\377"]).unwrap_err();
        assert!(odd.contains("invalid utf-8"), "{odd}");
        assert!(workspace.answers(&["true"]));
        assert!(!workspace.answers(&["false"]) && !workspace.answers(&["no-such-program"]));
    }

    #[test]
    fn a_command_learns_where_skipped_tests_are_listed() {
        let tree = Tree::new(&[]);
        let said = tree.workspace.read(&["sh", "-c", "printf %s \"$TEST_SKIPS_FILE\""]).unwrap();
        assert_eq!(Path::new(&said), tree.workspace.skips_file());
    }

    #[test]
    fn files_are_what_a_commit_would_see() {
        let tree = Tree::new(&[("b", ""), ("a/c", ""), ("made.o", ""), (".gitignore", "*.o\n")]);
        assert_eq!(tree.workspace.files().unwrap(), [".gitignore", "a/c", "b"]);
        tree.commit("All");
        std::fs::remove_file(tree.path("b")).unwrap();
        tree.write("d", "");
        assert_eq!(tree.workspace.files().unwrap(), [".gitignore", "a/c", "d"]);
        std::fs::remove_dir_all(tree.path(".git")).unwrap();
        let error = tree.workspace.files().unwrap_err();
        assert!(error.ends_with("is this a clone, with git installed?"), "{error}");
    }
}
