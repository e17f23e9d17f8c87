//! Runs of what the scenario was before it was changed: a red one is beside the decision, whether or not it is still there.

use reports::gate::exhibit::Exhibit;
use reports::gate::index::Entry;
use reports::render::gate::text;
use reports::runlog::event::Header;

use super::{History, green, ran};
use crate::synthetic::{Run, sha256_of};

const BESIDE: &str = "PASS, with 1 run beside it that did not pass";

fn red(bend: impl FnMut(&mut Header)) -> Exhibit {
    ran(15, &Run { failed: |_| 3, ..Run::default() }, bend)
}

fn of_another_text(header: &mut Header) {
    header.sources[0].text.push_str("# a comment");
    header.scenario.sha256 = sha256_of(&header.sources[0].text);
}

fn of_another_name(header: &mut Header) {
    header.scenario.name = "formerly".into();
    of_another_text(header);
}

/// There, and deleted.
#[track_caller]
fn beside(run: &Exhibit, headline: &str, note: &str) {
    let there = History::of(vec![run.clone(), green(20)]).decide();
    assert_eq!(there.headline(), headline, "{}", text(&there));
    for exhibits in [vec![green(20)], vec![run.clone(), green(20)]] {
        let is_there = exhibits.len() > 1;
        let decision = History::of(exhibits).indexed(&[run.clone(), green(20)]).decide();
        assert_eq!(decision.headline(), headline, "{}", text(&decision));
        let notes = &decision.evidence[0].notes;
        assert!(is_there || note.is_empty() || notes.iter().any(|said| said.contains(note)), "{notes:?}");
    }
}

#[test]
fn a_red_run_of_another_text_is_beside_the_decision_also_when_it_is_gone() {
    beside(
        &red(of_another_text),
        BESIDE,
        "1 run of another text of the scenario did not pass in the window, and is in the index of runs, and not there any more",
    );
    beside(&ran(15, &Run::default(), of_another_text), "PASS", "");
}

#[test]
fn a_red_run_of_the_same_file_under_another_name_is_beside_the_decision() {
    beside(
        &red(of_another_name),
        BESIDE,
        "1 run of the same file, under the name formerly, did not pass in the window, and is in the index of runs",
    );
    beside(&ran(15, &Run::default(), of_another_name), "PASS", "");
}

/// Another question was asked, or another file has the name.
#[test]
fn runs_that_answer_another_question_are_not_beside_it() {
    let bends: [fn(&mut Header); 4] = [
        |header| header.scenario.profile = Some("ci".into()),
        |header| header.started_utc = "2025-11-15T12:00:00Z".into(),
        |header| header.rehearsal = Some(60.0),
        |header| header.scenario.file = "scenarios/another.toml".into(),
    ];
    for bend in bends {
        let run = red(|header| {
            of_another_name(header);
            bend(header);
        });
        beside(&run, "PASS", "");
    }
}

/// The scenarios of a matrix have one file, and each is weighed by itself.
#[test]
fn a_scenario_of_the_same_file_that_the_plan_asks_for_is_no_former_one() {
    let mut history = History::of(vec![red(of_another_name), green(20)]);
    let other = history.recipes[0].clone();
    history.recipes.push(reports::gate::exhibit::Recipe { name: "formerly".into(), ..other });
    let decision = history.decide();
    assert!(!text(&decision).contains("under the name"), "{}", text(&decision));
}

/// A line from before the index had files.
#[test]
fn an_entry_without_a_file_is_of_no_file() {
    let run = red(of_another_name);
    let mut history = History::of(vec![green(20)]).indexed(&[run, green(20)]);
    history.index.entries =
        history.index.entries.into_iter().map(|entry| Entry { file: None, ..entry }).collect();
    assert_eq!(history.decide().headline(), "PASS");
}
