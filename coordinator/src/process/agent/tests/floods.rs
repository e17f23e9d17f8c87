//! Agents that write without end: they hold up neither their time-out nor the one who stops them.

use super::*;

/// More than is read between two looks, several times over.
const BETWEEN_MAX: usize = 8 << 20;

/// Counts what comes between two looks, and stops the agent at the end.
struct Watch {
    since: usize,
    looks: u32,
}

impl Watcher for Watch {
    fn output(&mut self, _: Stream, bytes: &[u8]) {
        self.since += bytes.len();
        assert!(self.since < BETWEEN_MAX, "nothing else is looked at while it writes");
    }

    fn stop(&mut self) -> Option<StopReason> {
        (self.since, self.looks) = (0, self.looks + 1);
        (self.looks == 50).then_some(StopReason::Cancelled)
    }
}

#[test]
fn an_agent_that_floods_its_stderr_is_stopped() {
    let mut agent = speaker("id; yes >&2 & yes >&2 & yes >&2 & wait");
    let mut watch = Watch { since: 0, looks: 0 };
    let fault = agent.ask(&Request { id: "1.1.1", attempt: 1, task: b"1" }, &FOREVER, &mut watch);
    assert!(matches!(fault, Err(AgentFault::Asked(StopReason::Cancelled))), "{fault:?}");
}

#[test]
fn an_agent_that_floods_its_stdout_with_lines_ends_at_its_time_out() {
    // The shorter the lines are, the more there are of them.
    let mut agent = speaker("id; yes '' & yes '' & exec yes ''");
    agent.set_line_max(64 << 20);
    let times = Times { attempt: Duration::from_millis(200), ..FOREVER };
    let begun = std::time::Instant::now();
    let fault = agent.ask(&Request { id: "1.1.1", attempt: 1, task: b"1" }, &times, &mut Ear::default());
    assert!(matches!(fault, Err(AgentFault::TimedOut { .. })), "{fault:?}");
    // Not a bound on a time that it takes, but on one that grows with the square of the lines: several minutes.
    assert!(begun.elapsed() < Duration::from_secs(60));
}
