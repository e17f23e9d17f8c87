//! `cargo xtask sanitize`: the bus's tests under the address and the thread sanitizer.
//!
//! Both see one process. What processes do to each other is for `cargo xtask storm` and the kill
//! tests; the order of memory is for the model. With the standard library as it is shipped:
//! `ci/thread-sanitizer.txt` says what that costs.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask sanitize")]
pub(crate) struct Args {}

const CARGO: [&str; 4] = ["rustup", "run", "nightly", "cargo"];

pub(crate) fn sanitize(workspace: &Workspace, _: &Args) -> Outcome {
    if !workspace.answers(&[&CARGO[..], &["--version"]].concat()) {
        return Err("sanitize needs the nightly toolchain\nhint: rustup toolchain install nightly".to_owned());
    }
    let about = workspace.read(&["rustc", "--version", "--verbose"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let suppressions = workspace.root().join("ci/thread-sanitizer.txt");
    // Rings that a test makes are for the life of its process: no leak is a finding. And the bus has a
    // handler of its own, whose tests need to be the only ones.
    let address = ("address", "", "ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0:handle_segv=0".to_owned());
    let thread = (
        "thread",
        // The library's own code differs in this, and is none the worse for it.
        " -Cunsafe-allow-abi-mismatch=sanitizer",
        format!("TSAN_OPTIONS=handle_sigbus=0:handle_segv=0:suppressions={}", suppressions.display()),
    );
    for (name, more, options) in [address, thread] {
        let flags = format!("RUSTFLAGS=-Zsanitizer={name}{more}");
        let target = workspace.metadata.target_directory.join("sanitize").join(name);
        let target = format!("CARGO_TARGET_DIR={target}");
        let mut words = vec!["env", &flags, &options, &target];
        words.extend(CARGO);
        // A target of its own, so that build scripts and macros stay as they are.
        words.extend(["test", "--package", "coordinator", "--target", host, "--lib", "bus"]);
        // One test at a time: of the library's own threads, the fewer are misread the better.
        words.extend(["--", "--test-threads=1"]);
        workspace.run(&words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn each_sanitizer_builds_for_this_host_in_a_target_of_its_own() {
        let tree = Tree::new(&[]);
        tree.program("rustup", "").program("env", "").program("rustc", "echo release: 1; echo host: h-linux");
        assert_eq!(sanitize(&tree.workspace, &Args {}), Ok(()));
        let calls = tree.calls();
        assert_eq!(calls[..2], ["rustup run nightly cargo --version", "rustc --version --verbose"]);
        for (call, name) in calls[2..].iter().zip(["address", "thread"]) {
            assert!(call.starts_with(&format!("env RUSTFLAGS=-Zsanitizer={name}")), "{call}");
            let words = format!(
                "CARGO_TARGET_DIR=TARGET/sanitize/{name} rustup run nightly cargo test --package coordinator \
                 --target h-linux --lib bus -- --test-threads=1"
            );
            assert!(call.ends_with(&words), "{call}");
        }
        assert!(calls[3].contains(":suppressions=ROOT/ci/thread-sanitizer.txt "), "{calls:?}");
        assert_eq!(calls.len(), 4);
    }

    #[test]
    fn a_finding_of_the_first_sanitizer_and_a_missing_tool_end_it() {
        let tree = Tree::new(&[]);
        tree.program("rustup", "").program("rustc", "echo host: h-linux").program("env", "exit 66");
        assert!(sanitize(&tree.workspace, &Args {}).unwrap_err().ends_with("failed: exit status: 66"));
        assert_eq!(tree.calls().len(), 3);
        tree.program("rustc", "");
        assert_eq!(sanitize(&tree.workspace, &Args {}).unwrap_err(), "rustc names no host");
        tree.program("rustup", "exit 1");
        assert!(
            sanitize(&tree.workspace, &Args {}).unwrap_err().contains("rustup toolchain install nightly")
        );
    }
}
