//! Commands before the launch and after the end, of runs that end in every way.

use super::*;
use nix::sys::signal::Signal;
use reports::runlog::event::{CommandDone, When};

fn with(commands: &str, seconds: u32) -> Bench {
    Bench::new(&(scenario(seconds) + commands))
}

fn commands(bench: &Bench) -> Vec<CommandDone> {
    let log = codec::open(&bench.latest().join("run.log")).unwrap();
    let pick = |event| if let Event::Command(command) = event { Some(command) } else { None };
    log.filter_map(|record| pick(record.unwrap().event)).collect()
}

fn check(bench: &Bench, name: &str) -> serde_json::Value {
    let judgement = verdict(&bench.latest());
    let found = judgement["evidence"].as_array().unwrap().iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {judgement:#}")).clone()
}

#[test]
fn commands_run_before_the_launch_and_after_the_end() {
    let bench = with(
        "[[setup]]\nname = \"first\"\ncommand = [\"sh\", \"-c\", \"echo $WHO > made\"]\nenv = { WHO = \"me\" }\n\
         [[setup]]\ncommand = [\"grep\", \"me\", \"made\"]\n\
         [teardown]\nname = \"clear\"\ncommand = [\"sh\", \"-c\", \"rm made; echo cleared\"]\n",
        1,
    );
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let ran: Vec<_> = commands(&bench).into_iter().map(|c| (c.when, c.command, c.failed)).collect();
    assert_eq!(
        ran,
        [
            (When::SetUp, "first".to_owned(), false),
            (When::SetUp, "grep me made".to_owned(), false),
            (When::TearDown, "clear".to_owned(), false),
        ]
    );
    assert!(!bench.dir.path().join("made").exists());
    assert_eq!(
        (&check(&bench, "set-up")["verdict"], &check(&bench, "tear-down")["verdict"]),
        (&"PASS".into(), &"PASS".into())
    );
    for name in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(bench.latest().join(name)).unwrap();
        assert!(text.contains("tear-down: clear exited with status 0"), "{name}: {text}");
    }
}

#[test]
fn a_set_up_that_fails_starts_nothing_and_is_torn_down() {
    let bench = with(
        "[setup]\ncommand = [\"sh\", \"-c\", \"touch made; echo no database >&2; exit 3\"]\n\
         [teardown]\ncommand = [\"rm\", \"made\"]\n",
        1,
    );
    let done = bench.start(&[]).end();
    assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("exited with status 3; its last lines: no database"), "{}", done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(!log.contains("\"ev\":\"phase\"") && !log.contains("\"ev\":\"agents\""), "{log}");
    let judgement = verdict(&bench.latest());
    assert_eq!((&judgement["verdict"], &judgement["exit"]["code"]), (&"INCONCLUSIVE".into(), &20.into()));
    assert_eq!(check(&bench, "log consistent")["verdict"], "PASS");
    assert!(check(&bench, "set-up")["note"].as_str().unwrap().contains("no database"));
    assert!(!bench.dir.path().join("made").exists());
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_tear_down_that_fails_leaves_the_run_inconclusive() {
    let bench = with("[teardown]\ncommand = [\"sh\", \"-c\", \"echo still busy; exit 1\"]\n", 1);
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    let found = check(&bench, "tear-down");
    assert_eq!(found["verdict"], "INCONCLUSIVE");
    assert!(found["note"].as_str().unwrap().contains("exited with status 1: still busy"), "{found}");
}

#[test]
fn a_set_up_that_hangs_is_ended_with_all_that_it_has_started() {
    let bench = with(
        "[setup]\ncommand = [\"sh\", \"-c\", \"sleep 900 & echo $! > pid; setsid sleep 900 & sleep 900\"]\ntimeout = \"1s\"\n",
        1,
    );
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
    let ran = commands(&bench);
    assert!(ran[0].failed && ran[0].how == "was ended by its time-out of 1s", "{ran:?}");
    let pid = std::fs::read_to_string(bench.dir.path().join("pid")).unwrap();
    assert!(!is_there(pid.trim()), "{pid}");
    assert_unmarked(&bench);
}

/// Not counting a process that has ended and waits for its parent.
fn is_there(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// No process that the commands of the run have started is there.
fn assert_unmarked(bench: &Bench) {
    assert_eq!(marked(bench), [] as [PathBuf; 0]);
}

/// Processes that commands of the run have started.
fn marked(bench: &Bench) -> Vec<PathBuf> {
    let header = codec::open(&bench.latest().join("run.log")).unwrap().next().unwrap().unwrap();
    let Event::Header(header) = header.event else { panic!("{header:?}") };
    let mark = format!("HARNESS_RUN={}", header.run_id);
    let is_marked = |process: &PathBuf| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.filter(is_marked).collect()
}

#[test]
fn an_interrupted_run_is_torn_down_and_its_servers_are_ended() {
    let bench = with(
        "[setup]\ncommand = [\"sh\", \"-c\", \"setsid sleep 900 & sleep 900 & touch made\"]\n\
         [teardown]\ncommand = [\"rm\", \"made\"]\n",
        60,
    );
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    assert!(bench.dir.path().join("made").exists());
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    let ran: Vec<_> = commands(&bench).into_iter().map(|c| (c.when, c.failed)).collect();
    assert_eq!(ran, [(When::SetUp, false), (When::TearDown, false)]);
    assert!(!bench.dir.path().join("made").exists());
    assert_unmarked(&bench);
    bench.assert_nothing_left(&agents);
}

#[test]
fn an_interrupt_ends_a_set_up_and_starts_nothing() {
    let bench = with(
        "[setup]\ncommand = [\"sh\", \"-c\", \"touch made; sleep 900\"]\n[teardown]\ncommand = [\"rm\", \"made\"]\n",
        1,
    );
    let run = bench.start(&["--quiet"]);
    wait_until("the set-up has begun", || bench.dir.path().join("made").exists());
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    let ran = commands(&bench);
    assert_eq!(
        ran.iter().map(|c| c.how.as_str()).collect::<Vec<_>>(),
        ["was ended, since the run was stopped", "exited with status 0"]
    );
    assert!(!bench.dir.path().join("made").exists());
    assert_unmarked(&bench);
    bench.assert_nothing_left(&[]);
}

/// Signals that the harness waits for otherwise are blocked in it. A command that inherited that would not hear the SIGTERM of
/// what it is a part of.
#[test]
fn a_command_hears_every_signal_and_cannot_take_its_mark_off() {
    let bench = with(
        "[setup]\ncommand = [\"sh\", \"-c\", \"grep SigBlk /proc/self/status > mask; setsid sleep 900 &\"]\n\
         env = { HARNESS_RUN = \"another\" }\n",
        1,
    );
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let mask = std::fs::read_to_string(bench.dir.path().join("mask")).unwrap();
    let blocked = mask.trim().strip_prefix("SigBlk:").map(|hex| u64::from_str_radix(hex.trim(), 16));
    // SIGXFSZ alone: a file that grows beyond its limit is an error of the write.
    let size = 1 << (nix::libc::SIGXFSZ - 1);
    assert_eq!(blocked.map(|mask| mask.unwrap() & !size), Some(0), "{mask}");
    assert_unmarked(&bench);
}

/// A harness that is killed cannot end them.
#[test]
fn what_a_set_up_has_started_does_not_outlive_a_killed_harness() {
    let bench = with("[setup]\ncommand = [\"sh\", \"-c\", \"setsid sleep 900 & sleep 901 &\"]\n", 60);
    let run = bench.start(&["--quiet"]);
    run.agents_under_load();
    assert_eq!(marked(&bench).len(), 2);
    run.signal(Signal::SIGKILL);
    run.end();
    wait_until("no process of the set-up is left", || marked(&bench).is_empty());
}
