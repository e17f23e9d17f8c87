//! The end of the load: what is in flight is waited for.

use super::{LOOK, LoadEnded, Loader};
use crate::engine::schedule::Step;
use crate::engine::stop::{Stop, StopMode};
use reports::runlog::event::{Alert, Event, Severity};

impl Loader<'_> {
    /// Waits for what is in flight; every task has a time-out, so this ends. A run that was interrupted waits no longer than its
    /// patience: rounds that are cut off are in no record.
    pub(super) fn drain(&mut self, stop: &Stop, ended: LoadEnded) -> LoadEnded {
        while !self.in_flight.is_empty() || !self.faults.is_done() {
            if let Some(why) = self.take_in() {
                return LoadEnded::SystemLost(why);
            }
            self.check_point_if_due();
            if stop.mode() == StopMode::Kill {
                return LoadEnded::Stopped;
            }
            if stop.is_out_of_patience() {
                self.cut_off();
                break;
            }
            match self.calendar.step(self.now_ns(), self.in_flight.len()) {
                Step::Due(due) => self.act(due),
                Step::SleepUntil(at_ns) if !self.in_flight.is_empty() || !self.faults.is_done() => {
                    let at_ns = at_ns.min(self.faults.next_ns()).min(self.watch.next_ns());
                    self.system.wait(self.tools.clock.until(at_ns).min(LOOK));
                }
                Step::SleepUntil(_) => {}
            }
        }
        // A death between the last answer and now is still a death.
        let seen = self.watch.look(self.system, self.now_ns());
        self.note(seen);
        self.notice();
        ended
    }

    fn cut_off(&mut self) {
        // What is cut off is in no ledger: the run counts up to here.
        self.check_point();
        let rounds = self.in_flight.len();
        self.in_flight.clear();
        if rounds > 0 {
            self.is_cut = true;
            let text = format!(
                "rounds that were in flight when the run was interrupted, and are not counted: {rounds}"
            );
            // The run is INCONCLUSIVE by its end, and one that goes on starts these rounds again.
            self.tools.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
    }
}
