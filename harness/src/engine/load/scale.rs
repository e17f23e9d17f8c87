//! Another number of workers, as the scenario asks for it: the order, and when the fleet has followed it.

use super::{LOOK, Loader, Recipients};
use crate::system::{Life, Order};
use reports::runlog::event::{Alert, Event, Scaled, Severity};

/// The fleet's size, where it changes.
#[derive(Debug)]
pub(super) struct Size {
    /// Workers of the whole fleet, as they are wanted.
    wanted: u32,
    /// The newest order, until the fleet has followed it.
    open: Option<Scaled>,
    /// When to look again who is there.
    look_ns: u64,
}

impl Size {
    /// Of a fleet that begins with so many workers.
    pub fn new(wanted: u32) -> Self {
        Self { wanted, open: None, look_ns: 0 }
    }
}

impl Loader<'_> {
    /// Orders so many workers under each coordinator.
    pub(super) fn scale(&mut self, stage: usize, workers: u32) {
        let plan = self.tools.plan;
        let coordinators = plan.shape().coordinators();
        let to = workers * coordinators;
        let Some(size) = &mut self.size else { return };
        let from = std::mem::replace(&mut size.wanted, to);
        let name = plan.stages().get(stage).map_or_else(String::new, |stage| stage.name().to_owned());
        // Before the order: what follows from it comes after it.
        let ordered_ns = self.tools.clock.now_ns();
        let scaled =
            Scaled { stage: name, from, to, processes: 1 + coordinators + to, ordered_ns, reached_ns: None };
        self.tools.log.record(Event::Scaled(scaled.clone()));
        (size.open, size.look_ns) = (Some(scaled), 0);
        if let Err(error) = self.system.order(Order::Scale { coordinators: None, workers: Some(workers) }) {
            let text = format!("the fleet cannot be scaled from {from} to {to} workers: {error}");
            // The stage is missed, and judged by that.
            self.tools.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
    }

    /// Before a round starts: it goes to those who serve then.
    pub(super) fn look_who_serves(&mut self) {
        if let Some(size) = &mut self.size {
            size.look_ns = 0;
        }
        self.follow_size();
    }

    /// Looks now and then who serves, while that changes.
    pub(super) fn follow_size(&mut self) {
        let now = self.now_ns();
        let is_open = |size: &&mut Size| size.open.is_some() && now >= size.look_ns;
        let Some(size) = self.size.as_mut().filter(is_open) else { return };
        size.look_ns = now + LOOK.as_nanos() as u64;
        let seen = self.watch.look(self.system, now);
        self.report(seen);
        let serving = self.system.serving();
        let known = serving.iter().all(|place| self.watch.is_there(*place));
        let (count, retired) = (
            serving.len(),
            !self.system.processes().iter().any(|process| process.retiring && process.life == Life::Live),
        );
        let Some(size) = &mut self.size else { return };
        if let Some(open) = size.open.take_if(|_| known && retired && count as u64 == u64::from(size.wanted))
        {
            self.tools
                .log
                .record(Event::Scaled(Scaled { reached_ns: Some(self.tools.clock.now_ns()), ..open }));
        }
        if let Recipients::Each(_) = self.to
            && !serving.is_empty()
        {
            self.to = Recipients::Each(serving.into());
        }
    }
}
