//! `[[gate]]`, and what belongs to one beside evidence: `[[waiver]]`, `[[risk]]`, `[[option]]`.

use super::calendar::Calendar;
use super::evidence::Read;
use super::form::{Day, Names, Share};
use super::keys::{NAME, OF, SAYS, TITLE, line};
use super::{entries, place, refer, refer_to, reject_duplicates};
use crate::scenario::Source as File;
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Line, Name, Requirements, Text, Word, Words};
use crate::scenario::mistake::Mistake;
use crate::scenario::table::{Key, Presence, Table};
use jiff::civil::Date;
use reports::gate::plan::{Gate, Impact, Likelihood, Outcomes, PivotOption, Risk, Source, Waiver};

pub(super) static GATE: Table = Table {
    name: "gate",
    definition: "Gate",
    says: "A decision at the end of a phase.",
    required: true,
    repeated: true,
    keys: &[
        &NAME,
        &TITLE,
        &ASKS,
        &PHASE,
        &OUTCOMES,
        &REQUIREMENTS,
        &CONDITIONAL_FROM,
        &ON_PASS,
        &ON_CONDITIONAL,
        &ON_FAIL,
    ],
    anew: None,
    rules: None,
};

pub(super) static WAIVER: Table = Table {
    name: "waiver",
    definition: "Waiver",
    says: "Turns the FAIL of one criterion into CONDITIONAL, for a time, and is shown in every document.",
    required: false,
    repeated: true,
    keys: &[&OF, &OF_EVIDENCE, &CRITERION, &AUTHOR, &REASON, &EXPIRES],
    anew: None,
    rules: None,
};

pub(super) static RISK: Table = Table {
    name: "risk",
    definition: "Risk",
    says: "What may go wrong. How likely it is now follows from the evidence that measures it.",
    required: false,
    repeated: true,
    keys: &[&NAME, &OF, &SAYS, &LIKELIHOOD, &IMPACT, &MITIGATION, &MEASURED_BY],
    anew: None,
    rules: None,
};

pub(super) static OPTION: Table = Table {
    name: "option",
    definition: "Option",
    says: "A way to go on where the evidence does not hold.",
    required: false,
    repeated: true,
    keys: &[&NAME, &OF, &SAYS, &SPEAKS_FOR],
    anew: None,
    rules: None,
};

static ASKS: Key<Line> = line("asks", "\"Does … ?\"", "The question that the gate answers.");
static ON_PASS: Key<Line> = line("on_pass", "\"Begin phase 2.\"", "What PASS or GO leads to.");
static ON_CONDITIONAL: Key<Line> =
    line("on_conditional", "\"Mend it in sprint 2.1.\"", "What CONDITIONAL or PIVOT leads to.");
static ON_FAIL: Key<Line> = line("on_fail", "\"Repeat sprint 1.3.\"", "What FAIL or NO-GO leads to.");
static AUTHOR: Key<Line> = line("author", "\"Jane Doe\"", "Who answers for it.");
static REASON: Key<Line> = line("reason", "\"…\"", "Why the failure can be borne until then.");
static MITIGATION: Key<Line> = line("mitigation", "\"…\"", "What is done about it.");

static PHASE: Key<Name> = Key {
    name: "phase",
    form: Name,
    presence: Presence::Required { example: "\"phase-1\"" },
    says: "The phase that it ends.",
};

static OUTCOMES: Key<Words<Outcomes>> = Key {
    name: "outcomes",
    form: Words {
        definition: "Outcomes",
        words: &[
            Word { text: "go", value: Outcomes::Go, says: "GO, PIVOT, NO-GO" },
            Word { text: "pass", value: Outcomes::Pass, says: "PASS, CONDITIONAL, FAIL" },
        ],
    },
    presence: Presence::Optional("`\"pass\"`"),
    says: "Which words the decision has.",
};

static REQUIREMENTS: Key<Requirements> = Key {
    name: "requirements",
    form: Requirements,
    presence: Presence::Optional("none"),
    says: "Ids of the requirements that it decides.",
};

static CONDITIONAL_FROM: Key<Share> = Key {
    name: "conditional_from",
    form: Share,
    presence: Presence::Optional("what misses its target fails"),
    says: "From which share of its target a figure that misses it is CONDITIONAL and no FAIL.",
};

pub(super) static OF_EVIDENCE: Key<Name> = Key {
    name: "evidence",
    form: Name,
    presence: Presence::Required { example: "\"coverage\"" },
    says: "The evidence of the gate in which the failure is.",
};

pub(super) static CRITERION: Key<Text> = Key {
    name: "criterion",
    form: Text { words: "name of a criterion", examples: &["delivery-seed", "coverage.lines"] },
    presence: Presence::Required { example: "\"coverage.lines\"" },
    says: "The criterion of the scenario, or the figure of the file, that may fail.",
};

static EXPIRES: Key<Day> = Key {
    name: "expires",
    form: Day,
    presence: Presence::Required { example: "2026-12-31" },
    says: "The last day on which it holds.",
};

static LIKELIHOOD: Key<Words<Likelihood>> = Key {
    name: "likelihood",
    form: Words {
        definition: "Likelihood",
        words: &[
            Word { text: "low", value: Likelihood::Low, says: "" },
            Word { text: "medium", value: Likelihood::Medium, says: "" },
            Word { text: "high", value: Likelihood::High, says: "" },
        ],
    },
    presence: Presence::Required { example: "\"medium\"" },
    says: "How likely it was thought to be.",
};

static IMPACT: Key<Words<Impact>> = Key {
    name: "impact",
    form: Words {
        definition: "Impact",
        words: &[
            Word { text: "low", value: Impact::Low, says: "" },
            Word { text: "medium", value: Impact::Medium, says: "" },
            Word { text: "high", value: Impact::High, says: "" },
            Word { text: "critical", value: Impact::Critical, says: "" },
        ],
    },
    presence: Presence::Required { example: "\"high\"" },
    says: "How bad it would be.",
};

static MEASURED_BY: Key<Names> = Key {
    name: "evidence",
    form: Names { example: "[\"stable-24h\"]" },
    presence: Presence::Optional("none"),
    says: "Evidence of the gate that measures it.",
};

static SPEAKS_FOR: Key<Names> = Key {
    name: "evidence",
    form: Names { example: "[\"environments\"]" },
    presence: Presence::Optional("none"),
    says: "Evidence of the gate that speaks for it where it does not pass.",
};

pub(super) struct RawGate {
    pub(super) name: Sited<String>,
    phase: Option<Sited<String>>,
    title: Option<Sited<String>>,
    asks: Option<Sited<String>>,
    outcomes: Outcomes,
    requirements: Vec<String>,
    conditional_from: Option<f64>,
    on_pass: Option<Sited<String>>,
    on_conditional: Option<Sited<String>>,
    on_fail: Option<Sited<String>>,
}

pub(super) fn read(root: &Fields<'_>, calendar: &Calendar, found: &mut Vec<Mistake>) -> Vec<RawGate> {
    let gates: Vec<RawGate> =
        entries(root, &GATE, found).iter().filter_map(|fields| raw(fields, found)).collect();
    reject_duplicates("gate", gates.iter().map(|gate| &gate.name), found);
    let phases = calendar.phase_names();
    for (index, gate) in gates.iter().enumerate() {
        let Some(phase) = &gate.phase else { continue };
        refer("phase", phase, &phases, found);
        let is_same = |other: &RawGate| other.phase.as_ref().is_some_and(|of| of.value == phase.value);
        if let Some(first) = gates[..index].iter().find(|other| is_same(other)) {
            let message = format!("the phase `{}` ends in `{}` already", phase.value, first.name.value);
            phase.reject(found, message, "a phase has one gate: name another phase");
        }
    }
    gates
}

/// What comes after a phase opens with its gate.
pub(super) fn reject_missing(awaited: &[&Sited<String>], gates: &[RawGate], found: &mut Vec<Mistake>) {
    for phase in awaited {
        let is_of = |gate: &RawGate| gate.phase.as_ref().is_some_and(|of| of.value == phase.value);
        if !gates.iter().any(is_of) {
            let message =
                format!("the phase `{}` has no gate, and another phase comes after it", phase.value);
            let hint = format!("write a [[gate]] with `phase = \"{}\"`", phase.value);
            phase.reject(found, message, hint);
        }
    }
}

fn raw(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawGate> {
    let name = fields.value(&NAME, found);
    let raw = RawGate {
        phase: fields.value(&PHASE, found),
        title: fields.value(&TITLE, found),
        asks: fields.value(&ASKS, found),
        outcomes: fields.value(&OUTCOMES, found).map_or(Outcomes::Pass, |at| at.value),
        requirements: fields.value(&REQUIREMENTS, found).map(|at| at.value).unwrap_or_default(),
        conditional_from: fields.value(&CONDITIONAL_FROM, found).map(|at| at.value),
        on_pass: fields.value(&ON_PASS, found),
        on_conditional: fields.value(&ON_CONDITIONAL, found),
        on_fail: fields.value(&ON_FAIL, found),
        name: name?,
    };
    Some(raw)
}

/// With the name of its gate.
type Of<T> = (String, T);

/// Waivers, risks and options of all gates.
pub(super) struct Extras {
    waivers: Vec<Of<Waiver>>,
    risks: Vec<Of<Risk>>,
    options: Vec<Of<PivotOption>>,
}

impl Extras {
    pub(super) fn read(
        root: &Fields<'_>,
        source: &File,
        gates: &[&str],
        evidence: &[Read],
        found: &mut Vec<Mistake>,
    ) -> Self {
        let known = Known { gates, evidence, source };
        let waivers =
            entries(root, &WAIVER, found).iter().filter_map(|fields| waiver(fields, known, found)).collect();
        let risks =
            entries(root, &RISK, found).iter().filter_map(|fields| risk(fields, known, found)).collect();
        let options =
            entries(root, &OPTION, found).iter().filter_map(|fields| option(fields, known, found)).collect();
        Self { waivers, risks, options }
    }
}

#[derive(Clone, Copy)]
struct Known<'a> {
    gates: &'a [&'a str],
    evidence: &'a [Read],
    source: &'a File,
}

impl<'a> Known<'a> {
    fn gate(&self, fields: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<Sited<String>> {
        let gate = fields.value(&OF, found)?;
        refer("gate", &gate, self.gates, found);
        Some(gate)
    }

    /// Of a gate that is not there, no evidence can be named: that it is not there says it all.
    fn has(&self, gate: &Sited<String>) -> bool {
        self.gates.contains(&gate.value.as_str())
    }

    fn of_gate(&self, gate: &Sited<String>) -> Vec<&'a str> {
        let of = self.evidence.iter().filter(|read| read.gate.value == gate.value);
        of.map(|read| read.evidence.name.as_str()).collect()
    }
}

fn waiver(fields: &Fields<'_>, known: Known<'_>, found: &mut Vec<Mistake>) -> Option<Of<Waiver>> {
    let gate = known.gate(fields, found);
    let evidence = fields.value(&OF_EVIDENCE, found);
    let criterion = fields.value(&CRITERION, found);
    let (author, reason) = (fields.value(&AUTHOR, found), fields.value(&REASON, found));
    let expires: Option<Sited<Date>> = fields.value(&EXPIRES, found);
    let (gate, evidence, criterion) = (gate?, evidence?, criterion?);
    if known.has(&gate) {
        refer("evidence of this gate", &evidence, &known.of_gate(&gate), found);
    }
    let of = known
        .evidence
        .iter()
        .find(|read| read.gate.value == gate.value && read.evidence.name == evidence.value);
    if let Some(Source::File(file)) = of.map(|read| &read.evidence.source) {
        refer("figure of this evidence", &criterion, &[file.pass.figure.name], found);
    }
    let waiver = Waiver {
        place: place(criterion.origin, known.source),
        evidence: evidence.value,
        criterion: criterion.value,
        author: author?.value,
        reason: reason?.value,
        expires: expires?.value,
    };
    Some((gate.value, waiver))
}

fn risk(fields: &Fields<'_>, known: Known<'_>, found: &mut Vec<Mistake>) -> Option<Of<Risk>> {
    let (name, gate) = (fields.value(&NAME, found), known.gate(fields, found));
    let (says, mitigation) = (fields.value(&SAYS, found), fields.value(&MITIGATION, found));
    let (likelihood, impact) = (fields.value(&LIKELIHOOD, found), fields.value(&IMPACT, found));
    let evidence = named(fields, &MEASURED_BY, gate.as_ref(), known, found);
    let risk = Risk {
        name: name?.value,
        says: says?.value,
        likelihood: likelihood?.value,
        impact: impact?.value,
        mitigation: mitigation?.value,
        evidence,
    };
    Some((gate?.value, risk))
}

fn option(fields: &Fields<'_>, known: Known<'_>, found: &mut Vec<Mistake>) -> Option<Of<PivotOption>> {
    let (name, gate) = (fields.value(&NAME, found), known.gate(fields, found));
    let says = fields.value(&SAYS, found);
    let evidence = named(fields, &SPEAKS_FOR, gate.as_ref(), known, found);
    Some((gate?.value, PivotOption { name: name?.value, says: says?.value, evidence }))
}

/// Evidence of the gate, by its names.
fn named(
    fields: &Fields<'_>,
    key: &Key<Names>,
    gate: Option<&Sited<String>>,
    known: Known<'_>,
    found: &mut Vec<Mistake>,
) -> Vec<String> {
    let Some(names) = fields.value(key, found) else { return Vec::new() };
    if let Some(gate) = gate.filter(|gate| known.has(gate)) {
        for name in &names.value {
            refer_to("evidence of this gate", name, &names, &known.of_gate(gate), found);
        }
    }
    names.value
}

pub(super) fn complete(
    raw: RawGate,
    evidence: &[Read],
    extras: &Extras,
    found: &mut Vec<Mistake>,
) -> Option<Gate> {
    let name = raw.name.value.clone();
    let of: Vec<_> =
        evidence.iter().filter(|read| read.gate.value == name).map(|read| read.evidence.clone()).collect();
    if of.is_empty() {
        let hint = format!("write an [[evidence]] with `gate = \"{name}\"`");
        raw.name.reject(found, format!("the gate `{name}` asks for no evidence"), hint);
    }
    Some(Gate {
        title: raw.title?.value,
        asks: raw.asks?.value,
        phase: raw.phase?.value,
        outcomes: raw.outcomes,
        requirements: raw.requirements,
        conditional_from: raw.conditional_from,
        on_pass: raw.on_pass?.value,
        on_conditional: raw.on_conditional?.value,
        on_fail: raw.on_fail?.value,
        evidence: of,
        waivers: of_gate(&extras.waivers, &name),
        risks: of_gate(&extras.risks, &name),
        options: of_gate(&extras.options, &name),
        name,
    })
}

fn of_gate<T: Clone>(all: &[Of<T>], name: &str) -> Vec<T> {
    all.iter().filter(|(gate, _)| gate == name).map(|(_, one)| one.clone()).collect()
}
