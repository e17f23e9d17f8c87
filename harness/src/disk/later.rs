//! Work that is due later, by a few threads: whatever one piece waits for, the others are on time.

use std::collections::BinaryHeap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pieces that may be carried out at the same time, each of which may wait for the disk beneath.
const THREADS: usize = 8;

type Work = Box<dyn FnOnce() + Send>;

/// The first that is due is the greatest; of those due together, the first that came.
struct Due {
    at: Instant,
    number: u64,
    work: Work,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Due>,
    taken: u64,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

/// Its threads live as long as the process.
#[derive(Clone)]
pub(super) struct Later(Arc<Shared>);

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

impl Later {
    pub(super) fn start() -> io::Result<Self> {
        let later = Self(Arc::default());
        for _ in 0..THREADS {
            let shared = Arc::clone(&later.0);
            std::thread::Builder::new().name("later".to_owned()).spawn(move || shared.work())?;
        }
        Ok(later)
    }

    /// Carries it out after so long.
    pub(super) fn after(&self, delay: Duration, work: impl FnOnce() + Send + 'static) {
        let at = Instant::now() + delay;
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.taken += 1;
        let number = queue.taken;
        queue.due.push(Due { at, number, work: Box::new(work) });
        drop(queue);
        self.0.more.notify_one();
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let due = self.next();
            (due.work)();
        }
    }

    fn next(&self) -> Due {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let wait = queue.due.peek().map(|first| first.at.saturating_duration_since(now));
            queue = match wait {
                Some(Duration::ZERO) => {
                    if let Some(due) = queue.due.pop() {
                        return due;
                    }
                    queue
                }
                Some(wait) => self.more.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn each_piece_waits_for_its_own_time_and_not_for_the_others() {
        let later = Later::start().unwrap();
        let (send, done) = channel();
        let begun = Instant::now();
        let wait = Duration::from_millis(300);
        for _ in 0..100 {
            let send = send.clone();
            later.after(wait, move || send.send(Instant::now()).unwrap());
        }
        let took: Vec<Duration> = (0..100).map(|_| done.recv().unwrap() - begun).collect();
        assert!(took.iter().all(|took| *took >= wait), "{took:?}");
        // One after the other they would take 30 s; all of the threads together, 3.75 s.
        let (last, at_once) = (took.iter().max().unwrap(), wait * 100 / THREADS as u32);
        assert!(*last < at_once, "{last:?}");
    }
}
