//! A scenario: the question a run answers, and what is done to answer it.
//!
//! `text -> tree -> Raw -> Scenario -> Plan`. The tree knows where each value was written; the raw forms have the
//! types of their keys; [`Scenario`] has private fields and cannot be wrong; [`Plan`] holds everything that can be
//! decided before the first fork. All mistakes of a file are found in one pass.
//!
//! Each table of the file has one module (`fleet`, `workload`, `load`, `stage`, `sampling`, `fault`, `setup`,
//! `criterion`; what stands above the
//! first table is in `root`), with its keys, their reading and their checks. A key is declared once: the reader, the JSON
//! Schema (`schema`) and the guide (`guide`) come from its declaration. To add one, declare it in the module of its
//! table, list it in that `TABLE`, read it, and run `cargo xtask schema`.
//! Deliberately absent: clock, file system, environment, processes.

mod alerts;
mod criterion;
mod cursor;
mod decidable;
pub mod fault;
mod fleet;
mod form;
mod grammar;
mod guide;
mod load;
mod matrix;
pub mod mistake;
mod overlay;
mod pattern;
pub mod phases;
pub mod plan;
mod reach;
mod rehearsal;
mod relation;
mod root;
mod rule;
mod sampling;
mod schema;
pub mod seed;
mod setup;
mod shm;
mod stage;
pub mod swarm;
mod syntax;
mod table;
mod tree;
pub mod unit;
pub mod workload;

use reports::runlog::event::SourceText;

pub use alerts::Alerts;
pub use decidable::Undecidable;
pub use fleet::Fleet;
pub use guide::guide_tables;
pub use load::{Load, Starts, Stretch, To};
pub use mistake::{Mistake, Mistakes};
pub use plan::{Plan, PlanOptions};
pub use rehearsal::Rehearsal;
pub use root::Scenario;
pub(crate) use root::hex;
pub use sampling::Sampling;
pub use schema::schema_json;
pub use setup::Step;
pub use shm::Room;
pub use stage::{SizeStep, Stage};
pub use workload::{Agent, Mix, Part, Plotted, SleepTime, Workload};

/// A scenario file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As given on the command line: what messages call the file.
    pub name: String,
    pub text: String,
    /// The files that it extends, the nearest first.
    pub bases: Vec<Base>,
}

/// A scenario file that another one extends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As messages call it.
    pub name: String,
    pub text: String,
}

impl Source {
    /// A file that extends no other, or whose bases are still to be read.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), bases: Vec::new() }
    }

    /// As the log of a run holds it; nothing if it holds none.
    pub fn of_log(sources: &[SourceText]) -> Option<Self> {
        let (file, bases) = sources.split_first()?;
        let bases = bases.iter().map(|base| Base { name: base.name.clone(), text: base.text.clone() });
        Some(Self { bases: bases.collect(), ..Self::new(&*file.name, &*file.text) })
    }

    /// Of the file and of those that it extends, as a header has it.
    pub fn sha256(&self) -> String {
        root::digest(self)
    }

    /// What the text says that it extends: a path from its own directory. Nothing if the text is not TOML, which
    /// [`Scenario::parse`] reports.
    pub fn extends(text: &str) -> Option<String> {
        let table = text.parse::<toml::Table>().ok()?;
        table.get(root::EXTENDS.name)?.as_str().map(ToOwned::to_owned)
    }

    /// The text with another file in its `extends`, however that is written; as it is, if it has none.
    pub fn extending(text: &str, file: &str) -> String {
        let place = || {
            let table = toml::de::DeTable::parse(text).ok()?;
            Some(table.get_ref().get(root::EXTENDS.name)?.span())
        };
        let Some(place) = place() else { return text.to_owned() };
        let mut out = text.to_owned();
        out.replace_range(place, &toml::Value::from(file).to_string());
        out
    }
}

/// To a matrix.
const KNOWN: matrix::Known = matrix::Known { tables: root::TABLES, fixed: root::FIXED };

/// Of one file: each combination of its matrix, alone and with each profile. Every one of them is checked.
const VARIANTS_MAX: usize = 1000;

/// Which variant of a file is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A table under `[profile]`.
    pub profile: Option<String>,
    /// `key=value`, applied in order, after the profile.
    pub sets: Vec<String>,
}

impl Scenario {
    /// Reads a file's text, with a profile and overrides applied: its scenario, or the first of its matrix.
    ///
    /// Every profile of the file is checked, the chosen one with the overrides: a mistake in a
    /// profile that only CI uses is found on the desk.
    pub fn parse(source: &Source, selection: &Selection) -> Result<Self, Mistakes> {
        let mut all = Self::parse_all(source, selection)?;
        Ok(all.swap_remove(0))
    }

    /// As [`Self::parse`]: one scenario for each combination of the file's matrix, and one without. Never none.
    pub fn parse_all(source: &Source, selection: &Selection) -> Result<Vec<Self>, Mistakes> {
        let mut found = Vec::new();
        let scenarios = parse(source, selection, &mut found);
        mistake::settle(&mut found);
        if found.is_empty() && !scenarios.is_empty() {
            return Ok(scenarios);
        }
        Err(Mistakes::new(source, selection, found))
    }
}

fn parse(source: &Source, selection: &Selection, found: &mut Vec<Mistake>) -> Vec<Scenario> {
    let Some(mut base) = read_tree(source, found) else { return Vec::new() };
    let mut cells = matrix::take(&mut base, KNOWN, source, found);
    let profiles = overlay::take_profiles(&mut base, found);
    let chosen = profiles.iter().find(|profile| selection.profile.as_deref() == Some(&*profile.name));
    overlay::values(chosen, &selection.sets, |path, value| matrix::overridden(&mut cells, path, value));
    if let Some(last) = profiles.last()
        && cells.len().saturating_mul(profiles.len() + 1) > VARIANTS_MAX
    {
        let of_matrix =
            if cells.len() > 1 { format!(" and a matrix of {}", cells.len()) } else { String::new() };
        let message = format!("{} profiles{of_matrix} make too many scenarios to check", profiles.len());
        let hint = format!("a file may make {VARIANTS_MAX}: split it, or write fewer profiles");
        found.push(Mistake::new(last.origin, message, hint));
        return Vec::new();
    }
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut injections = 0;
    for cell in &cells {
        let before = found.len();
        scenarios.extend(parse_cell(&base, &profiles, (source, selection), cell, found));
        injections += scenarios.last().map_or(0, Scenario::injections);
        if injections > fault::FIRINGS_MAX.into() && found.len() == before {
            let message = format!(
                "the faults of all scenarios of the matrix would be injected over {} times",
                fault::FIRINGS_MAX
            );
            let hint = "list fewer values, write smaller `times` or a longer `every`, or split the file";
            found.push(Mistake::new(base.origin, message, hint));
        }
        if found.len() > before {
            // What is wrong with one combination is mostly wrong with all.
            return Vec::new();
        }
    }
    scenarios
}

/// The file, laid over those that it extends.
fn read_tree(source: &Source, found: &mut Vec<Mistake>) -> Option<tree::Node> {
    let file = tree::parse(&source.text, None, &root::is_repeated, found);
    let Some((farthest, nearer)) = source.bases.split_last() else {
        // What it was meant to have from another file is not missing.
        return file.filter(|file| root::names_its_base(file, found));
    };
    let (file, last) = (file?, nearer.len());
    root::require_name(&file, found);
    let mut whole = tree::parse(&farthest.text, Some(last), &root::is_repeated, found)?;
    for (index, base) in nearer.iter().enumerate().rev() {
        overlay::extend(&mut whole, tree::parse(&base.text, Some(index), &root::is_repeated, found)?, found);
    }
    overlay::extend(&mut whole, file, found);
    Some(whole)
}

fn parse_cell(
    base: &tree::Node,
    profiles: &[overlay::Profile],
    (source, selection): (&Source, &Selection),
    cell: &matrix::Cell,
    found: &mut Vec<Mistake>,
) -> Option<Scenario> {
    let mut base = base.clone();
    cell.lay(&mut base, found);
    let build = |mut tree: tree::Node, found: &mut Vec<Mistake>| {
        cell.substitute(&mut tree, found);
        root::build(&tree, source, selection, cell, found)
    };
    let mut base_mistakes = Vec::new();
    let plain = build(base.clone(), &mut base_mistakes);

    for profile in profiles {
        if selection.profile.as_ref() == Some(&profile.name) {
            continue;
        }
        let mut merged = base.clone();
        let mut mistakes = Vec::new();
        overlay::apply(&mut merged, profile, &mut mistakes);
        let mut own = vec![cell.clone()];
        overlay::values(Some(profile), &[], |path, value| matrix::overridden(&mut own, path, value));
        for cell in own {
            cell.reject_lost(&merged, &mut mistakes);
        }
        build(merged, &mut mistakes);
        // What is wrong without the profile is reported once.
        mistakes.retain(|mistake| !base_mistakes.iter().any(|reported| reported.is_same_place(mistake)));
        found.extend(mistakes.into_iter().map(|mistake| mistake.within_profile(&profile.name)));
    }

    if selection.profile.is_none() && selection.sets.is_empty() {
        found.extend(base_mistakes);
        return plain;
    }
    let mut chosen = base;
    let mut mistakes = Vec::new();
    if let Some(name) = &selection.profile {
        overlay::choose(&mut chosen, name, profiles, &source.name, &mut mistakes);
    }
    for (index, set) in selection.sets.iter().enumerate() {
        overlay::set(&mut chosen, index, set, &mut mistakes);
    }
    cell.reject_lost(&chosen, &mut mistakes);
    let scenario = build(chosen, &mut mistakes);
    // What the file says without the overrides must be right as well, or the next run without them fails.
    mistakes.extend(base_mistakes.into_iter().filter(Mistake::is_in_file));
    found.extend(mistakes);
    scenario
}
