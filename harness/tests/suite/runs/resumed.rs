//! Runs that were interrupted or killed, and go on.

use super::{Bench, Done, scenario, verdict, wait_until};
use crate::random::Random;
use nix::sys::signal::Signal;
use reports::runlog::codec;
use reports::runlog::event::{AgentInfo, Event};
use std::collections::BTreeSet;
use std::path::Path;

/// Rounds of the load of [`scenario`], for so many seconds.
pub(super) fn planned(seconds: u32) -> usize {
    seconds as usize * 20
}

fn resume(bench: &Bench, extra: &[&str]) -> Done {
    bench.start_by(bench.command().args(["resume", "runs/small/latest"]).args(extra)).end()
}

pub(super) fn logs(run: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "log"))
        .collect();
    names.sort();
    names
}

/// The numbers of all rounds of the load, in all logs of the run.
pub(super) fn rounds(run: &Path) -> Vec<u64> {
    let mut all = Vec::new();
    for name in logs(run) {
        for record in codec::open(&run.join(name)).unwrap().map_while(Result::ok) {
            if let Event::Round(round) = record.event
                && round.phase == reports::runlog::event::Phase::Load
            {
                all.push(round.round);
            }
        }
    }
    all
}

pub(super) fn evidence<'a>(verdict: &'a serde_json::Value, name: &str) -> &'a str {
    let all = verdict["evidence"].as_array().unwrap();
    all.iter().find(|check| check["name"] == name).unwrap()["verdict"].as_str().unwrap()
}

/// The checks of the evidence that do not pass.
pub(super) fn open(verdict: &serde_json::Value) -> Vec<&str> {
    let all = verdict["evidence"].as_array().unwrap().iter();
    all.filter(|check| check["verdict"] != "PASS").map(|check| check["name"].as_str().unwrap()).collect()
}

/// Waits for so many rounds of the load in the newest log.
fn wait_for_rounds(bench: &Bench, log: &str, least: usize) {
    wait_until("rounds of the load", || {
        let text = std::fs::read_to_string(bench.out().join("small/latest").join(log)).unwrap_or_default();
        text.matches("\"ev\":\"round\"").count() >= least
    });
}

#[test]
fn an_interrupted_run_goes_on_and_passes_as_one() {
    let bench = Bench::new(&scenario(3));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_for_rounds(&bench, "run.log", 20);
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().status.code(), Some(21));
    bench.assert_nothing_left(&agents);

    let done = resume(&bench, &[]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("resuming as segment 2: "), "{}", done.stderr);
    assert!(done.stdout.contains("RESUMED: the run was interrupted once, for "), "{}", done.stdout);
    let run = bench.latest();
    assert_eq!(logs(&run), ["run.2.log", "run.log"]);
    let verdict = verdict(&run);
    assert_eq!((&verdict["verdict"], verdict["gaps"].as_array().unwrap().len()), (&"PASS".into(), 1));
    // Each round once, and as many as were planned.
    let rounds = rounds(&run);
    assert_eq!(rounds.len(), planned(3));
    assert_eq!(rounds.iter().collect::<BTreeSet<_>>().len(), rounds.len());
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_killed_run_goes_on_however_often_and_passes() {
    let bench = Bench::new(&scenario(3));
    let mut run = bench.start(&["--quiet"]);
    let mut agents: Vec<AgentInfo> = run.agents_under_load();
    wait_for_rounds(&bench, "run.log", 15);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let mut again = bench.start_by(bench.command().args(["resume", "runs/small/latest", "--quiet"]));
    wait_for_rounds(&bench, "run.2.log", 15);
    again.child.kill().unwrap();
    again.child.wait().unwrap();
    let done = resume(&bench, &["--quiet", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let shown: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&shown["exit"], &shown["runs"][0]["verdict"]), (&0.into(), &"PASS".into()), "{shown}");

    let run = bench.latest();
    assert_eq!(logs(&run), ["run.2.log", "run.3.log", "run.log"]);
    assert!(rounds(&run).len() >= planned(3), "rounds after a checkpoint are carried out again");
    let verdict = verdict(&run);
    let open = open(&verdict);
    assert_eq!(open, [""; 0], "{verdict:#}");
    assert_eq!(verdict["gaps"].as_array().unwrap().iter().filter(|gap| gap["in_hand"].is_u64()).count(), 2);
    assert_eq!(evidence(&verdict, "rounds done"), "PASS");
    // A fleet whose harness was killed ends by itself.
    agents.retain(|agent| agent.pid != 0);
    wait_until("the fleets have ended", || std::fs::read_dir(bench.shm.path()).unwrap().next().is_none());
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_run_that_has_ended_or_still_goes_on_is_not_resumed() {
    let bench = Bench::new(&scenario(2));
    let run = bench.start(&["--quiet"]);
    run.agents_under_load();
    let done = resume(&bench, &[]);
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
    assert!(done.stderr.contains("another harness is writing it"), "{}", done.stderr);
    assert_eq!(run.end().status.code(), Some(0));
    let before = super::documents(&bench.latest());

    let done = resume(&bench, &[]);
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
    assert!(done.stderr.contains("has ended (it was carried out to its end)"), "{}", done.stderr);
    assert_eq!(super::documents(&bench.latest()), before);
    let done = bench.start_by(bench.command().args(["resume", "runs/nothing"])).end();
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
    assert!(done.stderr.contains("give the directory of a run"), "{}", done.stderr);
}

/// A run that was killed under load.
fn killed() -> Bench {
    let bench = Bench::new(&scenario(3));
    let mut run = bench.start(&["--quiet"]);
    run.agents_under_load();
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    bench
}

#[test]
fn a_run_is_resumed_at_once_after_its_harness_was_killed() {
    // Its fleet has the log locked until it has ended.
    for _ in 0..3 {
        let bench = killed();
        let done = resume(&bench, &[]);
        assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("up to the last checkpoint"), "{}", done.stderr);
        let report = std::fs::read_to_string(bench.latest().join("report.md")).unwrap();
        assert!(report.contains("in hand when the run was cut off"), "{report}");
    }
}

/// Killed after a number of rounds that the seed gives, and resumed.
fn killed_at_random(seed: u64, pass: &str) -> (Bench, Done) {
    let asked = format!("[[criterion]]\nname = \"gap\"\npass = \"{pass}\"\n[[criterion]]");
    let bench = Bench::new(&scenario(3).replacen("[[criterion]]", &asked, 1));
    let mut run = bench.start(&["--quiet"]);
    run.agents_under_load();
    let mut random = Random(seed);
    wait_for_rounds(&bench, "run.log", 1 + random.below(40) as usize);
    std::thread::park_timeout(std::time::Duration::from_micros(random.below(50_000)));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let done = resume(&bench, &["--quiet"]);
    (bench, done)
}

#[test]
fn a_run_that_is_killed_at_any_moment_passes_if_its_gap_is_allowed_and_fails_if_not() {
    for seed in 1..=4 {
        let (bench, done) = killed_at_random(seed, "gap.time < 1h");
        assert_eq!(done.status.code(), Some(0), "seed {seed}: {}{}", done.stdout, done.stderr);
        let verdict = verdict(&bench.latest());
        assert_eq!(verdict["verdict"], "PASS", "seed {seed}: {verdict:#}");
        bench.assert_nothing_left(&[]);
    }
    let (bench, done) = killed_at_random(5, "gap.time < 1ms");
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    assert_eq!(evidence(&verdict(&bench.latest()), "ledger"), "PASS");
}

#[test]
fn two_harnesses_cannot_go_on_with_one_run() {
    let bench = killed();
    let first = bench.start_by(bench.command().args(["resume", "runs/small/latest", "--quiet"]));
    wait_for_rounds(&bench, "run.2.log", 1);
    let second = resume(&bench, &[]);
    assert_eq!(second.status.code(), Some(64), "{}", second.stderr);
    assert!(second.stderr.contains("another harness is writing it"), "{}", second.stderr);
    assert_eq!(first.end().status.code(), Some(0));
    assert_eq!(logs(&bench.latest()), ["run.2.log", "run.log"]);
}

/// Damages the log of a killed run, and says what resuming it is answered.
fn refused(damage: impl FnOnce(&str) -> String) -> (Option<i32>, String) {
    let bench = killed();
    let log = bench.latest().join("run.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, damage(&text)).unwrap();
    let done = resume(&bench, &[]);
    assert_eq!(logs(&bench.latest()), ["run.log"], "nothing was begun");
    (done.status.code(), done.stderr)
}

#[test]
fn a_log_that_was_changed_is_not_added_to() {
    let (code, why) = refused(|text| text.replacen("\"answered\":6", "\"answered\":5", 1));
    assert_eq!(code, Some(12), "{why}");
    assert!(why.contains("damaged"), "{why}");
    let (code, why) = refused(|text| text.lines().next().unwrap().to_owned());
    assert_eq!(code, Some(64), "{why}");
}

#[test]
fn a_torn_line_and_a_segment_without_a_header_are_left_behind() {
    let bench = killed();
    let run = bench.latest();
    let log = run.join("run.log");
    let mut text = std::fs::read_to_string(&log).unwrap();
    text.push_str("{\"seq\":77,\"t_");
    std::fs::write(&log, text).unwrap();
    std::fs::write(run.join("run.2.log"), "{\"seq\":0,\"t_ns\":0,\"needed\":true,\"ev\":\"hea").unwrap();
    // Its fleet had said nothing yet.
    std::fs::write(run.join("fleet.2.stderr"), "").unwrap();
    let done = resume(&bench, &["--quiet"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(logs(&run), ["run.2.log", "run.log"]);
    let verdict = verdict(&run);
    assert_eq!((evidence(&verdict, "log consistent"), evidence(&verdict, "run complete")), ("PASS", "PASS"));
    assert!(rounds(&run).len() >= planned(3));
}

#[test]
fn the_scenario_in_the_log_is_what_goes_on() {
    let bench = killed();
    // Whatever has become of the file meanwhile.
    std::fs::remove_file(bench.file()).unwrap();
    let moved = bench.dir.path().join("elsewhere");
    std::fs::rename(bench.latest(), &moved).unwrap();
    let mut command = bench.command();
    command.args(["resume", "--quiet"]).arg(&moved);
    let done = bench.start_by(&mut command).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(rounds(&moved).len() >= planned(3));
}

#[test]
fn a_resumed_run_is_set_up_on_what_the_tear_down_leaves() {
    let commands = "[[setup]]\nname = \"make\"\ncommand = [\"mkdir\", \"made\"]\n[[teardown]]\nname = \"unmake\"\ncommand = [\"rmdir\", \"made\"]\n[[criterion]]";
    let bench = Bench::new(&scenario(3).replacen("[[criterion]]", commands, 1));
    let mut run = bench.start(&["--quiet"]);
    run.agents_under_load();
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    assert!(bench.dir.path().join("made").exists(), "its harness was killed");
    let done = resume(&bench, &["--quiet"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(!bench.dir.path().join("made").exists());
    assert!(rounds(&bench.latest()).len() >= planned(3));
}

#[test]
fn a_segment_whose_fleet_does_not_start_costs_the_run_nothing() {
    let bench = killed();
    let before = rounds(&bench.latest()).len();
    // Its set-up cannot be run again, as the log has it, if a launch fails.
    let full = bench
        .start_by(bench.command().env("COORDINATOR_SHM_DIR", "/nowhere").args([
            "resume",
            "runs/small/latest",
            "--quiet",
        ]))
        .end();
    assert_eq!(full.status.code(), Some(20), "{}{}", full.stdout, full.stderr);
    assert_eq!((logs(&bench.latest()), rounds(&bench.latest()).len()), (vec!["run.log".to_owned()], before));
    assert_eq!(resume(&bench, &["--quiet"]).status.code(), Some(0));
}

#[test]
fn a_segment_that_is_missing_is_named_and_none_is_written_in_its_place() {
    let bench = killed();
    let run = bench.latest();
    std::fs::copy(run.join("run.log"), run.join("run.3.log")).unwrap();
    let done = resume(&bench, &[]);
    assert_eq!(done.status.code(), Some(12), "{}", done.stderr);
    assert!(
        done.stderr.contains("run.2.log is missing") && done.stderr.contains("run.3.log is there"),
        "{}",
        done.stderr
    );
    let judged = bench.start_by(bench.command().args(["judge", "runs/small/latest"])).end();
    assert!(judged.stdout.contains("run.2.log is missing, and run.3.log is there"), "{}", judged.stdout);
    assert_eq!(logs(&run), ["run.3.log", "run.log"]);
}

#[test]
fn what_befell_the_fleet_just_before_a_kill_is_known() {
    let bench = Bench::new(&scenario(3));
    let mut run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let worker = agents.iter().find(|agent| agent.name == "worker/0.1").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
    wait_until("its successor is there", || bench.log_so_far().contains("\"ev\":\"agent-replaced\""));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let done = resume(&bench, &["--quiet"]);
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    assert_eq!(evidence(&verdict(&bench.latest()), "no undeclared death"), "FAIL");
    // The index is that of the directory in which the run was begun.
    let index = std::fs::read(bench.out().join("index.jsonl")).unwrap();
    let index = reports::gate::index::read(&index[..]);
    let verdicts: Vec<&str> = index.entries.iter().map(|entry| entry.verdict.as_str()).collect();
    assert_eq!((verdicts, index.damaged), (vec!["FAIL"], None));
}

/// The index of runs, and what a gate that asks for the run says.
fn gate(bench: &Bench) -> (Option<i32>, String) {
    let plan = super::gates::small_plan("scenario = \"small.toml\"\nfresh = \"7d\"");
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    (exit, stdout)
}

#[track_caller]
fn is_not_resumed(bench: &Bench, why: &str) {
    let done = resume(bench, &["--quiet"]);
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(why) && done.stderr.contains("says the index of runs"), "{}", done.stderr);
    assert!(done.stderr.contains("hint: bring its logs back as they were"), "{}", done.stderr);
}

/// What an interrupted run has recorded is in the index. So is what it had when it went on.
#[test]
fn a_run_is_not_resumed_from_before_what_it_has_recorded() {
    let bench = Bench::new(&scenario(3));
    let run = bench.start(&["--quiet"]);
    run.agents_under_load();
    wait_for_rounds(&bench, "run.log", 20);
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().status.code(), Some(21));
    let run = bench.latest();
    let log = run.join("run.log");
    let whole = std::fs::read_to_string(&log).unwrap();
    // To before its end, which is as a kill leaves it.
    let lines = whole.split_inclusive('\n').count();
    let cut: String = whole.split_inclusive('\n').take(lines * 2 / 3).collect();
    std::fs::write(&log, cut).unwrap();
    is_not_resumed(&bench, "its log was changed after the run: it was INCONCLUSIVE when it ended");
    std::fs::write(&log, &whole).unwrap();

    let again = bench.start_by(bench.command().args(["resume", "runs/small/latest", "--quiet"]));
    wait_for_rounds(&bench, "run.2.log", 5);
    again.signal(Signal::SIGINT);
    assert_eq!(again.end().status.code(), Some(21));
    let second = run.join("run.2.log");
    let kept = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    is_not_resumed(&bench, "its log was changed after the run");
    assert!(gate(&bench).1.contains("its log was changed after the run"));
    std::fs::write(&second, kept).unwrap();
    let done = resume(&bench, &["--quiet"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let (exit, said) = gate(&bench);
    assert_eq!(exit, Some(0), "{said}");
    let text = std::fs::read(bench.out().join("index.jsonl")).unwrap();
    let index = reports::gate::index::read(&text[..]);
    assert_eq!((index.entries.len(), index.rivals, index.damaged), (1, vec![], None));
    assert_eq!(index.entries[0].log_sha256.split('+').count(), 3);
}

#[test]
fn a_segment_that_was_killed_and_removed_is_missed() {
    let bench = killed();
    let mut again = bench.start_by(bench.command().args(["resume", "runs/small/latest", "--quiet"]));
    wait_for_rounds(&bench, "run.2.log", 5);
    again.child.kill().unwrap();
    again.child.wait().unwrap();
    wait_until("its fleet has ended", || std::fs::read_dir(bench.shm.path()).unwrap().next().is_none());
    let second = bench.latest().join("run.2.log");
    let kept = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    is_not_resumed(&bench, "the log of its last segment is gone");
    let (exit, said) = gate(&bench);
    assert_eq!(exit, Some(12), "{said}");
    assert!(said.contains("the segment that had begun is gone"), "{said}");
    // The first log has a hash since the run went on.
    std::fs::write(&second, kept).unwrap();
    let first = bench.latest().join("run.log");
    let whole = std::fs::read_to_string(&first).unwrap();
    let torn = format!("{whole}{{\"seq\":77,\"t_");
    std::fs::write(&first, torn).unwrap();
    is_not_resumed(&bench, "its log was changed after the run: it does not begin with what it was");
    std::fs::write(&first, whole).unwrap();
    assert_eq!(resume(&bench, &["--quiet"]).status.code(), Some(0));
    assert_eq!(gate(&bench).0, Some(0));
}
