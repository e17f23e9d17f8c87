//! Tasks that run other programs (commands, the agent program, canaries), and the reset of the worker after each.

use super::{STATUS_FENCED, Worker};
use crate::bus::error::ungrown;
use crate::bus::sync::Ordering;
use crate::os::identity::Identity;
use crate::process::agent::{Agent, AgentFault, Answered, Blame, Reply, Request, Times};
use crate::process::descent::Marker;
use crate::process::exec::{self, CutShort, Ended, Job, Room, Spool, StopReason, Watcher};
use crate::process::nested;
use crate::process::reset::temporary::{Temporary, of_fleet, spool_of_fleet};
use crate::process::reset::{Baseline, Keep, canary};
use crate::wire::command::Command;
use crate::wire::spooled::{Spooled, name_of};
use crate::wire::{
    AnswerHeader, AnswerStatus, FINAL, SPOOLED, TRUNCATED, TaskHeader, TaskKind, USAGE_LEN, WITH_USAGE,
    arguments, attempt_of,
};
use std::time::Duration;
use zerocopy::IntoBytes;

/// Bytes of an agent program's answer. It must be checked as a whole, so its worker has all of it in memory.
const ANSWER_MAX: usize = 64 << 20;

/// What a worker needs for such tasks. Empty as long as it has only slept, computed and echoed.
pub(super) struct Foreign {
    /// When the fleet was created, and the worker's place in it: its temporary directories are named after these.
    created_unix_ns: u64,
    place: String,
    /// The state of the worker before its first foreign task.
    baseline: Option<Baseline>,
    agent: Option<Agent>,
    /// The agent program's, which is not emptied while that runs.
    agent_temporary: Option<Temporary>,
    /// Bytes that the agent program had resident after its first task.
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

    /// The agent program and the descriptors to it stay between two tasks.
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
    /// Carries out a task that may leave something behind, and undoes that before the answer is sent.
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
            let why = |error| {
                format!(
                    "the worker cannot record its state before the task, to restore it afterwards: {error}"
                )
            };
            self.foreign.baseline = Some(captured.map_err(why)?);
        }
        let done = match kind {
            TaskKind::Agent => self.ask_agent(task, answer, body),
            TaskKind::Canary => {
                let temporary = self.foreign.baseline.as_ref().and_then(Baseline::temporary);
                canary::carry_out(body, temporary).map(|found| *body = found)
            }
            _ => self.run_command(kind, task, answer, body),
        };
        if let Some(baseline) = &self.foreign.baseline {
            self.foreign.poisoned |= baseline.reset(&self.foreign.keep()).is_err();
        }
        // What is left of a fleet that was the task's own.
        if let (Some(dir), Some(marker)) = (self.region.path().parent(), Marker::inherited()) {
            nested::remove_all(dir.parent().unwrap_or(dir), &marker);
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
        let spared = self.foreign.keep().group;
        let ended = if kind == TaskKind::Exec {
            let arguments = arguments(body).ok_or("the command is not a list of arguments")?;
            self.exec(
                task,
                &Job { temporary, spared, ..Job::plain(&arguments, self.policy.stop) },
                answer.started_ns,
            )?
        } else {
            let command = Command::from_body(body).map_err(|error| error.to_string())?;
            self.exec(
                task,
                &Job { temporary, spared, ..Job::of(&command, self.policy.stop) },
                answer.started_ns,
            )?
        };
        self.fill_answer(ended, answer, body)
    }

    /// Where the output of this attempt goes that has no room in an answer; `None` if it is to be cut off.
    fn spool(&self, task: &TaskHeader, started_ns: u64) -> Option<Spool> {
        if !task.wants_whole_output() {
            return None;
        }
        let dir = spool_of_fleet(self.foreign.created_unix_ns);
        let (id, attempt) = (name_of(task.id), attempt_of(task.lease));
        // The answers of earlier attempts have no reader any more.
        let earlier: Vec<String> = (1..attempt).map(|before| format!("{id}{before}-")).collect();
        if !earlier.is_empty() {
            Spool::remove_all(&dir, &earlier);
        }
        Some(Spool::new(dir, format!("{id}{attempt}-{started_ns:x}.")))
    }

    fn exec(&self, task: &TaskHeader, job: &Job<'_>, started_ns: u64) -> Result<Ended, String> {
        let output_max = self.region.shape().payload_max() as usize;
        // Its resource usage goes into the answer too, if there is room for it.
        let output_max = output_max.checked_sub(USAGE_LEN).unwrap_or(output_max);
        let mut watcher = Waiting { worker: self, task };
        let spool = self.spool(task, started_ns);
        let room = Room { max: output_max, spool: spool.as_ref() };
        let ended = exec::run(job, task.attempt_ends_ns(started_ns), room, &mut watcher);
        self.note(self.foreign.agent.as_ref().and_then(Agent::identity));
        ended.map_err(|error| error.to_string())
    }

    /// Makes an answer of a command's output, and of how it ended.
    fn fill_answer(
        &self,
        mut ended: Ended,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let room = self.region.shape().payload_max() as usize;
        let mut flags = if ended.truncated { TRUNCATED } else { 0 };
        if let Some(spooled) = &ended.spooled {
            ended.stdout = place_of(spooled, room)?;
            ended.stderr.truncate(room - ended.stdout.len() - USAGE_LEN);
            flags |= SPOOLED;
        }
        answer.code = ended.how.raw();
        if ended.cut == Some(CutShort::Asked(StopReason::Ending)) {
            answer.status = AnswerStatus::Cancelled as u32;
        } else if is_given_up(ended.cut) {
            answer.status = AnswerStatus::TimedOut as u32;
        }
        answer.stdout_len = ended.stdout.len() as u32 | flags;
        *body = ended.stdout;
        body.extend_from_slice(&ended.stderr);
        if body.len() + USAGE_LEN <= room {
            answer.stdout_len |= WITH_USAGE;
            body.extend_from_slice(ended.usage.as_bytes());
        }
        Ok(())
    }

    fn ask_agent(
        &mut self,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut agent = self.take_agent()?;
        let room = self.region.shape().payload_max() as usize;
        agent.set_line_max(if task.wants_whole_output() { ANSWER_MAX } else { room });
        let id = task.id.to_string();
        let request = Request { id: &id, attempt: attempt_of(task.lease), task: body };
        let attempt = match task.timeout_ms {
            0 => Duration::MAX,
            ms => Duration::from_millis(ms.into()),
        };
        let times = Times { startup: self.policy.agent_startup, attempt, deadline_ns: task.deadline_ns };
        let mut watcher = Waiting { worker: self, task };
        let reply = agent.ask(&request, &times, &mut watcher);
        self.limit_growth(&mut agent);
        self.note(agent.identity());
        self.foreign.agent = Some(agent);
        match reply {
            Ok(answered) => {
                let spool = self.spool(task, answered.begun_ns);
                fill_reply(answered, room, spool.as_ref(), answer, body)
            }
            Err(fault) => {
                fill_fault(&fault, room, answer, body);
                Ok(())
            }
        }
    }

    fn take_agent(&mut self) -> Result<Agent, String> {
        let Some(configured) = self.policy.agent else {
            return Err("this fleet has no agent program: set one with `coordinator up --agent`".to_owned());
        };
        if let Some(agent) = self.foreign.agent.take() {
            if agent.identity().is_none() {
                // The program that used it has ended. What cannot be removed is left for the next one.
                let _ = self.foreign.agent_temporary.as_ref().map(Temporary::empty);
            }
            return Ok(agent);
        }
        let temporary = of_fleet(self.foreign.created_unix_ns).join(format!("{}.agent", self.foreign.place));
        self.foreign.agent_temporary = Temporary::make(&temporary).ok();
        let temporary = self.foreign.agent_temporary.as_ref().map(|made| made.path().to_owned());
        let line_max = self.region.shape().payload_max() as usize;
        Ok(Agent::new(configured, line_max, temporary, self.policy.stop))
    }

    /// Ends an agent program that has grown more than the policy allows; another one is started for the next task.
    fn limit_growth(&mut self, agent: &mut Agent) {
        let Some(growth_max) = self.policy.recycle_growth else { return };
        let Some(rss_bytes) = agent.rss_bytes() else { return };
        if agent.tasks_done() <= 1 {
            self.foreign.agent_began_with = rss_bytes;
        } else if rss_bytes.saturating_sub(self.foreign.agent_began_with) > growth_max {
            agent.end(self.policy.stop.grace);
        }
    }

    /// Writes down the process that must be ended if this worker dies.
    fn note(&self, process: Option<Identity>) {
        let own = &self.slot.own;
        own.command_start.store(process.map_or(0, |process| process.start_ticks), Ordering::Relaxed);
        own.command_pid.store(process.map_or(0, |process| process.pid), Ordering::Release);
    }

    /// At the worker's end: ends the agent program, with its grace, and removes the temporary directories.
    pub(super) fn leave(&mut self, status: i32) {
        if let Some(mut agent) = self.foreign.agent.take() {
            agent.end(if status == STATUS_FENCED { Duration::ZERO } else { self.policy.stop.grace });
        }
        self.note(None);
        if status == STATUS_FENCED {
            // Another worker has this place now, and the same directories.
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

/// What an answer says of output that it has no room for.
fn place_of(spooled: &Spooled, room: usize) -> Result<Vec<u8>, String> {
    let refuse = |why: String| {
        spooled.remove();
        Err(why)
    };
    match spooled.to_body() {
        None => refuse("the output cannot be kept: the name of its temporary directory is not UTF-8".into()),
        Some(place) if place.len() + USAGE_LEN > room => {
            let most = place.len() + USAGE_LEN;
            refuse(format!(
                "the fleet's messages cannot hold where the output is: that takes {most} bytes (`--payload-max`)"
            ))
        }
        Some(place) => Ok(place),
    }
}

/// Makes an answer of what an agent program replied: its result, and then its log.
fn fill_reply(
    answered: Answered,
    room: usize,
    spool: Option<&Spool>,
    answer: &mut AnswerHeader,
    body: &mut Vec<u8>,
) -> Result<(), String> {
    let Answered { reply, log, begun_ns } = answered;
    answer.started_ns = begun_ns;
    match (reply, spool) {
        (Reply::Done(result), Some(spool)) if result.len() + log.len() > room => {
            let unkept = |error: std::io::Error| {
                let (at, why) = (spool.dir().display(), ungrown(spool.dir(), &error));
                format!("the agent program's answer cannot be kept: {at}: {why}")
            };
            let mut spooled =
                Spooled { stdout: spool.keep("stdout", &result).map_err(unkept)?, stderr: None };
            spooled.stderr = spool.keep("stderr", &log).inspect_err(|_| spooled.remove()).map_err(unkept)?;
            *body = place_of(&spooled, room)?;
            answer.stdout_len = body.len() as u32 | SPOOLED;
        }
        (Reply::Done(result), _) => {
            answer.stdout_len = result.len() as u32;
            *body = result;
            let least = log.len().saturating_sub(room.saturating_sub(body.len()));
            body.extend_from_slice(&log[least..]);
        }
        (Reply::Failed { error, retry }, _) => {
            answer.status = AnswerStatus::AgentFailed as u32 | if retry == Some(false) { FINAL } else { 0 };
            *body = within(error, room).into_bytes();
        }
    }
    Ok(())
}

/// A reason is for people: of a long one the beginning is enough, as long as it says so.
fn within(mut reason: String, room: usize) -> String {
    const CUT: &str = " [cut off]";
    if reason.len() > room {
        reason.truncate(reason.floor_char_boundary(room.saturating_sub(CUT.len())));
        reason.push_str(CUT);
        reason.truncate(reason.floor_char_boundary(room));
    }
    reason
}

fn fill_fault(fault: &AgentFault, room: usize, answer: &mut AnswerHeader, body: &mut Vec<u8>) {
    let status = match fault.blame() {
        Blame::Failed => AnswerStatus::AgentFailed,
        Blame::Died(how) => {
            answer.code = how.raw();
            AnswerStatus::AgentDied
        }
        Blame::Cut(cut) if is_given_up(Some(cut)) => AnswerStatus::TimedOut,
        // If it is cut short here, the fleet ends.
        Blame::Refused | Blame::Cut(_) => AnswerStatus::Refused,
    };
    answer.status = status as u32;
    *body = within(fault.to_string(), room).into_bytes();
    if status == AnswerStatus::TimedOut && body.len() < room {
        body.push(b'\n');
    }
}

/// The attempt has failed. (If the fleet ends, it does not count.)
fn is_given_up(cut: Option<CutShort>) -> bool {
    matches!(cut, Some(CutShort::TimedOut | CutShort::Asked(StopReason::Cancelled)))
}

/// Watches another program on behalf of a task.
struct Waiting<'a> {
    worker: &'a Worker,
    task: &'a TaskHeader,
}

impl Watcher for Waiting<'_> {
    fn started(&mut self, identity: Identity) {
        self.worker.note(Some(identity));
    }

    fn stop(&mut self) -> Option<StopReason> {
        self.worker.beat();
        if self.worker.gives_up() {
            return Some(StopReason::Stopping);
        }
        if self.worker.is_cancelled(self.task) {
            return Some(StopReason::Cancelled);
        }
        self.worker.is_ending(self.task).then_some(StopReason::Ending)
    }
}
