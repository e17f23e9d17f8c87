//! Real fleets, through the program and through the client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod nonsense;
mod pool;
mod program;
mod seen;
mod tasks;
mod top;
#[path = "../support/up.rs"]
mod up;

use std::process::Command;
use up::{PROGRAM, Up, is_empty, kill, shm, wait_until};

/// Some faults take what not every desk gives. There the test says that it was skipped; in CI it fails.
fn has_or_skips(what: &str, has: bool) -> bool {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
    assert!(has || !ci, "this test wants {what}, and nothing is skipped in CI");
    has
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A user and a mount namespace of its own.
fn has_namespaces() -> bool {
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
}
