//! The parsed TOML as an owned tree in which every value remembers where it was written.
//!
//! Owned, because a profile from the file and `--set` arguments from elsewhere are laid over it.

use super::mistake::{Mistake, Origin};
use super::syntax;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    String(String),
    /// Digits and radix: a seed may be larger than TOML's own integers.
    Integer(String, u32),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Where the key stands.
    pub(super) key: Origin,
    pub(super) node: Node,
}

impl Value {
    /// With its article, as messages say it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(..) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// As TOML writes it; only for values that fit into a message.
    pub(super) fn text(&self) -> String {
        match self {
            Self::String(text) => format!("\"{text}\""),
            Self::Integer(text, _) | Self::Float(text) | Self::Datetime(text) => text.clone(),
            Self::Boolean(value) => value.to_string(),
            Self::Array(_) => "[…]".to_owned(),
            Self::Table(_) => "{…}".to_owned(),
        }
    }
}

/// The key that tells the entries of an array apart.
pub(super) const NAME: &str = "name";

pub(super) fn name_of(item: &Node) -> Option<String> {
    let Value::Table(table) = &item.value else { return None };
    match &table.get(NAME)?.node.value {
        Value::String(name) => Some(name.clone()),
        _ => None,
    }
}

/// For an array of tables that was written with one pair of brackets.
pub(super) fn brackets_hint(name: &str) -> String {
    format!("write `[[{name}]]`, with two brackets, for each")
}

/// Tables of keys that differ, which `overlay` takes out before anything is read.
pub(super) const PROFILE: &str = "profile";
/// More entries of one array of tables, or of one table, are a mistake: each is checked against the others of its kind.
pub(super) const ENTRIES_MAX: usize = 1_000;

/// Whether there are no more than a file may have; `origin` is of the first that is too many.
pub(super) fn fits(path: &str, count: usize, origin: Origin, found: &mut Vec<Mistake>) -> bool {
    if count > ENTRIES_MAX {
        let message = format!("`{path}` has {count} entries, and a file may have {ENTRIES_MAX}");
        found.push(Mistake::new(origin, message, "list fewer, or split the file"));
    }
    count <= ENTRIES_MAX
}

/// Looked at before anything is merged or read.
fn all_fit(node: &Node, path: &str, found: &mut Vec<Mistake>) -> bool {
    match &node.value {
        Value::Table(table) => {
            let of = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let last = table.values().map(|entry| entry.key).max().unwrap_or(node.origin);
            // Profiles have a bound with the matrix.
            (path == PROFILE || fits(path, table.len(), last, found))
                && table.iter().all(|(key, entry)| all_fit(&entry.node, &of(key), found))
        }
        Value::Array(items) if items.iter().any(|item| matches!(item.value, Value::Table(_))) => {
            let first_beyond = items.get(ENTRIES_MAX).map_or(node.origin, |item| item.origin);
            fits(path, items.len(), first_beyond, found)
                && items.iter().all(|item| all_fit(item, path, found))
        }
        _ => true,
    }
}

/// Which file of a scenario: its own, or the n-th that it extends.
pub(super) type Which = Option<usize>;

fn at(which: Which, start: usize, end: usize) -> Origin {
    match which {
        None => Origin::File { start, end },
        Some(index) => Origin::Base { index, start, end },
    }
}

/// A whole file. Every syntax error is reported; with any, there is no tree. `is_repeated` knows the names of the
/// tables that a file may have several of.
pub(super) fn parse(
    text: &str,
    which: Which,
    is_repeated: &dyn Fn(&str) -> bool,
    found: &mut Vec<Mistake>,
) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let place = |span: Range<usize>| at(which, span.start, span.end);
        let value = Value::Table(convert_table(table.get_ref(), &place));
        // The root's own span is the whole text: too much to underline where a key is missing.
        let root = Node { origin: at(which, 0, 0), value };
        return all_fit(&root, "", found).then_some(root);
    }
    // In a duplicated table, keys are duplicated as well: that is reported once.
    let mut reported_until = 0;
    // What follows an open bracket is read as its contents: nothing of it is reported.
    let is_open = |error: &toml::de::Error| {
        ["unclosed array,", "unclosed inline table"].iter().any(|said| error.message().starts_with(said))
    };
    if errors.iter().any(is_open)
        && let Some(start) = errors[0].span().and_then(|span| syntax::unclosed(text, span.start))
    {
        let origin = at(which, start, start + 1);
        found.push(Mistake::new(origin, "a bracket or brace is not closed", "close it with `]` or `}`"));
        return None;
    }
    let mut last_line = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim();
        let origin = at(which, span.start, span.end);
        if message != "duplicate key" {
            // The first mistake of a line is what is wrong; the others follow from it.
            let line = syntax::line_at(text, span.start).as_ptr();
            if last_line.replace(line) != Some(line) {
                let (message, hint) = syntax::explain(message, text, span.start);
                found.push(Mistake::new(origin, message, hint));
            }
        } else if span.start >= reported_until {
            let header = syntax::line_at(text, span.start).trim_start().starts_with('[');
            if header {
                let next = text.get(span.end..).and_then(|rest| rest.find("\n["));
                reported_until = next.map_or(text.len(), |next| span.end + next);
            }
            let key = text.get(span).unwrap_or_default();
            found.push(duplicated(origin, key, header, is_repeated(key)));
        }
    }
    None
}

fn duplicated(origin: Origin, key: &str, header: bool, repeated: bool) -> Mistake {
    let (message, hint) = match header {
        true if repeated => (format!("the table [{key}] is duplicated"), brackets_hint(key)),
        true => (format!("the table [{key}] is duplicated"), "merge the two tables into one".to_owned()),
        false => (format!("the key `{key}` is duplicated in its table"), "keep one of them".to_owned()),
    };
    Mistake::new(origin, message, hint)
}

/// A value from a `--set` argument: TOML if it is that, and otherwise a string as it stands, so that
/// `--set load.duration=10s` needs no quotes inside quotes.
pub(super) fn parse_set(text: &str, index: usize, offset: usize) -> Node {
    let place =
        |span: Range<usize>| Origin::Set { index, start: offset + span.start, end: offset + span.end };
    let (value, errors) = DeValue::parse_recoverable(text);
    if errors.is_empty() && !text.trim().is_empty() {
        convert(&value, &place)
    } else {
        Node { origin: place(0..text.len()), value: Value::String(text.to_owned()) }
    }
}

fn convert(value: &Spanned<DeValue<'_>>, place: &dyn Fn(Range<usize>) -> Origin) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => Value::Integer(integer.as_str().to_owned(), integer.radix()),
        DeValue::Float(float) => Value::Float(float.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| convert(item, place)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
    };
    Node { origin: place(value.span()), value: converted }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Origin) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let entry = Entry { key: place(key.span()), node: convert(value, place) };
            (key.get_ref().to_string(), entry)
        })
        .collect()
}
