//! `harness plan FILE`: what a run would do and need, without starting anything.

use super::args::PlanArgs;
use super::{load, output};
use crate::exit::ExitCode;
use crate::host::Footprint;
use crate::scenario::unit::{bytes_text, duration_text};
use crate::scenario::{Plan, Step};
use coordinator::config::FleetShape;
use reports::runlog::event::{Arrivals, LoadModel, Topology};
use std::fmt::Write as _;
use std::time::Duration;

pub(super) fn plan(args: &PlanArgs) -> ExitCode {
    let plans = match load::plans(&args.file, &args.variant) {
        Ok(plans) => plans,
        Err(code) => return code,
    };
    let shown = match (&plans[..], args.json) {
        ([plan], true) => format!("{:#}\n", json(plan)),
        (plans, true) => format!("{:#}\n", plans.iter().map(json).collect::<serde_json::Value>()),
        (plans, false) => plans.iter().map(text).collect::<Vec<_>>().join("\n"),
    };
    output::data_only(&shown)
}

fn json(plan: &Plan) -> serde_json::Value {
    let footprint = Footprint::of(plan);
    serde_json::json!({
        "scenario": plan.scenario_facts(),
        "seed": plan.seed(),
        "rehearsal": plan.rehearsal().map(crate::scenario::Rehearsal::factor),
        "plan": plan.facts(),
        "shm_inodes": plan.shape().shm_inodes(),
        "written_bytes": { "log": footprint.log_bytes, "documents": footprint.documents_bytes, "each_round": footprint.round_bytes },
        "expected_duration_ns": u64::try_from(plan.expected_duration().as_nanos()).unwrap_or(u64::MAX),
        "criteria": plan.criteria(),
        "alerts": plan.alerts().words(),
        "undecidable": plan.undecidable().iter().map(|found| &*found.criterion).collect::<Vec<_>>(),
        "notes": load::notes(plan),
    })
}

fn text(plan: &Plan) -> String {
    let mut text = format!("{}\n{}\n\n", plan.name(), plan.asks());
    for (name, value) in rows(plan) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<18}{value}");
    }
    faults(plan, &mut text);
    text.push_str("\ncriteria\n");
    for spec in plan.criteria() {
        let requirement = spec.requirement.as_deref().unwrap_or("-");
        let _ = writeln!(text, "  {:<4}{:<28}{}", requirement, spec.name, spec.pass);
        if let Some(conditional) = &spec.conditional {
            let _ = writeln!(text, "  {:<4}{:<28}{conditional}", "", "  else conditional");
        }
    }
    let notes = load::notes(plan);
    if !notes.is_empty() {
        text.push_str("\nnotes\n");
        for note in notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

/// The calendar; of a storm the first firings.
fn faults(plan: &Plan, text: &mut String) {
    const SHOWN: usize = 12;
    let facts = plan.facts().faults;
    if facts.is_empty() {
        return;
    }
    text.push_str("\nfaults\n");
    for fault in &facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<15} {}", fault.name, fault.words);
        for firing in fault.firings.iter().take(SHOWN) {
            let at = short(Duration::from_nanos(firing.at_ns));
            let _ = writeln!(text, "    {}", format!("{at:<14}{}", targets(&firing.targets)).trim_end());
            if !firing.words.is_empty() {
                let _ = writeln!(text, "    {:<14}{}", "", targets(&firing.words));
            }
        }
        if let Some(more) = fault.firings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(text, "    and {more} more; `--json` lists them all");
        }
    }
}

fn targets(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn rows(plan: &Plan) -> Vec<(&'static str, String)> {
    let (shape, load, sampling) = (plan.shape(), plan.load(), plan.sampling());
    let topology = match plan.topology() {
        Topology::Flat => "flat",
        Topology::Hybrid => "hybrid",
    };
    let mut rows = vec![
        (
            "fleet",
            format!(
                "{topology}: {} × {} workers = {} processes with the supervisor",
                shape.coordinators(),
                shape.workers_per_coordinator(),
                shape.processes()
            ),
        ),
        (
            "shared memory",
            format!(
                "{} ({} bytes) in {} files in a directory of their own",
                bytes_text(shape.shm_bytes()),
                shape.shm_bytes(),
                shm_files(shape)
            ),
        ),
        ("descriptors", format!("{} at most in one process", shape.fds_max())),
        ("workload", plan.mix().words()),
        ("rounds", rounds(plan)),
        (
            "tasks of a round",
            plan.tasks_for_any().map_or_else(
                || "one for every worker".to_owned(),
                |tasks| format!("{tasks}, each for any worker"),
            ),
        ),
        ("task time-out", short(load.task_timeout())),
        (
            "takes",
            format!(
                "{} (warm-up {}, load {}), and launch and drain",
                short(plan.expected_duration()),
                short(load.warm_up()),
                short(load.duration())
            ),
        ),
        (
            "sampling",
            match sampling.pss_every() {
                Some(pss) => format!("every {}, PSS every {}", short(sampling.every()), short(pss)),
                None => format!("every {}, no PSS", short(sampling.every())),
            },
        ),
        ("writes", Footprint::of(plan).words()),
        ("seed", plan.seed().to_string()),
    ];
    rows.extend(size_over_time(plan));
    rows.extend(commands(plan));
    rows.extend(variant(plan));
    rows
}

/// When rounds start.
fn rounds(plan: &Plan) -> String {
    let load = plan.load();
    match (load.model(), load.every()) {
        (LoadModel::Open, Some(every)) => {
            let pace = match load.arrivals() {
                Arrivals::Constant => format!("one every {}", short(every)),
                Arrivals::Poisson => format!("at random (Poisson), one every {} on average", short(every)),
            };
            format!(
                "open loop, {pace}, {} of them; at most {} in flight",
                plan.rounds_planned().unwrap_or(0),
                load.rounds_in_flight_max()
            )
        }
        _ => "closed loop: each begins when the previous one has finished".to_owned(),
    }
}

/// How many stages are listed; the rest are counted.
const STAGES_SHOWN: usize = 12;

/// Where the number of workers, or the pace, changes.
fn size_over_time(plan: &Plan) -> Vec<(&'static str, String)> {
    let coordinators = plan.shape().coordinators();
    let (Some(least), start) = (plan.workers_least(), plan.workers_at_start()) else { return Vec::new() };
    let most = plan.shape().workers_per_coordinator() * coordinators;
    if plan.stages().is_empty() {
        let row = |start, least, most| format!("{start} at the start, {least} to {most} by load");
        let of_coordinators = plan
            .coordinators_least()
            .map(|least| ("coordinators", row(plan.coordinators_at_start(), least, coordinators)));
        return of_coordinators.into_iter().chain([("workers", row(start, least, most))]).collect();
    }
    let mut rows = vec![("workers", format!("{start} at the start, {least} to {most}"))];
    let mut every = plan.load().every();
    for stage in plan.stages().iter().take(STAGES_SHOWN) {
        let over =
            if stage.over().is_zero() { String::new() } else { format!(" over {}", short(stage.over())) };
        let pace = match stage.every().filter(|new| every.replace(*new) != Some(*new)) {
            Some(every) => format!(", one round every {}", short(every)),
            None => String::new(),
        };
        let workers = stage.workers() * coordinators;
        rows.push((
            "stage",
            format!("{} from {}: {workers} workers{over}{pace}", stage.name(), short(stage.at())),
        ));
    }
    if let Some(more) = plan.stages().len().checked_sub(STAGES_SHOWN).filter(|more| *more > 0) {
        rows.push(("stage", format!("and {more} more; `--json` lists them all")));
    }
    rows
}

/// The commands before and after, and what people are told of meanwhile.
fn commands(plan: &Plan) -> impl Iterator<Item = (&'static str, String)> {
    let alerts = plan.alerts().words().into_iter().map(|words| ("alert if", words));
    let named = [("set-up", plan.setup()), ("tear-down", plan.teardown())];
    let row = |when, step: &Step| (when, format!("{}, for at most {}", step.words, short(step.timeout)));
    named
        .into_iter()
        .flat_map(move |(when, steps)| steps.iter().map(move |step| row(when, step)))
        .chain(alerts)
}

/// Which of its variants the file is run in.
fn variant(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !plan.scenario_facts().matrix.is_empty() {
        rows.push(("matrix", plan.scenario_facts().matrix.join(", ")));
    }
    if !plan.scenario_facts().extends.is_empty() {
        rows.push(("extends", plan.scenario_facts().extends.join(", ")));
    }
    if let Some(profile) = &plan.scenario_facts().profile {
        rows.push(("profile", profile.clone()));
    }
    if !plan.scenario_facts().overrides.is_empty() {
        rows.push(("set", plan.scenario_facts().overrides.join(", ")));
    }
    if let Some(rehearsal) = plan.rehearsal() {
        rows.push((
            "rehearsal",
            format!("{rehearsal}: the schedule is compressed, and no gate is satisfied"),
        ));
    }
    rows
}

/// What `ls` shows in the fleet's directory, which takes an inode as well.
fn shm_files(shape: &FleetShape) -> u64 {
    shape.shm_inodes() - 1
}

/// The times of a rehearsal have more digits than a reader wants.
fn short(duration: Duration) -> String {
    let exact = duration_text(duration);
    if exact.split(' ').count() <= 2 { exact } else { reports::units::seconds(duration.as_secs_f64()) }
}
