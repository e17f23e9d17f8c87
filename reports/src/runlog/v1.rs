//! Logs of format 1, as events of today.
//!
//! The framing is the same. What differs: a line does not say whether it is needed, an agent of a sample is a
//! tuple instead of a row, and there are no incarnations, segments, clocks and no `machine`: those have the
//! defaults of their fields. Types that have not changed since are today's; real logs of the version and the
//! verdicts they had are kept in `tests/fixtures/v1`, and hold all this.

use serde::Deserialize;

use super::event::{
    AgentExit, AgentId, AgentSample, Agents, Alert, End, Event, Header, HostSample, LatencyInterval, Ledger,
    PhaseBegan, Round, Sample, SampleMissed, TaskFailed, Verify,
};

/// The last minor version.
pub(super) const MINOR: u16 = 1;

/// The kinds of events.
pub(super) const KNOWN: [&str; 13] = [
    "header",
    "phase",
    "agents",
    "agent-exit",
    "round",
    "task-failed",
    "latency",
    "sample",
    "sample-missed",
    "alert",
    "ledger",
    "verify",
    "end",
];

/// The event of one line.
pub(super) fn upgrade(json: &[u8]) -> Result<Event, serde_json::Error> {
    Ok(match serde_json::from_slice(json)? {
        Old::Header(header) => Event::Header(header),
        Old::Phase(began) => Event::Phase(began),
        Old::Agents(agents) => Event::Agents(agents),
        Old::AgentExit(exit) => Event::AgentExit(exit),
        Old::Round(round) => Event::Round(round),
        Old::TaskFailed(failed) => Event::TaskFailed(failed),
        Old::Latency(interval) => Event::Latency(interval),
        Old::Sample(sample) => Event::Sample(sample.upgrade()),
        Old::SampleMissed(missed) => Event::SampleMissed(missed),
        Old::Alert(alert) => Event::Alert(alert),
        Old::Ledger(ledger) => Event::Ledger(ledger),
        Old::Verify(verify) => Event::Verify(verify),
        Old::End(end) => Event::End(end),
    })
}

#[derive(Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
enum Old {
    Header(Box<Header>),
    Phase(PhaseBegan),
    Agents(Agents),
    AgentExit(AgentExit),
    Round(Round),
    TaskFailed(TaskFailed),
    Latency(LatencyInterval),
    Sample(OldSample),
    SampleMissed(SampleMissed),
    Alert(Alert),
    Ledger(Ledger),
    Verify(Verify),
    End(End),
}

#[derive(Deserialize)]
struct OldSample {
    sweep: u64,
    due_ns: u64,
    started_ns: u64,
    took_ns: u64,
    cpu_ns: u64,
    live: u32,
    agents: Vec<OldAgent>,
    host: HostSample,
}

/// Agent, RSS, RssAnon and VSZ in KiB, descriptors, threads, CPU in µs, voluntary and involuntary switches,
/// PSS in KiB.
#[derive(Deserialize)]
struct OldAgent(AgentId, u64, u64, u64, u32, u32, u64, u64, u64, Option<u64>);

impl OldSample {
    fn upgrade(self) -> Sample {
        Sample {
            sweep: self.sweep,
            due_ns: self.due_ns,
            started_ns: self.started_ns,
            took_ns: self.took_ns,
            cpu_ns: self.cpu_ns,
            live: self.live,
            agents: self.agents.into_iter().map(OldAgent::upgrade).collect(),
            host: self.host,
        }
    }
}

impl OldAgent {
    fn upgrade(self) -> AgentSample {
        AgentSample {
            agent: self.0,
            // The log does not say which: a process that followed another has no number of its own.
            incarnation: 1,
            rss_kib: self.1,
            anon_kib: self.2,
            vsz_kib: self.3,
            fds: self.4,
            threads: self.5,
            cpu_us: self.6,
            voluntary_switches: self.7,
            involuntary_switches: self.8,
            pss_kib: self.9,
            state: None,
            commands: None,
        }
    }
}
