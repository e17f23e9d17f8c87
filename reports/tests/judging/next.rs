//! What a report says to do next.

use reports::render;
use reports::runlog::event::{AgentExit, EndReason, Event};

use crate::documents::troubled;
use crate::synthetic::{Run, facts, judge, log_of};

/// The steps, as the Markdown document lists them.
fn steps(log: &[u8]) -> Vec<String> {
    let markdown = render::markdown::render(&judge(log), &facts(log));
    let listed = markdown.split("What next:\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    listed.lines().map(|line| line.strip_prefix("- ").unwrap().to_owned()).collect()
}

fn of(run: &Run) -> Vec<String> {
    steps(&run.log())
}

#[test]
fn a_pass_leaves_nothing_open_and_one_that_was_not_run_as_it_stands_says_what_would_count() {
    assert!(of(&Run::default())[0].starts_with("Nothing is open."));
    let shorter = Run { overrides: vec!["load.duration=1s".into()], ..Run::default() };
    assert!(of(&shorter)[0].starts_with("Run the scenario file as it stands"));
}

#[test]
fn a_run_that_was_interrupted_is_gone_on_with() {
    let steps = of(&Run { end: Some(EndReason::Interrupted), ..Run::default() });
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].contains("harness resume"), "{steps:?}");
}

#[test]
fn a_launch_that_failed_and_a_full_disk_have_steps_of_their_own() {
    assert!(of(&Run { end: Some(EndReason::LaunchFailed), ..Run::default() })[0].contains("harness doctor"));
    assert!(of(&Run { end: Some(EndReason::RecordingFailed), ..Run::default() })[0].starts_with("Make room"));
}

#[test]
fn a_run_that_cannot_be_resumed_is_not() {
    for (end, first) in [
        (EndReason::Aborted, "Check whether “all delivered” misses again"),
        (EndReason::FleetLost, "Find out in the report and in the kernel's log"),
        (EndReason::LaunchFailed, "Read in the reasons why the launch failed"),
    ] {
        let failed = if end == EndReason::Aborted { |_| 1 } else { |_| 0 };
        let steps = of(&Run { end: Some(end), failed, ..Run::default() });
        assert!(steps[0].starts_with(first), "{end:?}: {steps:?}");
        assert!(steps.iter().all(|step| !step.contains("harness resume")), "{end:?}: {steps:?}");
    }
}

#[test]
fn the_gravest_comes_first_and_the_steps_are_few() {
    let run = troubled();
    let mut events = run.events();
    for (t, event) in &mut events {
        if let Event::AgentExit(exit) = event
            && exit.agent == 5
        {
            *t -= 3_000_000;
            let end = AgentExit { how: "killed by SIGKILL".into(), expected: false, ..exit.clone() };
            *exit = AgentExit { seen_ns: *t, ..end };
        }
    }
    events.sort_by_key(|(t, _)| *t);
    let steps = steps(&log_of(events));
    assert!(steps.len() <= 3, "{steps:?}");
    assert!(steps[0].starts_with("Find out what ended the processes"), "{steps:?}");
}

#[test]
fn what_would_decide_an_open_criterion_is_said_and_a_miss_names_it() {
    let open = of(&Run { rounds: 50, ..Run::asking("coordination.time p99 < 1s") });
    let step = "Run it again, longer or on a quiet host, to decide “asked”: p99 needs 100 ";
    assert!(open[0].starts_with(step), "{open:?}");
    let missed = of(&Run::asking("coordination.time max < 12ms"));
    assert!(missed[0].starts_with("Check whether “asked” misses again"), "{missed:?}");
}

#[test]
fn every_document_for_people_has_the_same_steps() {
    let log = troubled().log();
    let (judgement, facts) = (judge(&log), facts(&log));
    let words = |text: String| text.replace(['`', '\\'], "");
    let html = render::html::render(&judgement, &facts).replace("<code>", "").replace("</code>", "");
    let text = words(render::text::render(&judgement, &facts));
    for step in steps(&log).into_iter().map(words) {
        assert!(html.replace("&#39;", "'").contains(&step), "{step}");
        assert!(text.contains(&format!("next: {step}")), "{step} is not in {text}");
    }
}
