//! When the newest thing happened that an event tells of.

use crate::runlog::event::Event;

/// What an event says last happened, on the run's clock: no record knows the future.
pub(super) fn newest(event: &Event) -> Option<(&'static str, u64)> {
    match event {
        Event::Agents(agents) => Some(("the launch was over", agents.launch_ns)),
        Event::AgentReplaced(replaced) => Some(("a process was seen", replaced.seen_ns)),
        Event::AgentExit(exit) => Some(("an end was seen", exit.seen_ns)),
        Event::Incident(incident) => {
            Some(("an incident was over", incident.to_ns.unwrap_or(incident.from_ns).max(incident.from_ns)))
        }
        Event::Scaled(scaled) => {
            Some(("the fleet was scaled", scaled.reached_ns.unwrap_or(0).max(scaled.ordered_ns)))
        }
        Event::Resized(resized) => {
            Some(("the fleet was resized", resized.reached_ns.max(resized.decided_ns)))
        }
        Event::DeathNoticed(death) => Some(("a death was noticed", death.noticed_ns.max(death.ended_ns))),
        Event::Command(command) => Some(("a command was over", command.finished_ns)),
        Event::Round(round) => Some(("a round was over", round.finished_ns)),
        Event::Latency(interval) => {
            Some(("an interval was over", interval.start_ns.saturating_add(interval.length_ns)))
        }
        Event::Fault(step) => Some(("a fault took a step", step.at_ns)),
        Event::WorkloadLatency(interval) => {
            Some(("an interval was over", interval.start_ns.saturating_add(interval.length_ns)))
        }
        Event::Sample(sample) => Some(("a sweep was over", sample.started_ns.saturating_add(sample.took_ns))),
        Event::SampleMissed(missed) => Some(("a sweep was due", missed.due_ns)),
        Event::Threshold(step) => Some(("a threshold was crossed", step.since_ns)),
        Event::Header(_)
        | Event::Phase(_)
        | Event::TaskFailed(_)
        | Event::Alert(_)
        | Event::Clock(_)
        | Event::Checkpoint(_)
        | Event::Workers(_)
        | Event::Ledger(_)
        | Event::Verify(_)
        | Event::End(_) => None,
    }
}
