//! Logs of other versions than this one.

use std::path::PathBuf;

use reports::runlog::event::{Alert, Event, FaultKind, FormatVersion, Severity};
use reports::runlog::{LogError, Reader};
use reports::{Judgement, Verdict, judge_log};

use crate::synthetic::{Run, log_of, read, report, rewritten, run_dir};

/// Real logs, each with the verdict that the program of its time gave.
fn fixtures() -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

/// Decided then, and open now: a percentile of too few values, or a trend of too few.
fn is_open_now(criterion: &serde_json::Value) -> bool {
    let asked = criterion["aggregation"].as_str().unwrap_or_default();
    let stricter = asked.starts_with('p') || ["slope", "growth", "drift"].contains(&asked);
    stricter && criterion["verdict"] == "INCONCLUSIVE"
}

#[test]
fn logs_of_the_previous_version_are_judged_with_the_same_verdict() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 7, "{fixtures:?}");
    for dir in fixtures {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let log = std::fs::read(dir.join("run.log")).unwrap();
        let (judgement, _) = judge_log(log.as_slice()).unwrap();
        let now = serde_json::to_value(&judgement).unwrap();
        let then: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("verdict.json")).unwrap()).unwrap();
        let is_open = now["criteria"].as_array().unwrap().iter().any(is_open_now);
        for key in ["run_id", "started_utc", "scenario", "rehearsal"] {
            assert_eq!(now[key], then[key], "{name}: {key}");
        }
        if is_open && then["verdict"] == "PASS" {
            assert_eq!(
                (&now["verdict"], &now["satisfies_gate"]),
                (&"INCONCLUSIVE".into(), &false.into()),
                "{name}"
            );
        } else {
            for key in ["verdict", "exit", "satisfies_gate"] {
                assert_eq!(now[key], then[key], "{name}: {key}");
            }
        }
        for list in ["criteria", "evidence"] {
            let (now, then) = (now[list].as_array().unwrap(), then[list].as_array().unwrap());
            assert_eq!(now.len(), then.len(), "{name}: {list}");
            for (now, then) in now.iter().zip(then) {
                let is_open = is_open_now(now);
                // Renamed in version 2 of the file.
                let open = "INCONCLUSIVE".into();
                let wanted = if is_open && then["outcome"] == "PASS" { &open } else { &then["outcome"] };
                assert_eq!(&now["verdict"], wanted, "{name}: {now:#} was {then:#}");
                // Trends and windows are others now; shares and percentiles have intervals.
                let mut same = vec!["name", "threshold"];
                if now["interval"].is_null() {
                    same.extend(["value", "samples", "value_text", "margin"]);
                }
                for key in same {
                    assert_eq!(now[key], then[key], "{name}: {key} of {}", then["name"]);
                }
            }
        }
    }
}

#[test]
fn a_log_of_2_0_is_judged_without_what_its_version_did_not_record() {
    let log = include_bytes!("../fixtures/v2/pass-2.0/run.log");
    // Its 120 rounds are too few for a p99.
    let log = &rewritten(log, "coordination.time p99", "coordination.time p95");
    let (judgement, facts) = judge_log(log.as_slice()).unwrap();
    assert_eq!(facts.header.format, FormatVersion { major: 2, minor: 0 });
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    assert!(!judgement.evidence.iter().any(|check| check.name == "no undeclared incident"));
    // What it did not look for, a criterion cannot count.
    let asks = rewritten(log, "incidents == 0", "incidents.minor == 0");
    let (judgement, _) = judge_log(asks.as_slice()).unwrap();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

/// The part of the sentence before its apostrophe, which some documents escape.
const BELIEVED: &str = "the header could not be checked against the scenario";

#[test]
fn a_log_without_the_text_of_its_scenario_says_so_in_every_document() {
    let old = include_bytes!("../fixtures/v2/pass-2.6/run.log");
    let new = Run::default().log();
    for (log, is_believed) in [(&old[..], true), (&new[..], false)] {
        let dir = run_dir(log);
        report(dir.path());
        for name in ["report.html", "report.md", "junit.xml", "verdict.json"] {
            assert_eq!(read(dir.path(), name).contains(BELIEVED), is_believed, "{name}");
        }
        let (judgement, facts) = judge_log(log).unwrap();
        let text = reports::render::text::render(&judgement, &facts);
        assert_eq!(text.contains(BELIEVED), is_believed, "{text}");
    }
}

#[test]
fn a_log_that_claims_to_be_older_than_what_is_in_it_contradicts_itself() {
    let genuine = include_bytes!("../fixtures/v2/staged/run.log");
    for (minor, has_faults, what) in [
        (6, true, "a kind of fault in the plan came with format 2.8, and the header says"),
        (6, false, "`moment` of a firing came with format 2.8, and the header says"),
        (2, true, "came with format 2.8, and the header says that the log is of format 2.2"),
    ] {
        let mut events: Vec<(u64, Event)> =
            Reader::new(&genuine[..]).map(Result::unwrap).map(|record| (record.t_ns, record.event)).collect();
        let Event::Header(header) = &mut events[0].1 else { panic!("a log begins with its header") };
        header.format.minor = minor;
        header.sources.clear();
        if !has_faults {
            header.plan.faults.retain(|fault| fault.kind == FaultKind::Kill);
        }
        let (_, verdict, said) = consistent(&log_of(events));
        assert_eq!(verdict, Verdict::Inconclusive, "{said}");
        assert!(said.contains(what), "{said}");
    }
}

fn small() -> Run {
    Run { coordinators: 1, workers: 1, rounds: 2, warm_up_rounds: 1, ..Run::default() }
}

fn consistent(log: &[u8]) -> (Judgement, Verdict, String) {
    let (judgement, _) = judge_log(log).unwrap();
    let check = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
    let said = format!("{}; {}", check.found, check.note.clone().unwrap_or_default());
    let verdict = check.verdict;
    (judgement, verdict, said)
}

#[test]
fn a_newer_major_version_is_refused_by_name() {
    let mut events = small().events();
    if let Event::Header(header) = &mut events[0].1 {
        header.format = FormatVersion { major: 3, minor: 7 };
    }
    let error = Reader::new(log_of(events).as_slice()).find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), "the run log has format 3.7, and this program reads 1.x and 2.x");
}

#[test]
fn an_unknown_event_that_judging_does_not_need_is_skipped_and_reported() {
    let mut events = Run::default().events();
    let alert = || Event::Alert(Alert { severity: Severity::Info, text: "x".into() });
    events.insert(2, (0, alert()));
    events.insert(2, (0, alert()));
    let log = rewritten(&log_of(events), "\"ev\":\"alert\"", "\"ev\":\"tidal\"");
    let mut reader = Reader::new(log.as_slice());
    assert!(reader.by_ref().all(|r| r.is_ok()));
    assert_eq!((reader.unknown().skipped, reader.unknown().needed), (2, 0));
    let (judgement, verdict, said) = consistent(&log);
    assert_eq!((judgement.verdict, verdict), (Verdict::Pass, Verdict::Pass), "{said}");
    assert!(said.contains("2 events of a newer format were skipped") && said.contains("tidal"), "{said}");
}

#[test]
fn an_unknown_event_that_judging_needs_makes_the_run_inconclusive() {
    let log = rewritten(&Run::default().log(), "\"ev\":\"verify\"", "\"ev\":\"verity\"");
    let (judgement, verdict, said) = consistent(&log);
    assert_eq!((judgement.verdict, verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
    assert!(said.contains("1 record that judging needs and this program does not know (verity)"), "{said}");
}

/// Its lines do not say whether judging needs them: what is not known may be what a verdict rests on.
#[test]
fn an_unknown_event_of_a_newer_first_version_makes_the_run_inconclusive() {
    let dir = fixtures().into_iter().find(|dir| dir.ends_with("pass")).unwrap();
    let log = std::fs::read(dir.join("run.log")).unwrap();
    let minor = |log: &[u8]| {
        let newer = rewritten(log, "\"major\":1,\"minor\":1", "\"major\":1,\"minor\":2");
        rewritten(&newer, "\"major\":1,\"minor\":0", "\"major\":1,\"minor\":2")
    };
    assert_eq!(consistent(&minor(&log)).1, Verdict::Pass);
    let renamed = rewritten(&minor(&log), "\"ev\":\"agent-exit\"", "\"ev\":\"agent-left\"");
    let (judgement, verdict, said) = consistent(&renamed);
    assert_eq!((judgement.verdict, verdict), (Verdict::Inconclusive, Verdict::Inconclusive), "{said}");
    assert!(said.contains("agent-left"), "{said}");
}

#[test]
fn an_event_that_hides_that_it_is_needed_costs_the_pass() {
    let log = Run::default().log();
    let events = ["agent-exit", "round", "verify", "sample"];
    for ev in events {
        let from = format!("\"needed\":true,\"ev\":\"{ev}\"");
        for name in [ev.to_owned(), format!("{ev}s")] {
            let hidden = rewritten(&log, &from, &format!("\"needed\":false,\"ev\":\"{name}\""));
            assert_ne!(hidden, log);
            let (judgement, _, said) = consistent(&hidden);
            assert!(judgement.verdict >= Verdict::Inconclusive, "{name}: {said}");
        }
    }
}

#[test]
fn a_column_that_is_missing_makes_the_run_inconclusive_and_one_more_does_not() {
    let log = Run::default().log();
    // The same number of columns; one of them under a name that this program does not know.
    let renamed = rewritten(&log, "\"rss_anon\"", "\"rss_anom\"");
    let (_, verdict, said) = consistent(&renamed);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(said.contains("sample without rss_anon"), "{said}");
    let pss = rewritten(&log, "\"name\":\"pss\"", "\"name\":\"pzz\"");
    assert_eq!(consistent(&pss).1, Verdict::Pass);
}

#[test]
fn a_line_must_say_whether_it_is_needed() {
    let log = rewritten(&small().log(), "\"needed\"", "\"nodded\"");
    let error = Reader::new(log.as_slice()).find_map(Result::err).unwrap();
    assert!(matches!(error, LogError::BadHeader { .. }), "{error}");
    assert!(error.to_string().contains("whether judging needs it"), "{error}");
}
