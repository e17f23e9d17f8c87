//! Every place where the bus asks the kernel for something, and is refused; and what others do to it.
//!
//! The kernel refuses for real: on file systems too small, of few files or read-only, mounted in a
//! namespace of the test's own, and under limits that a child alone has. The oracle is the same
//! everywhere: an error that names the place, the cause and the remedy, an orderly status, and nothing
//! left behind.

mod attach;
mod fields;
mod limits;
mod lost;
mod names;
mod overwritten;
mod scribbled;
mod space;

use crate::support::up::PROGRAM;
use crate::support::wants::{NAMESPACE, has_namespaces, may_become_another_user};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a script of the shell in a user and a mount namespace of its own: `$0` is the program, `$1` an
/// empty directory to mount something at.
fn in_namespace(script: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let script = ["set -u\n", script].concat();
    Command::new(NAMESPACE[0])
        .args(&NAMESPACE[1..])
        .args(["sh", "-c", &script, PROGRAM])
        .arg(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The program under a wrapper (`prlimit …`, `setpriv …`).
fn wrapped(wrapper: &[&str], program: &Path, shm: &Path, arguments: &[&str]) -> Output {
    Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(program)
        .args(arguments)
        .arg("--shm-dir")
        .arg(shm)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Its words name the cause and the remedy, and its status says that this host is at fault.
#[track_caller]
fn is_refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

/// What is in a directory, by name.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
