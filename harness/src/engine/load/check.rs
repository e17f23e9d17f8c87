//! Whether an outcome is what was asked for.

use crate::engine::payload;
use crate::scenario::{Plan, Workload};
use crate::system::{Answer, Outcome, PlaceId};
use std::time::Duration;

/// What is wrong with an outcome.
pub(super) enum Wrong {
    /// It was answered, with something else than was asked for.
    Content(String),
    /// It was answered: what was asked for has failed.
    Failed(String),
    /// The system says that it was not answered.
    Undelivered(String),
}

/// An outcome, after a look at what the answer says.
pub(super) struct Checked {
    /// The task, as the system spells it; empty unless something is wrong.
    pub id: String,
    pub tag: u64,
    pub place: PlaceId,
    pub sent_ns: u64,
    pub received_ns: u64,
    pub wrong: Option<Wrong>,
}

impl Checked {
    pub fn new(outcome: &Outcome<'_>, plan: &Plan, seed: u64, buffer: &mut Vec<u8>) -> Self {
        let place = outcome.place;
        let at_place = |reason: String| format!("{place}: {reason}");
        let wrong = match &outcome.result {
            Ok(answer) => check(answer, plan, seed, outcome.tag, buffer).map(|wrong| match wrong {
                Wrong::Content(reason) => Wrong::Content(at_place(reason)),
                Wrong::Failed(reason) | Wrong::Undelivered(reason) => Wrong::Failed(at_place(reason)),
            }),
            Err(failure) => Some(Wrong::Undelivered(match failure.place {
                Some(_) => failure.reason.clone(),
                None => at_place(failure.reason.clone()),
            })),
        };
        Self {
            id: if wrong.is_some() { outcome.id.to_string() } else { String::new() },
            tag: outcome.tag,
            place,
            sent_ns: outcome.sent_ns,
            received_ns: outcome.received_ns,
            wrong,
        }
    }
}

fn check(answer: &Answer<'_>, plan: &Plan, seed: u64, tag: u64, buffer: &mut Vec<u8>) -> Option<Wrong> {
    let took = answer.took;
    let at_least = |asked: Duration| {
        (took < asked).then(|| Wrong::Content(format!("done in {took:?}, although {asked:?} was asked for")))
    };
    match plan.workload() {
        Workload::Echo { payload_bytes } => {
            payload::fill(buffer, seed, tag, *payload_bytes);
            (answer.body != &buffer[..]).then(|| Wrong::Content("the answer is not what was sent".to_owned()))
        }
        Workload::Sleep(time) => at_least(time.of_task(seed, tag)),
        Workload::Compute { cpu } => at_least(*cpu),
        Workload::Exec { .. } if answer.how.is_orderly() => None,
        Workload::Exec { .. } => {
            let errors = String::from_utf8_lossy(answer.errors).trim().to_owned();
            let last = errors.lines().last().map_or(String::new(), |line| format!(": {line}"));
            Some(Wrong::Failed(format!("the command {}{last}", answer.how)))
        }
    }
}
