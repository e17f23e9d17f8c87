//! What this build is, for the header of every run log.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| output_of("git", arguments);
    let sha = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| output_of(&rustc, &["--version"]));
    println!("cargo:rustc-env=HARNESS_GIT={sha}");
    println!("cargo:rustc-env=HARNESS_DIRTY={dirty}");
    println!("cargo:rustc-env=HARNESS_RUSTC={}", rustc.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rustc-env=HARNESS_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
    // A commit changes one of these, and a change of any source file may make the tree dirty.
    for path in
        ["../.git/HEAD", "../.git/refs/heads", "../.git/index", "src", "../coordinator/src", "../reports/src"]
    {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
