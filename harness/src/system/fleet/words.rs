//! The fleet's words, as the types of [`crate::system`]. Pure.

use crate::system::{Answer, Cause, Death, Failure, Life, Notice, Noticed, PlaceId, Process};
use coordinator::client::events::{ScaledBy, Seen, Subject, What};
use coordinator::client::status::{Counts, Life as FleetLife, ProcessStatus, WorkerStatus};
use coordinator::client::{Answer as FleetAnswer, Batches as Sent, Failure as Reason, HowEnded, Ledger};
use reports::runlog::event::{Batch, Batches, LedgerRow, Pool};
use std::time::Duration;

pub(super) fn process(status: &ProcessStatus) -> Process {
    let life = if status.is_dead() {
        Life::Dead
    } else if status.is_stopped() || status.life == FleetLife::Absent {
        // A place that had a process and is vacant again: the process was asked to end, and none is to come.
        Life::Stopped
    } else if status.is_live() {
        Life::Live
    } else {
        Life::Starting
    };
    Process {
        place: status.place,
        incarnation: status.incarnation,
        pid: status.pid,
        start_ticks: status.start_ticks,
        life,
        retiring: status.retiring,
        deaths: status.deaths,
        last_death: status.last_death.as_ref().map(|death| Death {
            pid: death.pid,
            start_ticks: death.start_ticks,
            how: death.how.clone(),
        }),
        ended: status.ended.clone(),
    }
}

/// `stdout_len` and the times may be anything: they come from a worker.
pub(super) fn answer<'a>(
    answer: &FleetAnswer<'a>,
    overlap: Duration,
    to_run_ns: impl Fn(u64) -> u64,
) -> Answer<'a> {
    Answer {
        body: answer.body,
        errors: answer.body.get(answer.stdout_len..).unwrap_or_default(),
        attempt: answer.attempt,
        started_ns: to_run_ns(answer.started_ns),
        finished_ns: to_run_ns(answer.finished_ns),
        overlap,
        how: HowEnded::from_raw(answer.code),
    }
}

pub(super) fn failure(failure: &Reason) -> Failure {
    let place = match failure {
        Reason::WorkerDied(worker, _)
        | Reason::WorkerDead(worker, _)
        | Reason::WorkerHung(worker, _)
        | Reason::Refused(worker, _)
        | Reason::AgentFailed(worker, _)
        | Reason::AgentDied(worker, _) => Some(PlaceId::Worker(*worker)),
        Reason::CoordinatorDied(index, _)
        | Reason::CoordinatorSilent(index, _)
        | Reason::CoordinatorBroken(index, _)
        | Reason::Damaged(index, _)
        | Reason::Missing(index) => Some(PlaceId::Coordinator(*index)),
        Reason::FleetEnded
        | Reason::SupervisorDied
        | Reason::TimedOut(_)
        | Reason::AttemptTimedOut(..)
        | Reason::Failed(_)
        | Reason::Unassigned(_)
        | Reason::Cancelled
        | Reason::Ended(_) => None,
    };
    Failure { reason: failure.to_string(), place, cause: cause(failure), is_answer: failure.is_an_answer() }
}

pub(super) fn pool(counts: &Counts) -> Pool {
    Pool {
        hits: counts.hits,
        misses: counts.misses,
        recycled: counts.recycled,
        poisoned: counts.poisoned,
        retried: counts.retried,
    }
}

/// Tasks as the client has published them, and answers as the coordinators say they have: any number, and nothing if that
/// cannot be.
pub(super) fn batches<'a>(tasks: Sent, coordinators: impl Iterator<Item = &'a Counts>) -> Option<Batches> {
    let answers = coordinators.fold(Batch::default(), |sum, counts| {
        sum.plus(Batch { messages: counts.batched, batches: counts.batches })
    });
    let can_be = answers.batches <= answers.messages && (answers.batches == 0) == (answers.messages == 0);
    let tasks = Batch { messages: tasks.messages, batches: tasks.batches };
    can_be.then_some(Batches { tasks, answers })
}

fn cause(failure: &Reason) -> Cause {
    match failure {
        Reason::TimedOut(_) | Reason::AttemptTimedOut(..) | Reason::Unassigned(_) => Cause::TimedOut,
        Reason::Failed(_) | Reason::AgentFailed(..) => Cause::Exited,
        Reason::WorkerDied(..)
        | Reason::WorkerDead(..)
        | Reason::WorkerHung(..)
        | Reason::AgentDied(..)
        | Reason::CoordinatorDied(..)
        | Reason::CoordinatorSilent(..)
        | Reason::SupervisorDied => Cause::Died,
        Reason::Refused(..) => Cause::Refused,
        Reason::CoordinatorBroken(..)
        | Reason::Damaged(..)
        | Reason::Missing(_)
        | Reason::Cancelled
        | Reason::Ended(_)
        | Reason::FleetEnded => Cause::Other,
    }
}

/// What happens to processes; what happens to tasks is the fleet's daily work.
pub(super) fn notice(seen: &Seen, at_ns: u64) -> Option<Notice> {
    let known = |pid: u64| u32::try_from(pid).unwrap_or(0);
    let what = match &seen.what {
        What::Suspected { pid, .. } => Noticed::Suspected { pid: known(*pid) },
        What::Healed { pid, .. } => Noticed::Healed { pid: known(*pid) },
        What::Hung { pid, .. } => Noticed::Hung { pid: known(*pid) },
        What::Died { pid, .. } => Noticed::Died { pid: u32::try_from(*pid).ok()? },
        What::Started { .. } => Noticed::Started,
        What::Stopped { .. } => Noticed::Ended,
        What::Scaled { from, to, by: ScaledBy::Load } => Noticed::Resized { from: *from, to: *to },
        What::Scaled { from, to, by: ScaledBy::Operator } => Noticed::Scaled { from: *from, to: *to },
        What::HelperDied { name, pid, how } => {
            let pid = u32::try_from(*pid).ok()?;
            Noticed::HelperDied { name: name.unwrap_or("helper"), pid, how: how.clone() }
        }
        What::Missed { count } => Noticed::Unread(format!(
            "{count} events of {} were overwritten before they were read",
            seen.source
        )),
        // Nothing that the fleet has done since is what it was told to do.
        What::Overwritten { word, found } => {
            Noticed::Overwritten { word: word.unwrap_or("a word"), found: *found, text: overwritten(seen)? }
        }
        _ => return None,
    };
    let place = match seen.subject {
        Subject::Place(place) => place,
        Subject::Fleet => PlaceId::Supervisor,
    };
    Some(Notice { at_ns, place, what })
}

/// A word that another program has overwritten, if the event is about one.
fn overwritten(seen: &Seen) -> Option<String> {
    let What::Overwritten { .. } = &seen.what else { return None };
    let of = match seen.subject {
        Subject::Place(place) => place,
        Subject::Fleet => seen.source,
    };
    Some(format!("{of}: {}", seen.what))
}

/// A task that a coordinator gave back counts where it went, and not here.
pub(super) fn row(counts: Ledger) -> LedgerRow {
    LedgerRow {
        accepted: counts.accepted.saturating_sub(counts.returned),
        answered: counts.answered,
        failed: counts.failed,
        in_flight: counts.in_flight,
        late: counts.late,
        duplicates: counts.duplicates,
    }
}

/// Tasks that all workers say they have executed: any number, and more than there were tasks is a finding.
pub(super) fn executed(workers: &[WorkerStatus]) -> u64 {
    workers.iter().fold(0, |sum, worker| sum.saturating_add(worker.executed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator::client::WorkerRef;
    use std::time::Duration;

    #[test]
    fn a_failure_that_names_a_place_carries_it() {
        let worker = WorkerRef { coordinator: 3, worker: 17 };
        let named = failure(&Reason::WorkerDied(worker, HowEnded::Signaled(9)));
        assert_eq!(named.place, Some(PlaceId::worker(3, 17)));
        assert!(named.reason.contains("worker/3.17"), "{}", named.reason);
        let silent = failure(&Reason::TimedOut(Duration::from_secs(3)));
        assert_eq!((silent.reason.as_str(), silent.place), ("no answer within 3s", None));
    }

    #[test]
    fn more_batches_than_messages_are_no_count() {
        let tasks = Sent { messages: 12, batches: 3 };
        let counts = |batched, batches| Counts { batched, batches, ..Counts::default() };
        let answers = |all: &[Counts]| batches(tasks, all.iter()).map(|all| all.answers);
        let sum = Batch { messages: 12, batches: 5 };
        assert_eq!(answers(&[counts(4, 4), counts(8, 1)]), Some(sum));
        assert_eq!(answers(&[counts(4, 5)]), None);
        assert_eq!(answers(&[counts(4, 0)]), None);
        assert_eq!(answers(&[counts(0, 0)]), Some(Batch::default()));
    }

    #[test]
    fn an_answer_whose_stdout_is_longer_than_its_body_has_no_stderr() {
        let told = FleetAnswer {
            body: b"out",
            attempt: 1,
            started_ns: 7,
            finished_ns: 5,
            code: 0,
            stdout_len: usize::MAX,
            truncated: false,
            spooled: false,
            usage: None,
        };
        let heard = answer(&told, Duration::ZERO, |ns| ns + 1);
        assert_eq!((heard.body, heard.errors, heard.took()), (&b"out"[..], &b""[..], Duration::ZERO));
        assert_eq!((heard.started_ns, heard.finished_ns, heard.attempt), (8, 6, 1));
    }
}
