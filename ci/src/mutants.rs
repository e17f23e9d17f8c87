//! `cargo xtask mutants`: whether the tests of the plans notice when a plan is changed.
//!
//! `.cargo/mutants.toml` lists the changes that change nothing, each with its reason. What is changed is a copy of this
//! checkout.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask mutants retry.rs lease.rs")]
pub(crate) struct Args {
    /// Only the plans in these files; all of them by default (which takes an hour or so on two cores)
    #[arg(value_name = "FILE")]
    files: Vec<String>,
}

const PLANS: &str = "coordinator/src/plan";
const INSTALL: &str = "cargo install cargo-mutants --locked --version 27.1.0";

pub(crate) fn mutants(workspace: &Workspace, args: &Args) -> Outcome {
    if !workspace.answers(&["cargo", "mutants", "--version"]) {
        return Err(format!("mutants needs cargo-mutants, which is not installed\nhint: {INSTALL}"));
    }
    let plans = plans(&workspace.files()?);
    if let Some(unknown) = args.files.iter().find(|file| !plans.contains(file)) {
        return Err(format!("there is no plan `{unknown}`\nhint: there are {}", plans.join(", ")));
    }
    let found = workspace.metadata.target_directory.join("mutants");
    std::fs::create_dir_all(&found).map_err(|error| format!("{found}: cannot make it: {error}"))?;
    workspace.run(&words(found.as_str(), &args.files))
}

/// The files beside each other in [`PLANS`]; those in folders are their tests.
fn plans(files: &[String]) -> Vec<String> {
    files
        .iter()
        .filter_map(|file| file.strip_prefix(PLANS)?.strip_prefix('/'))
        .filter(|file| !file.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// What is built stays in `found`, for the next time, and what survived is in `found/mutants.out`.
fn words(found: &str, files: &[String]) -> Vec<String> {
    let target = format!("CARGO_TARGET_DIR={found}/target");
    let run = ["env", &target, "cargo", "mutants", "--package", "coordinator", "--output", found];
    let all = ["*.rs".to_owned()];
    let changed = if files.is_empty() { &all } else { files };
    let changed = changed.iter().flat_map(|file| ["--file".to_owned(), format!("{PLANS}/{file}")]);
    let tests = ["--", "--lib", "plan::"];
    run.iter().map(|word| (*word).to_owned()).chain(changed).chain(tests.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn plans_are_files_and_not_the_tests_of_one() {
        let files = [
            "coordinator/src/plan.rs",
            "coordinator/src/plan/retry.rs",
            "coordinator/src/plan/retry/tests.rs",
        ];
        assert_eq!(plans(&files.map(str::to_owned)), ["retry.rs"]);
    }

    #[test]
    fn a_plan_that_is_not_there_is_an_error_before_anything_is_built() {
        let tree = Tree::new(&[("coordinator/src/plan/retry.rs", ""), ("coordinator/src/plan/lease.rs", "")]);
        tree.program("cargo", "").program("env", "");
        let run = |files: &[&str]| {
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            mutants(&tree.workspace, &Args { files })
        };
        let error = run(&["retry.rs", "pool.rs"]).unwrap_err();
        assert_eq!(error, "there is no plan `pool.rs`\nhint: there are lease.rs, retry.rs");
        assert_eq!(tree.calls(), ["cargo mutants --version"]);
        assert_eq!(run(&["lease.rs"]), Ok(()));
        let wanted = "env CARGO_TARGET_DIR=TARGET/mutants/target cargo mutants --package coordinator \
                      --output TARGET/mutants --file coordinator/src/plan/lease.rs -- --lib plan::";
        assert_eq!(tree.calls(), ["cargo mutants --version", wanted]);
        tree.program("cargo", "exit 101");
        assert!(run(&[]).unwrap_err().contains("cargo install cargo-mutants"));
    }

    #[test]
    fn only_the_plans_that_were_asked_for_are_changed() {
        let changed = |files: &[String]| words("/t/mutants", files).join(" ");
        let one = changed(&["retry.rs".to_owned()]);
        assert!(one.ends_with("/t/mutants --file coordinator/src/plan/retry.rs -- --lib plan::"), "{one}");
        let all = changed(&[]);
        assert!(all.ends_with("/t/mutants --file coordinator/src/plan/*.rs -- --lib plan::"), "{all}");
    }
}
