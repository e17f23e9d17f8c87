//! A small checkout of made-up files, and stand-ins for the programs that commands run in it.

use super::Workspace;
use std::fs;
use std::path::{Path, PathBuf};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stand-in.sh");

/// Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Tree {
    dir: tempfile::TempDir,
    pub(crate) workspace: Workspace,
}

impl Tree {
    /// A git repository with these files and without a commit. Its members are `harness` and `coordinator`.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("programs");
        fs::create_dir(&programs).unwrap();
        let (root, target) = (dir.path().join("tree"), dir.path().join("target"));
        fs::create_dir(&root).unwrap();
        let members = ["harness", "coordinator"];
        let package = |name: &&str| {
            serde_json::json!({
                "name": name, "version": "0.1.0", "id": id(&root, name), "targets": [], "features": {},
                "manifest_path": root.join(name).join("Cargo.toml"), "dependencies": []
            })
        };
        let metadata = serde_json::json!({
            "packages": members.iter().map(package).collect::<Vec<_>>(), "version": 1,
            "workspace_members": members.map(|name| id(&root, name)),
            "workspace_root": root, "target_directory": target
        });
        let metadata = cargo_metadata::MetadataCommand::parse(metadata.to_string()).unwrap();
        let tree = Self { dir, workspace: Workspace { metadata, programs: Some(programs) } };
        for (path, text) in files {
            tree.write(path, text);
        }
        tree.git(&["init", "--quiet"]);
        tree
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// In the checkout; `../target/…` is what is built of it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.workspace.root().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let who = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        self.workspace.read(&[&who[..], words].concat()).unwrap().trim().to_owned()
    }

    /// All there is becomes a commit; its hash.
    pub(crate) fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// From now on `name` is a program that writes its calls down and does `script`.
    pub(crate) fn program(&self, name: &str, script: &str) -> &Self {
        let path = self.dir.path().join("programs").join(name);
        stand_in(&path, script);
        self
    }

    /// As [`Self::program`], at a path of the checkout; its calls are in the file `calls` beside it.
    pub(crate) fn program_at(&self, path: &str, script: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        stand_in(&path, script);
    }

    /// How programs were called since the last time, with `ROOT` for the path of the checkout and `TARGET` for what is
    /// built of it.
    pub(crate) fn calls(&self) -> Vec<String> {
        let path = self.dir.path().join("programs").join("calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let root = self.workspace.root().display().to_string();
        let target = self.workspace.metadata.target_directory.as_str();
        text.replace(&root, "ROOT").replace(target, "TARGET").lines().map(str::to_owned).collect()
    }
}

fn id(root: &Path, name: &str) -> String {
    format!("path+file://{}#0.1.0", root.join(name).display())
}

fn stand_in(path: &Path, script: &str) {
    fs::write(path.with_extension("does"), script).unwrap();
    if !path.exists() {
        std::os::unix::fs::symlink(STAND_IN, path).unwrap();
    }
}
