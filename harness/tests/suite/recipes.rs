//! The recipes for pipelines in `docs/ci/`: the script of each step does in a shell what a user of the pipeline wants.

use crate::runs::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn recipe(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ci").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The lines below the first one that begins with `head` and ends with `|`, as far as they are indented by more.
fn block(text: &str, head: &str) -> String {
    let mut lines =
        text.lines().skip_while(|line| !(line.trim_start().starts_with(head) && line.ends_with('|')));
    let head = lines.next().unwrap_or_else(|| panic!("there is no {head:?}"));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let inside: Vec<&str> = lines.take_while(|line| line.is_empty() || indent(line) > indent(head)).collect();
    let least = inside.iter().filter(|line| !line.is_empty()).map(|line| indent(line)).min().unwrap();
    inside.iter().map(|line| line.get(least..).unwrap_or_default().to_owned() + "\n").collect()
}

fn step(name: &str) -> String {
    let text = recipe("github-actions.yml");
    let (_, from) =
        text.split_once(&format!("- name: {name}\n")).unwrap_or_else(|| panic!("there is no step {name}"));
    block(from, "run:")
}

/// The parts of a script of a job, which one shell runs in turn.
fn parts(key: &str) -> Vec<String> {
    let text = recipe("gitlab-ci.yml");
    let (_, from) = text.split_once(&format!("\n  {key}:\n")).unwrap();
    let (mut rest, mut found) = (from, Vec::new());
    while rest.starts_with("    - |") {
        let one = block(rest, "- |");
        let lines = 1 + one.lines().count();
        found.push(one);
        rest = rest.splitn(lines + 1, '\n').last().unwrap_or_default();
    }
    found
}

/// A checkout with scenarios of a moment, and `harness` in the path.
struct Checkout(tempfile::TempDir);

impl Checkout {
    /// `criterion` and `duration` are those of both scenarios.
    fn new(criterion: &str, duration: &str) -> Self {
        let whole = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(whole.path("bin")).unwrap();
        std::fs::create_dir(whole.path("scenarios")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_harness"), whole.path("bin/harness")).unwrap();
        for name in ["smoke", "load-100"] {
            let text = format!(
                "schema = 1\nname = \"{name}\"\nasks = \"Is it there?\"\n\
                 [fleet]\ntopology = \"flat\"\ncoordinators = 1\nworkers = 2\n\
                 [workload]\nkind = \"echo\"\npayload = \"64B\"\n\
                 [load]\nmodel = \"open\"\nevery = \"20ms\"\nduration = \"{duration}\"\nwarm_up = \"20ms\"\n\
                 [sampling]\nevery = \"100ms\"\n\
                 [[criterion]]\nname = \"one\"\npass = \"{criterion}\"\n\
                 [[criterion]]\nname = \"two\"\npass = \"incidents == 0\"\n\
                 [profile.ci]\nworkload.payload = \"128B\"\n"
            );
            std::fs::write(whole.path(&format!("scenarios/{name}.toml")), text).unwrap();
        }
        whole
    }

    /// `harness` is a script, which notes how it was called in `calls`.
    fn stand_in(self, script: &str) -> Self {
        let program = self.path("bin/harness");
        std::fs::remove_file(&program).unwrap();
        std::fs::write(&program, format!("#!/bin/bash\necho \"$*\" >> calls\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(self.path("baselines")).unwrap();
        for name in ["smoke", "load-100"] {
            std::fs::write(self.path(&format!("baselines/{name}.json")), "{}").unwrap();
        }
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// As both runners start a shell.
    fn command(&self, script: &str) -> Command {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        // What is started in the background ignores interrupts, and a shell cannot change that; runners start theirs otherwise.
        let mut command = Command::new("env");
        command.args(["--default-signal", "bash"]);
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        command
            .current_dir(self.0.path())
            .env("PATH", path)
            .env("GITHUB_STEP_SUMMARY", self.path("shown.md"));
        command.env("HARNESS_STATE_DIR", self.path("state")).stdin(Stdio::null());
        command
    }

    fn run(&self, script: &str) -> (i32, String) {
        let Output { status, stdout, stderr } = self.command(script).output().unwrap();
        let words = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        (status.code().unwrap_or(-1), words)
    }

    /// Documents of runs, by name.
    fn documents(&self, name: &str) -> usize {
        let runs = ["smoke", "load-100"].map(|scenario| std::fs::read_dir(self.path("runs").join(scenario)));
        let runs = runs.into_iter().flatten().flatten().flatten();
        runs.filter(|run| !run.file_type().unwrap().is_symlink() && run.path().join(name).is_file()).count()
    }
}

/// What makes the runs, in both recipes.
fn run_scripts() -> [(&'static str, String); 2] {
    // Without a baseline, nothing is compared; the last part ends with the code of both.
    let [_build, functions, runs, compare] = parts("script").try_into().unwrap();
    [("github", step("Run")), ("gitlab", functions + &runs + &compare)]
}

/// What compares them, in both recipes.
fn compare_scripts() -> [(&'static str, String); 2] {
    let [_build, functions, _runs, compare] = parts("script").try_into().unwrap();
    [("github", step("Compare")), ("gitlab", functions + "open=0\n" + &compare)]
}

#[test]
fn a_green_build_ends_with_0_and_leaves_what_is_published() {
    for (recipe, script) in run_scripts() {
        let checkout = Checkout::new("delivery.failed <= 1", "300ms");
        let (code, words) = checkout.run(&script);
        assert_eq!(code, 0, "{recipe}: {words}");
        assert_eq!(
            (checkout.documents("junit.xml"), checkout.documents("report.md")),
            (8, 8),
            "{recipe}: {words}"
        );
    }
}

#[test]
fn a_red_build_ends_with_10() {
    for (recipe, script) in run_scripts() {
        let checkout = Checkout::new("coordination.time max < 1us", "300ms");
        let (code, words) = checkout.run(&script);
        assert_eq!(code, 10, "{recipe}: {words}");
    }
}

#[test]
fn a_noisy_build_is_repeated_and_then_a_warning() {
    // Fifteen rounds have no 99th percentile.
    for (recipe, script) in run_scripts() {
        let checkout = Checkout::new("coordination.time p99 < 1s", "300ms");
        let (code, words) = checkout.run(&script);
        let is_warned =
            if recipe == "github" { code == 0 && words.contains("::warning::") } else { code == 12 };
        assert!(is_warned, "{recipe}: {code}: {words}");
        assert!(checkout.documents("run.log") >= 3 * 8, "{recipe}: {words}");
    }
    let gitlab = recipe("gitlab-ci.yml");
    assert!(
        gitlab.contains("allow_failure:\n    exit_codes: [12]"),
        "GitLab must not fail the job on 12: {gitlab}"
    );
}

/// To the shell alone, as the runners do it, and not to its group.
fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Signals a shell that runs `script` once its run of `smoke` has begun; the run ends, is judged, and none follows.
fn cancelled(recipe: &str, script: &str, name: Signal, checkout: &Checkout) {
    let child = checkout.command(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("rounds of the load", || {
        let log = checkout.read("runs/smoke/latest/run.log");
        log.matches("\"ev\":\"round\"").count() >= 20
    });
    signal(&child, name);
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(21), "{recipe} {name}: {words}");
    let documents = (checkout.documents("run.log"), checkout.documents("report.md"));
    assert_eq!(documents, (1, 1), "{recipe} {name}: no other run begins: {words}");
}

#[test]
fn a_cancelled_build_ends_the_run_which_is_judged_as_far_as_it_went() {
    for (recipe, script) in run_scripts() {
        for name in [Signal::SIGINT, Signal::SIGTERM] {
            cancelled(recipe, &script, name, &Checkout::new("delivery.failed <= 1", "10m"));
        }
    }
}

#[test]
fn a_cancelled_comparison_ends_the_runs_that_it_has_made() {
    // The comparison is open, which has more runs made: by the harness itself, as a shell in the background ignores
    // interrupts.
    let stand_in = format!("[ \"$1\" = compare ] && exit 12\nexec {} \"$@\"", env!("CARGO_BIN_EXE_harness"));
    for (recipe, script) in compare_scripts() {
        for name in [Signal::SIGINT, Signal::SIGTERM] {
            let checkout = Checkout::new("delivery.failed <= 1", "10m").stand_in(&stand_in);
            cancelled(recipe, &script, name, &checkout);
        }
    }
}

#[test]
fn a_regression_is_red_and_noise_is_repeated_once() {
    let [(_, compare), (_, gitlab)] = compare_scripts();
    // What `compare` answers in turn, the code of each recipe, and how often it is asked of two scenarios.
    for (answers, github, in_gitlab, asked) in [
        ("0 0", 0, 0, 2),
        ("13 0", 13, 13, 2),
        ("12 0 0", 0, 0, 3),
        ("12 12 0", 0, 12, 3),
        ("12 13 0", 13, 13, 3),
        ("64 0", 64, 64, 2),
    ] {
        let stand_in = format!(
            "[ \"$1\" = compare ] || exit 0\nset -- {answers}\nn=$(grep -c ^compare calls)\nexit \"${{!n}}\""
        );
        for (recipe, script, wanted) in [("github", &compare, github), ("gitlab", &gitlab, in_gitlab)] {
            let checkout = Checkout::new("delivery.failed <= 1", "300ms").stand_in(&stand_in);
            let (code, words) = checkout.run(script);
            assert_eq!(code, wanted, "{recipe}, {answers}: {words}");
            let calls = checkout.read("calls");
            let times = calls.lines().filter(|line| line.starts_with("compare")).count();
            assert!(times == asked || (recipe == "gitlab" && wanted > 12), "{recipe}, {answers}: {calls}");
        }
    }
    let bare = Checkout::new("delivery.failed <= 1", "300ms");
    for script in [&compare, &gitlab] {
        let (code, words) = bare.run(script);
        assert!(code == 0 && words.contains("harness baseline set smoke"), "{code}: {words}");
    }
}

#[test]
fn runs_that_a_comparison_had_made_again_count_as_every_run() {
    // What `run` and the comparisons of `smoke` answer, and the code of each recipe.
    for (runs, compare, github, in_gitlab) in [
        (10, "12 0", 10, 10),
        (10, "12 12", 10, 10),
        (10, "12 13", 10, 10),
        (12, "12 0", 0, 12),
        (11, "12 0", 0, 0),
        (20, "12 0", 20, 20),
    ] {
        let stand_in = format!(
            "[ \"$1\" = run ] && exit {runs}\n[ \"$3\" = smoke ] || exit 0\nset -- {compare}\n\
             n=$(grep -c '^compare.*smoke' calls)\nexit \"${{!n}}\""
        );
        for (recipe, script) in compare_scripts() {
            let wanted = if recipe == "github" { github } else { in_gitlab };
            let checkout = Checkout::new("delivery.failed <= 1", "300ms").stand_in(&stand_in);
            let (code, words) = checkout.run(&script);
            assert_eq!(code, wanted, "{recipe}, {runs}, {compare}: {words}");
            if recipe == "github" && (11..=12).contains(&runs) {
                assert!(
                    words.contains(&format!("::warning::harness run smoke ended with {runs}")),
                    "{words}"
                );
            }
        }
    }
}

#[test]
fn a_summary_stays_within_the_size_that_is_shown() {
    let summary = step("Summary");
    let checkout = Checkout::new("delivery.failed <= 1", "300ms");
    std::fs::create_dir_all(checkout.path("runs/smoke/latest")).unwrap();
    std::fs::write(checkout.path("runs/smoke/latest/report.md"), "# PASS\n").unwrap();
    let (code, words) = checkout.run(&summary);
    assert!(code == 0 && checkout.read("shown.md").contains("# PASS"), "{code}: {words}");
    std::fs::remove_file(checkout.path("shown.md")).unwrap();
    let mut long = String::new();
    for line in 0..60_000 {
        let _ = writeln!(long, "| figure {line} | é |");
    }
    std::fs::write(checkout.path("compare-smoke.md"), &long).unwrap();
    let (code, words) = checkout.run(&summary);
    let shown = checkout.read("shown.md");
    assert_eq!(code, 0, "{words}");
    assert!(shown.len() < 1_048_576 && shown.contains("| é |\n\nCut here"), "{} bytes", shown.len());
    let nothing = Checkout::new("delivery.failed <= 1", "300ms");
    assert_eq!(nothing.run(&summary).0, 0, "a build that failed has a summary without a line");
    let (code, words) = checkout.run(&parts("after_script").concat());
    assert!(code == 0 && words.len() <= 100_000, "{code}");
}

#[test]
fn the_recipes_name_what_is_published() {
    let (github, gitlab) = (recipe("github-actions.yml"), recipe("gitlab-ci.yml"));
    for part in ["if: ${{ always() }}", "actions/upload-artifact@", "runs/", "cancel-in-progress: true"] {
        assert!(github.contains(part), "{part}");
    }
    for part in ["when: always", "junit: runs/*/*/junit.xml", "interruptible: true"] {
        assert!(gitlab.contains(part), "{part}");
    }
}
