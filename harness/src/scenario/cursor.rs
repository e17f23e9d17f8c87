//! Walks a table by its declared keys and collects every mistake on the way.
//!
//! A reader that stops at the first mistake makes a person run it five times to find five.

use super::form::Form;
use super::mistake::{Mistake, Origin, Rejection};
use super::table::{Key, Presence, Table};
use super::tree::{self, Node, Value};
use notation::suggest;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A value, where it was written, and the path of its key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sited<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
    pub(super) path: String,
}

impl<T> Sited<T> {
    pub(super) fn reject(
        &self,
        found: &mut Vec<Mistake>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        found.push(Mistake::new(self.origin, message, hint));
    }
}

/// Reports each name that an entry before it has; `hint` says what to do, given that one.
pub(super) fn reject_repeated_names<'a>(
    what: &str,
    names: impl Iterator<Item = &'a Sited<String>>,
    hint: impl Fn(&Sited<String>) -> String,
    found: &mut Vec<Mistake>,
) {
    let mut known: BTreeMap<&str, &Sited<String>> = BTreeMap::new();
    for name in names {
        match known.entry(&name.value) {
            Entry::Occupied(first) => {
                let message = format!("the {what} name `{}` is duplicated", name.value);
                name.reject(found, message, hint(first.get()));
            }
            Entry::Vacant(place) => {
                place.insert(name);
            }
        }
    }
}

pub(super) const CHOOSE_ANOTHER: &str = "choose another name";

/// What a table has under a key that only the checks of its subject can require or refuse.
#[derive(Debug)]
pub(super) struct Given<T> {
    /// Absent also if the value was rejected.
    pub(super) value: Option<Sited<T>>,
    /// Where the key stands, with a right value or a wrong one.
    pub(super) key: Option<Origin>,
    pub(super) name: &'static str,
    path: String,
    example: &'static str,
    /// The key is not in the file, and an unknown key that is near to it is.
    misspelt: bool,
    table: Origin,
}

impl<T> Given<T> {
    pub(super) fn is_absent(&self) -> bool {
        self.key.is_none()
    }

    pub(super) fn is_misspelt(&self) -> bool {
        self.misspelt
    }

    /// Reports a missing key, `because` it is required and `otherwise` something else may be written.
    pub(super) fn require(&self, because: &str, otherwise: &str, found: &mut Vec<Mistake>) {
        if self.is_absent() && !self.misspelt {
            let because = if because.is_empty() { String::new() } else { format!(": {because}") };
            let under = self.path.rsplit_once('.').map_or("", |(table, _)| table);
            let hint = format!("write `{} = {}` under [{under}]{otherwise}", self.name, self.example);
            found.push(Mistake::new(self.table, format!("`{}` is missing{because}", self.path), hint));
        }
    }
}

/// The values of one table, read key by key. Opening it reports every key that is not declared.
pub(super) struct Fields<'t> {
    table: Option<&'t tree::Table>,
    origin: Origin,
    path: String,
    known: Vec<&'static str>,
}

/// Why an array of tables has no entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntries {
    Absent,
    /// It is of another type or misspelt, which has been reported.
    Rejected,
}

impl<'t> Fields<'t> {
    /// `path` is the table's own, empty for the root.
    pub(super) fn open(
        node: &'t Node,
        origin: Origin,
        path: &str,
        known: Vec<&'static str>,
        found: &mut Vec<Mistake>,
    ) -> Self {
        let table = match &node.value {
            Value::Table(table) => Some(table),
            other => {
                let message = format!("`{path}` must be a table, not {}", other.kind());
                found.push(Mistake::new(node.origin, message, format!("write [{path}] and its keys below")));
                None
            }
        };
        let fields = Self { table, origin, path: path.to_owned(), known };
        fields.reject_unknown(found);
        fields
    }

    fn reject_unknown(&self, found: &mut Vec<Mistake>) {
        let whole = if self.path.is_empty() { "this file".to_owned() } else { format!("[{}]", self.path) };
        for (key, entry) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.as_str()) {
                let message = format!("`{key}` is not a key of {whole}");
                found.push(Mistake::new(entry.key, message, suggest::hint(key, &self.known)));
            }
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// The table's own, empty for the root.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// `table.key`.
    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An unknown key stands where `key` is missing, and has been reported with `key` as the nearest.
    fn misspells(&self, key: &str) -> bool {
        self.node(key).is_none()
            && self.table.into_iter().flatten().any(|(unknown, _)| {
                !self.known.contains(&unknown.as_str())
                    && suggest::nearest(unknown, self.known.iter().copied()) == Some(key)
            })
    }

    /// The node under `key`, and where the key stands.
    pub(super) fn node(&self, key: &str) -> Option<(&'t Node, Origin)> {
        assert!(self.known.contains(&key), "`{key}` is read from [{}] but not declared there", self.path);
        self.table.and_then(|table| table.get(key)).map(|entry| (&entry.node, entry.key))
    }

    /// The value under `key`; a wrong one, or none where one is required, is reported.
    pub(super) fn value<F: Form>(&self, key: &Key<F>, found: &mut Vec<Mistake>) -> Option<Sited<F::Value>> {
        let Some((node, _)) = self.node(key.name) else {
            if let Presence::Required { example } = key.presence
                && self.table.is_some()
                && !self.misspells(key.name)
            {
                self.report_missing(key.name, example, found);
            }
            return None;
        };
        let path = self.path_of(key.name);
        let mut reject = |Rejection(message, hint)| {
            found.push(Mistake::new(node.origin, format!("`{path}` {message}"), hint));
        };
        match key.form.read(&node.value) {
            Ok(value) => {
                if let Some(rejection) = key.form.beyond(&value) {
                    reject(rejection);
                }
                Some(Sited { value, origin: node.origin, path })
            }
            Err(rejection) => {
                reject(rejection);
                None
            }
        }
    }

    /// As [`Self::value`], with what the checks need to know about a key that is absent.
    pub(super) fn given<F: Form>(&self, key: &Key<F>, found: &mut Vec<Mistake>) -> Given<F::Value> {
        Given {
            value: self.value(key, found),
            key: self.node(key.name).map(|(_, origin)| origin),
            name: key.name,
            path: self.path_of(key.name),
            example: key.presence.example(),
            misspelt: self.misspells(key.name),
            table: self.origin,
        }
    }

    /// The table of this name; a required one that is absent is reported.
    pub(super) fn table(&self, table: &'static Table, found: &mut Vec<Mistake>) -> Option<Fields<'t>> {
        assert!(!table.repeated, "[[{}]] is read as one table", table.name);
        if let Some((node, origin)) = self.node(table.name) {
            return Some(Fields::open(node, origin, table.name, table.key_names(), found));
        }
        if table.required && !self.misspells(table.name) {
            let message = format!("the table [{}] is missing", table.name);
            let hint = format!("write [{}] and below it `{}`", table.name, table.example());
            found.push(Mistake::new(self.origin, message, hint));
        }
        None
    }

    /// The tables of an array; what is not one is reported.
    pub(super) fn entries(
        &self,
        table: &'static Table,
        found: &mut Vec<Mistake>,
    ) -> Result<Vec<Fields<'t>>, NoEntries> {
        assert!(table.repeated, "[{}] is read as an array of tables", table.name);
        let name = table.name;
        let Some((node, origin)) = self.node(name) else {
            return Err(if self.misspells(name) { NoEntries::Rejected } else { NoEntries::Absent });
        };
        if table.may_stand_alone() && matches!(node.value, Value::Table(_)) {
            return Ok(vec![Fields::open(node, origin, name, table.key_names(), found)]);
        }
        let Value::Array(items) = &node.value else {
            let message = format!("`{name}` must be an array of tables, not {}", node.value.kind());
            found.push(Mistake::new(node.origin, message, tree::brackets_hint(name)));
            return Err(NoEntries::Rejected);
        };
        // Of several files together, as each has been looked at.
        let first_beyond = items.get(tree::ENTRIES_MAX).map_or(node.origin, |item| item.origin);
        if !tree::fits(name, items.len(), first_beyond, found) {
            return Err(NoEntries::Rejected);
        }
        let open = |(index, item): (usize, &'t Node)| {
            // By its name, as `--set` addresses it; by its number if it has none.
            let path = tree::name_of(item)
                .map_or_else(|| format!("{name}[{index}]"), |entry| format!("{name}.{entry}"));
            Fields::open(item, item.origin, &path, table.key_names(), found)
        };
        Ok(items.iter().enumerate().map(open).collect())
    }

    fn report_missing(&self, key: &str, example: &str, found: &mut Vec<Mistake>) {
        let message = format!("`{}` is missing", self.path_of(key));
        let place = if self.path.is_empty() {
            "above the first table".to_owned()
        } else {
            format!("under [{}]", self.path)
        };
        found.push(Mistake::new(self.origin, message, format!("write `{key} = {example}` {place}")));
    }
}
