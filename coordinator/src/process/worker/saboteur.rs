//! A worker that is defective because its client asked for it: see [`crate::wire::sabotage`].

use super::Worker;
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::process::fork;
use crate::wire::sabotage::{Defect, LEAK_BYTES_MAX, LEAK_DESCRIPTORS_MAX, Per, SABOTAGE_LEN, Sabotage};
use crate::wire::{AnswerHeader, TaskHeader};
use nix::sys::signal::{Signal, raise};
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const HOUR_NS: u128 = 3_600_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// How the answer to a task is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Answering {
    #[default]
    Once,
    Twice,
    /// To the client's next task.
    ForAnother,
    Not,
}

/// What a worker has of its defect, until it ends.
#[derive(Debug, Default)]
pub(super) struct Saboteur {
    /// Tasks with the defect that this process has had.
    tasks: u64,
    /// When it had the first of them.
    since_ns: Option<u64>,
    leaked: u64,
    memory: Vec<Vec<u8>>,
    files: Vec<File>,
    orphans: Vec<Child>,
    pub(super) ignores_stop: bool,
    /// Of the task in hand.
    pub(super) answering: Answering,
}

impl Saboteur {
    /// Nanoseconds since the first task with the defect, which may be this one.
    fn lasted(&mut self, now_ns: u64) -> u128 {
        now_ns.saturating_sub(*self.since_ns.get_or_insert(now_ns)).into()
    }

    /// What has to be leaked now.
    fn due(&mut self, sabotage: &Sabotage, now_ns: u64) -> u64 {
        if Per::from_raw(sabotage.per) != Some(Per::Hour) {
            return sabotage.amount;
        }
        let lasted = self.lasted(now_ns);
        let all = u64::try_from(u128::from(sabotage.amount) * lasted / HOUR_NS).unwrap_or(u64::MAX);
        let due = all.saturating_sub(self.leaked);
        self.leaked = self.leaked.max(all);
        due
    }

    /// How long a task takes with the defect.
    fn slowed(&mut self, sabotage: &Sabotage, now_ns: u64) -> u64 {
        let more = u128::from(sabotage.amount.saturating_sub(1_000));
        let more = if Per::from_raw(sabotage.per) == Some(Per::Hour) {
            more.saturating_mul(self.lasted(now_ns)) / HOUR_NS
        } else {
            more
        };
        u64::try_from(u128::from(sabotage.time_ns).saturating_mul(1_000 + more) / 1_000).unwrap_or(u64::MAX)
    }

    fn leak_memory(&mut self, bytes: u64) {
        if bytes > 0 {
            // Written to, so that it is resident.
            self.memory.push(vec![1; bytes.min(LEAK_BYTES_MAX.into()) as usize]);
        }
    }

    /// As many as the limit of this process allows.
    fn leak_descriptors(&mut self, count: u64) {
        let opened = (0..count.min(LEAK_DESCRIPTORS_MAX.into())).map_while(|_| File::open("/dev/null").ok());
        self.files.extend(opened);
    }

    /// In a session of its own. It shows the fleet's marker, so that nothing of it outlives the fleet.
    fn leave_orphan(&mut self, seconds: u64) -> Result<(), String> {
        let mut command = Command::new("sleep");
        command.arg(seconds.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let orphan = fork::own_session(&mut command).spawn();
        self.orphans.push(orphan.map_err(|error| format!("no orphan could be started: {error}"))?);
        Ok(())
    }
}

impl Worker {
    /// Carries out a task of a saboteur; `body` becomes the answer's.
    pub(super) fn sabotage(
        &mut self,
        sabotage: &Sabotage,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let defect = Defect::from_raw(sabotage.defect)
            .ok_or_else(|| format!("this worker does not know defect {}", sabotage.defect))?;
        body.drain(..SABOTAGE_LEN);
        let mut wait_ns = sabotage.time_ns;
        if defect != Defect::None && sabotage.is_for(self.index, self.number) {
            self.saboteur.tasks += 1;
            if self.saboteur.tasks.is_multiple_of(u64::from(sabotage.every.max(1))) {
                wait_ns = self.misbehave(defect, sabotage, task, body)?;
            }
        }
        self.sleep(task, answer, wait_ns);
        Ok(())
    }

    /// How long the task takes then.
    fn misbehave(
        &mut self,
        defect: Defect,
        sabotage: &Sabotage,
        task: &TaskHeader,
        body: &mut [u8],
    ) -> Result<u64, String> {
        let now = now_ns();
        let saboteur = &mut self.saboteur;
        match defect {
            Defect::None => {}
            Defect::LeakMemory => {
                let bytes = saboteur.due(sabotage, now);
                saboteur.leak_memory(bytes);
            }
            Defect::LeakDescriptors => {
                let count = saboteur.due(sabotage, now);
                saboteur.leak_descriptors(count);
            }
            Defect::Slow => return Ok(saboteur.slowed(sabotage, now)),
            Defect::Hang => self.hang(),
            Defect::IgnoreStop => {
                saboteur.ignores_stop = true;
                fork::ignore(Signal::SIGTERM).map_err(|errno| errno.to_string())?;
            }
            Defect::AnswerLate => {
                self.wait_beyond(task.deadline_ns.saturating_add(sabotage.amount));
                // Its time is over: whatever becomes of it does not make it a time-out of the worker's.
                return Ok(0);
            }
            Defect::AnswerWrong => {
                if let Some(byte) = body.last_mut() {
                    *byte ^= 1;
                }
            }
            Defect::AnswerTwice => saboteur.answering = Answering::Twice,
            Defect::AnswerForAnother => saboteur.answering = Answering::ForAnother,
            Defect::NoAnswer => saboteur.answering = Answering::Not,
            Defect::Crash => {
                raise(Signal::SIGKILL).map_err(|errno| errno.to_string())?;
            }
            Defect::LeaveOrphan => saboteur.leave_orphan(sabotage.amount)?,
        }
        Ok(sabotage.time_ns)
    }

    /// Until it is killed; it dies with its coordinator, too.
    fn hang(&self) {
        loop {
            // An order to end is beyond a process that hangs.
            self.slot.bell.wait(Duration::from_secs(1), || false);
        }
    }

    /// It shows progress meanwhile, and goes on although its task is over.
    fn wait_beyond(&self, until_ns: u64) {
        while !self.is_stopping() {
            let left = until_ns.saturating_sub(now_ns());
            if left == 0 {
                return;
            }
            self.beat();
            self.slot
                .bell
                .wait(Duration::from_nanos(left.min(SECOND_NS)).min(self.heartbeat()), || self.is_stopping());
        }
    }

    /// Gives the answer as the defect of the task has it.
    pub(super) fn send_as_asked(&mut self, answer: &AnswerHeader, body: &[u8]) {
        match std::mem::take(&mut self.saboteur.answering) {
            Answering::Once => self.send(answer, body),
            Answering::Twice => {
                self.send(answer, body);
                self.send(answer, body);
            }
            Answering::ForAnother => {
                let mut other = *answer;
                other.id.sequence = other.id.sequence.wrapping_add(1);
                self.send(&other, body);
            }
            Answering::Not => {}
        }
    }

    /// Whether it is told to end and does.
    pub(super) fn heeds_stop(&self) -> bool {
        !self.saboteur.ignores_stop && self.region.state().stopping.load(Ordering::Acquire) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = HOUR_NS as u64;

    #[test]
    fn what_is_leaked_an_hour_adds_up_however_often_it_is_due() {
        let sabotage = Sabotage::new(Defect::LeakMemory, Per::Hour, 1_000_000);
        let mut saboteur = Saboteur::default();
        let often: u64 = (0..=1_000).map(|n| saboteur.due(&sabotage, 5 + n * (HOUR / 500))).sum();
        let mut seldom = Saboteur::default();
        let once = seldom.due(&sabotage, 5) + seldom.due(&sabotage, 5 + 2 * HOUR);
        assert_eq!((often, once), (2_000_000, 2_000_000));
        let each = Sabotage::new(Defect::LeakMemory, Per::Task, 7);
        assert_eq!([saboteur.due(&each, HOUR), saboteur.due(&each, HOUR)], [7, 7]);
    }

    #[test]
    fn a_slow_task_takes_its_factor_at_once_or_after_an_hour() {
        let at_once = Sabotage { time_ns: 4_000, ..Sabotage::new(Defect::Slow, Per::Task, 2_500) };
        assert_eq!(Saboteur::default().slowed(&at_once, 9), 10_000);
        let grows = Sabotage { time_ns: 4_000, ..Sabotage::new(Defect::Slow, Per::Hour, 1_500) };
        let mut saboteur = Saboteur::default();
        let took = [0, HOUR, 4 * HOUR].map(|after| saboteur.slowed(&grows, 9 + after));
        assert_eq!(took, [4_000, 6_000, 12_000]);
    }
}
