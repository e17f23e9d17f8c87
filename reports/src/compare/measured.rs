//! Measurements that are not runs: what Criterion has measured of benchmarks, and what a coverage tool has counted.
//!
//! They are kept beside runs and are never judged. Deliberately absent: looking for files, and the time and the commit of a measurement, which its
//! files do not name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::criterion::{Better, Unit};

/// All that one commit has of one source, as a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    #[serde(flatten)]
    pub source: Source,
    /// Two measurements with the same id, from the same source, are the same one.
    pub run_id: String,
    /// RFC 3339, UTC.
    pub started_utc: String,
    pub commit: String,
    /// By the id of the benchmark, or by what is covered. What was not measured is absent, and never 0.
    pub figures: BTreeMap<String, Estimate>,
}

/// Where figures come from. Those of one source are one series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum Source {
    /// Times, in seconds, on one machine of one class of host.
    Criterion { machine: String, fingerprint: String },
    /// Shares of what there is to cover, on whichever machine.
    Coverage { format: CoverageFormat },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoverageFormat {
    Lcov,
    LlvmCov,
}

/// A value in base units, with the ends of its interval where the source says how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Source {
    pub fn unit(&self) -> Unit {
        match self {
            Self::Criterion { .. } => Unit::Seconds,
            Self::Coverage { .. } => Unit::Share,
        }
    }

    pub fn better(&self) -> Better {
        match self {
            Self::Criterion { .. } => Better::Lower,
            Self::Coverage { .. } => Better::Higher,
        }
    }
}

impl CoverageFormat {
    pub fn word(self) -> &'static str {
        match self {
            Self::Lcov => "lcov",
            Self::LlvmCov => "llvm-cov",
        }
    }
}

impl Estimate {
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

/// The mean of a benchmark and its interval, from Criterion's `estimates.json`: nanoseconds there, seconds here. An error is a lower-case fragment.
pub fn criterion_estimate(bytes: &[u8]) -> Result<Estimate, String> {
    #[derive(Deserialize)]
    struct Estimates {
        mean: Mean,
    }
    #[derive(Deserialize)]
    struct Mean {
        confidence_interval: Interval,
        point_estimate: f64,
    }
    #[derive(Deserialize)]
    struct Interval {
        lower_bound: f64,
        upper_bound: f64,
    }
    let Estimates { mean } =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not what Criterion writes: {error}"))?;
    let Interval { lower_bound, upper_bound } = mean.confidence_interval;
    if !(mean.point_estimate.is_finite() && mean.point_estimate > 0.0) {
        return Err(format!("its `mean` is {} ns, which is not a time", mean.point_estimate));
    }
    if !(lower_bound.is_finite() && upper_bound.is_finite() && lower_bound <= upper_bound) {
        return Err(format!("the interval of its `mean` is from {lower_bound} to {upper_bound} ns"));
    }
    let seconds = |ns: f64| ns / 1e9;
    Ok(Estimate {
        value: seconds(mean.point_estimate),
        low: Some(seconds(lower_bound)),
        high: Some(seconds(upper_bound)),
    })
}

/// The id of a benchmark, from Criterion's `benchmark.json`. An error is a lower-case fragment.
pub fn criterion_id(bytes: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Benchmark {
        full_id: String,
    }
    let Benchmark { full_id } =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not what Criterion writes: {error}"))?;
    if full_id.trim().is_empty() { Err("its `full_id` is empty".to_owned()) } else { Ok(full_id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: &str = r#"{"mean":{"confidence_interval":{"confidence_level":0.95,"lower_bound":1400.0,"upper_bound":1600.0},
        "point_estimate":1500.0,"standard_error":50.0},"median":{},"slope":null}"#;

    #[test]
    fn what_criterion_measured_is_read_in_seconds_with_its_interval() {
        let found = criterion_estimate(ESTIMATES.as_bytes()).unwrap();
        assert_eq!(found, Estimate { value: 1.5e-6, low: Some(1.4e-6), high: Some(1.6e-6) });
        assert_eq!(criterion_id(br#"{"group_id":"ring","full_id":"ring/one"}"#).unwrap(), "ring/one");
    }

    #[test]
    fn what_criterion_did_not_write_is_refused_with_the_reason() {
        for (text, why) in [
            ("{".to_owned(), "EOF"),
            ("{}".to_owned(), "missing field `mean`"),
            (ESTIMATES.replace("1500.0", "0"), "0 ns, which is not a time"),
            (ESTIMATES.replace("1400.0", "1700"), "from 1700 to 1600 ns"),
            (ESTIMATES.replace("1500.0", "\"quick\""), "expected f64"),
        ] {
            let error = criterion_estimate(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(criterion_id(br#"{"full_id":" "}"#).unwrap_err().contains("empty"));
    }
}
