//! What a scenario file may hold, as data: its tables and their keys.
//!
//! Each subject declares its [`Table`] and its [`Key`]s once. The reader, "did you mean", the JSON Schema and the guide
//! all come from these declarations, so that a new key is one entry in one file.

use super::form::Form;
use super::unit::{duration_text, size_text};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// One key: its name, what may stand under it, and what it means.
pub(super) struct Key<F> {
    pub(super) name: &'static str,
    pub(super) form: F,
    pub(super) presence: Presence,
    /// A sentence; limits and defaults are added to it.
    pub(super) says: &'static str,
}

/// What it means that a key is not in the file. Examples are TOML.
#[derive(Debug, Clone, Copy)]
pub(super) enum Presence {
    Required {
        example: &'static str,
    },
    /// Required by some values of another key, which only the checks of the subject know.
    RequiredBy {
        example: &'static str,
        who: &'static str,
    },
    /// Has no effect if absent, or the effect that these words describe.
    Optional(&'static str),
    Default(Preset),
}

/// What an absent key counts as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Preset {
    Duration(Duration),
    /// Bytes.
    Size(u32),
    Count(u32),
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Duration(duration) => f.write_str(&duration_text(*duration)),
            Self::Size(bytes) => f.write_str(&size_text(u64::from(*bytes))),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Presence {
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Required { example } | Self::RequiredBy { example, .. } => example,
            Self::Optional(_) | Self::Default(_) => "…",
        }
    }
}

/// A key whatever its form: what the reader's list, the schema and the guide need.
pub(super) trait AnyKey: Sync {
    fn name(&self) -> &'static str;
    fn presence(&self) -> Presence;
    /// What may stand under the key, in Markdown.
    fn values(&self) -> String;
    fn says(&self) -> &'static str;
    /// The key's JSON Schema. What has a name of its own is put into `definitions`.
    fn schema(&self, definitions: &mut Map<String, Json>) -> Json;
}

impl<F: Form + Sync> AnyKey for Key<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn presence(&self) -> Presence {
        self.presence
    }

    fn values(&self) -> String {
        self.form.words()
    }

    fn says(&self) -> &'static str {
        self.says
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let mut schema = self.form.schema(definitions);
        let limit = self.form.limit().map_or_else(String::new, |limit| format!(" {limit}."));
        let default = match self.presence {
            Presence::Default(default) => format!(" Default: {default}."),
            Presence::Optional(words) if !words.is_empty() => format!(" Default: {words}."),
            _ => String::new(),
        };
        let description = format!("{}{limit}{default}", self.says);
        if schema.get("$ref").is_some() {
            // Draft 7 ignores what stands beside `$ref`.
            schema = json!({ "allOf": [schema] });
        }
        schema["description"] = Json::String(description);
        schema
    }
}

/// One table, or an array of tables with names.
pub(super) struct Table {
    /// As it stands in the brackets; empty for the root.
    pub(super) name: &'static str,
    /// Its name among the definitions of the JSON Schema.
    pub(super) definition: &'static str,
    pub(super) says: &'static str,
    pub(super) required: bool,
    pub(super) repeated: bool,
    pub(super) keys: &'static [&'static dyn AnyKey],
    pub(super) anew: Option<Anew>,
    /// What holds of its keys together, as JSON Schemas.
    pub(super) rules: Option<fn() -> Vec<Json>>,
}

/// When a profile or `--set` changes `key`, the keys in `drops` no longer apply and are dropped.
pub(super) struct Anew {
    pub(super) key: &'static str,
    pub(super) drops: Drops,
}

pub(super) enum Drops {
    EveryKeyBut(&'static [&'static str]),
    Keys(&'static [&'static str]),
}

impl Table {
    pub(super) fn key_names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name()).collect()
    }

    /// A repeated table whose entries need no name may be written as one table, too.
    pub(super) fn may_stand_alone(&self) -> bool {
        let needs_name =
            |key: &&&dyn AnyKey| key.name() == "name" && matches!(key.presence(), Presence::Required { .. });
        self.repeated && !self.keys.iter().any(|key| needs_name(&key))
    }

    /// `[load]`, `[[criterion]]`.
    pub(super) fn header(&self) -> String {
        if self.repeated { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    /// One required key as the file could have it.
    pub(super) fn example(&self) -> String {
        self.keys
            .iter()
            .find(|key| matches!(key.presence(), Presence::Required { .. }))
            .map(|key| format!("{} = {}", key.name(), key.presence().example()))
            .unwrap_or_default()
    }
}
