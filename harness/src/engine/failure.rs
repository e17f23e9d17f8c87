//! Writes task failures into the log, up to a bound; what is beyond it is counted.

use super::recorder::Handle;
use reports::runlog::event::{Event, TASK_FAILURES_MAX, TaskFailed};

#[derive(Debug)]
pub struct Failures {
    seen: u64,
}

impl Failures {
    pub fn new() -> Self {
        Self { seen: 0 }
    }

    pub fn record(&mut self, log: &Handle, failed: TaskFailed) {
        self.seen += 1;
        if self.seen <= TASK_FAILURES_MAX {
            log.record(Event::TaskFailed(failed));
        }
    }

    pub fn unwritten(&self) -> u64 {
        self.seen.saturating_sub(TASK_FAILURES_MAX)
    }
}
