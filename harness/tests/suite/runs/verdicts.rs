//! Runs that reach their end.

use super::{Bench, HARNESS, documents, scenario, verdict};
use crate::skips::has_or_skips;
use reports::runlog::codec;
use reports::runlog::event::{Event, Role};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_run_passes_and_all_its_documents_can_be_made_again() {
    let bench = Bench::new(&scenario(2));
    let done = bench.start(&["--quiet", "--seed", "7"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("PASS"), "{}", done.stdout);
    let run = bench.latest();
    let made = documents(&run);
    let names: BTreeSet<_> =
        made.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    for name in
        ["verdict.json", "report.html", "report.md", "junit.xml", "samples.csv", "rounds.csv", "latency.hlog"]
    {
        assert!(names.contains(name), "{name} is missing in {names:?}");
    }
    for verb in ["judge", "report"] {
        let again = bench.command().arg(verb).arg(&run).output().unwrap();
        assert_eq!(again.status.code(), Some(0));
        assert!(documents(&run) == made, "`{verb}` made other bytes");
    }
    // From nothing but the log, somewhere else.
    let elsewhere = bench.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(run.join("run.log"), elsewhere.join("run.log")).unwrap();
    assert!(bench.command().arg("report").arg(&elsewhere).status().unwrap().success());
    let bytes = |all: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<Vec<u8>> {
        all.iter().map(|(_, b)| b.clone()).collect()
    };
    assert!(bytes(&documents(&elsewhere)) == bytes(&made));
}

/// The log is held against the plan by hand, not by the code that judges it.
#[test]
fn the_log_holds_every_round_every_process_and_both_ends_counts() {
    let bench = Bench::new(&scenario(2));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    let (mut rounds, mut answered, mut agents, mut ledger, mut sampled) =
        (BTreeSet::new(), 0, Vec::new(), None, BTreeSet::new());
    let mut exits = 0;
    for record in codec::open(&bench.latest().join("run.log")).unwrap() {
        match record.unwrap().event {
            Event::Round(round) => {
                assert!(rounds.insert(round.round), "round {} twice", round.round);
                assert_eq!((round.tasks, round.failed, round.duplicates, round.corrupt), (6, 0, 0, 0));
                assert!(round.scheduled_ns <= round.started_ns && round.started_ns <= round.finished_ns);
                answered += u64::from(round.answered);
            }
            Event::Agents(event) => agents = event.agents,
            Event::Ledger(event) => ledger = Some(event),
            Event::Sample(sample) => sampled.extend(sample.agents.iter().map(|agent| agent.agent)),
            Event::AgentExit(exit) => {
                assert!(exit.expected, "{exit:?}");
                exits += 1;
            }
            _ => {}
        }
    }
    // 200 ms and 2 s, a round every 50 ms.
    assert_eq!(rounds.iter().copied().collect::<Vec<_>>(), (0..44).collect::<Vec<u64>>());
    let roles = |role| agents.iter().filter(|agent| agent.role == role).count();
    assert_eq!([Role::Harness, Role::Supervisor, Role::Coordinator, Role::Worker].map(roles), [1, 1, 2, 6]);
    assert_eq!(sampled.len(), agents.len());
    assert_eq!(exits, 9);
    let ledger = ledger.unwrap();
    assert_eq!(
        (ledger.client.accepted, ledger.client.answered, ledger.client.in_flight),
        (answered, answered, 0)
    );
    let theirs: u64 = ledger.coordinators.iter().map(|row| row.coordinator.unwrap().answered).sum();
    let executed: u64 = ledger.coordinators.iter().map(|row| row.executed_by_workers.unwrap()).sum();
    assert_eq!((theirs, executed), (answered, answered));
    bench.assert_nothing_left(&agents[1..]);
}

#[test]
fn a_closed_loop_goes_as_fast_as_it_can() {
    let text = scenario(1).replace("model = \"open\"\nevery = \"50ms\"", "model = \"closed\"");
    let bench = Bench::new(&text);
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let rounds = codec::open(&bench.latest().join("run.log"))
        .unwrap()
        .filter(|record| matches!(record.as_ref().unwrap().event, Event::Round(_)))
        .count();
    // An open loop of this length would have made 24.
    assert!(rounds > 100, "{rounds}");
}

#[test]
fn other_workloads_do_what_they_say() {
    for workload in [
        "kind = \"sleep\"\ntime = \"2ms\"",
        "kind = \"sleep\"\ndistribution = \"exponential\"\nmean = \"2ms\"",
        "kind = \"compute\"\ncpu = \"1ms\"",
        "kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"echo {}\"]",
    ] {
        let text = scenario(1).replace("kind = \"echo\"\npayload = \"256B\"", workload);
        let bench = Bench::new(&text.replace("every = \"50ms\"", "every = \"250ms\""));
        let done = bench.start(&["--quiet"]).end();
        assert_eq!(done.status.code(), Some(0), "{workload}: {}{}", done.stdout, done.stderr);
    }
}

#[test]
fn a_command_that_fails_is_no_answer() {
    let text = scenario(1).replace(
        "kind = \"echo\"\npayload = \"256B\"",
        "kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"echo no >&2; exit 3\"]",
    );
    let bench = Bench::new(&text.replace("every = \"50ms\"", "every = \"500ms\""));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(log.contains("the command exited with status 3: no"), "{log}");
}

/// One in six commands fails: the books of both ends call it answered, the rounds do not, and that is
/// no contradiction.
#[test]
fn some_failed_commands_are_a_matter_of_the_criteria_alone() {
    let script = "test $(({} % 6)) != 5";
    let workload = format!("kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"{script}\"]");
    let text = scenario(1)
        .replace("kind = \"echo\"\npayload = \"256B\"", &workload)
        .replace("every = \"50ms\"", "every = \"250ms\"")
        .replace("delivery.rate >= 100%", "delivery.rate >= 60%");
    let bench = Bench::new(&text);
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let criteria = verdict(&bench.latest())["criteria"].clone();
    let delivery = criteria[0]["value"].as_f64().unwrap();
    assert!((delivery - 5.0 / 6.0).abs() < 1e-9, "{delivery}");
}

#[test]
fn a_rehearsal_is_marked_everywhere_and_satisfies_no_gate() {
    let text = scenario(2)
        .replace("duration = \"2s\"", "duration = \"20s\"")
        .replace("every = \"50ms\"", "every = \"500ms\"");
    let bench = Bench::new(&text);
    let done = bench.start(&["--quiet", "--rehearse", "10x"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("rehearsal"), "{}", done.stdout);
    let run = bench.latest();
    assert_eq!(verdict(&run)["satisfies_gate"], false);
    assert_eq!(verdict(&run)["rehearsal"], 10.0);
    for (path, bytes) in documents(&run) {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(text.contains("rehears"), "{} does not say so", path.display());
    }
}

#[test]
fn a_log_with_a_flipped_byte_is_refused_and_nothing_is_touched() {
    let bench = Bench::new(&scenario(1));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    let run = bench.latest();
    let made = documents(&run);
    let mut log = std::fs::read(run.join("run.log")).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 1;
    std::fs::write(run.join("run.log"), &log).unwrap();
    let line = log[..middle].split(|byte| *byte == b'\n').count();
    for verb in ["judge", "report"] {
        let output = bench.command().arg(verb).arg(&run).output().unwrap();
        assert_eq!(output.status.code(), Some(12));
        let stderr = String::from_utf8_lossy(&output.stderr);
        // The flip may have made a newline of something, or have hit one.
        let lines = [line - 1, line, line + 1].map(|line| format!("line {line}"));
        assert!(lines.iter().any(|line| stderr.contains(line)), "{stderr}");
        assert!(documents(&run) == made);
    }
}

#[test]
fn a_log_that_was_cut_is_inconclusive_and_says_where() {
    let bench = Bench::new(&scenario(1));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    let run = bench.latest();
    let log = std::fs::read(run.join("run.log")).unwrap();
    std::fs::write(run.join("run.log"), &log[..log.len() / 2]).unwrap();
    let output = bench.command().arg("report").arg(&run).output().unwrap();
    assert_eq!(output.status.code(), Some(12));
    assert_eq!(verdict(&run)["verdict"], "INCONCLUSIVE");
    let reasons = verdict(&run)["reasons"].to_string();
    assert!(reasons.contains("line"), "{reasons}");
}

/// Root may write anywhere, so the directory's file system is what says no.
#[test]
fn a_pass_that_cannot_be_written_down_is_shown_and_is_no_success() {
    let bench = Bench::new(&scenario(1));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    // In the way of every document: directories of their names.
    let run = bench.latest();
    for (path, _) in documents(&run) {
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir_all(path.join("in the way")).unwrap();
    }
    for verb in ["judge", "report"] {
        let output = bench.command().arg(verb).arg(&run).output().unwrap();
        assert_eq!(output.status.code(), Some(20));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("PASS"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be written"));
    }
}

#[test]
fn a_directory_without_a_run_has_the_code_of_bad_input() {
    let bench = Bench::new(&scenario(1));
    for verb in ["judge", "report"] {
        let output = bench.command().args([verb, "no/such/run"]).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint:"));
    }
}

/// The documents of the run, and the room that they and its log take, in pages.
fn pages(run: &Path) -> u64 {
    let of = |path: PathBuf| std::fs::metadata(path).unwrap().len().div_ceil(4096);
    documents(run).iter().map(|(path, _)| of(path.clone())).sum::<u64>() + of(run.join("run.log"))
}

#[test]
fn on_a_full_disk_the_tables_give_way_to_the_verdict() {
    let inside = ["--user", "--map-root-user", "--mount"];
    let works = Command::new("unshare").args(inside).arg("true").status();
    if !has_or_skips("user namespaces", works.is_ok_and(|status| status.success())) {
        return;
    }
    let bench = Bench::new(&scenario(2));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let run = bench.latest();
    let tables: u64 = ["samples.csv", "rounds.csv"]
        .map(|name| std::fs::metadata(run.join(name)).unwrap().len() / 4096)
        .iter()
        .sum();
    assert!(tables > 4, "the tables of {} take {tables} pages", run.display());
    // Room for all but half of the tables, which are written first.
    let room = (pages(&run) - tables / 2) * 4;
    let script = format!(
        "mkdir small && mount -t tmpfs -o size={room}k none small && cp \"$0\" small && \
         \"$1\" report small; code=$?; ls small; exit $code"
    );
    let mut command = Command::new("unshare");
    command
        .args(inside)
        .args(["sh", "-c", &script])
        .arg(run.join("run.log"))
        .arg(HARNESS)
        .current_dir(bench.dir.path());
    let made = bench.start_by(&mut command).end();
    assert_eq!(made.status.code(), Some(20), "{}{}", made.stdout, made.stderr);
    assert!(made.stdout.starts_with("PASS"), "{}", made.stdout);
    let is_lost = |table: &&str| made.stderr.contains(&format!("{table} cannot be written"));
    let lost =
        ["samples.csv", "rounds.csv"].into_iter().find(is_lost).unwrap_or_else(|| panic!("{}", made.stderr));
    for name in ["verdict.json", "report.html", "report.md", "junit.xml"] {
        assert!(made.stdout.lines().any(|line| line == name), "{name} is not in: {}", made.stdout);
    }
    assert!(!made.stdout.lines().any(|line| line == lost), "{}", made.stdout);
}
