//! The first line of a segment, against the segment before it.

use std::sync::Arc;

use super::agents::Census;
use super::bounds::Bounds;
use super::checkpoints::Checkpoints;
use super::commands::Commands;
use super::faults::{self, Faults};
use super::load::Rounds;
use super::stages::Stages;
use super::sweeps::Sweeps;
use super::thresholds::Thresholds;
use super::{Validator, plan, workloads};
use crate::runlog::event::{EndReason, Header};

impl Validator {
    pub(super) fn begin_segment(&mut self, header: &Header) -> Result<(), String> {
        let closed = self.closed.take();
        let ended = self.ended.take().map(|end| end.reason);
        let before = self.header.replace(Arc::new(header.clone()));
        (self.rounds, self.census) = (Rounds::after(&self.rounds, header.format), Census::of_log(header));
        self.bounds = Bounds::of_segment(header);
        plan::check(header)?;
        workloads::check(&header.plan)?;
        faults::check(&header.plan)?;
        let Some(before) = before else {
            return match (header.segment, &header.resumes) {
                (0, None) => Ok(()),
                (segment, _) => Err(format!("segment {segment} comes first, and what it resumes is missing")),
            };
        };
        let Some(closed) = closed else { return Err("a second header".into()) };
        self.resumed = true;
        // A new fleet goes through the phases again, with the same places, and a new sampler counts its sweeps.
        self.sweeps = Sweeps::of_resumed_segment();
        self.faults = Faults::default();
        self.stages = Stages::of_resumed_segment();
        self.thresholds = Thresholds::default();
        (self.began_ns, self.since_ns, self.commands) = (0, 0, Commands::of_resumed_segment());
        (self.phases, self.ledger, self.renewed, self.verify) = (Vec::new(), false, None, None);
        (self.given_again, self.checkpoints) = (0, Checkpoints::default());
        if header.segment != before.segment.saturating_add(1) {
            return Err(format!("segment {} follows segment {}", header.segment, before.segment));
        }
        if !header.resumes.as_ref().is_some_and(|resumes| resumes.is_same_end(&closed)) {
            return Err(format!(
                "segment {} does not resume the end of the one before (run {}, record {}, checksum {}, {})",
                header.segment,
                closed.run,
                closed.seq,
                closed.crc,
                closed.counted_to.map_or("no checkpoint".to_owned(), |seq| format!("checkpoint {seq}")),
            ));
        }
        if let Some(reason) = ended.filter(|reason| match reason {
            EndReason::Interrupted | EndReason::RecordingFailed => false,
            // Of a segment that follows others: what they hold is as good as it was.
            EndReason::LaunchFailed => before.segment == 0,
            EndReason::Completed | EndReason::Aborted | EndReason::FleetLost => true,
        }) {
            return Err(format!("segment {} resumes a run that had ended ({reason:?})", header.segment));
        }
        if differs(&before, header) {
            return Err(format!("segment {} is of another plan than the one before", header.segment));
        }
        Ok(())
    }
}

/// Whether two segments cannot be of the same run: another question, plan or machine.
pub(crate) fn differs(a: &Header, b: &Header) -> bool {
    (&a.run_id, &a.started_utc, &a.scenario, &a.sources, a.seed, &a.plan, &a.criteria)
        != (&b.run_id, &b.started_utc, &b.scenario, &b.sources, b.seed, &b.plan, &b.criteria)
        || a.rehearsal != b.rehearsal
        || a.host.machine != b.host.machine
}
