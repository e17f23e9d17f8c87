//! Profiles and `--set` arguments, laid over the file's own values by the paths of their keys.
//!
//! Three rules go beyond "the later value wins". A table that states its `kind` begins anew, because
//! the keys of one kind of workload mean nothing to another. A new `load.model` drops the pace of the
//! old one. And criteria, which are an array, are addressed by name: `criterion.delivery.pass`.

use super::mistake::{Mistake, Origin, suggest};
use super::tree::{Entry, Node, Table, Value, parse_set};

pub(super) type Profiles = Vec<(String, Node)>;

/// Takes `[profile.NAME]` out of the file's tree.
pub(super) fn take_profiles(root: &mut Node, found: &mut Vec<Mistake>) -> Profiles {
    let Value::Table(table) = &mut root.value else { return Vec::new() };
    let Some(entry) = table.remove("profile") else { return Vec::new() };
    let kind = entry.node.value.kind();
    let Value::Table(named) = entry.node.value else {
        let hint = "write [profile.ci] and below it the keys that differ, such as `load.duration = \"10s\"`";
        found.push(Mistake::new(entry.key, format!("`profile` must be a table of tables, not {kind}"), hint));
        return Vec::new();
    };
    let mut profiles = Vec::new();
    for (name, mut entry) in named {
        let kind = entry.node.value.kind();
        let Value::Table(table) = &mut entry.node.value else {
            let hint = format!("write [profile.{name}] and below it the keys that differ");
            found.push(Mistake::new(
                entry.key,
                format!("`profile.{name}` must be a table, not {kind}"),
                hint,
            ));
            continue;
        };
        for fixed in ["schema", "name", "profile"] {
            if let Some(refused) = table.remove(fixed) {
                let message = format!("a profile cannot change `{fixed}`");
                found.push(Mistake::new(
                    refused.key,
                    message,
                    "leave it out, or write a scenario of its own",
                ));
            }
        }
        profiles.push((name, entry.node));
    }
    profiles
}

/// Lays the profile called `name` over `root`.
pub(super) fn choose(root: &mut Node, name: &str, profiles: &Profiles, found: &mut Vec<Mistake>) {
    if let Some((_, profile)) = profiles.iter().find(|(known, _)| known == name) {
        apply(root, profile, found);
        return;
    }
    let known: Vec<&str> = profiles.iter().map(|(known, _)| known.as_str()).collect();
    let hint = if known.is_empty() {
        "it has none; leave --profile out, or add [profile.NAME] to the file".to_owned()
    } else {
        suggest(name, &known)
    };
    found.push(Mistake::new(Origin::CommandLine, format!("the scenario has no profile `{name}`"), hint));
}

/// Lays one `key=value` argument over `root`.
pub(super) fn set(root: &mut Node, index: usize, argument: &str, found: &mut Vec<Mistake>) {
    let whole = Origin::Set { index, start: 0, end: argument.len() };
    let Some((path, value)) = argument.split_once('=') else {
        let hint = "write --set load.duration=10s";
        found.push(Mistake::new(whole, format!("`{argument}` has no `=`"), hint));
        return;
    };
    let path_origin = Origin::Set { index, start: 0, end: path.len() };
    let segments: Vec<&str> = path.split('.').map(str::trim).collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        let hint = "a path is keys with dots between them, such as load.duration";
        found.push(Mistake::new(path_origin, format!("`{path}` is not the path of a key"), hint));
        return;
    }
    if matches!(segments[0], "profile" | "schema") {
        let hint = "choose a profile with --profile NAME, and set the keys themselves";
        found.push(Mistake::new(path_origin, format!("`{}` cannot be set", segments[0]), hint));
        return;
    }
    let mut node = parse_set(value, index, path.len() + 1);
    for segment in segments.iter().rev() {
        let entry = Entry { key: path_origin, node };
        let table = Table::from([((*segment).to_owned(), entry)]);
        node = Node { origin: path_origin, value: Value::Table(table) };
    }
    apply(root, &node, found);
}

/// Lays `over` over `base`; both are tables, or `over` wins.
pub(super) fn apply(base: &mut Node, over: &Node, found: &mut Vec<Mistake>) {
    merge(base, over, "", found);
}

fn merge(base: &mut Node, over: &Node, path: &str, found: &mut Vec<Mistake>) {
    match (&mut base.value, &over.value) {
        (Value::Table(below), Value::Table(above)) => {
            make_way(below, above, path);
            for (key, entry) in above {
                let deeper = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match below.get_mut(key) {
                    Some(old) => merge(&mut old.node, &entry.node, &deeper, found),
                    None => {
                        below.insert(key.clone(), entry.clone());
                    }
                }
            }
        }
        (Value::Array(criteria), Value::Table(above)) if path == "criterion" => {
            merge_criteria(criteria, above, found);
        }
        _ => *base = over.clone(),
    }
}

/// Drops what `above` makes meaningless.
fn make_way(below: &mut Table, above: &Table, path: &str) {
    if path == "workload" && states_another("kind", below, above) {
        below.clear();
    }
    if path == "load" && states_another("model", below, above) {
        below.remove("every");
        below.remove("rounds_in_flight_max");
    }
}

fn states_another(key: &str, below: &Table, above: &Table) -> bool {
    let value = |table: &Table| table.get(key).map(|entry| entry.node.value.clone());
    value(above).is_some_and(|new| value(below) != Some(new))
}

fn merge_criteria(criteria: &mut [Node], above: &Table, found: &mut Vec<Mistake>) {
    for (name, entry) in above {
        let names: Vec<String> = criteria.iter().filter_map(name_of).collect();
        let named = |criterion: &&mut Node| name_of(criterion).as_ref() == Some(name);
        if let Some(criterion) = criteria.iter_mut().find(named) {
            merge(criterion, &entry.node, &format!("criterion.{name}"), found);
        } else {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!("the scenario has no criterion `{name}`");
            found.push(Mistake::new(entry.key, message, suggest(name, &known)));
        }
    }
}

fn name_of(criterion: &Node) -> Option<String> {
    let Value::Table(table) = &criterion.value else { return None };
    match &table.get("name")?.node.value {
        Value::String(name) => Some(name.clone()),
        _ => None,
    }
}
