//! Profiles and `--set` arguments, laid over the file's own values by the paths of their keys.
//!
//! The later value wins, with three additions. An array of tables that have names is merged by name:
//! `criterion.delivery.pass`. A table may declare that a new value of one key drops others ([`Anew`]). And a key can be
//! unset: `unset = ["load.warm_up"]` in a profile, `--set '!load.warm_up'`.

use super::mistake::{Mistake, Origin};
use super::root::{EXTENDS, FIXED, PROFILE, TABLES};
use super::table::{Anew, Drops, Presence, Table as Declared};
use super::tree::{Entry, NAME, Node, Table, Value, name_of, parse_set};
use notation::suggest;

/// The key of a profile that lists what it takes out.
pub(super) const UNSET: &str = "unset";
/// In front of a path in a `--set` argument, for the same.
const UNSET_MARK: char = '!';

/// `[profile.NAME]`.
pub(super) struct Profile {
    pub(super) name: String,
    /// Where its table stands.
    pub(super) origin: Origin,
    keys: Node,
    unset: Vec<(String, Origin)>,
}

/// Lays a file over the one that it extends: its profiles and named entries by their names, and `unset` first.
pub(super) fn extend(base: &mut Node, mut file: Node, found: &mut Vec<Mistake>) {
    if let Value::Table(table) = &mut file.value {
        table.remove(EXTENDS.name);
        let taken_out = table.remove(UNSET).map(|entry| read_unset(UNSET, &entry.node, found));
        for (path, origin) in taken_out.unwrap_or_default() {
            if let Some(segments) = segments(&path, origin, found) {
                unset(base, &segments, origin, found);
            }
        }
    }
    merge(base, &file, Place::Root, NewNames::Append, found);
    base.origin = file.origin;
}

/// Takes `[profile.NAME]` out of the file's tree.
pub(super) fn take_profiles(root: &mut Node, found: &mut Vec<Mistake>) -> Vec<Profile> {
    let Value::Table(table) = &mut root.value else { return Vec::new() };
    let Some(entry) = table.remove(PROFILE) else { return Vec::new() };
    let kind = entry.node.value.kind();
    let Value::Table(named) = entry.node.value else {
        let hint = "write [profile.ci] and below it the keys that differ, such as `load.duration = \"10s\"`";
        found.push(Mistake::new(entry.key, format!("`profile` must be a table of tables, not {kind}"), hint));
        return Vec::new();
    };
    named.into_iter().filter_map(|(name, entry)| take_profile(name, entry, found)).collect()
}

fn take_profile(name: String, entry: Entry, found: &mut Vec<Mistake>) -> Option<Profile> {
    let Entry { key, mut node } = entry;
    let kind = node.value.kind();
    let Value::Table(table) = &mut node.value else {
        let hint = format!("write [profile.{name}] and below it the keys that differ");
        found.push(Mistake::new(key, format!("`profile.{name}` must be a table, not {kind}"), hint));
        return None;
    };
    for fixed in FIXED {
        if let Some(rejected) = table.remove(*fixed) {
            let message = format!("a profile cannot change `{fixed}`");
            found.push(Mistake::new(rejected.key, message, "leave it out, or write another scenario"));
        }
    }
    let path = format!("profile.{name}.{UNSET}");
    let unset = table.remove(UNSET).map(|entry| read_unset(&path, &entry.node, found)).unwrap_or_default();
    Some(Profile { name, origin: key, keys: node, unset })
}

fn read_unset(key: &str, node: &Node, found: &mut Vec<Mistake>) -> Vec<(String, Origin)> {
    let mut paths = Vec::new();
    let items = match &node.value {
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let is_array = matches!(node.value, Value::Array(_));
    for item in items {
        match &item.value {
            Value::String(path) if is_array => paths.push((path.clone(), item.origin)),
            other => {
                let message = format!("`{key}` must be an array of strings, not {}", other.kind());
                let hint = format!("write the paths of keys: {UNSET} = [\"load.warm_up\"]");
                found.push(Mistake::new(item.origin, message, hint));
            }
        }
    }
    paths
}

/// Lays the profile called `name` of the file `file` over `root`.
pub(super) fn choose(
    root: &mut Node,
    name: &str,
    profiles: &[Profile],
    file: &str,
    found: &mut Vec<Mistake>,
) {
    if let Some(profile) = profiles.iter().find(|profile| profile.name == name) {
        apply(root, profile, found);
        return;
    }
    let known: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    let hint = if known.is_empty() {
        "it has none: leave --profile out, or add [profile.NAME] to the file".to_owned()
    } else {
        let meant = suggest::nearest(name, known.iter().copied());
        let meant = meant.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        format!("{meant}its profiles are `{}`", known.join("`, `"))
    };
    found.push(Mistake::new(Origin::CommandLine, format!("`{file}` has no profile `{name}`"), hint));
}

/// Takes out what the profile unsets, then lays its keys over `root`.
pub(super) fn apply(root: &mut Node, profile: &Profile, found: &mut Vec<Mistake>) {
    for (path, origin) in &profile.unset {
        let Some(segments) = segments(path, *origin, found) else { continue };
        if FIXED.contains(&segments[0]) {
            let message = format!("a profile cannot change `{}`", segments[0]);
            found.push(Mistake::new(*origin, message, "leave it out, or write another scenario"));
        } else {
            unset(root, &segments, *origin, found);
        }
    }
    merge(root, &profile.keys, Place::Root, NewNames::Append, found);
}

/// Lays one `--set` argument over `root`: `key=value`, or `!key` to unset it.
pub(super) fn set(root: &mut Node, index: usize, argument: &str, found: &mut Vec<Mistake>) {
    let span = |start: usize, end: usize| Origin::Set { index, start, end };
    let whole = span(0, argument.len());
    let unset_path = argument.strip_prefix(UNSET_MARK);
    let (path, value) = match (unset_path, argument.split_once('=')) {
        (Some(_), Some(_)) => {
            let message = format!("`{argument}` both unsets a key and sets it");
            found.push(Mistake::new(whole, message, "leave out the `!`, or the `=` and the value"));
            return;
        }
        (None, None) => {
            let hint = "write --set load.duration=10s, or --set '!load.warm_up' to unset a key";
            found.push(Mistake::new(whole, format!("`{argument}` has no `=`"), hint));
            return;
        }
        (Some(path), None) => (path, None),
        (None, Some((path, value))) => (path, Some(value)),
    };
    let start = argument.len() - unset_path.unwrap_or(argument).len();
    let origin = span(start, start + path.len());
    let Some(segments) = segments(path, origin, found) else { return };
    let fixed = match segments[0] {
        PROFILE => Some("choose a profile with --profile NAME, and set the keys themselves"),
        "schema" => Some("leave it out: the file states which version of the format it has"),
        "matrix" => Some("set the keys that its values go to: they are the same then in all of its runs"),
        "extends" => Some("leave it out: which file is extended is read before anything is set"),
        _ => None,
    };
    if let Some(hint) = fixed {
        found.push(Mistake::new(origin, format!("`{}` cannot be set", segments[0]), hint));
        return;
    }
    let Some(value) = value else { return unset(root, &segments, origin, found) };
    let mut node = parse_set(value, index, path.len() + 1);
    for segment in segments.iter().rev() {
        let entry = Entry { key: origin, node };
        let table = Table::from([((*segment).to_owned(), entry)]);
        node = Node { origin, value: Value::Table(table) };
    }
    merge(root, &node, Place::Root, NewNames::Reject, found);
}

/// The single values that a profile and `--set` arguments lay over a file, in their order, each with its path.
pub(super) fn values(profile: Option<&Profile>, sets: &[String], mut each: impl FnMut(&[&str], &Node)) {
    if let Some(profile) = profile {
        leaves(&profile.keys, &mut Vec::new(), &mut each);
    }
    for (index, argument) in sets.iter().enumerate() {
        if let Some((path, value)) =
            argument.split_once('=').filter(|(path, _)| !path.starts_with(UNSET_MARK))
        {
            let mut segments: Vec<&str> = path.split('.').map(str::trim).collect();
            leaves(&parse_set(value, index, path.len() + 1), &mut segments, &mut each);
        }
    }
}

fn leaves<'n>(node: &'n Node, path: &mut Vec<&'n str>, each: &mut impl FnMut(&[&str], &Node)) {
    let Value::Table(table) = &node.value else { return each(path, node) };
    for (key, entry) in table {
        path.push(key);
        leaves(&entry.node, path, each);
        path.pop();
    }
}

/// The keys of a path; never none.
fn segments<'p>(path: &'p str, origin: Origin, found: &mut Vec<Mistake>) -> Option<Vec<&'p str>> {
    let segments: Vec<&str> = path.split('.').map(str::trim).collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        let hint = "write keys with dots between them, such as load.duration";
        found.push(Mistake::new(origin, format!("`{path}` is not the path of a key"), hint));
        return None;
    }
    Some(segments)
}

/// Takes out the key, the table or the entry at a path.
fn unset(root: &mut Node, path: &[&str], origin: Origin, found: &mut Vec<Mistake>) {
    if let Err(NotSet { segment, known }) = remove(root, path) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let message = format!("`{}` cannot be unset, because the scenario does not set it", path.join("."));
        found.push(Mistake::new(origin, message, suggest::hint(&segment, &known)));
    }
}

/// There is no `segment` among the `known` ones.
struct NotSet {
    segment: String,
    known: Vec<String>,
}

fn remove(node: &mut Node, path: &[&str]) -> Result<(), NotSet> {
    let [segment, rest @ ..] = path else { return Ok(()) };
    let known = match &node.value {
        Value::Table(table) => table.keys().cloned().collect(),
        Value::Array(items) => items.iter().filter_map(name_of).collect(),
        _ => Vec::new(),
    };
    let not_set = || NotSet { segment: (*segment).to_owned(), known };
    match &mut node.value {
        Value::Table(table) if rest.is_empty() => table.remove(*segment).map(|_| ()).ok_or_else(not_set),
        Value::Table(table) => match table.get_mut(*segment) {
            Some(entry) => remove(&mut entry.node, rest),
            None => Err(not_set()),
        },
        Value::Array(items) => match items.iter().position(|item| name_of(item).as_deref() == Some(*segment))
        {
            Some(index) if rest.is_empty() => {
                items.remove(index);
                Ok(())
            }
            Some(index) => remove(&mut items[index], rest),
            None => Err(not_set()),
        },
        _ => Err(not_set()),
    }
}

/// What becomes of an entry whose name the array does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewNames {
    /// It is added, if it has every required key.
    Append,
    /// One `--set` argument has one key: a name that is not there is a misspelt one.
    Reject,
}

/// Where in a scenario two nodes are merged.
#[derive(Clone, Copy)]
enum Place {
    Root,
    /// In a declared table, in an array of such tables, or in one of its entries.
    In(&'static Declared),
    /// Deeper, or where nothing is declared.
    Elsewhere,
}

impl Place {
    fn under(self, key: &str) -> Self {
        match self {
            Self::Root => {
                TABLES.iter().find(|table| table.name == key).map_or(Self::Elsewhere, |table| Self::In(table))
            }
            Self::In(_) | Self::Elsewhere => Self::Elsewhere,
        }
    }
}

/// Lays `over` over `base`.
fn merge(base: &mut Node, over: &Node, place: Place, names: NewNames, found: &mut Vec<Mistake>) {
    match (&mut base.value, &over.value) {
        (Value::Table(below), Value::Table(above)) => {
            if let Place::In(Declared { anew: Some(anew), .. }) = place {
                drop_stale(below, above, anew);
            }
            for (key, entry) in above {
                let place = place.under(key);
                if let Place::In(table) = place
                    && table.repeated
                    && !(table.may_stand_alone() && stands_alone(table, &entry.node))
                    && matches!(entry.node.value, Value::Table(_))
                {
                    let none = || Node { origin: entry.node.origin, value: Value::Array(Vec::new()) };
                    below.entry(key.clone()).or_insert_with(|| Entry { key: entry.key, node: none() });
                }
                match below.get_mut(key) {
                    Some(old) => merge(&mut old.node, &entry.node, place, names, found),
                    None => {
                        below.insert(key.clone(), entry.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(above))
            if above.is_empty() && !items.is_empty() && are_named(items) =>
        {
            reject_idle(over, place, found);
        }
        (Value::Array(_), Value::Table(above)) if above.is_empty() && matches!(place, Place::In(_)) => {
            reject_idle(over, place, found);
        }
        (Value::Array(items), Value::Table(above)) if matches!(place, Place::In(_)) => {
            let Place::In(table) = place else { return };
            if names == NewNames::Append && table.may_stand_alone() && stands_alone(table, over) {
                *base = over.clone();
                return;
            }
            for (name, entry) in above {
                merge_entry(items, (name, entry), table, names, found);
            }
        }
        (Value::Array(items), Value::Array(above)) if are_named(items) && are_named(above) => {
            for over in above {
                let same = |item: &&mut Node| name_of(item) == name_of(over);
                match items.iter_mut().find(same) {
                    Some(item) => merge(item, over, place, names, found),
                    None => items.push(over.clone()),
                }
            }
        }
        _ => *base = over.clone(),
    }
}

/// Entries are merged by their names: none changes none.
fn reject_idle(over: &Node, place: Place, found: &mut Vec<Mistake>) {
    let table = match place {
        Place::In(table) => table.name,
        _ => "TABLE",
    };
    let message = format!("{} without an entry changes nothing", over.value.kind());
    let hint =
        format!("to take entries out, unset each: `unset = [\"{table}.NAME\"]`, or `--set '!{table}.NAME'`");
    found.push(Mistake::new(over.origin, message, hint));
}

/// Whether a table is an entry itself, and not one of entries by their names.
fn stands_alone(table: &Declared, node: &Node) -> bool {
    let Value::Table(keys) = &node.value else { return false };
    keys.iter().any(|(key, entry)| {
        table.key_names().contains(&key.as_str()) && !matches!(entry.node.value, Value::Table(_))
    })
}

/// `criterion.delivery`: changes the entry of that name, or adds it.
fn merge_entry(
    items: &mut Vec<Node>,
    (name, entry): (&String, &Entry),
    table: &'static Declared,
    names: NewNames,
    found: &mut Vec<Mistake>,
) {
    let known: Vec<String> = items.iter().filter_map(name_of).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let what = table.name;
    let Value::Table(keys) = &entry.node.value else {
        let message = format!("`{what}.{name}` must be a table of keys, not {}", entry.node.value.kind());
        let hint = format!("address an entry by its name: {what}.NAME.KEY");
        found.push(Mistake::new(entry.key, message, hint));
        return;
    };
    if let Some(item) = items.iter_mut().find(|item| name_of(item).as_ref() == Some(name)) {
        merge(item, &entry.node, Place::In(table), names, found);
        return;
    }
    let lacks = table.keys.iter().find(|key| {
        matches!(key.presence(), Presence::Required { .. })
            && key.name() != NAME
            && !keys.contains_key(key.name())
    });
    match (names, lacks) {
        (NewNames::Append, None) => {
            let mut keys = keys.clone();
            let node = Node { origin: entry.key, value: Value::String(name.clone()) };
            keys.entry(NAME.to_owned()).or_insert(Entry { key: entry.key, node });
            items.push(Node { origin: entry.key, value: Value::Table(keys) });
        }
        (NewNames::Append, Some(key)) => {
            let message =
                format!("the scenario has no {what} `{name}`, and to add it, `{}` is missing", key.name());
            found.push(Mistake::new(entry.key, message, suggest::hint(name, &known)));
        }
        (NewNames::Reject, _) => {
            let message = format!("the scenario has no {what} `{name}`");
            found.push(Mistake::new(entry.key, message, suggest::hint(name, &known)));
        }
    }
}

/// Drops the keys that do not apply to a new value.
fn drop_stale(below: &mut Table, above: &Table, anew: &Anew) {
    let value = |table: &Table| table.get(anew.key).map(|entry| entry.node.value.clone());
    if value(above).is_none_or(|new| value(below) == Some(new)) {
        return;
    }
    match anew.drops {
        Drops::EveryKeyBut(kept) => below.retain(|key, _| kept.contains(&key.as_str())),
        Drops::Keys(keys) => below.retain(|key, _| !keys.contains(&key.as_str())),
    }
}

fn are_named(items: &[Node]) -> bool {
    items.iter().all(|item| name_of(item).is_some())
}
