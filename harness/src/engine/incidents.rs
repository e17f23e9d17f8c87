//! What befalls living processes that the run has not asked for: stops, and suspicions of the fleet itself.
//!
//! Three witnesses: the kernel shows which processes are stopped ([`Incidents::stopped`]), the system says whom it
//! suspects ([`Incidents::noticed`]), and this end sees which show no progress ([`Incidents::still`]). What they see of a
//! process at one time is one incident, and is recorded when it is over. Exits are for [`super::watch`]; how grave an incident is, for the table in `reports`.

use super::recorder::Handle;
use crate::system::{Notice, Noticed};
use reports::runlog::event::{AgentId, AgentInfo, Alert, Event, Incident, IncidentKind, Severity};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The one record of open incidents, for the thread that sweeps and the one that makes the load.
#[derive(Debug, Clone)]
pub struct Incidents {
    open: Arc<Mutex<Tracker>>,
    log: Handle,
}

impl Incidents {
    /// The fleet is complete since `began_ns`.
    pub fn new(log: Handle, began_ns: u64) -> Self {
        Self { open: Arc::new(Mutex::new(Tracker { began_ns, ..Tracker::default() })), log }
    }

    /// A look at every process, begun at `at_ns`: those that the kernel shows as stopped.
    pub fn stopped(&self, at_ns: u64, stopped: &[AgentInfo]) {
        self.record(|open| open.stopped(at_ns, stopped));
    }

    /// A look at every process, at `at_ns`: those that show no progress, and since when.
    pub fn still(&self, at_ns: u64, still: &[(AgentInfo, u64)]) {
        self.record(|open| open.still(at_ns, still));
    }

    /// A look at `at_ns` at what is not an agent (the guard, the spares, an operator's pause): what is held now, by `kind`.
    pub fn held(&self, at_ns: u64, kind: IncidentKind, held: &[Held]) {
        self.record(|open| open.hold(at_ns, kind, held));
    }

    /// What the system has noticed until `now_ns`. `agent` finds the process that is in a place.
    pub fn noticed<'a>(
        &self,
        now_ns: u64,
        notices: &[Notice],
        agent: impl Fn(&Notice) -> Option<&'a AgentInfo>,
    ) {
        self.record(|open| open.noticed(now_ns, notices, agent));
    }

    /// No one looks any more: what has not ended lasts.
    pub fn finish(&self) {
        self.record(Tracker::finish);
    }

    fn record(&self, step: impl FnOnce(&mut Tracker) -> Vec<Event>) {
        // Recorded under the lock, so that the log has them in their order.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for event in step(&mut open) {
            self.log.record(event);
        }
    }
}

/// Something that belongs to a process and is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub agent: AgentInfo,
    /// The process of which it is told, if that is not the agent itself: what tells this from others of its kind.
    pub pid: u32,
    /// In words: `had its guard (pid 7) stopped`.
    pub how: String,
    pub since_ns: u64,
}

#[derive(Debug)]
struct Open {
    agent: AgentInfo,
    from_ns: u64,
    /// What it is now,
    stopped: bool,
    suspected: bool,
    silent: bool,
    /// and what it has been.
    kind: IncidentKind,
}

/// Pure; bounded by the number of agents.
#[derive(Debug, Default)]
struct Tracker {
    began_ns: u64,
    open: BTreeMap<AgentId, Open>,
    held: BTreeMap<(IncidentKind, u32), Held>,
}

impl Tracker {
    fn stopped(&mut self, at_ns: u64, stopped: &[AgentInfo]) -> Vec<Event> {
        let mut events = Vec::new();
        for open in self.open.values_mut() {
            open.stopped = false;
        }
        let mut new = Vec::new();
        for agent in stopped {
            if !self.open.contains_key(&agent.id) {
                new.push(agent);
            }
            let open = self.open(agent, at_ns, IncidentKind::Stopped);
            open.stopped = true;
            open.kind = open.kind.min(IncidentKind::Stopped);
        }
        if let Some(first) = new.first() {
            let more = match new.len() - 1 {
                0 => String::new(),
                more => format!(", and so are {more} more processes"),
            };
            events.push(alert(format!("{} (pid {}) is stopped{more}", first.name, first.pid)));
        }
        events.extend(self.close(at_ns));
        events
    }

    fn still(&mut self, at_ns: u64, still: &[(AgentInfo, u64)]) -> Vec<Event> {
        let mut events = Vec::new();
        for open in self.open.values_mut() {
            open.silent = false;
        }
        let mut new = Vec::new();
        for (agent, since_ns) in still {
            if !self.open.contains_key(&agent.id) {
                new.push(agent);
            }
            let open = self.open(agent, *since_ns, IncidentKind::Silent);
            open.silent = true;
            open.kind = open.kind.min(IncidentKind::Silent);
        }
        if let Some(first) = new.first() {
            let more = match new.len() - 1 {
                0 => String::new(),
                more => format!(", and so do {more} more processes"),
            };
            events.push(alert(format!("{} (pid {}) shows no progress{more}", first.name, first.pid)));
        }
        events.extend(self.close(at_ns));
        events
    }

    fn hold(&mut self, at_ns: u64, kind: IncidentKind, now: &[Held]) -> Vec<Event> {
        let mut events = Vec::new();
        for held in now {
            let key = (kind, held.pid);
            if !self.held.contains_key(&key) {
                let since_ns = held.since_ns.max(self.began_ns);
                events.push(alert(format!("{} (pid {}) {}", held.agent.name, held.agent.pid, held.how)));
                self.held.insert(key, Held { since_ns, ..held.clone() });
            }
        }
        let is_over =
            |(of, pid): &(IncidentKind, u32)| *of == kind && !now.iter().any(|held| held.pid == *pid);
        let over: Vec<_> = self.held.keys().filter(|key| is_over(key)).copied().collect();
        events.extend(over.iter().filter_map(|key| self.held.remove(key)).map(|held| {
            let to_ns = at_ns.max(held.since_ns);
            let lasted = Duration::from_nanos(to_ns - held.since_ns);
            let how = format!("{} for about {lasted:.1?}", held.how);
            incident(&held.agent, kind, how, (held.since_ns, Some(to_ns)))
        }));
        events
    }

    fn noticed<'a>(
        &mut self,
        now_ns: u64,
        notices: &[Notice],
        agent: impl Fn(&Notice) -> Option<&'a AgentInfo>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut scaled: Vec<(&Notice, &AgentInfo, String)> = Vec::new();
        for notice in notices {
            let at_ns = notice.at_ns.min(now_ns);
            match &notice.what {
                // What was not read may have been an incident, and nothing that the fleet has done since the other is what it
                // was told to do.
                Noticed::Unread(why) | Noticed::Overwritten { text: why, .. } => {
                    let alert = Alert { severity: Severity::Minor, text: why.clone() };
                    events.push(Event::Alert(alert));
                }
                Noticed::Scaled { from, to } => {
                    let Some(agent) = agent(notice) else { continue };
                    scaled.push((notice, agent, format!("{} from {from} to {to}", agent.name)));
                }
                Noticed::HelperDied { name, pid, how } => {
                    let Some(agent) = agent(notice) else { continue };
                    let which = if *pid == 0 { String::new() } else { format!(" (pid {pid})") };
                    let how = format!("lost its {name}{which}: {how}");
                    let at_ns = at_ns.max(self.began_ns);
                    events.push(alert(format!("{} (pid {}) {how}", agent.name, agent.pid)));
                    events.push(incident(agent, IncidentKind::Exit, how, (at_ns, Some(at_ns))));
                }
                // Deaths are for the watch, and what a fleet does by load is what it was asked to.
                Noticed::Died { .. } | Noticed::Started | Noticed::Ended | Noticed::Resized { .. } => {}
                Noticed::Suspected | Noticed::Hung => {
                    let Some(agent) = agent(notice) else { continue };
                    if !self.open.contains_key(&agent.id) {
                        let text =
                            format!("the fleet suspects {} (pid {}) of hanging", agent.name, agent.pid);
                        events.push(alert(text));
                    }
                    let hung = notice.what == Noticed::Hung;
                    let kind = if hung { IncidentKind::Hung } else { IncidentKind::Suspected };
                    let open = self.open(agent, at_ns, kind);
                    // A process that has hung is ended: nothing more is to come.
                    open.suspected = !hung;
                    open.kind = open.kind.min(kind);
                    events.extend(self.close(at_ns));
                }
                Noticed::Healed => {
                    let Some(agent) = agent(notice) else { continue };
                    if let Some(open) = self.open.get_mut(&agent.id) {
                        open.suspected = false;
                    }
                    events.extend(self.close(at_ns));
                }
            }
        }
        events.extend(self.scaled(now_ns, &scaled));
        events
    }

    /// One order to scale reaches every coordinator: together they are one incident.
    fn scaled(&self, now_ns: u64, scaled: &[(&Notice, &AgentInfo, String)]) -> Vec<Event> {
        let Some((notice, agent, first)) = scaled.first() else { return Vec::new() };
        let more = match scaled.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let from_ns = notice.at_ns.min(now_ns).max(self.began_ns);
        let how = format!("was scaled by hand: {first}{more}");
        let text = format!("the fleet {how}");
        let incident = incident(agent, IncidentKind::Scaled, how, (from_ns, Some(from_ns)));
        vec![alert(text), incident]
    }

    fn open(&mut self, agent: &AgentInfo, at_ns: u64, kind: IncidentKind) -> &mut Open {
        let from_ns = at_ns.max(self.began_ns);
        self.open.entry(agent.id).or_insert_with(|| Open {
            agent: agent.clone(),
            from_ns,
            stopped: false,
            suspected: false,
            silent: false,
            kind,
        })
    }

    fn close(&mut self, at_ns: u64) -> Vec<Event> {
        let over: Vec<AgentId> = self
            .open
            .iter()
            .filter(|(_, open)| !open.stopped && !open.suspected && !open.silent)
            .map(|(id, _)| *id)
            .collect();
        over.iter()
            .filter_map(|id| self.open.remove(id))
            .map(|open| {
                let to_ns = at_ns.max(open.from_ns);
                let lasted = Duration::from_nanos(to_ns - open.from_ns);
                let how = match open.kind {
                    IncidentKind::Stopped => format!("was stopped for about {lasted:.1?}"),
                    IncidentKind::Suspected => format!("was suspected of hanging for {lasted:.1?}"),
                    IncidentKind::Hung => "made no progress and was ended by the fleet".to_owned(),
                    IncidentKind::Silent => format!("showed no progress for about {lasted:.1?}"),
                    IncidentKind::Exit | IncidentKind::Paused | IncidentKind::Scaled => {
                        unreachable!("these are never open")
                    }
                };
                incident(&open.agent, open.kind, how, (open.from_ns, Some(to_ns)))
            })
            .collect()
    }

    fn finish(&mut self) -> Vec<Event> {
        let open = std::mem::take(&mut self.open).into_values().map(|open| {
            let what = match (open.stopped, open.suspected) {
                (true, _) => "was stopped",
                (false, true) => "was suspected of hanging",
                (false, false) => "showed no progress",
            };
            let how = format!("{what} until the load had drained");
            incident(&open.agent, open.kind, how, (open.from_ns, None))
        });
        let held = std::mem::take(&mut self.held).into_iter().map(|((kind, _), held)| {
            let how = format!("{} until the load had drained", held.how);
            incident(&held.agent, kind, how, (held.since_ns, None))
        });
        open.chain(held).collect()
    }
}

fn incident(
    agent: &AgentInfo,
    kind: IncidentKind,
    how: String,
    (from_ns, to_ns): (u64, Option<u64>),
) -> Event {
    let AgentInfo { id, name, pid, incarnation, .. } = agent;
    let (agent, incarnation, name, pid) = (*id, *incarnation, name.clone(), *pid);
    Event::Incident(Incident { kind, agent, incarnation, name, pid, how, from_ns, to_ns })
}

/// Of an incident, which has a record of its own and is judged by that.
fn alert(text: String) -> Event {
    Event::Alert(Alert { severity: Severity::Info, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::PlaceId;
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
        assert_eq!(notice(&mut tracker, 300, Noticed::Suspected), []);
        // By a neighbour, too.
        assert_eq!(notice(&mut tracker, 310, Noticed::Suspected), []);
        assert_eq!(incidents(tracker.stopped(400, &[])), [], "the fleet has not seen it go on yet");
        assert_eq!(notice(&mut tracker, 420, Noticed::Healed), [(IncidentKind::Stopped, 100, Some(420))]);
        assert_eq!(notice(&mut tracker, 421, Noticed::Healed), []);
    }

    #[test]
    fn a_silence_of_a_suspected_or_stopped_process_is_the_same_incident() {
        let mut tracker = tracker();
        assert_eq!(tracker.still(300, &[(agent(1), 100), (agent(2), 200)]).len(), 1, "one alert for both");
        notice(&mut tracker, 400, Noticed::Suspected);
        assert_eq!(incidents(tracker.still(500, &[])), [(IncidentKind::Silent, 200, Some(500))]);
        assert_eq!(notice(&mut tracker, 600, Noticed::Healed), [(IncidentKind::Suspected, 100, Some(600))]);
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
        notice(&mut tracker, 100, Noticed::Suspected);
        assert_eq!(notice(&mut tracker, 200, Noticed::Healed), [(IncidentKind::Suspected, 100, Some(200))]);
        notice(&mut tracker, 300, Noticed::Suspected);
        assert_eq!(notice(&mut tracker, 400, Noticed::Hung).len(), 1);
        let severity = [IncidentKind::Suspected, IncidentKind::Hung].map(IncidentKind::severity);
        assert_eq!(severity, [Severity::Minor, Severity::Critical]);
        assert_eq!(incidents(tracker.finish()), []);
    }

    #[test]
    fn a_hang_is_seen_even_if_it_was_not_suspected() {
        assert_eq!(notice(&mut tracker(), 70, Noticed::Hung), [(IncidentKind::Hung, 70, Some(70))]);
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
        let scaled = |at_ns| Notice {
            at_ns,
            place: PlaceId::Coordinator(0),
            what: Noticed::Scaled { from: 4, to: 2 },
        };
        let events = tracker.noticed(1_000, &[scaled(10), scaled(11)], |_| Some(&agent));
        let Event::Incident(incident) = &events[1] else { panic!("{events:?}") };
        assert_eq!(incident.how, "was scaled by hand: worker/0.1 from 4 to 2, and 1 more");
        assert_eq!((incident.kind, incident.from_ns), (IncidentKind::Scaled, 50));
    }
}
