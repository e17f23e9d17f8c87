//! What a run is judged on: its criteria, parsed once, and its facts.

use super::{Judgement, LogState, abort};
use crate::criterion::{CriterionPair, Kind, MetricId};
use crate::facts::{EachSpec, Facts, Over, Timed, WindowSpec, Windowed, time_factor};
use crate::runlog::event::{CriterionSpec, Header, Record};
use crate::stretch::Stretch;

/// A criterion of the header, parsed.
#[derive(Debug, Clone)]
pub struct Asked {
    pub spec: CriterionSpec,
    /// The text of the error, if the log holds a criterion that this version cannot read.
    pub pair: Result<CriterionPair, String>,
}

/// Takes the records of a run, and says at any time what they amount to.
#[derive(Debug, Clone)]
pub struct Case {
    criteria: Vec<Asked>,
    facts: Facts,
}

impl Case {
    /// Of a header; it is a record like the others, and still to be pushed.
    pub fn new(header: &Header) -> Self {
        let asked = |spec: &CriterionSpec| Asked {
            spec: spec.clone(),
            pair: CriterionPair::parse(&spec.pass, spec.conditional.as_deref()).map_err(|e| e.to_string()),
        };
        let criteria: Vec<Asked> = header.criteria.iter().map(asked).collect();
        let windows: Vec<WindowSpec> =
            readable(&criteria).filter_map(|(_, pair)| window(pair, time_factor(header))).collect();
        let mut each: Vec<EachSpec> = readable(&criteria).filter_map(|(_, pair)| each(pair)).collect();
        each.dedup();
        let mut stretches: Vec<Stretch> = Vec::new();
        for stretch in readable(&criteria).filter_map(|(_, pair)| pair.pass().stretch()) {
            if !stretches.contains(stretch) {
                stretches.push(stretch.clone());
            }
        }
        let facts = Facts::new(header, &windows, &each, &stretches);
        Self { criteria, facts }
    }

    /// Records in the order of the log, the header included.
    pub fn push(&mut self, record: &Record) {
        self.facts.push(record);
    }

    /// See [`Facts::count_to`].
    pub(crate) fn count_to(&mut self, seq: Option<u64>) {
        self.facts.count_to(seq);
    }

    pub fn criteria(&self) -> &[Asked] {
        &self.criteria
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn into_facts(self) -> Facts {
        self.facts
    }

    pub fn judgement(&self, log: &LogState) -> Judgement {
        Judgement::of(self, log)
    }

    /// The first criterion with `abort = true` that cannot pass any more: its name, and why. `now_ns` is on
    /// the run's clock.
    pub fn cannot_pass(&self, now_ns: u64) -> Option<(String, String)> {
        abort::cannot_pass(self, now_ns)
    }

    /// Those that this version can read. One that it cannot is INCONCLUSIVE in the judgement.
    pub(super) fn readable(&self) -> impl Iterator<Item = (&CriterionSpec, &CriterionPair)> {
        readable(&self.criteria)
    }
}

fn readable(criteria: &[Asked]) -> impl Iterator<Item = (&CriterionSpec, &CriterionPair)> {
    criteria.iter().filter_map(|asked| match &asked.pair {
        Ok(pair) => Some((&asked.spec, pair)),
        Err(_) => None,
    })
}

/// The windows that a criterion asks for, in real time.
fn window(pair: &CriterionPair, factor: f64) -> Option<WindowSpec> {
    let width_ns = real_ns(pair.pass().every_ns()?, factor);
    let metric = pair.pass().metric();
    let of = match metric.kind {
        Kind::Ratio => Windowed::Answered(Over::Tasks),
        Kind::Rate => Windowed::Answered(Over::Time),
        Kind::Distribution if metric.id == MetricId::TaskTime => Windowed::Times(Timed::Tasks),
        Kind::Distribution => Windowed::Times(Timed::Rounds),
        Kind::Gauge | Kind::Count | Kind::Value => return None,
    };
    Some(WindowSpec { of, width_ns })
}

/// The figure of single processes that a criterion asks for.
fn each(pair: &CriterionPair) -> Option<EachSpec> {
    let criterion = pair.pass();
    let figure = super::processes::figure(criterion.metric().id)?;
    criterion.asks_each().then_some(EachSpec { figure, whose: criterion.scope() })
}

/// Time of the scenario in that of the run: a rehearsal compresses it.
pub(super) fn real_ns(scenario_ns: u64, factor: f64) -> u64 {
    (scenario_ns as f64 / factor).max(1.0) as u64
}
