//! A fleet whose number of workers follows its load: its bounds, and when it changes.

use super::Bus;
use super::form::Busy;
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Count, Span};
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::stage::Stage;
use crate::scenario::table::{Key, Presence};
use coordinator::config::{SCALE_UP_AT_MAX, Thresholds, WORKERS_PER_COORDINATOR_MAX};
use serde_json::{Value as Json, json};
use std::time::Duration;

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
    says: "By load: above this share of busy workers, with the tasks that wait for one, a quarter more are started.",
};

pub(super) static SCALE_DOWN_AT: Key<Busy> = Key {
    name: "scale_down_at",
    form: Busy { least: 0, most: SCALE_UP_AT_MAX - 1 },
    presence: Presence::Optional("`\"30%\"`"),
    says: "By load: below this share of busy workers, up to a quarter of them are retired. Below `scale_up_at`.",
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

/// Keys that say how the load is followed need one that says that it is.
pub(super) fn rules() -> Vec<Json> {
    let bounds = json!({ "anyOf": [{ "required": ["workers_min"] }, { "required": ["workers_max"] }] });
    let needs = |key: &str| json!({ "if": { "required": [key] }, "then": bounds });
    ["scale_up_at", "scale_down_at", "scale_hold", "scale_pause"].map(needs).to_vec()
}

#[derive(Debug)]
pub(super) struct RawPool {
    min: Option<Sited<u32>>,
    max: Option<Sited<u32>>,
    up_at: Option<Sited<u32>>,
    down_at: Option<Sited<u32>>,
    hold: Option<Sited<Duration>>,
    pause: Option<Sited<Duration>>,
}

/// Of workers under each coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawPool {
    RawPool {
        min: fields.value(&WORKERS_MIN, found),
        max: fields.value(&WORKERS_MAX, found),
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
            let hint = "add `workers_min` or `workers_max`, or leave it out";
            found.push(Mistake::new(origin, message, hint));
        }
    }
}

fn site<T>(at: &Sited<T>) -> (Origin, &str) {
    (at.origin, &at.path)
}

/// `start` is how many workers each coordinator has at first; `bus` is absent if the load was rejected. Nothing if their
/// number does not follow the load.
pub(super) fn check(
    raw: &RawPool,
    start: u32,
    bus: Option<Bus>,
    stages: &[Stage],
    found: &mut Vec<Mistake>,
) -> Option<Bounds> {
    let Some((origin, path)) = raw.max.as_ref().or(raw.min.as_ref()).map(site) else {
        raw.reject_without_bounds(found);
        return None;
    };
    let mut reject = |origin: Origin, message: String, hint: String| {
        found.push(Mistake::new(origin, message, hint));
    };
    if let Some(at) = raw.max.as_ref().filter(|at| at.value < start) {
        let message =
            format!("`{}` ({}) is below `fleet.workers`, the number at the start", at.path, at.value);
        reject(at.origin, message, format!("write at least {start}"));
    }
    if let Some(at) = raw.min.as_ref().filter(|at| at.value > start) {
        let message =
            format!("`{}` ({}) is above `fleet.workers`, the number at the start", at.path, at.value);
        reject(at.origin, message, format!("write at most {start}"));
    }
    let bounds = Bounds {
        min: raw.min.as_ref().map_or(1, |at| at.value.min(start)),
        max: raw.max.as_ref().map_or(start, |at| at.value.max(start)),
    };
    if bounds.min == bounds.max {
        let message = format!("`{path}` leaves the fleet no other number of workers than {start}");
        reject(origin, message, "write bounds that differ, or leave them out".to_owned());
    }
    if !stages.is_empty() {
        let message =
            format!("`{path}` lets the load decide how many workers there are, and so does `[[stage]]`");
        reject(origin, message, "leave one of them out".to_owned());
    }
    if bus.is_some_and(|bus| bus.tasks_for_any.is_none()) {
        let message = format!("`{path}` lets workers come and go, and each task is for one of them");
        reject(origin, message, "write `to = \"any\"` under [load]".to_owned());
    }
    let Thresholds { up_at, down_at, .. } = raw.thresholds();
    if let Some(at) = raw.down_at.as_ref().filter(|_| down_at >= up_at) {
        let message = format!("`{}` ({down_at}%) is not below `fleet.scale_up_at` ({up_at}%)", at.path);
        reject(at.origin, message, format!("write at most \"{}%\"", up_at - 1));
    }
    Some(bounds)
}
