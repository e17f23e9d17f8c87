//! `cargo xtask fuzz`: strangers' bytes, through everything that reads them.
//!
//! The targets are a workspace of their own, since they need the nightly toolchain; what they have
//! found worth keeping is replayed by `cargo test`. What a run finds new stays out of the repository:
//! its user keeps the inputs that reach something, and those that fail.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask fuzz --seconds 600 records")]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Only these targets; all of them by default
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

const DIRECTORY: &str = "coordinator/fuzz";
const INSTALL: &str =
    "rustup toolchain install nightly && cargo install cargo-fuzz --version 0.13.2 --locked";

pub(crate) fn fuzz(workspace: &Workspace, args: &Args) -> Outcome {
    if !workspace.answers(&["rustup", "run", "nightly", "cargo", "fuzz", "--version"]) {
        return Err(format!("fuzz needs the nightly toolchain and cargo-fuzz\nhint: {INSTALL}"));
    }
    let all = targets(&workspace.files()?);
    if let Some(unknown) = args.targets.iter().find(|target| !all.contains(target)) {
        return Err(format!("there is no fuzz target `{unknown}`\nhint: there are {}", all.join(", ")));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    let found = workspace.metadata.target_directory.join("fuzz-corpus");
    for target in chosen {
        let new = found.join(target);
        std::fs::create_dir_all(&new).map_err(|error| format!("{new}: cannot make it: {error}"))?;
        workspace.run(&words(target, new.as_str(), args.seconds))?;
    }
    eprintln!(
        "fuzz: {} ran {} s each without a finding; new inputs are in {found}",
        chosen.join(", "),
        args.seconds
    );
    Ok(())
}

/// A target is a file.
fn targets(files: &[String]) -> Vec<String> {
    files
        .iter()
        .filter_map(|file| file.strip_prefix(DIRECTORY)?.strip_prefix("/fuzz_targets/")?.strip_suffix(".rs"))
        .map(str::to_owned)
        .collect()
}

/// New inputs go into the first corpus; the second is the committed one.
fn words(target: &str, new: &str, seconds: u32) -> Vec<String> {
    let committed = format!("{DIRECTORY}/corpus/{target}");
    let seconds = format!("-max_total_time={seconds}");
    let run = [
        "rustup",
        "run",
        "nightly",
        "cargo",
        "fuzz",
        "run",
        "--fuzz-dir",
        DIRECTORY,
        target,
        new,
        &committed,
    ];
    let limits = ["--", &seconds, "-timeout=20", "-max_len=4096", "-print_final_stats=1"];
    run.iter().chain(&limits).map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn targets_are_the_files_of_their_folder() {
        let files =
            ["ci/src/fuzz.rs", "coordinator/fuzz/fuzz_targets/wire.rs", "coordinator/fuzz/Cargo.toml"];
        assert_eq!(targets(&files.map(str::to_owned)), ["wire"]);
    }

    #[test]
    fn each_target_runs_in_turn_up_to_the_first_finding() {
        let tree = Tree::new(&[
            ("coordinator/fuzz/fuzz_targets/attach.rs", ""),
            ("coordinator/fuzz/fuzz_targets/wire.rs", ""),
        ]);
        tree.program("rustup", "");
        let run = |targets: &[&str]| {
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            fuzz(&tree.workspace, &Args { seconds: 5, targets })
        };
        let ran = |calls: Vec<String>| -> Vec<String> {
            let target =
                |call: &String| call.split(" coordinator/fuzz ").nth(1)?.split(' ').next().map(str::to_owned);
            calls.iter().filter_map(target).collect()
        };
        assert_eq!(run(&[]), Ok(()));
        assert_eq!(ran(tree.calls()), ["attach", "wire"]);
        assert!(tree.path("../target/fuzz-corpus/attach").is_dir());
        assert_eq!(run(&["wire"]), Ok(()));
        assert_eq!(ran(tree.calls()), ["wire"]);
        let unknown = run(&["wire", "ring"]).unwrap_err();
        assert_eq!(unknown, "there is no fuzz target `ring`\nhint: there are attach, wire");
        assert_eq!(ran(tree.calls()), [] as [&str; 0]);
        tree.program("rustup", "case \"$*\" in *attach*) exit 77;; esac");
        assert!(run(&[]).unwrap_err().ends_with("failed: exit status: 77"));
        assert_eq!(ran(tree.calls()), ["attach"]);
        tree.program("rustup", "exit 1");
        assert!(run(&[]).unwrap_err().contains("cargo install cargo-fuzz"));
    }

    #[test]
    fn what_is_found_does_not_land_in_the_repository() {
        let words = words("wire", "target/fuzz-corpus/wire", 5).join(" ");
        assert!(words.contains("wire target/fuzz-corpus/wire coordinator/fuzz/corpus/wire -- "), "{words}");
        assert!(words.contains("-max_total_time=5"), "{words}");
    }
}
