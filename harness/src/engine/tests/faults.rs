//! Declared faults on a scripted system: every step in the log, and nothing proven that did not show.

use super::fake::{Fake, Obeys};
use super::{Done, SCENARIO, request, run_into, run_request};
use crate::disk::Covers;
use crate::engine::Request;
use crate::engine::sink::MemorySink;
use crate::scenario::fault::Overwrite;
use crate::system::{Notice, Noticed, PlaceId};
use reports::Verdict;
use reports::runlog::event::FaultStepKind::{
    self, HealProven, Healed, Injected, NotInjected, Proven, Unhealed, Unproven,
};
use reports::runlog::event::{Event, Severity};

/// A load of 12 s, with a fault.
fn scenario(fault: &str) -> String {
    let text = SCENARIO.replace("duration = \"1s\"", "duration = \"12s\"");
    text.replace("[[criterion]]", &format!("[[fault]]\nname = \"planned\"\n{fault}\n[[criterion]]"))
}

const KILL: &str = "kind = \"kill\"\nrole = \"worker\"\nat = \"2s\"";
const PAUSE: &str = "kind = \"pause\"\nrole = \"worker\"\nat = \"2s\"\nfor = \"1s\"";

/// The run, and the verdict of the check of its faults.
fn run(fault: &str, obeys: Obeys) -> (Done, Verdict) {
    let sink = MemorySink::default();
    let done = run_into(&sink, &scenario(fault), |clock, _| Fake::new(clock, 3).obeys(obeys));
    let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
    let check = judgement.evidence.iter().find(|check| check.name == "faults proven").unwrap();
    (done, check.verdict)
}

/// Firing, step, and when, in ms.
fn steps(done: &Done) -> Vec<(u32, FaultStepKind, u64)> {
    let steps = done.all(|event| if let Event::Fault(step) = event { Some(step) } else { None });
    steps.iter().map(|step| (step.firing, step.step, step.at_ns / 1_000_000)).collect()
}

#[test]
fn a_kill_is_injected_on_time_and_proven_by_the_kernel() {
    let (done, verdict) = run(KILL, Obeys::All);
    // The load begins after a lead of 20 ms.
    assert_eq!(steps(&done), [(0, Injected, 2_020), (0, Proven, 2_020)]);
    assert_eq!(verdict, Verdict::Pass);
    assert_eq!(done.crashes().len(), 1);
    assert_eq!(done.replaced().len(), 1);
}

#[test]
fn an_injection_that_does_nothing_is_unproven() {
    for fault in [KILL, PAUSE] {
        let (done, verdict) = run(fault, Obeys::Nothing);
        assert!(steps(&done).iter().any(|(_, step, _)| *step == Unproven), "{:?}", steps(&done));
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(done.crashes().len(), 0);
    }
}

#[test]
fn a_kill_that_is_refused_for_one_of_several_targets_is_unproven() {
    let (done, verdict) = run(&format!("{KILL}\nshare = \"100%\""), Obeys::OneKill);
    let steps = done.all(|event| if let Event::Fault(step) = event { Some(step) } else { None });
    let kinds: Vec<_> = steps.iter().map(|step| step.step).collect();
    assert_eq!((&kinds[..], verdict), (&[Injected, Unproven][..], Verdict::Inconclusive));
    // One that lives is named, and never the one that is dead.
    let (dead, how) = (&done.crashes()[0].name, &steps[1].how);
    let named = ["worker/0.0", "worker/0.1", "worker/0.2"].into_iter().filter(|name| how.contains(name));
    assert!(named.clone().count() > 0 && named.into_iter().all(|name| name != dead), "{dead}: {how}");
    assert_eq!(done.crashes().len(), 1);
}

#[test]
fn a_disk_that_is_not_disturbed_when_it_was_to_be_is_unproven() {
    for keys in [
        "kind = \"disk-slow\"\ndelay = \"1s\"",
        "kind = \"disk-full\"",
        "kind = \"disk-fail\"\nerror = \"EIO\"\nnth = 3",
    ] {
        let fault = format!("{keys}\ndir = \"work\"\nat = \"2s\"\nfor = \"3s\"");
        let dir = tempfile::tempdir().unwrap();
        let covers = Covers::idle(Some("work"), dir.path());
        let sink = MemorySink::default();
        let request = Request { covers, ..request(&scenario(&fault)) };
        let done = run_request(&sink, &request, |clock, _| Fake::new(clock, 3));
        let kinds: Vec<_> = steps(&done).iter().map(|(_, step, _)| *step).collect();
        assert!(kinds.contains(&Injected) && kinds.contains(&Unproven), "{keys}: {kinds:?}");
        let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{keys}");
    }
}

#[test]
fn a_disk_that_cannot_be_disturbed_is_not_injected() {
    let fault = "kind = \"disk-full\"\nat = \"2s\"\nfor = \"3s\"";
    let (done, verdict) = run(fault, Obeys::All);
    let kinds: Vec<_> = steps(&done).iter().map(|(_, step, _)| *step).collect();
    assert_eq!((&kinds[..], verdict), (&[NotInjected][..], Verdict::Inconclusive));
}

#[test]
fn a_pause_is_healed_on_time_and_a_heal_that_does_nothing_is_unhealed() {
    let (done, verdict) = run(PAUSE, Obeys::All);
    let found = steps(&done);
    let kinds: Vec<_> = found.iter().map(|(_, step, _)| *step).collect();
    assert_eq!((&kinds[..], verdict), (&[Injected, Proven, Healed, HealProven][..], Verdict::Pass));
    assert_eq!(found[2].2, 3_020);
    let (done, verdict) = run(PAUSE, Obeys::NoContinue);
    let kinds: Vec<_> = steps(&done).iter().map(|(_, step, _)| *step).collect();
    assert_eq!((&kinds[..], verdict), (&[Injected, Proven, Healed, Unhealed][..], Verdict::Inconclusive));
}

#[test]
fn an_effect_that_others_undo_before_its_heal_has_not_lasted() {
    let (done, verdict) = run(PAUSE, Obeys::UntilOthers);
    let steps = done.all(|event| if let Event::Fault(step) = event { Some(step) } else { None });
    let kinds: Vec<_> = steps.iter().map(|step| step.step).collect();
    assert_eq!((&kinds[..], verdict), (&[Injected, Proven, Healed, Unhealed][..], Verdict::Inconclusive));
    assert!(steps[3].how.starts_with("its effect was gone before the heal: "), "{}", steps[3].how);
}

#[test]
fn a_heal_that_fails_is_unhealed_even_if_the_effect_does_not_show_any_more() {
    let (done, verdict) = run(PAUSE, Obeys::RefusesContinue);
    let steps = done.all(|event| if let Event::Fault(step) = event { Some(step) } else { None });
    let kinds: Vec<_> = steps.iter().map(|step| step.step).collect();
    assert_eq!((&kinds[..], verdict), (&[Injected, Proven, Unhealed][..], Verdict::Inconclusive));
    assert!(steps[2].how.contains("Input/output error"), "{}", steps[2].how);
}

#[test]
fn a_fault_in_a_place_without_a_process_is_not_injected() {
    let fault =
        "kind = \"kill\"\nrole = \"worker\"\nshare = \"100%\"\nat = \"2s\"\nevery = \"50ms\"\ntimes = 2";
    let (done, verdict) = run(fault, Obeys::All);
    let kinds: Vec<_> = steps(&done).iter().map(|(firing, step, _)| (*firing, *step)).collect();
    // The successors come after 100 ms.
    assert_eq!(kinds, [(0, Injected), (0, Proven), (1, NotInjected)]);
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn the_calendar_follows_from_the_seed_and_rolls_where_it_is_asked_to() {
    let rolling = format!("{KILL}\nshare = \"100%\"\napart = \"1s\"");
    let (done, _) = run(&rolling, Obeys::All);
    let injected: Vec<u64> =
        steps(&done).iter().filter(|(_, step, _)| *step == Injected).map(|(.., ms)| *ms).collect();
    assert_eq!(injected, [2_020, 3_020, 4_020]);
    let mut names: Vec<_> = done.crashes().iter().map(|exit| exit.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["worker/0.0", "worker/0.1", "worker/0.2"]);
}

#[test]
fn what_a_fault_has_written_is_told_apart_also_if_it_is_found_at_the_end() {
    let text =
        scenario("kind = \"segment-scribble\"\nrole = \"coordinator\"\npart = \"state\"\nat = \"11s\"");
    let word = request(&text).plan.calendar().firings()[0].words[0].clone();
    let dir = tempfile::tempdir().unwrap();
    let region = dir.path().join("c0");
    std::fs::write(&region, vec![0; word.at as usize + 8]).unwrap();
    let done = run_into(&MemorySink::default(), &text, |clock, _| {
        let mut fake = Fake::new(clock, 3);
        fake.segments = Some(dir.path().to_owned());
        fake.finds = Some(Box::new(move |at_ns| {
            let at = word.at as usize;
            let value = std::fs::read(&region).unwrap()[at..at + word.value.len()].to_vec();
            let own = Overwrite { value, ..word.clone() }.number();
            let found = |found, text: &str| {
                let word = word.name.clone().leak();
                Notice {
                    at_ns,
                    place: PlaceId::Coordinator(0),
                    what: Noticed::Overwritten { word, found, text: text.to_owned() },
                }
            };
            vec![found(own ^ 1, "foreign"), found(own, "own"), found(own, "again")]
        }));
        fake
    });
    assert_eq!(steps(&done)[0].1, Injected);
    let alerts = done.all(|event| if let Event::Alert(alert) = event { Some(alert) } else { None });
    let of = |severity| {
        let texts = alerts.iter().filter(move |alert| alert.severity == severity);
        texts.map(|alert| alert.text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(Severity::Minor), ["foreign", "again"]);
    assert!(of(Severity::Info).contains(&"own: a fault of this run had"), "{alerts:?}");
}
