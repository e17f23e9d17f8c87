//! What both ends of a fleet have counted.

use serde::{Deserialize, Serialize};

/// `accepted = answered + failed + in_flight`, at each end. A difference between the ends is a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub client: LedgerRow,
    /// What the client asked of each coordinator, and what that coordinator says of itself.
    pub coordinators: Vec<CoordinatorLedger>,
    /// Tasks of rounds that the bus did not accept, since their worker's coordinator was dead: failed,
    /// and in no coordinator's ledger.
    #[serde(default)]
    pub refused: u64,
    /// Answers that the bus delivered and the harness did not take for right (other content, a command
    /// that failed): answered in the ledgers of both ends, failed in the rounds.
    #[serde(default)]
    pub rejected: u64,
    /// Whose counts the system stands for; logs of 1.x are of fleets, which stand for all.
    #[serde(default)]
    pub evidence: LedgerEvidence,
    /// How the workers were used. Absent before 2.1, and of a system that does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// How messages went together. Absent before 2.5, and of a system that does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<Batches>,
}

/// Messages between the client and its coordinators, in both directions, from the launch on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// As the client has published them.
    pub tasks: Batch,
    /// As the coordinators have.
    pub answers: Batch,
}

/// Messages, and how many times some of them were published: those of one time went together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub messages: u64,
    pub batches: u64,
}

impl Batches {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { tasks: self.tasks.plus(other.tasks), answers: self.answers.plus(other.answers) }
    }
}

impl Batch {
    /// No sum is larger than the largest number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            batches: self.batches.saturating_add(other.batches),
        }
    }

    /// Messages of a batch, on the average; nothing without any.
    pub fn mean(self) -> Option<f64> {
        (self.batches > 0).then(|| self.messages as f64 / self.batches as f64)
    }
}

/// What the coordinators have counted of their workers, added up, from their start on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Attempts at tasks that found their worker there.
    pub hits: u64,
    /// Those for which one had to be started.
    pub misses: u64,
    /// Workers replaced because they had done enough tasks or had grown.
    pub recycled: u64,
    /// Workers replaced because their state could not be reset.
    pub poisoned: u64,
    /// Attempts that failed and were followed by another one.
    pub retried: u64,
}

impl Pool {
    /// No sum is larger than the largest number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits.saturating_add(other.hits),
            misses: self.misses.saturating_add(other.misses),
            recycled: self.recycled.saturating_add(other.recycled),
            poisoned: self.poisoned.saturating_add(other.poisoned),
            retried: self.retried.saturating_add(other.retried),
        }
    }

    pub fn attempts(self) -> u64 {
        self.hits.saturating_add(self.misses)
    }
}

/// Which ledgers a system can show; each one includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerEvidence {
    /// Only what the harness's own end has counted.
    Client,
    /// What the coordinators have counted, too.
    Coordinators,
    /// What the workers say they have executed, too.
    #[default]
    Workers,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorLedger {
    pub name: String,
    pub client: LedgerRow,
    /// Absent if its region could not be read any more.
    pub coordinator: Option<LedgerRow>,
    /// Tasks its workers say they have executed.
    pub executed_by_workers: Option<u64>,
}

impl Ledger {
    /// Every task was answered once, by a worker that was there from its begin to its end.
    pub fn is_undisturbed(&self) -> bool {
        let LedgerRow { accepted, answered, failed, in_flight, late, duplicates } = self.client;
        let renewed = self.pool.map_or(0, |pool| pool.recycled.max(pool.poisoned));
        accepted == answered && [failed, in_flight, late, duplicates, renewed, self.refused] == [0; 6]
    }

    /// Takes the counts of another segment of the same run.
    pub fn add(&mut self, other: &Self) {
        self.client = self.client.plus(other.client);
        self.refused = self.refused.saturating_add(other.refused);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.pool = self.pool.zip(other.pool).map(|(a, b)| a.plus(b));
        self.batches = self.batches.zip(other.batches).map(|(a, b)| a.plus(b));
        for theirs in &other.coordinators {
            match self.coordinators.iter_mut().find(|own| own.name == theirs.name) {
                Some(own) => {
                    own.client = own.client.plus(theirs.client);
                    own.coordinator = own.coordinator.zip(theirs.coordinator).map(|(a, b)| a.plus(b));
                    let executed = own.executed_by_workers.zip(theirs.executed_by_workers);
                    own.executed_by_workers = executed.map(|(a, b)| a.saturating_add(b));
                }
                None => self.coordinators.push(theirs.clone()),
            }
        }
    }
}

impl LedgerRow {
    /// No sum is larger than the largest number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted.saturating_add(other.accepted),
            answered: self.answered.saturating_add(other.answered),
            failed: self.failed.saturating_add(other.failed),
            in_flight: self.in_flight.saturating_add(other.in_flight),
            late: self.late.saturating_add(other.late),
            duplicates: self.duplicates.saturating_add(other.duplicates),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    pub accepted: u64,
    pub answered: u64,
    pub failed: u64,
    pub in_flight: u64,
    pub late: u64,
    pub duplicates: u64,
}
