//! What a single process of a role has: the one in the middle, and the worst. A sum over unlike processes hides both.

use std::collections::BTreeMap;

use super::figure::{Figure, bytes};
use super::series::Series;
use crate::runlog::event::{AgentId, AgentSample, Role, Sample};

/// Over the whole run, for plots.
#[derive(Debug, Clone)]
pub struct Typical {
    pub median: Series,
    pub worst: Series,
}

/// Of each role, for the figures that a process has for itself.
#[derive(Debug, Clone)]
pub(super) struct Typicals {
    of: BTreeMap<(Figure, Role), Typical>,
    bin_ns: u64,
}

type Read = fn(&AgentSample) -> Option<f64>;

const READ: [(Figure, Read); 3] = [
    (Figure::Pss, |s| s.pss_kib.map(bytes)),
    (Figure::Rss, |s| Some(bytes(s.rss_kib))),
    (Figure::Fds, |s| Some(f64::from(s.fds))),
];

impl Typicals {
    pub(super) fn new(bin_ns: u64) -> Self {
        Self { of: BTreeMap::new(), bin_ns }
    }

    pub(super) fn push(&mut self, sample: &Sample, roles: &BTreeMap<AgentId, Role>) {
        for (figure, read) in READ {
            let mut values: BTreeMap<Role, Vec<f64>> = BTreeMap::new();
            for agent in &sample.agents {
                if let (Some(role), Some(value)) = (roles.get(&agent.agent), read(agent)) {
                    values.entry(*role).or_default().push(value);
                }
            }
            for (role, mut values) in values {
                let worst = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let Some(median) = crate::stats::median(&mut values) else { continue };
                let series = || Series::new(self.bin_ns);
                let new = || Typical { median: series(), worst: series() };
                let typical = self.of.entry((figure, role)).or_insert_with(new);
                typical.median.push(sample.started_ns, median);
                typical.worst.push(sample.started_ns, worst);
            }
        }
    }

    pub(super) fn get(&self, figure: Figure, role: Role) -> Option<&Typical> {
        self.of.get(&(figure, role))
    }
}
