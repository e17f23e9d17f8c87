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
