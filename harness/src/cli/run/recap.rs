//! What several runs came to: a line each, the spread of repeated ones, and one exit code.

use super::one::Ran;
use crate::cli::compare_args::LimitArgs;
use crate::cli::{compare, output};
use crate::exit::ExitCode;
use crate::scenario::Plan;
use reports::compare::{Comparison, Side};
use reports::verdict::{CriterionResult, show};
use reports::{Criterion, Judgement, units};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// So many digits of a hash show a reader which text is meant.
const HASH_SHOWN: usize = 12;

/// What was run: runs that agree in all of it repeat each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    scenario: String,
    /// As given on the command line. Two files with the same text are one scenario, so it tells none apart.
    file: String,
    /// Of the text of the file, and of those that it extends. What the command line changes is the same for all.
    sha256: String,
}

impl What {
    fn of(plan: &Plan) -> Self {
        let facts = plan.scenario_facts();
        Self { scenario: facts.name.clone(), file: facts.file.clone(), sha256: facts.sha256.clone() }
    }

    /// The part that is run, with the name of its scenario in a matrix.
    fn is_same(&self, other: &Self) -> bool {
        (&self.scenario, &self.sha256) == (&other.scenario, &other.sha256)
    }
}

/// A run, with those before it that were INCONCLUSIVE.
pub(super) struct Line {
    what: What,
    /// Of the last one, which counts.
    pub(super) exit: ExitCode,
    pub(super) is_stopped: bool,
    judgement: Option<Judgement>,
    directories: Vec<PathBuf>,
    attempts: u32,
}

impl Line {
    pub(super) fn new(plan: &Plan) -> Self {
        Self::of(What::of(plan))
    }

    fn of(what: What) -> Self {
        Self {
            what,
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

    /// A fleet that is smaller than asked for is another one: `12 of 40 workers`.
    fn smaller(&self) -> Option<String> {
        Some(self.judgement.as_ref()?.variant.smaller?.words())
    }

    /// Whether it repeats `other`.
    fn repeats(&self, other: &Self) -> bool {
        self.what.is_same(&other.what) && self.smaller() == other.smaller()
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
        let of_runs = self.worst();
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

    /// Of all runs. A signal has ended the whole if it left some of them out.
    fn worst(&self) -> ExitCode {
        let is_cut = self.lines.len() < self.total && self.lines.iter().any(|line| line.is_stopped);
        let cut = is_cut.then_some(ExitCode::Interrupted);
        ExitCode::worst(self.lines.iter().map(|line| line.exit).chain(cut))
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
            let _ = writeln!(text, "  {:<width$}  {}  {directory}", line.headline(), self.label(line));
        }
        for spreads in self.spreads() {
            let _ = writeln!(text, "\n{}: {}", spreads.label, units::things(spreads.runs as u64, "run"));
            for spread in &spreads.criteria {
                let _ = writeln!(text, "  {}", spread.words());
            }
            if spreads.criteria.iter().any(Spread::is_wide) {
                text.push_str("  some figures differ by more than a tenth between runs: run them again on a quiet host\n");
            }
        }
        let why = match exit {
            ExitCode::Interrupted => "a signal has ended the runs",
            _ => "the worst of all runs",
        };
        let _ = writeln!(text, "\nexit {}: {why}", exit.code());
        text
    }

    fn json(&self, exit: ExitCode, compared: Option<&Comparison>) -> serde_json::Value {
        let runs: Vec<serde_json::Value> = self
            .lines
            .iter()
            .map(|line| {
                serde_json::json!({
                    "scenario": line.what.scenario,
                    "file": line.what.file,
                    "sha256": line.what.sha256,
                    "verdict": line.judgement.as_ref().map(|judgement| judgement.verdict.word()),
                    "exit": line.exit.code(),
                    "run": line.directories.last(),
                    "inconclusive_before": line.directories.iter().take(line.retries() as usize).collect::<Vec<_>>(),
                    "judgement": line.judgement,
                })
            })
            .collect();
        let spreads: serde_json::Map<String, serde_json::Value> = self
            .spreads()
            .into_iter()
            .map(|spreads| (spreads.label, spreads.criteria.iter().map(Spread::json).collect()))
            .collect();
        let mut whole = serde_json::json!({ "planned": self.total, "exit": exit.code(), "runs": runs, "spread": spreads });
        if let Some(found) = compared {
            whole["comparison"] = serde_json::json!(found);
        }
        whole
    }

    /// Runs of the same, in the order in which each was first run.
    fn groups(&self) -> Vec<Vec<&Line>> {
        let mut groups: Vec<Vec<&Line>> = Vec::new();
        for line in &self.lines {
            match groups.iter_mut().find(|group| group[0].repeats(line)) {
                Some(group) => group.push(line),
                None => groups.push(vec![line]),
            }
        }
        groups
    }

    /// What readers call what was run: the scenario's name, and as much besides as tells it from all others of this name.
    fn label(&self, line: &Line) -> String {
        let file = |line: &Line| format!("{} ({})", line.what.scenario, line.what.file);
        let hash = |line: &Line| {
            let hash: String = line.what.sha256.chars().take(HASH_SHOWN).collect();
            format!("{} ({}, SHA-256 {hash})", line.what.scenario, line.what.file)
        };
        let forms: [&dyn Fn(&Line) -> String; 3] = [&|line| line.what.scenario.clone(), &file, &hash];
        let differs = |other: &&Line| !other.what.is_same(&line.what);
        let tells = |form: &&&dyn Fn(&Line) -> String| {
            !self.lines.iter().filter(differs).any(|other| form(other) == form(line))
        };
        let label = forms.iter().find(tells).map_or_else(|| hash(line), |form| form(line));
        line.smaller().map_or_else(|| label.clone(), |smaller| format!("{label}, {smaller}"))
    }

    /// Of what was run more than once.
    fn spreads(&self) -> Vec<Spreads> {
        let spreads = |group: Vec<&Line>| {
            let judgements: Vec<&Judgement> =
                group.iter().filter_map(|line| line.judgement.as_ref()).collect();
            (judgements.len() > 1).then(|| Spreads::of(self.label(group[0]), &judgements))
        };
        self.groups().into_iter().filter_map(spreads).collect()
    }
}

struct Spreads {
    label: String,
    runs: usize,
    criteria: Vec<Spread>,
}

/// What makes two criteria of two runs the same one: a name alone may stand for another question.
fn identity(found: &CriterionResult) -> (&str, &str, &str) {
    (&found.name, &found.pass, &found.unit)
}

impl Spreads {
    fn of(label: String, judgements: &[&Judgement]) -> Self {
        let results = || judgements.iter().flat_map(|judgement| &judgement.criteria);
        let mut seen = BTreeSet::new();
        let first = results().filter(|found| seen.insert(identity(found)));
        let criteria = first.filter_map(|first| {
            let same = results().filter(|found| identity(found) == identity(first));
            Spread::of(
                &first.name,
                (&first.unit, &first.pass),
                same.filter_map(|found| found.value).collect(),
            )
        });
        Self { label, runs: judgements.len(), criteria: criteria.collect() }
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
            "pass": self.pass,
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
mod tests;
