//! What a swarm shows: its calendars before it runs, and what came of them.

use super::{Run, Shrunk, Swarm};
use crate::cli::output;
use crate::exit::ExitCode;
use crate::scenario::swarm::{Drawn, Step};
use reports::units;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What would be run.
pub(super) fn plan(swarm: &Swarm<'_>, calendars: &[(u64, Vec<Drawn>)]) -> ExitCode {
    let text = if swarm.args.json {
        let runs: Vec<Value> = calendars
            .iter()
            .map(|(seed, faults)| json!({ "seed": seed, "faults": faults.iter().map(fault).collect::<Vec<_>>() }))
            .collect();
        let value = json!({ "scenario": swarm.base.name(), "impossible": impossible(swarm), "runs": runs });
        format!("{value:#}\n")
    } else {
        let mut text = left_out(swarm);
        for (seed, faults) in calendars {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "seed {seed}");
            lines(faults, &mut text);
        }
        text
    };
    output::data(&text).err().unwrap_or(ExitCode::Pass)
}

/// What came of the runs; the exit code is that of the worst of them. Tries of the shrinking are not counted: they fail on purpose.
pub(super) fn show(swarm: &Swarm<'_>, shrunk: Option<&Shrunk>) -> ExitCode {
    let first = swarm.of_seeds;
    let of_seeds = ExitCode::worst(swarm.runs[..first].iter().map(|run| run.exit));
    let stopped = swarm.runs.last().map(|run| run.exit).filter(|exit| super::is_final(*exit));
    let exit = ExitCode::worst([Some(of_seeds), stopped].into_iter().flatten());
    let text = if swarm.args.json {
        format!("{:#}\n", as_json(swarm, first, shrunk, exit))
    } else {
        as_text(swarm, first, shrunk, exit)
    };
    let shown = output::verdict(&text);
    if exit == ExitCode::Pass { shown.err().unwrap_or(exit) } else { exit }
}

fn fault(fault: &Drawn) -> Value {
    json!({
        "name": fault.name(),
        "kind": fault.kind.name(),
        "count": fault.count,
        "at_ms": fault.at_ms,
        "for_ms": fault.for_ms,
        "table": fault.table(),
    })
}

fn impossible(swarm: &Swarm<'_>) -> Vec<Value> {
    swarm.possible.not.iter().map(|(kind, why)| json!({ "kind": kind.name(), "why": why })).collect()
}

fn run(run: &Run) -> Value {
    json!({
        "seed": run.seed,
        "faults": run.faults.iter().map(fault).collect::<Vec<_>>(),
        "headline": run.headline,
        "exit_code": run.exit.code(),
        "directory": run.directory.as_ref().map(|path| path.display().to_string()),
    })
}

fn step(step: &Step) -> Value {
    let names: Vec<&str> = step.faults.iter().map(Drawn::name).collect();
    json!({ "faults": names, "tried": step.tally.tried, "failed": step.tally.failed })
}

fn as_json(swarm: &Swarm<'_>, first: usize, shrunk: Option<&Shrunk>, exit: ExitCode) -> Value {
    let found = shrunk.map(|shrunk| {
        json!({
            "seed": shrunk.seed,
            "faults_before": shrunk.before,
            "faults": shrunk.left.iter().map(fault).collect::<Vec<_>>(),
            "tried": shrunk.tally.tried,
            "failed": shrunk.tally.failed,
            "steps": shrunk.steps.iter().map(step).collect::<Vec<_>>(),
            "scenario": shrunk.file.display().to_string(),
            "command": shrunk.command,
        })
    });
    json!({
        "scenario": swarm.base.name(),
        "impossible": impossible(swarm),
        "runs": swarm.runs[..first].iter().map(run).collect::<Vec<_>>(),
        "tries": swarm.runs[first..].iter().map(run).collect::<Vec<_>>(),
        "shrunk": found,
        "exit_code": exit.code(),
    })
}

fn as_text(swarm: &Swarm<'_>, first: usize, shrunk: Option<&Shrunk>, exit: ExitCode) -> String {
    let mut text = left_out(swarm);
    // Writing to a String cannot fail.
    for run in &swarm.runs[..first] {
        let directory = run.directory.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let _ = writeln!(text, "seed {:<20} {}  {directory}", run.seed, run.headline);
    }
    if let Some(shrunk) = shrunk {
        let (left, steps) = (shrunk.left.len(), shrunk.steps.len());
        let _ = writeln!(
            text,
            "\nseed {} fails with {left} of its {} (failed {} of {}; {} tried)",
            shrunk.seed,
            units::things(shrunk.before as u64, "fault"),
            shrunk.tally.failed,
            units::things(shrunk.tally.tried.into(), "time"),
            units::things(steps as u64, "list")
        );
        if shrunk.left.is_empty() {
            text.push_str("  the scenario fails without any of them\n");
        }
        lines(&shrunk.left, &mut text);
        let _ = writeln!(text, "to repeat it: {}", shrunk.command);
    }
    let _ = writeln!(text, "\nexit {}: the worst of all seeds", exit.code());
    text
}

fn lines(faults: &[Drawn], text: &mut String) {
    for fault in faults {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", fault.words());
    }
}

fn left_out(swarm: &Swarm<'_>) -> String {
    let one = |(kind, why): &(reports::runlog::event::FaultKind, String)| {
        format!("not drawn here: {} ({why})\n", kind.name())
    };
    swarm.possible.not.iter().map(one).collect()
}
