//! Who takes part, as the kernel confirmed it, and what became of each.
//!
//! The watch is the one owner of who is alive. It compares what the system says about its places with what it has
//! noted before, and answers with events for the log: exits, replacements, alerts. It reads no clock and sends
//! nothing; the kernel's word comes through [`System::presence`].

use crate::system::{Identity, Life, PlaceId, Presence, Process, Role as PlaceRole, StopMode, System};
use places::{parent, role, unreported, was_called_off, words};
use reports::runlog::event::{
    AgentExit, AgentId, AgentInfo, AgentReplaced, Agents, Alert, BY_THE_END_WITH_ITS_COORDINATOR,
    BY_THE_END_WITH_THE_SUPERVISOR, Event, Role, Severity, WITH_ITS_SUCCESSOR,
};
use std::collections::HashMap;
use std::time::Duration;

#[path = "belief.rs"]
mod belief;
#[path = "followed.rs"]
mod followed;
#[path = "places.rs"]
mod places;

/// While a place waits for a successor, it is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// The least time between two looks at places whose processes are recycled: each task may take a process of its own.
const RECYCLED_LOOK_NS: u64 = 5_000_000;
/// Exits of one place that are written after one look. A place is restarted at most 16 times in 10 s, and looks are
/// at most a few rounds apart: more than this is nonsense in shared memory, and is told in one sentence.
const EXITS_PER_LOOK_MAX: u32 = 32;

/// An agent is a place in the system; processes may follow each other in it.
#[derive(Debug)]
pub struct Watch {
    /// The harness first, then the system in the order of its places; an agent's id is its index. The process in a
    /// place is the last that the kernel confirmed.
    agents: Vec<AgentInfo>,
    by_place: HashMap<PlaceId, AgentId>,
    noted: Vec<Noted>,
    /// Of the whole system, at the last look.
    deaths_seen: u64,
    recycled_seen: u64,
    /// When places are looked at next because processes were recycled, and some of their successors are not known.
    recycled_ns: Option<u64>,
    looked_ns: u64,
    /// While a place waits for its successor: when to look again.
    unsettled_ns: Option<u64>,
    /// An operator has scaled the system: processes may come and go at any time, and no death is counted.
    scaled: bool,
    /// The run scales the system, or the system itself: processes come and go in order. Since when the fleet was complete.
    elastic: Option<u64>,
}

/// What the log says of a process that was too many.
const RETIRED: &str = "retired when the fleet was scaled";

/// What the log has of a place.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    /// Deaths, as the system counts them.
    deaths: u32,
    /// Exits of this place's processes since the last one that was confirmed.
    exits: u32,
    /// No successor comes any more.
    ended: bool,
    /// The system has said something of this place that cannot be: the log has that.
    contradicted: bool,
    /// The process whose death was noted last.
    died: Option<Identity>,
    /// One that another process followed before its end was noted.
    unannounced: Option<u32>,
    /// A look has found the last confirmed process at work, and not only starting.
    served: bool,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Seen {
    /// For the log, in this order.
    pub events: Vec<Event>,
    /// Agents whose place had no process before.
    pub arrived: Vec<AgentInfo>,
    /// Agents whose place has another process now.
    pub replaced: Vec<AgentInfo>,
}

/// An exit without its process: who, how, and whether the run asked for it.
struct Ending<'a> {
    process: &'a Process,
    how: String,
    expected: bool,
}

impl Watch {
    pub fn empty() -> Self {
        Self {
            agents: Vec::new(),
            by_place: HashMap::new(),
            noted: Vec::new(),
            deaths_seen: 0,
            recycled_seen: 0,
            recycled_ns: None,
            looked_ns: 0,
            unsettled_ns: None,
            scaled: false,
            elastic: None,
        }
    }

    /// Every process that the system says it has and that the kernel shows with that start time. One that is
    /// not there is an error: nothing it seems to answer would count. Only of a system that follows its load may some have
    /// been retired already.
    pub fn begin(system: &dyn System, follows_load: bool) -> Result<Self, String> {
        let own = Identity::own();
        let mut watch = Self::empty();
        watch.agents.push(AgentInfo {
            id: 0,
            role: Role::Harness,
            name: "harness".to_owned(),
            pid: own.pid,
            start_ticks: own.start_ticks,
            incarnation: 1,
        });
        watch.noted.push(Noted::default());
        for process in &system.processes() {
            let (place, id) = (process.place, watch.agents.len() as AgentId);
            if system.presence(process.identity()) != Presence::Alive {
                if follows_load && place != PlaceId::Supervisor && process.deaths == 0 {
                    continue;
                }
                return Err(format!("{place} (pid {}) is not in /proc right after the launch", process.pid));
            }
            watch.introduce(process, id);
            watch.noted[id as usize].deaths = process.deaths;
        }
        Ok(watch)
    }

    fn introduce(&mut self, process: &Process, id: AgentId) {
        let place = process.place;
        self.agents.push(AgentInfo {
            id,
            role: role(place),
            name: place.to_string(),
            pid: process.pid,
            start_ticks: process.start_ticks,
            incarnation: process.incarnation.max(1),
        });
        self.by_place.insert(place, id);
        self.noted.push(Noted { served: process.life == Life::Live, ..Noted::default() });
    }

    pub fn agents(&self) -> &[AgentInfo] {
        &self.agents
    }

    /// The system without the harness.
    pub fn fleet(&self) -> &[AgentInfo] {
        self.agents.get(1..).unwrap_or(&[])
    }

    pub fn id_of(&self, place: PlaceId) -> AgentId {
        self.by_place.get(&place).copied().unwrap_or_default()
    }

    /// From now on processes come and go unannounced.
    pub fn scaled(&mut self) {
        self.scaled = true;
        self.unsettled_ns.get_or_insert(0);
    }

    /// The number of processes is to change in this run. `launch_ns` is how long the launch took.
    pub fn expect_changes(&mut self, launch_ns: u64) {
        self.elastic = Some(launch_ns);
        self.unsettled_ns.get_or_insert(0);
    }

    /// Whether the log has the process that is in a place now.
    pub fn is_there(&self, place: PlaceId) -> bool {
        self.by_place.get(&place).is_some_and(|id| !self.noted[*id as usize].ended)
    }

    /// When the next look is due that nothing but its time announces; `u64::MAX` if none is.
    pub fn next_ns(&self) -> u64 {
        self.recycled_ns.unwrap_or(u64::MAX)
    }

    /// Looks if there is a reason to: a death was counted, a process was recycled, a successor is awaited, the system is lost.
    pub fn look_if_due(&mut self, system: &dyn System, now_ns: u64) -> Seen {
        if system.recycled() != self.recycled_seen {
            self.recycled_ns.get_or_insert(self.looked_ns + RECYCLED_LOOK_NS);
        }
        let is_due = |at: Option<u64>| at.is_some_and(|look_ns| look_ns <= now_ns);
        let unsettled = is_due(self.unsettled_ns) || is_due(self.recycled_ns);
        if unsettled || system.deaths() != self.deaths_seen || system.lost().is_some() {
            self.look(system, now_ns)
        } else {
            Seen::default()
        }
    }

    /// Who has ended unasked since the last look, and who has come in their places.
    pub fn look(&mut self, system: &dyn System, now_ns: u64) -> Seen {
        self.deaths_seen = system.deaths();
        let recycled = std::mem::replace(&mut self.recycled_seen, system.recycled());
        let is_recycling = self.recycled_ns.is_some() || recycled != self.recycled_seen;
        self.looked_ns = now_ns;
        let mut processes = system.processes();
        let mut events = Vec::new();
        self.correct(system, &mut processes, &mut events);
        let arrived = self.arrived(system, &processes, &mut events);
        let retired = self.retired(system, &processes, now_ns);
        let exits = self.crashed(system, &processes, now_ns, &mut events);
        let followed = self.followed(system, &processes, now_ns);
        let (replaced, settled) = self.replaced(system, &processes);
        self.recycled_ns = (is_recycling && !settled).then(|| now_ns + RECYCLED_LOOK_NS);
        self.unsettled_ns =
            (!settled || self.scaled || self.elastic.is_some()).then(|| now_ns + LOOK.as_nanos() as u64);
        if let Some(first) = exits.first() {
            let more = match exits.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more processes ended"),
            };
            // Each of them has a record of its own, and is judged by that.
            events.push(alert(
                Severity::Info,
                format!("{} (pid {}) {}{more}", first.name, first.pid, first.how),
            ));
        }
        events.extend(exits.into_iter().chain(retired).chain(followed).map(Event::AgentExit));
        events.extend(replaced.iter().map(|agent| {
            Event::AgentReplaced(AgentReplaced {
                agent: agent.id,
                incarnation: agent.incarnation,
                name: agent.name.clone(),
                pid: agent.pid,
                start_ticks: agent.start_ticks,
                seen_ns: now_ns,
            })
        }));
        Seen { events, arrived, replaced }
    }

    /// Puts right what the system says of its places and the kernel contradicts: its words lie in shared memory, where another
    /// program may have written. The first contradiction of a place is an alert.
    fn correct(&mut self, system: &dyn System, processes: &mut [Process], events: &mut Vec<Event>) {
        for process in processes {
            let Some(id) = self.by_place.get(&process.place) else { continue };
            let (agent, noted) = (&self.agents[*id as usize], &mut self.noted[*id as usize]);
            let known = Identity { pid: agent.pid, start_ticks: agent.start_ticks };
            let before = belief::Before {
                known,
                deaths: noted.deaths,
                died: noted.died,
                unannounced: noted.unannounced,
            };
            let Some(text) = belief::correct(process, &before, |it| system.presence(it)) else { continue };
            if !std::mem::replace(&mut noted.contradicted, true) {
                events.push(alert(Severity::Critical, text));
            }
        }
    }

    /// Processes in places that had none before.
    fn arrived(
        &mut self,
        system: &dyn System,
        processes: &[Process],
        events: &mut Vec<Event>,
    ) -> Vec<AgentInfo> {
        let Some(launch_ns) = self.elastic else { return Vec::new() };
        let mut arrived = Vec::new();
        for process in processes {
            let is_new = process.life == Life::Live && !self.by_place.contains_key(&process.place);
            if !is_new || system.presence(process.identity()) != Presence::Alive {
                continue;
            }
            let id = self.agents.len() as AgentId;
            self.introduce(process, id);
            arrived.extend(self.agents.last().cloned());
        }
        if !arrived.is_empty() {
            events.push(Event::Agents(Agents { agents: arrived.clone(), launch_ns, bare_forks_ns: None }));
        }
        arrived
    }

    /// Workers and coordinators that ended in order, since they were too many. Others may come in their places.
    fn retired(&mut self, system: &dyn System, processes: &[Process], seen_ns: u64) -> Vec<AgentExit> {
        if self.elastic.is_none() {
            return Vec::new();
        }
        let mut exits = Vec::new();
        for process in processes {
            if process.place != PlaceId::Supervisor
                && process.life == Life::Stopped
                && system.presence(process.identity()) == Presence::Gone
            {
                let how = RETIRED.to_owned();
                exits.extend(self.end(&Ending { process, how, expected: true }, seen_ns));
            }
        }
        exits
    }

    /// The end of a supervisor of which another one has taken its place already.
    fn succeeded(&mut self, system: &dyn System, process: &Process, seen_ns: u64) -> Option<AgentExit> {
        let id = *self.by_place.get(&process.place)?;
        let agent = &self.agents[id as usize];
        let known = Identity { pid: agent.pid, start_ticks: agent.start_ticks };
        let is_new = known != process.identity() && !self.noted[id as usize].ended;
        if is_new && system.presence(known) == Presence::Gone {
            return self.exit(process.place, unreported(process.place).to_owned(), seen_ns);
        }
        None
    }

    fn crashed(
        &mut self,
        system: &dyn System,
        processes: &[Process],
        seen_ns: u64,
        events: &mut Vec<Event>,
    ) -> Vec<AgentExit> {
        let mut exits = Vec::new();
        let lives: HashMap<PlaceId, Life> = processes.iter().map(|p| (p.place, p.life)).collect();
        let is_dead = |place| lives.get(&place) == Some(&Life::Dead);
        let supervisor_dead = is_dead(PlaceId::Supervisor);
        // As long as the system works, another supervisor may come, and coordinators go on without one.
        let is_lost = supervisor_dead && system.lost().is_some();
        // Coordinators of which a death was noted now.
        let mut died: Vec<PlaceId> = Vec::new();
        for process in processes {
            let place = process.place;
            if place == PlaceId::Supervisor {
                if supervisor_dead {
                    let how = unreported(place).to_owned();
                    exits.extend(self.end(&Ending { process, how, expected: false }, seen_ns));
                } else {
                    exits.extend(self.succeeded(system, process, seen_ns));
                }
                continue;
            }
            let own = self.note_deaths(&mut exits, process, seen_ns, events);
            let parent = parent(place);
            let parent_dead =
                parent.is_some_and(|parent| is_lost || parent != PlaceId::Supervisor && is_dead(parent));
            if own && place.role() == PlaceRole::Coordinator {
                died.push(place);
            }
            // With its parent gone no one is left to say how a process ended; but the kernel ends each with its
            // parent.
            let how = words(process, unreported(place));
            if process.life == Life::Dead || parent_dead {
                exits.extend(self.end(&Ending { process, how, expected: false }, seen_ns));
            } else if !own && self.is_there(place) && parent.is_some_and(|parent| died.contains(&parent)) {
                exits.extend(self.exit(place, how, seen_ns));
            }
        }
        exits
    }

    /// The processes in the places of the dead, as the kernel shows them; and whether no other is awaited.
    fn replaced(&mut self, system: &dyn System, processes: &[Process]) -> (Vec<AgentInfo>, bool) {
        let (mut replaced, mut settled) = (Vec::new(), true);
        for process in processes {
            let Some(id) = self.by_place.get(&process.place) else { continue };
            let (agent, noted) = (&mut self.agents[*id as usize], &mut self.noted[*id as usize]);
            let here = (agent.pid, agent.start_ticks) == (process.pid, process.start_ticks);
            // A worker that has ended with its coordinator is still named until the coordinator's successor has seen to it.
            let awaited = process.life == Life::Starting || noted.exits > 0;
            if process.life == Life::Dead || here && !awaited {
                continue;
            }
            if here || system.presence(process.identity()) != Presence::Alive {
                settled = false;
                continue;
            }
            noted.unannounced = (noted.exits == 0).then_some(agent.pid);
            (agent.pid, agent.start_ticks) = (process.pid, process.start_ticks);
            (noted.ended, noted.served) = (false, process.life == Life::Live);
            agent.incarnation = agent.incarnation.saturating_add(std::mem::take(&mut noted.exits).max(1));
            replaced.push(agent.clone());
            // It may not come to serve, and another one come in its place, which nothing announces.
            settled &= process.life != Life::Starting || process.place.role() != PlaceRole::Coordinator;
        }
        (replaced, settled)
    }

    /// Every other process's end, after the system was stopped in `mode`. One that ended in order was asked to;
    /// one that had to be killed, or went down with its parent, was not. One that is still there is not named: it
    /// is a leftover. `supervisor_how` says what the supervisor's end lacked.
    pub fn after_stop(
        &mut self,
        system: &dyn System,
        supervisor_how: Option<&str>,
        mode: StopMode,
        seen_ns: u64,
    ) -> Vec<Event> {
        let mut processes = system.processes();
        let forced = mode == StopMode::Kill;
        let (mut exits, mut events) = (Vec::new(), Vec::new());
        self.correct(system, &mut processes, &mut events);
        if !forced {
            // Deaths between the last look and the stop, in places that have successors.
            for process in processes.iter().filter(|process| process.life != Life::Dead) {
                self.note_deaths(&mut exits, process, seen_ns, &mut events);
            }
        }
        for process in &processes {
            if system.presence(process.identity()) != Presence::Gone {
                continue;
            }
            let (orderly, otherwise) = match process.place {
                PlaceId::Supervisor => (supervisor_how.is_none(), supervisor_how.unwrap_or_default()),
                PlaceId::Coordinator(_) => (process.life == Life::Stopped, BY_THE_END_WITH_THE_SUPERVISOR),
                PlaceId::Worker(_) => (
                    process.life == Life::Stopped || was_called_off(process, &processes),
                    BY_THE_END_WITH_ITS_COORDINATOR,
                ),
            };
            let how = match (forced, orderly) {
                (true, _) => "killed by the harness".to_owned(),
                (false, true) => "stopped on request".to_owned(),
                (false, false) => words(process, otherwise),
            };
            exits.extend(self.end(&Ending { process, how, expected: forced || orderly }, seen_ns));
        }
        events.extend(exits.into_iter().map(Event::AgentExit));
        events
    }

    /// The deaths in a place that are not in the log yet; the system knows how the last of them was.
    fn note_deaths(
        &mut self,
        exits: &mut Vec<AgentExit>,
        process: &Process,
        seen_ns: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        let place = process.place;
        let Some(id) = self.by_place.get(&place).copied() else { return false };
        let noted = &mut self.noted[id as usize];
        let new = process.deaths.saturating_sub(noted.deaths);
        let Some(death) = process.last_death.as_ref().filter(|_| new > 0 && !noted.ended) else {
            return false;
        };
        noted.ended = process.life == Life::Dead;
        noted.died = Some(Identity { pid: death.pid, start_ticks: death.start_ticks });
        let written = if new > EXITS_PER_LOOK_MAX { 1 } else { new };
        noted.deaths = noted.deaths.saturating_add(written);
        if written < new {
            let text = format!(
                "{place} counts {new} new deaths at once, which is impossible: {} of them are not listed",
                new - written
            );
            events.push(alert(Severity::Critical, text));
        }
        for _ in 1..written {
            exits.extend(self.exit(place, WITH_ITS_SUCCESSOR.to_owned(), seen_ns));
        }
        let last = self.exit(place, death.how.clone(), seen_ns);
        exits.extend(last.map(|exit| AgentExit { pid: death.pid, ..exit }));
        true
    }

    /// The end of a place's last process; `None` if the log has it.
    fn end(&mut self, ending: &Ending<'_>, seen_ns: u64) -> Option<AgentExit> {
        let id = *self.by_place.get(&ending.process.place)?;
        if std::mem::replace(&mut self.noted[id as usize].ended, true) {
            return None;
        }
        let exit = self.exit(ending.process.place, ending.how.clone(), seen_ns)?;
        // In order, a place may have had other processes that came and went between two looks: what is told is the
        // end of the one that the log knows.
        let pid = if ending.expected { exit.pid } else { ending.process.pid };
        Some(AgentExit { pid, expected: ending.expected, ..exit })
    }

    /// The unexpected end of the process that the log has in a place; another one is there, or will be.
    fn exit(&mut self, place: PlaceId, how: String, seen_ns: u64) -> Option<AgentExit> {
        let id = *self.by_place.get(&place)?;
        let (agent, noted) = (&self.agents[id as usize], &mut self.noted[id as usize]);
        let incarnation = agent.incarnation.saturating_add(noted.exits);
        noted.exits = noted.exits.saturating_add(1);
        Some(AgentExit {
            agent: id,
            incarnation,
            name: agent.name.clone(),
            pid: agent.pid,
            how,
            expected: false,
            seen_ns,
        })
    }
}

fn alert(severity: Severity, text: String) -> Event {
    Event::Alert(Alert { severity, text })
}
