//! What holds after every event.

use super::world::{Coordinator, DeadLetterState, Entry, Life, Seat, World};
use coordinator::plan::lease::State;
use coordinator::wire::REVIVED;

/// The first rule that does not hold, in words.
pub fn broken(world: &World) -> Option<String> {
    let client = &world.client;
    let (accepted, in_flight) = (client.accepted, client.in_flight.len() as u64);
    if accepted != client.answered + client.failed + in_flight {
        return Some(format!(
            "the client's ledger: {accepted} accepted, {} answered, {} failed, {in_flight} in flight",
            client.answered, client.failed
        ));
    }
    if let Some(sequence) = vanished(world) {
        return Some(format!("task {sequence} is nowhere, and its client waits for it"));
    }
    world.seats.iter().zip(0..).find_map(|(seat, coord)| {
        let process = seat.process.as_ref().filter(|process| process.serving)?;
        ledger(seat, world.ghost.revivals(coord))
            .or_else(|| entries(seat, process, world.now_ns))
            .or_else(|| letters(world, seat))
            .map(|why| format!("coordinator {coord}: {why}"))
    })
}

/// A task that the client waits for at a coordinator who may still say something, and that is neither on its way
/// there, nor in the table, nor on its way back.
fn vanished(world: &World) -> Option<u64> {
    world.client.in_flight.iter().find_map(|(sequence, flight)| {
        let seat = &world.seats[flight.at?];
        let there = |entry: &Entry| {
            entry.word.state() != Some(State::Free) && entry.task.id.sequence == *sequence && !entry.revived
        };
        let known = seat.life == Life::GivenUp
            || seat.region.down.records.iter().any(|task| task.id.sequence == *sequence)
            || seat.region.table.iter().any(there)
            || (seat.region.up.records.iter())
                .any(|answer| answer.id.sequence == *sequence && answer.status & REVIVED == 0);
        (!known).then_some(*sequence)
    })
}

fn ledger(seat: &Seat, revived: u64) -> Option<String> {
    let counters = &seat.region.counters;
    let open = seat.region.table.iter().filter(|entry| entry.is_open()).count() as u64;
    let ended = counters.answered + counters.failed_tasks + counters.failed + counters.returned;
    let taken = seat.region.down.acknowledged + counters.revived;
    let right =
        counters.accepted == ended + open && counters.accepted == taken && counters.revived == revived;
    (!right).then(|| format!("the ledger: {counters:?}, {open} open, {taken} taken, {revived} revived"))
}

/// Each entry is where its state says, once, and some process will advance it.
fn entries(seat: &Seat, process: &Coordinator, now_ns: u64) -> Option<String> {
    seat.region.table.iter().enumerate().find_map(|(at, entry)| {
        let word = entry.word;
        let sequence = entry.task.id.sequence;
        if word.state() != Some(State::Free) && seat.region.entry_of(sequence) != Some(at) {
            return Some(format!("task {sequence} has two entries"));
        }
        let free = process.free.iter().filter(|free| **free == at).count();
        let untold = process.untold.iter().filter(|untold| **untold == at).count();
        let waits = process.links.iter().flat_map(|link| &link.waiting).chain(&process.anyone);
        let later = process.later.iter().filter(|(_, later, generation)| {
            *later == at && *generation == word.generation() && word.state() == Some(State::Queued)
        });
        let waiting = waits.filter(|waiting| **waiting == at).count() + later.count();
        let right = match word.state() {
            Some(State::Free) => (free, untold) == (1, 0),
            Some(State::Queued) => (free, untold, waiting) == (0, 0, 1),
            Some(State::Leased) => {
                (free, untold) == (0, 0) && (is_held(seat, process, at) || entry.task.deadline_ns <= now_ns)
            }
            Some(State::Done | State::Failed) => (free, untold) == (0, 1),
            None => false,
        };
        (!right).then(|| {
            format!(
                "no process advances entry {at}: {:?}, {waiting} times in a queue, {untold} to be told, {free} free",
                word.state()
            )
        })
    })
}

/// In a worker's ring, in its hand or on its way back; and there is a process at the place, or there will be.
fn is_held(seat: &Seat, process: &Coordinator, at: usize) -> bool {
    let worker = usize::from(seat.region.table[at].word.worker());
    let Some(place) = seat.region.workers.get(worker) else { return false };
    if place.corpse.is_some() {
        return true;
    }
    let here = place.down.records.iter().any(|task| task.entry as usize == at)
        && (place.process.is_some() || (process.links[worker].due && process.links[worker].open));
    here || place.up.records.iter().any(|answer| answer.entry as usize == at)
}

fn letters(world: &World, seat: &Seat) -> Option<String> {
    seat.region.letters.iter().filter(|letter| letter.state != DeadLetterState::Empty).find_map(|letter| {
        let sequence = letter.task.id.sequence;
        if letter.state == DeadLetterState::Reviving {
            return Some(format!("the letter of task {sequence} is neither dead nor a task"));
        }
        if seat.region.table.iter().any(|entry| entry.is_open() && entry.task.id.sequence == sequence) {
            return Some(format!("task {sequence} is open, and a dead letter beside"));
        }
        world
            .ghost
            .answered_well(sequence)
            .then(|| format!("task {sequence} was answered, and is a dead letter all the same"))
    })
}
