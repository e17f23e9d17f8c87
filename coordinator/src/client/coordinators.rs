//! The client's ends of the coordinators' rings: attached, lost, and what happens to the tasks there.

use super::{Client, Event, Failure, InFlight, Ledger, RESENT_MAX, SendError};
use crate::bus::directory::region_path;
use crate::bus::error::BusError;
use crate::bus::ring::{Consumer, Full, HEADER, Producer, Record};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::bus::written::{Foreign, OwnWord, put_back, put_back_wide};
use crate::os::identity::{ELSEWHERE, Identity, namespace};
use crate::process::coordinator::{take_consumer, take_producer};
use crate::process::reap::HowEnded;
use crate::wire::{ANSWER, AnswerHeader, CONTROL, ControlHeader, TASK, TaskHeader};
use std::cmp::Reverse;
use std::path::Path;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// If no supervisor adopts a fleet within this time after its supervisor died, none will.
const ADOPTED_WITHIN: Duration = Duration::from_secs(20);

/// A new client writes its start time within this time after its pid.
const IDENTIFIED_WITHIN: Duration = Duration::from_secs(1);

/// Words that wait to be told: as many as this client has, several times over.
const OVERWRITTEN_MAX: usize = 64;

/// What identifies an answer: sender, sequence, lease, time of its end, status.
type AnswerKey = (u32, u64, u32, u64, u32);

/// How well one more task fits a coordinator: it is serving, it has idle workers, it has had few tasks.
type Rank = (bool, i64, Reverse<u64>);

/// Why a task goes to another coordinator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reclaim {
    /// Its coordinator had counted it, and returned it with this many attempts left.
    Returned(u8),
    /// Its coordinator ended before it took the task.
    NeverTaken,
    /// Its coordinator is lost, with everything that it knew about the task.
    Lost,
}

/// The client's part of a coordinator's region.
pub(super) struct Link {
    pub(super) region: Region,
    /// The coordinator, as the kernel has shown it; a successor's only after its end.
    process: Option<Identity>,
    pub(super) tasks: Producer,
    pub(super) answers: Consumer,
    orders: Producer,
    pub(super) ledger: Ledger,
    /// The last answer from each entry of the coordinator's table. An entry gets no other task before its coordinator
    /// knows that the answer is published, so a repeated answer is always the last one.
    last_answers: Vec<Option<AnswerKey>>,
    pub(super) repeated: u64,
    pub(super) lost: Option<Failure>,
    /// Tasks that are not published yet.
    pub(super) staged: u32,
    /// Some were withdrawn: nothing is sent any more.
    pub(super) is_withdrawn: bool,
    /// Records before this one were taken, or are known to be left over.
    left_until: u64,
}

/// Makes this process the fleet's client, unless another living process is.
pub(super) fn become_client(control: &Control, dir: &Path) -> Result<(), BusError> {
    if control.stamped().namespace != namespace() {
        // Their pids and times mean others here.
        return Err(BusError::refused(dir, ELSEWHERE));
    }
    let state = control.state();
    let own = Identity::own();
    let new_until = Instant::now() + IDENTIFIED_WITHIN;
    loop {
        let pid = state.client_pid.load(Ordering::Acquire);
        let before = Identity { pid, start_ticks: state.client_start.load(Ordering::Relaxed) };
        if pid != 0 && (before == own || !before.is_gone()) {
            return Err(BusError::EndTaken { path: dir.to_owned() });
        }
        // A new client may have written its pid, and not its start time yet.
        if pid != 0 && Identity::of(pid).is_some_and(|found| found != before) && Instant::now() < new_until {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        if state.client_pid.compare_exchange(pid, own.pid, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            state.client_start.store(own.start_ticks, Ordering::Release);
            return Ok(());
        }
    }
}

impl Link {
    fn attach(client: &Control, dir: &Path, index: u32) -> Result<Self, BusError> {
        let path = region_path(dir, index);
        let region = Region::attach(&path, client.stamped(), index)?;
        let taken = |_| BusError::EndTaken { path: path.clone() };
        let process = client.coordinator(index).process.identity();
        Ok(Self {
            region,
            process: process.is_alive().then_some(process),
            tasks: take_producer(region.client_down()).map_err(taken)?,
            answers: take_consumer(region.client_up()).map_err(taken)?,
            orders: take_producer(region.client_control()).map_err(taken)?,
            ledger: Ledger::default(),
            last_answers: vec![None; region.table().len()],
            repeated: 0,
            lost: None,
            staged: 0,
            is_withdrawn: false,
            left_until: client.coordinator(index).own.left_until.load(Ordering::Acquire),
        })
    }

    fn takes_tasks(&self) -> bool {
        self.lost.is_none() && !self.is_withdrawn
    }

    /// Whether its coordinator lives, whatever its place says: a parent writes a death only when the kernel has told it.
    fn is_alive(&mut self, named: Identity) -> bool {
        let known = self.process.filter(Identity::is_alive);
        self.process = known.or_else(|| Some(named).filter(Identity::is_alive));
        self.process.is_some()
    }

    pub(super) fn order(&mut self, order: &ControlHeader) -> Result<(), Full> {
        let mut header = [0; HEADER];
        header.copy_from_slice(order.as_bytes());
        self.orders.push(CONTROL, &header, &[])?;
        self.orders.publish();
        Ok(())
    }

    /// Whether the answer has come before. Only a successor repeats answers.
    pub(super) fn is_repeated(&mut self, answer: &AnswerHeader) -> bool {
        // From its own word, written before its first answer; its parent may not have counted it yet.
        let is_successor = self.region.state().epoch.load(Ordering::Acquire) > 1;
        let Some(last) = self.last_answers.get_mut(answer.entry as usize) else { return false };
        let key = (answer.id.sender, answer.id.sequence, answer.lease, answer.finished_ns, answer.status);
        let before = last.replace(key);
        is_successor && before == Some(key)
    }
}

impl Client {
    /// Attaches to each coordinator that has come since the last call.
    pub(super) fn meet_coordinators(&mut self) -> Result<(), BusError> {
        for index in 0..self.links.len() {
            let process = &self.control.coordinator(index as u32).process;
            match &mut self.links[index] {
                Some(link) if link.lost.is_some() && process.life() == Life::Live => {
                    // A successor: its region is the same.
                    link.lost = None;
                }
                None if matches!(process.life(), Life::Live | Life::Replacing) => {
                    self.links[index] = Some(Link::attach(&self.control, &self.dir, index as u32)?);
                }
                // Its region may hold answers to an earlier client.
                None if matches!(process.life(), Life::Stopped | Life::Dead)
                    && region_path(&self.dir, index as u32).exists() =>
                {
                    let how = HowEnded::from_raw(process.wait_status.load(Ordering::Relaxed));
                    let mut link = Link::attach(&self.control, &self.dir, index as u32)?;
                    link.lost = Some(Failure::CoordinatorDied(index as u32, how));
                    self.links[index] = Some(link);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The coordinator with the most idle workers, as far as the client knows.
    pub(super) fn choose_coordinator(&mut self) -> Result<u32, SendError> {
        let (count, turn) = (self.links.len(), self.turn);
        let mut best: Option<(Rank, usize)> = None;
        let mut full = false;
        for at in 0..count {
            let index = (turn + at) % count;
            let Some(link) = self.links[index].as_ref().filter(|link| link.takes_tasks()) else { continue };
            let entry = self.control.coordinator(index as u32);
            if entry.retire.load(Ordering::Acquire) != 0 {
                continue;
            }
            if link.ledger.in_flight >= link.last_answers.len() as u64 {
                full = true;
                continue;
            }
            let live =
                self.control.workers_alive(index as u32).max(self.control.workers_wanted(index as u32));
            let room = i64::from(live) - link.ledger.in_flight as i64;
            // Where a coordinator is being replaced, or will not be, tasks wait.
            let serves = entry.process.life() == Life::Live;
            // Among equals, the one that has had the fewest tasks.
            let rank = (serves, room, Reverse(link.ledger.accepted));
            if best.is_none_or(|(before, _)| rank > before) {
                best = Some((rank, index));
            }
        }
        match best {
            Some((_, index)) => {
                self.turn = index + 1;
                Ok(index as u32)
            }
            None if full => Err(SendError::Backpressure),
            None => Err(SendError::DeadRecipient),
        }
    }

    /// Puts a task into a coordinator's ring and counts it; returns the position of its record in that ring.
    pub(super) fn push_task(
        &mut self,
        index: u32,
        header: &TaskHeader,
        body: &[u8],
    ) -> Result<u64, SendError> {
        let Some(link) = self.links[index as usize].as_mut().filter(|link| link.takes_tasks()) else {
            return Err(SendError::DeadRecipient);
        };
        if link.ledger.in_flight >= link.last_answers.len() as u64 {
            return Err(SendError::Backpressure);
        }
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(header.as_bytes());
        let position = link.tasks.position();
        link.tasks.push(TASK, &bytes, body).map_err(|_| SendError::Backpressure)?;
        link.staged += 1;
        link.ledger.accepted += 1;
        link.ledger.in_flight += 1;
        if link.staged >= self.batch_max.get() {
            self.flush_to(index);
        }
        Ok(position)
    }

    pub(super) fn drain(&mut self, index: usize, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        let mut record = std::mem::replace(&mut self.record, Record::empty());
        while let Some(link) = &mut self.links[index] {
            let broken = match link.answers.pop(&mut record) {
                Ok(true) if record.kind == ANSWER => {
                    events += 1;
                    self.take(index, &record, each);
                    continue;
                }
                Ok(false) => break,
                Ok(true) => "an unknown kind of record".to_owned(),
                Err(error) => error.to_string(),
            };
            events +=
                self.lose(index, &Failure::CoordinatorBroken(index as u32, broken), Reclaim::Lost, each);
            break;
        }
        self.record = record;
        if let Some(link) = &mut self.links[index] {
            link.answers.acknowledge();
        }
        events
    }

    pub(super) fn look_for_losses(&mut self, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        self.reassert_words();
        self.look_for_the_supervisor();
        // A coordinator that cannot be attached to now is tried again at the next look.
        let _ = self.meet_coordinators();
        for index in 0..self.links.len() {
            events += self.look_for_left(index, each);
            let process = &self.control.coordinator(index as u32).process;
            let Some(link) = self.links[index].as_mut().filter(|link| link.lost.is_none()) else { continue };
            link.tasks.reassert();
            link.answers.reassert();
            let (life, named) = (process.life(), process.identity());
            if life == Life::Live && link.process != Some(named) {
                link.is_alive(named);
            }
            let how = HowEnded::from_raw(process.wait_status.load(Ordering::Relaxed));
            let (failure, reclaim) = match life {
                // One that lives puts its place right.
                Life::Dead | Life::Stopped | Life::Absent
                    if !self.supervisor_lost && link.is_alive(named) =>
                {
                    continue;
                }
                Life::Dead => (Failure::CoordinatorDied(index as u32, how), Reclaim::Lost),
                // It took every task but those that came too late.
                Life::Stopped | Life::Absent => {
                    (Failure::CoordinatorDied(index as u32, how), Reclaim::NeverTaken)
                }
                _ if self.supervisor_lost => (Failure::SupervisorDied, Reclaim::Lost),
                _ => continue,
            };
            // Answers that it had published before it died count.
            events += self.drain(index, each);
            events += self.lose(index, &failure, reclaim, each);
        }
        events
    }

    /// Tasks that came too late for a coordinator that ended, and that its successor left in the ring.
    fn look_for_left(&mut self, index: usize, each: &mut impl FnMut(Event<'_>)) -> usize {
        let until = self.control.coordinator(index as u32).own.left_until.load(Ordering::Acquire);
        let Some(link) = &mut self.links[index] else { return 0 };
        // No coordinator leaves what was not sent to it: its word was overwritten, which it will say.
        if until <= link.left_until || until > link.tasks.position() {
            return 0;
        }
        link.left_until = until;
        // Every task that was taken has been answered before.
        let events = self.drain(index, each);
        let here = |task: &InFlight| task.coordinator == Some(index as u32) && task.position < until;
        let mut left: Vec<u64> =
            self.in_flight.iter().filter(|(_, task)| here(task)).map(|(sequence, _)| *sequence).collect();
        left.sort_unstable();
        left.retain(|sequence| !self.take_back(*sequence, Reclaim::NeverTaken));
        let failure = Failure::CoordinatorDied(index as u32, HowEnded::Exited(0));
        events + self.fail(&left, |_| failure.clone(), each)
    }

    /// Puts back the words of this client. Who the fleet's client is changes only after the end of this process.
    pub(super) fn reassert_words(&mut self) {
        let (own, state) = (self.own, self.control.state());
        self.note_overwritten(put_back(OwnWord::ClientPid, &state.client_pid, own.pid));
        self.note_overwritten(put_back_wide(OwnWord::ClientStart, &state.client_start, own.start_ticks));
        self.note_overwritten(put_back(OwnWord::ClientMoves, &state.client_moves, self.moves));
    }

    fn note_overwritten(&mut self, found: Option<Foreign>) {
        if self.overwritten.len() < OVERWRITTEN_MAX {
            self.overwritten.extend(found);
        }
    }

    /// The supervisor's death ends the fleet, unless another supervisor adopts it.
    fn look_for_the_supervisor(&mut self) {
        self.control.note_owner();
        let supervisor = self.control.owner();
        if self.control.stage() == Stage::Stopped || supervisor.pid == 0 || !supervisor.is_gone() {
            self.unsupervised_ns = 0;
            return;
        }
        let now = super::now_ns();
        if self.unsupervised_ns == 0 {
            self.unsupervised_ns = now;
        }
        let adoptable = self.control.state().adoptable.load(Ordering::Acquire) != 0;
        let patience = if adoptable { ADOPTED_WITHIN.as_nanos() as u64 } else { 0 };
        self.supervisor_lost |= now.saturating_sub(self.unsupervised_ns) >= patience;
    }

    /// Fails the tasks in flight at a coordinator, except those that can go to another one.
    fn lose(
        &mut self,
        index: usize,
        failure: &Failure,
        reclaim: Reclaim,
        each: &mut impl FnMut(Event<'_>),
    ) -> usize {
        if let Some(link) = &mut self.links[index] {
            link.lost = Some(failure.clone());
        }
        let here = |task: &InFlight| task.coordinator == Some(index as u32);
        let mut lost: Vec<u64> =
            self.in_flight.iter().filter(|(_, task)| here(task)).map(|(sequence, _)| *sequence).collect();
        lost.sort_unstable();
        let others = !self.supervisor_lost && !self.is_ending();
        lost.retain(|sequence| !(others && self.take_back(*sequence, reclaim)));
        let stopped = !self.supervisor_lost && self.is_ending();
        let failure = if stopped { &Failure::FleetEnded } else { failure };
        self.fail(&lost, |_| failure.clone(), each)
    }

    /// Takes a task for any worker back, to send it to another coordinator; false if that is not possible.
    pub(super) fn take_back(&mut self, sequence: u64, reclaim: Reclaim) -> bool {
        let Some(task) = self.in_flight.get_mut(&sequence) else { return false };
        let Some((header, _)) = &mut task.resend else { return false };
        if reclaim == Reclaim::Lost && task.resent >= RESENT_MAX {
            return false;
        }
        if let Reclaim::Returned(left) = reclaim {
            header.attempts_max = left;
        }
        task.resent += u8::from(reclaim == Reclaim::Lost);
        let Some(link) = task.coordinator.take().and_then(|index| self.links[index as usize].as_mut()) else {
            return false;
        };
        link.ledger.in_flight -= 1;
        match reclaim {
            // Its coordinator never had it.
            Reclaim::NeverTaken => link.ledger.accepted -= 1,
            Reclaim::Returned(_) | Reclaim::Lost => link.ledger.returned += 1,
        }
        self.unassigned_ledger.accepted += 1;
        self.unassigned_ledger.in_flight += 1;
        self.unassigned.push_back(sequence);
        // Before the record that returned it is acknowledged: a reader of the regions finds the task there, or this.
        self.publish_moves(true);
        true
    }

    /// Publishes whether the client has tasks that no region holds.
    pub(super) fn publish_moves(&mut self, has_some: bool) {
        let moves = &self.control.state().client_moves;
        let foreign = put_back(OwnWord::ClientMoves, moves, self.moves);
        if (self.moves % 2 == 1) != has_some {
            self.moves = self.moves.wrapping_add(1);
            moves.store(self.moves, Ordering::Release);
        }
        self.note_overwritten(foreign);
    }

    /// Sends tasks without a coordinator to coordinators that have room.
    pub(super) fn resend(&mut self, now: u64, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        for _ in 0..self.unassigned.len() {
            let Some(sequence) = self.unassigned.pop_front() else { break };
            let Some(task) = self.in_flight.get_mut(&sequence) else { continue };
            if task.cancelled {
                events += self.fail(&[sequence], |_| Failure::Cancelled, each);
                continue;
            }
            if task.deadline_ns <= now {
                events += self.fail(&[sequence], |task| Failure::Unassigned(task.terms.deadline), each);
                continue;
            }
            let Some((header, body)) = task.resend.take() else { continue };
            let sent = self
                .choose_coordinator()
                .and_then(|index| self.push_task(index, &header, &body).map(|position| (index, position)));
            let task = self
                .in_flight
                .get_mut(&sequence)
                .expect("it was found above, and sending removes no task in flight");
            task.resend = Some((header, body));
            let Ok((index, position)) = sent else {
                self.unassigned.push_front(sequence);
                break;
            };
            (task.coordinator, task.position) = (Some(index), position);
            // It is counted at its coordinator now.
            self.unassigned_ledger.accepted -= 1;
            self.unassigned_ledger.in_flight -= 1;
        }
        self.flush();
        events
    }
}
