//! Whether an outcome is what was asked for.

use super::INDEX_BITS;
use super::moments::Ending;
use super::round::InFlight;
use crate::engine::payload;
use crate::scenario::{Mix, Workload};
use crate::system::{Answer, Cause, HowEnded, Outcome, PlaceId};
use std::collections::VecDeque;
use std::time::Duration;

/// What is wrong with an outcome.
pub(super) enum Wrong {
    /// It was answered, with something else than was asked for.
    Content(String),
    /// It was answered, and the answer's times cannot be true: this end's own clock says so.
    Contradicted(String),
    /// It was answered: what was asked for has failed.
    Failed(String, Cause),
    /// The system says that it was not answered.
    Undelivered(String, Cause),
}

impl Wrong {
    /// In words.
    pub fn reason(self) -> String {
        match self {
            Self::Content(reason)
            | Self::Contradicted(reason)
            | Self::Failed(reason, _)
            | Self::Undelivered(reason, _) => reason,
        }
    }

    /// What is wrong with an answer from `place`.
    fn at(self, place: PlaceId) -> Self {
        let at_place = |reason| format!("{place}: {reason}");
        match self {
            Self::Content(reason) => Self::Content(at_place(reason)),
            Self::Contradicted(reason) => Self::Contradicted(at_place(reason)),
            Self::Failed(reason, cause) | Self::Undelivered(reason, cause) => {
                Self::Failed(at_place(reason), cause)
            }
        }
    }
}

/// An outcome, after a look at what the answer says.
pub(super) struct Checked {
    /// The task, as the system spells it; empty unless something is wrong.
    pub id: String,
    pub tag: u64,
    pub place: PlaceId,
    pub sent_ns: u64,
    pub received_ns: u64,
    /// When its worker says that it had the answer.
    pub made_ns: u64,
    /// Which attempt at the task was answered; 0 without an answer.
    pub attempt: u8,
    pub wrong: Option<Wrong>,
}

/// From which it follows what a task has asked for.
pub(super) struct Asked<'a> {
    pub mix: &'a Mix,
    /// Of what is asked.
    pub seed: u64,
    /// Of which workload it is.
    pub mix_seed: u64,
    /// The rounds on their way.
    pub in_flight: &'a VecDeque<InFlight>,
}

impl Asked<'_> {
    /// The number of a task over the whole run, unless its round is over.
    fn number_of(&self, tag: u64) -> Option<u64> {
        let (number, index) = (tag >> INDEX_BITS, (tag & ((1 << INDEX_BITS) - 1)) as usize);
        let round = self.in_flight.iter().find(|round| round.number == number)?;
        Some(round.number_of(index))
    }
}

impl Checked {
    pub fn new(outcome: &Outcome<'_>, asked: &Asked<'_>, buffer: &mut Vec<u8>) -> Self {
        let place = outcome.place;
        let wrong = match &outcome.result {
            Ok(answer) => times(answer, outcome)
                .or_else(|| check(answer, asked, outcome.tag, buffer))
                .map(|wrong| wrong.at(place)),
            Err(failure) => {
                let reason = match failure.place {
                    Some(_) => failure.reason.clone(),
                    None => format!("{place}: {}", failure.reason),
                };
                let wrong = if failure.is_answer { Wrong::Failed } else { Wrong::Undelivered };
                Some(wrong(reason, failure.cause))
            }
        };
        Self {
            id: if wrong.is_some() { outcome.id.to_string() } else { String::new() },
            tag: outcome.tag,
            place,
            sent_ns: outcome.sent_ns,
            received_ns: outcome.received_ns,
            made_ns: outcome.result.as_ref().map_or(0, |answer| answer.finished_ns),
            attempt: outcome.result.as_ref().map_or(0, |answer| answer.attempt),
            wrong,
        }
    }
}

impl Checked {
    /// How its task came to its end, for what it shows of the time.
    pub fn ending(&self) -> Ending {
        match &self.wrong {
            None | Some(Wrong::Content(_) | Wrong::Contradicted(_)) => Ending::Made(self.made_ns),
            Some(Wrong::Undelivered(_, Cause::Died)) => Ending::Died,
            Some(Wrong::Failed(..) | Wrong::Undelivered(..)) => Ending::Unknown,
        }
    }
}

/// A worker cannot begin before the task was sent, nor end after its answer was here: so what it says it has spent on
/// the task has passed on this end's clock, too. All four times are of one clock.
fn times(answer: &Answer<'_>, outcome: &Outcome<'_>) -> Option<Wrong> {
    let Answer { started_ns, finished_ns, overlap, .. } = *answer;
    let apart = |earlier, later: u64| Duration::from_nanos(later.saturating_sub(earlier));
    let what = if started_ns < outcome.sent_ns {
        format!("it says it began {:?} before the task was sent", apart(started_ns, outcome.sent_ns))
    } else if finished_ns > outcome.received_ns {
        format!("it says it ended {:?} after its answer was here", apart(outcome.received_ns, finished_ns))
    } else if finished_ns < started_ns {
        format!("it says it ended {:?} before it began", apart(finished_ns, started_ns))
    } else if !overlap.is_zero() {
        format!("it says it spent {overlap:?} of the time on another task, and it does one at a time")
    } else {
        return None;
    };
    Some(Wrong::Contradicted(what))
}

fn not_sent() -> Wrong {
    Wrong::Content("the answer is not what was sent".to_owned())
}

fn check(answer: &Answer<'_>, asked: &Asked<'_>, tag: u64, buffer: &mut Vec<u8>) -> Option<Wrong> {
    let Asked { mix, seed, mix_seed, .. } = *asked;
    let took = answer.took();
    let at_least = |asked: Duration| {
        (took < asked).then(|| Wrong::Content(format!("done in {took:?}, although {asked:?} was asked for")))
    };
    match &mix.parts()[mix.of_task(mix_seed, tag)].workload {
        Workload::Echo { payload_bytes } => {
            payload::fill(buffer, seed, tag, *payload_bytes);
            (answer.body != &buffer[..]).then(not_sent)
        }
        Workload::Sleep(time) => at_least(time.of_task(seed, tag)),
        Workload::Saboteur(saboteur) => {
            payload::fill(buffer, seed, tag, saboteur.payload_bytes());
            let right = answer.body == &buffer[..];
            (!right).then(not_sent).or_else(|| at_least(saboteur.time()))
        }
        Workload::Compute { cpu } => at_least(*cpu),
        Workload::Exec(exec) if matches!(answer.how, HowEnded::Exited(status) if exec.is_answer(status)) => {
            None
        }
        Workload::Agent(agent) => {
            let result = &answer.body[..answer.body.len() - answer.errors.len()];
            // Where the round is over, the answer is late or the second one, whatever it says.
            let number = asked.number_of(tag)?;
            agent.wrong(result, seed, tag, number).map(Wrong::Content)
        }
        Workload::Exec(_) => {
            let errors = String::from_utf8_lossy(answer.errors).trim().to_owned();
            let last = errors.lines().last().map_or(String::new(), |line| format!(": {line}"));
            Some(Wrong::Failed(format!("the command {}{last}", answer.how), Cause::Exited))
        }
    }
}
