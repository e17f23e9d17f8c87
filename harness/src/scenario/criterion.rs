//! `[[criterion]]`: what must hold. The grammar of a criterion lives in `reports::criterion`.

use super::cursor::{Fields, NoEntries, Sited};
use super::form::{Flag, Name, Requirement, Span, Text};
use super::load::Load;
use super::mistake::{Mistake, Origin};
use super::sampling::Sampling;
use super::table::{Key, Presence, Table};
use super::unit::{duration_text, nanos};
use super::{Source, mistake};
use reports::criterion::{Comparator, Criterion, CriterionError, CriterionPair, Field, MetricId};
use reports::runlog::event::CriterionSpec;
use std::time::Duration;

pub(super) static TABLE: Table = Table {
    name: "criterion",
    definition: "Criterion",
    says: "What must hold. The verdict is the worst of the criteria.",
    required: true,
    repeated: true,
    keys: &[&NAME, &PASS, &CONDITIONAL, &REQUIREMENT, &ABORT, &GRACE],
    anew: None,
};

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"delivery\"" },
    says: "What documents call the criterion.",
};

static PASS: Key<Text> = Key {
    name: "pass",
    form: Text {
        words: "criterion: metric, aggregation, comparison, threshold, window",
        examples: &["delivery.rate >= 100%", "coordination.time p99 < 1s", "delivery.rate >= 95% every 15m"],
    },
    presence: Presence::Required { example: "\"delivery.rate >= 100%\"" },
    says: "What must hold for PASS.",
};

static CONDITIONAL: Key<Text> = Key {
    name: "conditional",
    form: Text { words: "criterion on the same metric, with a weaker threshold", examples: &[] },
    presence: Presence::Optional(""),
    says: "What must hold for CONDITIONAL instead of FAIL where `pass` does not.",
};

static REQUIREMENT: Key<Requirement> = Key {
    name: "requirement",
    form: Requirement,
    presence: Presence::Optional(""),
    says: "Id of the requirement that the criterion comes from.",
};

static ABORT: Key<Flag> = Key {
    name: "abort",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "Whether the run ends as soon as the criterion cannot pass any more.",
};

static GRACE: Key<Span> = Key {
    name: "grace",
    form: Span::ANY,
    presence: Presence::Optional("none"),
    says: "Part of the load that must have passed before `abort` ends the run.",
};

#[derive(Debug)]
pub(super) struct RawCriterion {
    name: Option<Sited<String>>,
    requirement: Option<Sited<String>>,
    pass: Option<Sited<String>>,
    conditional: Option<Sited<String>>,
    abort: Option<Sited<bool>>,
    grace: Option<Sited<Duration>>,
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawCriterion> {
    let entries = match root.entries(&TABLE, found) {
        Ok(entries) if !entries.is_empty() => entries,
        Ok(_) | Err(NoEntries::Absent) => {
            let origin = root.node(TABLE.name).map_or(root.origin(), |(node, _)| node.origin);
            let message = "the scenario has no criterion, so no run could fail";
            let hint = format!(
                "write {} and below it `name = …` and `{} = {}`",
                TABLE.header(),
                PASS.name,
                PASS.presence.example()
            );
            found.push(Mistake::new(origin, message, hint));
            return Vec::new();
        }
        Err(NoEntries::Rejected) => return Vec::new(),
    };
    entries
        .iter()
        .map(|fields| RawCriterion {
            name: fields.value(&NAME, found),
            requirement: fields.value(&REQUIREMENT, found),
            pass: fields.value(&PASS, found),
            conditional: fields.value(&CONDITIONAL, found),
            abort: fields.value(&ABORT, found),
            grace: fields.value(&GRACE, found),
        })
        .collect()
}

pub(super) fn check(
    raw: &[RawCriterion],
    load: Option<&Load>,
    sampling: Option<&Sampling>,
    source: &Source,
    found: &mut Vec<Mistake>,
) -> Vec<CriterionSpec> {
    reject_repeated_names(raw, source, found);
    raw.iter().filter_map(|criterion| check_one(criterion, load, sampling, source, found)).collect()
}

fn reject_repeated_names(raw: &[RawCriterion], source: &Source, found: &mut Vec<Mistake>) {
    let names: Vec<&Sited<String>> = raw.iter().filter_map(|criterion| criterion.name.as_ref()).collect();
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = names[..index].iter().find(|earlier| earlier.value == name.value) {
            let message = format!("the criterion name `{}` is duplicated", name.value);
            let hint = format!("it is first used at {}: choose another name", place(first.origin, source));
            name.reject(found, message, hint);
        }
    }
}

fn check_one(
    raw: &RawCriterion,
    load: Option<&Load>,
    sampling: Option<&Sampling>,
    source: &Source,
    found: &mut Vec<Mistake>,
) -> Option<CriterionSpec> {
    let abort = raw.abort.as_ref().is_some_and(|abort| abort.value);
    check_grace(raw, abort, load, found);
    let pass = raw.pass.as_ref()?;
    let conditional = raw.conditional.as_ref();
    match CriterionPair::parse(&pass.value, conditional.map(|text| text.value.as_str())) {
        Ok(pair) => {
            if pair.pass().metric().needs_pss()
                && sampling.is_some_and(|sampling| sampling.pss_every().is_none())
            {
                let message = format!("`{}` needs PSS, which this scenario does not sample", pass.path);
                pass.reject(found, message, "add `pss_every = \"10s\"` under [sampling]");
            }
        }
        Err(error) => found.push(relocate(&error, pass, conditional, source)),
    }
    Some(CriterionSpec {
        name: raw.name.as_ref()?.value.clone(),
        requirement: raw.requirement.as_ref().map(|id| id.value.clone()),
        pass: pass.value.clone(),
        conditional: conditional.map(|text| text.value.clone()),
        abort,
        grace_ns: raw.grace.as_ref().map_or(0, |grace| nanos(grace.value)),
        source: place(pass.origin, source),
    })
}

fn check_grace(raw: &RawCriterion, abort: bool, load: Option<&Load>, found: &mut Vec<Mistake>) {
    let Some(grace) = &raw.grace else { return };
    if !abort {
        let message = format!("`{}` has no effect without `abort = true`", grace.path);
        grace.reject(found, message, "add `abort = true`, or leave `grace` out");
    } else if let Some(load) = load
        && grace.value >= load.duration()
    {
        let message =
            format!("`{}` is not shorter than the load, so the run would never be aborted", grace.path);
        grace.reject(found, message, format!("the load takes {}", duration_text(load.duration())));
    }
}

/// More processes at once than are ever started: no run could pass.
pub(super) fn reject_unreachable(raw: &[RawCriterion], processes: u32, found: &mut Vec<Mistake>) {
    for pass in raw.iter().filter_map(|criterion| criterion.pass.as_ref()) {
        let Ok(criterion) = Criterion::parse(&pass.value) else { continue };
        let most = f64::from(processes);
        let wanted = criterion.threshold().value();
        let out_of_reach = match criterion.comparator() {
            Comparator::AtLeast | Comparator::Equal => wanted > most,
            Comparator::Greater => wanted >= most,
            Comparator::Less | Comparator::AtMost => false,
        };
        if criterion.metric().id == MetricId::AgentsLive && out_of_reach {
            let message = format!(
                "`{}` (`{criterion}`) can never hold: this scenario starts {processes} processes",
                pass.path
            );
            pass.reject(found, message, format!("write `agents.live min >= {processes}`"));
        }
    }
}

/// Points at the word in the file that the grammar rejects.
fn relocate(
    error: &CriterionError,
    pass: &Sited<String>,
    conditional: Option<&Sited<String>>,
    source: &Source,
) -> Mistake {
    let text = match (error.field, conditional) {
        (Field::Conditional, Some(conditional)) => conditional,
        _ => pass,
    };
    let origin = match text.origin {
        // A plain string stands in the file as it is read, one quote further in; one with escapes does
        // not, and is pointed at as a whole.
        Origin::File { start, .. }
            if source.text.get(start + 1..).is_some_and(|rest| rest.starts_with(text.value.as_str())) =>
        {
            Origin::File { start: start + 1 + error.span.start, end: start + 1 + error.span.end }
        }
        origin => origin,
    };
    let message = format!("`{}`: {}", text.path, error.message);
    let hint =
        error.hint.as_deref().unwrap_or("such as `delivery.rate >= 95%` or `coordination.time p99 < 5s`");
    Mistake::new(origin, message, hint)
}

/// `file:line`.
fn place(origin: Origin, source: &Source) -> String {
    match origin {
        Origin::File { start, .. } => {
            format!("{}:{}", source.name, mistake::line_and_column(&source.text, start).0)
        }
        Origin::Set { .. } => "--set".to_owned(),
        Origin::CommandLine => "the command line".to_owned(),
    }
}

/// A note for each criterion that needs more rounds than are planned: a run of it could only end INCONCLUSIVE.
pub(super) fn undecidable(criteria: &[CriterionSpec], rounds_planned: Option<u64>) -> Vec<String> {
    let Some(rounds) = rounds_planned else { return Vec::new() };
    let mut notes = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let criterion = pair.pass();
        let per_round = matches!(criterion.metric().id, MetricId::CoordinationTime | MetricId::LoadLateness);
        let Some(quantile) = criterion.aggregation().quantile().filter(|_| per_round) else { continue };
        // Below this many, the quantile is the maximum under another name.
        let needed = (1.0 / (1.0 - quantile)).round() as u64;
        if rounds < needed {
            notes.push(format!(
                "criterion `{}` asks for {} of {rounds} rounds and needs at least {needed}: it will be \
                 INCONCLUSIVE; lengthen load.duration, shorten load.every, or ask for max",
                spec.name,
                criterion.aggregation().name(),
            ));
        }
    }
    notes
}

/// A note for each criterion whose windows are longer than the load: it is judged as if it had none.
/// `duration` is in the scenario's own time, as windows are.
pub(super) fn unwindowed(criteria: &[CriterionSpec], duration: Duration) -> Vec<String> {
    let mut notes = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let Some(every_ns) = pair.pass().every_ns().filter(|every| *every > nanos(duration)) else {
            continue;
        };
        notes.push(format!(
            "criterion `{}` asks for windows of {} and the load takes {}: no window will be complete, and \
             the load is judged as a whole; lengthen load.duration, or leave out `every`",
            spec.name,
            duration_text(Duration::from_nanos(every_ns)),
            duration_text(duration),
        ));
    }
    notes
}

/// A grace period in a schedule that is `factor` times as fast.
pub(super) fn compress_grace(spec: &mut CriterionSpec, factor: f64) {
    assert!(factor >= 1.0, "a rehearsal is never slower than the run: {factor}");
    spec.grace_ns = nanos(Duration::from_nanos(spec.grace_ns).div_f64(factor));
}
