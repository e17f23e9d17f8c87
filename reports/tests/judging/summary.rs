//! What stays of a run can be read back as it was.

use reports::facts::{Distribution, Figure};
use reports::scope::Scope;
use reports::summary::Summary;
use reports::{Verdict, judge_log, read_verdict};

use crate::synthetic::{Run, criterion, read, report, run_dir};

fn run() -> Run {
    Run {
        failed: |n| u32::from(n % 40 == 7),
        criteria: vec![
            criterion("all delivered", "delivery.rate >= 100%", None),
            criterion("memory level", "memory.pss.workers slope < 10%/h", None),
        ],
        ..Run::default()
    }
}

#[test]
fn a_summary_is_read_back_as_it_was_written() {
    let (judgement, facts) = judge_log(run().log().as_slice()).unwrap();
    let summary = Summary::of(&facts, &judgement);
    let text = serde_json::to_string(&summary).unwrap();
    let mut back: Summary = serde_json::from_str(&text).unwrap();
    // What the criteria said before the end is for the judge alone.
    for (read, written) in back.judgement.criteria.iter_mut().zip(&judgement.criteria) {
        assert_eq!(std::mem::replace(&mut read.so_far, written.so_far), None);
    }
    assert!(back == summary);
    assert!(serde_json::to_string(&back).unwrap() == text, "other bytes for the same value");
    assert_eq!(back.counts.rounds, 120);
    assert_eq!(back.distributions.coordination.quantile_ns(0.5), facts.load.coordination.quantile_ns(0.5));
    let pss = back.gauge(Figure::Pss, Scope::Workers).unwrap();
    assert!(pss.count == 60 && pss.medians.len() > 10 && pss.min <= pss.mean && pss.mean <= pss.max);
    // Every column of a sweep is there, whether or not a criterion asks for it.
    assert!(back.gauge(Figure::InvoluntarySwitches, Scope::Fleet).is_some());
    assert_eq!((back.identity.machine.as_str(), back.identity.fingerprint.as_str()), ("m1-cafe", "f1-f00d"));
}

#[test]
fn a_distribution_takes_values_after_it_was_read_back() {
    let mut written = Distribution::default();
    let read = |d: &Distribution| -> Distribution {
        serde_json::from_str(&serde_json::to_string(d).unwrap()).unwrap()
    };
    assert_eq!(read(&written), written);
    for value in [3, 1_000_000, 17] {
        written.record(value);
    }
    let mut back = read(&written);
    assert_eq!(back, written);
    back.record(u64::MAX);
    assert_eq!(back.max_ns(), Some(u64::MAX));
    let forged = serde_json::to_string(&written).unwrap().replace("\"min_ns\":3", "\"min_ns\":null");
    assert!(serde_json::from_str::<Distribution>(&forged).is_err());
}

#[test]
fn a_verdict_is_read_back_and_drawn_again_as_the_same_bytes() {
    let dir = run_dir(&run().log());
    let (judgement, _) = report(dir.path());
    let back = read_verdict(dir.path()).unwrap();
    assert_eq!((back.verdict, back.criteria.len()), (Verdict::Fail, judgement.criteria.len()));
    assert_eq!(reports::render::json::render(&back), read(dir.path(), "verdict.json"));
    // One of another version is not taken for what it is not.
    let old = read(dir.path(), "verdict.json").replace("\"version\": 2", "\"version\": 1");
    std::fs::write(dir.path().join("verdict.json"), old).unwrap();
    let error = read_verdict(dir.path()).unwrap_err();
    assert!(error.to_string().contains("it has version 1"), "{error}");
    assert_eq!(error.exit_code(), 64);
    assert!(error.hint().contains("judge the run again"));
}
