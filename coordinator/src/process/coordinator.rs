//! A coordinator: between one client and its workers. Owns the task table of its region.
//!
//! The loop takes what there is (tasks from the client, answers from the workers, deaths, deadlines),
//! decides by `plan::lease`, and sleeps on one bell when there is nothing.

use super::clock::now_ns;
use super::fork;
use super::identity::Identity;
use super::reap::reap_any;
use super::worker;
use crate::bus::copy::{copy_in, copy_out};
use crate::bus::doorbell::Doorbell;
use crate::bus::ring::{Consumer, HEADER, Producer, Record};
use crate::bus::slot::{Life, Stage, TableEntry};
use crate::bus::sync::{AtomicU64, Ordering};
use crate::bus::view::{Control, Region};
use crate::plan::lease::{Claim, State, Word};
use crate::wire::{ANSWER, AnswerHeader, AnswerStatus, TASK, TaskHeader, TaskId};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// Without work the rings are looked over this often: it repairs a wake-up lost with its writer.
const TICK: Duration = Duration::from_millis(100);
/// While answers wait for room in the client's ring.
const BLOCKED: Duration = Duration::from_millis(2);
/// From the first fork to the last worker's word that it is there.
const START_MAX: Duration = Duration::from_secs(30);
/// What workers get to end by themselves. More than a command gets (`exec`), less than the
/// supervisor gives a coordinator.
const STOP_GRACE: Duration = Duration::from_millis(1500);
/// A fork that the kernel refuses for now is tried again this often.
const FORK_TRIES: u32 = 5;
/// Given-up tasks remembered per worker, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 64;

struct Link {
    tasks: Producer,
    answers: Consumer,
    pid: Pid,
    alive: bool,
    /// Queued in the table, waiting for room in the worker's ring.
    waiting: VecDeque<u32>,
    given_up: VecDeque<TaskId>,
    /// Something was staged since the last publication.
    touched: bool,
}

struct Coordinator {
    index: u32,
    control: Control,
    region: Region,
    table: &'static [TableEntry],
    bell: &'static Doorbell,
    from_client: Consumer,
    to_client: Producer,
    links: Vec<Link>,
    by_pid: HashMap<Pid, u32>,
    free: Vec<u32>,
    /// Entries done or failed that the client has not been told of.
    untold: VecDeque<u32>,
    /// No deadline in the table is before this.
    earliest_ns: u64,
    /// The client wrote what cannot be: nothing more is read from it.
    client_broken: bool,
    /// Room for the numbers of ready workers, kept between rounds.
    ready: Vec<usize>,
}

/// Runs coordinator `index`; `report` hears once whether its workers are there. Returns the exit status.
pub fn run(control: Control, region: Region, index: u32, report: impl FnOnce(Result<(), String>)) -> i32 {
    let bell = &control.coordinator(index).bell;
    if let Err(errno) = fork::ring_on_child(bell) {
        report(Err(format!("cannot watch its workers: {errno}")));
        return 70;
    }
    let links = match start_workers(control, region, index) {
        Ok(links) => links,
        Err(why) => {
            report(Err(why));
            return 20;
        }
    };
    let (Some(from_client), Some(to_client)) =
        (region.client_down().consumer(), region.client_up().producer())
    else {
        report(Err("its rings to the client are taken".to_owned()));
        return 70;
    };
    let table = region.table();
    let workers = links.len();
    let mut coordinator = Coordinator {
        index,
        control,
        region,
        table,
        bell,
        from_client,
        to_client,
        by_pid: links.iter().zip(0..).map(|(link, number)| (link.pid, number)).collect(),
        links,
        free: (0..table.len() as u32).rev().collect(),
        untold: VecDeque::new(),
        earliest_ns: u64::MAX,
        client_broken: false,
        ready: Vec::with_capacity(workers),
    };
    let ready = coordinator.wait_for_workers();
    let up = ready.is_ok();
    if up {
        control.coordinator(index).process.set_life(Life::Live);
    }
    report(ready);
    if up {
        coordinator.serve();
    }
    coordinator.stop();
    if up { 0 } else { 20 }
}

fn start_workers(control: Control, region: Region, index: u32) -> Result<Vec<Link>, String> {
    let mut links = Vec::new();
    for number in 0..region.shape().workers_per_coordinator() {
        let taken = || format!("the rings of worker/{index}.{number} are taken");
        // Our ends first: the child inherits the claim on neither.
        let tasks = region.worker_down(number).producer().ok_or_else(taken)?;
        let answers = region.worker_up(number).consumer().ok_or_else(taken)?;
        let name = format!("worker/{index}.{number}");
        let pid = fork_patiently(&name, || {
            if fork::child_signals().is_err() {
                return 70;
            }
            worker::run(&control, region, index, number)
        })
        .map_err(|errno| format!("cannot start {name}: {errno} (is the limit on processes reached?)"))?;
        let start_ticks = Identity::of(pid.as_raw() as u32).map_or(0, |identity| identity.start_ticks);
        region.worker(number).process.born(pid.as_raw() as u32, start_ticks);
        links.push(Link {
            tasks,
            answers,
            pid,
            alive: true,
            waiting: VecDeque::new(),
            given_up: VecDeque::new(),
            touched: false,
        });
    }
    Ok(links)
}

/// EAGAIN and ENOMEM may pass; anything else is final.
fn fork_patiently(name: &str, body: impl Fn() -> i32) -> nix::Result<Pid> {
    let mut pause = Duration::from_millis(5);
    for _ in 1..FORK_TRIES {
        match fork::spawn(name, None, &body) {
            Err(nix::Error::EAGAIN | nix::Error::ENOMEM) => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
    fork::spawn(name, None, body)
}

impl Coordinator {
    fn is_stopping(&self) -> bool {
        matches!(self.control.stage(), Stage::Stopping | Stage::Stopped)
    }

    fn wait_for_workers(&mut self) -> Result<(), String> {
        let deadline = now_ns() + START_MAX.as_nanos() as u64;
        let workers = self.links.len() as u32;
        let mut seen = 0;
        loop {
            if fork::child_ended() {
                self.reap();
            }
            while seen < workers && self.region.worker(seen).process.life() != Life::Starting {
                if self.region.worker(seen).process.life() != Life::Live {
                    return Err(format!("worker/{}.{seen} ended while it started", self.index));
                }
                seen += 1;
            }
            if seen == workers {
                return Ok(());
            }
            if self.is_stopping() {
                return Err("stopped while its workers started".to_owned());
            }
            if now_ns() > deadline {
                return Err(format!("worker/{}.{seen} did not attach within {START_MAX:?}", self.index));
            }
            let region = self.region;
            self.bell.wait(Duration::from_millis(20), || {
                region.worker(seen).process.life() != Life::Starting || fork::child_ended_pending()
            });
        }
    }

    fn serve(&mut self) {
        let mut record = Record::empty();
        let mut next_scan = now_ns() + TICK.as_nanos() as u64;
        while !self.is_stopping() {
            if fork::child_ended() {
                self.reap();
            }
            self.take_tasks(&mut record);
            self.take_answers(&mut record);
            let now = now_ns();
            if now >= self.earliest_ns {
                self.expire(now);
            }
            if now >= next_scan {
                let state = self.region.state();
                state.heartbeat.store(state.heartbeat.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                for number in 0..self.links.len() {
                    self.drain(number, &mut record);
                }
                next_scan = now + TICK.as_nanos() as u64;
            }
            self.tell();
            self.sleep(now, next_scan);
        }
    }

    fn sleep(&mut self, now: u64, next_scan: u64) {
        let wake = next_scan.min(self.earliest_ns);
        let mut timeout = Duration::from_nanos(wake.saturating_sub(now));
        if !self.untold.is_empty() {
            timeout = timeout.min(BLOCKED);
        }
        let (ready, control) = (self.region.ready(), self.control);
        let (client, room) = (&mut self.from_client, !self.free.is_empty() && !self.client_broken);
        self.bell.wait(timeout, || {
            !ready.is_clear()
                || (room && client.is_ready())
                || control.stage() != Stage::Ready && control.stage() != Stage::Starting
                || fork::child_ended_pending()
        });
    }

    /// From the client's ring into the table and on to the workers.
    fn take_tasks(&mut self, record: &mut Record) {
        let counters = self.region.counters();
        let mut accepted = 0;
        while !self.client_broken
            && let Some(&entry) = self.free.last()
        {
            match self.from_client.pop(record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    self.client_broken = true;
                    break;
                }
            }
            let mut task = TaskHeader::read_from_bytes(&record.header).expect("headers have one size");
            let fits = record.body.len() <= self.region.shape().payload_max() as usize;
            if record.kind != TASK || task.worker as usize >= self.links.len() || !fits {
                self.client_broken = true;
                break;
            }
            self.free.pop();
            accepted += 1;
            task.entry = entry;
            let slot = &self.table[entry as usize];
            copy_in(&slot.header, task.as_bytes());
            copy_in(self.region.body(entry), &record.body);
            slot.body_len.store(record.body.len() as u32, Ordering::Relaxed);
            self.step(entry, |word| word.queue(task.worker as u16));
            self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            let link = &mut self.links[task.worker as usize];
            if link.alive {
                link.waiting.push_back(entry);
                self.hand_over(task.worker as usize);
            } else {
                self.fail(entry, AnswerStatus::WorkerDead);
            }
        }
        if accepted > 0 {
            counters.accepted.store(counters.accepted.load(Ordering::Relaxed) + accepted, Ordering::Relaxed);
            // Now that it is in the table.
            self.from_client.acknowledge();
            self.publish_tasks();
        }
    }

    /// From the table into the worker's ring, as far as there is room.
    fn hand_over(&mut self, number: usize) {
        let link = &mut self.links[number];
        while let Some(&entry) = link.waiting.front() {
            let slot = &self.table[entry as usize];
            let word = Word::from_raw(slot.word.load(Ordering::Relaxed));
            let Some(leased) = word.lease() else {
                // It timed out while it waited here.
                link.waiting.pop_front();
                continue;
            };
            let task = TaskHeader { attempt: leased.attempt().into(), ..task_of(slot) };
            let mut body = vec![0; slot.body_len.load(Ordering::Relaxed) as usize];
            copy_out(self.region.body(entry), &mut body);
            let mut header = [0; HEADER];
            header.copy_from_slice(task.as_bytes());
            if link.tasks.push(TASK, &header, &body).is_err() {
                return;
            }
            slot.word.store(leased.raw(), Ordering::Release);
            link.waiting.pop_front();
            link.touched = true;
        }
    }

    fn publish_tasks(&mut self) {
        for (number, link) in self.links.iter_mut().enumerate() {
            if std::mem::take(&mut link.touched) {
                link.tasks.publish();
                self.region.worker(number as u32).bell.ring();
            }
        }
    }

    fn take_answers(&mut self, record: &mut Record) {
        let mut ready = std::mem::take(&mut self.ready);
        self.region.ready().take(|number| ready.push(number));
        let workers = self.links.len();
        for number in ready.drain(..).filter(|number| *number < workers) {
            self.drain(number, record);
        }
        self.ready = ready;
        self.publish_tasks();
    }

    /// Everything that worker `number` has published.
    fn drain(&mut self, number: usize, record: &mut Record) {
        loop {
            match self.links[number].answers.pop(record) {
                Ok(true) if record.kind == ANSWER => self.answer(number, record),
                Ok(false) => break,
                Ok(true) | Err(_) => {
                    // It writes nonsense: cut it off, and let its death take the usual way.
                    if self.links[number].alive {
                        let _ = kill(self.links[number].pid, Signal::SIGKILL);
                    }
                    break;
                }
            }
        }
        let link = &mut self.links[number];
        // The answers are in the table; only now may the worker use the room again.
        link.answers.acknowledge();
        if !link.waiting.is_empty() {
            self.hand_over(number);
        }
    }

    fn answer(&mut self, number: usize, record: &Record) {
        let answer = AnswerHeader::read_from_bytes(&record.header).expect("headers have one size");
        let counters = self.region.counters();
        let mut deadline_ns = None;
        let accepted = self.table.get(answer.entry as usize).is_some_and(|slot| {
            let word = Word::from_raw(slot.word.load(Ordering::Relaxed));
            let task = task_of(slot);
            deadline_ns = Some(task.deadline_ns);
            task.id == answer.id
                && answer.worker == number as u32
                && word.claim(number as u16, answer.attempt as u8) == Claim::Accept
        });
        let known =
            matches!(AnswerStatus::from_raw(answer.status), Some(AnswerStatus::Ok | AnswerStatus::Refused));
        let fits = record.body.len() <= self.region.shape().payload_max() as usize;
        // Too late at the worker is too late, also if the coordinator was too busy to say so first.
        let in_time = deadline_ns.is_some_and(|deadline_ns| answer.finished_ns <= deadline_ns);
        if accepted && !in_time {
            self.fail(answer.entry, AnswerStatus::TimedOut);
        }
        if accepted && known && fits && in_time {
            let slot = &self.table[answer.entry as usize];
            copy_in(&slot.header, answer.as_bytes());
            copy_in(self.region.body(answer.entry), &record.body);
            slot.body_len.store(record.body.len() as u32, Ordering::Relaxed);
            slot.status.store(answer.status, Ordering::Relaxed);
            self.step(answer.entry, Word::finish);
            let counter =
                if answer.status == AnswerStatus::Ok as u32 { &counters.answered } else { &counters.failed };
            add(counter);
            self.untold.push_back(answer.entry);
            return;
        }
        let link = &mut self.links[number];
        let late = link.given_up.iter().position(|id| *id == answer.id);
        let status = if let Some(at) = late {
            link.given_up.remove(at);
            add(&counters.late);
            AnswerStatus::Late
        } else {
            add(&counters.duplicates);
            AnswerStatus::Duplicate
        };
        let notice = AnswerHeader { status: status as u32, ..answer };
        let mut header = [0; HEADER];
        header.copy_from_slice(notice.as_bytes());
        // The count is what matters; a client that is behind need not hear of each.
        let _ = self.to_client.push(ANSWER, &header, &[]);
    }

    fn step(&self, entry: u32, step: impl Fn(Word) -> Option<Word>) {
        let slot = &self.table[entry as usize];
        let word = Word::from_raw(slot.word.load(Ordering::Relaxed));
        let next = step(word).expect("the coordinator takes only steps that the state allows");
        // Pairs with the Acquire of whoever takes the region over: the entry is whole before its state.
        let swapped = slot.word.compare_exchange(word.raw(), next.raw(), Ordering::AcqRel, Ordering::Relaxed);
        assert!(swapped.is_ok(), "the task table has one writer");
    }

    /// Gives entry up. Its header becomes that of the answer that says so.
    fn fail(&mut self, entry: u32, status: AnswerStatus) {
        let slot = &self.table[entry as usize];
        let task = task_of(slot);
        let code = self.region.worker(task.worker).process.wait_status.load(Ordering::Relaxed);
        let answer = AnswerHeader {
            id: task.id,
            started_ns: 0,
            finished_ns: now_ns(),
            worker: task.worker,
            entry,
            attempt: Word::from_raw(slot.word.load(Ordering::Relaxed)).attempt().into(),
            status: status as u32,
            code,
            stdout_len: 0,
        };
        let link = &mut self.links[task.worker as usize];
        link.waiting.retain(|waiting| *waiting != entry);
        if link.given_up.len() == GIVEN_UP_MAX {
            link.given_up.pop_front();
        }
        link.given_up.push_back(task.id);
        copy_in(&slot.header, answer.as_bytes());
        slot.body_len.store(0, Ordering::Relaxed);
        slot.status.store(answer.status, Ordering::Relaxed);
        self.step(entry, Word::fail);
        add(&self.region.counters().failed);
        self.untold.push_back(entry);
    }

    fn open_entries(&self) -> impl Iterator<Item = (u32, TaskHeader)> + use<> {
        let table = self.table;
        (0..table.len() as u32).filter_map(move |entry| {
            let slot = &table[entry as usize];
            let word = Word::from_raw(slot.word.load(Ordering::Relaxed));
            matches!(word.state(), Some(State::Queued | State::Leased)).then(|| (entry, task_of(slot)))
        })
    }

    fn expire(&mut self, now: u64) {
        self.earliest_ns = u64::MAX;
        for (entry, task) in self.open_entries() {
            if task.deadline_ns <= now {
                self.fail(entry, AnswerStatus::TimedOut);
            } else {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
    }

    /// Answers and failures into the client's ring, as far as there is room.
    fn tell(&mut self) {
        while let Some(&entry) = self.untold.front() {
            let slot = &self.table[entry as usize];
            let mut header = [0; HEADER];
            copy_out(&slot.header, &mut header);
            let mut body = vec![0; slot.body_len.load(Ordering::Relaxed) as usize];
            copy_out(self.region.body(entry), &mut body);
            if self.to_client.push(ANSWER, &header, &body).is_err() {
                break;
            }
            self.untold.pop_front();
            self.step(entry, Word::free);
            self.free.push(entry);
        }
        if self.to_client.publish() {
            self.control.client_bell().ring();
        }
    }

    fn reap(&mut self) {
        while let Some((pid, how)) = reap_any() {
            let Some(&number) = self.by_pid.get(&pid) else { continue };
            let stopping = self.is_stopping() || self.region.state().stopping.load(Ordering::Relaxed) != 0;
            let slot = self.region.worker(number);
            slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
            // Asked to end and ended in order; killed after its grace it is as dead as any other.
            let orderly = stopping && how.is_orderly();
            slot.process.set_life(if orderly { Life::Stopped } else { Life::Dead });
            if !orderly {
                self.control.state().deaths.fetch_add(1, Ordering::AcqRel);
            }
            self.links[number as usize].alive = false;
            let command = Identity {
                pid: slot.own.command_pid.load(Ordering::Acquire),
                start_ticks: slot.own.command_start.load(Ordering::Relaxed),
            };
            // The group outlives its leader, so a leader that is gone proves nothing about it; but a
            // pid that is somebody else's now must not be touched.
            if command.pid != 0 && Identity::of(command.pid).is_none_or(|found| found == command) {
                let _ = killpg(Pid::from_raw(command.pid as i32), Signal::SIGKILL);
            }
            if stopping {
                continue;
            }
            // What it had published before it died counts.
            let mut record = Record::empty();
            self.drain(number as usize, &mut record);
            for (entry, task) in self.open_entries() {
                if task.worker == number {
                    self.fail(entry, AnswerStatus::WorkerDied);
                }
            }
            self.control.client_bell().shout();
        }
    }

    fn stop(&mut self) {
        self.region.state().stopping.store(1, Ordering::Release);
        for number in 0..self.links.len() as u32 {
            self.region.worker(number).bell.shout();
        }
        let deadline = now_ns() + STOP_GRACE.as_nanos() as u64;
        let mut killed = false;
        loop {
            fork::child_ended();
            self.reap();
            if self.links.iter().all(|link| !link.alive) {
                return;
            }
            let now = now_ns();
            if now >= deadline && !killed {
                for link in self.links.iter().filter(|link| link.alive) {
                    let _ = kill(link.pid, Signal::SIGKILL);
                }
                killed = true;
            }
            let left = if killed { TICK } else { Duration::from_nanos(deadline.saturating_sub(now)) };
            self.bell.wait(left.min(TICK), fork::child_ended_pending);
        }
    }
}

/// The task that an entry holds, while it is queued or leased.
fn task_of(slot: &TableEntry) -> TaskHeader {
    let mut header = [0; HEADER];
    copy_out(&slot.header, &mut header);
    TaskHeader::read_from_bytes(&header).expect("headers have one size")
}

fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
