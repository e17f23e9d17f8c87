//! `[sampling]`: how often the kernel is asked.

use super::cursor::{Fields, Sited};
use super::form::Span;
use super::load::Load;
use super::mistake::Mistake;
use super::pattern::NOTHING;
use super::rehearsal::shorten;
use super::table::{Key, Presence, Table};
use super::unit::duration_text;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// A sweep over hundreds of processes takes tens of milliseconds: closer together, the sampler measures itself.
const SAMPLE_EVERY_MIN: Duration = Duration::from_millis(100);
/// A rehearsal asks the kernel no more often than this: `/proc` does not get faster with the schedule.
pub const REHEARSED_SAMPLE_EVERY_MIN: Duration = Duration::from_millis(250);
/// PSS walks page tables.
pub const REHEARSED_PSS_EVERY_MIN: Duration = Duration::from_secs(2);

pub(super) static TABLE: Table = Table {
    name: "sampling",
    definition: "Sampling",
    says: "How often the kernel is asked.",
    required: true,
    repeated: false,
    keys: &[&EVERY, &PSS_EVERY],
    anew: None,
    rules: Some(rules),
};

/// It is no shorter than `every`.
fn rules() -> Vec<Json> {
    vec![json!({ "properties": { "pss_every": { "not": { "type": "string", "pattern": NOTHING } } } })]
}

static EVERY: Key<Span> = Key {
    name: "every",
    form: Span { least: SAMPLE_EVERY_MIN, instead: "" },
    presence: Presence::Required { example: "\"1s\"" },
    says: "Time between two sweeps over `/proc`: memory, descriptors, threads, CPU.",
};

static PSS_EVERY: Key<Span> = Key {
    name: "pss_every",
    form: Span::ANY,
    presence: Presence::Optional("never"),
    says: "Time between two sweeps with PSS, which is expensive to read. At least `sampling.every`.",
};

#[derive(Debug)]
pub(super) struct RawSampling {
    every: Option<Sited<Duration>>,
    pss_every: Option<Sited<Duration>>,
}

/// How often the kernel is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    every: Duration,
    pss_every: Option<Duration>,
}

impl Sampling {
    pub fn every(&self) -> Duration {
        self.every
    }

    /// PSS costs the kernel a walk over every page table; nothing if the scenario does not ask for it.
    pub fn pss_every(&self) -> Option<Duration> {
        self.pss_every
    }

    /// The sweeps of a rehearsal that is `factor` times as fast.
    pub(super) fn compress(&mut self, factor: f64, notes: &mut Vec<String>) {
        self.every = shorten(self.every, factor, REHEARSED_SAMPLE_EVERY_MIN, "sampling.every", notes);
        self.pss_every = self
            .pss_every
            .map(|pss| shorten(pss, factor, REHEARSED_PSS_EVERY_MIN, "sampling.pss_every", notes));
    }
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawSampling> {
    let fields = root.table(&TABLE, found)?;
    Some(RawSampling { every: fields.value(&EVERY, found), pss_every: fields.value(&PSS_EVERY, found) })
}

/// `load` is absent if it was rejected.
pub(super) fn check(raw: RawSampling, load: Option<&Load>, found: &mut Vec<Mistake>) -> Option<Sampling> {
    let every = raw.every?;
    if let Some(load) = load
        && every.value > load.duration()
    {
        let message =
            format!("`{}` ({}) is longer than `load.duration`", every.path, duration_text(every.value));
        every.reject(found, message, format!("the load takes {}", duration_text(load.duration())));
    }
    if let Some(pss) = &raw.pss_every
        && pss.value < every.value
    {
        let message =
            format!("`{}` ({}) is shorter than `sampling.every`", pss.path, duration_text(pss.value));
        pss.reject(found, message, format!("write at least \"{}\"", duration_text(every.value)));
    }
    Some(Sampling { every: every.value, pss_every: raw.pss_every.map(|pss| pss.value) })
}
