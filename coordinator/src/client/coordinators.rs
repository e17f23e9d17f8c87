//! A client's ends of the coordinators' rings: met, lost, and what becomes of the tasks there.

use super::{Client, Event, Failure, InFlight, Ledger, RESENT_MAX, SendError, Why};
use crate::bus::directory::region_path;
use crate::bus::error::BusError;
use crate::bus::ring::{Consumer, Full, HEADER, Producer, Record};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::os::identity::Identity;
use crate::process::coordinator::{take_consumer, take_producer};
use crate::process::reap::HowEnded;
use crate::wire::{ANSWER, AnswerHeader, CONTROL, ControlHeader, TASK, TaskHeader};
use std::cmp::Reverse;
use std::path::Path;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// A fleet whose supervisor is dead gets another one within this time, or never.
const ADOPTED_WITHIN: Duration = Duration::from_secs(20);

/// A client that has just come says who it is within this time.
const SAYS_WHO_WITHIN: Duration = Duration::from_secs(1);

/// What makes an answer itself: sequence, lease, end and status.
type Told = (u64, u32, u64, u32);

/// How well a coordinator can do with one more task: it serves, it has room, it has had few.
type Rank = (bool, i64, Reverse<u64>);

/// This end's part of a coordinator's region.
pub(super) struct Link {
    pub(super) region: Region,
    pub(super) tasks: Producer,
    pub(super) answers: Consumer,
    orders: Producer,
    pub(super) ledger: Ledger,
    /// The last that was told from each entry of the coordinator's table. An entry has no other task
    /// before its coordinator knows that it has told, so what is told once more is always the last.
    told: Vec<Option<Told>>,
    pub(super) repeated: u64,
    pub(super) lost: Option<Failure>,
    pub(super) staged: bool,
    /// Records before this one were taken or are known to be left.
    left_until: u64,
}

/// The fleet's client is this process from now on, unless there is another that lives.
pub(super) fn become_client(control: &Control, dir: &Path) -> Result<(), BusError> {
    let state = control.state();
    let own = Identity::own();
    let new_until = Instant::now() + SAYS_WHO_WITHIN;
    loop {
        let pid = state.client_pid.load(Ordering::Acquire);
        let before = Identity { pid, start_ticks: state.client_start.load(Ordering::Relaxed) };
        if pid != 0 && (before == own || !before.is_gone()) {
            return Err(BusError::EndTaken { path: dir.to_owned() });
        }
        // It may have the place since a moment ago, and not have said yet when it was started.
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
        Ok(Self {
            region,
            tasks: take_producer(region.client_down()).map_err(taken)?,
            answers: take_consumer(region.client_up()).map_err(taken)?,
            orders: take_producer(region.client_control()).map_err(taken)?,
            ledger: Ledger::default(),
            told: vec![None; region.table().len()],
            repeated: 0,
            lost: None,
            staged: false,
            left_until: client.coordinator(index).own.left_until.load(Ordering::Acquire),
        })
    }

    pub(super) fn order(&mut self, order: &ControlHeader) -> Result<(), Full> {
        let mut header = [0; HEADER];
        header.copy_from_slice(order.as_bytes());
        self.orders.push(CONTROL, &header, &[])?;
        self.orders.publish();
        Ok(())
    }

    /// Only a successor repeats anything.
    pub(super) fn is_repeated(&mut self, answer: &AnswerHeader) -> bool {
        // By its own word, which it writes before it tells anything; its parent may not have counted it yet.
        let is_successor = self.region.state().epoch.load(Ordering::Acquire) > 1;
        let Some(last) = self.told.get_mut(answer.entry as usize) else { return false };
        let told = (answer.id.sequence, answer.lease, answer.finished_ns, answer.status);
        let before = last.replace(told);
        is_successor && before == Some(told)
    }
}

impl Client {
    /// Takes this end's part of each coordinator that is there and was not before.
    pub(super) fn meet_coordinators(&mut self) -> Result<(), BusError> {
        for index in 0..self.links.len() {
            let process = &self.control.coordinator(index as u32).process;
            match &mut self.links[index] {
                Some(link) if link.lost.is_some() && process.life() == Life::Live => {
                    // Another one has the place: its region is the same.
                    link.lost = None;
                }
                None if matches!(process.life(), Life::Live | Life::Replacing) => {
                    self.links[index] = Some(Link::attach(&self.control, &self.dir, index as u32)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the most workers have nothing to do, by what is known here.
    pub(super) fn roomiest(&mut self) -> Result<u32, SendError> {
        let (count, turn) = (self.links.len(), self.turn);
        let mut best: Option<(Rank, usize)> = None;
        let mut full = false;
        for at in 0..count {
            let index = (turn + at) % count;
            let Some(link) = self.links[index].as_ref().filter(|link| link.lost.is_none()) else { continue };
            let entry = self.control.coordinator(index as u32);
            if entry.retire.load(Ordering::Acquire) != 0 {
                continue;
            }
            if link.ledger.in_flight >= link.told.len() as u64 {
                full = true;
                continue;
            }
            let own = &entry.own;
            let live = own.live.load(Ordering::Relaxed).max(own.wanted.load(Ordering::Relaxed));
            let room = i64::from(live) - link.ledger.in_flight as i64;
            // Where one is replaced, or nobody comes any more, tasks wait.
            let serves = entry.process.life() == Life::Live;
            // Among equals to whoever has had the fewest.
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

    /// A task into a coordinator's ring, and into this end's book; which record of that ring it is.
    pub(super) fn hand_in(&mut self, index: u32, header: &TaskHeader, body: &[u8]) -> Result<u64, SendError> {
        let Some(link) = self.links[index as usize].as_mut().filter(|link| link.lost.is_none()) else {
            return Err(SendError::DeadRecipient);
        };
        if link.ledger.in_flight >= link.told.len() as u64 {
            return Err(SendError::Backpressure);
        }
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(header.as_bytes());
        let position = link.tasks.position();
        link.tasks.push(TASK, &bytes, body).map_err(|_| SendError::Backpressure)?;
        link.staged = true;
        link.ledger.accepted += 1;
        link.ledger.in_flight += 1;
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
            events += self.lose(index, &Failure::CoordinatorBroken(index as u32, broken), Why::Lost, each);
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
        self.look_for_the_supervisor();
        // One that cannot be met now is met at the next look.
        let _ = self.meet_coordinators();
        for index in 0..self.links.len() {
            events += self.look_for_left(index, each);
            if self.links[index].as_ref().is_none_or(|link| link.lost.is_some()) {
                continue;
            }
            let process = &self.control.coordinator(index as u32).process;
            let how = HowEnded::from_raw(process.wait_status.load(Ordering::Relaxed));
            let (failure, why) = match process.life() {
                Life::Dead => (Failure::CoordinatorDied(index as u32, how), Why::Lost),
                // It took all that it was sent, but for what came too late.
                Life::Stopped | Life::Absent => {
                    (Failure::CoordinatorDied(index as u32, how), Why::NeverTaken)
                }
                _ if self.supervisor_lost => (Failure::SupervisorDied, Why::Lost),
                _ => continue,
            };
            // What it had published before it died counts.
            events += self.drain(index, each);
            events += self.lose(index, &failure, why, each);
        }
        events
    }

    /// What came too late for a coordinator that ended, and was left lying by the next one.
    fn look_for_left(&mut self, index: usize, each: &mut impl FnMut(Event<'_>)) -> usize {
        let until = self.control.coordinator(index as u32).own.left_until.load(Ordering::Acquire);
        let Some(link) = &mut self.links[index] else { return 0 };
        if until <= link.left_until {
            return 0;
        }
        link.left_until = until;
        // All that was taken has been told before.
        let events = self.drain(index, each);
        let here = |task: &InFlight| task.coordinator == Some(index as u32) && task.position < until;
        let mut left: Vec<u64> =
            self.in_flight.iter().filter(|(_, task)| here(task)).map(|(sequence, _)| *sequence).collect();
        left.sort_unstable();
        left.retain(|sequence| !self.take_back(*sequence, Why::NeverTaken));
        let failure = Failure::CoordinatorDied(index as u32, HowEnded::Exited(0));
        events + self.fail(&left, |_| failure.clone(), each)
    }

    /// Its death ends the fleet, unless another one adopts it.
    fn look_for_the_supervisor(&mut self) {
        let supervisor = self.control.owner();
        if self.control.stage() == Stage::Stopped || supervisor.pid == 0 || !supervisor.is_gone() {
            self.alone_ns = 0;
            return;
        }
        let now = super::now_ns();
        if self.alone_ns == 0 {
            self.alone_ns = now;
        }
        let adoptable = self.control.state().adoptable.load(Ordering::Acquire) != 0;
        let patience = if adoptable { ADOPTED_WITHIN.as_nanos() as u64 } else { 0 };
        self.supervisor_lost |= now.saturating_sub(self.alone_ns) >= patience;
    }

    /// Fails everything in flight at a coordinator, but for what others can do.
    fn lose(&mut self, index: usize, failure: &Failure, why: Why, each: &mut impl FnMut(Event<'_>)) -> usize {
        if let Some(link) = &mut self.links[index] {
            link.lost = Some(failure.clone());
        }
        let here = |task: &InFlight| task.coordinator == Some(index as u32);
        let mut lost: Vec<u64> =
            self.in_flight.iter().filter(|(_, task)| here(task)).map(|(sequence, _)| *sequence).collect();
        lost.sort_unstable();
        let others = !self.supervisor_lost && !self.is_ending();
        lost.retain(|sequence| !(others && self.take_back(*sequence, why)));
        self.fail(&lost, |_| failure.clone(), each)
    }

    /// A task for anybody goes to another coordinator; false if it cannot.
    pub(super) fn take_back(&mut self, sequence: u64, why: Why) -> bool {
        let Some(task) = self.in_flight.get_mut(&sequence) else { return false };
        let Some((header, _)) = &mut task.again else { return false };
        if why == Why::Lost && task.resent >= RESENT_MAX {
            return false;
        }
        if let Why::Returned(left) = why {
            header.attempts_max = left;
        }
        task.resent += u8::from(why == Why::Lost);
        let Some(link) = task.coordinator.take().and_then(|index| self.links[index as usize].as_mut()) else {
            return false;
        };
        link.ledger.in_flight -= 1;
        match why {
            // Its coordinator never heard of it.
            Why::NeverTaken => link.ledger.accepted -= 1,
            Why::Returned(_) | Why::Lost => link.ledger.returned += 1,
        }
        self.nowhere.accepted += 1;
        self.nowhere.in_flight += 1;
        self.homeless.push_back(sequence);
        // Before what handed it back is acknowledged: who reads the regions finds it there, or reads this.
        self.note_moves(true);
        true
    }

    /// Says whether this end has tasks that no region holds.
    pub(super) fn note_moves(&self, has_some: bool) {
        let moves = &self.control.state().client_moves;
        let before = moves.load(Ordering::Relaxed);
        if (before % 2 == 1) != has_some {
            moves.store(before.wrapping_add(1), Ordering::Release);
        }
    }

    /// Those without a coordinator, to whoever has room.
    pub(super) fn send_again(&mut self, now: u64, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        for _ in 0..self.homeless.len() {
            let Some(sequence) = self.homeless.pop_front() else { break };
            let Some(task) = self.in_flight.get_mut(&sequence) else { continue };
            if task.cancelled {
                events += self.fail(&[sequence], |_| Failure::Cancelled, each);
                continue;
            }
            if task.deadline_ns <= now {
                events += self.fail(&[sequence], |task| Failure::Homeless(task.terms.deadline), each);
                continue;
            }
            let Some((header, body)) = task.again.take() else { continue };
            let sent = self
                .roomiest()
                .and_then(|index| self.hand_in(index, &header, &body).map(|position| (index, position)));
            let task = self.in_flight.get_mut(&sequence).expect("it was found above");
            task.again = Some((header, body));
            let Ok((index, position)) = sent else {
                self.homeless.push_front(sequence);
                break;
            };
            (task.coordinator, task.position) = (Some(index), position);
            // It is counted where it is now.
            self.nowhere.accepted -= 1;
            self.nowhere.in_flight -= 1;
        }
        self.flush();
        events
    }
}
