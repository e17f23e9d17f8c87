//! Places of workers that are replaced in order (`recycle_after`), and so may be empty for a moment when a sweep comes.
//!
//! A worker may live for less time than a sweep takes. Where the log shows that another process was seen alive in a place after the sweep had
//! begun, the place was not empty for longer than that, although the sweep has no figures of it. Deliberately absent: places whose process has died. Those are
//! judged by the death, and by what a fault explains.

use std::collections::{BTreeMap, BTreeSet};

use crate::runlog::event::{AgentExit, AgentId, AgentReplaced, Sample};

#[derive(Debug, Clone, Default)]
pub(super) struct Turnover {
    /// Whose process has an end in the log, and no successor yet.
    ended: BTreeSet<AgentId>,
    /// When the newest process of a place was seen that has followed another in order.
    followed: BTreeMap<AgentId, u64>,
}

impl Turnover {
    pub(super) fn exit(&mut self, exit: &AgentExit) {
        self.ended.insert(exit.agent);
        self.followed.remove(&exit.agent);
    }

    pub(super) fn replaced(&mut self, new: &AgentReplaced) {
        if !self.ended.remove(&new.agent) {
            self.followed.insert(new.agent, new.seen_ns);
        }
    }

    /// How many places without a row had another process while the sweep went on. What stands in the log before the sweep is
    /// known.
    pub(super) fn during(&self, sample: &Sample) -> u32 {
        let seen = self.followed.iter().filter(|(_, seen_ns)| **seen_ns >= sample.started_ns);
        let followed: BTreeSet<AgentId> = seen.map(|(agent, _)| *agent).collect();
        if followed.is_empty() {
            return 0;
        }
        let rows: BTreeSet<AgentId> = sample.agents.iter().map(|row| row.agent).collect();
        u32::try_from(followed.difference(&rows).count()).unwrap_or(u32::MAX)
    }
}
