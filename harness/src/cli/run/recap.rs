//! What several runs came to: a line each, the spread of repeated ones, and one exit code.

use super::one::Ran;
use crate::cli::compare_args::LimitArgs;
use crate::cli::{compare, output};
use crate::exit::ExitCode;
use reports::compare::{Comparison, Side};
use reports::verdict::show;
use reports::{Criterion, Judgement, units};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A run, with those before it that were INCONCLUSIVE.
pub(super) struct Line {
    scenario: String,
    /// Of the last one, which counts.
    pub(super) exit: ExitCode,
    pub(super) is_stopped: bool,
    judgement: Option<Judgement>,
    directories: Vec<PathBuf>,
    attempts: u32,
}

impl Line {
    pub(super) fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            exit: ExitCode::Bug,
            is_stopped: false,
            judgement: None,
            directories: Vec::new(),
            attempts: 0,
        }
    }

    pub(super) fn push(&mut self, ran: Ran) {
        self.exit = ran.exit;
        self.is_stopped = ran.is_stopped;
        self.judgement = ran.judgement;
        self.directories.extend(ran.directory);
        self.attempts += 1;
    }

    /// How often it was run again.
    pub(super) fn retries(&self) -> u32 {
        self.attempts.saturating_sub(1)
    }

    fn headline(&self) -> String {
        let word = match &self.judgement {
            Some(judgement) => judgement.headline(),
            None => format!("no verdict (exit {})", self.exit.code()),
        };
        match self.retries() {
            0 => word,
            n => format!("{word}, after {n} INCONCLUSIVE"),
        }
    }
}

pub(super) struct Recap {
    total: usize,
    lines: Vec<Line>,
}

impl Recap {
    /// Of so many runs.
    pub(super) fn new(total: usize) -> Self {
        Self { total, lines: Vec::new() }
    }

    pub(super) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Shows it, if there is more to show than one run; the exit code is that of the worst run, or of the comparison with
    /// `baseline`.
    pub(super) fn show(&self, json: bool, baseline: Option<Side>) -> ExitCode {
        let of_runs = ExitCode::worst(self.lines.iter().map(|line| line.exit));
        let compared = baseline.map(|baseline| self.compare(baseline));
        let of_comparison = match &compared {
            None => ExitCode::Pass,
            Some(Ok(found)) => ExitCode::of_reports(found.exit.code),
            Some(Err(code)) => *code,
        };
        let compared = compared.and_then(Result::ok);
        let exit = ExitCode::worst([of_runs, of_comparison]);
        let shown = if json {
            output::verdict(&format!("{:#}\n", self.json(exit, compared.as_ref())))
        } else {
            self.show_text(of_runs).and_then(|()| match &compared {
                Some(found) => output::verdict(&format!("\n{}", compare::coloured(found))),
                None => Ok(()),
            })
        };
        if exit == ExitCode::Pass { shown.err().unwrap_or(exit) } else { exit }
    }

    fn show_text(&self, exit: ExitCode) -> Result<(), ExitCode> {
        if self.total > 1 || self.lines.iter().any(|line| line.retries() > 0) {
            output::verdict(&output::coloured_verdict(&self.text(exit)))?;
        }
        Ok(())
    }

    /// Holds the runs against a baseline. An error has been explained when this returns its exit code.
    fn compare(&self, baseline: Side) -> Result<Comparison, ExitCode> {
        let runs: Vec<PathBuf> =
            self.lines.iter().filter_map(|line| line.directories.last().cloned()).collect();
        let (side, _) = compare::sides::read("these runs", &runs)?;
        compare::judge(&[baseline, side], None, &LimitArgs::default())
    }

    fn text(&self, exit: ExitCode) -> String {
        let mut text = format!("\n{} of {}\n", self.lines.len(), units::things(self.total as u64, "run"));
        let width = self.lines.iter().map(|line| line.headline().chars().count()).max().unwrap_or(0);
        for line in &self.lines {
            let directory =
                line.directories.last().map(|path| path.display().to_string()).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:<width$}  {}  {directory}", line.headline(), line.scenario);
        }
        for (scenario, spreads) in self.spreads() {
            let _ = writeln!(text, "\n{scenario}: {}", units::things(spreads.runs as u64, "run"));
            for spread in &spreads.criteria {
                let _ = writeln!(text, "  {}", spread.words());
            }
            if spreads.criteria.iter().any(Spread::is_wide) {
                text.push_str("  some figures differ by more than a tenth between runs: run them again on a quiet host\n");
            }
        }
        let _ = writeln!(text, "\nexit {}: the worst of all runs", exit.code());
        text
    }

    fn json(&self, exit: ExitCode, compared: Option<&Comparison>) -> serde_json::Value {
        let runs: Vec<serde_json::Value> = self
            .lines
            .iter()
            .map(|line| {
                serde_json::json!({
                    "scenario": line.scenario,
                    "verdict": line.judgement.as_ref().map(|judgement| judgement.verdict.word()),
                    "exit": line.exit.code(),
                    "run": line.directories.last(),
                    "inconclusive_before": line.directories.iter().take(line.retries() as usize).collect::<Vec<_>>(),
                    "judgement": line.judgement,
                })
            })
            .collect();
        let spreads: BTreeMap<&str, serde_json::Value> = self
            .spreads()
            .into_iter()
            .map(|(scenario, spreads)| (scenario, spreads.criteria.iter().map(Spread::json).collect()))
            .collect();
        let mut whole = serde_json::json!({ "planned": self.total, "exit": exit.code(), "runs": runs, "spread": spreads });
        if let Some(found) = compared {
            whole["comparison"] = serde_json::json!(found);
        }
        whole
    }

    /// Of the scenarios that were run more than once, in the order of their names.
    fn spreads(&self) -> BTreeMap<&str, Spreads> {
        let mut by_scenario: BTreeMap<&str, Vec<&Judgement>> = BTreeMap::new();
        for line in &self.lines {
            if let Some(judgement) = &line.judgement {
                by_scenario.entry(&line.scenario).or_default().push(judgement);
            }
        }
        by_scenario.retain(|_, judgements| judgements.len() > 1);
        by_scenario.into_iter().map(|(scenario, judgements)| (scenario, Spreads::of(&judgements))).collect()
    }
}

struct Spreads {
    runs: usize,
    criteria: Vec<Spread>,
}

impl Spreads {
    fn of(judgements: &[&Judgement]) -> Self {
        let names =
            judgements.iter().flat_map(|judgement| &judgement.criteria).map(|found| found.name.as_str());
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        let criteria = seen.into_iter().filter_map(|name| {
            let of_run = |judgement: &&Judgement| {
                judgement.criteria.iter().find(|found| found.name == name).and_then(|found| found.value)
            };
            let first = judgements[0].criteria.iter().find(|found| found.name == name)?;
            Spread::of(name, (&first.unit, &first.pass), judgements.iter().filter_map(of_run).collect())
        });
        Self { runs: judgements.len(), criteria: criteria.collect() }
    }
}

/// The values of one criterion over several runs.
#[derive(Debug, Clone, PartialEq)]
struct Spread {
    criterion: String,
    unit: String,
    /// The criterion itself.
    pass: String,
    values: usize,
    mean: f64,
    /// Standard deviation of the sample.
    deviation: f64,
    least: f64,
    most: f64,
    /// Beyond one and a half times the interquartile range (Tukey's fences); of five values or more.
    outliers: usize,
}

impl Spread {
    fn of(criterion: &str, (unit, pass): (&str, &str), mut values: Vec<f64>) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let (low, high) = (quantile(&values, 0.25), quantile(&values, 0.75));
        let fence = 1.5 * (high - low);
        let is_outside = |value: &&f64| **value < low - fence || **value > high + fence;
        let outliers = if values.len() < 5 { 0 } else { values.iter().filter(is_outside).count() };
        Some(Self {
            criterion: criterion.to_owned(),
            unit: unit.to_owned(),
            pass: pass.to_owned(),
            values: values.len(),
            mean,
            deviation,
            least: values[0],
            most: values[values.len() - 1],
            outliers,
        })
    }

    /// More than a tenth of the mean.
    fn is_wide(&self) -> bool {
        self.deviation > 0.1 * self.mean.abs() && self.deviation > 0.0
    }

    fn words(&self) -> String {
        let outliers = match self.outliers {
            0 => String::new(),
            n => format!(", {}", units::things(n as u64, "outlier")),
        };
        let criterion = Criterion::parse(&self.pass).ok();
        // One that this version cannot read has its plain numbers.
        let show = |value: f64| match &criterion {
            Some(criterion) => show(criterion, value),
            None => format!("{} {}", short(value), self.unit),
        };
        format!(
            "{}: mean {}, standard deviation {}, {} to {}{outliers}",
            self.criterion,
            show(self.mean),
            show(self.deviation),
            show(self.least),
            show(self.most),
        )
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "criterion": self.criterion,
            "unit": self.unit,
            "values": self.values,
            "mean": self.mean,
            "standard_deviation": self.deviation,
            "min": self.least,
            "max": self.most,
            "outliers": self.outliers,
        })
    }
}

/// Linear between the two nearest; of sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (at - at.floor())
}

/// Four significant digits.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const P99: (&str, &str) = ("seconds", "coordination.time p99 < 1s");
    const RATE: (&str, &str) = ("ratio", "delivery.rate >= 100%");

    #[test]
    fn a_spread_is_that_of_the_sample_and_names_what_lies_apart() {
        let spread = Spread::of("p99", P99, vec![2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((spread.mean, spread.least, spread.most), (5.0, 2.0, 9.0));
        assert!((spread.deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        // Quartiles 4 and 5.5: fences at 1.75 and 7.75.
        assert_eq!(spread.outliers, 1);
        assert!(spread.is_wide());
        assert_eq!(Spread::of("p99", P99, vec![1.0]), None);
        assert!(!Spread::of("rate", RATE, vec![1.0, 1.0, 1.0]).unwrap().is_wide());
    }

    #[test]
    fn a_spread_is_told_in_the_units_of_its_criterion() {
        let words = |asked, values| Spread::of("it", asked, values).unwrap().words();
        assert_eq!(words(P99, vec![0.002, 0.004]), "it: mean 3 ms, standard deviation 1.41 ms, 2 ms to 4 ms");
        assert_eq!(words(RATE, vec![1.0, 1.0]), "it: mean 100 %, standard deviation 0 %, 100 % to 100 %");
        assert!(words(("count", "of a later version"), vec![1.0, 3.0]).contains("mean 2.000 count"));
    }

    #[test]
    fn figures_have_four_digits() {
        assert_eq!(short(0.001_234_56), "0.001235");
        assert_eq!(short(1234.56), "1235");
        assert_eq!(short(0.0), "0");
    }
}
