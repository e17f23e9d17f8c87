//! Lists of events: applied one after the other, with the invariants held against each; and made short.

use super::event::{Cut, Event, How, Storm};
use super::invariants;
use super::world::{Bug, DeadLetterState, Killed, Life, Setup, Step, World};
use coordinator::wire::Order;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What went wrong, and after how many of the events.
#[derive(Debug, Clone)]
pub struct Broken {
    pub why: String,
    pub after: usize,
}

impl Broken {
    /// Without the numbers: two of one kind are the same mistake.
    fn kind(&self) -> String {
        self.why.chars().filter(|character| !character.is_ascii_digit()).collect()
    }
}

impl World {
    /// One event. What does not apply is passed over.
    pub fn apply(&mut self, event: Event) {
        self.now_ns += 1;
        match event {
            Event::Tick { ms } => self.now_ns += u64::from(ms) * super::world::MS,
            Event::Send { coord, .. } if self.is_there(coord) => self.send(event),
            Event::Resend { coord } if self.is_there(coord) => self.resend(coord),
            Event::Cancel { task } => self.cancel(task),
            Event::Poll { coord } if self.is_there(coord) => self.poll(coord),
            Event::GiveUp => self.give_up(),
            Event::Look => self.look(),

            Event::Accept { coord, cut } => self.act(coord, cut, Self::accept),
            Event::Obey { coord, cut } => self.act(coord, cut, Self::obey),
            Event::HandOver { coord, cut } => self.act(coord, cut, Self::hand_over),
            Event::Drain { coord, worker, cut } if worker < self.setup.workers => {
                self.act(coord, cut, |world, coord| world.drain(coord, worker));
            }
            Event::Tell { coord, cut } => self.act(coord, cut, Self::tell),
            Event::Expire { coord, cut } => self.act(coord, cut, Self::expire),
            Event::Reap { coord, cut } => self.act(coord, cut, Self::reap),
            Event::Spill { coord, cut } => self.act(coord, cut, Self::spill),
            Event::Resume { coord } => self.act(coord, None, |world, coord| {
                world.resume(coord);
                Ok(())
            }),
            Event::Fork { coord } => self.act(coord, None, |world, coord| {
                world.fork(coord);
                Ok(())
            }),
            Event::Watch { coord } => self.act(coord, None, |world, coord| {
                world.watch(coord);
                Ok(())
            }),
            Event::Scale { coord } => self.act(coord, None, |world, coord| {
                world.scale(coord);
                Ok(())
            }),
            Event::Pause { coord, cut } => self.act(coord, cut, |world, coord| {
                while !world.region(coord).down.records.is_empty() && !world.process(coord).free.is_empty() {
                    world.accept(coord)?;
                }
                world.process(coord).paused = true;
                Ok(())
            }),
            Event::KillCoordinator { coord } if self.is_there(coord) => self.coordinator_dies(coord),
            Event::StallCoordinator { coord } => self.stall(coord, true),
            Event::WakeCoordinator { coord } => self.stall(coord, false),
            Event::Retire { coord } if self.acts(coord) => {
                // The last one stays.
                let others =
                    (0..self.seats.len()).filter(|other| *other != coord && self.acts(*other)).count();
                self.process(coord).retiring |= others > 0;
            }

            _ => self.apply_to_others(event),
        }
        self.fuse = None;
    }

    fn apply_to_others(&mut self, event: Event) {
        match event {
            Event::Begin { coord, worker } if self.has_place(coord, worker) => self.begin(coord, worker),
            Event::Answer { coord, worker, how, cut } if self.has_place(coord, worker) => {
                self.fuse = cut;
                if let Err(Killed) = self.end_task(coord, worker, how) {
                    self.ghost.saw("a worker killed between two stores");
                    self.worker_ends(coord, worker, false);
                }
            }
            Event::Beat { coord, worker } if self.has_place(coord, worker) => {
                let place = self.place(coord, worker);
                place.beats +=
                    u64::from(place.process.as_ref().is_some_and(|p| !p.stalled && p.hand.is_none()));
            }
            Event::KillWorker { coord, worker } if self.has_place(coord, worker) => {
                self.worker_ends(coord, worker, false);
            }
            Event::StallWorker { coord, worker } | Event::WakeWorker { coord, worker }
                if self.has_place(coord, worker) =>
            {
                let stalled = matches!(event, Event::StallWorker { .. });
                self.place(coord, worker).process.iter_mut().for_each(|process| process.stalled = stalled);
            }
            Event::Escape { coord, worker } if self.has_place(coord, worker) => self.escape(coord, worker),
            Event::Haunt { coord } if self.is_there(coord) => self.haunt(coord),
            Event::Succeed { coord, cut } if self.is_there(coord) => {
                self.fuse = cut;
                if let Err(Killed) = self.succeed(coord) {
                    self.ghost.saw("a successor killed half-way");
                    self.coordinator_dies(coord);
                }
            }
            Event::WatchAll => self.watch_all(),
            Event::Start { coord } if self.is_there(coord) => self.start(coord),
            Event::Revive { coord, task } if self.is_there(coord) => {
                self.region(coord).orders.push_back((Order::Revive, task));
            }
            Event::DropLetter { coord, task } if self.is_there(coord) => {
                self.region(coord).orders.push_back((Order::Drop, task));
            }
            Event::Backup => self.backup(),
            Event::Go => {
                self.seats
                    .iter_mut()
                    .flat_map(|seat| &mut seat.process)
                    .for_each(|process| process.paused = false);
            }
            Event::Restore => self.restore(),
            _ => {}
        }
    }

    /// At a letter that is there, and not past it.
    fn aimed(&self, event: Event) -> Event {
        let letter = |coord: usize, task: u64| {
            let letters = &self.seats[coord].region.letters;
            let letter = &letters[task as usize % letters.len()];
            if letter.state == DeadLetterState::Dead { letter.task.id.sequence } else { task }
        };
        match event {
            Event::Revive { coord, task } => Event::Revive { coord, task: letter(coord, task) },
            Event::DropLetter { coord, task } => Event::DropLetter { coord, task: letter(coord, task) },
            event => event,
        }
    }

    /// Whether anything would come of it: what makes storms dense. Who is wrong here makes them thinner.
    pub fn applies(&self, event: &Event) -> bool {
        let region = |coord: usize| &self.seats[coord].region;
        let process = |coord: usize| self.seats[coord].process.as_ref().filter(|_| self.acts(coord));
        let place = |coord: usize, worker: u16| &region(coord).workers[usize::from(worker)];
        let hand = |coord, worker| {
            place(coord, worker).process.as_ref().filter(|p| !p.stalled).map(|process| process.hand.is_some())
        };
        match *event {
            Event::Send { coord, .. } => {
                !self.client.closed[coord] && region(coord).down.records.len() < super::world::DOWN
            }
            Event::Resend { coord } => {
                !self.client.closed[coord] && self.client.in_flight.values().any(|flight| flight.at.is_none())
            }
            Event::Cancel { task } => self.client.in_flight.contains_key(&task),
            Event::Poll { coord } => !region(coord).up.records.is_empty(),
            Event::Accept { coord, .. } => process(coord)
                .is_some_and(|process| !process.free.is_empty() && !region(coord).down.records.is_empty()),
            Event::Obey { coord, .. } => process(coord)
                .is_some_and(|process| !process.to_revive.is_empty() || !region(coord).orders.is_empty()),
            Event::HandOver { coord, .. } => process(coord).is_some_and(|process| {
                !process.anyone.is_empty() || process.links.iter().any(|link| !link.waiting.is_empty())
            }),
            Event::Drain { coord, worker, .. } => {
                process(coord).is_some() && !place(coord, worker).up.records.is_empty()
            }
            Event::Tell { coord, .. } => process(coord).is_some_and(|process| !process.untold.is_empty()),
            Event::Spill { coord, .. } => process(coord).is_some_and(|process| !process.anyone.is_empty()),
            Event::Resume { coord } => process(coord).is_some_and(|process| !process.later.is_empty()),
            Event::Reap { coord, .. } => {
                process(coord).is_some() && region(coord).workers.iter().any(|place| place.corpse.is_some())
            }
            Event::Fork { coord } => {
                process(coord).is_some_and(|process| process.links.iter().any(|link| link.due))
            }
            Event::Begin { coord, worker } => {
                hand(coord, worker) == Some(false)
                    && (place(coord, worker).retire || !place(coord, worker).down.records.is_empty())
            }
            Event::Answer { coord, worker, .. } => hand(coord, worker) == Some(true),
            Event::Succeed { coord, .. } => self.seats[coord].life == Life::Dead,
            Event::Escape { coord, worker } => {
                self.seats[coord].life == Life::Dead && place(coord, worker).process.is_some()
            }
            Event::Haunt { coord } => !region(coord).escaped.is_empty(),
            Event::Start { coord } => self.seats[coord].life == Life::Ended && self.client.lost[coord],
            Event::Look => (self.seats.iter().zip(&self.client.lost))
                .any(|(seat, lost)| !lost && matches!(seat.life, Life::Ended | Life::GivenUp)),
            Event::Go => self.seats.iter().flat_map(|seat| &seat.process).any(|process| process.paused),
            Event::WakeCoordinator { coord } => self.seats[coord].process.as_ref().is_some_and(|p| p.stalled),
            Event::WakeWorker { coord, worker } => {
                place(coord, worker).process.as_ref().is_some_and(|process| process.stalled)
            }
            Event::StallWorker { coord, worker } | Event::KillWorker { coord, worker } => {
                hand(coord, worker).is_some()
            }
            Event::Beat { coord, worker } => hand(coord, worker) == Some(false),
            Event::Expire { coord, .. } => {
                process(coord).is_some()
                    && (region(coord).table.iter())
                        .any(|entry| entry.is_open() && entry.task.deadline_ns <= self.now_ns)
            }
            Event::Revive { coord, task } | Event::DropLetter { coord, task } => region(coord)
                .letters
                .iter()
                .any(|letter| letter.state == DeadLetterState::Dead && letter.task.id.sequence == task),
            _ => true,
        }
    }

    fn is_there(&self, coord: usize) -> bool {
        coord < self.seats.len()
    }

    fn has_place(&self, coord: usize, worker: u16) -> bool {
        self.is_there(coord) && worker < self.setup.workers
    }

    fn stall(&mut self, coord: usize, stalled: bool) {
        if self.is_there(coord) {
            self.seats[coord].process.iter_mut().for_each(|process| process.stalled = stalled);
        }
    }

    /// A coordinator does something, or is killed at it.
    fn act(&mut self, coord: usize, cut: Cut, what: impl FnOnce(&mut Self, usize) -> Step) {
        if !self.acts(coord) {
            return;
        }
        self.fuse = cut;
        self.process(coord).beats += 1;
        if let Err(Killed) = what(self, coord) {
            self.ghost.saw("a coordinator killed between two stores");
            self.coordinator_dies(coord);
        } else {
            self.ends_in_order(coord);
        }
    }

    /// Nothing happens any more but what has to: in the end nothing is left to do.
    fn calm(&mut self, check: impl Fn(&Self) -> Option<String>) -> Option<String> {
        for _ in 0..300 {
            self.apply(Event::Tick { ms: 2 });
            self.apply(Event::Go);
            for coord in 0..self.seats.len() {
                for event in [
                    Event::WakeCoordinator { coord },
                    Event::Succeed { coord, cut: None },
                    Event::Start { coord },
                    Event::Resend { coord },
                    Event::Expire { coord, cut: None },
                    Event::Reap { coord, cut: None },
                    Event::Fork { coord },
                    Event::Accept { coord, cut: None },
                    Event::Obey { coord, cut: None },
                    Event::Resume { coord },
                    Event::HandOver { coord, cut: None },
                ] {
                    self.apply(event);
                }
                for worker in 0..self.setup.workers {
                    self.apply(Event::WakeWorker { coord, worker });
                    self.apply(Event::Begin { coord, worker });
                    self.apply(Event::Answer { coord, worker, how: How::Well, cut: None });
                    self.apply(Event::Drain { coord, worker, cut: None });
                }
                self.apply(Event::Tell { coord, cut: None });
                self.apply(Event::Poll { coord });
            }
            self.apply(Event::Look);
            if let Some(why) = self.wrong.take().or_else(|| check(self)) {
                return Some(why);
            }
            if self.is_at_rest() {
                return None;
            }
        }
        if self.seats.iter().all(|seat| seat.life == Life::GivenUp) {
            return None;
        }
        Some(format!("{} tasks do not come to an end", self.client.in_flight.len()))
    }

    fn is_at_rest(&self) -> bool {
        let clear = |seat: &super::world::Seat| seat.life == Life::GivenUp || seat.region.is_clear();
        self.client.in_flight.is_empty() && self.seats.iter().all(clear)
    }
}

/// Runs `events`, then waits for the end of what they began. `None` if every invariant held at each.
pub fn run(setup: Setup, events: &[Event]) -> Option<Broken> {
    finish(&mut World::new(setup), events)
}

/// As [`run`], and leaves the world to be looked at.
pub fn finish(world: &mut World, events: &[Event]) -> Option<Broken> {
    for (after, event) in (1..).zip(events) {
        world.apply(*event);
        if let Some(why) = world.wrong.take().or_else(|| invariants::broken(world)) {
            return Some(Broken { why, after });
        }
    }
    world.calm(invariants::broken).map(|why| Broken { why, after: events.len() })
}

/// What came of a storm.
#[derive(Debug)]
pub struct Passed {
    pub setup: Setup,
    pub events: Vec<Event>,
    pub broken: Option<Broken>,
    pub sights: BTreeMap<&'static str, u64>,
}

/// A storm of `length` events, mostly such as apply, with the invariants held against each; then the calm. The same
/// for the same seed.
pub fn storm(seed: u64, length: usize, bug: Option<Bug>) -> Passed {
    let setup = Setup { bug, ..Setup::new(1 + (seed % 3) as usize, 1 + (seed / 3 % 3) as u16, seed % 5 < 3) };
    let mut storm = Storm::new(seed, setup.coordinators, setup.workers);
    let mut world = World::new(setup);
    let mut events = Vec::with_capacity(length);
    let mut broken = None;
    while events.len() < length && broken.is_none() {
        let event = world.aimed(storm.next(|event| world.applies(&world.aimed(*event))));
        events.push(event);
        world.apply(event);
        let why = world.wrong.take().or_else(|| invariants::broken(&world));
        broken = why.map(|why| Broken { why, after: events.len() });
    }
    let broken =
        broken.or_else(|| world.calm(invariants::broken).map(|why| Broken { why, after: events.len() }));
    Passed { setup, events, broken, sights: world.ghost.sights }
}

/// As few of `events` as break the same rule (Zeller's ddmin: takes out ever smaller parts, as long as it still
/// breaks), and each of them as plain as can be.
pub fn shrink(setup: Setup, events: &[Event]) -> Vec<Event> {
    let Some(first) = run(setup, events) else { return Vec::new() };
    let kind = first.kind();
    let breaks = |events: &[Event]| run(setup, events).is_some_and(|broken| broken.kind() == kind);
    let mut events = events[..first.after].to_vec();
    let mut part = events.len().div_ceil(2);
    loop {
        let before = events.len();
        let mut at = 0;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + part).min(events.len()));
            if breaks(&fewer) {
                events = fewer;
            } else {
                at += part;
            }
        }
        if part == 1 && events.len() == before {
            match without_two(&events, breaks) {
                Some(fewer) => events = fewer,
                None => break,
            }
        }
        part = part.div_ceil(2);
    }
    for at in 0..events.len() {
        for plainer in plainer(events[at]) {
            let mut changed = events.clone();
            changed[at] = plainer;
            if breaks(&changed) {
                events = changed;
                break;
            }
        }
    }
    events
}

/// Without two that need each other.
fn without_two(events: &[Event], breaks: impl Fn(&[Event]) -> bool) -> Option<Vec<Event>> {
    let pairs = (0..events.len()).flat_map(|one| (one + 1..events.len()).map(move |other| (one, other)));
    pairs.filter(|_| events.len() <= 60).find_map(|(one, other)| {
        let mut fewer = events.to_vec();
        fewer.remove(other);
        fewer.remove(one);
        breaks(&fewer).then_some(fewer)
    })
}

fn plainer(event: Event) -> Vec<Event> {
    match event {
        Event::Send { task, coord, worker, retry, .. } => vec![
            Event::Send { task, coord, worker: None, life_ms: 5000, retry: false },
            Event::Send { task, coord, worker, life_ms: 5000, retry: false },
            Event::Send { task, coord, worker, life_ms: 5000, retry },
        ],
        Event::Accept { coord, .. } => vec![Event::Accept { coord, cut: None }],
        Event::HandOver { coord, .. } => vec![Event::HandOver { coord, cut: None }],
        Event::Drain { coord, worker, .. } => vec![Event::Drain { coord, worker, cut: None }],
        Event::Tell { coord, .. } => vec![Event::Tell { coord, cut: None }],
        Event::Succeed { coord, .. } => vec![Event::Succeed { coord, cut: None }],
        Event::Answer { coord, worker, how, .. } => {
            vec![
                Event::Answer { coord, worker, how: How::Well, cut: None },
                Event::Answer { coord, worker, how, cut: None },
            ]
        }
        _ => Vec::new(),
    }
}

/// What to paste into a regression test.
pub fn as_test(setup: Setup, events: &[Event]) -> String {
    let Setup { coordinators, workers, replaced, .. } = setup;
    let mut text = format!("run(Setup::new({coordinators}, {workers}, {replaced}), &[\n");
    for event in events {
        let _ = writeln!(text, "    {event:?},");
    }
    text.push_str("])");
    text
}
