use super::*;
use reports::runlog::event::Role;

fn agent(id: u32) -> AgentInfo {
    AgentInfo {
        id,
        role: Role::Worker,
        name: format!("worker/0.{id}"),
        pid: 100 + id,
        start_ticks: 1,
        incarnation: 1,
    }
}

fn tracker() -> Tracker {
    Tracker { began_ns: 50, ..Tracker::default() }
}

fn notice(tracker: &mut Tracker, at_ns: u64, what: Noticed) -> Vec<(IncidentKind, u64, Option<u64>)> {
    let agent = agent(1);
    let notices = [Notice { at_ns, place: PlaceId::worker(0, 1), what }];
    incidents(tracker.noticed(1_000, &notices, |_| Some(&agent)))
}

fn incidents(events: Vec<Event>) -> Vec<(IncidentKind, u64, Option<u64>)> {
    let of = |event| match event {
        Event::Incident(incident) => Some((incident.kind, incident.from_ns, incident.to_ns)),
        _ => None,
    };
    events.into_iter().filter_map(of).collect()
}

#[test]
fn a_stop_lasts_from_the_first_look_that_saw_it_to_the_first_that_did_not() {
    let mut tracker = tracker();
    assert_eq!(tracker.stopped(100, &[agent(1), agent(2)]).len(), 1, "one alert for both");
    assert_eq!(tracker.stopped(200, &[agent(2), agent(1)]), []);
    assert_eq!(incidents(tracker.stopped(300, &[agent(2)])), [(IncidentKind::Stopped, 100, Some(300))]);
    assert_eq!(incidents(tracker.finish()), [(IncidentKind::Stopped, 100, None)]);
    assert_eq!(tracker.finish(), []);
}

#[test]
fn a_suspicion_of_a_stopped_process_is_the_same_incident() {
    let mut tracker = tracker();
    tracker.stopped(100, &[agent(1)]);
    assert_eq!(notice(&mut tracker, 300, Noticed::Suspected { pid: 101 }), []);
    // By a neighbour, too.
    assert_eq!(notice(&mut tracker, 310, Noticed::Suspected { pid: 101 }), []);
    assert_eq!(incidents(tracker.stopped(400, &[])), [], "the fleet has not seen it go on yet");
    assert_eq!(
        notice(&mut tracker, 420, Noticed::Healed { pid: 101 }),
        [(IncidentKind::Stopped, 100, Some(420))]
    );
    assert_eq!(notice(&mut tracker, 421, Noticed::Healed { pid: 101 }), []);
}

#[test]
fn a_silence_of_a_suspected_or_stopped_process_is_the_same_incident() {
    let mut tracker = tracker();
    assert_eq!(tracker.still(300, &[(agent(1), 100), (agent(2), 200)]).len(), 1, "one alert for both");
    notice(&mut tracker, 400, Noticed::Suspected { pid: 101 });
    assert_eq!(incidents(tracker.still(500, &[])), [(IncidentKind::Silent, 200, Some(500))]);
    assert_eq!(
        notice(&mut tracker, 600, Noticed::Healed { pid: 101 }),
        [(IncidentKind::Suspected, 100, Some(600))]
    );
    tracker.stopped(700, &[agent(1)]);
    tracker.still(800, &[(agent(1), 710)]);
    assert_eq!(incidents(tracker.stopped(900, &[])), []);
    assert_eq!(incidents(tracker.still(910, &[])), [(IncidentKind::Stopped, 700, Some(910))]);
}

#[test]
fn what_is_held_beside_the_agents_is_told_once_of_each_kind() {
    let mut tracker = tracker();
    let held = |pid, how: &str, since_ns| Held { agent: agent(1), pid, how: how.to_owned(), since_ns };
    let guard = held(7, "had its guard (pid 7) stopped", 20);
    assert_eq!(tracker.hold(100, IncidentKind::Stopped, std::slice::from_ref(&guard)).len(), 1);
    assert_eq!(tracker.hold(200, IncidentKind::Stopped, &[guard]), []);
    let pause = held(7, "was paused with its whole fleet by process 7", 150);
    assert_eq!(tracker.hold(300, IncidentKind::Paused, &[pause]).len(), 1);
    let over = tracker.hold(400, IncidentKind::Stopped, &[]);
    let [Event::Incident(incident)] = &over[..] else { panic!("{over:?}") };
    assert_eq!((incident.from_ns, incident.to_ns), (50, Some(400)), "no earlier than the fleet");
    assert_eq!(incident.how, "had its guard (pid 7) stopped for about 350.0ns");
    assert_eq!(incidents(tracker.finish()), [(IncidentKind::Paused, 150, None)]);
}

#[test]
fn a_suspicion_that_heals_is_minor_and_one_that_is_confirmed_critical() {
    let mut tracker = tracker();
    notice(&mut tracker, 100, Noticed::Suspected { pid: 101 });
    assert_eq!(
        notice(&mut tracker, 200, Noticed::Healed { pid: 101 }),
        [(IncidentKind::Suspected, 100, Some(200))]
    );
    notice(&mut tracker, 300, Noticed::Suspected { pid: 101 });
    assert_eq!(notice(&mut tracker, 400, Noticed::Hung { pid: 101 }).len(), 1);
    let severity = [IncidentKind::Suspected, IncidentKind::Hung].map(IncidentKind::severity);
    assert_eq!(severity, [Severity::Minor, Severity::Critical]);
    assert_eq!(incidents(tracker.finish()), []);
}

/// Another process in the place of [`agent`].
fn successor(id: u32) -> AgentInfo {
    AgentInfo { pid: 200 + id, incarnation: 2, ..agent(id) }
}

fn exit(agent: &AgentInfo) -> (AgentId, u32) {
    (agent.id, agent.incarnation)
}

fn whose(events: Vec<Event>) -> Vec<(IncidentKind, u32, u64, Option<u64>)> {
    let of = |event| match event {
        Event::Incident(it) => Some((it.kind, it.pid, it.from_ns, it.to_ns)),
        _ => None,
    };
    events.into_iter().filter_map(of).collect()
}

fn noticed(tracker: &mut Tracker, now: &AgentInfo, all: &[(u64, Noticed)]) -> Vec<Event> {
    let place = PlaceId::worker(0, 1);
    let notice = |(at_ns, what): &(u64, Noticed)| Notice { at_ns: *at_ns, place, what: what.clone() };
    tracker.noticed(1_000, &all.iter().map(notice).collect::<Vec<_>>(), |_| Some(now))
}

#[test]
fn an_incident_of_a_process_that_dies_ends_with_it_and_its_successor_has_its_own() {
    let (first, second) = (agent(1), successor(1));
    // Suspected, and killed before it has healed: by another hand, or by what stopped it.
    let mut tracker = tracker();
    noticed(&mut tracker, &first, &[(100, Noticed::Suspected { pid: 101 })]);
    let (id, incarnation) = exit(&first);
    assert_eq!(whose(tracker.ended(150, id, incarnation)), [(IncidentKind::Suspected, 101, 100, Some(150))]);
    assert_eq!(tracker.ended(151, id, incarnation), []);
    // Nor does the notice of its death, which may come later.
    assert_eq!(noticed(&mut tracker, &second, &[(140, Noticed::Died { pid: 101 })]), []);
    assert_eq!(tracker.stopped(300, std::slice::from_ref(&second)).len(), 1, "an alert of its own");
    assert_eq!(whose(tracker.stopped(400, &[])), [(IncidentKind::Stopped, 201, 300, Some(400))]);
    assert_eq!(tracker.finish(), []);
}

#[test]
fn a_stop_of_a_process_that_dies_says_that_it_lasted_to_its_end() {
    let mut tracker = tracker();
    tracker.stopped(100, &[agent(1)]);
    let over = tracker.ended(1_000_000_100, 1, 1);
    let [Event::Incident(incident)] = &over[..] else { panic!("{over:?}") };
    assert_eq!(incident.how, "was stopped for about 1.0s, until it ended");
    // A look that had begun before, and is told now.
    assert_eq!(tracker.stopped(90, &[agent(1)]), []);
    // One whose stop no look had told before it ended is told then, once.
    tracker.ended(50, 2, 1);
    assert_eq!(whose(tracker.stopped(49, &[agent(2)])), [(IncidentKind::Stopped, 102, 50, Some(50))]);
}

#[test]
fn a_notice_that_is_read_after_another_process_has_come_is_of_the_one_before() {
    let second = successor(1);
    let mut tracker = tracker();
    tracker.ended(160, 1, 1);
    let all = [(100, Noticed::Suspected { pid: 101 }), (150, Noticed::Died { pid: 101 })];
    let suspected = (IncidentKind::Suspected, 101, 100, Some(150));
    assert_eq!(whose(noticed(&mut tracker, &second, &all)), [suspected]);
    // Without the notice of its death, which is another's to give, too.
    let alone = [(100, Noticed::Suspected { pid: 101 })];
    let mut tracker = self::tracker();
    tracker.ended(160, 1, 1);
    assert_eq!(
        whose(noticed(&mut tracker, &second, &alone)),
        [(IncidentKind::Suspected, 101, 100, Some(160))]
    );
    // Beside an incident of its successor.
    tracker.stopped(200, std::slice::from_ref(&second));
    let hung = [(110, Noticed::Hung { pid: 101 })];
    assert_eq!(whose(noticed(&mut tracker, &second, &hung)), [(IncidentKind::Hung, 101, 110, Some(110))]);
    assert_eq!(whose(tracker.stopped(300, &[])), [(IncidentKind::Stopped, 201, 200, Some(300))]);
}

#[test]
fn what_is_seen_of_a_successor_ends_what_was_open_of_the_one_before() {
    let mut tracker = tracker();
    noticed(&mut tracker, &agent(1), &[(100, Noticed::Suspected { pid: 101 })]);
    // Its end has not been told yet.
    assert_eq!(
        whose(tracker.stopped(200, &[successor(1)])),
        [(IncidentKind::Suspected, 101, 100, Some(200))]
    );
    assert_eq!(whose(tracker.finish()), [(IncidentKind::Stopped, 201, 200, None)]);
}

#[test]
fn a_hang_is_seen_even_if_it_was_not_suspected() {
    assert_eq!(notice(&mut tracker(), 70, Noticed::Hung { pid: 101 }), [(IncidentKind::Hung, 70, Some(70))]);
}

#[test]
fn a_helper_that_dies_is_an_exit_and_critical() {
    let how = "killed by SIGKILL".to_owned();
    let died = Noticed::HelperDied { name: "guard", pid: 7, how };
    let supervisor = agent(1);
    let notices = [Notice { at_ns: 70, place: PlaceId::Supervisor, what: died }];
    let events = tracker().noticed(1_000, &notices, |_| Some(&supervisor));
    let [Event::Alert(_), Event::Incident(incident)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(incident.how, "lost its guard (pid 7): killed by SIGKILL");
    assert_eq!((incident.from_ns, incident.to_ns), (70, Some(70)));
    assert_eq!(incident.kind.severity(), Severity::Critical);
}

#[test]
fn one_order_to_scale_is_one_incident_and_nothing_is_older_than_the_fleet() {
    let (mut tracker, agent) = (tracker(), agent(1));
    let scaled =
        |at_ns| Notice { at_ns, place: PlaceId::Coordinator(0), what: Noticed::Scaled { from: 4, to: 2 } };
    let events = tracker.noticed(1_000, &[scaled(10), scaled(11)], |_| Some(&agent));
    let Event::Incident(incident) = &events[1] else { panic!("{events:?}") };
    assert_eq!(incident.how, "was scaled by hand: worker/0.1 from 4 to 2, and 1 more");
    assert_eq!((incident.kind, incident.from_ns), (IncidentKind::Scaled, 50));
}
