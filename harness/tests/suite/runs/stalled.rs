//! Readers that stall: they hold up neither the signals of a run nor its verdict.

use super::{Bench, scenario, verdict};
use nix::sys::signal::Signal;
use std::io::{ErrorKind, PipeReader, PipeWriter, Write};
use std::process::Stdio;

/// Its end for writing takes nothing as long as its end for reading is open.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'x'; piece]).map_err(|error| error.kind()) != Err(ErrorKind::WouldBlock) {}
    }
    // Writers wait from now on.
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

fn start(bench: &Bench, stdout: Stdio, stderr: Stdio) -> super::Run<'_> {
    let mut command = bench.command();
    command.args(["run", "small.toml", "--out", "runs"]).env("HARNESS_LOG", "debug");
    super::Run { bench, child: command.stdout(stdout).stderr(stderr).spawn().unwrap() }
}

/// Those that ask to stop. Under `nohup` SIGHUP is ignored, here and by what is started here: it asks for nothing.
fn asking() -> Vec<Signal> {
    let ignored = procfs::process::Process::myself().unwrap().status().unwrap().sigign;
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    signals.retain(|signal| ignored & (1 << (*signal as i32 - 1)) == 0);
    signals
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
fn a_run_whose_verdict_is_not_read_is_judged_and_ends_with_its_own_code() {
    let text = scenario(2).replace("coordination.time max < 3s", "coordination.time max < 1us");
    let bench = Bench::new(&text);
    let (_reader, full) = full_pipe();
    let done = start(&bench, full.into(), Stdio::null()).end();
    assert_eq!(done.status.code(), Some(10));
    assert_eq!(verdict(&bench.latest())["verdict"], "FAIL");
}
