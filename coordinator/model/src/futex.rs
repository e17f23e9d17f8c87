//! Sleeping and waking as the kernel does it: the word is looked at and the sleeper queued under one
//! lock, which who wakes takes as well. Nothing times out, and no thread wakes by chance.

use super::sync::{AtomicU32, Ordering, call};
use loom::sync::{Condvar, Mutex};
use std::time::Duration;

#[derive(Debug)]
struct Sleeper {
    /// Of its word.
    address: usize,
    ticket: u64,
}

#[derive(Debug, Default)]
struct Beds {
    sleepers: Vec<Sleeper>,
    tickets: u64,
}

loom::lazy_static! {
    static ref BEDS: (Mutex<Beds>, Condvar) = (Mutex::new(Beds::default()), Condvar::new());
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

pub fn wait(word: &AtomicU32, value: u32, _timeout: Duration) {
    call();
    let (beds, woken) = &*BEDS;
    let mut beds = beds.lock().expect("no thread dies in the kernel");
    if word.load(Ordering::SeqCst) != value {
        return;
    }
    let ticket = beds.tickets;
    beds.tickets += 1;
    beds.sleepers.push(Sleeper { address: address(word), ticket });
    while beds.sleepers.iter().any(|sleeper| sleeper.ticket == ticket) {
        beds = woken.wait(beds).expect("no thread dies in the kernel");
    }
}

/// Wakes the thread that has slept longest.
pub fn wake(word: &AtomicU32) {
    call();
    let (beds, woken) = &*BEDS;
    let mut beds = beds.lock().expect("no thread dies in the kernel");
    if let Some(first) = beds.sleepers.iter().position(|sleeper| sleeper.address == address(word)) {
        beds.sleepers.remove(first);
        woken.notify_all();
    }
}
