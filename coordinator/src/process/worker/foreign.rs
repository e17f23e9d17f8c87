//! What is not this program's own code: commands, the agent, canaries; and the worker as it was before, after each.

use super::{STATUS_FENCED, Worker};
use crate::bus::sync::Ordering;
use crate::os::identity::Identity;
use crate::process::agent::{Agent, Reply, Request};
use crate::process::exec::{self, Cut, Ended, GRACE, Job, Watcher, Why};
use crate::process::reset::temporary::{Temporary, of_fleet};
use crate::process::reset::{Baseline, Keep, canary};
use crate::wire::command::Command;
use crate::wire::{
    AnswerHeader, AnswerStatus, TRUNCATED, TaskHeader, TaskKind, USAGE_LEN, WITH_USAGE, arguments, attempt_of,
};
use std::time::Duration;
use zerocopy::IntoBytes;

/// A worker that has only slept, computed and echoed has none of it.
pub(super) struct Foreign {
    /// Of the fleet, and the worker's place in it: its temporary directories have their names from these.
    created_unix_ns: u64,
    place: String,
    /// As the worker was before its first foreign task.
    baseline: Option<Baseline>,
    agent: Option<Agent>,
    /// The agent's, which is not emptied while it lives.
    agent_temporary: Option<Temporary>,
    /// Bytes resident, after the agent's first task.
    agent_began_with: u64,
    poisoned: bool,
}

impl Foreign {
    pub(super) fn new(created_unix_ns: u64, coordinator: u32, number: u32) -> Self {
        Self {
            created_unix_ns,
            place: format!("{coordinator}.{number}"),
            baseline: None,
            agent: None,
            agent_temporary: None,
            agent_began_with: 0,
            poisoned: false,
        }
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The agent, and what leads to it, stays between two tasks.
    fn keep(&self) -> Keep {
        let (group, mut fds) = self
            .agent
            .as_ref()
            .and_then(Agent::holds)
            .map_or((None, Vec::new()), |(group, fds)| (Some(group), fds));
        fds.extend(self.agent_temporary.as_ref().map(Temporary::fd));
        Keep { group, fds }
    }
}

impl Worker {
    /// Carries out a task that may leave something behind, and undoes that before anybody hears of its end.
    pub(super) fn run_foreign(
        &mut self,
        kind: TaskKind,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        if self.foreign.baseline.is_none() {
            let temporary = of_fleet(self.foreign.created_unix_ns).join(&self.foreign.place);
            let captured = Baseline::capture(&temporary);
            let why =
                |error| format!("the worker cannot tell how it is before the task, to put it back: {error}");
            self.foreign.baseline = Some(captured.map_err(why)?);
        }
        let done = match kind {
            TaskKind::Agent => self.ask_agent(task, answer, body),
            TaskKind::Canary => {
                let temporary = self.foreign.baseline.as_ref().and_then(Baseline::temporary);
                canary::obey(body, temporary).map(|found| *body = found)
            }
            _ => self.run_command(kind, task, answer, body),
        };
        if let Some(baseline) = &self.foreign.baseline {
            self.foreign.poisoned |= baseline.reset(&self.foreign.keep()).is_err();
        }
        done
    }

    fn run_command(
        &self,
        kind: TaskKind,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let temporary = self.foreign.baseline.as_ref().and_then(Baseline::temporary);
        let ended = if kind == TaskKind::Exec {
            let arguments = arguments(body).ok_or("the command is not a list of arguments")?;
            self.exec(task, &Job { temporary, ..Job::plain(&arguments) }, answer.started_ns)?
        } else {
            let command = Command::from_body(body).map_err(|error| error.to_string())?;
            self.exec(task, &Job { temporary, ..Job::of(&command) }, answer.started_ns)?
        };
        self.tell(ended, answer, body);
        Ok(())
    }

    fn exec(&self, task: &TaskHeader, job: &Job<'_>, started_ns: u64) -> Result<Ended, String> {
        let output_max = self.region.shape().payload_max() as usize;
        // What it took is told too, where there is room for it.
        let output_max = output_max.checked_sub(USAGE_LEN).unwrap_or(output_max);
        let mut watcher = Waiting { worker: self, task };
        let ended = exec::run(job, task.attempt_ends_ns(started_ns), output_max, &mut watcher);
        self.note(self.foreign.agent.as_ref().and_then(Agent::identity));
        ended.map_err(|error| error.to_string())
    }

    /// Makes an answer of what a command said, and of how it ended.
    fn tell(&self, ended: Ended, answer: &mut AnswerHeader, body: &mut Vec<u8>) {
        answer.code = ended.how.raw();
        if is_given_up(ended.cut) {
            answer.status = AnswerStatus::TimedOut as u32;
        }
        answer.stdout_len = ended.stdout.len() as u32 | if ended.truncated { TRUNCATED } else { 0 };
        *body = ended.stdout;
        body.extend_from_slice(&ended.stderr);
        if body.len() + USAGE_LEN <= self.region.shape().payload_max() as usize {
            answer.stdout_len |= WITH_USAGE;
            body.extend_from_slice(ended.usage.as_bytes());
        }
    }

    fn ask_agent(
        &mut self,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut agent = self.take_agent()?;
        let id = task.id.to_string();
        let request = Request { id: &id, attempt: attempt_of(task.lease), task: body };
        let mut watcher = Waiting { worker: self, task };
        let reply = agent.ask(&request, task.attempt_ends_ns(answer.started_ns), &mut watcher);
        self.look_after(&mut agent);
        self.note(agent.identity());
        self.foreign.agent = Some(agent);
        match reply {
            Ok(Reply::Done(result)) => {
                answer.stdout_len = result.len() as u32;
                *body = result;
            }
            Ok(Reply::Failed { error, .. }) => return Err(error),
            Err(fault) if is_given_up(fault.cut()) => {
                answer.status = AnswerStatus::TimedOut as u32;
                *body = format!("{fault}\n").into_bytes();
                body.truncate(self.region.shape().payload_max() as usize);
            }
            Err(fault) => return Err(fault.to_string()),
        }
        Ok(())
    }

    fn take_agent(&mut self) -> Result<Agent, String> {
        let Some(configured) = self.policy.agent else {
            return Err("this fleet keeps no agents: `coordinator up --agent` names one".to_owned());
        };
        if let Some(agent) = self.foreign.agent.take() {
            if agent.identity().is_none() {
                // Of one that is gone. What cannot be removed the next one finds.
                let _ = self.foreign.agent_temporary.as_ref().map(Temporary::empty);
            }
            return Ok(agent);
        }
        let temporary = of_fleet(self.foreign.created_unix_ns).join(format!("{}.agent", self.foreign.place));
        self.foreign.agent_temporary = Temporary::make(&temporary).ok();
        let temporary = self.foreign.agent_temporary.as_ref().map(|made| made.path().to_owned());
        Ok(Agent::new(&configured.command, self.region.shape().payload_max() as usize, temporary))
    }

    /// An agent that has grown more than a worker may makes room for another.
    fn look_after(&mut self, agent: &mut Agent) {
        let Some(growth_max) = self.policy.recycle_growth else { return };
        let Some(rss_bytes) = agent.rss_bytes() else { return };
        if agent.tasks_done() <= 1 {
            self.foreign.agent_began_with = rss_bytes;
        } else if rss_bytes.saturating_sub(self.foreign.agent_began_with) > growth_max {
            agent.end(GRACE);
        }
    }

    /// Who is to be ended if this worker dies.
    fn note(&self, who: Option<Identity>) {
        let own = &self.slot.own;
        own.command_start.store(who.map_or(0, |who| who.start_ticks), Ordering::Relaxed);
        own.command_pid.store(who.map_or(0, |who| who.pid), Ordering::Release);
    }

    /// At its end: the agent has its grace, and what was made is removed.
    pub(super) fn leave(&mut self, status: i32) {
        if let Some(mut agent) = self.foreign.agent.take() {
            agent.end(if status == STATUS_FENCED { Duration::ZERO } else { GRACE });
        }
        self.note(None);
        if status == STATUS_FENCED {
            // Somebody else lives here now, and has the same directories.
            return;
        }
        if let Some(temporary) = self.foreign.agent_temporary.take() {
            let _ = temporary.remove();
        }
        if let Some(baseline) = self.foreign.baseline.take() {
            baseline.end();
        }
    }
}

/// It is an attempt that failed; where the fleet ends it is nothing at all.
fn is_given_up(cut: Option<Cut>) -> bool {
    matches!(cut, Some(Cut::TimedOut | Cut::Asked(Why::Cancelled)))
}

/// Waits for what is not this program's code, on behalf of a task.
struct Waiting<'a> {
    worker: &'a Worker,
    task: &'a TaskHeader,
}

impl Watcher for Waiting<'_> {
    fn started(&mut self, identity: Identity) {
        self.worker.note(Some(identity));
    }

    fn stop(&mut self) -> Option<Why> {
        self.worker.beat();
        if self.worker.is_stopping() {
            return Some(Why::Stopping);
        }
        self.worker.is_cancelled(self.task).then_some(Why::Cancelled)
    }
}
