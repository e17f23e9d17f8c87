//! Runs that were resumed: what they recorded before stays recorded, whatever is resumed afterwards.

use reports::gate::decision::Decision;
use reports::gate::exhibit::Exhibit;
use reports::gate::index::{self, Entry, Index};
use reports::render::gate::text;
use reports::runlog::event::Header;

use super::{History, green, ran, red, why_not};
use crate::synthetic::Run;

/// The run of day 15, with these logs.
fn with(logs: &str, exhibit: Exhibit) -> Exhibit {
    Exhibit { log_sha256: logs.into(), directory: "runs/synthetic/synthetic-15".into(), ..exhibit }
}

fn header() -> Header {
    Header {
        run_id: "synthetic-15".into(),
        started_utc: "2026-01-15T12:00:00Z".into(),
        ..Run::default().header()
    }
}

/// It begins, or goes on after these logs.
fn begun(logs: &str) -> Entry {
    Entry { log_sha256: logs.into(), ..Entry::begun(&header(), "synthetic/synthetic-15".into()) }
}

fn ended(logs: &str, exhibit: &Exhibit) -> Entry {
    let run = exhibit.judged.as_ref().unwrap();
    Entry::of(&run.judgement, logs.into(), "synthetic/synthetic-15".into())
}

fn cut() -> Exhibit {
    ran(15, &Run { end: None, ..Run::default() }, |_| ())
}

fn index_of(lines: &[Entry]) -> Index {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(index::add(&*bytes, line).unwrap().line);
    }
    index::read(&*bytes)
}

fn decide(lines: &[Entry], exhibits: Vec<Exhibit>) -> Decision {
    let mut history = History::of(exhibits);
    history.index = index_of(lines);
    history.decide()
}

#[test]
fn a_run_that_was_interrupted_and_resumed_counts_as_what_it_is_in_the_end() {
    for unhashed in [false, true] {
        // Older builds add no hash when a run goes on.
        let again = |logs: &str| begun(if unhashed { "" } else { logs });
        for first in [ended("a", &red(15)), ended("a", &cut())] {
            let lines = [begun(""), first, again("a"), ended("a+b", &green(15))];
            let decision = decide(&lines, vec![with("a+b", green(15))]);
            assert_eq!(decision.headline(), "PASS", "{}", text(&decision));
        }
        // Killed, so that no hash is known of its first log, and killed once more.
        let lines = [begun(""), again("a"), again("a+b"), ended("a+b+c", &green(15))];
        assert_eq!(decide(&lines, vec![with("a+b+c", green(15))]).headline(), "PASS");
        let decision = decide(&lines[..3], vec![with("a+b+c", cut())]);
        assert!(decision.evidence[0].runs[0].counts, "it counts as what is there: {}", text(&decision));
        assert_eq!(decision.outcome, "INCONCLUSIVE");
    }
}

/// Its log was cut before the first failure, and it was resumed from there. Or its second log was removed. Or it was copied before it failed.
#[test]
fn a_fail_does_not_become_a_pass_by_resuming_from_before_it() {
    let interrupted = ended("a", &cut());
    for (lines, logs) in [
        (vec![begun(""), ended("a", &red(15)), begun("a'"), ended("a'+b", &green(15))], "a'+b"),
        (vec![begun(""), ended("a", &red(15)), begun(""), ended("a'+b", &green(15))], "a'+b"),
        (
            vec![
                begun(""),
                interrupted.clone(),
                ended("a+b", &red(15)),
                begun("a"),
                ended("a+c", &green(15)),
            ],
            "a+c",
        ),
        (vec![begun(""), begun("a"), ended("a+b", &red(15)), begun("a"), ended("a+c", &green(15))], "a+c"),
    ] {
        let decision = decide(&lines, vec![with(logs, green(15))]);
        assert_eq!(decision.outcome, "INCONCLUSIVE", "{}", text(&decision));
        let why = why_not(&decision, "runs/synthetic/synthetic-15");
        assert!(why.contains("its log was changed after the run: it "), "{why}");
        let notes = &decision.evidence[0].notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("is in the index of runs as ") && note.contains(", then PASS")),
            "{notes:?}"
        );
        // Nor beside another green one, nor where the red one is gone.
        let mut history = History::of(vec![with(logs, green(15)), green(20)]);
        history.index = index_of(&lines);
        assert_eq!(history.decide().outcome, "INCONCLUSIVE");
        assert_eq!(decide(&lines, vec![green(20)]).outcome, "INCONCLUSIVE");
    }
}

/// It lies in another directory, or the copy does.
#[test]
fn a_red_run_that_is_there_counts_beside_what_was_resumed_from_a_copy_of_it() {
    let red_one = with("a+b", red(15));
    let lines = [begun(""), ended("a", &cut()), ended("a+b", &red(15)), begun("a"), ended("a+c", &green(15))];
    let copy = Exhibit { directory: "runs/synthetic/copy".into(), ..with("a+c", green(15)) };
    for exhibits in [vec![red_one.clone(), copy.clone()], vec![copy, red_one]] {
        let decision = decide(&lines, exhibits);
        assert_eq!(decision.outcome, "FAIL", "{}", text(&decision));
    }
}

#[test]
fn a_red_attempt_to_go_on_is_not_hidden_behind_a_green_one_of_the_same_run() {
    let lines = [begun(""), ended("a", &cut()), ended("a+b", &green(15)), begun("a"), ended("a+c", &red(15))];
    let decision = decide(&lines, vec![with("a+b", green(15))]);
    assert_eq!(decision.outcome, "INCONCLUSIVE", "{}", text(&decision));
    assert!(decision.next[0].what.contains("until then, they count"), "{:?}", decision.next);
}

/// A resume that is killed at once has a line, and nothing else.
#[test]
fn a_run_that_was_resumed_and_killed_is_held_to_what_it_had_ended_as() {
    for again in ["a", ""] {
        let lines = [begun(""), ended("a", &red(15)), begun(again)];
        let whole = decide(&lines, vec![with("a+b", red(15))]);
        assert_eq!(whole.outcome, "FAIL", "{}", text(&whole));
        for (logs, why) in [
            ("a'", "it does not begin with what it was when the run went on"),
            ("a'+b", "it does not begin with what it was when the run went on"),
            ("ab", "it does not begin with what it was when the run went on"),
            ("a", "the segment that had begun is gone"),
        ] {
            let decision = decide(&lines, vec![with(logs, green(15)), green(20)]);
            assert_eq!(decision.outcome, "INCONCLUSIVE", "{logs}: {}", text(&decision));
            let said = why_not(&decision, "runs/synthetic/synthetic-15");
            assert!(said.contains(why), "{logs}: {said}");
        }
    }
}

/// The header of a killed run was given another date, by which it is in no window; then it was resumed.
#[test]
fn a_run_that_goes_on_under_another_header_is_missed_as_the_run_that_began() {
    let bent = Header { started_utc: "2025-11-15T12:00:00Z".into(), ..header() };
    let again = Entry { log_sha256: "a".into(), ..Entry::begun(&bent, "synthetic/synthetic-15".into()) };
    let old = ran(15, &Run::default(), |header| header.started_utc = "2025-11-15T12:00:00Z".into());
    let lines = [begun(""), again, ended("a+b", &old)];
    let decision = decide(&lines, vec![with("a+b", old), green(20)]);
    assert_eq!(decision.outcome, "INCONCLUSIVE", "{}", text(&decision));
    let why = why_not(&decision, "runs/synthetic/synthetic-15");
    assert!(why.contains("its start is 2025-11-15T12:00:00Z, and was 2026-01-15T12:00:00Z"), "{why}");
}

/// Another log was put in its place while it ran: the index has no hash of what it wrote, and takes the other one for nothing.
#[test]
fn a_log_that_was_replaced_before_its_run_ended_is_no_evidence() {
    let lines = [begun(""), ended("", &cut())];
    let decision = decide(&lines, vec![with("a", green(15)), green(20)]);
    assert_eq!(decision.outcome, "INCONCLUSIVE", "{}", text(&decision));
    let why = why_not(&decision, "runs/synthetic/synthetic-15");
    assert!(why.contains("its log was changed after the run"), "{why}");
}
