//! The program itself: exit codes, and what goes to which stream.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments).env_remove("COORDINATOR_SHM_DIR").env_remove("RUST_BACKTRACE");
    command
}

/// Within a limit of `ulimit`.
fn limited(limit: &str, words: &str) -> Output {
    let script = format!("ulimit {limit}; exec {} {words}", env!("CARGO_BIN_EXE_harness"));
    Command::new("sh").arg("-c").arg(script).output().unwrap()
}

/// For `ulimit`: enough addresses to load the program, which the loader does before any of it runs, and too few for a run.
pub(crate) fn scant_addresses() -> String {
    let loads = |kib: &u64| limited(&format!("-v {kib}"), "--version").status.success();
    let program = (10_000..500_000).step_by(4_000).find(loads).unwrap();
    format!("-v {}", program + 4_000)
}

fn scenario(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    path.to_str().unwrap().to_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Refused with 64, said on stderr, nothing on stdout, and no panic.
#[track_caller]
fn refuses(arguments: &[&str], words: &str) {
    let output = harness(arguments);
    let said = stderr(&output);
    assert_eq!(code(&output), 64, "{said}");
    assert_eq!(stdout(&output), "");
    assert!(said.contains(words), "{said}");
    assert!(!said.contains("panicked") && !said.contains("this is a bug"), "{said}");
}

#[test]
fn help_is_data_and_opens_with_an_example() {
    for arguments in [&["--help"][..], &["run", "--help"], &["plan", "--help"], &["doctor", "--help"]] {
        let output = harness(arguments);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).starts_with("Example:  harness "), "{}", stdout(&output));
    }
}

#[test]
fn every_verb_prints_json() {
    let smoke = scenario("smoke.toml");
    let scenarios = scenario("");
    let whole = tempfile::tempdir().unwrap();
    let runs = whole.path().to_str().unwrap();
    for arguments in [
        &["validate", &smoke][..],
        &["plan", &smoke],
        &["list", &scenarios],
        &["list", "--runs", runs],
        &["clean", runs, "--keep", "1"],
        &["doctor"],
        &["schema"],
        &["schema", "--guide"],
        &["completions", "bash"],
        &["selftest"],
    ] {
        let output = harness(&[arguments, &["--json"]].concat());
        let json: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
        assert!(
            json.is_ok_and(|json| json.is_object() || json.is_array()),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    // Those that need a run are held to it by the tests of runs.
    let help = stdout(&harness(&["--help"]));
    let verbs =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for verb in verbs.filter_map(|line| line.split_whitespace().next()) {
        let passed_on = ["coordinator", "help"].contains(&verb);
        let has_json = stdout(&harness(&[verb, "--help"])).contains("--json");
        assert!(passed_on || has_json, "{verb} has no --json");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_64_and_never_2() {
    refuses(&[], "Example:");
    refuses(&["rnu"], "unrecognized subcommand");
    refuses(&["plan"], "FILE");
    refuses(&["plan", "x.toml", "--seed", "many"], "many");
    refuses(&["plan", "x.toml", "--rehearse", "1440"], "such as `1440x`");
    refuses(&["completions", "klingon"], "bash");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("latin1.toml"), b"schema = 1\nname = \"caf\xe9\"\n").unwrap();
    std::fs::write(path("large.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(Command::new("mkfifo").arg(path("fifo.toml")).status().unwrap().success());
    refuses(&["validate", &path("none.toml")], "none.toml");
    refuses(&["plan", &path("none.toml")], "hint: `harness list`");
    refuses(&["plan", &path("latin1.toml")], "byte 0xe9 in line 2 (offset 22) is not UTF-8");
    refuses(&["plan", &path("large.toml")], "larger than 1 MiB");
    refuses(&["plan", &path("fifo.toml")], "it is a pipe or a device");
    refuses(&["validate", "/dev/zero"], "it is a pipe or a device");
    refuses(&["plan", directory.path().to_str().unwrap()], "cannot read");
    refuses(&["list", &path("nowhere")], "nowhere");
}

#[test]
fn a_scenario_named_by_its_name_is_met_with_its_file() {
    for (name, directory, meant) in [
        ("smoke.toml", "..", "scenarios/smoke.toml"),
        ("scenarios/smoke", "..", "scenarios/smoke.toml"),
        ("smoke", "../scenarios", "smoke.toml"),
        ("smkoe", "..", "scenarios/smoke.toml"),
        ("scenarios/smok.toml", "..", "scenarios/smoke.toml"),
        ("smokee.toml", "../scenarios", "smoke.toml"),
    ] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let output = command(&["run", name]).current_dir(directory).output().unwrap();
        assert_eq!(code(&output), 64);
        assert!(stderr(&output).ends_with(&format!("hint: did you mean {meant}?\n")), "{}", stderr(&output));
    }
}

#[test]
fn a_scenario_can_be_named_without_its_directory_or_come_from_a_pipe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let whole = command(&["plan", "scenarios/smoke.toml"]).current_dir(&root).output().unwrap();
    let bare = command(&["plan", "smoke"]).current_dir(&root).output().unwrap();
    let text = std::fs::File::open(scenario("smoke.toml")).unwrap();
    let piped = command(&["plan", "-"]).stdin(text).current_dir(&root).output().unwrap();
    assert_eq!((code(&whole), code(&bare), code(&piped)), (0, 0, 0), "{}{}", stderr(&bare), stderr(&piped));
    assert_eq!(whole.stdout, bare.stdout);
    assert_eq!(whole.stdout, piped.stdout);
    let empty = command(&["run", "-"]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(code(&empty), 64);
    assert!(stderr(&empty).contains("standard input is empty"), "{}", stderr(&empty));
}

#[test]
fn files_that_extend_each_other_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(scenario("smoke.toml")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("base.toml", &good);
    write("child.toml", "extends = \"base.toml\"\nname = \"child\"\nload.duration = \"3s\"\n");
    write("a.toml", "extends = \"b.toml\"\nname = \"a\"\n");
    write("b.toml", "extends = \"a.toml\"\nname = \"b\"\n");
    write("lost.toml", "extends = \"gone.toml\"\nname = \"lost\"\n");
    write("own.toml", "extends = \"own.toml\"\nname = \"own\"\n");
    let plan = |name: &str| command(&["plan", name]).current_dir(directory.path()).output().unwrap();
    let child = plan("child.toml");
    assert_eq!(code(&child), 0, "{}", stderr(&child));
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(text.starts_with("child\n") && text.contains("load 3s") && text.contains("base.toml"), "{text}");
    for (name, said) in [
        ("a.toml", "`a.toml` extends itself, by way of `b.toml`\n"),
        ("own.toml", "`own.toml` extends itself\n"),
        ("lost.toml", "cannot read `gone.toml`"),
    ] {
        let refused = plan(name);
        assert_eq!(code(&refused), 64, "{name}");
        assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    }
}

#[test]
fn a_negative_count_is_a_value_that_is_out_of_range() {
    for option in ["--runs", "--retry-inconclusive"] {
        refuses(&["run", "smoke", option, "-1"], &format!("invalid value '-1' for '{option} <N>'"));
    }
}

#[test]
fn one_bad_file_among_several_starts_none() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("runs");
    let output =
        command(&["run", "../scenarios/smoke.toml", "/nowhere.toml", "--out"]).arg(&out).output().unwrap();
    assert_eq!(code(&output), 64);
    assert!(!out.exists(), "a run was started");
    let filtered = command(&["run", "../scenarios/smoke.toml", "--filter", "nothing", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(code(&filtered), 64);
    assert!(stderr(&filtered).contains("there are smoke"), "{}", stderr(&filtered));
    assert!(!out.exists());
}

#[test]
fn mistakes_in_a_scenario_are_64_with_file_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(scenario("smoke.toml")).unwrap();
    for (name, from, to, words) in [
        ("unknown-key", "workers = 4", "wrokers = 4", "did you mean `workers`?"),
        ("wrong-type", "workers = 4", "workers = true", "must be an integer, not a boolean"),
        ("unit", "\"6s\"", "6", "without a unit"),
        ("ratio", ">= 100%", ">= 120%", "cannot exceed 100%"),
        ("zero", "workers = 4", "workers = 0", "`fleet.workers` must be from 1 to 4096"),
        ("metric", "delivery.rate", "delivery.ratio", "there is no metric"),
        ("aggregation", "delivery.rate", "delivery.rate p99", "has no `p99`"),
        ("syntax", "workers = 4", "workers = ", "`workers` has no value"),
        ("cut", &good[good.len() / 2..], "", "missing"),
    ] {
        let file = directory.path().join(format!("{name}.toml"));
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let file = file.to_str().unwrap();
        refuses(&["plan", file], words);
        refuses(&["validate", file], &format!("  at {file}:"));
    }
}

#[test]
fn validate_tells_the_good_from_the_bad() {
    let good = scenario("smoke.toml");
    let output = harness(&["validate", &good, "/none.toml"]);
    assert_eq!(code(&output), 64);
    assert_eq!(stdout(&output), format!("{good}: ok\n"));
    assert!(stderr(&output).contains("1 of 2 files"), "{}", stderr(&output));
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_in_json_too() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    write("bytes.toml", b"name = \"\xff\"");
    write("orphan.toml", b"extends = \"none.toml\"");
    write("circle.toml", b"extends = \"circle.toml\"");
    for (file, words, extended) in [
        ("none.toml", "cannot read", false),
        ("bytes.toml", "is not UTF-8", false),
        ("orphan.toml", "cannot read", true),
        ("circle.toml", "extends itself", false),
        (".", "it is a directory", false),
    ] {
        let path = directory.path().join(file);
        let output = harness(&["validate", "--json", path.to_str().unwrap()]);
        assert_eq!(code(&output), 64);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_file = &found["files"][0];
        let mistakes = of_file["mistakes"].as_array().unwrap();
        assert_eq!((mistakes.len(), &of_file["ok"]), (1, &false.into()), "{found:#}");
        assert!(mistakes[0]["message"].as_str().unwrap().contains(words), "{found:#}");
        assert!(!mistakes[0]["hint"].as_str().unwrap().is_empty(), "{found:#}");
        assert_eq!(of_file["notes"].as_array().unwrap().len(), usize::from(extended), "{found:#}");
    }
}

#[test]
fn a_plan_as_json_is_what_the_text_says() {
    let file = scenario("load-708.toml");
    let output = harness(&["plan", &file, "--json", "--set", "load.duration=90s", "--seed", "5"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["plan"]["processes"], 708);
    assert_eq!(plan["plan"]["rounds_planned"], 900);
    assert_eq!(plan["seed"], 5);
    assert_eq!(plan["scenario"]["overrides"][0], "load.duration=90s");
    let text = stdout(&harness(&["plan", &file]));
    for words in [
        "7 × 100 workers = 708 processes",
        "in 8 files in a directory",
        "descriptors",
        "echo 256 B",
        "takes             1m 5s",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(&plan["plan"]["shm_bytes"].to_string()), "{text}");
}

#[test]
fn what_is_read_before_anything_is_set_cannot_be_set() {
    for set in ["matrix.workers=[1]", "extends='other.toml'"] {
        refuses(&["plan", &scenario("smoke.toml"), "--set", set], "cannot be set");
    }
}

#[test]
fn a_seed_that_is_not_the_files_is_an_override() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seeded.toml");
    let text = std::fs::read_to_string(scenario("smoke.toml")).unwrap();
    std::fs::write(&file, text.replacen("schema = 1\n", "schema = 1\nseed = 5\n", 1)).unwrap();
    let overrides = |seed: &str| {
        let output = harness(&["plan", file.to_str().unwrap(), "--json", "--seed", seed]);
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        plan["scenario"]["overrides"].clone()
    };
    assert_eq!(overrides("5"), serde_json::json!([]));
    assert_eq!(overrides("6"), serde_json::json!(["seed=6"]));
}

#[test]
fn the_same_file_plans_the_same_seed() {
    let plan = || stdout(&harness(&["plan", &scenario("smoke.toml"), "--json"]));
    assert_eq!(plan(), plan());
}

#[test]
fn list_names_every_scenario() {
    let output = harness(&["list", &scenario("")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    for name in ["smoke", "load-100", "load-300", "load-500", "load-708", "gate1-24h", "sprint0-8h"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {text}");
    }
}

#[test]
fn a_directory_without_scenarios_is_said_to_be_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let output = harness(&["list", path]);
    assert_eq!((code(&output), stdout(&output)), (0, String::new()));
    assert_eq!(stderr(&output), format!("no scenario in `{path}`: no file there ends in .toml\n"));
}

#[test]
fn schema_and_completions_go_to_stdout() {
    let schema: serde_json::Value = serde_json::from_slice(&harness(&["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "Scenario");
    for shell in ["bash", "zsh", "fish"] {
        let output = harness(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("harness"), "{shell}");
    }
}

#[test]
fn a_host_that_cannot_run_the_fleet_is_20_with_a_remedy() {
    // A terabyte of shared memory: 256 × 4096 workers with megabytes each.
    let too_large =
        ["fleet.coordinators=256", "fleet.workers=4096", "workload.payload=1MiB"].map(|set| ["--set", set]);
    let arguments: Vec<&str> = ["doctor"].into_iter().chain(too_large.into_iter().flatten()).collect();
    let file = scenario("smoke.toml");
    let output = harness(&[arguments.as_slice(), &[&file]].concat());
    assert_eq!(code(&output), 20, "{}", stdout(&output));
    assert!(stdout(&output).contains("shared memory, space") && stdout(&output).contains("remount,size="));
}

#[test]
fn a_tight_limit_of_descriptors_is_20_with_a_remedy() {
    let script =
        format!("ulimit -n 24; exec {} doctor {}", env!("CARGO_BIN_EXE_harness"), scenario("load-100.toml"));
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_eq!(code(&output), 20, "{}", stdout(&output));
    let text = stdout(&output);
    assert!(
        text.contains("ulimit -n is 24") && text.contains("the process with the most open descriptors needs"),
        "{text}"
    );
}

#[test]
fn what_a_run_refuses_for_a_limit_of_its_process_the_doctor_calls_missing() {
    for limit in [&*scant_addresses(), "-d 20000", "-s 128"] {
        let of = |verb: &str| limited(limit, &format!("{verb} {}", scenario("smoke.toml")));
        let (doctor, run) = (of("doctor"), of("run"));
        assert_eq!((code(&doctor), code(&run)), (20, 20), "{limit}: {doctor:?} {run:?}");
        let said = [stdout(&doctor), String::from_utf8_lossy(&doctor.stderr).into_owned()].concat();
        assert!(said.contains(&format!("`ulimit {}`", &limit[..2])), "{limit}: {said}");
    }
}

#[test]
fn a_command_that_cannot_be_started_is_20_before_anything_is() {
    let smoke = scenario("smoke.toml");
    let out = tempfile::tempdir().unwrap();
    let with = |verb: &str, command: &str, more: &[&str]| {
        let workload = format!("workload={{ kind = \"exec\", command = [\"{command}\"] }}");
        harness(&[&[verb, &smoke, "--set", &workload][..], more].concat())
    };
    let output = with("run", "no-such-agent", &["--out", out.path().to_str().unwrap()]);
    assert_eq!(code(&output), 20, "{}", stderr(&output));
    assert!(stderr(&output).contains("command: `no-such-agent` is in no directory of PATH\n  hint: "));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    let output = with("doctor", "/etc/passwd", &[]);
    assert_eq!(code(&output), 20, "{}", stdout(&output));
    assert!(stdout(&output).contains("`/etc/passwd` is not executable"), "{}", stdout(&output));
    assert!(stdout(&with("doctor", "sh", &[])).contains("/sh\n"));
}

#[test]
fn shared_memory_elsewhere_is_looked_at_there() {
    let output = command(&["doctor"]).env("COORDINATOR_SHM_DIR", "/nowhere").output().unwrap();
    assert_eq!(code(&output), 20);
    assert!(stdout(&output).contains("/nowhere"), "{}", stdout(&output));
}

#[test]
fn the_judge_notices_every_defect_of_the_self_test_and_the_readme_says_how_many() {
    let output = harness(&["selftest"]);
    let shown = stdout(&output);
    assert_eq!(code(&output), 0, "{shown}");
    let count = shown.lines().filter(|line| line.starts_with("  ")).count();
    assert!(shown.contains(&format!("All {count} defects were noticed")), "{shown}");
    assert!(include_str!("../../../README.md").contains(&format!("notices {count} defects")), "{count}");
}

#[test]
fn data_that_cannot_be_written_is_20_and_said() {
    let smoke = scenario("smoke.toml");
    let directory = scenario("");
    for arguments in [
        &["schema"][..],
        &["completions", "bash"],
        &["plan", &smoke],
        &["plan", &smoke, "--json"],
        &["validate", &smoke],
        &["list", &directory],
        &["doctor"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        assert_eq!(code(&output), 20, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: cannot write to standard output: "), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    for arguments in [&["schema"][..], &["plan", &scenario("smoke.toml")]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(arguments).stdout(writer).output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{arguments:?}");
    }
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    for arguments in [&["--help"][..], &["doctor"], &["plan", "/none.toml"]] {
        let output = harness(arguments);
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{arguments:?}");
    }
}
