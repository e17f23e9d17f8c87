//! What befalls the system that the run has not asked for: by its own word, and by whether it gets on
//! ([`crate::engine::stillness`]).

use super::{Alert, Event, Loader, Seen, Severity};
use crate::engine::incidents::Held;
use crate::system::{Notice, Noticed, PlaceId};
use reports::runlog::event::IncidentKind;

impl Loader<'_> {
    /// What the system has noticed about itself.
    pub(super) fn notice(&mut self) {
        self.hear();
        let (heard, now) = (std::mem::take(&mut self.heard), self.now_ns());
        for event in self.following.notice(&heard, self.tools.ends, now) {
            self.tools.log.record(event);
        }
    }

    /// Writes down what the watch has seen. What the system has noticed of processes that died comes first: a death that follows
    /// from it is judged by it, and an incident ends with its process.
    pub(super) fn note(&mut self, seen: Seen) {
        if seen.events.iter().any(|event| matches!(event, Event::AgentExit(exit) if !exit.expected)) {
            self.hear();
        }
        self.tools.incidents.ended(self.now_ns(), &seen.events);
        self.report(seen);
    }

    /// Takes notices in. When processes have ended is known a little later: who follows that is told with the next sweep.
    fn hear(&mut self) {
        let mut notices = self.system.notices();
        notices.retain(|notice| match self.faults.written().explains(notice) {
            Some(text) => {
                self.tools.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
                false
            }
            None => true,
        });
        if notices.iter().any(|notice| matches!(notice.what, Noticed::Scaled { .. })) {
            self.watch.scaled();
        }
        let watch = &*self.watch;
        // Places that came by scaling are not of the run: what is about them is told of the supervisor.
        let agent = |notice: &Notice| {
            let of = |place| watch.agents().get(watch.id_of(place) as usize).filter(|agent| agent.id != 0);
            of(notice.place).or_else(|| of(PlaceId::Supervisor))
        };
        self.tools.incidents.noticed(self.tools.clock.now_ns(), &notices, agent);
        self.heard.extend(notices);
    }

    /// Which processes get on, and whether an operator holds them.
    pub(super) fn look_for_progress(&mut self) {
        let now = self.now_ns();
        if now < self.stillness.next_ns() {
            return;
        }
        let (system, watch) = (&*self.system, &*self.watch);
        let paused_by = system.paused_by();
        let found = self.stillness.look(now, &system.beats(), paused_by.is_some(), |place, process| {
            system.activity(place, process)
        });
        let agent = |place, pid| {
            watch.agents().get(watch.id_of(place) as usize).filter(|agent| agent.id != 0 && agent.pid == pid)
        };
        let still = found.still.iter();
        let still: Vec<_> = still
            .filter_map(|still| Some((agent(still.place, still.process.pid)?.clone(), still.since_ns)))
            .collect();
        self.tools.incidents.still(now, &still);
        let supervisor = watch.agents().get(watch.id_of(PlaceId::Supervisor) as usize);
        let supervisor = supervisor.filter(|agent| agent.id != 0);
        let held = found.paused_ns.zip(paused_by).zip(supervisor).map(|((since_ns, by), agent)| {
            let how = format!("was paused with its whole fleet by {by}");
            Held { agent: agent.clone(), pid: agent.pid, how, since_ns }
        });
        self.tools.incidents.held(now, IncidentKind::Paused, held.as_slice());
    }
}
