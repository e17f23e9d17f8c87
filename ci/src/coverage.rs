//! `cargo xtask coverage`: which lines the tests reach.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask coverage -- --html")]
pub(crate) struct Args {
    /// Handed on to `cargo llvm-cov --workspace`
    #[arg(last = true, value_name = "ARGS")]
    more: Vec<String>,
}

pub(crate) fn coverage(workspace: &Workspace, args: &Args) -> Outcome {
    if !workspace.answers(&["cargo", "llvm-cov", "--version"]) {
        return Err("coverage needs cargo-llvm-cov, which is not installed\n\
                    hint: rustup component add llvm-tools && cargo install cargo-llvm-cov --locked"
            .to_owned());
    }
    let mut words: Vec<&str> = vec!["cargo", "llvm-cov", "--workspace"];
    words.extend(args.more.iter().map(String::as_str));
    workspace.run(&words)
}
