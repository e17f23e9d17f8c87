//! What a decision advises can work: it leads to another outcome, and what would not is not advised.

use jiff::{SignedDuration, Timestamp};
use reports::gate::decision::Decision;
use reports::gate::exhibit::Exhibit;
use reports::gate::plan::{Select, Source, Whose};

use super::plans::alone;
use super::{History, NOW, green, ran, red, waiver};
use crate::synthetic::Run;

/// What is advised first.
#[track_caller]
fn advised(decision: &Decision) -> &str {
    &decision.next[0].what
}

/// A green run that began then.
fn begun(number: u32, at: Timestamp) -> Exhibit {
    let run = ran(number, &Run::default(), |header| header.started_utc = at.to_string());
    Exhibit { records_sha256: format!("records of {number}"), ..run }
}

/// The time in "run it again after 2026-02-19T12:00:01Z: …".
#[track_caller]
fn time_of(advice: &str) -> Timestamp {
    let (_, rest) = advice.split_once("run it again after ").expect(advice);
    rest.split(": ").next().unwrap().parse().unwrap()
}

/// The outcome when a green run is added that begins and is judged at that time.
fn outcome_at(history: &History, at: Timestamp) -> &'static str {
    let mut inputs = history.inputs();
    inputs.exhibits.push(begun(29, at));
    inputs.circumstances.now = at + SignedDuration::from_secs(1);
    alone(&history.gate, &inputs).outcome
}

#[test]
fn a_failed_run_is_waited_for_until_it_has_left_the_window_and_not_longer() {
    let cut = ran(20, &Run { end: None, ..Run::default() }, |_| ());
    let of_index = History::of(vec![green(10)]).indexed(&[green(10), red(20)]);
    for (history, outcome) in [
        (History::of(vec![red(20)]), "FAIL"),
        (History::of(vec![cut]), "INCONCLUSIVE"),
        (of_index, "INCONCLUSIVE"),
    ] {
        let decision = history.decide();
        assert_eq!(decision.outcome, outcome);
        let at = time_of(advised(&decision));
        assert_eq!(outcome_at(&history, at), "PASS", "{at}");
        assert_eq!(outcome_at(&history, at - SignedDuration::from_mins(1)), outcome, "{at}");
        // Now it decides nothing, which is why it is not advised.
        assert_eq!(outcome_at(&history, NOW.parse().unwrap()), outcome);
    }
}

#[test]
fn where_this_build_is_asked_a_newer_one_is_advised_and_passes() {
    let of = |exhibits: Vec<Exhibit>| History::of(exhibits).asking(|runs| runs.build = Whose::This);
    let mut gone = of(vec![]).indexed(&[red(20)]);
    gone.index.entries[0].commit = Some("1234567".into());
    gone.gate.evidence[0].fresh_ns = None;
    for (history, outcome) in [(of(vec![red(20)]), "FAIL"), (gone, "INCONCLUSIVE")] {
        let decision = history.decide();
        assert_eq!(decision.outcome, outcome);
        assert!(advised(&decision).contains("build of a newer commit"), "{}", advised(&decision));
        let mut inputs = history.inputs();
        inputs.circumstances.commit = Some("7654321".into());
        inputs.exhibits.push(ran(25, &Run::default(), |header| header.build.git = "7654321".into()));
        let newer = alone(&history.gate, &inputs);
        assert_eq!(newer.headline(), "PASS, with 1 run beside it that did not pass", "{newer:#?}");
    }
}

#[test]
fn where_the_latest_count_newer_runs_are_advised_and_pass() {
    let history = History::of(vec![red(10), red(20)]).asking(|runs| {
        runs.runs = 2;
        runs.select = Select::Latest(2);
    });
    let decision = history.decide();
    assert_eq!(advised(&decision), "mend what fails, and run it 2 times: the latest 2 count");
    assert!(decision.next[0].command.ends_with(" --runs 2"), "{:?}", decision.next);
    let mut inputs = history.inputs();
    inputs.exhibits.extend([green(21), green(22)]);
    assert_eq!(alone(&history.gate, &inputs).verdict, reports::Verdict::Pass);
}

#[test]
fn what_counts_for_ever_is_for_a_person_to_waive() {
    let mut history = History::of(vec![red(20)]);
    history.gate.evidence[0].fresh_ns = None;
    let decision = history.decide();
    assert!(advised(&decision).contains("have the failure waived"), "{}", advised(&decision));
    history.gate.waivers.push(waiver("all delivered", "2026-12-31"));
    assert_eq!(history.decide().outcome, "CONDITIONAL");
}

/// A comparison of runs that are not there cannot be made: they come first.
#[test]
fn a_file_that_is_made_of_runs_waits_for_them() {
    let mut history = History::of(Vec::new());
    let mut compared = super::coverage();
    let Source::File(file) = &mut compared.source else { unreachable!("it is a file") };
    file.command = "harness compare {runs}/synthetic --baseline b --json > lcov.info".into();
    history.gate.evidence.insert(0, compared);
    let decision = history.decide();
    assert!(advised(&decision).contains("run synthetic first"), "{:?}", decision.next);
    assert!(decision.next.iter().all(|step| step.command.starts_with("harness run ")), "{:?}", decision.next);
    history.exhibits.push(green(20));
    let decision = history.decide();
    let mut inputs = history.inputs();
    inputs.caller.runs = "my runs".into();
    assert_eq!(decision.next[0].command, "harness compare runs/synthetic --baseline b --json > lcov.info");
    let quoted = alone(&history.gate, &inputs);
    assert_eq!(quoted.next[0].command, "harness compare 'my runs'/synthetic --baseline b --json > lcov.info");
}

/// How a run was cut is why it does not count, and not how its criteria stood by then.
#[test]
fn the_reason_of_an_interrupted_run_says_that_it_was_interrupted() {
    let run = Run { end: Some(reports::runlog::event::EndReason::Interrupted), ..Run::default() };
    let decision = History::of(vec![ran(20, &run, |_| ())]).decide();
    let reason = &decision.reasons[0];
    assert!(reason.contains("interrupted on request") && !reason.contains("delivery.rate"), "{reason}");
}
