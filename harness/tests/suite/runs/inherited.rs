//! What a run inherits from its caller, and what does not change its verdict.

use super::{Bench, Done, HARNESS, Run, scenario, verdict};
use crate::cli::scant_addresses;
use crate::skips::has_or_skips;
use nix::sys::signal::Signal;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// A run of a small fleet, as `wrapper` starts it: `$0 "$@"` in a script of a shell.
fn start<'a>(bench: &'a Bench, wrapper: &str) -> Run<'a> {
    let mut command = Command::new("sh");
    bench
        .within(&mut command)
        .args(["-c", wrapper, HARNESS, "run", "small.toml", "--out", "runs", "--quiet"])
        .stdin(Stdio::null());
    bench.start_by(&mut command)
}

fn run(bench: &Bench, wrapper: &str) -> Done {
    start(bench, wrapper).end()
}

#[test]
fn a_caller_that_ignores_and_blocks_signals_changes_no_verdict() {
    let bench = Bench::new(&scenario(5));
    let wrapper = "exec env --ignore-signal=CHLD,USR1,TTOU --block-signal=CHLD,TERM,INT,USR1 \"$0\" \"$@\"";
    let done = run(&bench, wrapper);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(!log.contains("had to be killed") && !log.contains("ECHILD"), "{}", done.stdout);
    let verdict = verdict(&bench.latest());
    // Busy hosts may make it INCONCLUSIVE; nothing that the signals do makes it fail.
    assert_ne!(verdict["verdict"], "FAIL", "{}", done.stdout);
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_blocked_signal_still_ends_a_run() {
    let bench = Bench::new(&scenario(60));
    let run = start(&bench, "exec env --block-signal=TERM,INT \"$0\" \"$@\"");
    let agents = run.agents_under_load();
    run.signal(Signal::SIGTERM);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_run_started_by_nohup_goes_on_after_a_hangup() {
    let bench = Bench::new(&scenario(60));
    let run = start(&bench, "exec env --ignore-signal=HUP \"$0\" \"$@\"");
    let agents = run.agents_under_load();
    run.signal(Signal::SIGHUP);
    run.signal(Signal::SIGTERM);
    let done = run.end();
    // One signal: the other one would have been a second.
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
}

#[test]
fn only_its_owner_may_change_the_files_of_a_run() {
    for (umask, file) in [("000", 0o644), ("0777", 0o600), ("077", 0o600)] {
        let bench = Bench::new(&scenario(1));
        let done = run(&bench, &format!("umask {umask}; exec \"$0\" \"$@\""));
        let run = bench.latest();
        for name in ["run.log", "verdict.json", "report.html"] {
            let mode = std::fs::metadata(run.join(name)).unwrap().mode() & 0o777;
            assert_eq!(format!("{mode:o}"), format!("{file:o}"), "{umask} {name} {}", done.stderr);
        }
    }
}

#[test]
fn a_verdict_that_cannot_be_shown_is_no_pass() {
    let bench = Bench::new(&scenario(2));
    let done = run(&bench, "exec \"$0\" \"$@\" >&-");
    assert!(done.stderr.contains("cannot write to standard output: it is closed"), "{}", done.stderr);
    let word = verdict(&bench.latest())["verdict"].as_str().unwrap().to_owned();
    let code = if word == "PASS" { 20 } else { 12 };
    assert_eq!(done.status.code(), Some(code), "{word}");
}

#[test]
fn limits_that_no_run_can_work_within_are_named() {
    // Below 64 KiB, arguments and environment alone may fill the stack.
    let addresses = scant_addresses();
    for (limit, remedy) in [(&*addresses, "ulimit -v"), ("-s 64", "ulimit -s"), ("-s 128", "ulimit -s")] {
        let bench = Bench::new(&scenario(1));
        let done = run(&bench, &format!("ulimit {limit}; exec \"$0\" \"$@\""));
        assert_eq!(done.status.code(), Some(20), "{limit}: {}", done.stderr);
        assert!(done.stderr.starts_with("error: ") && done.stderr.contains(remedy), "{}", done.stderr);
        assert!(!bench.out().exists());
    }
}

#[test]
fn without_proc_memory_is_unknown_and_a_run_is_refused() {
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    let works = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
    if !has_or_skips("user namespaces", works.is_ok_and(|status| status.success())) {
        return;
    }
    let bench = Bench::new(&scenario(1));
    let ended = |verb: &[&str]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args(["mount -t tmpfs none /proc && exec \"$0\" \"$@\"", HARNESS]);
        bench.within(command.args(verb));
        bench.start_by(&mut command).end()
    };
    let doctor = ended(&["doctor", "small.toml"]);
    assert!(doctor.stdout.contains("unknown: /proc/meminfo cannot be read"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("0 B available"), "{}", doctor.stdout);
    let run = ended(&["run", "small.toml", "--out", "runs"]);
    assert_eq!(run.status.code(), Some(20), "{}", run.stderr);
    assert!(run.stderr.contains("/proc: cannot be read"), "{}", run.stderr);
    assert!(!bench.out().exists());
}
