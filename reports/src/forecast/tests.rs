//! Forecasts of runs whose growth is known.

use super::fitted::{Fitted, Range};
use super::*;
use crate::criterion::Unit;
use crate::stats::Growth;

const SIZES: [u32; 6] = [102, 183, 264, 345, 426, 507];

/// Three runs of each size, a little apart.
fn runs(of: impl Fn(f64) -> f64) -> Vec<(u32, f64)> {
    let near = [0.995, 1.0, 1.005];
    SIZES.iter().flat_map(|agents| near.map(|near| (*agents, of(f64::from(*agents)) * near))).collect()
}

fn fitted(growth: Option<Growth>, runs: Vec<(u32, f64)>, held: Vec<(u32, f64)>) -> Fitted {
    let range = Range { predict: &[500, 708, 2_000], least: 102, largest: 507 };
    Fitted::new(("a figure", Unit::Count), growth, (runs, held), range)
}

fn usl(size: f64) -> f64 {
    40.0 * size / (1.0 + 0.01 * (size - 1.0) + 2e-5 * size * (size - 1.0))
}

fn all_numbers(fitted: &Fitted) -> Vec<f64> {
    let runs =
        fitted.models.iter().flat_map(|model| model.expected.iter().filter_map(|expected| expected.run));
    runs.flat_map(|run| [run.value, run.interval.low, run.interval.high]).collect()
}

#[test]
fn a_law_that_holds_is_found_and_what_it_predicts_comes_out() {
    let held = vec![(708, usl(708.0)), (2_000, usl(2_000.0)), (2_000, usl(2_000.0) * 1.01)];
    let found = fitted(Some(Growth::Throughput), runs(usl), held);
    assert_eq!(found.models[0].name, "law", "{:?}", found.models);
    assert!(found.held.len() == 2 && found.held.iter().all(|held| held.inside), "{:?}", found.held);
    let beyond: Vec<bool> =
        found.models[0].expected.iter().map(|expected| expected.is_extrapolated).collect();
    assert_eq!(beyond, [false, true, true]);
    let peak = found.models[0].peak.unwrap();
    assert!((peak / (0.99_f64 / 2e-5).sqrt() - 1.0).abs() < 0.1, "{peak}");
}

#[test]
fn growth_that_breaks_off_beyond_what_was_measured_is_outside() {
    let found = fitted(Some(Growth::Throughput), runs(usl), vec![(708, usl(708.0) / 2.0)]);
    assert_eq!(found.held.iter().map(|held| held.inside).collect::<Vec<_>>(), [false]);
}

#[test]
fn a_line_predicts_better_than_the_law_what_grows_in_a_line() {
    let line = |size: f64| 3e6 + 9e4 * size;
    let found = fitted(None, runs(line), vec![(2_000, line(2_000.0))]);
    assert!(found.models.len() == 1 && found.held[0].inside, "{found:?}");
    let each = &found.models[0].parameters[1];
    assert!((each.value / 9e4 - 1.0).abs() < 0.05, "{each:?}");
}

#[test]
fn odd_values_have_a_clear_answer_and_no_nan() {
    let steady = |_: f64| 7.0;
    let shrinking = |size: f64| 1e3 - size;
    for of in [&steady as &dyn Fn(f64) -> f64, &shrinking, &|_| 0.0, &|size| size * 1e-9, &|size| {
        size * size * 1e12
    }] {
        for growth in [Some(Growth::Throughput), Some(Growth::Time), None] {
            let found = fitted(growth, runs(of), vec![(708, of(708.0))]);
            assert!(!found.models.is_empty() || !found.notes.is_empty(), "{found:?}");
            let numbers = all_numbers(&found);
            assert!(
                numbers.iter().all(|number| !number.is_nan() && *number >= 0.0),
                "{growth:?}: {numbers:?}"
            );
        }
    }
    let zero = fitted(Some(Growth::Throughput), runs(|_| 0.0), Vec::new());
    assert!(zero.notes.iter().any(|note| note.contains("the value 0")), "{:?}", zero.notes);
    assert!(zero.models.iter().all(|model| model.name == "line"));
}

#[test]
fn one_run_far_from_the_others_is_named_and_makes_intervals_wider() {
    let mut disturbed = runs(usl);
    disturbed[7].1 /= 2.0;
    let (calm, disturbed) = (
        fitted(Some(Growth::Throughput), runs(usl), vec![]),
        fitted(Some(Growth::Throughput), disturbed, vec![]),
    );
    assert!(calm.notes.is_empty(), "{:?}", calm.notes);
    assert!(disturbed.notes.iter().any(|note| note.contains("a run of 264 agents")), "{:?}", disturbed.notes);
    let width = |fitted: &Fitted| {
        let law = fitted.models.iter().find(|model| model.name == "law").unwrap();
        let run = law.expected[0].run.unwrap();
        run.interval.high - run.interval.low
    };
    assert!(width(&disturbed) > 2.0 * width(&calm));
}

#[test]
fn too_few_sizes_and_runs_are_named_together() {
    let sizes: Vec<Measured> = [(102, 3), (203, 2), (304, 1)]
        .map(|(agents, runs)| Measured { agents, coordinators: 1, runs })
        .to_vec();
    let said = missing(&sizes).unwrap_err().to_string();
    for part in ["3 more sizes", "1 more run of 203 agents", "2 more runs of 304 agents"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_these_runs_do_not_reach_is_refused() {
    let asked = Asked { predict: vec![2_029], fit_up_to: None };
    assert!(matches!(asked.sizes(507, 2_028, &[]), Err(ForecastError::OutOfReach { agents: 2_029, .. })));
    let usual = Asked::default().sizes(507, 2_028, &[]).unwrap();
    assert_eq!(usual, [500, 507, 600, 708, 750, 1_000, 1_014, 2_000, 2_028]);
}

/// A resource of which the host has `has`, for a fleet whose need is `runs`.
fn resource(name: &str, runs: Vec<(u32, f64)>, has: f64) -> Resource {
    limits::resource(name, &fitted(None, runs, Vec::new()), has, 2_028)
}

#[test]
fn a_resource_that_may_run_out_is_said_to_although_the_model_says_that_it_lasts() {
    let mut noisy = runs(|size| 100.0 * size);
    for (at, run) in noisy.iter_mut().enumerate() {
        run.1 *= if at % 3 == 0 { 0.8 } else { 1.1 };
    }
    let need = |of: &Resource| of.at_reach.unwrap();
    let far = resource("memory", noisy.clone(), 1e9);
    assert_eq!(far.ends, None);
    // Between what the largest fleet needs and what it may need.
    let open = resource("memory", noisy, f64::midpoint(need(&far).value, need(&far).interval.high));
    let ends = open.ends.unwrap();
    assert!(ends.agents.is_none() && ends.high.is_none() && ends.low < 2_028, "{ends:?}");
    let said = limits::first(std::slice::from_ref(&open), 2_028);
    assert!(said.contains(&format!("memory may, from {} agents on", ends.low)), "{said}");
    // One that is expected to end later than the other may.
    let sure = resource("threads", runs(|size| 10.0 * size), 10.0 * 2_000.0);
    assert!(sure.ends.unwrap().low > ends.low, "{sure:?}");
    let said = limits::first(&[sure.clone(), open.clone()], 2_028);
    assert!(said.starts_with("First to run out is threads: at "), "{said}");
    assert!(
        said.ends_with(&format!("Before it, memory may run out, from {} agents on.", ends.low)),
        "{said}"
    );
    let mut found = forecast(Vec::new());
    found.resources = vec![open, sure];
    for text in [crate::render::forecast::text(&found), crate::render::forecast::html(&found)] {
        assert!(text.contains(&format!("may end from {} agents on", ends.low)), "{text}");
    }
}

/// Of these figures, with nothing else in it.
fn forecast(figures: Vec<Fitted>) -> Forecast {
    Forecast {
        version: FORECAST_VERSION,
        scenario: "capacity".into(),
        commits: Vec::new(),
        machine: String::new(),
        fingerprint: String::new(),
        cpu_model: String::new(),
        cpus: 1,
        sizes: Vec::new(),
        largest: 507,
        reach: 2_028,
        warnings: Vec::new(),
        figures,
        resources: Vec::new(),
        first: String::new(),
        holds: None,
        open: 0,
    }
}

#[test]
fn a_figure_without_a_model_has_no_table() {
    let bare = fitted(Some(Growth::Time), vec![(102, f64::NAN)], Vec::new());
    assert!(bare.models.is_empty(), "{bare:?}");
    let found = forecast(vec![bare]);
    let text = crate::render::forecast::text(&found);
    assert!(!text.lines().any(|line| line.trim() == "agents"), "{text}");
    let markdown = crate::render::forecast::markdown(&found);
    assert!(!markdown.contains("| agents |"), "{markdown}");
    let html = crate::render::forecast::html(&found);
    assert_eq!(html.matches("<table>").count(), 2, "those of resources and of sizes: {html}");
}

#[test]
fn a_table_has_a_head_and_cells_apart_in_every_format() {
    let found = forecast(vec![fitted(Some(Growth::Throughput), runs(|size| usl(size) * 1e12), Vec::new())]);
    let text = crate::render::forecast::text(&found);
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with("agents"));
    let head = lines.next().unwrap();
    let at: Vec<usize> =
        found.figures[0].models.iter().map(|model| head.find(model.title()).unwrap()).collect();
    for row in lines.take(3) {
        let cells: Vec<char> = row.chars().collect();
        for at in &at {
            assert_eq!(cells[at - 2..*at], [' ', ' '], "{text}");
            assert!(cells[*at].is_ascii_digit(), "{text}");
        }
    }
    let html = crate::render::forecast::html(&found);
    assert!(html.contains("<thead><tr><th scope=\"col\">agents</th>"), "{html}");
    assert_eq!(html.matches("docs/capacity.md").count(), 1);
}
