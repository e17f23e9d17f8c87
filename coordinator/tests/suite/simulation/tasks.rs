//! A coordinator and its tasks: from the client's ring to the workers, and back. The order of the stores is that
//! of `process::coordinator::{table, tasks, answers, letters}`.

use super::event::How;
use super::world::{Bug, DeadLetterState, Letter, Step, UP, World};
use coordinator::plan::lease::{Attempt, Claim, NO_WORKER, State, Word};
use coordinator::plan::recover::Ending;
use coordinator::plan::retry::{Cause, Next, after_failure};
use coordinator::wire::{
    AnswerHeader, AnswerStatus, Order, REVIVED, TaskHeader, attempt_of, epoch_of, lease,
};

/// Exit status of a command that How::Badly ends.
pub const BAD: i32 = 3;

/// The worker that a task waits for once it is queued again.
fn home(task: &TaskHeader) -> u16 {
    task.place().map_or(NO_WORKER, |place| place as u16)
}

impl World {
    pub fn accept(&mut self, coord: usize) -> Step {
        let Some(mut task) = self.region(coord).down.records.front().copied() else { return Ok(()) };
        self.forget_told(coord, task.id.sequence)?;
        let Some(entry) = self.process(coord).free.pop() else { return Ok(()) };
        if self.has(Bug::AcknowledgeBeforeTable) {
            self.step()?;
            self.region(coord).down.acknowledge(1);
        }
        (task.entry, task.lease) = (entry as u32, 0);
        self.record(coord, entry, task, false)?;
        if !self.has(Bug::AcknowledgeBeforeTable) {
            self.step()?;
            self.region(coord).down.acknowledge(1);
        }
        self.step()?;
        self.count_accepted(coord);
        self.enter(coord, entry)
    }

    /// A predecessor has given the task back, and its client has heard of it: it sends it here again.
    fn forget_told(&mut self, coord: usize, sequence: u64) -> Step {
        let Some(entry) = self.region(coord).entry_of(sequence) else { return Ok(()) };
        self.ghost.saw("a task given back that comes again");
        self.step()?;
        self.change(coord, entry, Word::free);
        let process = self.process(coord);
        process.untold.retain(|untold| *untold != entry);
        process.free.push(entry);
        Ok(())
    }

    fn record(&mut self, coord: usize, entry: usize, task: TaskHeader, revived: bool) -> Step {
        self.step()?;
        let slot = &mut self.region(coord).table[entry];
        (slot.task, slot.revived) = (task, revived);
        self.step()?;
        self.change(coord, entry, |word| word.queue(task.worker));
        Ok(())
    }

    fn count_accepted(&mut self, coord: usize) {
        let region = self.region(coord);
        region.counters.accepted = region.down.acknowledged + region.counters.revived;
    }

    /// A task that has come into the table.
    pub fn enter(&mut self, coord: usize, entry: usize) -> Step {
        if self.process(coord).settling {
            return self.give_back(coord, entry);
        }
        let task = self.region(coord).table[entry].task;
        let links = &mut self.process(coord).links;
        match task.place() {
            Some(place) if links[place as usize].open => {
                links[place as usize].waiting.push_back(entry);
                Ok(())
            }
            None if links.iter().any(|link| link.open) => {
                self.process(coord).anyone.push_back(entry);
                Ok(())
            }
            Some(_) | None => self.fail(coord, entry, AnswerStatus::WorkerDead),
        }
    }

    /// Before the others, since it came before them.
    pub fn line_up(&mut self, coord: usize, entry: usize) {
        match self.region(coord).table[entry].task.place() {
            Some(place) => self.link(coord, place as u16).waiting.push_front(entry),
            None => self.process(coord).anyone.push_front(entry),
        }
    }

    pub fn hand_over(&mut self, coord: usize) -> Step {
        // Not seen by the workers before it is published, and lost with this process.
        let mut staged: Vec<(u16, TaskHeader)> = Vec::new();
        for worker in 0..self.setup.workers {
            while let Some(entry) = self.link(coord, worker).waiting.front().copied() {
                if !self.stage(coord, worker, entry, &mut staged)? {
                    break;
                }
                self.link(coord, worker).waiting.pop_front();
            }
        }
        while let Some(entry) = self.process(coord).anyone.front().copied() {
            if self.region(coord).table[entry].word.state() == Some(State::Queued) {
                let idle = (0..self.setup.workers).find(|worker| {
                    let has_staged = staged.iter().any(|(to, _)| to == worker);
                    self.link(coord, *worker).open && !has_staged && self.is_idle(coord, *worker)
                });
                let Some(worker) = idle else { break };
                if !self.stage(coord, worker, entry, &mut staged)? {
                    break;
                }
            }
            self.process(coord).anyone.pop_front();
        }
        for (worker, task) in staged {
            self.step()?;
            self.place(coord, worker).down.records.push_back(task);
        }
        Ok(())
    }

    fn is_idle(&mut self, coord: usize, worker: u16) -> bool {
        let place = self.place(coord, worker);
        place.down.records.is_empty()
            && place.up.records.is_empty()
            && !place.retire
            && self.link(coord, worker).waiting.is_empty()
    }

    /// False if the ring has no room.
    fn stage(
        &mut self,
        coord: usize,
        worker: u16,
        entry: usize,
        staged: &mut Vec<(u16, TaskHeader)>,
    ) -> Result<bool, super::world::Killed> {
        let region = self.region(coord);
        // Otherwise it has ended while it waited.
        let Some(leased) = region.table[entry].word.lease(worker) else { return Ok(true) };
        let task = TaskHeader { lease: lease(region.epoch, leased.attempt()), ..region.table[entry].task };
        let waiting = staged.iter().filter(|(to, _)| *to == worker).count();
        if !self.link(coord, worker).open
            || self.place(coord, worker).down.records.len() + waiting >= super::world::DEPTH
        {
            return Ok(false);
        }
        staged.push((worker, task));
        self.step()?;
        self.change(coord, entry, |word| word.lease(worker));
        self.ghost.leased(coord, entry, task.lease);
        let place = self.place(coord, worker);
        if place.process.is_none() && place.corpse.is_none() {
            self.link(coord, worker).due = true;
        }
        Ok(true)
    }

    /// Everything that a worker has published.
    pub fn drain(&mut self, coord: usize, worker: u16) -> Step {
        let records: Vec<_> = self.place(coord, worker).up.records.iter().copied().collect();
        for answer in &records {
            self.answer(coord, worker, answer)?;
        }
        // The answers are in the table.
        self.step()?;
        self.place(coord, worker).up.acknowledge(records.len());
        Ok(())
    }

    fn answer(&mut self, coord: usize, worker: u16, answer: &AnswerHeader) -> Step {
        let taking_over = self.process(coord).taking_over;
        let (no_fencing, former_life) = (self.has(Bug::NoFencing), self.has(Bug::FormerLife));
        let region = self.region(coord);
        let current = epoch_of(answer.lease) == epoch_of(lease(region.epoch, 0));
        if current == taking_over && !no_fencing {
            region.counters.fenced += 1;
            self.ghost.saw("an answer of an epoch that is over");
            return Ok(());
        }
        let entry = answer.entry as usize;
        let slot = &region.table[entry];
        // Begun in the life that the task has now: a dead letter may have become a task again.
        let of_this_life = answer.started_ns >= slot.task.sent_ns || former_life;
        let here = slot.word.state() != Some(State::Free) && slot.task.id == answer.id && of_this_life;
        if !here || slot.word.claim(worker, attempt_of(answer.lease)) == Claim::Stale {
            let seen = slot.word.state() == Some(State::Done)
                && AnswerHeader { status: slot.answer.status & !REVIVED, ..slot.answer } == *answer;
            if here && taking_over && seen {
                self.ghost.saw("an answer taken by a predecessor");
            } else {
                region.counters.late += 1;
                self.ghost.saw("a late answer");
            }
            return Ok(());
        }
        if answer.finished_ns > slot.task.deadline_ns {
            region.counters.late += 1;
            return self.fail(coord, entry, AnswerStatus::TimedOut);
        }
        if let Some(why) =
            self.ghost.not_the_lease(coord, entry, answer, &self.seats[coord].region.table[entry].task)
        {
            self.wrong(|| why);
        }
        self.count(coord, entry, answer)
    }

    /// The one answer that counts: it ends its task, or is an attempt that failed.
    fn count(&mut self, coord: usize, entry: usize, answer: &AnswerHeader) -> Step {
        let (task, revived) = (self.region(coord).table[entry].task, self.region(coord).table[entry].revived);
        let cause = match AnswerStatus::from_raw(answer.status) {
            Some(AnswerStatus::Refused) => Some(Cause::Refused),
            Some(AnswerStatus::TimedOut) => Some(Cause::TimedOut),
            _ if answer.code != 0 && task.retries_failures() => Some(Cause::ExitedBadly),
            _ => None,
        };
        if let Some(cause) = cause {
            if self.try_again(coord, entry, cause)? {
                return Ok(());
            }
            self.write_letter(coord, entry)?;
        }
        let ending = match AnswerStatus::from_raw(answer.status) {
            Some(AnswerStatus::Ok) if answer.code != 0 => Ending::FailedTask,
            Some(AnswerStatus::Ok) => Ending::Answered,
            _ => Ending::Failed,
        };
        let mark = if revived { REVIVED } else { 0 };
        let told = AnswerHeader { status: answer.status | mark, ..*answer };
        self.ending(coord, entry, ending, &told, Word::finish)
    }

    /// An attempt at a leased entry has failed. True if another one follows.
    pub fn try_again(
        &mut self,
        coord: usize,
        entry: usize,
        cause: Cause,
    ) -> Result<bool, super::world::Killed> {
        let (word, task) = (self.region(coord).table[entry].word, self.region(coord).table[entry].task);
        let most = task.attempts(self.policy.attempts_max);
        let retries = task.retries_failures();
        let next =
            after_failure(cause, word.attempt(), most, retries, self.now_ns, task.deadline_ns, &self.backoff);
        let Next::Again { at_ns } = next else { return Ok(false) };
        let hand = if self.has(Bug::SameAttempt) { Attempt::NotBegun } else { Attempt::Begun };
        self.step()?;
        self.change(coord, entry, |word| word.requeue(hand, home(&task)));
        self.process(coord).later.push((at_ns, entry, word.generation()));
        self.ghost.saw("another attempt");
        Ok(true)
    }

    /// A leased entry that no worker began.
    pub fn put_back(&mut self, coord: usize, entry: usize) -> Step {
        let task = self.region(coord).table[entry].task;
        self.step()?;
        self.change(coord, entry, |word| word.requeue(Attempt::NotBegun, home(&task)));
        Ok(())
    }

    pub fn resume(&mut self, coord: usize) {
        let now_ns = self.now_ns;
        let (mut due, later): (Vec<_>, Vec<_>) =
            self.process(coord).later.drain(..).partition(|(at_ns, ..)| *at_ns <= now_ns);
        self.process(coord).later = later;
        due.sort_unstable();
        for (_, entry, generation) in due {
            let word = self.region(coord).table[entry].word;
            if word.state() == Some(State::Queued) && word.generation() == generation {
                self.line_up(coord, entry);
            }
        }
    }

    /// Gives an open entry up.
    pub fn fail(&mut self, coord: usize, entry: usize, status: AnswerStatus) -> Step {
        let (epoch, now_ns) = (self.region(coord).epoch, self.now_ns);
        let slot = &self.region(coord).table[entry];
        let mark = if slot.revived { REVIVED } else { 0 };
        let answer = AnswerHeader {
            id: slot.task.id,
            started_ns: 0,
            finished_ns: now_ns,
            worker: slot.word.worker().into(),
            entry: entry as u32,
            lease: lease(epoch, slot.word.attempt()),
            status: status as u32 | mark,
            code: 0,
            stdout_len: 0,
        };
        let process = self.process(coord);
        process.anyone.retain(|waiting| *waiting != entry);
        process.later.retain(|(_, waiting, _)| *waiting != entry);
        for link in &mut process.links {
            link.waiting.retain(|waiting| *waiting != entry);
        }
        let ending = match status {
            AnswerStatus::Returned => Ending::Returned,
            AnswerStatus::Cancelled => Ending::Failed,
            _ => {
                self.write_letter(coord, entry)?;
                Ending::Failed
            }
        };
        self.ending(coord, entry, ending, &answer, Word::fail)
    }

    /// Says first what will be counted, so that a successor knows.
    fn ending(
        &mut self,
        coord: usize,
        entry: usize,
        ending: Ending,
        answer: &AnswerHeader,
        last: fn(Word) -> Option<Word>,
    ) -> Step {
        self.step()?;
        self.region(coord).counters.ending = ending as u32;
        self.step()?;
        self.region(coord).table[entry].answer = *answer;
        self.step()?;
        self.change(coord, entry, last);
        if !self.region(coord).table[entry].revived {
            // A failed task is a failure to its client only if it says so.
            let task = self.region(coord).table[entry].task;
            let well = match ending {
                Ending::FailedTask => !task.retries_failures(),
                ending => ending == Ending::Answered,
            };
            self.ghost.counted(answer.id.sequence, well);
        }
        self.step()?;
        *self.region(coord).counters.of(ending) += 1;
        self.process(coord).untold.push_back(entry);
        Ok(())
    }

    /// No worker here will do it. What was a dead letter becomes one again: its client does not wait for it.
    pub fn give_back(&mut self, coord: usize, entry: usize) -> Step {
        let revived = self.region(coord).table[entry].revived && !self.has(Bug::GivesLettersBack);
        let status = if revived { AnswerStatus::WorkerDead } else { AnswerStatus::Returned };
        self.fail(coord, entry, status)
    }

    pub fn spill(&mut self, coord: usize) -> Step {
        // The last to come are the last to be served here.
        let waiting: Vec<_> = self.process(coord).anyone.iter().rev().copied().collect();
        for entry in waiting {
            let word = self.region(coord).table[entry].word;
            // What was begun here stays: elsewhere, and here once more, its attempts would be counted from none.
            // And no client would send again what was a dead letter.
            let begun = word.attempt() > 0 && !self.has(Bug::SpillsTheBegun);
            let letter = self.region(coord).table[entry].revived && !self.has(Bug::GivesLettersBack);
            if word.state() == Some(State::Queued) && !begun && !letter {
                self.ghost.saw("a task spilt");
                self.fail(coord, entry, AnswerStatus::Returned)?;
            }
        }
        Ok(())
    }

    pub fn expire(&mut self, coord: usize) -> Step {
        for entry in 0..super::world::ENTRIES {
            let now_ns = self.now_ns;
            let slot = &self.region(coord).table[entry];
            if slot.is_open() && slot.task.deadline_ns <= now_ns {
                self.fail(coord, entry, AnswerStatus::TimedOut)?;
            }
        }
        Ok(())
    }

    pub fn tell(&mut self, coord: usize) -> Step {
        let mut staged = Vec::new();
        while let Some(entry) = self.process(coord).untold.front().copied() {
            if self.region(coord).up.records.len() + staged.len() >= UP {
                break;
            }
            self.process(coord).untold.pop_front();
            staged.push(entry);
        }
        if self.has(Bug::FreeBeforeTold) {
            for entry in &staged {
                self.step()?;
                self.change(coord, *entry, Word::free);
            }
        }
        for entry in &staged {
            self.step()?;
            let answer = self.region(coord).table[*entry].answer;
            self.region(coord).up.records.push_back(answer);
        }
        for entry in staged {
            if !self.has(Bug::FreeBeforeTold) {
                self.step()?;
                self.change(coord, entry, Word::free);
            }
            self.process(coord).free.push(entry);
        }
        Ok(())
    }

    pub fn obey(&mut self, coord: usize) -> Step {
        if let Some((order, sequence)) = self.region(coord).orders.front().copied() {
            let letter = self.region(coord).letters.iter().position(|letter| {
                letter.state == DeadLetterState::Dead && letter.task.id.sequence == sequence
            });
            match (order, letter) {
                // The tasks of the model have no output that is waited for.
                (Order::Cancel | Order::End, _) => {
                    // It may have overtaken its task.
                    while !self.region(coord).down.records.is_empty() && !self.process(coord).free.is_empty()
                    {
                        self.accept(coord)?;
                    }
                    let open =
                        |slot: &super::world::Entry| slot.is_open() && slot.task.id.sequence == sequence;
                    if let Some(entry) = self.region(coord).table.iter().position(open) {
                        self.ghost.saw("a task cancelled");
                        self.fail(coord, entry, AnswerStatus::Cancelled)?;
                    }
                }
                (Order::Revive, Some(letter)) => self.process(coord).to_revive.push_back(letter),
                (Order::Drop, Some(letter)) => {
                    self.step()?;
                    self.region(coord).letters[letter].state = DeadLetterState::Empty;
                }
                (Order::Revive | Order::Drop, None) => {}
            }
            self.step()?;
            self.region(coord).orders.pop_front();
        }
        while let Some(letter) = self.process(coord).to_revive.front().copied() {
            if !self.revive(coord, letter)? {
                break;
            }
            self.process(coord).to_revive.pop_front();
        }
        Ok(())
    }

    /// Keeps the task of an open entry that ends.
    fn write_letter(&mut self, coord: usize, entry: usize) -> Step {
        let (task, now_ns) = (self.region(coord).table[entry].task, self.now_ns);
        let letters = &self.region(coord).letters;
        let same = |letter: &Letter| letter.state == DeadLetterState::Dead && letter.task.id == task.id;
        let empty = |letter: &Letter| letter.state == DeadLetterState::Empty;
        let oldest = (0..letters.len()).min_by_key(|at| letters[*at].stamp).unwrap_or(0);
        let at = letters.iter().position(same).or_else(|| letters.iter().position(empty)).unwrap_or(oldest);
        self.step()?;
        self.region(coord).letters[at].state = DeadLetterState::Empty;
        self.step()?;
        let letter = &mut self.region(coord).letters[at];
        (letter.task, letter.stamp) = (task, now_ns);
        self.step()?;
        self.region(coord).letters[at].state = DeadLetterState::Dead;
        self.ghost.saw("a dead letter");
        Ok(())
    }

    /// False as long as there is no room.
    fn revive(&mut self, coord: usize, at: usize) -> Result<bool, super::world::Killed> {
        let letter = self.region(coord).letters[at].clone();
        if letter.state != DeadLetterState::Dead {
            return Ok(true);
        }
        // Its failure is to be told first: two entries of one task could not be told apart.
        if !self.has(Bug::RevivedBeforeTold) && self.region(coord).entry_of(letter.task.id.sequence).is_some()
        {
            return Ok(false);
        }
        let Some(entry) = self.process(coord).free.pop() else { return Ok(false) };
        let now_ns = self.now_ns;
        let deadline_ns = now_ns + letter.task.lifetime_ns();
        let task = TaskHeader { deadline_ns, sent_ns: now_ns, entry: entry as u32, lease: 0, ..letter.task };
        let revived = self.region(coord).counters.revived + 1;
        self.step()?;
        self.region(coord).letters[at].stamp = revived;
        self.step()?;
        self.region(coord).letters[at].state = DeadLetterState::Reviving;
        self.record(coord, entry, task, true)?;
        self.ghost.revived(coord, task.id.sequence);
        self.ghost.saw("a letter revived");
        self.step()?;
        self.region(coord).counters.revived = revived;
        self.step()?;
        self.region(coord).letters[at].state = DeadLetterState::Empty;
        self.step()?;
        self.count_accepted(coord);
        self.enter(coord, entry)?;
        Ok(true)
    }

    /// What a predecessor was about when it died. Before the ledger is balanced.
    pub fn settle_letters(&mut self, coord: usize, known: &[u64]) -> Step {
        for at in 0..super::world::LETTERS {
            let letter = self.region(coord).letters[at].clone();
            let sequence = letter.task.id.sequence;
            let open = self.region(coord).table.iter().any(|e| e.is_open() && e.task.id.sequence == sequence);
            match letter.state {
                DeadLetterState::Reviving if known.contains(&sequence) => {
                    let twice = self.has(Bug::ReviveCountedTwice);
                    self.step()?;
                    let counters = &mut self.region(coord).counters;
                    counters.revived =
                        if twice { counters.revived + 1 } else { counters.revived.max(letter.stamp) };
                    self.step()?;
                    self.region(coord).letters[at].state = DeadLetterState::Empty;
                }
                DeadLetterState::Reviving => {
                    self.ghost.saw("a revival cut short");
                    self.step()?;
                    self.region(coord).letters[at].state = DeadLetterState::Dead;
                }
                // Written before the last state that its writer did not live to store: it may yet be answered.
                DeadLetterState::Dead if open && !self.has(Bug::LetterOfAnOpenTask) => {
                    self.step()?;
                    self.region(coord).letters[at].state = DeadLetterState::Empty;
                }
                DeadLetterState::Dead | DeadLetterState::Empty => {}
            }
        }
        Ok(())
    }

    /// What a worker says of a task, in its ring.
    pub fn answer_of(&self, task: &TaskHeader, worker: u16, how: How, started_ns: u64) -> AnswerHeader {
        let status = match how {
            How::Well | How::Badly => AnswerStatus::Ok,
            How::Refused => AnswerStatus::Refused,
            How::Overtime => AnswerStatus::TimedOut,
        };
        AnswerHeader {
            id: task.id,
            started_ns,
            finished_ns: self.now_ns,
            worker: worker.into(),
            entry: task.entry,
            lease: task.lease,
            status: status as u32,
            code: if how == How::Badly { BAD } else { 0 },
            stdout_len: 0,
        }
    }
}
