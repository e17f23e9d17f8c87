//! Red runs that someone hides behind other runs, or behind copies of themselves: none gets lost.

use reports::gate::decision::Decision;
use reports::gate::exhibit::Exhibit;
use reports::gate::index::Entry;
use reports::gate::plan::{Select, Whose};
use reports::render::gate::text;
use reports::runlog::event::Header;

use super::{History, green, ran, red, waiver, why_not};
use crate::synthetic::{Run, criterion, sha256_of};

const KILLED: &str = "runs/synthetic/synthetic-15";

/// What is changed in the header of a log.
type Bend = fn(&mut Header);

/// Its log has no end.
fn killed(bend: impl FnMut(&mut Header)) -> Exhibit {
    let run = ran(15, &Run { end: None, ..Run::default() }, bend);
    Exhibit { directory: KILLED.into(), ..run }
}

/// A run was killed on day 15, and one of day 20 has passed: as the index has both.
fn after_a_kill(exhibits: Vec<Exhibit>) -> History {
    let mut history = History::of(exhibits).indexed(&[green(20)]);
    let header = Header {
        run_id: "synthetic-15".into(),
        started_utc: "2026-01-15T12:00:00Z".into(),
        ..Run::default().header()
    };
    history.index.entries.insert(0, Entry::begun(&header, "synthetic/synthetic-15".into()));
    history
}

#[track_caller]
fn is_missed(decision: &Decision) {
    assert_eq!(decision.outcome, "INCONCLUSIVE", "{}", text(decision));
    let notes = &decision.evidence[0].notes;
    assert!(notes.iter().any(|note| note.contains("because they were killed before their end")), "{notes:?}");
}

#[test]
fn another_log_in_the_directory_of_a_killed_run_does_not_stand_in_for_it() {
    let decision = after_a_kill(vec![killed(|_| ()), green(20)]).decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    assert!(decision.evidence[0].runs[0].counts, "as it began, it counts: {}", text(&decision));
    let replaced = Exhibit { directory: KILLED.into(), ..green(20) };
    is_missed(&after_a_kill(vec![replaced, green(20)]).decide());
}

/// Whatever a gate leaves a run out for: what the index says of its beginning holds.
#[test]
fn a_killed_run_whose_header_was_changed_is_missed_as_the_run_that_it_was() {
    let bends: [(&str, Bend); 6] = [
        ("start", |header| header.started_utc = "2025-11-15T12:00:00Z".into()),
        ("SHA-256 of the scenario", |header| {
            header.sources[0].text.push_str("# weaker");
            header.scenario.sha256 = sha256_of(&header.sources[0].text);
        }),
        ("profile", |header| header.scenario.profile = Some("ci".into())),
        ("plan", |header| header.plan.workers_asked = Some(40)),
        ("commit", |header| header.build.git = "7654321".into()),
        ("machine", |header| header.host.machine = "another".into()),
    ];
    for (what, bend) in bends {
        let history = after_a_kill(vec![killed(bend), green(20)]).asking(|runs| runs.build = Whose::This);
        let decision = history.decide();
        is_missed(&decision);
        let why = why_not(&decision, KILLED);
        assert!(
            why.contains(&format!("its header was changed after the run began: its {what} is ")),
            "{why}"
        );
    }
    let renamed = after_a_kill(vec![killed(|header| header.run_id = "synthetic-16".into()), green(20)]);
    is_missed(&renamed.decide());
}

/// The copy looks like the original, and does not count for its date or its build: the run itself does.
#[test]
fn a_red_run_is_not_hidden_by_a_copy_of_it_that_does_not_count() {
    let bends: [Bend; 3] = [
        |header| header.started_utc = "2025-11-15T12:00:00Z".into(),
        |header| {
            header.started_utc = "2026-01-05T12:00:00Z".into();
            header.build.git = "7654321".into();
        },
        // Not among the latest.
        |header| header.started_utc = "2026-01-05T12:00:00Z".into(),
    ];
    let asking = |exhibits: Vec<Exhibit>| {
        History::of(exhibits).asking(|runs| {
            runs.build = Whose::This;
            runs.select = Select::Latest(1);
        })
    };
    for bend in bends {
        for (run, outcome) in [
            (Run { failed: |_| 3, ..Run::default() }, "FAIL"),
            (Run { end: None, ..Run::default() }, "INCONCLUSIVE"),
        ] {
            let real = ran(21, &run, |_| ());
            let mut copy = ran(21, &run, bend);
            copy.directory = "runs/synthetic/copy".into();
            copy.log_sha256 = "another".into();
            let decision = asking(vec![copy, green(20), real]).decide();
            assert_eq!(decision.outcome, outcome, "{}", text(&decision));
            let notes = &decision.evidence[0].notes;
            assert!(
                notes.iter().any(|note| note.contains("it is a copy; it did not pass, so it counts")),
                "{notes:?}"
            );
        }
    }
    // What passed is none the better for a copy, and counts neither way.
    let mut copy = ran(21, &Run::default(), bends[0]);
    copy.directory = "runs/synthetic/copy".into();
    let decision = asking(vec![copy, green(21)]).decide();
    assert_eq!(decision.outcome, "INCONCLUSIVE");
    assert!(why_not(&decision, "runs/synthetic/synthetic-21").contains("it is a copy"));
}

/// It is a copy of a run whose failure is waived, and has the id of one whose failure is not.
#[test]
fn a_copy_of_one_run_with_the_id_of_another_hides_neither() {
    let slow = Run {
        criteria: vec![
            criterion("all delivered", "delivery.rate >= 99%", None),
            criterion("fast", "coordination.time p95 < 1ms", None),
        ],
        ..Run::default()
    };
    let between = Exhibit {
        directory: "runs/synthetic/between".into(),
        log_sha256: "another".into(),
        records_sha256: red(20).records_sha256,
        ..ran(5, &Run { failed: |_| 3, ..Run::default() }, |header| header.run_id = "synthetic-21".into())
    };
    let mut history = History::of(vec![between, red(20), ran(21, &slow, |_| ())]).indexed(&[red(20)]);
    history.gate.waivers.push(waiver("all delivered", "2026-12-31"));
    let decision = history.decide();
    assert_eq!(decision.outcome, "FAIL", "{}", text(&decision));
}

#[test]
fn an_altered_run_of_another_build_is_counted_once() {
    let lossy = Run { failed: |_| 3, ..Run::default() };
    let other = ran(15, &lossy, |header| header.build.git = "7654321".into());
    let altered = Exhibit { log_sha256: "another".into(), ..other.clone() };
    let beside = |exhibits: Vec<Exhibit>| {
        let mut history = History::of(exhibits).asking(|runs| runs.build = Whose::This);
        history = history.indexed(&[other.clone(), green(20)]);
        history.index.entries[0].commit = Some("7654321".into());
        history.decide().headline()
    };
    assert_eq!(beside(vec![altered, green(20)]), "PASS, with 1 run beside it that did not pass");
    assert_eq!(beside(vec![green(20)]), "PASS, with 1 run beside it that did not pass");
    // One that was made green is none the less beside it.
    let bleached = Exhibit { directory: other.directory.clone(), log_sha256: "another".into(), ..green(15) };
    assert_eq!(beside(vec![bleached, green(20)]), "PASS, with 1 run beside it that did not pass");
}

/// Names that are no text are shown with the same character in place of what cannot be shown.
#[test]
fn a_run_is_not_hidden_by_a_directory_that_is_shown_alike() {
    let shown = |exhibit: Exhibit| Exhibit { directory: "runs/synthetic/x\u{fffd}".into(), ..exhibit };
    for exhibits in
        [vec![green(20), shown(green(20)), shown(red(21))], vec![shown(red(21)), shown(green(20)), green(20)]]
    {
        let decision = History::of(exhibits).decide();
        assert_eq!(decision.outcome, "FAIL", "{}", text(&decision));
    }
}

/// A lock on the log of a red run makes it one that goes on.
#[test]
fn a_run_that_is_still_going_is_named_and_marks_the_headline() {
    let of = |exhibits: Vec<Exhibit>, going: &[&str]| {
        let mut history = History::of(exhibits);
        history.ongoing = going.iter().map(|place| super::going(place)).collect();
        history
    };
    let one = of(vec![green(20)], &["runs/synthetic/a"]).decide();
    assert_eq!(one.headline(), "PASS, while 1 run is still going");
    let note = "1 run is still going, and says nothing so far: runs/synthetic/a";
    assert!(text(&one).contains(note), "{}", text(&one));
    let two = of(vec![green(20)], &["runs/synthetic/a", "runs/synthetic/b"]).decide();
    assert_eq!(two.headline(), "PASS, while 2 runs are still going");
    assert!(of(vec![], &["runs/synthetic/a"]).decide().evidence[0].notes[0].contains(note));
    // Each once, however many pieces of evidence ask for it.
    let mut twice = of(vec![green(20)], &["runs/synthetic/a"]);
    twice.gate.evidence.push(twice.gate.evidence[0].clone());
    assert_eq!(twice.decide().headline(), "PASS, while 1 run is still going");
    // Of another scenario or profile, it is none of these.
    let mut other = of(vec![green(20)], &["runs/synthetic/a", "runs/other/a"]);
    other.ongoing[0].profile = Some("ci".into());
    other.ongoing[1].scenarios = vec!["other".into()];
    assert_eq!(other.decide().headline(), "PASS");
}

/// The first run and the last may both be good.
#[test]
fn the_worst_figure_is_on_the_page_wherever_its_run_stands() {
    let decision = History::of(vec![green(10), red(15), green(20)]).decide();
    let measured =
        |run: usize| decision.evidence[0].findings.iter().filter(|f| f.criterion == "all delivered").nth(run);
    let (best, worst) = (&measured(0).unwrap().measured, &measured(1).unwrap().measured);
    let pages = reports::render::gate::documents(&decision);
    let (_, html) = pages.into_iter().find(|(name, _)| *name == "decision.html").unwrap();
    let range = format!("<td data-label=\"Measured\">{worst} … {best}</td>");
    assert!(html.contains(&range), "{range} is not in {html}");
}
