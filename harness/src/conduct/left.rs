//! What earlier segments of a run have left running although their harness was killed.
//!
//! A fleet ends by itself when its owner does, and guards end what commands leave. Whether they have is looked at before the next
//! segment begins. Three proofs say that a process is the run's: the marker of one of its fleets, the mark of its set-up, or a
//! pid and a start time from its log. Nothing else is waited for, told or killed.

use crate::engine::setup;
use crate::system::{Identity, descriptor_of};
use coordinator::client::left_of_named;
use reports::run_dir::Unfinished;
use reports::runlog::event::{AgentInfo, HostFacts, Role};
use rustix::process::{Signal, pidfd_send_signal};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a fleet and its guard may take to end after their harness, beside the grace that commands have.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Waits until nothing of the segments before is there any more; what stays beyond `patience` is killed. Says what that was.
pub(super) fn end(run: &Unfinished, host: &HostFacts, patience: Duration) -> Vec<String> {
    let header = run.header();
    // One that was killed before its log said anything may have had a fleet, whose name is used again.
    let names: Vec<String> = (0..=run.segment).map(|segment| fleet_name(&header.run_id, segment)).collect();
    // Pids and start times of another boot are those of others.
    let is_same_boot = header.host.boot_id == host.boot_id;
    let agents = run.case.facts().agents.values().filter(|agent| is_same_boot && agent.role != Role::Harness);
    let agents: Vec<&AgentInfo> = agents.collect();
    let is_there = || {
        agents.iter().any(|it| identity(it).is_alive())
            || !left_of_named(&names, false).is_empty()
            || setup::has_left(&header.run_id)
    };
    let begun = Instant::now();
    while is_there() {
        if begun.elapsed() >= patience {
            return kill(&names, &agents, &header.run_id);
        }
        std::thread::park_timeout(LOOK);
    }
    Vec::new()
}

/// What the fleet of a segment is called. Each has a name of its own: the one before may not have ended yet.
pub(super) fn fleet_name(run_id: &str, segment: u32) -> String {
    match segment {
        0 => run_id.to_owned(),
        later => format!("{run_id}-{}", u64::from(later) + 1),
    }
}

fn identity(agent: &AgentInfo) -> Identity {
    Identity { pid: agent.pid, start_ticks: agent.start_ticks }
}

fn kill(names: &[String], agents: &[&AgentInfo], run_id: &str) -> Vec<String> {
    let mut killed = BTreeMap::new();
    for agent in agents {
        if descriptor_of(identity(agent)).is_ok_and(|fd| pidfd_send_signal(&fd, Signal::KILL).is_ok()) {
            killed.insert(agent.pid, format!("{} (pid {})", agent.name, agent.pid));
        }
    }
    for stranger in left_of_named(names, true) {
        killed.entry(stranger.pid).or_insert_with(|| format!("{} (pid {})", stranger.name, stranger.pid));
    }
    let of_commands =
        setup::end_the_rest(run_id).into_iter().filter(|name| !killed.values().any(|it| it == name));
    let of_commands: Vec<String> = of_commands.collect();
    killed.into_values().chain(of_commands).collect()
}
