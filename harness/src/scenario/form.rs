//! The forms that values take: how each is read, what limits it, and how schema and guide describe it.

mod number;
mod off;
mod text;

pub(super) use number::{Codes, Count, Factor, Size, Span, Version, Whole};
pub(super) use off::{Amount, OrOff, Share};
pub(super) use text::{Command, Filled, Line, Name, Pairs, Requirement, Requirements, Text};

use super::mistake::Rejection;
use super::tree::Value;
use notation::suggest;
use serde_json::{Map, Value as Json, json};

/// What may stand under a key.
pub(super) trait Form {
    type Value;

    /// A value of another type is rejected.
    fn read(&self, value: &Value) -> Result<Self::Value, Rejection>;

    /// What is wrong with a value of the right type. It is kept all the same, so that checks against other keys go on.
    fn beyond(&self, _: &Self::Value) -> Option<Rejection> {
        None
    }

    /// The limit as the schema's description states it, where JSON Schema has no word for it.
    fn limit(&self) -> Option<String> {
        None
    }

    /// In Markdown, for the guide.
    fn words(&self) -> String;

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json;
}

pub(super) fn wrong_kind(wanted: &str, value: &Value, example: &str) -> Rejection {
    Rejection(
        format!("must be {wanted}, not {} ({})", value.kind(), value.text()),
        format!("such as {example}"),
    )
}

pub(super) struct Flag;

impl Form for Flag {
    type Value = bool;

    fn read(&self, value: &Value) -> Result<bool, Rejection> {
        match value {
            Value::Boolean(value) => Ok(*value),
            other => Err(wrong_kind("a boolean", other, "true")),
        }
    }

    fn words(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "boolean" })
    }
}

/// One of a few words.
pub(super) struct Words<T: 'static> {
    /// Its name among the definitions of the JSON Schema.
    pub(super) definition: &'static str,
    pub(super) words: &'static [Word<T>],
}

pub(super) struct Word<T> {
    pub(super) text: &'static str,
    pub(super) value: T,
    /// A clause, or empty where the word says it all.
    pub(super) says: &'static str,
}

impl<T: Copy> Form for Words<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Rejection> {
        let names: Vec<&str> = self.words.iter().map(|word| word.text).collect();
        let listed = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let Value::String(text) = value else {
            let Rejection(message, _) = wrong_kind("a string", value, "");
            return Err(Rejection(message, format!("write one of {listed}")));
        };
        if let Some(word) = self.words.iter().find(|word| word.text == text) {
            return Ok(word.value);
        }
        let hint = match suggest::nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"? The choices are {listed}"),
            None => format!("the choices are {listed}"),
        };
        Err(Rejection(format!("cannot be \"{text}\""), hint))
    }

    fn words(&self) -> String {
        let one = |word: &Word<T>| match word.says {
            "" => format!("`\"{}\"`", word.text),
            says => format!("`\"{}\"`: {says}", word.text),
        };
        let separator = if self.words.iter().any(|word| !word.says.is_empty()) { "; " } else { ", " };
        self.words.iter().map(one).collect::<Vec<_>>().join(separator)
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let bare = self.words.iter().all(|word| word.says.is_empty());
        let definition = if bare {
            let names: Vec<&str> = self.words.iter().map(|word| word.text).collect();
            json!({ "type": "string", "enum": names })
        } else {
            let one =
                |word: &Word<T>| json!({ "const": word.text, "description": word.says, "type": "string" });
            json!({ "oneOf": self.words.iter().map(one).collect::<Vec<_>>() })
        };
        let earlier = definitions.insert(self.definition.to_owned(), definition.clone());
        assert!(
            earlier.is_none_or(|earlier| earlier == definition),
            "two sets of words are both called `{}` in the schema",
            self.definition
        );
        json!({ "$ref": format!("#/definitions/{}", self.definition) })
    }
}
