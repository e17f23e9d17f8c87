//! Which resource of the host that the runs were made on ends first, and at how many agents.

use serde::{Deserialize, Serialize};

use super::figures::{CPU, DESCRIPTORS, MEMORY, RESERVED, THREADS};
use super::fitted::{Fitted, run};
use crate::criterion::Unit;
use crate::runlog::event::HostFacts;
use crate::stats::Predicted;

/// Most sizes that are looked at, as far apart as each other up to the largest fleet that is predicted.
const STEPS: u32 = 4_096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// In words: `memory`.
    pub name: String,
    /// The figure that uses it.
    pub figure: String,
    pub unit: Unit,
    /// What the host has of it, whatever else uses it.
    pub has: f64,
    /// Absent if it certainly lasts, as far as these runs say anything.
    pub ends: Option<Reached>,
    /// What the largest fleet within reach needs of it; absent if there is no model.
    pub at_reach: Option<Predicted>,
}

/// At how many agents a resource ends, or may end: the interval of its figure reaches what the host has within reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Where the model itself reaches it; absent if that is beyond reach.
    pub agents: Option<u32>,
    /// From here on it may be at its end.
    pub low: u32,
    /// From here on it certainly is; absent if that is beyond reach.
    pub high: Option<u32>,
}

impl Reached {
    /// The size at which it certainly is at its end, as far as these runs say anything.
    pub fn high_text(&self, reach: u32) -> String {
        self.high.map_or_else(|| format!("more than {reach}"), |high| high.to_string())
    }
}

impl Resource {
    /// How much of it the largest fleet within reach needs.
    pub fn share(&self) -> Option<f64> {
        self.at_reach.map(|run| run.value / self.has)
    }
}

pub(super) fn all(host: &HostFacts, figures: &[Fitted], reach: u32) -> Vec<Resource> {
    let least = |own: u64, group: Option<u64>| group.map_or(own, |group| group.min(own)) as f64;
    let cpus = host.cgroup_cpus.map_or(f64::from(host.cpus), |group| group.min(f64::from(host.cpus)));
    let known = [
        ("memory", MEMORY, least(host.memory_bytes, host.cgroup_memory_bytes)),
        ("processors, under this load", CPU, cpus),
        ("processes and threads", THREADS, least(host.pids_max, host.cgroup_pids)),
        ("/dev/shm", RESERVED, host.shm_bytes as f64),
        ("descriptors of one process", DESCRIPTORS, host.nofile_hard as f64),
    ];
    known
        .into_iter()
        .filter(|(_, _, has)| *has > 0.0)
        .filter_map(|(name, figure, has)| {
            let fitted = figures.iter().find(|fitted| fitted.name == figure)?;
            Some(resource(name, fitted, has, reach))
        })
        .collect()
}

pub(super) fn resource(name: &str, fitted: &Fitted, has: f64, reach: u32) -> Resource {
    let scaling = fitted.models.first().and_then(|model| model.scaling.as_ref());
    let at = |agents: u32| scaling.and_then(|scaling| run(scaling, agents));
    let first =
        |of: fn(Predicted) -> f64| sizes(reach).find(|agents| at(*agents).is_some_and(|run| of(run) >= has));
    let ends = first(|run| run.interval.high).map(|low| Reached {
        agents: first(|run| run.value),
        low,
        high: first(|run| run.interval.low),
    });
    let (name, figure) = (name.to_owned(), fitted.name.clone());
    Resource { name, figure, unit: fitted.unit, has, ends, at_reach: at(reach) }
}

/// Those that are looked at: the last is `reach`, so that what it needs and where a resource ends never disagree.
fn sizes(reach: u32) -> impl Iterator<Item = u32> {
    let step = reach.div_ceil(STEPS).max(1);
    (0..reach.div_ceil(step)).rev().map(move |before| reach - before * step)
}

/// In sentences: which resource is expected to run out first, and which may before that.
pub(super) fn first(resources: &[Resource], reach: u32) -> String {
    let ends = || resources.iter().filter_map(|resource| Some((resource, resource.ends?)));
    let has = |resource: &Resource| crate::compare::show(resource.unit, resource.has);
    let Some((may, earliest)) = ends().min_by_key(|(_, ends)| ends.low) else {
        return lasting(resources, reach);
    };
    let expected = ends().filter_map(|(resource, ends)| Some((resource, ends, ends.agents?)));
    let Some((resource, ends, agents)) = expected.min_by_key(|(_, _, agents)| *agents) else {
        return format!(
            "No resource of this host is expected to run out up to {reach} agents, but {} may, from {} agents on: there is {}.",
            may.name,
            earliest.low,
            has(may)
        );
    };
    let first = format!(
        "First to run out is {}: at {agents} agents (between {} and {}), of {} there.",
        resource.name,
        ends.low,
        ends.high_text(reach),
        has(resource)
    );
    if earliest.low < ends.low {
        return format!("{first} Before it, {} may run out, from {} agents on.", may.name, earliest.low);
    }
    first
}

/// No interval reaches what the host has.
fn lasting(resources: &[Resource], reach: u32) -> String {
    let most = resources.iter().filter_map(|resource| Some((resource, resource.share()?)));
    match most.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((resource, share)) => format!(
            "No resource of this host runs out up to {reach} agents; closest is {}, of which such a fleet needs {}.",
            resource.name,
            crate::units::percent(share)
        ),
        None => "These runs do not say which resource runs out first.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_end_at_the_reach_and_are_no_more_than_promised() {
        for reach in [1, 2, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS - 1, 2 * STEPS, 100_001, u32::MAX] {
            let all: Vec<u32> = sizes(reach).collect();
            assert!(all.len() <= STEPS as usize, "{reach}: {} sizes", all.len());
            assert_eq!(all.last(), Some(&reach));
            let step = reach.div_ceil(STEPS);
            assert!(all[0] >= 1 && all[0] <= step, "{reach}: the first is {}", all[0]);
            assert!(all.windows(2).all(|pair| pair[1] - pair[0] == step), "{reach}");
        }
        assert_eq!(sizes(3).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
