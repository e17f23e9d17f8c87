//! The end of an agent program: seen, asked for, waited for.

use super::{AgentFault, Answered, Delivery, Line, Process, Turn, Unread, nanos};
use crate::os::clock::now_ns;
use crate::process::exec::{Watcher, pause};
use crate::process::reap::HowEnded;
use crate::wire::Usage;
use std::time::Duration;

/// A program that has closed its stdin or stdout is waited for this long: it is ending.
pub(super) const ENDING_MAX: Duration = Duration::from_millis(500);
/// Between two looks at whether a program has ended.
const REAP_LOOK: Duration = Duration::from_millis(2);

impl Process {
    /// Why there will be no answer: the program has ended, or ends in a moment, or has closed its stdout.
    /// Unless the answer is among what it has left.
    pub(super) fn gone(
        &mut self,
        delivery: &Delivery<'_>,
        id: &str,
        watcher: &mut impl Watcher,
    ) -> Result<Turn, AgentFault> {
        let until = now_ns() + nanos(ENDING_MAX);
        while !self.group.leader_has_ended() && now_ns() < until {
            pause(REAP_LOOK);
        }
        if let Some(reply) = self.rest(id, watcher)? {
            let begun_ns = delivery.begun_ns.unwrap_or_else(now_ns);
            return Ok(Turn::Answered(self.answered(reply, begun_ns)));
        }
        let log = self.log_line();
        if !self.group.leader_has_ended() {
            return Err(AgentFault::Closed { log });
        }
        if let Some(answered) = self.last_answer(delivery, id) {
            return Ok(Turn::Answered(answered));
        }
        // Not reaped yet, so its group's number is its own until `end`.
        let how = self.how();
        if self.has_read(delivery) {
            Err(AgentFault::Ended { how, log })
        } else {
            Ok(Turn::NotRead(Some(how)))
        }
    }

    /// A whole answer without its line's end: nothing more can come of a program that has ended. Half a line of one that was
    /// killed is none.
    fn last_answer(&mut self, delivery: &Delivery<'_>, id: &str) -> Option<Answered> {
        if self.stray_line.is_some() || self.buffer.len() > self.line_max {
            return None;
        }
        let Ok(Line::Reply(reply)) = Line::parse(self.buffer.bytes(), id) else { return None };
        self.buffer = Unread::default();
        let begun_ns = delivery.begun_ns.unwrap_or_else(now_ns);
        Some(self.answered(reply, begun_ns))
    }

    /// How the leader has ended, without reaping it.
    fn how(&self) -> HowEnded {
        match self.group.leader_end() {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => HowEnded::Exited(status),
                (_, Some(signal)) => HowEnded::Signaled(signal),
                _ => HowEnded::Unseen,
            },
            None => HowEnded::Unseen,
        }
    }

    /// Lets it save its work before it is killed.
    pub(super) fn ask_to_end(&mut self, watcher: &mut impl Watcher) {
        self.stdin = None;
        self.group.ask_to_end(self.stop.signal);
        let grace = nanos(self.stop.grace);
        let until = now_ns().saturating_add(grace);
        let mut until = || {
            // Shows that this process makes progress.
            let _ = watcher.stop();
            until
        };
        self.await_end(&mut until);
        self.await_others(until);
    }

    /// Waits, once its leader has ended, for what it has started and left behind.
    fn await_others(&mut self, until_ns: impl FnMut() -> u64) {
        self.drain_until(|process| process.group.reap_adopted(&mut Usage::default()), until_ns);
    }

    /// Waits until it has ended, or until the time that is given each time.
    fn await_end(&mut self, until_ns: impl FnMut() -> u64) {
        self.drain_until(|process| process.group.leader_has_ended(), until_ns);
    }

    /// Reads its output meanwhile, so that nothing ever waits for that.
    fn drain_until(&mut self, is_done: impl Fn(&Self) -> bool, mut until_ns: impl FnMut() -> u64) {
        while !is_done(self) && now_ns() < until_ns() {
            self.buffer = Unread::default();
            self.read(&mut |_| ());
            pause(REAP_LOOK);
        }
    }

    pub(in crate::process::agent) fn end(mut self, grace: Duration) -> HowEnded {
        self.stdin = None;
        if grace > Duration::ZERO {
            let half = nanos(grace) / 2;
            let until = now_ns().saturating_add(half);
            self.await_end(|| until);
            if !self.group.leader_has_ended() {
                self.group.ask_to_end(self.stop.signal);
                let until = now_ns().saturating_add(half);
                self.await_end(|| until);
                self.await_others(|| until);
            }
        }
        self.group.kill();
        let Ok((status, _)) = self.group.reap_leader() else { return HowEnded::Unseen };
        self.group.end_the_others(&mut Usage::default(), || 0);
        HowEnded::from_wait(status)
    }
}
