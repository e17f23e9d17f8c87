//! A whole file: the keys above the first table, the list of tables, and the scenario that they add up to.

use super::alerts::{Alerts, RawAlerts};
use super::criterion::RawCriterion;
use super::cursor::{Fields, Sited};
use super::fault::{Fault, RawFault};
use super::fleet::{Bus, Fleet, RawFleet};
use super::form::{Line, Name, Requirements, Text, Version, Whole};
use super::load::{Load, RawLoad};
use super::matrix::{Cell, MATRIX};
use super::mistake::Mistake;
use super::sampling::{RawSampling, Sampling};
use super::setup::Step;
use super::shm::{RawShm, Room};
use super::stage::{RawStage, Stage};
use super::table::{Key, Presence, Table};
pub(super) use super::tree::PROFILE;
use super::tree::{Node, Value};
use super::workload::{Mix, RawWorkload};
use super::{
    Selection, Source, alerts, criterion, fault, fleet, load, reach, sampling, setup, shm, stage, workload,
};
use coordinator::config::SupervisorDeath;
use reports::runlog::event::{CriterionSpec, ScenarioFacts, SourceText};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The only version of the format so far.
const VERSION: u64 = 1;

pub(super) static ROOT: Table = Table {
    name: "",
    definition: "Scenario",
    says: "A scenario: the question that a run answers, and what is done to answer it.",
    required: true,
    repeated: false,
    keys: &[&SCHEMA, &EXTENDS, &NAME, &ASKS, &REQUIREMENTS, &SEED],
    anew: None,
    rules: None,
};

/// In the order of the guide.
pub(super) static TABLES: &[&Table] = &[
    &fleet::TABLE,
    &workload::TABLE,
    &load::TABLE,
    &stage::TABLE,
    &sampling::TABLE,
    &fault::TABLE,
    &shm::TABLE,
    &setup::SETUP,
    &setup::TEARDOWN,
    &alerts::TABLE,
    &criterion::TABLE,
];

/// A file may have several of this table, each with a name.
pub(super) fn is_repeated(name: &str) -> bool {
    TABLES.iter().any(|table| table.repeated && table.name == name)
}

/// Keys that a profile cannot change.
pub(super) const FIXED: &[&str] = &["schema", "extends", "name", PROFILE, MATRIX];

static SCHEMA: Key<Version> = Key {
    name: "schema",
    form: Version(VERSION),
    presence: Presence::Required { example: "1" },
    says: "Version of this format.",
};

/// Read before the tree is: the file that it names lies below this one.
pub(super) static EXTENDS: Key<Text> = Key {
    name: "extends",
    form: Text {
        words: "path of another scenario file, from the directory of this one",
        examples: &["base.toml"],
    },
    presence: Presence::Optional("none"),
    says: "The file whose keys hold where this one has none. `name` is never taken from it.",
};

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"load-100\"" },
    says: "Names the directory of the scenario's runs.",
};

static ASKS: Key<Line> = Key {
    name: "asks",
    form: Line { max: 400, hint: "write the question that the run answers" },
    presence: Presence::Required { example: "\"Does … ?\"" },
    says: "The question that a run answers, in one sentence. It is the title of the report.",
};

static REQUIREMENTS: Key<Requirements> = Key {
    name: "requirements",
    form: Requirements,
    presence: Presence::Optional("none"),
    says: "Ids of the requirements that a run is evidence for.",
};

static SEED: Key<Whole> = Key {
    name: "seed",
    form: Whole,
    presence: Presence::Optional("derived from the file's text"),
    says: "Root of everything that is drawn at random.",
};

/// The file as its author wrote it: typed, and nothing checked against another key. What is absent here is absent in
/// the file, or was rejected and has been reported.
#[derive(Debug)]
struct Raw {
    name: Option<Sited<String>>,
    asks: Option<Sited<String>>,
    requirements: Option<Sited<Vec<String>>>,
    seed: Option<Sited<u64>>,
    fleet: Option<RawFleet>,
    workload: Vec<RawWorkload>,
    load: Option<RawLoad>,
    stages: Vec<RawStage>,
    sampling: Option<RawSampling>,
    faults: Vec<RawFault>,
    shm: Option<RawShm>,
    setup: Vec<Step>,
    teardown: Vec<Step>,
    alerts: Option<RawAlerts>,
    criteria: Vec<RawCriterion>,
}

/// A scenario that can be carried out; it cannot be wrong, only ask for too much of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub(super) facts: ScenarioFacts,
    /// What it was read from.
    pub(super) sources: Vec<SourceText>,
    pub(super) seed: Option<u64>,
    pub(super) fleet: Fleet,
    pub(super) mix: Mix,
    pub(super) load: Load,
    pub(super) stages: Vec<Stage>,
    pub(super) sampling: Sampling,
    pub(super) faults: Vec<Fault>,
    pub(super) private_shm: Option<Room>,
    pub(super) setup: Vec<Step>,
    pub(super) teardown: Vec<Step>,
    pub(super) alerts: Alerts,
    pub(super) criteria: Vec<CriterionSpec>,
}

impl Scenario {
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    pub fn asks(&self) -> &str {
        &self.facts.asks
    }

    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// How often its faults are injected in all.
    pub(super) fn injections(&self) -> u64 {
        fault::injections(&self.faults, &self.fleet.shape, self.load.duration())
    }
}

/// A file that extends another is another scenario.
pub(super) fn require_name(file: &Node, found: &mut Vec<Mistake>) {
    let Value::Table(table) = &file.value else { return };
    if !table.contains_key(NAME.name) {
        let message = "`name` is missing: a scenario that extends another has a name of its own";
        found.push(Mistake::new(
            file.origin,
            message,
            format!("write `{} = …` above the first table", NAME.name),
        ));
    }
}

/// Whether `extends` names a file, if it is there; if not, that is said.
pub(super) fn names_its_base(file: &Node, found: &mut Vec<Mistake>) -> bool {
    let before = found.len();
    let fields = Fields::open(file, file.origin, ROOT.name, vec![EXTENDS.name], &mut Vec::new());
    fields.value(&EXTENDS, found);
    found.len() == before
}

pub(super) fn build(
    tree: &Node,
    source: &Source,
    selection: &Selection,
    cell: &Cell,
    found: &mut Vec<Mistake>,
) -> Option<Scenario> {
    check(read(tree, found), source, selection, cell, found)
}

fn read(root: &Node, found: &mut Vec<Mistake>) -> Raw {
    let mut known = ROOT.key_names();
    known.extend(TABLES.iter().map(|table| table.name));
    known.push(PROFILE);
    known.push(MATRIX);
    let fields = Fields::open(root, root.origin, ROOT.name, known, found);
    fields.value(&SCHEMA, found);
    fields.value(&EXTENDS, found);
    Raw {
        name: fields.value(&NAME, found),
        asks: fields.value(&ASKS, found),
        requirements: fields.value(&REQUIREMENTS, found),
        seed: fields.value(&SEED, found),
        fleet: fleet::read(&fields, found),
        workload: workload::read(&fields, found),
        load: load::read(&fields, found),
        stages: stage::read(&fields, found),
        sampling: sampling::read(&fields, found),
        faults: fault::read(&fields, found),
        shm: shm::read(&fields, found),
        setup: setup::read(&fields, &setup::SETUP, found),
        teardown: setup::read(&fields, &setup::TEARDOWN, found),
        alerts: alerts::read(&fields, found),
        criteria: criterion::read(&fields, found),
    }
}

/// What the load needs of the bus.
fn bus(mix: &Mix, load: &Load) -> Bus {
    Bus {
        payload_max: mix.payload_max_bytes(),
        rounds: load.rounds_in_flight_max(),
        tasks_for_any: load.tasks_for_any(0),
    }
}

/// The file system of the run's own, and what is done to it and to the fleet.
fn disturbances(
    shm: Option<&RawShm>,
    (faults, criteria): (Vec<RawFault>, &[RawCriterion]),
    load: Option<&Load>,
    fleet: Option<&Fleet>,
    found: &mut Vec<Mistake>,
) -> (Option<Room>, Vec<Fault>) {
    criterion::reject_without_faults(criteria, faults.is_empty(), found);
    let is_disturbed = faults.iter().any(RawFault::is_of_shm);
    let room = shm::check(shm, is_disturbed, fleet.map(|fleet| &fleet.shape), found);
    let adopts = |fleet: &Fleet| fleet.policy.supervisor_death == SupervisorDeath::Adopt;
    let of = fleet.map(|fleet| fault::Of { shape: &fleet.shape, room, adopts: adopts(fleet) });
    (room, fault::check(faults, load, of, found))
}

/// No workload is about more workers than there are.
fn reject_more_than_all(counts: &[Sited<u32>], fleet: &Fleet, found: &mut Vec<Mistake>) {
    let workers = fleet.shape.coordinators() * fleet.shape.workers_per_coordinator();
    for count in counts {
        fault::check_count(count, workers, found);
    }
}

fn check(
    raw: Raw,
    source: &Source,
    selection: &Selection,
    cell: &Cell,
    found: &mut Vec<Mistake>,
) -> Option<Scenario> {
    let tasks_at = raw.load.as_ref().and_then(RawLoad::tasks_per_round_at);
    let load = raw.load.and_then(|raw| load::check(raw, found));
    let counts = workload::counts(&raw.workload);
    let mix = workload::check(raw.workload, load.as_ref(), found);
    let sampling = raw.sampling.and_then(|raw| sampling::check(raw, load.as_ref(), found));
    let criteria = criterion::check(&raw.criteria, load.as_ref(), sampling.as_ref(), source, found);
    if let Some(mix) = &mix {
        criterion::reject_unknown_workloads(&raw.criteria, mix, source, found);
    }
    let names: Vec<&str> = raw.faults.iter().filter_map(RawFault::name).collect();
    criterion::reject_unknown_faults(&raw.criteria, &names, source, found);
    let bus = mix.as_ref().zip(load.as_ref()).map(|(mix, load)| bus(mix, load));
    let sized = load.as_ref().zip(raw.fleet.as_ref().and_then(RawFleet::sizes));
    let stages = sized.map(|(load, sizes)| stage::check(&raw.stages, load, sizes, found)).unwrap_or_default();
    let fleet = raw.fleet.and_then(|raw| fleet::check(&raw, (bus, tasks_at), &stages, found));
    let faults = (raw.faults, &*raw.criteria);
    let (private_shm, faults) = disturbances(raw.shm.as_ref(), faults, load.as_ref(), fleet.as_ref(), found);
    let alerts = load.as_ref().map(|load| alerts::check(raw.alerts, load, &stages, found));
    let fleet = fleet?;
    reject_more_than_all(&counts, &fleet, found);
    criterion::reject_without_changes(&raw.criteria, fleet.workers_least().is_none(), found);
    criterion::reject_unknown_coordinators(&raw.criteria, fleet.shape.coordinators(), found);
    if let Some((mix, load)) = mix.as_ref().zip(load.as_ref()) {
        let plan = reach::planned(&fleet, mix, load, &stages, private_shm);
        criterion::reject_settled(&raw.criteria, &plan, found);
    }
    criterion::reject_all_informational(&raw.criteria, found);
    Some(Scenario {
        facts: ScenarioFacts {
            requirements: raw.requirements.map(|ids| ids.value).unwrap_or_default(),
            ..facts((raw.name?.value, raw.asks?.value), source, selection, cell)
        },
        sources: texts(source),
        seed: raw.seed.map(|seed| seed.value),
        fleet,
        mix: mix?,
        load: load?,
        stages,
        sampling: sampling?,
        faults,
        private_shm,
        setup: raw.setup,
        teardown: raw.teardown,
        alerts: alerts?,
        criteria,
    })
}

/// Which text it is, in which of its variants.
fn facts(
    (name, asks): (String, String),
    source: &Source,
    selection: &Selection,
    cell: &Cell,
) -> ScenarioFacts {
    ScenarioFacts {
        name: name + &cell.suffix(),
        asks,
        file: source.name.clone(),
        sha256: digest(source),
        matrix: cell.settings(),
        extends: source.bases.iter().map(|base| base.name.clone()).collect(),
        profile: selection.profile.clone(),
        overrides: selection.sets.clone(),
        requirements: Vec::new(),
        judged_by: None,
    }
}

fn texts(source: &Source) -> Vec<SourceText> {
    let bases = source.bases.iter().map(|base| (&base.name, &base.text));
    std::iter::once((&source.name, &source.text))
        .chain(bases)
        .map(|(name, text)| SourceText { name: name.clone(), text: text.clone() })
        .collect()
}

/// Of the file and of those that it extends: any change of one is another scenario.
pub(super) fn digest(source: &Source) -> String {
    let mut digest = Sha256::new();
    digest.update(source.text.as_bytes());
    for base in &source.bases {
        // Parted by a byte that no text has.
        digest.update([0xff]);
        digest.update(base.text.as_bytes());
    }
    hex(&digest.finalize())
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
