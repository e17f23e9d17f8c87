//! A segment that was killed, or whose end has no ledger: it counts up to its last checkpoint.
//!
//! What both ends had counted is known until then. Of what the log has after it, nothing good counts: rounds are
//! carried out again, and no ledger has their answers. What is bad counts: failures, late and second answers, a round slower than all
//! before, and with them all that is not the client's own word (deaths, incidents, alerts, faults, what sweeps saw).

use super::{Facts, Gap, workloads};
use crate::runlog::event::{Checkpoint, Event, Ledger, Phase, PhaseBegan, Record, Round};

/// A segment that counts up to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// From 0.
    pub segment: u32,
    pub at_ns: u64,
    pub checkpoint: Checkpoint,
    /// Rounds that ended later, and do not count.
    pub rounds_after: u64,
    /// Tasks of the load that failed in rounds that do not count. They count as failed, and no round has them.
    pub lost: u64,
}

impl Cut {
    /// Tasks that were on their way at the checkpoint: neither delivered nor lost.
    pub fn in_hand(&self) -> u64 {
        self.checkpoint.open.in_hand()
    }
}

/// A segment whose last checkpoint has come.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) at_ns: u64,
    checkpoint: Checkpoint,
    rounds: u64,
    /// Of these rounds.
    failed: u64,
    /// Failed tasks of any round, as they are listed.
    listed: u64,
    /// The load began in it.
    has_begun: bool,
}

impl Facts {
    /// The segment that begins counts up to the checkpoint at this position; to its end if there is none. To be called after its
    /// header was pushed.
    pub(crate) fn count_to(&mut self, seq: Option<u64>) {
        self.counted_to = seq;
    }

    /// Until when the log counts so far.
    pub(super) fn judged_ns(&self) -> u64 {
        self.tail.as_ref().map_or(self.last_ns, |tail| tail.at_ns)
    }

    /// Whether the newest record came after the last checkpoint of its segment, which counts up to that.
    pub fn is_past_checkpoint(&self) -> bool {
        self.tail.is_some()
    }

    /// Tasks on their way at the last checkpoint, if the newest segment counts up to that.
    pub fn in_hand_now(&self) -> Option<u64> {
        self.tail.as_ref().map(|tail| tail.checkpoint.open.in_hand())
    }

    /// Tasks that were on their way when segments were cut off.
    pub fn in_hand(&self) -> u64 {
        self.cuts.iter().map(Cut::in_hand).fold(0, u64::saturating_add)
    }

    /// Tasks that failed in rounds that do not count.
    pub fn lost_tasks(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.lost).fold(0, u64::saturating_add)
    }

    pub(super) fn check_point(&mut self, record: &Record, checkpoint: &Checkpoint) {
        if self.counted_to == Some(record.seq) {
            self.tail = Some(Tail {
                at_ns: record.t_ns,
                checkpoint: checkpoint.clone(),
                rounds: 0,
                failed: 0,
                listed: 0,
                has_begun: false,
            });
        }
    }

    /// Takes a record after the last checkpoint; false if it is taken as any other.
    pub(super) fn take_after(&mut self, record: &Record) -> bool {
        let Some(tail) = &mut self.tail else { return false };
        if let Event::Round(round) = &record.event {
            tail.rounds += 1;
            if round.phase == Phase::Load {
                tail.failed += u64::from(round.failed);
            }
            let load_ns = self.spans.last_load_time(tail.at_ns);
            self.faults.count(round);
            self.take_bad(round, load_ns);
            self.divide(record, false);
            return true;
        }
        if let Event::TaskFailed(failed) = &record.event {
            tail.listed += 1;
            self.task_failures.push(failed.clone());
            return true;
        }
        // It holds what rounds did that do not count.
        if matches!(record.event, Event::Workers(_)) {
            return tail.rounds > 0;
        }
        // A load that began now has done nothing that counts. What it has failed to do does.
        if let Event::Phase(PhaseBegan { phase: phase @ Phase::Load }) = &record.event {
            (tail.has_begun, tail.listed) = (true, 0);
            self.segment_has_load = true;
            self.phases.push((*phase, record.t_ns));
            return true;
        }
        matches!(record.event, Event::Latency(_) | Event::WorkloadLatency(_))
    }

    /// Takes what is bad of a round that does not count, but for how many of its tasks failed. `load_ns`: the last time of the load
    /// that counts.
    pub(super) fn take_bad(&mut self, round: &Round, load_ns: u64) {
        self.strays.round(round);
        self.load.take_bad(round, load_ns);
        workloads::take_bad(&mut self.workloads, round, load_ns);
    }

    /// A segment that was killed before its first checkpoint has none. One that has done nothing needs none.
    pub fn lacks_a_ledger(&self) -> bool {
        self.ledgers.saturating_add(self.idle_segments) < self.segments
    }

    pub(super) fn end_load(&mut self, t_ns: u64) {
        let counted_ns = self.tail.as_ref().map_or(t_ns, |tail| tail.at_ns.min(t_ns));
        if self.spans.end(counted_ns) {
            self.tail_ns += t_ns - counted_ns;
            self.samples.end_load(counted_ns);
        }
    }

    /// Takes the counts of both ends after the drain.
    pub(super) fn drained(&mut self, ledger: &Ledger) {
        self.ledgers += 1;
        add(&mut self.ledger, ledger);
        add(&mut self.drained, ledger);
    }

    /// Another segment begins: what was under way ended with the last record of the one before.
    pub(super) fn resume(&mut self, t_ns: u64) {
        let from_ns = self.judged_ns();
        self.end_load(self.last_ns);
        self.idle_segments += u32::from(!self.segment_has_tasks);
        let in_hand = self.in_hand_now();
        if let Some(tail) = self.tail.take() {
            self.cut_off(tail);
        }
        (self.counted_to, self.segment_has_tasks, self.segment_has_load) = (None, false, false);
        self.gaps.push(Gap { from_ns, to_ns: t_ns, in_hand });
        (self.segments, self.end) = (self.segments + 1, None);
        self.crossed.clear();
        self.own.resume(self.spans.length_ns(self.last_ns));
        self.work.resume();
        self.balance.resume(t_ns);
        self.contention.resume();
        self.faults.resume(t_ns);
        self.mixed.resume();
    }

    /// Ends the segment at its last checkpoint, whose ledger counts, and takes the tasks that failed in rounds that do not.
    fn cut_off(&mut self, tail: Tail) {
        let Tail { at_ns, checkpoint, rounds, failed, listed, has_begun } = tail;
        // A round that was on its way at the checkpoint and ended later has the failures before it, too; unless it is of the warm-up.
        let before = if has_begun { 0 } else { checkpoint.open.failed };
        let lost = if self.segment_has_load { failed.max(before.saturating_add(listed)) } else { 0 };
        self.load.lose(lost, at_ns, self.spans.last_load_time(at_ns));
        add(&mut self.ledger, &checkpoint.ledger);
        self.ledgers += 1;
        let segment = self.segments - 1;
        self.cuts.push(Cut { segment, at_ns, checkpoint, rounds_after: rounds, lost });
    }
}

fn add(sum: &mut Option<Ledger>, ledger: &Ledger) {
    match sum {
        Some(before) => before.add(ledger),
        None => *sum = Some(ledger.clone()),
    }
}

/// Whether a record holds a task, says what became of one, or says that tasks begin: those of a segment that is killed in its first
/// round are in no other record.
pub(super) fn is_of_tasks(event: &Event) -> bool {
    matches!(
        event,
        Event::Round(_)
            | Event::TaskFailed(_)
            | Event::Latency(_)
            | Event::WorkloadLatency(_)
            | Event::Checkpoint(_)
            | Event::Ledger(_)
            | Event::Phase(PhaseBegan { phase: Phase::WarmUp | Phase::Load })
    )
}
