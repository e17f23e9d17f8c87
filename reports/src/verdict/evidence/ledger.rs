//! Whether both ends have counted the same: when the load had drained, or at the last checkpoint of a segment that was cut off.

use std::fmt::Write;

use super::{check, n, shorten};
use crate::facts::Facts;
use crate::runlog::event::{Ledger, LedgerEvidence, LedgerRow};
use crate::units;
use crate::verdict::{Check, EvidenceResult, Verdict};

pub(super) fn ledger(facts: &Facts) -> EvidenceResult {
    let Some(ledger) = &facts.ledger else {
        return check(
            Check::Ledger,
            Verdict::Inconclusive,
            "both ends count the same",
            "no ledger in the log",
        );
    };
    let wanted = match ledger.evidence {
        LedgerEvidence::Client => {
            "the client counts what the rounds hold; the system has no ledger of its own"
        }
        LedgerEvidence::Coordinators | LedgerEvidence::Workers => "both ends count the same",
    };
    let (mut wrong, mut unread) = (Vec::new(), Vec::new());
    for (counts, moment) in moments(facts) {
        wrong.extend(unbalanced("client", &counts.client, moment));
        if ledger.evidence > LedgerEvidence::Client {
            against_coordinators((facts, moment), counts, &mut wrong, &mut unread);
        }
    }
    // Rounds of a segment that was killed before its first checkpoint are in no ledger.
    if !facts.lacks_a_ledger() {
        wrong.extend(against_rounds(facts, ledger));
    }
    let lost = facts.lost_tasks();
    let is_whole = unread.is_empty() && !facts.lacks_a_ledger() && lost == 0;
    let verdict = match (wrong.is_empty(), is_whole) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Pass,
    };
    let mut result = check(Check::Ledger, verdict, wanted, counted(facts, ledger));
    if !wrong.is_empty() {
        result.note = Some(shorten(&wrong));
    } else if !unread.is_empty() {
        result.note = Some(format!("could not be read: {}", shorten(&unread)));
    } else if facts.lacks_a_ledger() {
        result.note = Some(format!("{} of {} segments have a ledger", facts.ledgers, facts.segments));
    } else if lost > 0 {
        result.note = Some(format!(
            "{} failed in rounds that do not count: under way at the last checkpoint, or later",
            units::things(lost, "task")
        ));
    } else if !facts.cuts.is_empty() {
        result.note = Some(cut_off(facts));
    }
    result
}

/// When counts were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// All tasks had ended.
    Drained,
    /// So many had not.
    UnderLoad { in_hand: u64 },
}

/// The counts of all segments, those that have drained first.
fn moments(facts: &Facts) -> impl Iterator<Item = (&Ledger, Moment)> {
    let cuts = facts.cuts.iter();
    let cuts = cuts.map(|cut| (&cut.checkpoint.ledger, Moment::UnderLoad { in_hand: cut.in_hand() }));
    facts.drained.iter().map(|ledger| (ledger, Moment::Drained)).chain(cuts)
}

/// Which segments count up to a checkpoint, and what that leaves out, in words.
fn cut_off(facts: &Facts) -> String {
    let (cuts, in_hand) = (&facts.cuts, facts.in_hand());
    let rounds = cuts.iter().map(|cut| cut.rounds_after).sum();
    let mut text = format!(
        "{} to the last checkpoint before it was cut off, with {} in hand that count neither as answered nor as lost",
        if cuts.len() == 1 {
            "one segment counts".to_owned()
        } else {
            format!("{} segments count", cuts.len())
        },
        units::things(in_hand, "task")
    );
    if rounds > 0 {
        let _ = write!(
            text,
            "; {} ended after it and count only where they are bad",
            units::things(rounds, "round")
        );
    }
    text
}

/// What the client counts, in words.
fn counted(facts: &Facts, ledger: &Ledger) -> String {
    let in_hand = facts.in_hand();
    let mut found = format!(
        "{} accepted, {} answered, {} failed, {} in flight",
        n(ledger.client.accepted),
        n(ledger.client.answered),
        n(ledger.client.failed),
        n(ledger.client.in_flight.saturating_sub(in_hand))
    );
    if !facts.cuts.is_empty() {
        let _ = write!(found, ", {} in hand when the run was cut off", n(in_hand));
    }
    for (count, how) in [(ledger.refused, "refused"), (ledger.rejected, "answered incorrectly")] {
        if count > 0 {
            let _ = write!(found, ", {} {how}", n(count));
        }
    }
    found
}

/// Holds the client's counts against those of each coordinator, and of its workers where they are declared.
fn against_coordinators(
    (facts, moment): (&Facts, Moment),
    ledger: &Ledger,
    wrong: &mut Vec<String>,
    unread: &mut Vec<String>,
) {
    let mut total = LedgerRow::default();
    let retried = ledger.pool.map_or(0, |pool| pool.retried);
    for row in &ledger.coordinators {
        total = total.plus(row.client);
        match &row.coordinator {
            None => unread.push(row.name.clone()),
            Some(own) => {
                let (name, corrupt) = (&row.name, facts.load.counts.corrupt);
                match moment {
                    Moment::Drained => {
                        wrong.extend(unbalanced(name, own, moment));
                        wrong.extend(difference(name, &row.client, own, corrupt));
                    }
                    Moment::UnderLoad { .. } => wrong.extend(apart(name, &row.client, own, corrupt)),
                }
            }
        }
        match row.executed_by_workers {
            Some(executed) if executed < row.client.answered => {
                wrong.push(format!("{}: more answers than its workers have executed tasks", row.name));
            }
            // A worker begins a task again whose agent program or process has died.
            Some(executed) if executed > row.client.accepted.saturating_add(retried) => {
                wrong.push(format!("{}: its workers have executed more tasks than there were", row.name));
            }
            None if ledger.evidence >= LedgerEvidence::Workers && row.coordinator.is_some() => {
                unread.push(format!("what the workers of {} have executed", row.name));
            }
            Some(_) | None => {}
        }
    }
    if ledger.coordinators.is_empty() {
        unread.push("the count of every coordinator".into());
    }
    // Under load, some tasks may be with no coordinator.
    let ended = |row: &LedgerRow| match moment {
        Moment::Drained => row.accepted,
        Moment::UnderLoad { .. } => row.accepted.saturating_sub(row.in_flight),
    };
    if ended(&total) != ended(&ledger.client) || total.answered != ledger.client.answered {
        wrong.push("the client's rows do not add up to its total".into());
    }
}

fn unbalanced(name: &str, row: &LedgerRow, moment: Moment) -> Option<String> {
    if row.accepted != row.answered.saturating_add(row.failed).saturating_add(row.in_flight) {
        return Some(format!("{name}: accepted is not answered + failed + in flight"));
    }
    match moment {
        Moment::Drained => (row.in_flight > 0)
            .then(|| format!("{name}: {} tasks still in flight after the drain", n(row.in_flight))),
        // The harness waits for no others: these it had given up, and the system has never ended them.
        Moment::UnderLoad { in_hand } => {
            row.in_flight.checked_sub(in_hand).filter(|rest| *rest > 0).map(|rest| {
                format!("{name}: {} tasks given up and still in flight at the last checkpoint", n(rest))
            })
        }
    }
}

/// As [`difference`], while tasks are on their way: the ends are no further apart than that explains. Tasks that the client has given
/// up may be on their way as well.
fn apart(name: &str, client: &LedgerRow, own: &LedgerRow, corrupt: u64) -> Option<String> {
    let under_way = client.in_flight.saturating_add(client.failed);
    let explained = under_way.saturating_add(client.late).saturating_add(corrupt);
    let accepted = client.accepted.checked_sub(own.accepted).is_some_and(|behind| behind <= under_way);
    let answered = own.answered.checked_sub(client.answered).is_some_and(|ahead| ahead <= explained);
    (!(accepted && answered)).then(|| {
        format!(
            "{name}: at the last checkpoint the client counts {} accepted and {} answered, with {} in flight; it counts {} and {}",
            n(client.accepted),
            n(client.answered),
            n(client.in_flight),
            n(own.accepted),
            n(own.answered)
        )
    })
}

/// A coordinator may have had an answer that came to the client too late, or with the wrong content:
/// the client calls these failed.
fn difference(name: &str, client: &LedgerRow, own: &LedgerRow, corrupt: u64) -> Option<String> {
    if client.accepted != own.accepted {
        return Some(format!(
            "{name}: the client counts {} accepted, it counts {}",
            n(client.accepted),
            n(own.accepted)
        ));
    }
    let explained = client.late.saturating_add(corrupt);
    let good = own.answered >= client.answered && own.answered - client.answered <= explained;
    (!good).then(|| {
        format!("{name}: the client counts {} answered, it counts {}", n(client.answered), n(own.answered))
    })
}

/// What the bus refused is in the rounds and in no ledger; what was answered incorrectly is an answer in
/// the ledgers alone.
fn against_rounds(facts: &Facts, ledger: &Ledger) -> Option<String> {
    let (load, warm) = (&facts.load.counts, &facts.load.warm_up);
    // Of rounds that were on their way at a checkpoint, the ledgers have the tasks so far; of failures after it they have none.
    let open = facts.cuts.iter().map(|cut| cut.checkpoint.open);
    let (tasks, answered) = open.fold((0, 0), |(tasks, answered): (u64, u64), open| {
        (tasks.saturating_add(open.tasks), answered.saturating_add(open.answered))
    });
    let rounds =
        ((load.tasks + warm.tasks).saturating_sub(facts.lost_tasks()), load.answered + warm.answered);
    let booked = (
        ledger.client.accepted.saturating_add(ledger.refused).saturating_sub(tasks),
        ledger.client.answered.saturating_sub(ledger.rejected).saturating_sub(answered),
    );
    (rounds != booked).then(|| {
        format!(
            "the rounds hold {} tasks and {} answers, the ledgers {} ({} never accepted) and {} ({} not right)",
            n(rounds.0),
            n(rounds.1),
            n(booked.0),
            n(ledger.refused),
            n(booked.1),
            n(ledger.rejected)
        )
    })
}
