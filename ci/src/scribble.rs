//! `cargo xtask scribble`: every word of a fleet's shared memory in turn, set to what tempts a reader, and every page.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask scribble --seed 7")]
pub(crate) struct Args {
    /// Chooses the words without a name that are scribbled over beside those with one
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only the words whose file and name contain this: "region counters"; "run @" is all pages and runs of noise
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Of both suites: the beginning of the tests' names.
const TESTS: &str = "whatever_one_word_of_a_fleet_says";

pub(crate) fn scribble(workspace: &Workspace, args: &Args) -> Outcome {
    let (seed, only) = (format!("SCRIBBLE_SEED={}", args.seed), format!("SCRIBBLE_ONLY={}", args.only));
    for package in ["coordinator", "harness"] {
        let mut words = vec!["env", "SCRIBBLE_ALL=1", "RUST_BACKTRACE=0", &seed, &only, "cargo", "test"];
        words.extend(["--package", package, "--test", "suite", "--", "--nocapture", TESTS]);
        workspace.run(&words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn both_suites_scribble_over_the_same_words() {
        let tree = Tree::new(&[]);
        tree.program("env", "");
        let run = || scribble(&tree.workspace, &Args { seed: 7, only: "region counters".to_owned() });
        assert_eq!(run(), Ok(()));
        let call = |package: &str| {
            format!(
                "env SCRIBBLE_ALL=1 RUST_BACKTRACE=0 SCRIBBLE_SEED=7 SCRIBBLE_ONLY=region counters cargo test \
                 --package {package} --test suite -- --nocapture whatever_one_word_of_a_fleet_says"
            )
        };
        assert_eq!(tree.calls(), ["coordinator", "harness"].map(call));
        tree.program("env", "exit 101");
        assert!(run().is_err());
        assert_eq!(tree.calls(), [call("coordinator")]);
    }

    /// A filter that no test has runs nothing, and passes.
    #[test]
    fn both_suites_have_tests_of_that_name() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for package in ["coordinator", "harness"] {
            assert!(
                crate::storm::tests::has_test(&root.join(package).join("tests/suite"), TESTS),
                "{package}"
            );
        }
    }
}
