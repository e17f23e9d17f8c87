//! What the engine makes of what befalls living processes, and of processes that it befalls and that die.

use super::fake::Fake;
use super::{Done, run};
use crate::system::{Noticed, PlaceId};
use reports::runlog::event::{Event, Incident, IncidentKind};

fn worker(index: u32) -> PlaceId {
    PlaceId::worker(0, index)
}

fn incidents(done: &Done) -> Vec<&Incident> {
    done.all(|event| if let Event::Incident(incident) = event { Some(incident) } else { None })
}

#[test]
fn a_suspicion_that_heals_is_an_incident_of_that_process() {
    let done = run(|clock, _| {
        Fake::new(clock, 3)
            .at(200, |fake| fake.notice(worker(1), Noticed::Suspected { pid: 0 }))
            .at(300, |fake| fake.notice(worker(1), Noticed::Healed { pid: 0 }))
    });
    let incidents = incidents(&done);
    let [incident] = incidents[..] else { panic!("{incidents:?}") };
    assert_eq!((incident.name.as_str(), incident.kind), ("worker/0.1", IncidentKind::Suspected));
    assert_eq!((incident.from_ns / 1_000_000, incident.incarnation), (200, 1));
    assert!(done.alerts().iter().any(|text| text.starts_with("the fleet suspects worker/0.1 (pid ")));
}

#[test]
fn a_suspicion_of_a_process_that_dies_ends_with_it_and_its_successor_is_seen_by_itself() {
    let done = run(|clock, _| {
        Fake::new(clock, 3)
            .at(200, |fake| {
                let pid = fake.process(worker(1)).pid;
                fake.notice(worker(1), Noticed::Suspected { pid });
            })
            .at(350, |fake| fake.kill(worker(1)))
            .at(400, |fake| fake.replace(worker(1)))
            .at(600, |fake| {
                let pid = fake.process(worker(1)).pid;
                fake.notice(worker(1), Noticed::Suspected { pid });
            })
            .at(700, |fake| {
                let pid = fake.process(worker(1)).pid;
                fake.notice(worker(1), Noticed::Healed { pid });
            })
    });
    let incidents = incidents(&done);
    let [first, second] = incidents[..] else { panic!("{incidents:?}") };
    assert_eq!((first.incarnation, second.incarnation), (1, 2));
    assert_ne!(first.pid, second.pid);
    let ms = |it: &Incident| (it.from_ns / 1_000_000, it.to_ns.map(|ns| ns / 1_000_000));
    assert_eq!(ms(first).0, 200);
    assert!((350..400).contains(&ms(first).1.unwrap()), "{first:?}");
    assert_eq!(ms(second), (600, Some(700)));
}

/// What the fleet has found explains the death that follows from it, which is told at once.
#[test]
fn a_hang_is_told_before_the_death_that_follows_from_it() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).at(350, |fake| {
            let pid = fake.process(worker(1)).pid;
            fake.notice(worker(1), Noticed::Suspected { pid });
            fake.notice(worker(1), Noticed::Hung { pid });
            fake.kill(worker(1));
            fake.replace(worker(1));
        })
    });
    let told = done.records.iter().filter_map(|record| match &record.event {
        Event::Incident(incident) => Some((incident.kind.name(), incident.pid)),
        Event::AgentExit(exit) if !exit.expected => Some(("exit", exit.pid)),
        _ => None,
    });
    let order: Vec<_> = told.collect();
    let [("hung", hung), ("exit", ended)] = order[..] else { panic!("{order:?}") };
    assert_eq!(hung, ended);
}
