//! A worker: takes tasks out of one ring, carries them out, and puts the answers into the other.

mod foreign;
mod saboteur;

use super::coordinator::{take_consumer, take_producer};
use crate::bus::doorbell::Doorbell;
use crate::bus::ring::{Consumer, Producer, Record};
use crate::bus::slot::{Life, WorkerSlot};
use crate::bus::sync::{Bug, Ordering, planted};
use crate::bus::view::{Control, Region};
use crate::config::Policy;
use crate::os::clock::{now_ns, thread_cpu_ns};
use crate::os::identity::Identity;
use crate::plan::pool::{Decision, Limits, Reason, Wear, after_task};
use crate::wire::sabotage::Sabotage;
use crate::wire::{ANSWER, AnswerHeader, AnswerStatus, TASK, TaskHeader, TaskKind};
use foreign::Foreign;
use saboteur::Saboteur;
use std::cell::Cell;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// An idle worker shows this often that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A full ring is checked again after this long; its coordinator is busy and not dead (this process would have died with
/// it).
const FULL_RING: Duration = Duration::from_millis(1);

/// Why a worker ended, as its exit status.
const STATUS_STOPPED: i32 = 0;
const STATUS_OWN_BUG: i32 = 70;
/// The coordinator wrote an invalid record.
const STATUS_BAD_RING: i32 = 71;
/// The region belongs to another coordinator than the one that forked this process.
const STATUS_FENCED: i32 = 72;
/// It has carried out as many tasks as a worker may.
pub const STATUS_WORN: i32 = 75;
/// It has grown more than a worker may.
pub const STATUS_GROWN: i32 = 76;
/// A task left something behind that cannot be undone.
pub const STATUS_POISONED: i32 = 77;

struct Worker {
    region: Region,
    /// Of its coordinator.
    index: u32,
    number: u32,
    slot: &'static WorkerSlot,
    coordinator: &'static Doorbell,
    answers: Producer,
    /// Of the region, when this process was forked.
    epoch: u32,
    policy: Policy,
    /// Tasks carried out by this process.
    done: u32,
    /// The task in hand was given up because this process was told to end. It has no answer then: whether the order was
    /// its coordinator's, only that knows.
    interrupted: Cell<bool>,
    /// Bytes resident before the first task; 0 if the policy sets no limit on growth.
    began_with: u64,
    /// The programs that this worker runs, and what it restores after them.
    foreign: Foreign,
    /// What is wrong with this worker, if its client wants that.
    saboteur: Saboteur,
}

/// Runs until the region is stopping, or has another epoch than `epoch`. Returns the exit status. The rings' other ends
/// are the coordinator's, and the previous holder of these ends is dead.
pub fn run(
    control: &Control,
    region: Region,
    coordinator: u32,
    number: u32,
    epoch: u32,
    policy: &Policy,
) -> i32 {
    let slot = region.worker(number);
    // A file that may not grow any more (`ulimit -f`) is an error of the write, and not the end of this process. What it
    // starts gets its own signals.
    let _ = nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGXFSZ).thread_block();
    let (Ok(mut tasks), Ok(answers)) =
        (take_consumer(region.worker_down(number)), take_producer(region.worker_up(number)))
    else {
        return STATUS_OWN_BUG;
    };
    let bell = &control.coordinator(coordinator).bell;
    let began_with = policy.recycle_growth.map_or(0, |_| resident());
    let mut worker = Worker {
        region,
        index: coordinator,
        number,
        slot,
        coordinator: bell,
        answers,
        epoch,
        policy: *policy,
        done: 0,
        interrupted: Cell::new(false),
        began_with,
        foreign: Foreign::new(control.stamped().created_unix_ns, coordinator, number),
        saboteur: Saboteur::default(),
    };
    match Identity::of(std::process::id()) {
        Some(own) => slot.process.mark_live(own.pid, own.start_ticks),
        // Its parent has written who it is.
        None => slot.process.set_life(Life::Live),
    }
    bell.ring();
    let status = worker.serve(&mut tasks);
    worker.leave(status);
    status
}

/// Bytes of this process in memory; 0 if `/proc` cannot be read.
fn resident() -> u64 {
    procfs::process::Process::myself()
        .and_then(|process| process.statm())
        .map_or(0, |statm| statm.resident.saturating_mul(procfs::page_size()))
}

impl Worker {
    fn is_stopping(&self) -> bool {
        self.heeds_stop() || self.is_fenced()
    }

    /// As [`Self::is_stopping`], asked on behalf of the task in hand, which is given up if so. The word may be put right
    /// in the next moment; that does not bring back what was ended.
    fn gives_up(&self) -> bool {
        let stopping = self.is_stopping();
        self.interrupted.set(self.interrupted.get() || stopping);
        stopping
    }

    /// This process has outlived its coordinator: another one has the region. That should not happen, since a worker dies
    /// with its coordinator; if it does, this process must not write any more.
    fn is_fenced(&self) -> bool {
        // Pairs with the Release in `run_successor`.
        !planted(Bug::ObeysTheDead) && self.region.state().epoch.load(Ordering::Acquire) != self.epoch
    }

    fn serve(&mut self, tasks: &mut Consumer) -> i32 {
        let mut record = Record::empty();
        loop {
            loop {
                if self.is_fenced() {
                    return STATUS_FENCED;
                }
                if self.is_stopping() {
                    return STATUS_STOPPED;
                }
                match tasks.pop(&mut record) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => return STATUS_BAD_RING,
                }
                if record.kind != TASK {
                    return STATUS_BAD_RING;
                }
                self.carry_out(&mut record);
                if self.interrupted.get() {
                    // The task stays in hand: it is in the ring and in the table.
                    return if self.is_fenced() { STATUS_FENCED } else { STATUS_STOPPED };
                }
                // Only now: a worker killed before has left the task in the ring and in the table.
                tasks.acknowledge();
                if let Some(status) = self.wear() {
                    return status;
                }
            }
            self.beat();
            tasks.reassert();
            self.answers.reassert();
            self.slot.process.reassert_live();
            if self.is_retired() {
                return STATUS_STOPPED;
            }
            let wait = |tasks: &mut Consumer| tasks.is_ready() || self.is_stopping() || self.is_retired();
            self.slot.bell.wait(self.heartbeat(), || wait(tasks));
        }
    }

    /// How often it shows progress: several times within the time after which it would count as hung.
    fn heartbeat(&self) -> Duration {
        self.policy
            .hang_after
            .map_or(HEARTBEAT, |hang| (hang / 8).clamp(Duration::from_millis(10), HEARTBEAT))
    }

    /// Shows that this process makes progress.
    fn beat(&self) {
        let own = &self.slot.own;
        own.heartbeat.store(own.heartbeat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn is_retired(&self) -> bool {
        self.slot.orders.retire.load(Ordering::Acquire) != 0
    }

    /// The answer to this task is not wanted any more: its coordinator has ended it. That shows in the task table and not in
    /// an order to the worker, since an order is for one task and the next one may follow at once.
    fn is_cancelled(&self, task: &TaskHeader) -> bool {
        !crate::process::coordinator::is_leased(self.region, task, self.number)
    }

    /// The task, which is leased to this worker, is to end with an answer.
    fn is_ending(&self, task: &TaskHeader) -> bool {
        crate::process::coordinator::is_ending(self.region, task)
    }

    /// The current task must end early.
    fn is_cut_short(&self, task: &TaskHeader) -> bool {
        self.beat();
        self.gives_up() || self.is_cancelled(task)
    }

    /// Counts a task. Returns the exit status if this worker must be replaced.
    fn wear(&mut self) -> Option<i32> {
        self.done = self.done.saturating_add(1);
        if self.foreign.is_poisoned() {
            return Some(STATUS_POISONED);
        }
        let limits =
            Limits { after_tasks: self.policy.recycle_after, rss_growth_max: self.policy.recycle_growth };
        if limits == Limits::default() {
            return None;
        }
        let rss_bytes = limits.rss_growth_max.map_or(0, |_| resident());
        let wear = Wear { tasks: self.done, rss_bytes, baseline_rss: self.began_with };
        match after_task(&wear, &limits) {
            Decision::Keep => None,
            Decision::Recycle(Reason::Tasks(_)) => Some(STATUS_WORN),
            Decision::Recycle(Reason::Growth(_)) => Some(STATUS_GROWN),
        }
    }

    fn carry_out(&mut self, record: &mut Record) {
        let task = TaskHeader::read_from_bytes(&record.header).expect("headers have one size");
        let own = &self.slot.own;
        let started_ns = now_ns();
        if started_ns >= task.deadline_ns {
            // Its coordinator has timed it out, or does so at this moment. To do it all the same would make the tasks
            // behind it late as well.
            let answer = AnswerHeader { finished_ns: started_ns, ..self.answer_to(&task, started_ns) };
            self.send(&AnswerHeader { status: AnswerStatus::TimedOut as u32, ..answer }, &[]);
            return;
        }
        if task.is_ending() {
            // Another worker had begun it when it was cancelled, and died.
            let answer = AnswerHeader { finished_ns: started_ns, ..self.answer_to(&task, started_ns) };
            self.send(&AnswerHeader { status: AnswerStatus::Cancelled as u32, ..answer }, &[]);
            return;
        }
        if self.is_cancelled(&task) {
            let answer = AnswerHeader { finished_ns: started_ns, ..self.answer_to(&task, started_ns) };
            // One answer to each task that it was given; its coordinator counts this one as late.
            self.send(&AnswerHeader { status: AnswerStatus::TimedOut as u32, ..answer }, &[]);
            return;
        }
        own.progress_ns.store(started_ns, Ordering::Relaxed);
        own.task.store(task.id.sequence.wrapping_add(1), Ordering::Release);
        let mut answer = self.answer_to(&task, started_ns);
        if let Err(why) = self.work(&task, &mut answer, &mut record.body) {
            answer.status = AnswerStatus::Refused as u32;
            record.body = why.into_bytes();
            record.body.truncate(self.region.shape().payload_max() as usize);
        }
        if self.interrupted.get() {
            return;
        }
        answer.finished_ns = now_ns();
        let own = &self.slot.own;
        own.executed.store(own.executed.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        own.progress_ns.store(answer.finished_ns, Ordering::Relaxed);
        self.send_as_asked(&answer, &record.body);
        if self.interrupted.get() {
            return;
        }
        // The task is in hand until its answer is published: if the worker is killed before, it had begun the task, which
        // costs an attempt.
        self.slot.own.task.store(0, Ordering::Release);
    }

    fn answer_to(&self, task: &TaskHeader, started_ns: u64) -> AnswerHeader {
        AnswerHeader {
            id: task.id,
            started_ns,
            finished_ns: 0,
            worker: self.number,
            entry: task.entry,
            lease: task.lease,
            status: AnswerStatus::Ok as u32,
            code: 0,
            stdout_len: 0,
        }
    }

    /// Carries out the task; `body` becomes the answer's.
    fn work(
        &mut self,
        task: &TaskHeader,
        answer: &mut AnswerHeader,
        body: &mut Vec<u8>,
    ) -> Result<(), String> {
        let ends_ns = task.attempt_ends_ns(answer.started_ns);
        match TaskKind::from_raw(task.kind) {
            Some(TaskKind::Echo) => {}
            Some(TaskKind::Sleep) => {
                self.sleep(task, answer, task.parameter);
                body.clear();
            }
            Some(TaskKind::Compute) => {
                let end = thread_cpu_ns().saturating_add(task.parameter);
                let mut value = task.id.sequence;
                while thread_cpu_ns() < end && !self.is_cut_short(task) {
                    if now_ns() >= ends_ns {
                        answer.status = AnswerStatus::TimedOut as u32;
                        break;
                    }
                    for _ in 0..1_000 {
                        value = std::hint::black_box(
                            value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1),
                        );
                    }
                }
                body.clear();
            }
            Some(kind @ (TaskKind::Exec | TaskKind::Command | TaskKind::Agent | TaskKind::Canary)) => {
                match Sabotage::of_body(body).filter(|_| kind == TaskKind::Canary) {
                    Some(sabotage) => self.sabotage(&sabotage, task, answer, body)?,
                    None => self.run_foreign(kind, task, answer, body)?,
                }
            }
            None => return Err(format!("this worker does not know task kind {}", task.kind)),
        }
        Ok(())
    }

    /// From the start of the task on, unless that ends before.
    fn sleep(&self, task: &TaskHeader, answer: &mut AnswerHeader, time_ns: u64) {
        let ends_ns = task.attempt_ends_ns(answer.started_ns);
        let until = answer.started_ns.saturating_add(time_ns);
        loop {
            let now = now_ns();
            if now >= until || self.is_cut_short(task) {
                return;
            }
            if now >= ends_ns {
                answer.status = AnswerStatus::TimedOut as u32;
                return;
            }
            let slice = Duration::from_nanos(until.min(ends_ns) - now).min(self.heartbeat());
            self.slot.bell.wait(slice, || self.is_stopping() || self.is_cancelled(task));
        }
    }

    fn send(&mut self, answer: &AnswerHeader, body: &[u8]) {
        let mut header = [0; crate::bus::ring::HEADER];
        header.copy_from_slice(answer.as_bytes());
        while self.answers.push(ANSWER, &header, body).is_err() {
            if self.gives_up() {
                return;
            }
            self.slot.bell.wait(FULL_RING, || false);
        }
        if self.is_fenced() {
            self.interrupted.set(true);
            return;
        }
        self.answers.publish();
        self.region.ready().set(self.number as usize);
        self.coordinator.ring();
    }
}
