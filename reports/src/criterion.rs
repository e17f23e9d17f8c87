//! The grammar of a criterion: `coordination.time p99 < 5s`, `delivery.rate >= 95% every 15m`.
//!
//! ```text
//! metric[.whose][{workload="name"}|{coordinator="3"}] [aggregation] comparator threshold [each] [every duration]
//!     [after fault]
//! ```
//!
//! A [`Criterion`] cannot be wrong: its aggregation is one that the metric's kind has, its threshold
//! is in the metric's unit. What it means over a run is decided in `verdict::measure`; the metrics are listed
//! in [`catalogue()`].

mod catalogue;
mod label;
mod limits;
mod parse;
mod planned;
mod range;
mod sound;
mod threshold;
mod within;

use std::fmt;
use std::ops::Range;

use label::Label;
pub use label::{no_coordinator, no_workload};

pub use crate::scope::Scope;
pub use crate::stretch::{ANY_FAULT, Side, Stretch};
pub(crate) use catalogue::OF_VALUES;
pub use catalogue::{Aggregation, Kind, Metric, MetricId, Scale, Unit, catalogue, names};
pub use limits::HostLimits;
pub(crate) use parse::comparison;
pub use planned::{Planned, Share, Sizes, drawn_at_most};
pub use range::Known;
pub use sound::{Better, Thresholds, Unsound};
pub use threshold::{Per, Threshold};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
}

impl Comparator {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
        }
    }

    #[expect(clippy::float_cmp, reason = "== is meant for counts, which are exact")]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Less => value < threshold,
            Self::AtMost => value <= threshold,
            Self::Greater => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Equal => value == threshold,
        }
    }

    /// Big values are bad.
    pub fn is_ceiling(self) -> bool {
        matches!(self, Self::Less | Self::AtMost)
    }

    pub fn is_floor(self) -> bool {
        matches!(self, Self::Greater | Self::AtLeast)
    }
}

/// One comparison of one figure with one threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    metric: MetricId,
    scope: Scope,
    /// Of one workload or coordinator; of all, if absent.
    label: Option<Label>,
    aggregation: Aggregation,
    comparator: Comparator,
    threshold: Threshold,
    /// Of each process alone.
    each: bool,
    /// In nanoseconds of the scenario's time.
    every_ns: Option<u64>,
    /// The whole load, if absent.
    stretch: Option<Stretch>,
}

impl Criterion {
    pub fn parse(text: &str) -> Result<Self, CriterionError> {
        parse::criterion(text)
    }

    pub fn metric(&self) -> &'static Metric {
        Metric::of(self.metric)
    }

    /// With whose it is: `memory.pss.workers`, `task.time{workload="compile"}`.
    pub fn metric_name(&self) -> String {
        let label = self.label.as_ref().map(ToString::to_string);
        let name = match self.scope {
            Scope::Fleet => self.metric().name.to_owned(),
            Scope::Workers | Scope::Commands | Scope::Coordinators | Scope::Supervisor | Scope::Harness => {
                format!("{}.{}", self.metric().name, self.scope.name())
            }
        };
        name + &label.unwrap_or_default()
    }

    /// The workload whose tasks it is about; all of them, if absent.
    pub fn workload(&self) -> Option<&str> {
        match &self.label {
            Some(Label::Workload(name)) => Some(name),
            Some(Label::Coordinator(_)) | None => None,
        }
    }

    /// The number of the coordinator whose answers it is about; all of them, if absent.
    pub fn coordinator(&self) -> Option<u32> {
        match &self.label {
            Some(Label::Coordinator(number)) => Some(*number),
            Some(Label::Workload(_)) | None => None,
        }
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    pub fn comparator(&self) -> Comparator {
        self.comparator
    }

    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Of each process alone: the worst of them counts, and not their sum.
    pub fn is_each(&self) -> bool {
        self.each
    }

    /// Whether figures of single processes are judged: where the criterion says so, and beside the sum where it
    /// limits a slope by an amount, which no single process may exceed either.
    pub fn asks_each(&self) -> bool {
        let metric = self.metric();
        self.each
            || (metric.has_each(self.aggregation)
                && self.aggregation == Aggregation::Slope
                && !self.threshold.is_relative())
    }

    pub fn every_ns(&self) -> Option<u64> {
        self.every_ns
    }

    /// The part of the load that it is about; all of it, if absent.
    pub fn stretch(&self) -> Option<&Stretch> {
        self.stretch.as_ref()
    }

    fn same_subject(&self, other: &Self) -> bool {
        self.stretch == other.stretch
            && (self.metric, self.scope, &self.label, self.aggregation, self.every_ns, self.each)
                == (other.metric, other.scope, &other.label, other.aggregation, other.every_ns, other.each)
            && self.threshold.is_relative() == other.threshold.is_relative()
    }

    /// Whether everything that passes `pass` passes this too, and more does.
    fn is_weaker_than(&self, pass: &Self) -> bool {
        let (mine, theirs) = (self.threshold.value(), pass.threshold.value());
        match (self.comparator, pass.comparator) {
            (Comparator::Equal, _) => false,
            (mine_is, Comparator::Equal) => mine_is.holds(theirs, mine),
            (a, b) if a.is_ceiling() && b.is_ceiling() => {
                mine > theirs || (mine >= theirs && (a, b) == (Comparator::AtMost, Comparator::Less))
            }
            (a, b) if a.is_floor() && b.is_floor() => {
                mine < theirs || (mine <= theirs && (a, b) == (Comparator::AtLeast, Comparator::Greater))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric_name())?;
        if self.aggregation != Aggregation::Whole {
            write!(f, " {}", self.aggregation.name())?;
        }
        write!(f, " {} {}", self.comparator.symbol(), self.threshold)?;
        if self.each {
            f.write_str(" each")?;
        }
        if let Some(ns) = self.every_ns {
            write!(f, " every {}", notation::duration::exact(ns))?;
        }
        if let Some(stretch) = &self.stretch {
            write!(f, " {stretch}")?;
        }
        Ok(())
    }
}

/// What must hold for PASS, and the weaker thing that must hold for CONDITIONAL.
#[derive(Debug, Clone, PartialEq)]
pub struct CriterionPair {
    pass: Criterion,
    conditional: Option<Criterion>,
}

impl CriterionPair {
    pub fn parse(pass: &str, conditional: Option<&str>) -> Result<Self, CriterionError> {
        let pass = Criterion::parse(pass)?;
        let Some(text) = conditional else {
            return Ok(Self { pass, conditional: None });
        };
        let weaker = Criterion::parse(text).map_err(|e| CriterionError { field: Field::Conditional, ..e })?;
        let refuse = |message: String, hint: String| CriterionError {
            field: Field::Conditional,
            span: 0..text.len(),
            message,
            hint: Some(hint),
        };
        if !weaker.same_subject(&pass) {
            return Err(refuse(
                "`conditional` is about another figure than `pass`".into(),
                format!(
                    "give it the metric, aggregation, window and fault of `{pass}`, with a weaker threshold"
                ),
            ));
        }
        if !weaker.is_weaker_than(&pass) {
            return Err(refuse(
                format!("`conditional` is not weaker than `pass` (`{pass}`)"),
                "a run that misses `pass` could never reach it; loosen the threshold or leave it out".into(),
            ));
        }
        Ok(Self { pass, conditional: Some(weaker) })
    }

    pub fn pass(&self) -> &Criterion {
        &self.pass
    }

    pub fn conditional(&self) -> Option<&Criterion> {
        self.conditional.as_ref()
    }
}

/// Which of the two texts of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Pass,
    Conditional,
}

/// Where a criterion's text is wrong, what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CriterionError {
    /// Of [`CriterionPair::parse`]'s two texts.
    pub field: Field,
    /// Bytes of that text.
    pub span: Range<usize>,
    /// A lower-case fragment.
    pub message: String,
    pub hint: Option<String>,
}

impl CriterionError {
    /// In the text of `pass`, or of a criterion alone.
    pub(crate) fn at(span: Range<usize>, message: &str, hint: Option<String>) -> Self {
        Self { field: Field::Pass, span, message: message.to_owned(), hint }
    }
}
