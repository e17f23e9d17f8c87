//! What people are told of while a run goes on: thresholds in the log, and these and deaths by a command.
//!
//! The recorder, which sees every event in the order of the log, shows each to this. What is told is in the log first.

use super::herald::{Herald, Message, Of};
use super::thresholds::{Crashes, Thresholds};
use crate::host;
use crate::scenario::Plan;
use reports::runlog::Record;
use reports::runlog::event::{AgentExit, Alert, Event, Header, Severity, Threshold};
use std::path::{Path, PathBuf};

/// The least time between two looks at how much disk is free.
const DISK_EVERY_NS: u64 = 1_000_000_000;
const DIED: &str = "crash";

#[derive(Debug)]
pub struct Alarms {
    thresholds: Thresholds,
    crashes: Crashes,
    herald: Option<Herald>,
    /// Why there is no herald, until that is told.
    lacks: Option<String>,
    /// Where the run is written.
    dir: PathBuf,
    disk_ns: u64,
}

impl Alarms {
    /// Of a run with this header that is written to `dir`.
    pub fn new(plan: &Plan, header: &Header, dir: &Path) -> Self {
        let alerts = plan.alerts();
        let start = || Herald::start(alerts.command.clone(), alerts.timeout, Of::new(header, dir));
        let (herald, lacks) = match (!alerts.command.is_empty()).then(start).transpose() {
            Ok(herald) => (herald, None),
            Err(error) => (None, Some(format!("the command of the alerts has no thread: {error}"))),
        };
        let thresholds = Thresholds::new(alerts.clone(), plan.load().duration());
        Self { thresholds, crashes: Crashes::default(), herald, lacks, dir: dir.to_owned(), disk_ns: 0 }
    }

    /// A record that was written; `is_death` if it is of one that nothing explains. What is to be written next.
    pub fn hear(&mut self, record: &Record, is_death: bool) -> Vec<Event> {
        let t_ns = record.t_ns;
        let mut crossed = self.thresholds.event(t_ns, &record.event);
        match &record.event {
            Event::Sample(_) if t_ns >= self.disk_ns => {
                self.disk_ns = t_ns.saturating_add(DISK_EVERY_NS);
                let free = host::free_bytes(&self.dir);
                crossed.extend(free.into_iter().flat_map(|free| self.thresholds.disk(t_ns, free)));
            }
            Event::AgentExit(exit) if is_death && self.crashes.died(exit) => self.died(exit),
            Event::AgentReplaced(new) if self.crashes.replaced(new.agent) => {
                self.report(
                    "recovered",
                    new.seen_ns,
                    "each process that had died has a successor".to_owned(),
                );
            }
            _ => {}
        }
        for step in &crossed {
            self.pass_on(step);
        }
        let failure = self.lacks.take().or_else(|| self.herald.as_ref().and_then(Herald::failure));
        let failure = failure.map(|text| Event::Alert(Alert { severity: Severity::Info, text }));
        crossed.into_iter().map(Event::Threshold).chain(failure).collect()
    }

    fn died(&self, exit: &AgentExit) {
        self.report("raised", exit.seen_ns, format!("{} (pid {}) {}", exit.name, exit.pid, exit.how));
    }

    fn report(&self, state: &'static str, since_ns: u64, text: String) {
        let Some(herald) = &self.herald else { return };
        let severity = "critical";
        herald.report(Message { alert: DIED, severity, state, since_ns, value: None, limit: None, text });
    }

    fn pass_on(&self, step: &Threshold) {
        let Some(herald) = &self.herald else { return };
        herald.report(Message {
            alert: step.kind.name(),
            severity: "info",
            state: step.state.name(),
            since_ns: step.since_ns,
            value: Some(step.value),
            limit: Some(step.limit),
            text: step.text.clone(),
        });
    }
}
