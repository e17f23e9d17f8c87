//! `cargo xtask dist`: a release in `target/dist/`, which runs on any Linux of its architecture.
//!
//! The programs are linked statically. Man pages are made of the programs' own `--help`, so that they need no library
//! and no second text.

mod man;

use crate::workspace::{Outcome, Workspace};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask dist")]
pub(crate) struct Args {}

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROGRAMS: [&str; 2] = ["harness", "coordinator"];
const PROFILE: &str = "ship";
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];
const PAPERS: [&str; 3] = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"];

pub(crate) fn dist(workspace: &Workspace, _: &Args) -> Outcome {
    let version = version(workspace)?;
    let changes = changes(&text(workspace.root(), "CHANGELOG.md")?, &version)?;
    build(workspace)?;
    let name = format!("harness-{version}-x86_64-linux");
    let to = workspace.metadata.target_directory.join("dist").join(&name).into_std_path_buf();
    if to.exists() {
        std::fs::remove_dir_all(&to).map_err(|error| failed(&to, &error))?;
    }
    for program in PROGRAMS {
        add_program(workspace, &to, program, &version)?;
    }
    for paper in PAPERS {
        write(&to.join(paper), text(workspace.root(), paper)?.as_bytes())?;
    }
    write(&to.join("CHANGES.md"), changes.as_bytes())?;
    let sums = checksums(workspace, &to)?;
    write(&to.join("SHA256SUMS"), sums.as_bytes())?;
    for program in PROGRAMS {
        let size = std::fs::metadata(to.join(program)).map_err(|error| failed(&to, &error))?.len();
        eprintln!("dist: {program}: {:.1} MB", size as f64 / 1e6);
    }
    eprintln!("dist: {} files in {}", sums.lines().count() + 1, to.display());
    Ok(())
}

/// All members have the one version of the workspace.
fn version(workspace: &Workspace) -> Outcome<String> {
    let packages = workspace.metadata.workspace_packages();
    let harness = packages.iter().find(|package| package.name.as_str() == "harness");
    harness.map(|package| package.version.to_string()).ok_or_else(|| "there is no crate `harness`".to_owned())
}

fn build(workspace: &Workspace) -> Outcome {
    let mut words = vec!["env", "RUSTFLAGS=-Ctarget-feature=+crt-static", "cargo", "build"];
    words.extend(["--profile", PROFILE, "--target", TARGET, "--locked"]);
    words.extend(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    workspace.run(&words)
}

/// The program, its man pages and its completions.
fn add_program(workspace: &Workspace, to: &Path, program: &str, version: &str) -> Outcome {
    let built = workspace.metadata.target_directory.join(TARGET).join(PROFILE).join(program);
    let found = workspace.read(&[built.as_str(), "--version"])?;
    if found.split_whitespace().nth(1) != Some(version) {
        return Err(format!("{built} is {}, and this is {version}", found.trim()));
    }
    copy(built.as_std_path(), &to.join(program))?;
    for (page, roff) in man::pages(workspace, built.as_str(), program, version)? {
        write(&to.join("man").join("man1").join(page), roff.as_bytes())?;
    }
    for shell in SHELLS {
        let script = workspace.read(&[built.as_str(), "completions", shell])?;
        write(&to.join("completions").join(completion(program, shell)), script.as_bytes())?;
    }
    Ok(())
}

/// As each shell looks for it.
fn completion(program: &str, shell: &str) -> String {
    if shell == "zsh" { format!("_{program}") } else { format!("{program}.{shell}") }
}

/// What the changelog says of a version; before its release, of what is unreleased.
fn changes(changelog: &str, version: &str) -> Outcome<String> {
    let section = |heading: &str| {
        let is_heading = |line: &&str| {
            let title = line.strip_prefix("## ").unwrap_or_default();
            title.trim_start_matches('[').split([' ', ']']).next() == Some(heading)
        };
        let mut lines = changelog.lines().skip_while(|line| !is_heading(line));
        let first = lines.next()?;
        let rest = lines.take_while(|line| !line.starts_with("## "));
        Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n")
    };
    section(version)
        .or_else(|| section("Unreleased"))
        .ok_or_else(|| format!("CHANGELOG.md has no section for {version}: add `## {version}`"))
}

/// In the format of `sha256sum --check`, of every file there is, by name.
fn checksums(workspace: &Workspace, dir: &Path) -> Outcome<String> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    let mut names: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_prefix(dir).ok())
        .map(|file| file.display().to_string())
        .collect();
    names.sort();
    let dir = dir.display().to_string();
    let mut words = vec!["env", "--chdir", &dir, "sha256sum"];
    words.extend(names.iter().map(String::as_str));
    workspace.read(&words)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, &error))? {
        let path = entry.map_err(|error| failed(dir, &error))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn text(root: &Path, name: &str) -> Outcome<String> {
    std::fs::read_to_string(root.join(name)).map_err(|error| failed(Path::new(name), &error))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    make_room(path)?;
    std::fs::write(path, bytes).map_err(|error| failed(path, &error))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make_room(to)?;
    std::fs::copy(from, to).map(drop).map_err(|error| failed(from, &error))
}

fn make_room(path: &Path) -> Outcome {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    const CHANGELOG: &str =
        "# Changelog\n\n## Unreleased\n\n- c\n\n## [0.2.0] - 2026-01-02\n\n- b\n\n## 0.1.0\n\n- a\n";

    const BUILT: &str = "../target/x86_64-unknown-linux-gnu/ship";
    const DIST: &str = "../target/dist/harness-0.1.0-x86_64-linux";

    /// A checkout whose programs are built, and say that they are of this version.
    fn built(version: &str) -> Tree {
        let tree = Tree::new(&[("CHANGELOG.md", CHANGELOG), ("README.md", "r"), ("LICENSE-MIT", "m")]);
        tree.write("LICENSE-APACHE", "a");
        // Builds are not carried out, and all else is what it is.
        tree.program("env", "case \"$1\" in --chdir) exec /usr/bin/env \"$@\";; esac");
        for program in PROGRAMS {
            let says = format!(
                "case \"$*\" in --version) echo {program} {version};; \
                 --help) printf 'Does it.\\n\\nCommands:\\n  run   Runs\\n  help  Helps\\n';; \
                 'run --help') echo Runs;; completions*) echo \"for $2\";; esac"
            );
            tree.program_at(&format!("{BUILT}/{program}"), &says);
        }
        tree
    }

    #[test]
    fn a_release_holds_programs_pages_completions_papers_and_the_sums_of_all_of_them() {
        let tree = built("0.1.0");
        // What an earlier release had is not in it.
        tree.write(&format!("{DIST}/old"), "");
        assert_eq!(dist(&tree.workspace, &Args {}), Ok(()));
        let sums = tree.read(&format!("{DIST}/SHA256SUMS"));
        let names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        let programs = |program: &str| {
            [
                format!("completions/_{program}"),
                format!("completions/{program}.bash"),
                format!("completions/{program}.fish"),
                format!("man/man1/{program}-run.1"),
                format!("man/man1/{program}.1"),
                program.to_owned(),
            ]
        };
        let papers = ["CHANGES.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"].map(str::to_owned);
        let mut wanted = [&papers[..], &programs("harness"), &programs("coordinator")].concat();
        wanted.sort();
        assert_eq!(names, wanted);
        assert_eq!(tree.read(&format!("{DIST}/CHANGES.md")), "## 0.1.0\n\n- a\n");
        assert_eq!(tree.read(&format!("{DIST}/completions/_harness")), "for zsh\n");
        let page = tree.read(&format!("{DIST}/man/man1/harness-run.1"));
        assert!(page.starts_with(".TH HARNESS-RUN 1 \"\" \"harness 0.1.0\""), "{page}");
        // The sums are right.
        let dir = tree.path(DIST).display().to_string();
        let held = ["env", "--chdir", &dir, "sha256sum", "--check", "--quiet", "SHA256SUMS"];
        assert_eq!(tree.workspace.run(&held), Ok(()));
        assert_eq!(
            tree.calls()[0],
            "env RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --profile ship --target \
             x86_64-unknown-linux-gnu --locked --package harness --package coordinator"
        );
    }

    #[test]
    fn a_program_of_another_version_and_a_paper_that_is_not_there_are_no_release() {
        let error = dist(&built("0.0.9").workspace, &Args {}).unwrap_err();
        assert!(error.ends_with("/ship/harness is harness 0.0.9, and this is 0.1.0"), "{error}");
        let tree = built("0.1.0");
        std::fs::remove_file(tree.path("LICENSE-MIT")).unwrap();
        let error = dist(&tree.workspace, &Args {}).unwrap_err();
        assert!(error.starts_with("LICENSE-MIT: "), "{error}");
        tree.program("env", "exit 101");
        assert!(dist(&tree.workspace, &Args {}).unwrap_err().ends_with("failed: exit status: 101"));
    }

    #[test]
    fn a_version_has_its_own_section() {
        assert_eq!(changes(CHANGELOG, "0.2.0").as_deref(), Ok("## [0.2.0] - 2026-01-02\n\n- b\n"));
        assert_eq!(changes(CHANGELOG, "0.1.0").as_deref(), Ok("## 0.1.0\n\n- a\n"));
    }

    #[test]
    fn a_version_without_one_has_what_is_unreleased_or_is_an_error() {
        assert_eq!(changes(CHANGELOG, "0.3.0").as_deref(), Ok("## Unreleased\n\n- c\n"));
        assert!(changes("# Changelog\n", "0.3.0").unwrap_err().contains("## 0.3.0"));
    }
}
