//! Factors and their levels, and the cells that they make.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::compare::set_key;
use crate::stats::FACTORS_MAX;

/// Of a scenario that has none of its own for the key.
const DEFAULT: &str = "default";
/// Longest name of a factor: plots have room for it.
const NAME_MAX: usize = 24;

/// A combination: a bit for each factor that is on, the first factor the lowest.
pub type Cell = u32;

/// A key of the scenario that is on in one half of the runs, and off in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    pub name: String,
    /// Such as `fleet.batch_max`.
    pub key: String,
    pub on: Level,
    pub off: Level,
}

/// What the key is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Level {
    /// Not at all: the scenario's own value, or that of its absence.
    Default,
    Value(String),
}

impl From<String> for Level {
    fn from(text: String) -> Self {
        if text == DEFAULT { Self::Default } else { Self::Value(text) }
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.to_string()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(DEFAULT),
            Self::Value(value) => f.write_str(value),
        }
    }
}

/// `name=key:on,off`.
impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{},{}", self.name, self.key, self.on, self.off)
    }
}

impl Factor {
    /// # Errors
    /// In words: what is wrong with the text, and how it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write `name=key:on,off`, such as `batching=fleet.batch_max:default,1`";
        let wrong = |what: String| Err(format!("{what}; {form}"));
        let Some((name, rest)) = text.split_once('=') else {
            return wrong(format!("`{text}` has no name"));
        };
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            return wrong(format!(
                "the name `{name}` must have 1 to {NAME_MAX} lower-case letters, digits and `-`"
            ));
        }
        let Some((key, levels)) = rest.split_once(':').filter(|(key, _)| !key.trim().is_empty()) else {
            return wrong(format!("`{name}` names no key of the scenario"));
        };
        let [on, off] = levels.split(',').map(str::trim).collect::<Vec<_>>()[..] else {
            return wrong(format!("`{name}` must have two values, on and off"));
        };
        if on.is_empty() || off.is_empty() || on == off {
            return wrong(format!("the two values of `{name}` must differ, and none may be empty"));
        }
        let level = |text: &str| Level::from(text.to_owned());
        Ok(Self { name: name.into(), key: key.trim().into(), on: level(on), off: level(off) })
    }
}

/// All factors of an analysis, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Design {
    factors: Vec<Factor>,
}

/// Why factors make no design.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    #[error("there is no factor")]
    Nothing,
    #[error(
        "{count} factors are too many: an analysis has 1 to {FACTORS_MAX}, and twice the runs with each one"
    )]
    Count { count: usize },
    #[error("two factors have the {what} `{text}`")]
    Twice { what: &'static str, text: String },
}

impl DesignError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing => "name one with --factor",
            Self::Count { .. } => "leave some out, and ask for them in another analysis",
            Self::Twice { .. } => "give each factor a name and a key of its own",
        }
    }
}

impl Design {
    /// # Errors
    /// There are too many factors, or two are the same.
    pub fn new(factors: Vec<Factor>) -> Result<Self, DesignError> {
        if factors.is_empty() {
            return Err(DesignError::Nothing);
        }
        if factors.len() > FACTORS_MAX {
            return Err(DesignError::Count { count: factors.len() });
        }
        for (at, factor) in factors.iter().enumerate() {
            let others = &factors[..at];
            if others.iter().any(|other| other.name == factor.name) {
                return Err(DesignError::Twice { what: "name", text: factor.name.clone() });
            }
            if others.iter().any(|other| other.key == factor.key) {
                return Err(DesignError::Twice { what: "key", text: factor.key.clone() });
            }
        }
        Ok(Self { factors })
    }

    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        0..1 << self.factors.len()
    }

    fn levels(&self, cell: Cell) -> impl Iterator<Item = (&Factor, &Level, &'static str)> {
        self.factors.iter().enumerate().map(move |(at, factor)| {
            if cell >> at & 1 == 1 { (factor, &factor.on, "on") } else { (factor, &factor.off, "off") }
        })
    }

    /// `pooling on, batching off`.
    pub fn name_of(&self, cell: Cell) -> String {
        self.levels(cell)
            .map(|(factor, _, word)| format!("{} {word}", factor.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The same as the name of a directory: `pooling-on_batching-off`.
    pub fn directory_of(&self, cell: Cell) -> String {
        self.name_of(cell).replace(", ", "_").replace(' ', "-")
    }

    /// What `--set` takes for this cell, beside what all runs have in common.
    pub fn sets(&self, cell: Cell) -> Vec<String> {
        self.levels(cell)
            .filter_map(|(factor, level, _)| match level {
                Level::Default => None,
                Level::Value(value) => Some(format!("{}={value}", factor.key)),
            })
            .collect()
    }

    /// Of a run that was started with these `--set` arguments.
    ///
    /// # Errors
    /// In words: the factor that is neither on nor off in it.
    pub fn cell_of(&self, overrides: &[String]) -> Result<Cell, String> {
        let mut cell = 0;
        for (at, factor) in self.factors.iter().enumerate() {
            let set = overrides.iter().rev().find(|set| set_key(set) == factor.key);
            let level = match set.and_then(|set| set.split_once('=')) {
                Some((_, value)) => Level::from(value.trim().trim_matches('"').to_owned()),
                None => Level::Default,
            };
            match level {
                level if level == factor.on => cell |= 1 << at,
                level if level == factor.off => {}
                level => {
                    return Err(format!(
                        "`{}` is {level} in it, and {} or {} in the analysis",
                        factor.key, factor.on, factor.off
                    ));
                }
            }
        }
        Ok(cell)
    }

    /// Whether a `--set` argument sets or unsets the key of a factor.
    pub(super) fn is_about(&self, set: &str) -> bool {
        self.factors.iter().any(|factor| set_key(set) == factor.key)
    }

    /// `pooling`, or `pooling × batching`.
    pub fn term(&self, factors: u32) -> String {
        let of = self.factors.iter().enumerate().filter(|(at, _)| factors >> at & 1 == 1);
        of.map(|(_, factor)| factor.name.as_str()).collect::<Vec<_>>().join(" × ")
    }
}
