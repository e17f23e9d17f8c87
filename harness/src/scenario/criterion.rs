//! `[[criterion]]`: what must hold. The grammar of a criterion lives in `reports::criterion`.

use super::Source;
use super::cursor::{CHOOSE_ANOTHER, Fields, NoEntries, Sited, reject_repeated_names};
use super::form::{Flag, Form, Name, Requirement, Span, Text};
use super::grammar;
use super::load::Load;
use super::mistake::{Mistake, Origin, Rejection, place};
use super::rule::when;
use super::sampling::Sampling;
use super::table::{Key, Presence, Table};
use super::tree::Value;
use super::unit::{duration_text, nanos};
use super::workload::Mix;
use notation::suggest;
use reports::criterion::{
    Criterion, CriterionError, CriterionPair, Field, Known, MetricId, Planned, Unsound, no_coordinator,
    no_workload,
};
use reports::runlog::event::CriterionSpec;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

pub(super) static TABLE: Table = Table {
    name: "criterion",
    definition: "Criterion",
    says: "What must hold. The verdict is the worst of the criteria.",
    required: true,
    repeated: true,
    keys: &[&NAME, &PASS, &CONDITIONAL, &REQUIREMENT, &INFORMATIONAL, &ABORT, &GRACE],
    anew: None,
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let judged = json!({ "$ref": format!("#/definitions/{JUDGED}") });
    let judged = json!({ "properties": { PASS.name: judged, CONDITIONAL.name: judged } });
    let shown =
        json!({ "properties": { INFORMATIONAL.name: { "const": true } }, "required": [INFORMATIONAL.name] });
    let mut aborting = json!({ "properties": { ABORT.name: { "const": true } }, "required": [ABORT.name] });
    aborting = json!({ "if": { "required": [GRACE.name] }, "then": aborting });
    vec![
        json!({ "if": shown, "then": {}, "else": judged }),
        when(INFORMATIONAL.name, &json!(true), &json!({ "properties": { ABORT.name: { "const": false } } })),
        aborting,
    ]
}

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"delivery\"" },
    says: "What documents call the criterion.",
};

/// A criterion; its grammar is that of [`reports::criterion`].
struct Asked(Text);

/// Names among the definitions of the JSON Schema: what a criterion may be, and one that is judged.
const SHOWN: &str = "ShownText";
const JUDGED: &str = "JudgedText";

impl Form for Asked {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        self.0.read(value)
    }

    fn words(&self) -> String {
        self.0.words()
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        for (name, informational) in [(SHOWN, true), (JUDGED, false)] {
            let grammar = || json!({ "type": "string", "pattern": grammar::criterion(informational), "examples": EXAMPLES });
            definitions.entry(name).or_insert_with(grammar);
        }
        json!({ "$ref": format!("#/definitions/{SHOWN}") })
    }
}

const EXAMPLES: &[&str] =
    &["delivery.rate >= 100%", "coordination.time p99 < 1s", "delivery.rate >= 95% every 15m"];

static PASS: Key<Asked> = Key {
    name: "pass",
    form: Asked(Text {
        words: "criterion: metric, aggregation, comparison, threshold, window or part of the load",
        examples: EXAMPLES,
    }),
    presence: Presence::Required { example: "\"delivery.rate >= 100%\"" },
    says: "What must hold for PASS.",
};

static CONDITIONAL: Key<Asked> = Key {
    name: "conditional",
    form: Asked(Text { words: "criterion on the same metric, with a weaker threshold", examples: &[] }),
    presence: Presence::Optional(""),
    says: "What must hold for CONDITIONAL instead of FAIL where `pass` does not.",
};

static REQUIREMENT: Key<Requirement> = Key {
    name: "requirement",
    form: Requirement,
    presence: Presence::Optional(""),
    says: "Id of the requirement that the criterion comes from.",
};

static INFORMATIONAL: Key<Flag> = Key {
    name: "informational",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "Whether the criterion is shown and not judged. It may then point the other way: `cpu mean > 1 cores`.",
};

static ABORT: Key<Flag> = Key {
    name: "abort",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "Whether the run ends as soon as the criterion cannot pass any more. That is known of counts, extremes, the least of windows, \
           slopes, and, where the rounds to come are counted, delivery and percentiles of rounds.",
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
    informational: Option<Sited<bool>>,
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
            informational: fields.value(&INFORMATIONAL, found),
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
    let names = raw.iter().filter_map(|criterion| criterion.name.as_ref());
    let hint = |first: &Sited<String>| {
        format!("it is first used at {}: {CHOOSE_ANOTHER}", place(first.origin, source))
    };
    reject_repeated_names("criterion", names, hint, found);
    raw.iter().filter_map(|criterion| check_one(criterion, load, sampling, source, found)).collect()
}

/// How soon a fleet has another size cannot be asked of one that keeps its size.
pub(super) fn reject_without_changes(raw: &[RawCriterion], keeps_size: bool, found: &mut Vec<Mistake>) {
    let asks = |text: &Sited<String>| match Criterion::parse(&text.value) {
        Ok(criterion) => criterion.metric().id == MetricId::ScalingTime,
        Err(_) => false,
    };
    for pass in raw.iter().filter_map(|criterion| criterion.pass.as_ref()) {
        if keeps_size && asks(pass) {
            let message =
                format!("`{}` asks how soon the fleet has another size, and it keeps its size", pass.path);
            pass.reject(found, message, "add a [[stage]] with `workers`, or `workers_max` under [fleet]");
        }
    }
}

/// What a fault did cannot be asked of a scenario that declares none.
pub(super) fn reject_without_faults(raw: &[RawCriterion], none: bool, found: &mut Vec<Mistake>) {
    let asks = |text: &Sited<String>| match Criterion::parse(&text.value) {
        Ok(criterion) => criterion.metric().id.is_of_faults(),
        Err(_) => false,
    };
    for pass in raw.iter().filter_map(|criterion| criterion.pass.as_ref()).filter(|text| none && asks(text)) {
        let message = format!("`{}` asks what a fault did, and the scenario declares none", pass.path);
        pass.reject(found, message, "add a [[fault]], or leave the criterion out");
    }
}

fn check_one(
    raw: &RawCriterion,
    load: Option<&Load>,
    sampling: Option<&Sampling>,
    source: &Source,
    found: &mut Vec<Mistake>,
) -> Option<CriterionSpec> {
    let is_set = |flag: &Option<Sited<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let (informational, abort) = (is_set(&raw.informational), is_set(&raw.abort));
    check_grace(raw, abort, load, found);
    if let Some(flag) = raw.abort.as_ref().filter(|_| informational && abort) {
        let message = format!("`{}` has no effect on a criterion that is not judged", flag.path);
        flag.reject(found, message, "leave out `abort`, or `informational`");
    }
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
            reject_unsound(pass, pair.pass(), informational, found);
            if let Some((text, weaker)) = conditional.zip(pair.conditional()) {
                reject_unsound(text, weaker, informational, found);
            }
        }
        Err(error) => found.push(relocate(&error, pass, conditional, source)),
    }
    Some(CriterionSpec {
        name: raw.name.as_ref()?.value.clone(),
        requirement: raw.requirement.as_ref().map(|id| id.value.clone()),
        pass: pass.value.clone(),
        conditional: conditional.map(|text| text.value.clone()),
        informational,
        abort,
        grace_ns: raw.grace.as_ref().map_or(0, |grace| nanos(grace.value)),
        source: place(pass.origin, source),
    })
}

/// What no run could fail, or none could pass; and, where it is judged, what asks for the worse.
fn reject_unsound(
    text: &Sited<String>,
    criterion: &Criterion,
    informational: bool,
    found: &mut Vec<Mistake>,
) {
    let wrong_way = || if informational { None } else { criterion.points_the_wrong_way() };
    if let Some(Unsound { message, hint }) = criterion.is_settled(Known::default()).or_else(wrong_way) {
        text.reject(found, format!("`{}`: {message}", text.path), hint);
    }
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

/// A label names a workload of this scenario.
pub(super) fn reject_unknown_workloads(
    raw: &[RawCriterion],
    mix: &Mix,
    source: &Source,
    found: &mut Vec<Mistake>,
) {
    let names: Vec<&str> = mix.names().collect();
    for (text, criterion) in readable(raw) {
        let Some(named) = criterion.workload() else { continue };
        let Some((what, hint)) = no_workload(named, &names) else { continue };
        // The name stands once behind the brace, quoted or not.
        let brace = text.value.find('{').unwrap_or(0);
        let start = text.value[brace..].find(named).map_or(0, |at| brace + at);
        let message = format!("the scenario has {what}");
        found.push(point_at(text, (start, named), (message, hint), source));
    }
}

/// A label names a coordinator of this scenario.
pub(super) fn reject_unknown_coordinators(raw: &[RawCriterion], coordinators: u32, found: &mut Vec<Mistake>) {
    for (text, criterion) in readable(raw) {
        let lacks = criterion.coordinator().and_then(|number| no_coordinator(number, coordinators));
        if let Some((what, hint)) = lacks {
            text.reject(found, format!("`{}`: the scenario has {what}", text.path), hint);
        }
    }
}

/// A part of the load lies beside a fault of this scenario. No run is ended by one, whose end is known only later.
pub(super) fn reject_unknown_faults(
    raw: &[RawCriterion],
    names: &[&str],
    source: &Source,
    found: &mut Vec<Mistake>,
) {
    for (text, criterion) in readable(raw) {
        let Some(stretch) = criterion.stretch() else { continue };
        let named = stretch.fault_name();
        let hint = match &stretch.fault {
            _ if names.is_empty() => format!("add a [[fault]], or leave `{stretch}` out"),
            Some(name) if !names.contains(&name.as_str()) => suggest::hint(name, names),
            Some(_) | None => continue,
        };
        let start = text.value.rfind(named).unwrap_or(0);
        let message = format!("the scenario has no fault `{named}`");
        let message =
            if stretch.fault.is_none() { "the scenario declares no fault".to_owned() } else { message };
        found.push(point_at(text, (start, named), (message, hint), source));
    }
    for raw in raw {
        let (Some(pass), Some(abort)) = (&raw.pass, raw.abort.as_ref().filter(|abort| abort.value)) else {
            continue;
        };
        let Some(stretch) = Criterion::parse(&pass.value).ok().and_then(|c| c.stretch().cloned()) else {
            continue;
        };
        let message = format!("`{}` has no effect on a criterion of a part of the load", abort.path);
        abort.reject(found, message, format!("leave out `abort`, or `{stretch}`"));
    }
}

/// All texts that the grammar takes.
fn readable(raw: &[RawCriterion]) -> impl Iterator<Item = (&Sited<String>, Criterion)> {
    let texts = raw.iter().flat_map(|criterion| [&criterion.pass, &criterion.conditional]).flatten();
    texts.filter_map(|text| Some((text, Criterion::parse(&text.value).ok()?)))
}

/// At a word of a criterion that the grammar takes.
fn point_at(
    text: &Sited<String>,
    (start, word): (usize, &str),
    (message, hint): (String, String),
    source: &Source,
) -> Mistake {
    let error =
        CriterionError { field: Field::Pass, span: start..start + word.len(), message, hint: Some(hint) };
    relocate(&error, text, None, source)
}

/// What is settled by the plan before the start: no run could fail it, or none pass.
pub(super) fn reject_settled(raw: &[RawCriterion], plan: &Planned, found: &mut Vec<Mistake>) {
    for (text, criterion) in readable(raw) {
        if criterion.is_settled(Known::default()).is_some() || plan.lacks(&criterion).is_some() {
            // Reported already.
            continue;
        }
        if let Some(Unsound { message, hint }) = criterion.is_settled(Known { plan: Some(plan), host: None })
        {
            text.reject(found, format!("`{}`: {message}", text.path), hint);
        }
    }
}

/// If no criterion is judged, every run passes.
pub(super) fn reject_all_informational(raw: &[RawCriterion], found: &mut Vec<Mistake>) {
    let flags: Vec<_> = raw.iter().map(|criterion| criterion.informational.as_ref()).collect();
    let Some(Some(first)) = flags.first() else { return };
    if flags.iter().all(|flag| flag.is_some_and(|flag| flag.value)) {
        let message = "every criterion is informational, so no run could fail".to_owned();
        first.reject(found, message, "leave out `informational` where a run should be judged");
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

/// A grace period in a schedule that is `factor` times as fast.
pub(super) fn compress_grace(spec: &mut CriterionSpec, factor: f64) {
    assert!(factor >= 1.0, "a rehearsal is never slower than the run: {factor}");
    spec.grace_ns = nanos(Duration::from_nanos(spec.grace_ns).div_f64(factor));
}
