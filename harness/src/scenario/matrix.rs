//! `[matrix]`: one file, one scenario for each combination of values.
//!
//! An axis is a key and its values: `workers = [100, 300]`. Each combination is a scenario of its own, named by the
//! file's name and its values (`load-100`); `{workers}` in any string of the file stands for the value.

use super::Source;
use super::mistake::{Mistake, Origin, place};
use super::table::Table as Declared;
use super::tree::{Entry, Node, Table, Value, name_of};
use notation::{duration, size, suggest};
use reports::criterion::Criterion;
use reports::units;

/// Its table's name.
pub(super) const MATRIX: &str = "matrix";
/// More scenarios of one file are a mistake in it.
pub(super) const CELLS_MAX: usize = 100;
/// The only axis that is a key above all tables.
pub(super) const ABOVE: &str = "seed";

/// What a matrix is told of a file.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The declared tables, where axes without one look for theirs.
    pub(super) tables: &'static [&'static Declared],
    /// Keys above them that are the same in all scenarios of a file.
    pub(super) fixed: &'static [&'static str],
}

/// One combination.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// In the alphabetical order of the axes.
    values: Vec<Setting>,
}

#[derive(Debug, Clone)]
struct Setting {
    /// As written in `[matrix]`.
    axis: String,
    path: Vec<String>,
    node: Node,
}

struct Axis {
    name: String,
    path: Vec<String>,
    values: Vec<Node>,
}

impl Cell {
    /// What follows the scenario's name: `-100-50ms`. Empty without a matrix.
    pub(super) fn suffix(&self) -> String {
        self.values.iter().flat_map(|setting| ["-".to_owned(), slug(&plain(&setting.node))]).collect()
    }

    /// `workers=100`, for documents.
    pub(super) fn settings(&self) -> Vec<String> {
        self.values
            .iter()
            .map(|setting| format!("{}={}", setting.path.join("."), plain(&setting.node)))
            .collect()
    }

    /// Lays the values over the file's own; profiles and `--set` are laid over them.
    pub(super) fn lay(&self, root: &mut Node, found: &mut Vec<Mistake>) {
        for setting in &self.values {
            if let Err(known) = insert(root, &setting.path, &setting.node) {
                let message = format!("`{MATRIX}.{}` changes no entry of an array of tables", setting.axis);
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let hint = format!("write TABLE.NAME.KEY; the names are {}", known.join(", "));
                found.push(Mistake::new(setting.node.origin, message, hint));
            }
        }
    }

    /// Reports each value that is not in the scenario, because a profile or `--set` took its key out or put something in its
    /// place: the scenario's name, its title and its documents would still state it.
    pub(super) fn reject_lost(&self, root: &Node, found: &mut Vec<Mistake>) {
        for setting in &self.values {
            if find(root, &setting.path).is_none_or(|node| node.value != setting.node.value) {
                let message = format!(
                    "`{MATRIX}.{}` is {}, and the profile or `--set` takes that out of the scenario",
                    setting.axis,
                    setting.node.value.text()
                );
                let hint = "leave the key of the matrix as it is, or give it another value";
                found.push(Mistake::new(setting.node.origin, message, hint));
            }
        }
    }

    /// Puts the values in the place of `{axis}` in every string.
    pub(super) fn substitute(&self, node: &mut Node, found: &mut Vec<Mistake>) {
        self.substitute_in(node, Text::Ours, found);
    }

    fn substitute_in(&self, node: &mut Node, whose: Text, found: &mut Vec<Mistake>) {
        match &mut node.value {
            Value::String(text) => {
                self.reject_unknown(text, node.origin, whose, found);
                for setting in &self.values {
                    let mark = format!("{{{}}}", setting.axis);
                    if text.contains(&mark) {
                        *text = text.replace(&mark, &plain(&setting.node));
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.substitute_in(item, whose, found)),
            Value::Table(table) => {
                for (key, entry) in table.iter_mut() {
                    let whose = if OF_PROGRAMS.contains(&key.as_str()) { Text::Programs } else { whose };
                    self.substitute_in(&mut entry.node, whose, found);
                }
            }
            Value::Integer(..) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }

    /// A name in braces that stands for nothing. What goes to programs may be in braces for reasons of their own, unless it
    /// is nearly a name of the matrix.
    fn reject_unknown(&self, text: &str, origin: Origin, whose: Text, found: &mut Vec<Mistake>) {
        let axes: Vec<&str> = self.values.iter().map(|setting| setting.axis.as_str()).collect();
        for name in placeholders(text).filter(|name| !axes.contains(name)) {
            let near = suggest::nearest(name, axes.iter().copied());
            if whose == Text::Programs && near.is_none() {
                continue;
            }
            let message = format!("`{{{name}}}` stands for nothing: [matrix] has no `{name}`");
            let hint = match (near, &axes[..]) {
                (Some(near), _) => format!("did you mean `{{{near}}}`?"),
                (None, []) => format!("add `{name} = […]` under [matrix], or leave out the braces"),
                (None, known) => format!("the names of the matrix are {}", known.join(", ")),
            };
            found.push(Mistake::new(origin, message, hint));
        }
    }
}

/// Who reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// Readers of documents, and this program.
    Ours,
    Programs,
}

/// Keys whose text goes to programs.
const OF_PROGRAMS: [&str; 4] = ["command", "env", "stdin", "question"];

/// Names in braces: `workers` of `{workers}`. Neither `${HOME}` nor `{}`.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_good)
    };
    text.match_indices('{')
        .filter(|(at, _)| !text[..*at].ends_with(['$', '{']))
        .filter_map(|(at, _)| text[at + 1..].split_once('}'))
        .map(|(name, _)| name)
        .filter(is_name)
}

/// The cells where a profile or `--set` lays `value` over a key of the matrix: it is that value then in all of them, and
/// they are named by it.
pub(super) fn overridden(cells: &mut Vec<Cell>, path: &[&str], value: &Node) {
    for cell in cells.iter_mut() {
        for setting in cell.values.iter_mut().filter(|setting| setting.path == path) {
            setting.node = value.clone();
        }
    }
    let mut names = std::collections::BTreeSet::new();
    cells.retain(|cell| names.insert(cell.suffix()));
}

/// Takes `[matrix]` out of the file's tree: one cell without values if there is none, none if it was rejected.
pub(super) fn take(root: &mut Node, known: Known, source: &Source, found: &mut Vec<Mistake>) -> Vec<Cell> {
    let Value::Table(table) = &mut root.value else { return vec![Cell::default()] };
    let Some(entry) = table.remove(MATRIX) else { return vec![Cell::default()] };
    let before = found.len();
    let mut axes = Vec::new();
    match &entry.node.value {
        Value::Table(named) => collect(named, &mut Vec::new(), (known, &mut axes), found),
        other => {
            let message = format!("`{MATRIX}` must be a table, not {}", other.kind());
            found.push(Mistake::new(entry.key, message, HINT));
        }
    }
    for axis in &axes {
        reject_same(axis, source, found);
    }
    if axes.is_empty() && found.len() == before {
        found.push(Mistake::new(entry.key, "[matrix] has no axis", HINT));
    }
    let count = axes.iter().fold(1_usize, |count, axis| count.saturating_mul(axis.values.len()));
    if count > CELLS_MAX {
        let message = format!("[matrix] makes {count} scenarios, and a file may have {CELLS_MAX}");
        found.push(Mistake::new(entry.key, message, "list fewer values, or split the file"));
    }
    if found.len() > before {
        return Vec::new();
    }
    let cells = product(&axes);
    reject_twins(&cells, entry.key, found);
    if found.len() > before { Vec::new() } else { cells }
}

const HINT: &str = "write [matrix] and below it a key and its values: `workers = [100, 300]`";

/// The axes of `[matrix]`, dotted keys included.
fn collect(
    table: &Table,
    path: &mut Vec<String>,
    (known, axes): (Known, &mut Vec<Axis>),
    found: &mut Vec<Mistake>,
) {
    for (key, entry) in table {
        path.push(key.clone());
        match &entry.node.value {
            Value::Table(inner) => collect(inner, path, (known, axes), found),
            Value::Array(values) => axes.extend(axis(path, values, (known, entry.key), found)),
            other => {
                let message =
                    format!("`{MATRIX}.{}` must be an array of values, not {}", path.join("."), other.kind());
                found.push(Mistake::new(entry.node.origin, message, HINT));
            }
        }
        path.pop();
    }
}

fn axis(
    path: &[String],
    values: &[Node],
    (known, key): (Known, Origin),
    found: &mut Vec<Mistake>,
) -> Option<Axis> {
    let name = path.join(".");
    if values.is_empty() {
        found.push(Mistake::new(key, format!("`{MATRIX}.{name}` has no value"), HINT));
        return None;
    }
    let nested = values.iter().find(|value| matches!(value.value, Value::Array(_) | Value::Table(_)));
    if let Some(nested) = nested {
        let message = format!("`{MATRIX}.{name}` holds {}, which is not a single value", nested.value.kind());
        found.push(Mistake::new(nested.origin, message, HINT));
        return None;
    }
    let path = match path {
        [first] if known.fixed.contains(&first.as_str()) => {
            let message = format!("`{MATRIX}.{name}`: a matrix cannot change `{first}`");
            let of_tables: Vec<String> =
                having(first, known).iter().map(|table| format!("`{table}.{first}`")).collect();
            let hint = if of_tables.is_empty() {
                HINT.to_owned()
            } else {
                format!("write {} if that is meant", of_tables.join(" or "))
            };
            found.push(Mistake::new(key, message, hint));
            return None;
        }
        [key] => whole_path(key, known, values[0].origin, found)?,
        [first, ..] if known.fixed.contains(&first.as_str()) => {
            let message = format!("`{MATRIX}.{name}`: a matrix cannot change `{first}`");
            found.push(Mistake::new(key, message, HINT));
            return None;
        }
        path => path.to_vec(),
    };
    Some(Axis { name, path, values: values.to_vec() })
}

/// A key alone can be one of this table.
pub(super) fn is_single(table: &Declared) -> bool {
    !table.repeated || table.required && table.may_stand_alone()
}

/// The tables that have such a key.
fn having(key: &str, known: Known) -> Vec<&'static str> {
    let single = known.tables.iter().filter(|table| is_single(table));
    single.filter(|table| table.key_names().contains(&key)).map(|table| table.name).collect()
}

/// `workers` is `fleet.workers`: the table is left out where one alone has such a key.
fn whole_path(key: &str, known: Known, origin: Origin, found: &mut Vec<Mistake>) -> Option<Vec<String>> {
    if key == ABOVE {
        return Some(vec![key.to_owned()]);
    }
    match having(key, known)[..] {
        [table] => Some(vec![table.to_owned(), key.to_owned()]),
        [] => {
            let single = known.tables.iter().filter(|table| is_single(table));
            let known: Vec<&str> = single.flat_map(|table| table.key_names()).collect();
            let message = format!("`{MATRIX}.{key}`: no table has a key `{key}`");
            // There are too many to list.
            let hint = match suggest::nearest(key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a key of a table: `workers = [100, 300]`, or `load.every = [\"1s\", \"2s\"]`"
                    .into(),
            };
            found.push(Mistake::new(origin, message, hint));
            None
        }
        [first, ..] => {
            let message = format!("`{MATRIX}.{key}` could be a key of {}", having(key, known).join(" or "));
            let hint = format!("write it with its table: `{first}.{key} = […]`");
            found.push(Mistake::new(origin, message, hint));
            None
        }
    }
}

fn product(axes: &[Axis]) -> Vec<Cell> {
    axes.iter().fold(vec![Cell::default()], |cells, axis| {
        let extended = |cell: &Cell| {
            let values = axis.values.iter().map(|node| {
                let mut cell = cell.clone();
                let (axis, path) = (axis.name.clone(), axis.path.clone());
                cell.values.push(Setting { axis, path, node: node.clone() });
                cell
            });
            values.collect::<Vec<_>>()
        };
        cells.iter().flat_map(extended).collect()
    })
}

/// A value of an axis, whatever way it is written.
#[derive(Debug, Clone, PartialEq)]
enum Meant {
    Whole(i128),
    Fraction(f64),
    Nanos(u64),
    Bytes(u64),
    Percent(f64),
    Text(String),
}

impl Meant {
    fn by(axis: &Axis, value: &Value) -> Self {
        let goes_to_programs = axis.path.iter().any(|key| OF_PROGRAMS.contains(&key.as_str()));
        match value {
            Value::String(text) if goes_to_programs => Self::Text(text.clone()),
            Value::String(text) => duration::parse(text)
                .map(Self::Nanos)
                .or_else(|_| size::parse(text).map(Self::Bytes))
                .or_else(|_| units::parse_percent(text).map(Self::Percent))
                .or_else(|_| Criterion::parse(text).map(|criterion| Self::Text(criterion.to_string())))
                .unwrap_or_else(|_| Self::Text(text.clone())),
            Value::Integer(digits, radix) => {
                i128::from_str_radix(digits, *radix).map_or_else(|_| Self::Text(digits.clone()), Self::Whole)
            }
            Value::Float(digits) => match digits.parse::<f64>() {
                Ok(number) if number.fract() == 0.0 && number.abs() < EXACT_BELOW => {
                    Self::Whole(number as i128)
                }
                Ok(number) => Self::Fraction(number),
                Err(_) => Self::Text(digits.clone()),
            },
            other => Self::Text(other.text()),
        }
    }
}

/// Below it, every whole number is a float of its own.
const EXACT_BELOW: f64 = (1_u64 << 53) as f64;

/// Twins would be run, and shown, as if they were two.
fn reject_same(axis: &Axis, source: &Source, found: &mut Vec<Mistake>) {
    let meant: Vec<Meant> = axis.values.iter().map(|node| Meant::by(axis, &node.value)).collect();
    for (index, value) in meant.iter().enumerate() {
        let Some(first) = meant[..index].iter().position(|earlier| earlier == value) else { continue };
        let (first, second) = (&axis.values[first], &axis.values[index]);
        let message = format!(
            "`{MATRIX}.{}` has one value twice: {} here, and {} at {}",
            axis.name,
            second.value.text(),
            first.value.text(),
            place(first.origin, source)
        );
        found.push(Mistake::new(second.origin, message, "list each value once"));
    }
}

/// Two scenarios of one name would share a directory.
fn reject_twins(cells: &[Cell], key: Origin, found: &mut Vec<Mistake>) {
    for (index, cell) in cells.iter().enumerate() {
        let suffix = cell.suffix();
        if cells[..index].iter().any(|earlier| earlier.suffix() == suffix) {
            let message = format!("[matrix] makes two scenarios whose names end in `{suffix}`");
            found.push(Mistake::new(key, message, "list each value once"));
            return;
        }
    }
}

/// As `--set` would take it.
fn plain(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.clone(),
        other => other.text(),
    }
}

fn slug(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect()
}

/// The error is the names of an array's entries, of which the path has none.
fn insert(node: &mut Node, path: &[String], value: &Node) -> Result<(), Vec<String>> {
    let Some((key, rest)) = path.split_first() else {
        *node = value.clone();
        return Ok(());
    };
    if let Value::Array(items) = &mut node.value {
        let named = items.iter().position(|item| name_of(item).as_ref() == Some(key));
        let Some(index) = named.filter(|_| !rest.is_empty()) else {
            return Err(items.iter().filter_map(name_of).collect());
        };
        return insert(&mut items[index], rest, value);
    }
    // In the place of a value, as `--set` does it: the reader refuses a table there.
    if !matches!(node.value, Value::Table(_)) {
        *node = Node { origin: value.origin, value: Value::Table(Table::new()) };
    }
    let Value::Table(table) = &mut node.value else { return Ok(()) };
    let empty = || Entry {
        key: value.origin,
        node: Node { origin: value.origin, value: Value::Table(Table::new()) },
    };
    insert(&mut table.entry(key.clone()).or_insert_with(empty).node, rest, value)
}

/// What stands at a path.
fn find<'n>(node: &'n Node, path: &[String]) -> Option<&'n Node> {
    let Some((key, rest)) = path.split_first() else { return Some(node) };
    match &node.value {
        Value::Table(table) => find(&table.get(key)?.node, rest),
        Value::Array(items) => find(items.iter().find(|item| name_of(item).as_ref() == Some(key))?, rest),
        _ => None,
    }
}
