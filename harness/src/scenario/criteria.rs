//! The scenario's side of the criteria: the grammar itself lives in `reports::criterion`.

use super::check::{Load, Sampling};
use super::cursor::Sited;
use super::mistake::{Mistake, Origin};
use super::raw::RawCriterion;
use super::unit::{duration_text, nanos};
use super::{Source, mistake};
use reports::criterion::{Comparator, Criterion, CriterionError, CriterionPair, Field, MetricId};
use reports::runlog::event::CriterionSpec;
use std::time::Duration;

/// Reads both texts of a criterion.
fn check(pass: &str, conditional: Option<&str>) -> Result<CriterionPair, CriterionError> {
    CriterionPair::parse(pass, conditional)
}

pub(super) fn check_all(
    raw: &[RawCriterion],
    load: Option<&Load>,
    sampling: Option<&Sampling>,
    source: &Source,
    found: &mut Vec<Mistake>,
) -> Vec<CriterionSpec> {
    refuse_repeated_names(raw, source, found);
    raw.iter().filter_map(|criterion| check_one(criterion, load, sampling, source, found)).collect()
}

fn refuse_repeated_names(raw: &[RawCriterion], source: &Source, found: &mut Vec<Mistake>) {
    let names: Vec<&Sited<String>> = raw.iter().filter_map(|criterion| criterion.name.as_ref()).collect();
    for (index, name) in names.iter().enumerate() {
        super::check::check_name(name, found);
        if let Some(first) = names[..index].iter().find(|earlier| earlier.value == name.value) {
            let message = format!("two criteria are called `{}`", name.value);
            let hint =
                format!("the first one is at {}; give this one another name", place(first.origin, source));
            name.complain(found, message, hint);
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
    if let Some(grace) = &raw.grace {
        if !abort {
            let message = format!("`{}` has no effect without `abort = true`", grace.path);
            grace.complain(found, message, "add `abort = true`, or leave `grace` out");
        } else if let Some(load) = load
            && grace.value >= load.duration()
        {
            let message =
                format!("`{}` is as long as the load or longer, so nothing is ever aborted", grace.path);
            grace.complain(found, message, format!("the load takes {}", duration_text(load.duration())));
        }
    }
    if let Some(requirement) = &raw.requirement {
        super::check::check_requirement(requirement, &requirement.value, found);
    }
    let pass = raw.pass.as_ref()?;
    let conditional = raw.conditional.as_ref();
    match check(&pass.value, conditional.map(|text| text.value.as_str())) {
        Ok(pair) => {
            if pair.pass().metric().needs_pss()
                && sampling.is_some_and(|sampling| sampling.pss_every().is_none())
            {
                let message = format!("`{}` is about PSS, and this scenario does not read it", pass.path);
                pass.complain(found, message, "add `pss_every = \"10s\"` under [sampling]");
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

/// More processes at once than are ever started: no run could pass.
pub(super) fn refuse_unreachable(raw: &[RawCriterion], processes: u32, found: &mut Vec<Mistake>) {
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
            pass.complain(found, message, format!("write `agents.live min >= {processes}`"));
        }
    }
}

/// Points at the word in the file that the grammar complains about.
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

/// Says which criteria the planned rounds are too few for: a run of them could only end INCONCLUSIVE.
pub(super) fn undecidable(criteria: &[CriterionSpec], rounds_planned: Option<u64>) -> Vec<String> {
    let Some(rounds) = rounds_planned else { return Vec::new() };
    let mut notes = Vec::new();
    for spec in criteria {
        let Ok(pair) = check(&spec.pass, spec.conditional.as_deref()) else { continue };
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

/// Says which criteria ask for windows that are longer than the load: they are judged as if they asked
/// for none. `duration` is in the scenario's own time, as windows are.
pub(super) fn unwindowed(criteria: &[CriterionSpec], duration: Duration) -> Vec<String> {
    let mut notes = Vec::new();
    for spec in criteria {
        let Ok(pair) = check(&spec.pass, spec.conditional.as_deref()) else { continue };
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
    spec.grace_ns = nanos(Duration::from_nanos(spec.grace_ns).div_f64(factor));
}
