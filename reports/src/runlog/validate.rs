//! Whether the records of a log make sense together.
//!
//! A checksum says that a line is what was written; this says that what was written can be true. A
//! pure step function; its memory grows with the number of agents and with nothing else.

use std::collections::HashSet;

use super::event::{AgentId, EndReason, Event, Header, Phase, Record, Resumes};

/// A record that contradicts those before it, or itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {what}")]
pub struct Contradiction {
    pub seq: u64,
    pub what: String,
}

/// Feed it every record in order, and the end of every segment; it stays usable after an error.
#[derive(Debug, Default)]
pub struct Validator {
    records: u64,
    header: Option<Box<Header>>,
    /// The last line of the segment before, between two segments.
    closed: Option<Resumes>,
    t_ns: u64,
    phase: Option<Phase>,
    agents: HashSet<AgentId>,
    next_sweep: u64,
    ended: Option<EndReason>,
}

impl Validator {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn step(&mut self, record: &Record) -> Result<(), Contradiction> {
        let first = self.records == 0;
        self.records += 1;
        let verdict = self.check(record, first);
        self.t_ns = self.t_ns.max(record.t_ns);
        verdict.map_err(|what| Contradiction { seq: record.seq, what })
    }

    /// The last record was the end of a complete log.
    pub fn is_complete(&self) -> bool {
        self.ended.is_some()
    }

    /// The log of a segment has no more records, and the run has another segment. `lines` are its good lines,
    /// and `crc` is the checksum of the last of them.
    pub fn end_segment(&mut self, lines: u64, crc: String) {
        let run = self.header.as_ref().map(|header| header.run_id.clone()).unwrap_or_default();
        self.closed = Some(Resumes { run, seq: lines.saturating_sub(1), crc });
    }

    fn check(&mut self, record: &Record, first: bool) -> Result<(), String> {
        if self.ended.is_some() && self.closed.is_none() {
            return Err("a record after the end".into());
        }
        let due = first || self.closed.is_some();
        if due && !matches!(record.event, Event::Header(_)) {
            return Err("the first record is not the header".into());
        }
        if record.t_ns < self.t_ns {
            return Err(format!("time runs backwards: {} ns after {} ns", record.t_ns, self.t_ns));
        }
        match &record.event {
            Event::Header(header) => self.begin_segment(header)?,
            Event::Phase(began) => {
                if self.phase >= Some(began.phase) {
                    return Err(format!("phase {:?} after {:?}", began.phase, self.phase));
                }
                self.phase = Some(began.phase);
            }
            Event::Agents(event) => {
                for agent in &event.agents {
                    if !self.agents.insert(agent.id) {
                        return Err(format!("agent {} is introduced twice", agent.id));
                    }
                }
            }
            Event::AgentExit(exit) => self.knows(exit.agent)?,
            Event::AgentReplaced(replaced) => self.knows(replaced.agent)?,
            Event::Round(r) => {
                if u64::from(r.tasks) != u64::from(r.answered) + u64::from(r.failed) {
                    return Err(format!(
                        "round {}: {} tasks, but {} answered and {} failed",
                        r.round, r.tasks, r.answered, r.failed
                    ));
                }
                if r.finished_ns < r.started_ns || r.finished_ns < r.scheduled_ns {
                    return Err(format!("round {} was over before it began", r.round));
                }
                if !matches!(r.phase, Phase::WarmUp | Phase::Load) {
                    return Err(format!("round {} in phase {:?}", r.round, r.phase));
                }
                if r.corrupt > r.failed {
                    return Err(format!("round {}: more corrupt answers than failed tasks", r.round));
                }
            }
            Event::TaskFailed(failed) => self.knows(failed.worker)?,
            Event::Sample(sample) => {
                self.sweep(sample.sweep)?;
                for agent in &sample.agents {
                    self.knows(agent.agent)?;
                }
            }
            Event::SampleMissed(missed) => self.sweep(missed.sweep)?,
            Event::End(end) => self.ended = Some(end.reason),
            Event::Latency(_) | Event::Alert(_) | Event::Clock(_) | Event::Ledger(_) | Event::Verify(_) => {}
        }
        Ok(())
    }

    fn begin_segment(&mut self, header: &Header) -> Result<(), String> {
        let closed = self.closed.take();
        let ended = self.ended.take();
        let before = self.header.replace(Box::new(header.clone()));
        let Some(before) = before else {
            return match (header.segment, &header.resumes) {
                (0, None) => Ok(()),
                (segment, _) => Err(format!("segment {segment} comes first, and what it resumes is missing")),
            };
        };
        let Some(closed) = closed else { return Err("a second header".into()) };
        // A new fleet goes through the phases again, with the same places, and a new sampler counts its sweeps.
        (self.phase, self.next_sweep) = (None, 0);
        self.agents.clear();
        if header.segment != before.segment.saturating_add(1) {
            return Err(format!("segment {} follows segment {}", header.segment, before.segment));
        }
        if header.resumes.as_ref() != Some(&closed) {
            return Err(format!(
                "segment {} does not resume the end of the one before (run {}, record {}, checksum {})",
                header.segment, closed.run, closed.seq, closed.crc
            ));
        }
        if let Some(reason) =
            ended.filter(|r| !matches!(r, EndReason::Interrupted | EndReason::RecordingFailed))
        {
            return Err(format!("segment {} resumes a run that had ended ({reason:?})", header.segment));
        }
        if differs(&before, header) {
            return Err(format!("segment {} is of another plan than the one before", header.segment));
        }
        Ok(())
    }

    /// Number 0 is the harness, which no event introduces.
    fn knows(&self, agent: AgentId) -> Result<(), String> {
        if agent == 0 || self.agents.contains(&agent) {
            Ok(())
        } else {
            Err(format!("agent {agent} was never introduced"))
        }
    }

    fn sweep(&mut self, sweep: u64) -> Result<(), String> {
        if sweep < self.next_sweep {
            return Err(format!("sweep {sweep} is counted twice"));
        }
        self.next_sweep = sweep + 1;
        Ok(())
    }
}

/// Whether two segments cannot be of the same run: another question, plan or machine.
fn differs(a: &Header, b: &Header) -> bool {
    (&a.run_id, &a.started_utc, &a.scenario, a.seed, &a.plan, &a.criteria)
        != (&b.run_id, &b.started_utc, &b.scenario, b.seed, &b.plan, &b.criteria)
        || a.rehearsal != b.rehearsal
        || a.host.machine != b.host.machine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::event::{Alert, PhaseBegan, SampleMissed, Severity};

    /// The first contradiction after a header that is taken for granted.
    fn first(events: Vec<(u64, Event)>) -> Option<String> {
        let mut validator = Validator { records: 1, ..Validator::new() };
        (1..)
            .zip(events)
            .find_map(|(seq, (t_ns, event))| validator.step(&Record { seq, t_ns, event }).err())
            .map(|c| c.to_string())
    }

    fn phase(phase: Phase) -> Event {
        Event::Phase(PhaseBegan { phase })
    }

    fn missed(sweep: u64) -> Event {
        Event::SampleMissed(SampleMissed { sweep, due_ns: 0, reason: String::new() })
    }

    #[test]
    fn phases_come_in_order_and_once() {
        assert_eq!(first(vec![(0, phase(Phase::Launch)), (1, phase(Phase::Load))]), None);
        for bad in [Phase::Load, Phase::WarmUp] {
            let found = first(vec![(0, phase(Phase::Load)), (1, phase(bad))]).unwrap();
            assert!(found.starts_with("record 2: phase"), "{found}");
        }
    }

    #[test]
    fn time_and_sweeps_do_not_run_backwards() {
        assert!(first(vec![(5, missed(0)), (4, missed(1))]).unwrap().contains("backwards"));
        assert!(first(vec![(0, missed(3)), (1, missed(3))]).unwrap().contains("counted twice"));
    }

    #[test]
    fn the_first_record_is_the_header_and_no_other() {
        let alert = || Event::Alert(Alert { severity: Severity::Info, text: String::new() });
        let mut validator = Validator::new();
        assert!(validator.step(&Record { seq: 0, t_ns: 0, event: alert() }).is_err());
        assert_eq!(first(vec![(0, alert())]), None);
    }
}
