//! A fleet whose size follows its load: the bounds of its workers and coordinators, and when they change.

use super::Bus;
use super::form::Busy;
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Count, Span};
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::stage::Stage;
use crate::scenario::table::{Key, Presence};
use coordinator::config::{COORDINATORS_MAX, SCALE_UP_AT_MAX, Thresholds, WORKERS_PER_COORDINATOR_MAX};
use serde_json::{Value as Json, json};
use std::time::Duration;

pub(super) static COORDINATORS_MIN: Key<Count> = Key {
    name: "coordinators_min",
    form: Count {
        max: COORDINATORS_MAX,
        things: "coordinators that the fleet keeps when there is little to do",
    },
    presence: Presence::Optional("1, with `coordinators_max`"),
    says: "Fewest coordinators. With it or `coordinators_max`, their number follows the load.",
};

pub(super) static COORDINATORS_MAX_KEY: Key<Count> = Key {
    name: "coordinators_max",
    form: Count {
        max: COORDINATORS_MAX,
        things: "coordinators that the fleet has room for when there is much to do",
    },
    presence: Presence::Optional("`coordinators`, with `coordinators_min`"),
    says: "Most coordinators, which the host must have room for. With it or `coordinators_min`, their number follows the load. \
           Where the number of workers does too, it grows first.",
};

pub(super) static WORKERS_MIN: Key<Count> = Key {
    name: "workers_min",
    form: Count {
        max: WORKERS_PER_COORDINATOR_MAX,
        things: "workers that each coordinator keeps when there is little to do",
    },
    presence: Presence::Optional("1, with `workers_max`"),
    says: "Fewest workers under each coordinator. With it or `workers_max`, their number follows the load.",
};

pub(super) static WORKERS_MAX: Key<Count> = Key {
    name: "workers_max",
    form: Count {
        max: WORKERS_PER_COORDINATOR_MAX,
        things: "workers that each coordinator has room for when there is much to do",
    },
    presence: Presence::Optional("`workers`, with `workers_min`"),
    says: "Most workers under each coordinator, which the host must have room for. With it or `workers_min`, their number follows the \
           load.",
};

pub(super) static SCALE_UP_AT: Key<Busy> = Key {
    name: "scale_up_at",
    form: Busy { least: 1, most: SCALE_UP_AT_MAX },
    presence: Presence::Optional("`\"80%\"`"),
    says: "By load: above this share of busy workers, with the tasks that wait for one, a quarter more processes are started.",
};

pub(super) static SCALE_DOWN_AT: Key<Busy> = Key {
    name: "scale_down_at",
    form: Busy { least: 0, most: SCALE_UP_AT_MAX - 1 },
    presence: Presence::Optional("`\"30%\"`"),
    says: "By load: below this share of busy workers, up to a quarter of the processes are retired. Below `scale_up_at`.",
};

pub(super) static SCALE_HOLD: Key<Span> = Key {
    name: "scale_hold",
    form: Span::ANY,
    presence: Presence::Optional("`\"200ms\"`"),
    says: "By load: for how long one of these shares must have been passed.",
};

pub(super) static SCALE_PAUSE: Key<Span> = Key {
    name: "scale_pause",
    form: Span::ANY,
    presence: Presence::Optional("`\"1s\"`"),
    says: "By load: shortest time between two changes.",
};

/// The keys that make a fleet follow its load.
pub(in crate::scenario) const BOUNDS: [&str; 4] =
    ["workers_min", "workers_max", "coordinators_min", "coordinators_max"];

/// Keys that say how the load is followed need one that says that it is.
pub(super) fn rules() -> Vec<Json> {
    let bounds = json!({ "anyOf": BOUNDS.map(|bound| json!({ "required": [bound] })) });
    let needs = |key: &str| json!({ "if": { "required": [key] }, "then": bounds });
    ["scale_up_at", "scale_down_at", "scale_hold", "scale_pause"].map(needs).to_vec()
}

#[derive(Debug)]
pub(super) struct RawPool {
    pub(super) coordinators: RawBounds,
    workers: RawBounds,
    up_at: Option<Sited<u32>>,
    down_at: Option<Sited<u32>>,
    hold: Option<Sited<Duration>>,
    pause: Option<Sited<Duration>>,
}

#[derive(Debug)]
pub(super) struct RawBounds {
    min: Option<Sited<u32>>,
    pub(super) max: Option<Sited<u32>>,
}

/// Between which numbers there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// Of a fleet that follows its load; nothing of what keeps its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) coordinators: Option<Bounds>,
    /// Under each coordinator.
    pub(super) workers: Option<Bounds>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawPool {
    RawPool {
        coordinators: RawBounds {
            min: fields.value(&COORDINATORS_MIN, found),
            max: fields.value(&COORDINATORS_MAX_KEY, found),
        },
        workers: RawBounds { min: fields.value(&WORKERS_MIN, found), max: fields.value(&WORKERS_MAX, found) },
        up_at: fields.value(&SCALE_UP_AT, found),
        down_at: fields.value(&SCALE_DOWN_AT, found),
        hold: fields.value(&SCALE_HOLD, found),
        pause: fields.value(&SCALE_PAUSE, found),
    }
}

impl RawPool {
    /// When the number changes. Mistakes are reported by [`check`].
    pub(super) fn thresholds(&self) -> Thresholds {
        let Thresholds { up_at, down_at, hold, pause } = Thresholds::default();
        let up_at = self.up_at.as_ref().map_or(up_at, |at| at.value);
        Thresholds {
            up_at,
            // A lower mark above the default one does not ask for both.
            down_at: self.down_at.as_ref().map_or(down_at.min(up_at - 1), |at| at.value),
            hold: self.hold.as_ref().map_or(hold, |at| at.value),
            pause: self.pause.as_ref().map_or(pause, |at| at.value),
        }
    }

    /// Of the keys that say how the load is followed.
    fn reject_without_bounds(&self, found: &mut Vec<Mistake>) {
        let sites = [
            self.up_at.as_ref().map(site),
            self.down_at.as_ref().map(site),
            self.hold.as_ref().map(site),
            self.pause.as_ref().map(site),
        ];
        for (origin, path) in sites.into_iter().flatten() {
            let message = format!("`{path}` has no effect on a fleet that keeps its size");
            let hint = "add `workers_max`, `coordinators_max` or a minimum, or leave it out";
            found.push(Mistake::new(origin, message, hint));
        }
    }
}

fn site<T>(at: &Sited<T>) -> (Origin, &str) {
    (at.origin, &at.path)
}

impl RawBounds {
    /// One of the two keys.
    fn site(&self) -> Option<(Origin, &str)> {
        self.max.as_ref().or(self.min.as_ref()).map(site)
    }

    /// `things` are counted by the key of that name, and there are `start` of them at first. Nothing if no bound is given.
    fn check(&self, things: &str, start: u32, found: &mut Vec<Mistake>) -> Option<Bounds> {
        let (origin, path) = self.site()?;
        if let Some(at) = self.max.as_ref().filter(|at| at.value < start) {
            let message =
                format!("`{}` ({}) is below `fleet.{things}`, the number at the start", at.path, at.value);
            at.reject(found, message, format!("write at least {start}"));
        }
        if let Some(at) = self.min.as_ref().filter(|at| at.value > start) {
            let message =
                format!("`{}` ({}) is above `fleet.{things}`, the number at the start", at.path, at.value);
            at.reject(found, message, format!("write at most {start}"));
        }
        let bounds = Bounds {
            min: self.min.as_ref().map_or(1, |at| at.value.min(start)),
            max: self.max.as_ref().map_or(start, |at| at.value.max(start)),
        };
        if bounds.min == bounds.max {
            let message = format!("`{path}` leaves the fleet no other number of {things} than {start}");
            found.push(Mistake::new(origin, message, "write bounds that differ, or leave them out"));
        }
        Some(bounds)
    }
}

/// `start` is how many coordinators there are at first, and how many workers each of them has; `bus` is absent if the load was
/// rejected.
pub(super) fn check(
    raw: &RawPool,
    start: (u32, u32),
    bus: Option<Bus>,
    stages: &[Stage],
    found: &mut Vec<Mistake>,
) -> Pool {
    let pool = Pool {
        coordinators: raw.coordinators.check("coordinators", start.0, found),
        workers: raw.workers.check("workers", start.1, found),
    };
    let Some((origin, path)) = raw.workers.site().or(raw.coordinators.site()) else {
        raw.reject_without_bounds(found);
        return pool;
    };
    if !stages.is_empty() {
        let message =
            format!("`{path}` lets the load decide how many workers there are, and so does `[[stage]]`");
        found.push(Mistake::new(origin, message, "leave one of them out"));
    }
    if bus.is_some_and(|bus| bus.tasks_for_any.is_none()) {
        let message = format!("`{path}` lets workers come and go, and each task is for one of them");
        found.push(Mistake::new(origin, message, "write `to = \"any\"` under [load]"));
    }
    let Thresholds { up_at, down_at, .. } = raw.thresholds();
    if let Some(at) = raw.down_at.as_ref().filter(|_| down_at >= up_at) {
        let message = format!("`{}` ({down_at}%) is not below `fleet.scale_up_at` ({up_at}%)", at.path);
        at.reject(found, message, format!("write at most \"{}%\"", up_at - 1));
    }
    pool
}
