//! What one field of an event may be changed to.

use std::collections::{BTreeMap, BTreeSet};

use reports::runlog::event::{Event, Record};
use serde_json::Value;

/// What a log has in its fields that name something, by path.
pub(super) type Texts = BTreeMap<String, BTreeSet<String>>;

/// What was changed, how, and what it became.
pub(super) type Change = (String, &'static str, Value);

/// What a value may be changed to, beside what any value of its kind may be.
#[derive(Default)]
pub(super) struct Others {
    /// The event of the same kind beside it.
    pub(super) beside: Option<Value>,
    /// What else the log has in a field, for each path.
    pub(super) texts: Texts,
}

impl Others {
    /// Every change of one event.
    pub(super) fn changes(&self, name: &str, event: &Value) -> Vec<Change> {
        let mut out = changes(name, event, &self.texts);
        if let Some(beside) = &self.beside {
            neighbours(name, event, beside, &mut out);
        }
        out
    }
}

/// Every leaf of the event, as the one beside it has it.
fn neighbours(path: &str, value: &Value, beside: &Value, out: &mut Vec<Change>) {
    let mut below = |path: &str, own: &Value, theirs: &Value, whole: &dyn Fn(Value) -> Value| {
        let mut inner = Vec::new();
        neighbours(path, own, theirs, &mut inner);
        out.extend(inner.into_iter().map(|(path, how, changed)| (path, how, whole(changed))));
    };
    match (value, beside) {
        (Value::Object(own), Value::Object(theirs)) => {
            for (key, field) in own.iter().filter(|(key, _)| *key != "ev") {
                let Some(other) = theirs.get(key) else { continue };
                below(&format!("{path}.{key}"), field, other, &|changed| {
                    let mut fields = own.clone();
                    fields.insert(key.clone(), changed);
                    fields.into()
                });
            }
        }
        (Value::Array(own), Value::Array(theirs)) => {
            for (at, (item, other)) in own.iter().zip(theirs).enumerate() {
                below(path, item, other, &|changed| {
                    let mut items = own.clone();
                    items[at] = changed;
                    items.into()
                });
            }
        }
        _ if value != beside => out.push((path.to_owned(), "neighbour's", beside.clone())),
        _ => {}
    }
}

/// The texts that the log has in each field of [`NAMES`], by path.
pub(super) fn texts(records: &[Record]) -> Texts {
    fn collect(path: &str, value: &Value, out: &mut Texts) {
        match value {
            Value::String(text) if NAMES.contains(&path.rsplit('.').next().unwrap_or_default()) => {
                out.entry(path.to_owned()).or_default().insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| collect(path, item, out)),
            Value::Object(fields) => {
                fields.iter().for_each(|(key, field)| collect(&format!("{path}.{key}"), field, out));
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut out = Texts::new();
    for record in records {
        let (name, json) = spelt(&record.event);
        collect(&name, &json, &mut out);
    }
    out
}

/// Fields that hold a name or a word.
const NAMES: [&str; 10] =
    ["name", "workload", "stage", "targets", "command", "kind", "step", "how", "when", "words"];
/// So many other names are tried.
const NAMES_MAX: usize = 4;

/// An event as the log has it, with the counts that it leaves out where they are 0.
pub(super) fn spelt(event: &Event) -> (String, Value) {
    let mut json = serde_json::to_value(event).unwrap();
    let name = json["ev"].as_str().unwrap().to_owned();
    if let (Event::Round(round), Some(fields)) = (event, json.as_object_mut()) {
        for count in ["contradicted", "retried"] {
            fields.entry(count).or_insert_with(|| 0.into());
        }
        let causes = round.causes;
        let causes = [
            ("timed_out", causes.timed_out),
            ("exited", causes.exited),
            ("died", causes.died),
            ("refused", causes.refused),
        ];
        let causes: serde_json::Map<String, Value> =
            causes.into_iter().map(|(cause, count)| (cause.to_owned(), count.into())).collect();
        fields.insert("causes".to_owned(), causes.into());
    }
    (name, json)
}

/// Every change of one leaf or list below `value`.
pub(super) fn changes(path: &str, value: &Value, texts: &Texts) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    let mut add = |how, changed: Value| {
        if changed != *value {
            out.push((path.to_owned(), how, changed));
        }
    };
    match value {
        Value::Null => {}
        Value::Bool(set) => add("flipped", Value::from(!set)),
        Value::Number(number) => {
            add("null", Value::Null);
            for (how, changed) in others_of(number) {
                add(how, changed);
            }
        }
        Value::String(text) => {
            add("null", Value::Null);
            add("empty", "".into());
            add("longer", format!("{text}x").into());
            for word in words(path) {
                add("another", (*word).into());
            }
            let others = texts.get(path).into_iter().flatten().filter(|other| *other != text);
            for other in others.take(NAMES_MAX) {
                add("another's", other.as_str().into());
            }
        }
        Value::Array(items) => {
            add("none", Value::Array(Vec::new()));
            if let Some((first, rest)) = items.split_first() {
                add("one less", rest.into());
                add("one twice", [std::slice::from_ref(first), items.as_slice()].concat().into());
            }
            for (at, item) in items.iter().enumerate() {
                for (path, how, changed) in changes(path, item, texts) {
                    let mut items = items.clone();
                    items[at] = changed;
                    out.push((path, how, items.into()));
                }
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter().filter(|(key, _)| *key != "ev") {
                let mut without = fields.clone();
                without.remove(key);
                out.push((format!("{path}.{key}"), "left out", without.into()));
                for (path, how, changed) in changes(&format!("{path}.{key}"), field, texts) {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), changed);
                    out.push((path, how, fields.into()));
                }
            }
        }
    }
    out
}

/// What else a word of a closed list may be.
fn words(path: &str) -> &'static [&'static str] {
    match path.rsplit('.').next().unwrap_or_default() {
        "phase" => &["launch", "warm-up", "load", "drain", "verify"],
        "role" => &["harness", "supervisor", "coordinator", "worker"],
        "tag" => &["coordination", "task", "task-from-send"],
        "topology" => &["flat", "hybrid"],
        "load" => &["open", "closed"],
        "severity" => &["info", "minor", "critical"],
        "step" => &[
            "not-injected",
            "injected",
            "proven",
            "unproven",
            "healed",
            "heal-proven",
            "unhealed",
            "moment-shown",
            "moment-missed",
        ],
        "moment" => &["mid-round", "task-in-flight"],
        "when" => &["set-up", "tear-down"],
        "reason" => &["interrupted", "aborted", "fleet-lost", "launch-failed", "recording-failed"],
        _ => &[],
    }
}

/// What else a number may be.
fn others_of(number: &serde_json::Number) -> Vec<(&'static str, Value)> {
    let Some(n) = number.as_u64() else { return vec![("zero", 0.0.into()), ("negative", (-1.0).into())] };
    vec![
        ("zero", 0.into()),
        ("less", n.saturating_sub(1).into()),
        ("more", n.saturating_add(1).into()),
        ("huge", n.saturating_mul(1_000).saturating_add(3_600_000_000_000).into()),
        ("much", n.saturating_mul(2).saturating_add(100_000).into()),
        ("one", 1.into()),
        ("enormous", (1_u64 << 62).into()),
    ]
}
