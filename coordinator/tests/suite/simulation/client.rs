//! The client, and the operator. As in `coordinator::client`.

use super::event::Event;
use super::ghost::Ghost;
use super::world::{
    Bug, Copied, DOWN, DeadLetterState, FLEET, Flight, GRACE_NS, LETTERS, Life, MS, SENDER, World, no_task,
};
use coordinator::plan::lease::State;
use coordinator::wire::{
    ANY, AnswerHeader, AnswerStatus, Order, RETRY_FAILURES, REVIVED, TaskHeader, TaskId, attempt_of,
};

impl World {
    pub fn send(&mut self, event: Event) {
        let Event::Send { task: sequence, coord, worker, life_ms, retry } = event else { return };
        let fits = worker.is_none_or(|worker| worker < self.setup.workers);
        if self.client.closed[coord] || !fits || self.ghost.knows(sequence) {
            return;
        }
        let mut task = no_task();
        task.id = TaskId { epoch: FLEET, sender: SENDER, sequence };
        (task.sent_ns, task.deadline_ns) = (self.now_ns, self.now_ns + u64::from(life_ms) * MS);
        task.worker = worker.unwrap_or(ANY);
        task.kind |= if retry { RETRY_FAILURES } else { 0 };
        if self.put(coord, task) {
            self.ghost.accepted(sequence);
            self.client.accepted += 1;
            self.client.in_flight.insert(sequence, Flight { task, at: Some(coord) });
        }
    }

    fn put(&mut self, coord: usize, task: TaskHeader) -> bool {
        let ring = &mut self.region(coord).down;
        let room = ring.records.len() < DOWN;
        if room {
            ring.records.push_back(task);
        }
        room
    }

    pub fn resend(&mut self, coord: usize) {
        if self.client.closed[coord] {
            return;
        }
        let Some((sequence, task)) = self.client.in_flight.iter().find_map(|(sequence, flight)| {
            (flight.at.is_none() && flight.task.worker == ANY).then_some((*sequence, flight.task))
        }) else {
            return;
        };
        if self.put(coord, task) {
            self.client.in_flight.insert(sequence, Flight { task, at: Some(coord) });
            self.ghost.saw("a task sent elsewhere");
        }
    }

    pub fn cancel(&mut self, sequence: u64) {
        let Some(flight) = self.client.in_flight.get(&sequence) else { return };
        match flight.at {
            Some(coord) => self.region(coord).orders.push_back((Order::Cancel, sequence)),
            None => self.outcome(sequence, false),
        }
    }

    /// What came of a task that was waited for.
    fn outcome(&mut self, sequence: u64, well: bool) {
        self.client.in_flight.remove(&sequence);
        if well {
            self.client.answered += 1;
            self.ghost.saw("an answer");
        } else {
            self.client.failed += 1;
            self.ghost.saw("a failure");
        }
        if let Some(why) = self.ghost.ends(sequence, well) {
            self.wrong(|| why);
        }
    }

    pub fn poll(&mut self, coord: usize) {
        let answers: Vec<_> = self.region(coord).up.records.iter().copied().collect();
        for answer in &answers {
            self.hear(coord, answer);
        }
        self.region(coord).up.acknowledge(answers.len());
    }

    fn hear(&mut self, coord: usize, answer: &AnswerHeader) {
        let sequence = answer.id.sequence;
        let status = AnswerStatus::from_raw(answer.status);
        let told = (sequence, answer.lease, answer.finished_ns, answer.status);
        let before = self.client.told[coord][answer.entry as usize].replace(told);
        if self.seats[coord].region.epoch > 1 && before == Some(told) {
            self.client.repeated += 1;
            self.ghost.saw("an answer told twice");
            if !self.has(Bug::CountsRepeats) {
                return;
            }
        }
        if answer.status & REVIVED != 0 {
            if status == Some(AnswerStatus::Returned) {
                self.wrong(|| {
                    format!(
                        "task {sequence} was a dead letter, and is given back to who does not wait for it"
                    )
                });
            }
            self.ghost.saw("the end of a revived task");
            if let Some(why) = self.ghost.revived_ends(sequence) {
                self.wrong(|| why);
            }
            return;
        }
        let flight = self.client.in_flight.get(&sequence).copied();
        let here = flight.is_some_and(|flight| flight.at == Some(coord));
        // A command that ends badly has answered, unless its task says that this is a failure.
        let is_failure = flight.is_some_and(|flight| flight.task.retries_failures() && answer.code != 0);
        let well = status == Some(AnswerStatus::Ok) && !is_failure;
        match flight {
            Some(flight) if here && status == Some(AnswerStatus::Returned) => {
                // The process that settles takes nothing more: sent there once more it would come back for ever.
                let settles = self.seats[coord].process.as_ref().is_none_or(|process| process.settling);
                self.client.closed[coord] |= settles && !self.setup.replaced;
                // Only who said that any worker will do is sent to another one.
                if flight.task.worker == ANY {
                    // What was begun there counts there and elsewhere.
                    let left =
                        flight.task.attempts(self.setup.attempts()).saturating_sub(attempt_of(answer.lease));
                    let left = if self.has(Bug::AttemptsBeginAnew) { 0 } else { left };
                    let task = TaskHeader { attempts_max: left, ..flight.task };
                    self.client.in_flight.insert(sequence, Flight { at: None, task });
                } else {
                    self.outcome(sequence, false);
                }
            }
            _ if here || self.has(Bug::CountsRepeats) => {
                if let Some(why) = self.ghost.agree(sequence, well) {
                    self.wrong(|| why);
                }
                self.outcome(sequence, well);
            }
            _ if self.client.given_up.contains(&sequence) => self.client.late += 1,
            _ => {
                self.client.duplicates += 1;
                self.wrong(|| {
                    format!("the client hears of task {sequence} from {coord} without having asked")
                });
            }
        }
    }

    pub fn give_up(&mut self) {
        let now_ns = self.now_ns;
        let over = |flight: &Flight| {
            let grace = if flight.at.is_none() { 0 } else { GRACE_NS };
            flight.task.deadline_ns + grace <= now_ns
        };
        let expired: Vec<u64> =
            self.client.in_flight.iter().filter(|(_, flight)| over(flight)).map(|(id, _)| *id).collect();
        for sequence in expired {
            self.client.given_up.push(sequence);
            self.ghost.saw("a silent coordinator given up");
            self.outcome(sequence, false);
        }
    }

    pub fn look(&mut self) {
        for coord in 0..self.seats.len() {
            let life = self.seats[coord].life;
            if self.client.lost[coord] || !matches!(life, Life::Ended | Life::GivenUp) {
                continue;
            }
            // What it had published before it ended counts.
            self.poll(coord);
            (self.client.lost[coord], self.client.closed[coord]) = (true, true);
            let here = |flight: &Flight| flight.at == Some(coord);
            let left: Vec<_> = self
                .client
                .in_flight
                .iter()
                .filter(|(_, flight)| here(flight))
                .map(|(id, flight)| (*id, *flight))
                .collect();
            for (sequence, flight) in left {
                if life == Life::Ended && self.has(Bug::SettledTooEarly) {
                    continue;
                }
                if life == Life::Ended && flight.task.worker == ANY {
                    // Sent when its coordinator had ended: no worker has begun it.
                    self.ghost.saw("a task taken back");
                    self.client.in_flight.insert(sequence, Flight { at: None, ..flight });
                } else {
                    self.client.given_up.push(sequence);
                    self.outcome(sequence, false);
                }
            }
            if life == Life::Ended {
                self.region(coord).down.records.clear();
                self.region(coord).orders.clear();
            }
        }
    }

    // The operator.

    pub fn backup(&mut self) {
        let still = |life: Life, paused: bool| paused || life == Life::Ended;
        let all = self.seats.iter().all(|seat| {
            still(seat.life, seat.process.as_ref().is_some_and(|process| process.paused && process.serving))
        });
        if !all {
            return;
        }
        let mut copied = Copied { open: Vec::new(), ended: Vec::new(), letters: Vec::new() };
        for seat in &self.seats {
            for entry in &seat.region.table {
                let state = entry.word.state();
                let returned = AnswerStatus::from_raw(entry.answer.status) == Some(AnswerStatus::Returned)
                    && state == Some(State::Failed);
                if entry.is_open() || returned {
                    copied.open.push(entry.task);
                } else if state != Some(State::Free) {
                    copied.ended.push(entry.task.id.sequence);
                }
            }
            // What the table had no room for, and what the client has not read.
            copied.open.extend(seat.region.down.records.iter());
            for answer in &seat.region.up.records {
                if AnswerStatus::from_raw(answer.status) == Some(AnswerStatus::Returned) {
                    let task = self.client.in_flight.get(&answer.id.sequence).map(|flight| flight.task);
                    copied.open.extend(task);
                } else {
                    copied.ended.push(answer.id.sequence);
                }
            }
            copied.letters.push(seat.region.letters.clone());
        }
        copied.open.extend(self.client.in_flight.values().filter(|f| f.at.is_none()).map(|f| f.task));
        copied.ended.extend(self.ghost.ended());
        // Whom the client alone has given up is still open, and so is a letter that has become a task.
        let Copied { open, ended, .. } = &mut copied;
        ended.retain(|sequence| open.iter().all(|task| task.id.sequence != *sequence));
        let missing = self.client.in_flight.keys().copied().find(|sequence| {
            let open = copied.open.iter().any(|task| task.id.sequence == *sequence);
            !open && !copied.ended.contains(sequence)
        });
        if let Some(sequence) = missing {
            self.wrong(|| format!("the backup knows nothing of task {sequence}, which was accepted"));
        }
        if self.has(Bug::RestoresTheEnded) {
            let ended = copied.ended.clone();
            let now_ns = self.now_ns;
            let again = |sequence: u64| TaskHeader {
                id: TaskId { epoch: FLEET, sender: SENDER, sequence },
                sent_ns: now_ns,
                deadline_ns: now_ns + 5000 * MS,
                worker: ANY,
                ..no_task()
            };
            copied.open.extend(ended.into_iter().map(again));
        }
        self.ghost.saw("a backup");
        self.backup = Some(copied);
    }

    /// A fleet of the same kind on another host, with the tasks of the last backup.
    pub fn restore(&mut self) {
        let Some(copied) = self.backup.take() else { return };
        let (setup, now_ns, incarnations) = (self.setup, self.now_ns, self.incarnations);
        let before = std::mem::take(&mut self.ghost);
        let mut world = World::new(setup);
        (world.now_ns, world.incarnations) = (now_ns, incarnations + 1000);
        world.ghost = Ghost::after_restore(before, &copied.ended);
        for task in copied.open {
            let sequence = task.id.sequence;
            let life = task.lifetime_ns();
            let task = TaskHeader {
                worker: ANY,
                sent_ns: now_ns,
                deadline_ns: now_ns.saturating_add(life),
                entry: 0,
                lease: 0,
                ..task
            };
            if world.client.in_flight.insert(sequence, Flight { task, at: None }).is_none() {
                world.client.accepted += 1;
                world.ghost.accepted(sequence);
            }
        }
        for (seat, letters) in world.seats.iter_mut().zip(copied.letters) {
            seat.region.letters = letters;
            assert_eq!(seat.region.letters.len(), LETTERS);
            // No one is at the middle of anything when it has paused.
            assert!(seat.region.letters.iter().all(|letter| letter.state != DeadLetterState::Reviving));
        }
        world.ghost.saw("a restored fleet");
        world.wrong = self.wrong.take();
        *self = world;
    }
}
