//! What is said of one figure of two sides.

use serde::{Deserialize, Serialize};

use super::figures::{FigureKind, Part};
use crate::stats::Method;
use crate::units;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Regressed,
    Undecided,
    Same,
    Improved,
}

impl Word {
    pub fn text(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Undecided => "undecided",
            Self::Same => "same",
            Self::Improved => "improved",
        }
    }
}

/// One figure of two sides. Changes are shares of the first side: 0.1 is a tenth more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    pub part: Part,
    pub word: Word,
    /// Whether the whole is at least as bad as this word.
    pub counts: bool,
    pub better: String,
    pub limit: f64,
    /// Medians of the runs, in base units; of counts their sums, in words.
    pub first: Option<f64>,
    pub second: Option<f64>,
    pub first_text: String,
    pub second_text: String,
    pub change: Option<f64>,
    /// Each end misses once in 20 times; absent where it is open.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// The least change for the worse that these runs show as one, four times in five.
    pub detectable: Option<f64>,
    /// How probable such runs are if the figure is no worse than it was, adjusted for all figures (Holm).
    pub chance: Option<f64>,
    pub method: Option<Method>,
    /// That have the figure, on each side.
    pub runs: (usize, usize),
    pub note: Option<String>,
}

pub(super) fn blank(kind: &FigureKind, name: String, limit: f64, runs: (usize, usize)) -> Compared {
    Compared {
        name,
        part: kind.part,
        word: Word::Undecided,
        counts: true,
        better: kind.better.name().into(),
        limit,
        first: None,
        second: None,
        first_text: String::new(),
        second_text: String::new(),
        change: None,
        low: None,
        high: None,
        detectable: None,
        chance: None,
        method: None,
        runs,
        note: None,
    }
}

impl Compared {
    /// `task.time p50 regressed: +30.2 % (+27.1 % to +33.1 %), 1.2 ms before and 1.56 ms now; the limit is 10 %`
    pub(super) fn sentence(&self) -> String {
        let change = match self.change_text() {
            text if text == "—" => String::new(),
            text => format!(" {text},"),
        };
        let note = self.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
        format!(
            "{} {}:{change} {} before and {} now; the limit is {}{note}",
            self.name,
            self.word.text(),
            self.first_text,
            self.second_text,
            units::percent(self.limit)
        )
    }

    /// With its interval: `+30.2 % (+27 % to +33.1 %)`.
    pub fn change_text(&self) -> String {
        let Some(change) = self.change else { return "—".into() };
        let end = |end: Option<f64>| end.map_or_else(|| "open".to_owned(), signed);
        match (self.low, self.high) {
            (None, None) => signed(change),
            (low, high) => format!("{} ({} to {})", signed(change), end(low), end(high)),
        }
    }

    pub fn is_watched(&self) -> bool {
        self.part == Part::Watched
    }

    pub fn limit_text(&self) -> String {
        units::percent(self.limit)
    }

    /// The least change that would have been seen, four times in five.
    pub fn detectable_text(&self) -> String {
        self.detectable.map_or_else(|| "—".into(), signed)
    }
}

/// `+3.2 %`: to a tenth of a percent, and to whole ones from a hundred on.
fn signed(share: f64) -> String {
    let percent = share * 100.0;
    let size = percent.abs();
    let sign = match percent {
        _ if size < 0.05 => "",
        below if below < 0.0 => "−",
        _ => "+",
    };
    if size >= 100.0 { format!("{sign}{size:.0} %") } else { format!("{sign}{size:.1} %") }
}
