//! Readers that stall: they hold up neither the signals of a run nor its verdict.

use super::{Bench, scenario, verdict};
use crate::stalled::{asking, full_pipe};
use std::process::Stdio;

fn start(bench: &Bench, stdout: Stdio, stderr: Stdio) -> super::Run<'_> {
    let mut command = bench.command();
    command.args(["run", "small.toml", "--out", "runs"]).env("HARNESS_LOG", "debug");
    super::Run { bench, child: command.stdout(stdout).stderr(stderr).spawn().unwrap() }
}

#[test]
fn a_signal_ends_a_run_whose_reports_are_not_read() {
    for signal in asking() {
        let bench = Bench::new(&scenario(60));
        let (_reader, full) = full_pipe();
        let run = start(&bench, Stdio::piped(), full.into());
        let agents = run.agents_under_load();
        run.signal(signal);
        let done = run.end();
        assert_eq!(done.status.code(), Some(21), "{}", done.stdout);
        assert!(done.stdout.starts_with("INCONCLUSIVE"), "{}", done.stdout);
        assert!(bench.latest().join("report.html").exists());
        bench.assert_nothing_left(&agents);
    }
}

#[test]
fn a_run_whose_reports_are_not_read_is_judged() {
    let bench = Bench::new(&scenario(2));
    let (_reader, full) = full_pipe();
    let done = start(&bench, Stdio::piped(), full.into()).end();
    let word = verdict(&bench.latest())["verdict"].as_str().unwrap().to_owned();
    assert!(done.stdout.starts_with(&word), "{}", done.stdout);
    assert!(bench.latest().join("report.html").exists());
}

#[test]
fn runs_that_warn_before_they_start_go_on_if_that_is_not_read() {
    // Without a warm-up, and with fewer rounds than its percentile needs.
    let text = scenario(1).replace("coordination.time max < 3s", "coordination.time p99 < 3s");
    let bench = Bench::new(&text);
    let noted = bench.command().args(["run", "small.toml", "--out", "runs"]).output().unwrap();
    let first = String::from_utf8_lossy(&noted.stderr).into_owned();
    assert!(first.starts_with("warning: "), "{first}");
    let (_reader, full) = full_pipe();
    let done = start(&bench, Stdio::piped(), full.into()).end();
    let word = verdict(&bench.latest())["verdict"].as_str().unwrap().to_owned();
    assert!(done.stdout.starts_with(&word), "{}", done.stdout);
    // No run at all, for one that cannot be.
    for arguments in [
        &["run", "absent.toml"][..],
        &["resume", "absent"],
        &["swarm", "absent.toml"],
        &["impact", "absent.toml"],
        &["compare", "absent.toml", "--interleave", "a", "b", "-n", "2"],
    ] {
        let (_reader, full) = full_pipe();
        let status = bench.command().args(arguments).stdout(Stdio::null()).stderr(full).status().unwrap();
        assert!(matches!(status.code(), Some(20 | 64)), "{arguments:?}: {status}");
    }
}

#[test]
fn a_run_whose_verdict_is_not_read_is_judged_and_ends_with_its_own_code() {
    let text = scenario(2).replace("coordination.time max < 3s", "coordination.time max < 1us");
    let bench = Bench::new(&text);
    let (_reader, full) = full_pipe();
    let done = start(&bench, full.into(), Stdio::null()).end();
    assert_eq!(done.status.code(), Some(10));
    assert_eq!(verdict(&bench.latest())["verdict"], "FAIL");
}

#[test]
fn a_pass_that_its_reader_has_not_read_is_no_pass() {
    let bench = Bench::new(&scenario(2));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = start(&bench, writer.into(), Stdio::null()).end();
    // Whatever a busy host makes of it: only a pass loses its code.
    let word = verdict(&bench.latest())["verdict"].as_str().unwrap().to_owned();
    let wanted = match word.as_str() {
        "PASS" => 20,
        "FAIL" => 10,
        "CONDITIONAL" => 11,
        _ => 12,
    };
    assert_eq!(done.status.code(), Some(wanted), "{word}");
    // Judged from its log alone, and on a pipe that is not read.
    for verb in ["judge", "report"] {
        let (_reader, full) = full_pipe();
        let mut command = bench.command();
        command.arg(verb).arg(bench.latest()).stdout(full).stderr(Stdio::null());
        assert_eq!(command.status().unwrap().code(), Some(wanted), "{verb}: {word}");
    }
}
