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
    // Nothing waives what does not say.
    let mut history = History::of(vec![cut(20)]);
    history.gate.evidence[0].fresh_ns = None;
    let decision = history.decide();
    let said = advised(&decision);
    assert!(said.contains("have `fresh` or") && !said.contains("waived"), "{said}");
}

fn cut(day: u32) -> Exhibit {
    ran(day, &Run { end: None, ..Run::default() }, |_| ())
}

#[test]
fn an_inconclusive_run_of_this_build_is_run_again_where_the_latest_count() {
    let of = |exhibits: Vec<Exhibit>| {
        History::of(exhibits).asking(|runs| {
            runs.build = Whose::This;
            runs.select = Select::Latest(1);
        })
    };
    let decision = of(vec![cut(20)]).decide();
    assert!(advised(&decision).ends_with("and run it 1 time: the latest 1 count"), "{}", advised(&decision));
    assert_eq!(of(vec![cut(20), green(21)]).decide().outcome, "PASS");
    let failed = of(vec![red(20)]).decide();
    assert!(advised(&failed).contains("build of a newer commit"), "{}", advised(&failed));
}

/// The text and the command are of one advice.
#[test]
fn a_failed_run_beside_a_damaged_index_is_mended_where_the_runs_are() {
    let mut history = History::of(vec![red(20)]);
    history.index.damaged = Some("line 1: its end was changed".into());
    let decision = history.decide();
    assert_eq!((decision.outcome, decision.next[0].command.contains("-anew")), ("FAIL", false));
    assert!(advised(&decision).starts_with("mend what fails"), "{}", advised(&decision));
    history.exhibits = vec![green(20)];
    let decision = history.decide();
    assert!(advised(&decision).contains("in a new directory"), "{}", advised(&decision));
    assert!(decision.next[0].command.ends_with(" --out runs-anew"), "{:?}", decision.next);
}

#[test]
fn where_a_signature_is_asked_the_runs_are_sealed_as_well() {
    let of = |exhibits: Vec<Exhibit>| {
        History::of(exhibits).asking(|runs| {
            runs.signed_by = vec!["ci.pub.pem".into()];
            runs.runs = 2;
        })
    };
    let seal = "seal the runs with the private key of ci.pub.pem, and give the archive with --seal";
    for (exhibits, times, command) in [
        (vec![], "run it 2 times", "harness run scenarios/synthetic.toml --runs 2"),
        (vec![green(20)], "run it once", "harness run scenarios/synthetic.toml"),
    ] {
        let decision = of(exhibits).decide();
        assert_eq!(advised(&decision), format!("{times}, {seal}"));
        assert_eq!(decision.next[0].command, command);
    }
    let decision = of(vec![green(20), green(21)]).decide();
    assert!(advised(&decision).starts_with("seal the runs that are there"), "{}", advised(&decision));
    assert_eq!(
        decision.next[0].command,
        "harness seal runs/synthetic/synthetic-20 runs/synthetic/synthetic-21 --key key.pem --out synthetic.seal.tar"
    );
    let sealed = |day| Exhibit { signers: vec!["ci.pub.pem".into()], ..green(day) };
    assert_eq!(of(vec![sealed(20), sealed(21)]).decide().outcome, "PASS");
}

/// A build with changes of its own is of no commit: all of its runs are refused where this build is asked for.
#[test]
fn a_build_without_a_commit_is_told_to_have_one() {
    let history = History::of(vec![green(20)]).asking(|runs| runs.build = Whose::This);
    let mut inputs = history.inputs();
    inputs.circumstances.commit = None;
    let decision = alone(&history.gate, &inputs);
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    let said = advised(&decision);
    assert!(
        said.starts_with("commit the changes and build again") && said.ends_with("; then run it once"),
        "{said}"
    );
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
