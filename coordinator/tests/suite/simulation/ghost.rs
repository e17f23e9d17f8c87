//! What the test knows and no process does: which task has come to what, and who began which lease.

use coordinator::wire::{AnswerHeader, TaskHeader, attempt_of, epoch_of};
use std::collections::{BTreeMap, HashSet};

#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    outcomes: u32,
    well: bool,
    /// As its coordinator has counted it.
    counted_well: Option<bool>,
    revived: u32,
    revived_ends: u32,
    /// Had ended when a backup was made from which the fleet was restored.
    over: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Ghost {
    fates: BTreeMap<u64, Fate>,
    /// Task, life (when it was sent or revived), coordinator, lease.
    begun: HashSet<(u64, u64, usize, u32)>,
    begun_in_life: BTreeMap<(u64, u64), u32>,
    /// An answer that is no failure was published by its worker.
    answered: HashSet<(u64, u64)>,
    revivals: BTreeMap<usize, u64>,
    /// The lease that an entry has now.
    leases: BTreeMap<(usize, usize), u32>,
    /// What has happened, how often: a storm that meets nothing proves nothing.
    pub sights: BTreeMap<&'static str, u64>,
}

impl Ghost {
    pub fn after_restore(before: Self, ended: &[u64]) -> Self {
        // Its numbers are used up, whatever has become of them.
        let mut fates: BTreeMap<u64, Fate> =
            before.fates.keys().map(|sequence| (*sequence, Fate::default())).collect();
        for sequence in ended {
            fates.insert(*sequence, Fate { over: true, ..Fate::default() });
        }
        Self { fates, sights: before.sights, ..Self::default() }
    }

    pub fn saw(&mut self, what: &'static str) {
        *self.sights.entry(what).or_default() += 1;
    }

    fn fate(&mut self, sequence: u64) -> &mut Fate {
        self.fates.entry(sequence).or_default()
    }

    pub fn knows(&self, sequence: u64) -> bool {
        self.fates.contains_key(&sequence)
    }

    pub fn accepted(&mut self, sequence: u64) {
        self.fate(sequence);
    }

    /// How often any worker has begun anything.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    pub fn revived(&mut self, coord: usize, sequence: u64) {
        self.fate(sequence).revived += 1;
        *self.revivals.entry(coord).or_default() += 1;
    }

    /// Letters that became tasks at `coord`.
    pub fn revivals(&self, coord: usize) -> u64 {
        self.revivals.get(&coord).copied().unwrap_or_default()
    }

    pub fn answered_well(&self, sequence: u64) -> bool {
        self.fates.get(&sequence).is_some_and(|fate| fate.outcomes > 0 && fate.well)
    }

    pub fn ended(&self) -> impl Iterator<Item = u64> {
        self.fates.iter().filter(|(_, fate)| fate.outcomes > 0 || fate.over).map(|(sequence, _)| *sequence)
    }

    pub fn leased(&mut self, coord: usize, entry: usize, lease: u32) {
        self.leases.insert((coord, entry), lease);
    }

    /// A worker begins a task: never twice under one number, never too often, and never what had ended.
    pub fn begins(&mut self, coord: usize, task: &TaskHeader, attempts_max: u8) -> Option<String> {
        let sequence = task.id.sequence;
        let (epoch, attempt) = (epoch_of(task.lease), attempt_of(task.lease));
        if !self.begun.insert((sequence, task.sent_ns, coord, task.lease)) {
            return Some(format!(
                "task {sequence} is begun twice at {coord} as attempt {attempt} of epoch {epoch}"
            ));
        }
        let begun = self.begun_in_life.entry((sequence, task.sent_ns)).or_default();
        *begun += 1;
        let most = task.attempts(attempts_max);
        if *begun > attempts_max.into() || attempt > most {
            return Some(format!(
                "task {sequence} is begun {begun} times of {attempts_max}, as attempt {attempt} of {most}"
            ));
        }
        if self.answered.contains(&(sequence, task.sent_ns)) {
            return Some(format!("task {sequence} is begun once more, and its answer had been published"));
        }
        let fate = self.fate(sequence);
        (fate.over && fate.revived == 0)
            .then(|| format!("task {sequence} had ended before the backup, and is begun once more"))
    }

    /// A worker publishes an answer that is no failure.
    pub fn published(&mut self, task: &TaskHeader) {
        self.answered.insert((task.id.sequence, task.sent_ns));
    }

    /// Why `answer` must not count for what the entry holds now.
    pub fn not_the_lease(
        &self,
        coord: usize,
        entry: usize,
        answer: &AnswerHeader,
        task: &TaskHeader,
    ) -> Option<String> {
        let sequence = task.id.sequence;
        let now = self.leases.get(&(coord, entry)).copied();
        if now != Some(answer.lease) {
            return Some(format!(
                "task {sequence}: an answer of attempt {} in epoch {} counts, and the lease is another one",
                attempt_of(answer.lease),
                epoch_of(answer.lease)
            ));
        }
        (answer.started_ns < task.sent_ns)
            .then(|| format!("task {sequence}: an answer counts that was begun in a former life of it"))
    }

    /// A coordinator takes a task to its last state.
    pub fn counted(&mut self, sequence: u64, well: bool) {
        self.fate(sequence).counted_well = Some(well);
    }

    /// The client has heard how a task ended: as its coordinator has counted it.
    pub fn agree(&mut self, sequence: u64, well: bool) -> Option<String> {
        let counted = self.fate(sequence).counted_well;
        (counted != Some(well)).then(|| {
            format!("task {sequence} ended well at the client: {well}; at its coordinator: {counted:?}")
        })
    }

    /// The client counts an outcome.
    pub fn ends(&mut self, sequence: u64, well: bool) -> Option<String> {
        let fate = self.fate(sequence);
        fate.outcomes += 1;
        fate.well = well;
        let outcomes = fate.outcomes;
        (outcomes > 1).then(|| format!("task {sequence} counts {outcomes} times"))
    }

    /// The client hears of a task that was a dead letter.
    pub fn revived_ends(&mut self, sequence: u64) -> Option<String> {
        let fate = self.fate(sequence);
        fate.revived_ends += 1;
        let (ends, revived) = (fate.revived_ends, fate.revived);
        (ends > revived)
            .then(|| format!("task {sequence} was revived {revived} times, and ended {ends} times since"))
    }
}
