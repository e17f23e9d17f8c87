//! Several runs on one page: what each was, what each was asked and answered, and the same plot of each beside the others.
//!
//! It decides nothing: whether one is worse than another is what [`super::compare`] is for.

use askama::Template;

use super::html::head;
use super::plot;
use crate::facts::Facts;
use crate::units;
use crate::verdict::{CriterionResult, Judgement};

/// A page of more would be too large to read, and to load.
pub const RUNS_MAX: usize = 8;

/// A run, and where its own report is, as seen from the page.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub judgement: &'a Judgement,
    pub facts: &'a Facts,
    pub report: &'a str,
}

#[derive(Template)]
#[template(path = "side_by_side.html")]
struct Page<'a> {
    runs: &'a [Run<'a>],
    rows: Vec<Row>,
    plots: Vec<Plots>,
}

struct Row {
    label: String,
    /// One for each run; where there is nothing to say, a dash.
    cells: Vec<Cell>,
}

#[derive(Default)]
struct Cell {
    text: String,
    beside: String,
    /// The verdict on it; empty if there is none.
    class: &'static str,
}

struct Plots {
    name: &'static str,
    title: String,
    /// The drawing of each run that has one, with the number of that run.
    drawn: Vec<(usize, String)>,
}

pub fn render(runs: &[Run]) -> String {
    let mut rows = plain(runs);
    rows.extend(criteria(runs));
    super::page(&Page { runs, rows, plots: plots(runs) })
}

/// What any reader wants to know, whatever was asked.
fn plain(runs: &[Run]) -> Vec<Row> {
    let row = |label: &str, cell: fn(&Run) -> (String, String)| {
        let cells = runs.iter().map(|run| {
            let (text, beside) = cell(run);
            Cell { text, beside, class: "" }
        });
        Row { label: label.to_owned(), cells: cells.collect() }
    };
    vec![
        row("started", |run| (head::date(&run.judgement.started_utc), run.judgement.variant.tag())),
        row("what ran", |run| (run.judgement.title().to_owned(), head::subtitle(run.judgement, run.facts))),
        row("build", |run| {
            let build = &run.facts.header.build;
            (format!("{} ({})", build.version, build.git), build.profile.clone())
        }),
        row("tasks answered", |run| {
            let counts = &run.facts.load.counts;
            let delivery = counts.delivery().map_or_else(String::new, units::percent);
            let answered = units::count(counts.answered as f64);
            (format!("{answered} of {}", units::count(counts.tasks as f64)), delivery)
        }),
        row("coordination time", |run| {
            let times = &run.facts.load.coordination;
            let shown = |ns: Option<u64>| ns.map_or_else(|| "—".to_owned(), units::nanos);
            let beside = format!("p50 {}, max {}", shown(times.quantile_ns(0.5)), shown(times.max_ns()));
            (format!("p99 {}", shown(times.supported_quantile_ns(0.99))), beside)
        }),
        row("undeclared incidents", |run| {
            let count = run.facts.exits_unexpected.total + run.facts.incidents.total;
            (units::count(count as f64), String::new())
        }),
    ]
}

/// A row for everything that one of the runs was asked, in the order of asking. Runs that were asked something else under the
/// same name have rows of their own.
fn criteria(runs: &[Run]) -> Vec<Row> {
    let asked = |c: &CriterionResult| (c.name.clone(), c.pass.clone());
    let mut all: Vec<(String, String)> = Vec::new();
    for criterion in runs.iter().flat_map(|run| &run.judgement.criteria) {
        if !all.contains(&asked(criterion)) {
            all.push(asked(criterion));
        }
    }
    let cell = |criterion: &CriterionResult| Cell {
        text: criterion.value_text.clone(),
        beside: criterion.interval_text.clone().unwrap_or_default(),
        class: criterion.word(),
    };
    let of = |wanted: &(String, String), run: &Run| {
        let found = run.judgement.criteria.iter().find(|c| asked(c) == *wanted);
        found.map_or_else(|| Cell { text: "not asked".into(), ..Cell::default() }, cell)
    };
    all.iter()
        .map(|wanted| Row {
            label: format!("{}: {}", wanted.0, wanted.1),
            cells: runs.iter().map(|run| of(wanted, run)).collect(),
        })
        .collect()
}

/// Those that one of the runs has, in the order of its report.
fn plots(runs: &[Run]) -> Vec<Plots> {
    let mut all: Vec<Plots> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        for plot in plot::all(run.facts) {
            let drawn = (number, plot.inline());
            match all.iter_mut().find(|plots| plots.name == plot.name) {
                Some(plots) => plots.drawn.push(drawn),
                None => all.push(Plots { name: plot.name, title: plot.title, drawn: vec![drawn] }),
            }
        }
    }
    all
}
