//! Workers, deaths, hangs, load, take-overs: who is there, and what becomes of the tasks of who is not. As in
//! `process::{worker, supervisor}` and `process::coordinator::{workers, takeover}`.

use super::event::How;
use super::world::{Bug, Coordinator, DEPTH, ENTRIES, FLEET, Life, Link, Place, Ring, Step, Worker, World};
use coordinator::plan::health::{HealthEvent, Limits as Patience, Progress};
use coordinator::plan::lease::State;
use coordinator::plan::recover::{Action, Ending, Endings, Found, Limits, abandoned, balanced, decide};
use coordinator::plan::restart::Restart;
use coordinator::plan::retry::Cause;
use coordinator::plan::scaling::{Decision, Load};
use coordinator::wire::AnswerStatus;

const PATIENCE: Patience = Patience { suspect_ns: 30_000_000, confirm_ns: 15_000_000 };

impl World {
    // Workers.

    pub fn begin(&mut self, coord: usize, worker: u16) {
        let now_ns = self.now_ns;
        let epoch = self.region(coord).epoch;
        let place = self.place(coord, worker);
        let Some(process) = &mut place.process else { return };
        if process.stalled || process.hand.is_some() {
            return;
        }
        if process.epoch != epoch {
            return self.worker_ends(coord, worker, false);
        }
        let Some(task) = place.down.records.front().copied() else {
            if place.retire {
                self.worker_ends(coord, worker, true);
            }
            return;
        };
        if now_ns >= task.deadline_ns {
            // Its coordinator gives it up.
            return place.down.acknowledge(1);
        }
        place.own_task = task.id.sequence + 1;
        process.hand = Some((task, now_ns));
        if let Some(why) = self.ghost.begins(coord, &task, self.setup.attempts()) {
            self.wrong(|| why);
        }
    }

    pub fn end_task(&mut self, coord: usize, worker: u16, how: How) -> Step {
        let epoch = self.region(coord).epoch;
        let place = self.place(coord, worker);
        let Some(process) = place.process.clone() else { return Ok(()) };
        let Some((task, started_ns)) = process.hand else { return Ok(()) };
        if process.stalled || place.up.records.len() >= DEPTH {
            return Ok(());
        }
        let fenced = process.epoch != epoch || place.up.producer != process.incarnation;
        let answer = self.answer_of(&task, worker, how, started_ns);
        self.step()?;
        if fenced {
            self.worker_ends(coord, worker, false);
            return Ok(());
        }
        self.place(coord, worker).up.records.push_back(answer);
        if how == How::Well {
            self.ghost.published(&task);
        }
        self.step()?;
        // In hand until its answer is published.
        self.place(coord, worker).own_task = 0;
        self.step()?;
        let place = self.place(coord, worker);
        place.down.acknowledge(1);
        place.beats += 1;
        if let Some(process) = &mut place.process {
            process.hand = None;
        }
        Ok(())
    }

    pub fn worker_ends(&mut self, coord: usize, worker: u16, in_order: bool) {
        let orphan = self.seats[coord].process.is_none();
        let place = self.place(coord, worker);
        if place.process.take().is_some() && !orphan {
            place.corpse = Some(in_order);
        }
    }

    pub fn escape(&mut self, coord: usize, worker: u16) {
        if self.seats[coord].process.is_some() {
            return;
        }
        let place = self.place(coord, worker);
        if let Some(process) = place.process.take() {
            let records = place.down.records.iter().copied().collect();
            self.region(coord).escaped.push((worker, process.incarnation, records));
        }
    }

    /// The ring refuses who is not its producer any more.
    pub fn haunt(&mut self, coord: usize) {
        let no_fencing = self.has(Bug::NoFencing);
        let Some((worker, incarnation, mut records)) = self.region(coord).escaped.pop() else { return };
        if !records.is_empty() {
            let task = records.remove(0);
            let answer = self.answer_of(&task, worker, How::Well, self.now_ns);
            let up = &mut self.place(coord, worker).up;
            if (no_fencing || up.producer == incarnation) && up.records.len() < DEPTH {
                up.records.push_back(answer);
            } else {
                self.ghost.saw("an escaped worker fenced");
            }
            self.region(coord).escaped.push((worker, incarnation, records));
        }
    }

    // A coordinator's care for them.

    /// Emptied; their ends have no holders any more.
    fn renew_rings(&mut self, coord: usize, worker: u16) -> Step {
        self.step()?;
        self.place(coord, worker).own_task = 0;
        self.step()?;
        let place = self.place(coord, worker);
        place.down = Ring::default();
        self.step()?;
        let place = self.place(coord, worker);
        place.up = Ring::default();
        Ok(())
    }

    pub fn fork(&mut self, coord: usize) {
        let due = |link: &Link| link.due && link.open;
        let Some(worker) = self.process(coord).links.iter().position(due) else { return };
        self.incarnations += 1;
        let (incarnation, epoch) = (self.incarnations, self.region(coord).epoch);
        self.process(coord).links[worker].due = false;
        let place = &mut self.region(coord).workers[worker];
        if place.process.is_some() || place.corpse.is_some() {
            return;
        }
        (place.retire, place.up.producer) = (false, incarnation);
        place.process = Some(Worker { incarnation, epoch, stalled: false, hand: None });
    }

    pub fn reap(&mut self, coord: usize) -> Step {
        let mut dead = Vec::new();
        for worker in 0..self.setup.workers {
            if let Some(in_order) = self.place(coord, worker).corpse.take() {
                dead.push((worker, in_order));
            }
        }
        let mut again = Vec::new();
        for (worker, in_order) in dead {
            self.drain(coord, worker)?;
            let (now_ns, policy) = (self.now_ns, self.policy);
            let verdict = if in_order {
                Restart::Again
            } else {
                self.link(coord, worker).restarts.died(now_ns, &policy)
            };
            again.push((worker, in_order, verdict));
        }
        for entry in (0..ENTRIES).rev() {
            let slot = self.region(coord).table[entry].clone();
            let (word, home) = (slot.word, slot.task.place());
            let whose = if word.state() == Some(State::Leased) { Some(word.worker().into()) } else { home };
            let dead = again.iter().find(|(worker, ..)| whose == Some(u32::from(*worker)));
            let Some((worker, _, verdict)) = dead.copied() else { continue };
            let in_hand = word.state() == Some(State::Leased)
                && self.place(coord, word.worker()).own_task == slot.task.id.sequence + 1;
            match word.state() {
                Some(State::Queued | State::Leased) if verdict == Restart::GiveUp && home.is_some() => {
                    self.fail(coord, entry, abandoned(word, in_hand))?;
                }
                Some(State::Leased) if in_hand => {
                    let hung = self.link(coord, worker).hung;
                    let cause = if hung { Cause::Hung } else { Cause::Died };
                    if !self.try_again(coord, entry, cause)? {
                        let status = if hung { AnswerStatus::WorkerHung } else { AnswerStatus::WorkerDied };
                        self.fail(coord, entry, status)?;
                    }
                }
                Some(State::Leased) if !self.has(Bug::LostLease) => {
                    self.put_back(coord, entry)?;
                    self.line_up(coord, entry);
                }
                _ => {}
            }
        }
        if again.len() > 1 {
            self.ghost.saw("two deaths in one pass");
        }
        for (worker, in_order, verdict) in again {
            if verdict == Restart::GiveUp {
                self.ghost.saw("a worker's place given up");
            }
            self.link(coord, worker).hung = false;
            self.link(coord, worker).open = verdict == Restart::Again;
            let waits = !self.link(coord, worker).waiting.is_empty();
            self.link(coord, worker).due = verdict == Restart::Again && (!in_order || waits);
            self.renew_rings(coord, worker)?;
        }
        self.fail_without_workers(coord)
    }

    /// Where no place is open any more, no task waits for a worker.
    fn fail_without_workers(&mut self, coord: usize) -> Step {
        if self.process(coord).links.iter().any(|link| link.open) {
            return Ok(());
        }
        for entry in 0..ENTRIES {
            if self.region(coord).table[entry].is_open() {
                self.fail(coord, entry, AnswerStatus::WorkerDead)?;
            }
        }
        Ok(())
    }

    pub fn watch(&mut self, coord: usize) {
        for worker in 0..self.setup.workers {
            let place = self.place(coord, worker);
            let (counter, corpse) = (place.beats, place.corpse.is_some());
            let progress = place
                .process
                .as_ref()
                .filter(|_| !corpse)
                .map(|process| Progress { incarnation: process.incarnation as u32, counter });
            let now_ns = self.now_ns;
            let link = self.link(coord, worker);
            match link.watch.observe(progress, now_ns, &PATIENCE) {
                Some(HealthEvent::Confirmed { .. }) => {
                    link.hung = true;
                    self.worker_ends(coord, worker, false);
                    self.ghost.saw("a worker ended because it hung");
                }
                Some(HealthEvent::Healed { .. }) => self.ghost.saw("a worker suspected and healed"),
                Some(HealthEvent::Suspected { .. }) | None => {}
            }
        }
    }

    pub fn scale(&mut self, coord: usize) {
        let retiring = |place: &&Place| place.process.is_some() && !place.retire;
        let live = self.region(coord).workers.iter().filter(retiring).count() as u32;
        let busy = self.region(coord).table.iter().filter(|entry| entry.is_open()).count() as u32;
        let (now_ns, marks) = (self.now_ns, self.marks);
        match self.process(coord).scaler.step(Load { busy, live }, now_ns, &marks) {
            Decision::Stay => {}
            Decision::Grow(more) => {
                self.ghost.saw("workers started by load");
                let mut left = more;
                for worker in 0..self.setup.workers {
                    let place = self.place(coord, worker);
                    if left > 0 && place.process.is_none() && place.corpse.is_none() {
                        self.link(coord, worker).due = true;
                        left -= 1;
                    }
                }
            }
            Decision::Shrink(fewer) => {
                self.ghost.saw("workers retired by load");
                let mut left = fewer;
                for place in self.region(coord).workers.iter_mut().rev() {
                    if left > 0 && place.process.is_some() && !place.retire {
                        place.retire = true;
                        left -= 1;
                    }
                }
            }
        }
    }

    // The supervisor.

    /// A coordinator at `coord`'s place that was vacant before, or the last has ended in order.
    pub fn start(&mut self, coord: usize) {
        // The client must have seen that the last is gone, and have taken back what that did not take.
        let region = &self.seats[coord].region;
        if self.seats[coord].life != Life::Ended || (region.epoch > 0 && !self.client.lost[coord]) {
            return;
        }
        let workers = usize::from(self.setup.workers);
        let region = self.region(coord);
        region.epoch += 1;
        region.escaped.clear();
        let seat = &mut self.seats[coord];
        (seat.life, seat.incarnation) = (Life::Live, seat.incarnation + 1);
        let link = Link { open: true, due: true, ..Link::default() };
        seat.process = Some(Coordinator {
            links: vec![link; workers],
            free: (0..ENTRIES).rev().collect(),
            serving: true,
            ..Coordinator::default()
        });
        seat.region.workers.iter_mut().for_each(|place| *place = Place::default());
        (self.client.lost[coord], self.client.closed[coord]) = (false, false);
    }

    pub fn coordinator_dies(&mut self, coord: usize) {
        let seat = &mut self.seats[coord];
        if seat.process.take().is_none() {
            return;
        }
        seat.life = Life::Dead;
        for place in &mut seat.region.workers {
            place.corpse = None;
            // Most die at once; who is in the middle of something may get a moment.
            if place.process.as_ref().is_some_and(|process| process.hand.is_none())
                && place.down.records.is_empty()
            {
                place.process = None;
            }
        }
    }

    pub fn watch_all(&mut self) {
        for coord in 0..self.seats.len() {
            let seat = &mut self.seats[coord];
            let progress = seat
                .process
                .as_ref()
                .map(|process| Progress { incarnation: seat.incarnation, counter: process.beats });
            let event = seat.watch.observe(progress, self.now_ns, &PATIENCE);
            match event {
                Some(HealthEvent::Confirmed { .. }) => {
                    self.coordinator_dies(coord);
                    self.ghost.saw("a coordinator ended because it hung");
                }
                Some(HealthEvent::Healed { .. }) => self.ghost.saw("a coordinator suspected and healed"),
                Some(HealthEvent::Suspected { .. }) | None => {}
            }
        }
    }

    pub fn succeed(&mut self, coord: usize) -> Step {
        let seat = &mut self.seats[coord];
        if seat.life != Life::Dead {
            return Ok(());
        }
        // It waits for the end of all that the dead one had forked.
        seat.region.workers.iter_mut().for_each(|place| place.process = None);
        let gives_up =
            self.setup.replaced && seat.restarts.died(self.now_ns, &self.policy) == Restart::GiveUp;
        if gives_up {
            seat.life = Life::GivenUp;
            self.ghost.saw("a coordinator's place given up");
            return Ok(());
        }
        (seat.life, seat.incarnation) = (Life::Live, seat.incarnation + 1);
        seat.process = Some(Coordinator {
            links: vec![Link::default(); self.setup.workers.into()],
            settling: !self.setup.replaced,
            ..Coordinator::default()
        });
        self.take_over(coord)
    }

    fn take_over(&mut self, coord: usize) -> Step {
        self.step()?;
        self.region(coord).epoch += 1;
        let by_id = self.has(Bug::TakenForKnown);
        let region = self.region(coord);
        let known: Vec<u64> = region
            .table
            .iter()
            .filter(|entry| entry.word.state() != Some(State::Free))
            .map(|entry| entry.task.id.sequence)
            .collect();
        // Recorded and not acknowledged: what was given back, and is sent here again, is another record.
        let recorded = |sequence: u64| {
            let word = region.entry_of(sequence).map(|entry| region.table[entry].word);
            word.is_some_and(|word| by_id || word.state() == Some(State::Queued) && word.attempt() == 0)
        };
        let already = region.down.records.iter().take_while(|task| recorded(task.id.sequence)).count();
        self.step()?;
        self.region(coord).down.acknowledge(already);
        self.settle_letters(coord, &known)?;
        self.balance(coord)?;
        if !self.has(Bug::LeasesBeforeAnswers) {
            self.process(coord).taking_over = true;
            for worker in 0..self.setup.workers {
                self.drain(coord, worker)?;
            }
            self.process(coord).taking_over = false;
        }
        self.sort_out(coord)?;
        for worker in 0..self.setup.workers {
            self.renew_rings(coord, worker)?;
            let settling = self.process(coord).settling;
            let link = self.link(coord, worker);
            (link.open, link.due) = (!settling, !settling);
        }
        if self.process(coord).settling {
            for entry in 0..ENTRIES {
                if self.region(coord).table[entry].is_open() {
                    self.give_back(coord, entry)?;
                }
            }
        }
        self.process(coord).serving = true;
        let settling = self.process(coord).settling;
        self.ghost.saw(if settling { "a settlement" } else { "a take-over" });
        self.ends_in_order(coord);
        Ok(())
    }

    fn balance(&mut self, coord: usize) -> Step {
        let double = self.has(Bug::DoubleCount);
        let region = self.region(coord);
        let counters = region.counters.clone();
        let accepted = region.down.acknowledged + counters.revived;
        let in_flight = region.table.iter().filter(|entry| entry.is_open()).count() as u64;
        let counted = Endings {
            answered: counters.answered,
            failed: counters.failed,
            failed_tasks: counters.failed_tasks,
            returned: counters.returned,
        };
        let under_way = Ending::from_raw(counters.ending);
        let mut now = balanced(accepted, in_flight, counted, under_way);
        if double && under_way == Some(Ending::Answered) {
            now = Endings { answered: counted.answered + 1, ..counted };
        }
        self.step()?;
        self.region(coord).counters.answered = now.answered;
        self.step()?;
        self.region(coord).counters.failed_tasks = now.failed_tasks;
        self.step()?;
        self.region(coord).counters.failed = now.failed;
        self.step()?;
        self.region(coord).counters.returned = now.returned;
        self.step()?;
        self.region(coord).counters.accepted = accepted;
        self.step()?;
        self.region(coord).counters.ending = 0;
        Ok(())
    }

    /// Every entry gets what the plan says.
    fn sort_out(&mut self, coord: usize) -> Step {
        let limits = Limits {
            workers: self.setup.workers.into(),
            payload_max: 0,
            attempts_max: self.policy.attempts_max,
            epoch: FLEET,
        };
        self.process(coord).untold.clear();
        let (mut waiting, mut untold) = (Vec::new(), Vec::new());
        for entry in 0..ENTRIES {
            let slot = self.region(coord).table[entry].clone();
            let worker = slot.word.worker();
            let in_hand = slot.word.state() == Some(State::Leased)
                && worker < self.setup.workers
                && self.place(coord, worker).own_task == slot.task.id.sequence + 1;
            let found = Found {
                entry: entry as u32,
                word: slot.word,
                task: slot.task,
                task_len: 0,
                answer: slot.answer,
                answer_len: 0,
                in_hand,
            };
            match decide(&found, &limits) {
                Action::Leave => {}
                // Its attempt has failed just now, among what the dead had published: it waits for its time.
                Action::Wait if self.process(coord).later.iter().any(|(_, later, _)| *later == entry) => {}
                Action::Wait => waiting.push((slot.task.id, entry)),
                Action::Requeue(hand) => {
                    let home = slot.task.worker;
                    self.step()?;
                    self.change(coord, entry, |word| word.requeue(hand, home));
                    waiting.push((slot.task.id, entry));
                }
                Action::Fail(status) => {
                    self.fail(coord, entry, status)?;
                    untold.push((slot.task.id, entry));
                }
                Action::Report => untold.push((slot.task.id, entry)),
                action @ (Action::Condemn | Action::Clear) => self.wrong(|| {
                    format!(
                        "nothing is damaged here, and yet entry {coord}/{entry} is to be {action:?}: {found:?}"
                    )
                }),
            }
        }
        waiting.sort_unstable();
        untold.sort_unstable();
        self.process(coord).untold = untold.into_iter().map(|(_, entry)| entry).collect();
        for (_, entry) in waiting.into_iter().rev() {
            self.line_up(coord, entry);
        }
        let table = &self.region(coord).table;
        let free = (0..ENTRIES).rev().filter(|at| table[*at].word.state() == Some(State::Free)).collect();
        self.process(coord).free = free;
        Ok(())
    }

    /// Who settles or retires ends when nothing is left.
    pub fn ends_in_order(&mut self, coord: usize) {
        let early = self.has(Bug::SettledTooEarly);
        let Some(process) = &self.seats[coord].process else { return };
        let leaves = process.serving && (process.settling || process.retiring);
        let table_is_clear =
            self.seats[coord].region.table.iter().all(|entry| entry.word.state() == Some(State::Free));
        let clear = self.seats[coord].region.is_clear() || (early && table_is_clear);
        if leaves && clear {
            let seat = &mut self.seats[coord];
            (seat.process, seat.life) = (None, Life::Ended);
            self.ghost.saw("a coordinator's end in order");
            let seat = &mut self.seats[coord];
            for place in &mut seat.region.workers {
                (place.process, place.corpse) = (None, None);
            }
        }
    }
}
