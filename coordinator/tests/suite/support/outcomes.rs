//! What came of each task, and that nothing came twice.

use super::up::wait_until;
use coordinator::client::{Client, Event, Failure};
use std::collections::BTreeMap;

/// What came of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    pub body: Vec<u8>,
    pub attempt: u8,
}

/// By tag.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub all: BTreeMap<u64, Result<Came, Failure>>,
    pub repeated: u64,
}

impl Outcomes {
    /// Takes what is there. A second outcome of one task, and a second execution of one that has an
    /// answer, end the test.
    pub fn take(&mut self, client: &mut Client) -> usize {
        client.poll(|event| match event {
            Event::Outcome(outcome) => {
                let came =
                    outcome.result.map(|answer| Came { body: answer.body.to_vec(), attempt: answer.attempt });
                let before = self.all.insert(outcome.tag, came);
                assert!(before.is_none(), "a second outcome for {}", outcome.tag);
            }
            Event::Repeated(_) => self.repeated += 1,
            Event::Late(surplus) => panic!("a late answer: {surplus:?}"),
            Event::Duplicate(surplus) => panic!("a second answer: {surplus:?}"),
            Event::Revived(outcome) | Event::Inherited(outcome) => {
                panic!("no client asked for {}", outcome.id)
            }
        })
    }

    /// Until `count` are in.
    pub fn wait_for(client: &mut Client, count: usize) -> Self {
        let mut outcomes = Self::default();
        wait_until("every task has its outcome", || {
            outcomes.take(client);
            outcomes.all.len() >= count
        });
        outcomes
    }

    pub fn reason(&self, tag: u64) -> String {
        self.all[&tag].clone().unwrap_err().to_string()
    }

    pub fn attempt(&self, tag: u64) -> u8 {
        self.all[&tag].as_ref().unwrap().attempt
    }
}

/// Both ends have the same books, and nothing is open in them.
pub fn assert_balanced(client: &Client) {
    let (own, theirs) = (client.ledger(), client.status().ledger());
    assert_eq!(own, theirs);
    assert_eq!(own.accepted, own.answered + own.failed);
    assert_eq!((own.in_flight, own.late, own.duplicates), (0, 0, 0));
}
