//! What befalls living processes that the run has not asked for: stops, and suspicions of the fleet itself.
//!
//! Three witnesses: the kernel shows which processes are stopped ([`Incidents::stopped`]), the system says whom it
//! suspects ([`Incidents::noticed`]), and this end sees which show no progress ([`Incidents::still`]). What they see of a
//! process at one time is one incident, and is recorded when it is over. Exits are for [`super::watch`]; how grave an incident is, for the table in `reports`.

use super::recorder::Handle;
use crate::system::{Notice, Noticed, PlaceId};
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

    /// Ends and replacements that the log is about to have, at `at_ns`: an incident of a process that is gone is over.
    pub fn ended(&self, at_ns: u64, events: &[Event]) {
        for event in events {
            let (id, incarnation) = match event {
                Event::AgentExit(exit) => (exit.agent, exit.incarnation),
                Event::AgentReplaced(new) => (new.agent, new.incarnation.saturating_sub(1)),
                _ => continue,
            };
            self.record(|open| open.ended(at_ns, id, incarnation));
        }
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
    /// The last process of a place that is gone.
    gone: BTreeMap<AgentId, Gone>,
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    incarnation: u32,
    /// By then.
    at_ns: u64,
    /// What befell it is told.
    is_told: bool,
}

impl Tracker {
    /// This process in a place, and those before it, are gone: what befell them is over.
    fn ended(&mut self, at_ns: u64, id: AgentId, incarnation: u32) -> Vec<Event> {
        let new = Gone { incarnation, at_ns, is_told: false };
        let gone = self.gone.entry(id).or_insert(new);
        if gone.incarnation < incarnation {
            *gone = new;
        } else if gone.incarnation == incarnation {
            gone.at_ns = gone.at_ns.min(at_ns);
        }
        self.close(at_ns)
    }

    fn is_gone(&self, agent: &AgentInfo) -> bool {
        self.gone.get(&agent.id).is_some_and(|gone| agent.incarnation <= gone.incarnation)
    }

    /// A look may have begun before the end of a process, and be told after it.
    fn is_told(&self, agent: &AgentInfo) -> bool {
        self.gone.get(&agent.id).is_some_and(|gone| {
            agent.incarnation < gone.incarnation || agent.incarnation == gone.incarnation && gone.is_told
        })
    }

    fn stopped(&mut self, at_ns: u64, stopped: &[AgentInfo]) -> Vec<Event> {
        let mut events = Vec::new();
        for open in self.open.values_mut() {
            open.stopped = false;
        }
        let mut new = Vec::new();
        for agent in stopped {
            events.extend(self.follow(agent, at_ns));
            if self.is_told(agent) {
                continue;
            }
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
            events.extend(self.follow(agent, at_ns));
            if self.is_told(agent) {
                continue;
            }
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
                // The watch, which knows of it too, records the death itself.
                Noticed::Died { pid } => {
                    let Some(agent) = agent(notice) else { continue };
                    let of = self.open.get(&agent.id).filter(|open| open.agent.pid == *pid);
                    let incarnation = of.map(|open| open.agent.incarnation);
                    let over = incarnation.map(|incarnation| self.ended(at_ns, agent.id, incarnation));
                    events.extend(over.into_iter().flatten());
                }
                // What a fleet does by load is what it was asked to.
                Noticed::Started | Noticed::Ended | Noticed::Resized { .. } => {}
                Noticed::Suspected { pid } | Noticed::Hung { pid } | Noticed::Healed { pid } => {
                    let Some(agent) = agent(notice) else { continue };
                    let agent = as_then(agent, notice.place, *pid);
                    events.extend(match &notice.what {
                        Noticed::Hung { .. } => self.suspected(&agent, at_ns, IncidentKind::Hung),
                        Noticed::Healed { .. } => self.healed(&agent, at_ns),
                        _ => self.suspected(&agent, at_ns, IncidentKind::Suspected),
                    });
                }
            }
        }
        // Suspicions of processes that are gone, and of whose end no notice came.
        events.extend(self.close(now_ns));
        events.extend(self.scaled(now_ns, &scaled));
        events
    }

    /// It makes progress again.
    fn healed(&mut self, agent: &AgentInfo, at_ns: u64) -> Vec<Event> {
        let open = self.open.get_mut(&agent.id);
        if let Some(open) = open.filter(|open| open.agent.incarnation == agent.incarnation) {
            open.suspected = false;
        }
        self.close(at_ns)
    }

    /// By the fleet; a process that has hung is ended by it.
    fn suspected(&mut self, agent: &AgentInfo, at_ns: u64, kind: IncidentKind) -> Vec<Event> {
        let is_hung = kind == IncidentKind::Hung;
        let mut events = Vec::new();
        if self.open.get(&agent.id).is_some_and(|open| open.agent.incarnation > agent.incarnation) {
            // Another process has its place. That it is gone is known; that it hung, only from here.
            if is_hung {
                let from_ns = at_ns.max(self.began_ns);
                let how = told(kind, Duration::ZERO, false);
                events.push(incident(agent, kind, how, (from_ns, Some(from_ns))));
            }
            return events;
        }
        events.extend(self.follow(agent, at_ns));
        if self.is_told(agent) && !is_hung {
            return events;
        }
        if !self.open.contains_key(&agent.id) {
            events.push(alert(format!("the fleet suspects {} (pid {}) of hanging", agent.name, agent.pid)));
        }
        let open = self.open(agent, at_ns, kind);
        open.suspected = !is_hung;
        open.kind = open.kind.min(kind);
        if is_hung {
            // Nothing more is to come.
            events.extend(self.close(at_ns));
        }
        events
    }

    /// Something is about this process: what is open of its place and of one before it is over.
    fn follow(&mut self, agent: &AgentInfo, at_ns: u64) -> Vec<Event> {
        match self.open.get(&agent.id) {
            Some(open) if open.agent.incarnation < agent.incarnation => {
                self.ended(at_ns, agent.id, agent.incarnation - 1)
            }
            _ => Vec::new(),
        }
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
        let is_over = |open: &Open| !open.stopped && !open.suspected && !open.silent;
        let over: Vec<AgentId> = self
            .open
            .iter()
            .filter(|(_, open)| is_over(open) || self.is_gone(&open.agent))
            .map(|(id, _)| *id)
            .collect();
        over.iter()
            .filter_map(|id| self.open.remove(id))
            .map(|open| {
                let gone = self.gone.get_mut(&open.agent.id);
                let gone = gone.filter(|gone| gone.incarnation == open.agent.incarnation);
                let over_ns = gone.map_or(at_ns, |gone| {
                    gone.is_told = true;
                    gone.at_ns.min(at_ns)
                });
                let to_ns = over_ns.max(open.from_ns);
                let lasted = Duration::from_nanos(to_ns - open.from_ns);
                let how = told(open.kind, lasted, !is_over(&open));
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

/// What befell a process for so long, and whether its end has ended it.
fn told(kind: IncidentKind, lasted: Duration, until_its_end: bool) -> String {
    let what = match kind {
        IncidentKind::Stopped => format!("was stopped for about {lasted:.1?}"),
        IncidentKind::Suspected => format!("was suspected of hanging for {lasted:.1?}"),
        IncidentKind::Hung => return "made no progress and was ended by the fleet".to_owned(),
        IncidentKind::Silent => format!("showed no progress for about {lasted:.1?}"),
        IncidentKind::Exit | IncidentKind::Paused | IncidentKind::Scaled => {
            unreachable!("these are never open")
        }
    };
    if until_its_end { format!("{what}, until it ended") } else { what }
}

/// The process with this pid that was in the place of `agent`, which may have followed it since. The fleet may not know the pid.
fn as_then(agent: &AgentInfo, place: PlaceId, pid: u32) -> AgentInfo {
    let is_other = pid != 0 && pid != agent.pid && agent.name == place.to_string();
    if !is_other || agent.incarnation <= 1 {
        return agent.clone();
    }
    AgentInfo { pid, incarnation: agent.incarnation - 1, ..agent.clone() }
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
mod tests;
