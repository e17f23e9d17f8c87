//! A client that keeps a fleet busy and holds every answer against what it sent.

use super::LONG;
use crate::support::outcomes::Outcomes;
use crate::support::up::wait_until;
use coordinator::client::{Address, Client, SendError, Task, Terms};
use std::path::Path;
use std::time::Duration;

pub struct Load {
    pub client: Client,
    outcomes: Outcomes,
    sent: u64,
    answered: u64,
    failed: Vec<String>,
    /// Tasks that it keeps in flight.
    most: usize,
    each: Duration,
}

/// No process can guess it without its tag.
fn content(tag: u64) -> Vec<u8> {
    let mut word = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |word: &mut u64| {
        *word ^= *word << 13;
        *word ^= *word >> 7;
        *word ^= *word << 17;
        *word as u8
    };
    (0..tag % 200).map(|_| next(&mut word)).collect()
}

impl Load {
    /// One task in four takes `each`; the others come back at once.
    pub fn on(dir: &Path, most: usize, each: Duration) -> Self {
        let client = Client::attach(dir).unwrap();
        Self { client, outcomes: Outcomes::default(), sent: 0, answered: 0, failed: Vec::new(), most, each }
    }

    fn is_long(tag: u64) -> bool {
        tag.is_multiple_of(4)
    }

    /// Sends what there is room for, and takes what has come.
    pub fn step(&mut self) {
        while self.client.in_flight() < self.most {
            let body = content(self.sent);
            let task = if Self::is_long(self.sent) { Task::Sleep(self.each) } else { Task::Echo(&body) };
            match self.client.submit(Address::Any, task, &Terms::within(LONG), self.sent) {
                Ok(_) => self.sent += 1,
                Err(SendError::Backpressure | SendError::DeadRecipient) => break,
                Err(other) => panic!("{other}"),
            }
        }
        self.client.flush();
        self.client.wait(Duration::from_millis(1));
        self.take();
    }

    fn take(&mut self) {
        self.outcomes.take(&mut self.client);
        for (tag, came) in std::mem::take(&mut self.outcomes.all) {
            match came {
                Ok(came) => {
                    let sent = if Self::is_long(tag) { Vec::new() } else { content(tag) };
                    assert!(came.body == sent, "task {tag}: other bytes");
                    self.answered += 1;
                }
                Err(failure) => self.failed.push(format!("task {tag}: {failure}")),
            }
        }
    }

    /// Goes on until `done`.
    pub fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        wait_until(what, || {
            self.step();
            done()
        });
    }

    /// From now on one task in four takes `each`. Returns once such a task is in flight.
    pub fn slow_down(&mut self, each: Duration) {
        self.each = each;
        let before = self.sent;
        // Four in a row have one among them.
        wait_until("a slow task is in flight", || {
            self.step();
            self.sent >= before + 4
        });
    }

    /// Goes on until so many more are answered.
    pub fn answers(&mut self, more: u64) {
        let goal = self.answered + more;
        wait_until("more answers", || {
            self.step();
            self.answered >= goal || self.client.is_lost()
        });
    }

    fn end(&mut self) {
        wait_until("every task has its outcome", || {
            self.client.wait(Duration::from_millis(1));
            self.take();
            self.client.in_flight() == 0
        });
    }

    /// Each was answered, once, with its own bytes; and the books of both sides say so.
    pub fn end_whole(mut self) {
        self.end();
        assert_eq!(self.failed, Vec::<String>::new());
        assert_eq!(self.answered, self.sent);
        let own = self.client.ledger();
        assert_eq!((own.in_flight, own.failed, own.late, own.duplicates), (0, 0, 0, 0), "{own:?}");
        assert_eq!(own.answered, self.sent, "{own:?}");
        let theirs = self.client.status().ledger();
        assert_eq!((theirs.in_flight, theirs.answered, theirs.failed), (0, self.sent, 0), "{theirs:?}");
        assert!(self.sent > 0);
    }

    /// Each has its outcome, and one that was not answered has one of these words as its reason.
    pub fn end_failing(mut self, words: &[&str]) {
        self.end();
        assert_eq!(self.answered + self.failed.len() as u64, self.sent);
        assert!(!self.failed.is_empty(), "nothing was lost");
        for failure in &self.failed {
            assert!(words.iter().any(|word| failure.contains(word)), "{failure}");
        }
    }
}
