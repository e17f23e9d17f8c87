//! The status of a fleet as text, for `status` and `top`.

use crate::client::status::{CoordinatorStatus, Death, FleetStatus, ProcessStatus, Stuck, StuckKind};
use std::fmt::Write as _;
use std::time::Duration;

/// A longer list would fill the screen.
const STUCK_SHOWN: usize = 10;

/// The whole status, with a line for each coordinator and each worker that has had trouble.
pub(super) fn fleet(name: &str, status: &FleetStatus, age: Duration) -> String {
    // Writing into a string cannot fail.
    let mut out = String::new();
    let _ = writeln!(out, "{}", head(name, status, age));
    for line in [tasks(status), pool(status)] {
        let _ = writeln!(out, "  {line}");
    }
    for line in holders(status) {
        let _ = writeln!(out, "  {line}");
    }
    for coordinator in status.coordinators.iter().filter(|coordinator| !coordinator.process.is_absent()) {
        let _ = writeln!(out, "  {}", self::coordinator(coordinator));
        for worker in &coordinator.workers {
            let process = &worker.process;
            if process.deaths > 0 || process.is_dead() || process.retiring || process.suspected_ns.is_some() {
                let _ = writeln!(out, "    {}{}", self::process(process), history(process));
            }
        }
    }
    for stuck in status.stuck.iter().take(STUCK_SHOWN) {
        let _ = writeln!(out, "  {}", self::stuck(stuck));
    }
    if let Some(more) = status.stuck.len().checked_sub(STUCK_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(out, "  and {more} more are stuck; `coordinator status --json` lists them");
    }
    out
}

pub(super) fn head(name: &str, status: &FleetStatus, age: Duration) -> String {
    let there: Vec<_> = status.coordinators.iter().filter(|one| one.process.is_live()).collect();
    let workers: u32 = there.iter().map(|one| one.live).sum();
    let places: usize = status.coordinators.iter().map(|one| one.workers.len()).sum();
    let adopted = match status.supervisor.incarnation {
        0 | 1 => String::new(),
        count => format!(" ({} supervisor)", ordinal(count)),
    };
    format!(
        "{name}  {} for {}  supervisor {}{adopted}{}  {} of {} coordinators  {workers} of {places} workers  {}",
        status.stage,
        time(age),
        status.supervisor.pid,
        if status.supervisor.is_dead() { " is dead" } else { "" },
        there.len(),
        status.coordinators.len(),
        counted(status.deaths, "death"),
    )
}

/// `1 death`, `2 deaths`.
pub(super) fn counted(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// 1st, 2nd, 3rd, 4th, 11th.
fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

fn deliveries(failed: u64) -> String {
    if failed == 1 { "1 failed delivery".to_owned() } else { format!("{failed} failed deliveries") }
}

pub(super) fn tasks(status: &FleetStatus) -> String {
    let (ledger, counts) = (&status.ledger, &status.counts);
    let mut out = format!(
        "tasks: {} accepted = {} answered ({}) + {} + ",
        ledger.accepted,
        ledger.answered,
        counted(ledger.failed_tasks, "failed task"),
        deliveries(ledger.failed)
    );
    if ledger.returned > 0 {
        let _ = write!(out, "{} returned + ", ledger.returned);
    }
    let _ =
        write!(out, "{} in flight; {} late, {} duplicates", ledger.in_flight, ledger.late, ledger.duplicates);
    let requeued = status.coordinators.iter().map(|one| one.requeued).fold(0, u64::saturating_add);
    let untold = status.coordinators.iter().map(|one| one.untold).fold(0, u64::saturating_add);
    for (count, what) in [
        (untold, "not taken by a client"),
        (requeued, "requeued"),
        (counts.retried, "retried"),
        (counts.cancelled, "cancelled"),
        (counts.revived, "revived"),
    ] {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    if counts.dead_letters > 0 {
        let (kept, evicted) = (counts.dead_letters_kept, counts.dead_letters_evicted);
        let _ = write!(out, "; dead letters: {kept} kept, {evicted} evicted");
    }
    out
}

pub(super) fn pool(status: &FleetStatus) -> String {
    let counts = &status.counts;
    let ratio = counts
        .hit_ratio()
        .map_or_else(|| "no hits yet".to_owned(), |hits| format!("{:.1} % hits", hits * 100.0));
    format!(
        "pool: {ratio}, {} misses, {} refills, {} recycled, {} poisoned, {} hung, {} healed, {} forks refused",
        counts.misses,
        counts.refills,
        counts.recycled,
        counts.poisoned,
        counts.hung,
        counts.healed,
        counts.refused_forks
    )
}

/// The client, the operator that holds a pause, and what an operator has asked for.
pub(super) fn holders(status: &FleetStatus) -> Vec<String> {
    let gone = |alive: bool| if alive { "" } else { ", which has ended" };
    let mut lines = Vec::new();
    if let Some(client) = status.client {
        lines.push(format!("client: pid {}{}", client.pid, gone(client.alive)));
    }
    if let Some(operator) = status.pause {
        lines.push(format!("paused by pid {}{}", operator.pid, gone(operator.alive)));
    }
    let wanted = [(status.wanted.coordinators, "coordinators"), (status.wanted.workers, "workers each")];
    let wanted: Vec<_> =
        wanted.iter().filter_map(|(count, what)| Some(format!("{} {what}", (*count)?))).collect();
    if !wanted.is_empty() {
        lines.push(format!("wanted by an operator: {}", wanted.join(", ")));
    }
    lines
}

pub(super) fn coordinator(status: &CoordinatorStatus) -> String {
    let wanted = status.wanted.map(|wanted| format!(", {wanted} wanted")).unwrap_or_default();
    format!(
        "{}  epoch {}  workers: {} live of {}, {} busy{wanted}; {} queued, {} in flight{}{}",
        process(&status.process),
        status.epoch,
        status.live,
        status.workers.len(),
        status.busy,
        status.queued,
        status.ledger.in_flight,
        if status.paused { "; paused" } else { "" },
        history(&status.process),
    )
}

/// A process: its place, its pid, its state and since when.
pub(super) fn process(process: &ProcessStatus) -> String {
    let mut out = format!("{:<12} pid {:<8} {}", process.place.to_string(), process.pid, process.life);
    if let Some(how) = &process.ended {
        let _ = write!(out, " ({how})");
    }
    if let Some(up_ns) = process.up_ns {
        let _ = write!(out, " for {}", time(Duration::from_nanos(up_ns)));
    }
    if process.retiring {
        out.push_str(", retiring");
    }
    if let Some(suspected_ns) = process.suspected_ns {
        let _ = write!(out, ", suspected: no progress for {}", time(Duration::from_nanos(suspected_ns)));
    }
    out
}

/// How many processes have had this place, and how the last one died.
fn history(process: &ProcessStatus) -> String {
    match &process.last_death {
        Some(death) => format!(
            "; incarnation {} after {}, the last of pid {} ({}){}",
            process.incarnation,
            counted(process.deaths, "death"),
            death.pid,
            death.how,
            recovery(death)
        ),
        None if process.restarts() > 0 => format!("; incarnation {}", process.incarnation),
        None => String::new(),
    }
}

fn recovery(death: &Death) -> String {
    death
        .recovery_ns()
        .map(|ns| format!(", recovered in {:.1} ms", Duration::from_nanos(ns).as_secs_f64() * 1e3))
        .unwrap_or_default()
}

pub(super) fn stuck(stuck: &Stuck) -> String {
    let long = time(Duration::from_nanos(stuck.for_ns));
    match (stuck.kind, &stuck.task_id) {
        (StuckKind::TaskInHand | StuckKind::Stopped, Some(task)) => {
            format!("{} has had task {task} {} for {long}", stuck.place, stuck.message)
        }
        (_, Some(task)) => {
            let tasks =
                if stuck.tasks == 1 { "1 task waits" } else { &format!("{} tasks wait", stuck.tasks) };
            format!("{tasks} for {}: {}; the oldest is {task}, for {long}", stuck.place, stuck.message)
        }
        (_, None) => format!("{}: {}, for {long}", stuck.place, stuck.message),
    }
}

/// As precise as is useful for a person.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_long_as_they_need_to_be() {
        let texts = [0, 9, 10, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| time(Duration::from_secs(s)));
        let wanted = [
            "0.0 s",
            "9.0 s",
            "10 s",
            "119 s",
            "2 min 0 s",
            "119 min 59 s",
            "2 h 0 min",
            "47 h 59 min",
            "2 d 0 h",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0_u32, 1, 2].map(|n| counted(n, "death")), ["0 deaths", "1 death", "2 deaths"]);
    }

    #[test]
    fn ordinals_are_spelled_as_in_english() {
        let texts = [1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 112].map(ordinal);
        let wanted = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "103rd", "112th"];
        assert_eq!(texts, wanted);
    }
}
