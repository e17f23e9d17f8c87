//! Every example of docs/coordinator.md, run as it stands: each block ```sh in one directory, one after the other. Where
//! a block ```text follows, it is what the example prints.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};

const GUIDE: &str = include_str!("../../../docs/coordinator.md");

#[derive(Debug, PartialEq, Eq)]
struct Example {
    line: usize,
    script: String,
    printed: Option<String>,
}

fn examples(text: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.to_owned(), at + 1, String::new())),
            (Some(_), Some(_)) => {
                let (kind, line, body) = open.take().unwrap();
                match kind.as_str() {
                    "sh" => found.push(Example { line, script: body, printed: None }),
                    "text" => found.last_mut().unwrap().printed = Some(body),
                    other => assert_eq!(other, "json", "line {line}: a block of no kind that is run"),
                }
            }
            (Some((.., body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    found
}

fn whole(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// What is wrong with an example, if anything is.
fn tried(example: &Example, dir: &Path, shm: &Path) -> Result<(), String> {
    let Example { line, script, printed } = example;
    let bin = Path::new(env!("CARGO_BIN_EXE_coordinator")).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let agents = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents");
    // Files, and no pipes: what an example leaves running would hold those open.
    let mut out = tempfile::tempfile().unwrap();
    let mut error = tempfile::tempfile().unwrap();
    let status = Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(dir)
        .envs([("PATH", path.as_str()), ("AGENTS", agents)])
        .env("COORDINATOR_SHM_DIR", shm)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(error.try_clone().unwrap())
        .status()
        .unwrap();
    let (out, error) = (whole(&mut out), whole(&mut error));
    if !status.success() {
        return Err(format!("line {line}: {status}\n{script}\n{out}{error}"));
    }
    match printed {
        Some(printed) if *printed != out => Err(format!("line {line}: printed\n{out}instead of\n{printed}")),
        _ => Ok(()),
    }
}

#[test]
fn every_example_of_the_guide_does_what_it_says() {
    let (dir, shm) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    let examples = examples(GUIDE);
    assert!(examples.len() >= 12, "{} examples", examples.len());
    for example in &examples {
        if let Err(wrong) = tried(example, dir.path(), shm.path()) {
            // What an example has started is not to outlive it.
            let stop = Example { line: 0, script: "coordinator stop demo || true".to_owned(), printed: None };
            let _ = tried(&stop, dir.path(), shm.path());
            panic!("docs/coordinator.md, {wrong}");
        }
    }
    assert!(std::fs::read_dir(shm.path()).unwrap().next().is_none(), "a fleet of the guide's is left");
}

#[test]
fn an_example_that_fails_or_prints_something_else_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let text = "```sh\nexit 3\n```\n```sh\necho one\n```\n```text\ntwo\n```\n```sh\necho two\n```\n```text\ntwo\n```\n";
    let tried: Vec<_> =
        examples(text).iter().map(|example| tried(example, dir.path(), dir.path()).is_ok()).collect();
    assert_eq!(tried, [false, false, true]);
}
