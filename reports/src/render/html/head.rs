//! The first screen of a report: what was run, on what, with which answer, and where to go from there.

use super::{n, time};
use crate::facts::{Facts, Figure};
use crate::layout;
use crate::render::csv::sweep_step;
use crate::scope::Scope;
use crate::units;
use crate::verdict::{CriterionResult, Judgement, Verdict};
use std::borrow::Cow;

/// Tiles of criteria: more would be the table below them.
const ASKED_MAX: usize = 4;
/// Share of the processors that other programs used from which a host counts as noisy.
const NOISY_MIN: f64 = 0.1;

/// A figure, large.
pub(super) struct Tile {
    pub(super) label: String,
    pub(super) value: String,
    /// What was asked of it, or stands beside it; may be empty.
    pub(super) asked: String,
    /// The verdict on it; empty if there is none.
    pub(super) class: &'static str,
}

/// A file beside the report.
pub(super) struct File {
    pub(super) name: String,
    pub(super) says: Cow<'static, str>,
}

/// `28 Nov 2026, 19:04 UTC`; what is not a time stays as it is.
pub(in crate::render) fn date(utc: &str) -> String {
    let parsed: Result<jiff::Timestamp, _> = utc.parse();
    parsed.map_or_else(|_| utc.to_owned(), |at| at.strftime("%-d %b %Y, %H:%M UTC").to_string())
}

/// `10 × 50 workers · 12 s of load · profile ci · 2 × AMD EPYC, load 3.4: noisy`.
pub(in crate::render) fn subtitle(judgement: &Judgement, facts: &Facts) -> String {
    let plan = &facts.header.plan;
    let fleet = format!(
        "{} × {} workers",
        n(u64::from(plan.coordinators)),
        n(u64::from(plan.workers_per_coordinator))
    );
    let mut parts = vec![fleet, format!("{} of load", units::nanos(plan.duration_ns))];
    parts.extend(judgement.variant.profile.as_ref().map(|profile| format!("profile {profile}")));
    parts.extend(judgement.variant.rehearsal.map(|factor| format!("rehearsal {factor}x")));
    parts.push(host(facts));
    parts.join(" · ")
}

/// Run and verdict, as a string of CSS: the run's own name has no other characters.
pub(super) fn printed(judgement: &Judgement) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || " .,()-_".contains(*c);
    format!("{}: {}", judgement.run_id, judgement.headline()).chars().filter(is_plain).collect()
}

/// The processors, and how much of them others had.
fn host(facts: &Facts) -> String {
    let host = &facts.header.host;
    let mean = |figure| facts.samples.gauge(figure, Scope::Fleet).and_then(crate::facts::Gauge::mean);
    let load = mean(Figure::LoadAverage).unwrap_or(host.load1_at_start);
    let name = format!("{} × {}, load {load:.1}", host.cpus, host.cpu_model);
    match mean(Figure::OthersBusy).filter(|others| *others >= NOISY_MIN) {
        Some(others) => {
            format!(
                "{name}: noisy, others used {} of the processors",
                units::percent((others * 100.0).round() / 100.0)
            )
        }
        None => name,
    }
}

/// Those that were asked, the gravest first, one for each metric; then what any reader wants to know.
pub(super) fn tiles(judgement: &Judgement, facts: &Facts) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    for criterion in by_gravity(judgement).filter(|c| !c.informational) {
        let label = format!("{} {}", criterion.metric, criterion.aggregation);
        let label = label.trim().to_owned();
        if tiles.len() < ASKED_MAX && tiles.iter().all(|tile| tile.label != label) {
            tiles.push(Tile {
                label,
                value: criterion.value_text.clone(),
                asked: format!("asked: {} {}", criterion.comparator, criterion.threshold_text),
                class: criterion.verdict.word(),
            });
        }
    }
    // What a tile above says already is not said again.
    let is_said = |of: &str| tiles.iter().any(|tile| tile.label == of);
    let rest: Vec<Tile> = plain(facts)
        .into_iter()
        .filter(|(of, _)| of.is_none_or(|of| !is_said(of)))
        .map(|(_, tile)| tile)
        .collect();
    tiles.extend(rest);
    tiles
}

/// What any reader wants to know, whatever was asked; each with the label of the criterion's tile that says it too.
fn plain(facts: &Facts) -> [(Option<&'static str>, Tile); 4] {
    let tile = |label: &str, value: String, beside: String| Tile {
        label: label.to_owned(),
        value,
        asked: beside,
        class: "",
    };
    let (counts, coordination) = (&facts.load.counts, &facts.load.coordination);
    let others = format!("p50 {}, max {}", time(coordination.quantile_ns(0.5)), time(coordination.max_ns()));
    let delivery = counts.delivery().map_or_else(String::new, units::percent);
    let incidents = facts.exits_unexpected.total + facts.incidents.total;
    let faults = facts.faults.firings.len();
    [
        (None, tile("tasks answered", format!("{} of {}", n(counts.answered), n(counts.tasks)), delivery)),
        (
            Some("coordination.time p99"),
            tile("coordination p99", time(coordination.supported_quantile_ns(0.99)), others),
        ),
        (
            None,
            tile(
                "processes",
                n(u64::from(facts.header.plan.processes)),
                units::things(counts.rounds, "round"),
            ),
        ),
        (
            Some("incidents"),
            tile(
                "undeclared incidents",
                n(incidents),
                if faults == 0 {
                    String::new()
                } else {
                    format!("beside {}", units::things(faults as u64, "fault"))
                },
            ),
        ),
    ]
}

/// The gravest first, otherwise in the order of the scenario.
fn by_gravity(judgement: &Judgement) -> impl Iterator<Item = &CriterionResult> {
    let mut all: Vec<&CriterionResult> = judgement.criteria.iter().collect();
    all.sort_by_key(|c| (c.informational, std::cmp::Reverse(c.verdict)));
    all.into_iter()
}

/// Those to show, and those to fold: what holds, if not all does.
pub(super) fn criteria(judgement: &Judgement) -> (Vec<&CriterionResult>, Vec<&CriterionResult>) {
    let holds = |c: &&CriterionResult| c.informational || c.verdict == Verdict::Pass;
    let (held, rest): (Vec<_>, Vec<_>) = by_gravity(judgement).partition(holds);
    if rest.is_empty() { (held, rest) } else { (rest, held) }
}

/// What lies beside the report, for those who want the figures themselves.
pub(super) fn files(facts: &Facts, with_logs: bool) -> Vec<File> {
    let file = |name: &str, says: &'static str| File { name: name.to_owned(), says: says.into() };
    let logs = (0..facts.segments)
        .map(|segment| File { name: layout::segment_log(segment), says: "every event".into() });
    let workers = (facts.workers.answered() > 0).then(|| file("workers.csv", "how slow each worker was"));
    let rest = [
        file(layout::VERDICT, "the verdict with all figures"),
        File { name: "samples.csv".to_owned(), says: samples(facts) },
        file("rounds.csv", "every round"),
        file("latency.hlog", "histograms"),
        file("report.md", "for a comment"),
        file("junit.xml", "for a pipeline"),
    ];
    rest.into_iter().chain(workers).chain(logs.take(if with_logs { LOGS_MAX } else { 0 })).collect()
}

/// What `samples.csv` shows, unless its step was asked for.
fn samples(facts: &Facts) -> Cow<'static, str> {
    match sweep_step(&facts.header.plan, None) {
        1 => "processes over time".into(),
        step => format!("processes over time: one of {step} sweeps, if no other step was asked for").into(),
    }
}

/// Logs of segments that are named.
const LOGS_MAX: usize = 5;

/// `smoke.toml:12`, of a path; the whole of it is in the plan of the report.
pub(super) fn short(source: &str) -> &str {
    source.rsplit('/').next().unwrap_or(source)
}
