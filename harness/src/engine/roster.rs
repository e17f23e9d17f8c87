//! Who takes part, as `/proc` showed it, and what became of each.

use coordinator::client::WorkerRef;
use coordinator::client::status::{FleetStatus, ProcessStatus};
use reports::runlog::event::{AgentExit, AgentId, AgentInfo, Role};
use std::collections::BTreeMap;

/// An agent is a place in the fleet; processes may follow each other in it.
#[derive(Debug)]
pub struct Roster {
    /// The harness first, then the fleet in the order of its status; an agent's id is its place. Who
    /// is there is the last that `/proc` confirmed.
    agents: Vec<AgentInfo>,
    by_name: BTreeMap<String, AgentId>,
    noted: Vec<Noted>,
}

/// What the log has of a place.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    /// Deaths, as the fleet counts them.
    deaths: u32,
    /// Nobody comes any more.
    ended: bool,
}

impl Roster {
    pub fn empty() -> Self {
        Self { agents: Vec::new(), by_name: BTreeMap::new(), noted: Vec::new() }
    }

    /// Everyone that the fleet says it has and that `/proc` shows with that start time. An agent that
    /// is not there is an error: nothing it seems to answer would count.
    pub fn seen(status: &FleetStatus) -> Result<Self, String> {
        let own = coordinator::client::Identity::own();
        let mut agents = vec![AgentInfo {
            id: 0,
            role: Role::Harness,
            name: "harness".to_owned(),
            pid: own.pid,
            start_ticks: own.start_ticks,
            incarnation: 1,
        }];
        for (process, id) in status.processes().zip(1..) {
            if !process.identity().is_alive() {
                return Err(format!(
                    "{} (pid {}) is not in /proc right after the launch",
                    process.name, process.pid
                ));
            }
            agents.push(AgentInfo {
                id,
                role: role_of(process),
                name: process.name.clone(),
                pid: process.pid,
                start_ticks: process.start_ticks,
                incarnation: process.incarnation.max(1),
            });
        }
        let by_name = agents.iter().map(|agent| (agent.name.clone(), agent.id)).collect();
        let mut noted = vec![Noted::default()];
        noted.extend(status.processes().map(|process| Noted { deaths: process.deaths, ended: false }));
        Ok(Self { agents, by_name, noted })
    }

    pub fn agents(&self) -> &[AgentInfo] {
        &self.agents
    }

    /// The fleet without the harness.
    pub fn fleet(&self) -> &[AgentInfo] {
        self.agents.get(1..).unwrap_or(&[])
    }

    pub fn id_of(&self, worker: WorkerRef) -> AgentId {
        self.by_name.get(&worker.to_string()).copied().unwrap_or_default()
    }

    /// Those who have ended since the last look although nobody had asked them to, also where somebody
    /// else has their place already.
    pub fn crashed(&mut self, status: &FleetStatus, seen_ns: u64) -> Vec<AgentExit> {
        let mut exits = Vec::new();
        let supervisor_dead = status.supervisor.is_dead();
        if supervisor_dead {
            self.note(&mut exits, &status.supervisor, "gone from /proc".to_owned(), seen_ns);
        }
        for coordinator in &status.coordinators {
            let died = self.note_deaths(&mut exits, &coordinator.process, seen_ns);
            // With the supervisor gone there is nobody left to say how the others ended, and with a
            // coordinator nobody for its workers; but the kernel ends each with its parent.
            let dead = coordinator.process.is_dead() || supervisor_dead;
            if dead {
                let how = words(&coordinator.process, "ended when the supervisor died");
                self.note(&mut exits, &coordinator.process, how, seen_ns);
            }
            for worker in &coordinator.workers {
                let how = words(&worker.process, "ended when its coordinator died");
                let own = self.note_deaths(&mut exits, &worker.process, seen_ns);
                if dead || worker.process.is_dead() {
                    self.note(&mut exits, &worker.process, how, seen_ns);
                } else if died && !own {
                    exits.extend(self.exit(&worker.process.name, how, false, seen_ns));
                }
            }
        }
        exits
    }

    /// Who has come to the places of the dead, as `/proc` shows them; and whether everybody has.
    pub fn replaced(&mut self, status: &FleetStatus) -> (Vec<AgentInfo>, bool) {
        let (mut replaced, mut settled) = (Vec::new(), true);
        for process in status.processes() {
            let Some(id) = self.by_name.get(&process.name) else { continue };
            let agent = &mut self.agents[*id as usize];
            let here = (agent.pid, agent.start_ticks) == (process.pid, process.start_ticks);
            if process.is_dead() || here && process.is_there() {
                continue;
            }
            if here || !process.identity().is_alive() {
                settled = false;
                continue;
            }
            (agent.pid, agent.start_ticks) = (process.pid, process.start_ticks);
            agent.incarnation = process.incarnation.max(1);
            replaced.push(agent.clone());
        }
        (replaced, settled)
    }

    /// Everyone else's end, after the fleet was told to stop. Who ended in order was asked to; who had to
    /// be killed, or went down with one who had, was not. Whoever is still there is not named: that is a
    /// leftover. `supervisor_how` says what the supervisor's end lacked; `forced`: the harness killed them.
    pub fn after_stop(
        &mut self,
        status: &FleetStatus,
        supervisor_how: Option<&str>,
        forced: bool,
        seen_ns: u64,
    ) -> Vec<AgentExit> {
        // Who died between the last look and the stop, and has been replaced.
        let mut exits = if forced { Vec::new() } else { self.crashed_before_stop(status, seen_ns) };
        let mut end = |process: &ProcessStatus, orderly: bool, otherwise: &str| {
            if !process.identity().is_gone() {
                return;
            }
            let how = match (forced, orderly) {
                (true, _) => "killed by the harness".to_owned(),
                (false, true) => "stopped on request".to_owned(),
                (false, false) => words(process, otherwise),
            };
            exits.extend(self.end(process, how, forced || orderly, seen_ns));
        };
        end(&status.supervisor, supervisor_how.is_none(), supervisor_how.unwrap_or_default());
        for coordinator in &status.coordinators {
            end(&coordinator.process, coordinator.process.is_stopped(), "ended with the supervisor");
            for worker in &coordinator.workers {
                end(&worker.process, worker.process.is_stopped(), "ended with its coordinator");
            }
        }
        exits
    }

    fn crashed_before_stop(&mut self, status: &FleetStatus, seen_ns: u64) -> Vec<AgentExit> {
        let mut exits = Vec::new();
        for process in status.processes().filter(|process| !process.is_dead()) {
            self.note_deaths(&mut exits, process, seen_ns);
        }
        exits
    }

    /// The deaths at a place that are not in the log yet; the fleet knows how the last of them was.
    fn note_deaths(&mut self, exits: &mut Vec<AgentExit>, process: &ProcessStatus, seen_ns: u64) -> bool {
        let Some(id) = self.by_name.get(&process.name).copied() else { return false };
        let noted = &mut self.noted[id as usize];
        let new = process.deaths.saturating_sub(noted.deaths);
        let Some(death) = process.last_death.as_ref().filter(|_| new > 0 && !noted.ended) else {
            return false;
        };
        noted.deaths = process.deaths;
        noted.ended = process.is_dead();
        // Of the last that died: the one in the place, or the one before it.
        let last = process.incarnation.saturating_sub(u32::from(!process.is_dead()));
        for earlier in (1..new).rev() {
            let how = "died, and so did its successor".to_owned();
            let incarnation = last.saturating_sub(earlier).max(1);
            let exit = self.exit(&process.name, how, false, seen_ns);
            exits.extend(exit.map(|exit| AgentExit { incarnation, ..exit }));
        }
        exits.push(AgentExit {
            agent: id,
            incarnation: last.max(1),
            name: process.name.clone(),
            pid: death.pid,
            how: death.how.clone(),
            expected: false,
            seen_ns,
        });
        true
    }

    fn note(&mut self, exits: &mut Vec<AgentExit>, process: &ProcessStatus, how: String, seen_ns: u64) {
        exits.extend(self.end(process, how, false, seen_ns));
    }

    fn end(
        &mut self,
        process: &ProcessStatus,
        how: String,
        expected: bool,
        seen_ns: u64,
    ) -> Option<AgentExit> {
        let id = *self.by_name.get(&process.name)?;
        let ended = &mut self.noted[id as usize].ended;
        if std::mem::replace(ended, true) {
            return None;
        }
        Some(AgentExit {
            agent: id,
            incarnation: process.incarnation.max(1),
            name: process.name.clone(),
            pid: process.pid,
            how,
            expected,
            seen_ns,
        })
    }

    /// The end of the process that the log has in that place; another one is there, or will be.
    fn exit(&self, name: &str, how: String, expected: bool, seen_ns: u64) -> Option<AgentExit> {
        let id = *self.by_name.get(name)?;
        let AgentInfo { pid, incarnation, .. } = self.agents[id as usize];
        Some(AgentExit { agent: id, incarnation, name: name.to_owned(), pid, how, expected, seen_ns })
    }
}

fn words(process: &ProcessStatus, otherwise: &str) -> String {
    match &process.ended {
        Some(how) if process.is_dead() => how.clone(),
        _ => otherwise.to_owned(),
    }
}

fn role_of(process: &ProcessStatus) -> Role {
    match process.name.split('/').next() {
        Some("coord") => Role::Coordinator,
        Some("worker") => Role::Worker,
        _ => Role::Supervisor,
    }
}
