//! What stands on a terminal: as wide as that is, and without escape sequences where it obeys none.

use super::{Bench, HARNESS, scenario};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the program writes on a terminal of its own, of so many columns.
fn shown(bench: &Bench, (columns, term): (usize, &str), arguments: &[&str]) -> String {
    let quoted = arguments.join("' '");
    let on_terminal = format!("stty cols {columns} rows 40; exec {HARNESS} '{quoted}'");
    let mut command = Command::new("script");
    bench.within(&mut command).args(["-q", "-e", "-c", &on_terminal, "/dev/null"]);
    // CI says that it has colours: what the terminal says comes first.
    command.env("CI", "true").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    let output = command.env("TERM", term).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

/// Without what only colours it.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// Whether a space is in it that no one copies: not of a command, nor between backticks.
fn can_be_cut(line: &str) -> bool {
    let line = line.trim();
    let is_command = line.starts_with("harness ") || line.starts_with("coordinator ");
    !is_command && line.split('`').step_by(2).any(|part| part.trim().contains(' '))
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn no_line_is_wider_than_its_terminal_unless_it_is_to_be_copied() {
    let bench = Bench::new(&scenario(2));
    let run = bench.dir.path().join("runs/small/20260102T030405Z-abc123");
    std::fs::create_dir_all(&run).unwrap();
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/tests/fixtures/v2/staged/run.log");
    std::fs::copy(log, run.join("run.log")).unwrap();
    let mistaken =
        scenario(2).replace("delivery.rate", "deliverie.rate").replace("every = \"50ms\"", "evrey = 50");
    std::fs::write(bench.dir.path().join("mistaken.toml"), mistaken).unwrap();
    let (scenarios, phases) = (example("."), example("phases-demo.toml"));
    let (storm, run) = (example("load-708.toml"), run.to_str().unwrap());
    let asked: [&[&str]; 10] = [
        &["validate", "mistaken.toml"],
        &["plan", &storm],
        &["plan", "small.toml"],
        &["doctor", &storm],
        &["list", &scenarios],
        &["list", "--runs", "runs"],
        &["judge", run],
        &["phases", "--phases", &phases],
        &["gate", "demo", "--phases", &phases],
        &["status", run],
    ];
    for columns in [50, 80, 100] {
        for arguments in asked {
            let text = shown(&bench, (columns, "xterm"), arguments);
            assert!(text.lines().count() > 0, "{arguments:?} shows nothing");
            for line in text.lines().map(plain) {
                let wide = line.chars().count() > columns && can_be_cut(&line);
                assert!(!wide, "{arguments:?} on {columns} columns: {line:?}\n{text}");
            }
        }
    }
}

/// An oracle for the test above: the same lines are wider where no one says how wide a terminal is.
#[test]
fn a_pipe_gets_lines_as_they_are_and_a_terminal_gets_json_as_it_is() {
    let bench = Bench::new(&scenario(2));
    let plan = bench.ask(&["plan", "small.toml"]).stdout;
    assert!(plan.lines().any(|line| line.chars().count() > 50 && can_be_cut(line)), "{plan}");
    let json = shown(&bench, (50, "xterm"), &["plan", "small.toml", "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
}

#[test]
fn a_terminal_that_obeys_no_escape_sequence_gets_none_and_hears_of_progress() {
    let bench = Bench::new(&scenario(1));
    let run = ["run", "small.toml", "--out", "runs"];
    for (term, obeys) in [("dumb", false), ("xterm", true)] {
        let text = shown(&bench, (80, term), &run);
        assert!(text.contains("PASS"), "{text}");
        assert_eq!(text.contains('\u{1b}'), obeys, "{term}: {text:?}");
        assert!(text.contains("load    0:0"), "{term}: {text:?}");
    }
}
