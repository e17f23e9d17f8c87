//! What a fleet does about failures, deaths, hangs and worn workers: the options of `coordinator up`, as keys.

use super::HANG_AFTER;
use super::form::{Grace, SignalName};
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Count, Size, Span, Word, Words};
use crate::scenario::mistake::Mistake;
use crate::scenario::table::{Key, Presence, Preset};
use crate::scenario::unit::duration_text;
use coordinator::config::{
    ATTEMPTS_MAX as ATTEMPTS_DEFAULT, BACKOFF_FIRST, BACKOFF_MAX as BACKOFF_MAX_DEFAULT, Failover,
    HANG_AFTER as HANG_AFTER_DEFAULT, Policy, RESTART_WINDOW as RESTART_WINDOW_DEFAULT,
    RESTARTS_MAX as RESTARTS_DEFAULT, Signal, Stop, SupervisorDeath,
};
use std::num::NonZeroU32;
use std::time::Duration;

pub(super) static ATTEMPTS_MAX: Key<Count> = Key {
    name: "attempts_max",
    form: Count { max: u8::MAX as u32, things: "attempts at a task before it fails" },
    presence: Presence::Default(Preset::Count(ATTEMPTS_DEFAULT as u32)),
    says: "Attempts at a task before it fails; 1 is no retry.",
};

pub(super) static BACKOFF: Key<Span> = Key {
    name: "backoff",
    form: Span::ANY,
    presence: Presence::Default(Preset::Duration(BACKOFF_FIRST)),
    says: "Pause after a failed attempt before the next one, doubled each time.",
};

pub(super) static BACKOFF_MAX: Key<Span> = Key {
    name: "backoff_max",
    form: Span::ANY,
    presence: Presence::Default(Preset::Duration(BACKOFF_MAX_DEFAULT)),
    says: "Longest pause between two attempts. At least `backoff`.",
};

pub(super) static RESTARTS_MAX: Key<Count> = Key {
    name: "restarts_max",
    form: Count { max: 1_000_000, things: "deaths after which a process is not replaced" },
    presence: Presence::Default(Preset::Count(RESTARTS_DEFAULT)),
    says: "Deaths within the restart window after which a worker or coordinator is not replaced.",
};

pub(super) static RESTART_WINDOW: Key<Span> = Key {
    name: "restart_window",
    form: Span::POSITIVE,
    presence: Presence::Default(Preset::Duration(RESTART_WINDOW_DEFAULT)),
    says: "Time span in which `restarts_max` counts deaths.",
};

pub(super) static FAILOVER: Key<Words<Failover>> = Key {
    name: "failover",
    form: Words {
        definition: "Failover",
        words: &[
            Word { text: "fresh", value: Failover::Fresh, says: "a process forked then" },
            Word { text: "spare", value: Failover::Spare, says: "a process forked before, which waits" },
            Word {
                text: "survivors",
                value: Failover::Survivors,
                says: "the other coordinators take its tasks, and its place stays vacant",
            },
        ],
    },
    presence: Presence::Optional("`\"fresh\"`"),
    says: "What takes over for a dead coordinator.",
};

pub(super) static RECYCLE_AFTER: Key<Count> = Key {
    name: "recycle_after",
    form: Count { max: u32::MAX, things: "tasks after which a worker is replaced" },
    presence: Presence::Optional("never"),
    says: "Tasks after which a worker is replaced by a new process.",
};

pub(super) static RECYCLE_GROWTH: Key<Size> = Key {
    name: "recycle_growth",
    form: Size { least: 1, most: u32::MAX },
    presence: Presence::Optional("never"),
    says: "Growth of its memory after which a worker is replaced by a new process.",
};

pub(super) static BATCH_MAX: Key<Count> = Key {
    name: "batch_max",
    form: Count { max: u32::MAX, things: "messages that are published at once" },
    presence: Presence::Optional("as many as there are"),
    says: "Most tasks or answers that the client and the coordinators publish at once, with one wake-up; 1 is no batching.",
};

pub(super) static SPAWN_MAX: Key<Count> = Key {
    name: "spawn_max",
    form: Count { max: u32::MAX, things: "processes that are started at the same time" },
    presence: Presence::Optional("all"),
    says: "Most coordinators that the supervisor, and most workers that each coordinator, starts at the same time when the fleet comes \
           up; 1 starts each one when the one before it is ready.",
};

pub(super) static STOP_SIGNAL: Key<SignalName> = Key {
    name: "stop_signal",
    form: SignalName,
    presence: Presence::Optional("`\"TERM\"`"),
    says: "Signal for commands and agent programs that have to end before their time: by a time-out, or with the fleet.",
};

pub(super) static GRACE: Key<Grace> = Key {
    name: "grace",
    form: Grace,
    presence: Presence::Optional("`\"500ms\"`"),
    says: "Time from that signal until SIGKILL.",
};

pub(super) static ON_SUPERVISOR_DEATH: Key<Words<SupervisorDeath>> = Key {
    name: "on_supervisor_death",
    form: Words {
        definition: "SupervisorDeath",
        words: &[
            Word { text: "end", value: SupervisorDeath::End, says: "the fleet ends" },
            Word {
                text: "adopt",
                value: SupervisorDeath::Adopt,
                says: "it keeps running, and another supervisor adopts it",
            },
        ],
    },
    presence: Presence::Optional("`\"end\"`"),
    says: "What the death of the supervisor means for the fleet.",
};

#[derive(Debug)]
pub(super) struct RawPolicy {
    attempts_max: Option<Sited<u32>>,
    backoff: Option<Sited<Duration>>,
    backoff_max: Option<Sited<Duration>>,
    restarts_max: Option<Sited<u32>>,
    restart_window: Option<Sited<Duration>>,
    hang_after: Option<Sited<Option<Duration>>>,
    failover: Option<Sited<Failover>>,
    recycle_after: Option<Sited<u32>>,
    recycle_growth: Option<Sited<u64>>,
    batch_max: Option<Sited<u32>>,
    spawn_max: Option<Sited<u32>>,
    stop_signal: Option<Sited<Signal>>,
    grace: Option<Sited<Duration>>,
    on_supervisor_death: Option<Sited<SupervisorDeath>>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawPolicy {
    RawPolicy {
        attempts_max: fields.value(&ATTEMPTS_MAX, found),
        backoff: fields.value(&BACKOFF, found),
        backoff_max: fields.value(&BACKOFF_MAX, found),
        restarts_max: fields.value(&RESTARTS_MAX, found),
        restart_window: fields.value(&RESTART_WINDOW, found),
        hang_after: fields.value(&HANG_AFTER, found),
        failover: fields.value(&FAILOVER, found),
        recycle_after: fields.value(&RECYCLE_AFTER, found),
        recycle_growth: fields.value(&RECYCLE_GROWTH, found),
        batch_max: fields.value(&BATCH_MAX, found),
        spawn_max: fields.value(&SPAWN_MAX, found),
        stop_signal: fields.value(&STOP_SIGNAL, found),
        grace: fields.value(&GRACE, found),
        on_supervisor_death: fields.value(&ON_SUPERVISOR_DEATH, found),
    }
}

/// `coordinators` is how many the fleet has.
pub(super) fn check(raw: &RawPolicy, coordinators: u32, found: &mut Vec<Mistake>) -> Policy {
    if let Some(at) = &raw.failover
        && at.value == Failover::Survivors
        && coordinators < 2
    {
        let message = format!("`{}` is \"survivors\", and a single coordinator has none", at.path);
        at.reject(found, message, "write `failover = \"fresh\"`, or use more coordinators");
    }
    let backoff_first = value(raw.backoff.as_ref(), BACKOFF_FIRST);
    let backoff_max = value(raw.backoff_max.as_ref(), BACKOFF_MAX_DEFAULT.max(backoff_first));
    if let Some(at) = raw.backoff_max.as_ref().filter(|at| at.value < backoff_first) {
        let message = format!("`{}` ({}) is shorter than `fleet.backoff`", at.path, duration_text(at.value));
        at.reject(found, message, format!("write at least \"{}\"", duration_text(backoff_first)));
    }
    let stop = Stop::default();
    Policy {
        attempts_max: u8::try_from(value(raw.attempts_max.as_ref(), ATTEMPTS_DEFAULT.into()))
            .unwrap_or(u8::MAX),
        backoff_first,
        backoff_max,
        restarts_max: value(raw.restarts_max.as_ref(), RESTARTS_DEFAULT),
        restart_window: value(raw.restart_window.as_ref(), RESTART_WINDOW_DEFAULT),
        hang_after: value(raw.hang_after.as_ref(), Some(HANG_AFTER_DEFAULT)),
        failover: value(raw.failover.as_ref(), Failover::default()),
        recycle_after: raw.recycle_after.as_ref().map(|at| at.value),
        recycle_growth: raw.recycle_growth.as_ref().map(|at| at.value),
        // Of their keys the least value is 1.
        batch_max: raw.batch_max.as_ref().and_then(|at| NonZeroU32::new(at.value)),
        spawn_max: raw.spawn_max.as_ref().and_then(|at| NonZeroU32::new(at.value)),
        stop: Stop {
            signal: value(raw.stop_signal.as_ref(), stop.signal),
            grace: value(raw.grace.as_ref(), stop.grace),
        },
        supervisor_death: value(raw.on_supervisor_death.as_ref(), SupervisorDeath::default()),
        ..Policy::default()
    }
}

fn value<T: Copy>(given: Option<&Sited<T>>, default: T) -> T {
    given.map_or(default, |at| at.value)
}
