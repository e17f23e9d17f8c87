//! `phases.toml`: the plan of a project as data, read as scenarios are: all mistakes at once, each with its place and a hint.
//!
//! One table for each kind of thing: `[[phase]]`, `[[sprint]]`, `[[gate]]`, and `[[evidence]]`, `[[waiver]]`, `[[risk]]` and
//! `[[option]]`, which name their gate. What comes out is [`Plan`], whose names all refer to something.

mod calendar;
mod evidence;
mod form;
mod gate;
mod keys;
mod named;
mod pin;

use super::cursor::{CHOOSE_ANOTHER, Fields, Sited, reject_repeated_names};
use super::form::{Flag, Line, Version};
use super::mistake::{self, Mistake, Mistakes, Origin};
use super::root::hex;
use super::schema;
use super::table::{Key, Presence, Table};
use super::tree::{self, Node, Value};
use super::{Selection, Source};
use notation::{suggest, visible};
use reports::gate::plan::{Gate, Plan, PlanFile};
use sha2::{Digest as _, Sha256};

pub use named::check_criteria;
pub use pin::{Pin, pinned};

/// The only version of the format so far.
const VERSION: u64 = 1;

static ROOT: Table = Table {
    name: "",
    definition: "Phases",
    says: "The plan of a project: phases, sprints and gates.",
    required: true,
    repeated: false,
    keys: &[&SCHEMA, &TITLE, &DEMO],
    anew: None,
    rules: None,
};

static TABLES: &[&Table] = &[
    &calendar::PHASE,
    &calendar::SPRINT,
    &gate::GATE,
    &evidence::EVIDENCE,
    &gate::WAIVER,
    &gate::RISK,
    &gate::OPTION,
];

static SCHEMA: Key<Version> = Key {
    name: "schema",
    form: Version(VERSION),
    presence: Presence::Required { example: "1" },
    says: "Version of this format.",
};

static TITLE: Key<Line> = Key {
    name: "title",
    form: Line { max: 200, hint: "name the project" },
    presence: Presence::Required { example: "\"Fleets of 500 agents\"" },
    says: "What the plan is of.",
};

static DEMO: Key<Flag> = Key {
    name: "demo",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "The plan shows how gates work, and decides nothing: every document says DEMO.",
};

/// Reads a plan.
pub fn parse(source: &Source) -> Result<Plan, Mistakes> {
    let mut found = Vec::new();
    let plan = read(source, &mut found);
    mistake::settle(&mut found);
    match plan {
        Some(plan) if found.is_empty() => Ok(plan),
        _ => Err(Mistakes::new(source, &Selection::default(), found)),
    }
}

/// The JSON Schema of such a file; a trailing newline included.
pub fn schema_json() -> String {
    format!("{:#}\n", schema::plain(&schema::of_tables(&ROOT, TABLES)))
}

fn is_repeated(name: &str) -> bool {
    TABLES.iter().any(|table| table.name == name)
}

fn read(source: &Source, found: &mut Vec<Mistake>) -> Option<Plan> {
    let tree = tree::parse(&source.text, None, &is_repeated, found)?;
    reject_hidden_in_text(&source.text, found);
    reject_hidden(&tree, &source.text, found);
    let root = root(&tree, found);
    root.value(&SCHEMA, found);
    let title = root.value(&TITLE, found);
    let demo = root.value(&DEMO, found).is_some_and(|at| at.value);
    let calendar = calendar::read(&root, found);
    let gates = gate::read(&root, &calendar, found);
    let names: Vec<&str> = gates.iter().map(|gate| gate.name.value.as_str()).collect();
    let evidence = evidence::read(&root, source, &names, found);
    let extras = gate::Extras::read(&root, source, &names, &evidence, found);
    gate::reject_missing(&calendar.awaited(), &gates, found);
    let gates: Vec<Gate> =
        gates.into_iter().filter_map(|raw| gate::complete(raw, &evidence, &extras, found)).collect();
    let (phases, sprints) = calendar.checked();
    Some(Plan {
        title: title?.value,
        demo,
        file: PlanFile { path: source.name.clone(), sha256: hex(&Sha256::digest(source.text.as_bytes())) },
        phases,
        sprints,
        gates,
    })
}

fn root<'t>(tree: &'t Node, found: &mut Vec<Mistake>) -> Fields<'t> {
    let mut known = ROOT.key_names();
    known.extend(TABLES.iter().map(|table| table.name));
    Fields::open(tree, tree.origin, ROOT.name, known, found)
}

/// Looks again at a text that has been read as a plan, where what is written where matters.
fn reread(source: &Source, look: impl FnOnce(&Fields<'_>)) {
    let mut found = Vec::new();
    if let Some(tree) = tree::parse(&source.text, None, &is_repeated, &mut found) {
        look(&root(&tree, &mut found));
    }
}

/// `file:line`
fn place(origin: Origin, source: &Source) -> String {
    let start = if let Origin::File { start, .. } = origin { start } else { 0 };
    format!("{}:{}", source.name, mistake::line_and_column(&source.text, start).0)
}

/// What a reader of the plan does not see, anywhere in it, comments included: two names that look alike would differ, and a line could
/// read otherwise than it is.
fn reject_hidden_in_text(text: &str, found: &mut Vec<Mistake>) {
    let mut from = 0;
    while let Some((at, c)) = text.get(from..).and_then(visible::first_hidden) {
        let start = from + at;
        // An editor may mark the text as UTF-8 at its beginning.
        if start > 0 || c != '\u{feff}' {
            let origin = Origin::File { start, end: start + c.len_utf8() };
            found.push(Mistake::new(origin, format!("here is {}", visible::name_of(c)), TAKE_OUT));
        }
        from = start + c.len_utf8();
    }
}

/// The same where it is written as an escape, `"\u200b"`.
fn reject_hidden(node: &Node, text: &str, found: &mut Vec<Mistake>) {
    match &node.value {
        Value::String(value) => {
            let Some((_, c)) = visible::first_hidden(value) else { return };
            let Origin::File { start, end } = node.origin else { return };
            if text.get(start..end).is_some_and(|raw| visible::first_hidden(raw).is_none()) {
                let message = format!("the text has {}", visible::name_of(c));
                found.push(Mistake::new(node.origin, message, TAKE_OUT));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| reject_hidden(item, text, found)),
        Value::Table(table) => table.values().for_each(|entry| reject_hidden(&entry.node, text, found)),
        Value::Integer(..) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

const TAKE_OUT: &str = "take it out: what looks alike in a plan must be alike";

/// The entries of a table; none if there are none, or what there is was rejected.
fn entries<'t>(root: &Fields<'t>, table: &'static Table, found: &mut Vec<Mistake>) -> Vec<Fields<'t>> {
    root.entries(table, found).unwrap_or_default()
}

/// A name that refers to nothing.
fn refer(what: &str, name: &Sited<String>, known: &[&str], found: &mut Vec<Mistake>) {
    refer_to(what, &name.value, name, known, found);
}

/// As [`refer`], for one of several names in a value.
fn refer_to<T>(what: &str, name: &str, at: &Sited<T>, known: &[&str], found: &mut Vec<Mistake>) {
    if !known.contains(&name) {
        at.reject(found, format!("there is no {what} `{name}`"), suggest::hint(name, known));
    }
}

fn reject_duplicates<'a>(
    what: &str,
    names: impl Iterator<Item = &'a Sited<String>>,
    found: &mut Vec<Mistake>,
) {
    reject_repeated_names(what, names, |_| CHOOSE_ANOTHER.to_owned(), found);
}

#[cfg(test)]
mod tests;
