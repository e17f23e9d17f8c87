//! Looks whether the system gets on: see [`crate::engine::stillness`].

use super::Loader;
use crate::engine::incidents::Held;
use crate::system::PlaceId;
use reports::runlog::event::IncidentKind;

impl Loader<'_> {
    /// Which processes get on, and whether an operator holds them.
    pub(super) fn look_for_progress(&mut self) {
        let now = self.now_ns();
        if now < self.stillness.next_ns() {
            return;
        }
        let (system, watch) = (&*self.system, &*self.watch);
        let paused_by = system.paused_by();
        let found = self
            .stillness
            .look(now, &system.beats(), paused_by.is_some(), |process| system.activity(process));
        let agent = |place, pid| {
            watch.agents().get(watch.id_of(place) as usize).filter(|agent| agent.id != 0 && agent.pid == pid)
        };
        let still = found.still.iter();
        let still: Vec<_> = still
            .filter_map(|still| Some((agent(still.place, still.process.pid)?.clone(), still.since_ns)))
            .collect();
        self.tools.incidents.still(now, &still);
        let supervisor = watch.agents().get(watch.id_of(PlaceId::Supervisor) as usize);
        let held = found.paused_ns.zip(paused_by).zip(supervisor).map(|((since_ns, by), agent)| {
            let how = format!("was paused with its whole fleet by {by}");
            Held { agent: agent.clone(), pid: agent.pid, how, since_ns }
        });
        self.tools.incidents.held(now, IncidentKind::Paused, held.as_slice());
    }
}
