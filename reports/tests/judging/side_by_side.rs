//! Several runs on one page, and documents in another directory than the log's.

use reports::render::side_by_side::{self, Run as Shown};
use reports::{JudgeError, Making};
use std::path::Path;
use std::time::Duration;

use crate::documents::troubled;
use crate::synthetic::{Run, criterion, facts, judge, read, report, run_dir};

fn to(out: &Path) -> Making<'_> {
    Making { out: Some(out), ..Making::default() }
}

/// The page of runs with these logs.
pub(crate) fn page(logs: &[Vec<u8>]) -> String {
    let found: Vec<_> = logs.iter().map(|log| (judge(log), facts(log))).collect();
    let names: Vec<String> = (0..logs.len()).map(|n| format!("run-{n}/report.html")).collect();
    let runs: Vec<Shown> = found
        .iter()
        .zip(&names)
        .map(|((judgement, facts), report)| Shown { judgement, facts, report })
        .collect();
    side_by_side::render(&runs)
}

#[test]
fn a_page_of_runs_has_each_with_its_verdict_its_figures_and_its_plots() {
    let logs = [Run::default().log(), troubled().log()];
    let page = page(&logs);
    for (number, log) in logs.iter().enumerate() {
        let judgement = judge(log);
        assert!(page.contains(&format!("href=\"./run-{number}/report.html\"")));
        assert!(page.contains(&judgement.headline()));
        for criterion in &judgement.criteria {
            assert!(page.contains(&criterion.value_text), "{}", criterion.name);
        }
    }
    assert_eq!(page.matches("aria-label=\"Coordination time of the rounds, run").count(), 2);
    // Both ask for this; the rest of the second is not asked of the first.
    assert_eq!(page.matches("all delivered: delivery.rate").count(), 1);
    assert_eq!(page.matches("not asked").count(), 1 + 4);
}

#[test]
fn runs_that_were_asked_something_else_under_one_name_have_rows_of_their_own() {
    let asking = |pass| Run { criteria: vec![criterion("fast", pass, None)], ..Run::default() }.log();
    let page = page(&[asking("coordination.time p95 < 1s"), asking("coordination.time p95 < 2s")]);
    assert!(page.contains("fast: coordination.time p95") && page.matches("not asked").count() == 2);
}

#[test]
fn documents_in_another_directory_are_the_same_and_the_run_keeps_its_own() {
    let log = troubled().log();
    let (run, other) = (run_dir(&log), tempfile::tempdir().unwrap());
    let out = other.path().join("new/folder");
    let (judged, _) = reports::report_to(run.path(), |_| None, &to(&out)).unwrap();
    assert!(judged.files.iter().all(|file| file.starts_with(&out)), "{:?}", judged.files);
    assert_eq!(std::fs::read_dir(run.path()).unwrap().count(), 1, "the run's directory was written to");
    report(run.path());
    for name in ["verdict.json", "report.md", "samples.csv"] {
        assert_eq!(read(run.path(), name), read(&out, name), "{name}");
    }
    let link = "href=\"run.log\"";
    assert!(read(run.path(), "report.html").contains(link) && !read(&out, "report.html").contains(link));
}

#[test]
fn samples_are_shown_as_far_apart_as_is_asked_for_and_no_closer() {
    let run = run_dir(&Run::default().log());
    let place = tempfile::tempdir().unwrap();
    let sweeps = |samples_every: Option<Duration>| -> Vec<u64> {
        let making = Making { samples_every, ..to(place.path()) };
        reports::report_to(run.path(), |_| None, &making).unwrap();
        let table = read(place.path(), "samples.csv");
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let mut seen: Vec<u64> = rows.records().map(|row| row.unwrap()[2].parse().unwrap()).collect();
        seen.dedup();
        seen
    };
    let all = sweeps(None);
    let every =
        Duration::from_nanos(crate::synthetic::facts(&Run::default().log()).header.plan.sample_every_ns);
    assert_eq!(sweeps(Some(every / 2)), all);
    let third: Vec<u64> = all.iter().copied().filter(|sweep| sweep % 3 == 0).collect();
    assert!(third.len() > 2 && third.len() < all.len());
    assert_eq!(sweeps(Some(every * 5 / 2)), third);
}

#[test]
fn the_directory_of_another_run_is_no_place_for_documents_and_the_own_one_is() {
    let (run, other) = (run_dir(&Run::default().log()), run_dir(&troubled().log()));
    let into = |out: &Path| reports::report_to(run.path(), |_| None, &to(out));
    let refused = into(other.path()).unwrap_err();
    assert!(matches!(refused, JudgeError::HoldsAnotherRun { .. }) && refused.exit_code() == 64);
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
    into(run.path()).unwrap();
    assert!(read(run.path(), "report.html").contains("href=\"run.log\""));
}

#[test]
fn a_report_of_a_run_that_is_not_there_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let (missing, empty) = (place.path().join("mistyped"), place.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    for (run, out) in [(&missing, "out"), (&missing, "new/folder"), (&missing, "mistyped"), (&empty, "out")] {
        let refused = reports::report_to(run, |_| None, &to(&place.path().join(out))).unwrap_err();
        assert!(matches!(refused, JudgeError::NoRun { .. }), "{refused:?}");
        let left: Vec<_> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&empty), "of {}", run.display());
    }
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}
