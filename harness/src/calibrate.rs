//! How often the criteria of a scenario notice a defect, and how often they cry wolf.
//!
//! Runs of the scenario are made up by the hundred ([`crate::synthetic`]), with the noise that real fleets have: clean ones in
//! several shapes, and ones with a defect that makes the figure of one criterion half its limit, the limit, and twice the limit. The
//! judge says what it thinks of each, and this counts.
//!
//! Deterministic: every run has a seed of its own, drawn from the one that is given. A simulated fleet reports at most
//! [`Question::processes`] processes and [`SWEEPS_MAX`] sweeps, so that a day of five hundred takes a fraction of a second.

mod clean;
mod defect;
mod noise;
mod tally;

use crate::scenario::seed;
use crate::synthetic::Synthetic;
use reports::Judgement;
use reports::criterion::CriterionPair;
use reports::runlog::event::{CriterionSpec, Header};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tally::{Notes, Tally};

pub use clean::Shape;
pub use defect::Defect;
pub use tally::{Count, Fired};

/// More would change nothing: trends look at medians of minutes.
const SWEEPS_MAX: u64 = 1_440;
/// What a defect makes of the figure of its criterion, as a share of the limit.
pub const SIZES: [f64; 3] = [0.5, 1.0, 2.0];
/// Clean runs of a shape that must PASS.
const CLEAN_PASS_MIN: f64 = 0.99;

/// What is to be found out.
#[derive(Debug, Clone)]
pub struct Question {
    /// As the harness writes it for the scenario's plan.
    pub header: Header,
    /// Of each kind.
    pub runs: u64,
    pub seed: u64,
    /// Processes that a sweep shows.
    pub processes: usize,
}

/// What clean runs of a shape were judged to be.
#[derive(Debug, Clone)]
pub struct Clean {
    pub shape: Shape,
    pub verdicts: Count,
    /// Criteria and checks that did not pass, and in how many runs.
    pub fired: Vec<Fired>,
}

/// What runs with a defect were judged to be, by the criterion that it is of.
#[derive(Debug, Clone)]
pub struct Found {
    pub criterion: String,
    pub pass: String,
    pub defect: Defect,
    /// For each of [`SIZES`].
    pub verdicts: [Count; 3],
    /// What the criterion said of runs with twice the limit that it did not fail.
    pub missed: Vec<Fired>,
    /// Other criteria and checks that failed, and in how many runs. Not those that are about the same fact.
    pub fired: Vec<Fired>,
}

/// Names of criteria, and why they are not tried.
pub type LeftOut = Vec<(String, &'static str)>;

#[derive(Debug, Clone)]
pub struct Calibration {
    pub clean: Vec<Clean>,
    pub found: Vec<Found>,
    /// Criteria that no defect was made up for, and why.
    pub left_out: LeftOut,
}

impl Clean {
    /// Never FAIL; and where the shape does not excuse it, as often PASS as may come from a share of 99 %.
    pub fn holds(&self) -> bool {
        self.verdicts.fail == 0 && (self.verdicts.passed().high >= CLEAN_PASS_MIN || self.shape.may_be_open())
    }
}

impl Found {
    /// Twice the limit always fails, and nothing else does.
    pub fn holds(&self) -> bool {
        let [.., twice] = self.verdicts;
        twice.fail == twice.all() && self.fired.is_empty()
    }
}

impl Calibration {
    /// Whether every row is at its bar, and there is one of a defect.
    pub fn holds(&self) -> bool {
        let passed = self.clean_passed();
        !self.found.is_empty()
            && passed.pass as f64 >= CLEAN_PASS_MIN * passed.all() as f64
            && self.clean.iter().all(Clean::holds)
            && self.found.iter().all(Found::holds)
    }

    /// All clean runs of the shapes that should PASS.
    pub fn clean_passed(&self) -> Count {
        let all = self.clean.iter().filter(|row| !row.shape.may_be_open());
        all.fold(Count::default(), |sum, row| sum.plus(row.verdicts))
    }
}

/// One kind of run: what is made up, and what it is counted for.
#[derive(Debug, Clone)]
enum Job {
    Clean(Shape),
    /// Of the criterion with this number, in this size.
    Defect(usize, Defect, usize),
}

/// Makes the runs up and judges them, on as many threads as the host has processors.
pub fn calibrate(question: &Question) -> Calibration {
    let header = simulated(&question.header);
    let (planned, left_out) = defects(&header.criteria);
    let jobs = jobs(&planned);
    let runs: Vec<(usize, u64)> =
        (0..jobs.len()).flat_map(|job| (0..question.runs).map(move |run| (job, run))).collect();
    let next = AtomicUsize::new(0);
    let tallies: Mutex<Vec<Tally>> = Mutex::new(vec![Tally::default(); jobs.len()]);
    let work = || {
        while let Some((number, run)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (job, seed) =
                (&jobs[*number], seed::child(question.seed, &format!("calibrate/{number}/{run}")));
            let judgement = judge(job, &header, seed, question.processes);
            let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies[*number].add(*run, job, &judgement, &header.criteria);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    table(&header.criteria, &planned, tallies, left_out)
}

/// How many runs that takes.
pub fn runs(question: &Question) -> u64 {
    jobs(&defects(&question.header.criteria).0).len() as u64 * question.runs
}

fn jobs(planned: &[(usize, Defect)]) -> Vec<Job> {
    let clean = Shape::ALL.into_iter().map(Job::Clean);
    let sizes = |(number, defect)| (0..SIZES.len()).map(move |size| Job::Defect(number, defect, size));
    clean.chain(planned.iter().flat_map(|planned| sizes(*planned))).collect()
}

/// The scenario's own header, with no more sweeps than it takes.
fn simulated(header: &Header) -> Header {
    let mut header = header.clone();
    let plan = &mut header.plan;
    let least_ns = plan.duration_ns / SWEEPS_MAX;
    plan.sample_every_ns = plan.sample_every_ns.max(least_ns);
    if plan.pss_every_ns > 0 {
        // Every sweep, or every n-th.
        plan.pss_every_ns = plan.pss_every_ns.div_ceil(plan.sample_every_ns) * plan.sample_every_ns;
    }
    header
}

/// The defect of each criterion, and what has none.
fn defects(criteria: &[CriterionSpec]) -> (Vec<(usize, Defect)>, LeftOut) {
    let (mut planned, mut left_out) = (Vec::new(), Vec::new());
    for (number, spec) in criteria.iter().enumerate().filter(|(_, spec)| !spec.informational) {
        let pair = CriterionPair::parse(&spec.pass, spec.conditional.as_deref());
        let found = pair.map_err(|_| "it cannot be read").and_then(|pair| Defect::of(&pair));
        match found {
            Ok(defect) => planned.push((number, defect)),
            Err(why) => left_out.push((spec.name.clone(), why)),
        }
    }
    (planned, left_out)
}

fn judge(job: &Job, header: &Header, seed: u64, processes: usize) -> Judgement {
    let mut run = Synthetic::of_some(header.clone(), processes);
    match job {
        Job::Clean(shape) => clean::lay(&mut run, *shape, seed),
        Job::Defect(_, defect, size) => {
            clean::lay(&mut run, Shape::Level, seed);
            defect::lay(&mut run, *defect, SIZES[*size], seed);
        }
    }
    run.judge_as_it_is()
}

fn table(
    criteria: &[CriterionSpec],
    planned: &[(usize, Defect)],
    mut tallies: Vec<Tally>,
    left_out: LeftOut,
) -> Calibration {
    let of_defects = tallies.split_off(Shape::ALL.len());
    let clean = Shape::ALL
        .into_iter()
        .zip(tallies)
        .map(|(shape, tally)| Clean { shape, verdicts: tally.verdicts, fired: tally.fired.list() })
        .collect();
    let found = planned
        .iter()
        .zip(of_defects.chunks(SIZES.len()))
        .map(|((number, defect), tallies)| {
            let mut fired = Notes::default();
            for tally in tallies {
                fired.merge(&tally.fired);
            }
            let spec = &criteria[*number];
            Found {
                criterion: spec.name.clone(),
                pass: spec.pass.clone(),
                defect: *defect,
                verdicts: std::array::from_fn(|size| tallies[size].verdicts),
                missed: tallies.last().map(|twice| twice.missed.list()).unwrap_or_default(),
                fired: fired.list(),
            }
        })
        .collect();
    Calibration { clean, found, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
    use crate::synthetic;

    fn question(text: &str, runs: u64) -> Question {
        let scenario = Scenario::parse(&Source::new("x.toml", text), &Selection::default()).unwrap();
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 0, rehearsal: None });
        Question { header: synthetic::header_of(&plan), runs, seed: 1, processes: 24 }
    }

    fn holds(text: &str, runs: u64) {
        let found = calibrate(&question(text, runs));
        let clean: Vec<_> = found.clean.iter().filter(|row| !row.holds()).collect();
        let defects: Vec<_> = found.found.iter().filter(|row| !row.holds()).collect();
        assert!(clean.is_empty() && defects.is_empty(), "{clean:#?} {defects:#?}");
        assert!(found.left_out.is_empty(), "{:?}", found.left_out);
    }

    #[test]
    fn every_defect_of_twice_its_limit_is_found_in_eight_hours() {
        holds(include_str!("../../scenarios/sprint0-8h.toml"), 3);
    }

    #[test]
    fn every_defect_of_twice_its_limit_is_found_in_a_day() {
        holds(include_str!("../../scenarios/gate1-24h.toml"), 1);
    }

    #[test]
    fn a_scenario_of_which_nothing_can_be_tried_does_not_hold() {
        let text = include_str!("../../scenarios/smoke.toml");
        let (head, _) = text.split_once("[[criterion]]").unwrap();
        let text = format!("{head}[[criterion]]\nname = \"x\"\npass = \"shm.used max < 1GiB\"\n");
        let found = calibrate(&question(&text, 1));
        assert_eq!((found.found.len(), found.left_out.len()), (0, 1));
        assert!(!found.holds());
    }

    /// With limits far beyond what is asked, there is nothing to find: the bar can be missed.
    #[test]
    fn a_criterion_that_the_run_cannot_decide_misses_its_bar() {
        let text = include_str!("../../scenarios/sprint0-8h.toml")
            .replace("duration = \"8h\"", "duration = \"20m\"");
        let found = calibrate(&question(&text, 1));
        let missed: Vec<&str> =
            found.found.iter().filter(|row| !row.holds()).map(|row| row.criterion.as_str()).collect();
        assert!(missed.contains(&"memory-slope") && missed.contains(&"coordination"), "{missed:?}");
        assert!(!missed.contains(&"exactly-once"), "{missed:?}");
        assert!(!found.holds());
    }

    #[test]
    fn the_same_seed_finds_the_same() {
        let text = include_str!("../../scenarios/sprint0-8h.toml")
            .replace("duration = \"8h\"", "duration = \"70m\"");
        let count = || {
            let found = calibrate(&question(&text, 2));
            format!("{:?} {:?}", found.clean, found.found)
        };
        assert_eq!(count(), count());
    }
}
