//! The runs of an analysis: which there are, in which order, and making them.
//!
//! Each block has every cell once, in an order that is drawn anew, so that neither drift of the host nor what a run leaves in its caches
//! falls on one cell. The runs of a block have one seed.

use super::design;
use super::listing;
use super::taken::{self, Taken};
use crate::cli::impact_args::ImpactArgs;
use crate::cli::in_turn::{self, InTurn, Made, Order};
use crate::cli::variant_args::VariantArgs;
use crate::cli::{load, output};
use crate::conduct;
use crate::exit::ExitCode;
use crate::scenario::{Plan, Source, seed};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use reports::impact::{Cell, Design, Ordered, Over};
use reports::units;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// This program: all cells are run by it. The link, not its target: it works even if the file has been replaced meanwhile.
const OWN: &str = "/proc/self/exe";

/// Every run, in the order in which they are made: its block, from 1, and its cell.
fn order(design: &Design, (root, blocks): (u64, u32)) -> Vec<(u32, Cell)> {
    let of_block = |block: u32| {
        let mut cells: Vec<Cell> = design.cells().collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed::child(root, &format!("order of block {block}")));
        cells.shuffle(&mut random);
        cells.into_iter().map(move |cell| (block, cell))
    };
    (1..=blocks).flat_map(of_block).collect()
}

/// The plan of each cell, before any of them is run. What is wrong has been explained.
fn plans(design: &Design, source: &Source, variant: &VariantArgs) -> Result<Vec<Plan>, ExitCode> {
    let plan = |cell| {
        let mut variant = variant.clone();
        variant.sets.extend(design.sets(cell));
        match <[Plan; 1]>::try_from(load::plans_of(source, &variant)?) {
            Ok([plan]) => Ok(plan),
            Err(several) => {
                let message = format!("`{}` stands for {} scenarios", source.name, several.len());
                output::error(&message, Some("choose one of its matrix with --set"));
                Err(ExitCode::Usage)
            }
        }
    };
    let plans = design.cells().map(plan).collect::<Result<Vec<Plan>, ExitCode>>()?;
    for (at, factor) in design.factors().iter().enumerate() {
        if plans[0].does_the_same_as(&plans[1 << at]) {
            let message = format!("`{factor}` changes nothing: this scenario is the same with both values");
            output::error(&message, Some("name a factor that it does not set itself, with --factor"));
            return Err(ExitCode::Usage);
        }
    }
    Ok(plans)
}

/// `--plan`.
pub(super) fn plan(args: &ImpactArgs) -> ExitCode {
    match planned(args) {
        Ok(text) => output::data_only(&text),
        Err(code) => code,
    }
}

fn planned(args: &ImpactArgs) -> Result<String, ExitCode> {
    let design = design(args)?;
    let plans = plans(&design, &source(args)?, &args.variant)?;
    let root = args.variant.seed.unwrap_or_else(rand::random);
    let order = order(&design, (root, args.runs));
    let takes: Duration = order.iter().map(|(_, cell)| plans[*cell as usize].expected_duration()).sum();
    if args.json {
        let cells = design.cells().map(|cell| {
            let sets = design.sets(cell);
            serde_json::json!({ "cell": design.name_of(cell), "sets": sets })
        });
        let runs = order
            .iter()
            .map(|(block, cell)| serde_json::json!({ "block": block, "cell": design.name_of(*cell) }));
        let plan = serde_json::json!({
            "scenario": plans[0].name(),
            "seed": root,
            "factors": design.factors(),
            "cells": cells.collect::<Vec<_>>(),
            "order": runs.collect::<Vec<_>>(),
            "expected_duration_ns": u64::try_from(takes.as_nanos()).unwrap_or(u64::MAX),
        });
        return Ok(format!("{plan:#}\n"));
    }
    let mut text = format!(
        "{}: {} of {}, about {} and {} launches and drains; --seed {root} draws this order\n\ncells\n",
        plans[0].name(),
        units::things(order.len() as u64, "run"),
        units::things(plans.len() as u64, "cell"),
        units::seconds(takes.as_secs_f64()),
        order.len(),
    );
    for cell in design.cells() {
        let sets = design.sets(cell);
        let sets = if sets.is_empty() { "as the scenario has it".to_owned() } else { sets.join(", ") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}: {sets}", design.name_of(cell));
    }
    text.push_str("\norder\n");
    for (number, (block, cell)) in order.iter().enumerate() {
        let _ = writeln!(text, "  {:>3}  block {block}  {}", number + 1, design.name_of(*cell));
    }
    Ok(text)
}

fn source(args: &ImpactArgs) -> Result<Source, ExitCode> {
    // Each run is a program of its own, which reads the file again.
    let scenario = args.scenario.as_deref().filter(|scenario| *scenario != Path::new("-"));
    load::source(scenario.ok_or_else(|| {
        output::error("an analysis needs a scenario in a file", Some("name a scenario file"));
        ExitCode::Usage
    })?)
}

/// What the command line orders; no run is over yet.
fn fresh(args: &ImpactArgs) -> Result<(Ordered, Design, Vec<Over>), ExitCode> {
    let (design, source) = (design(args)?, source(args)?);
    let plans = plans(&design, &source, &args.variant)?;
    let root = args.variant.seed.unwrap_or_else(rand::random);
    let path = Path::new(&source.name);
    let scenario = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let variant = (args.variant.profile.clone(), args.variant.sets.clone());
    let makes = (&*plans[0].scenario_facts().sha256, &*conduct::build().git);
    Ok((Ordered::new(&scenario, makes, variant, (root, args.runs), &design), design, Vec::new()))
}

/// What is left of an analysis; its scenario and this program are those that made the runs so far. That is asked first: of a
/// text that has changed meanwhile, a mistake in it would hide that it has.
fn left(directory: &Path) -> Result<(Ordered, Design, Vec<Over>), ExitCode> {
    let (ordered, design, over) = listing::read(directory)?;
    let source = load::source(&ordered.scenario)?;
    let changed = match () {
        () if source.sha256() != ordered.sha256 => ordered.scenario.display().to_string(),
        () if conduct::build().git != ordered.commit => "this program".to_owned(),
        () => {
            plans(&design, &source, &variant(&ordered))?;
            return Ok((ordered, design, over));
        }
    };
    let message = format!("{changed} has changed since the runs in `{}` were made", directory.display());
    output::error(
        &message,
        Some("go on with what made them, or begin anew: the runs could not be analysed together"),
    );
    Err(ExitCode::Usage)
}

/// What all runs have in common.
fn variant(ordered: &Ordered) -> VariantArgs {
    VariantArgs { profile: ordered.profile.clone(), sets: ordered.sets.clone(), seed: None, rehearse: None }
}

/// Makes the runs, or those that a signal has left to be made, and takes all of them.
pub(super) fn runs(args: &ImpactArgs) -> Result<Taken, ExitCode> {
    output::begin_runs();
    let (ordered, design, mut over) = match &args.resume {
        Some(directory) => left(directory)?,
        None => fresh(args)?,
    };
    let variant = variant(&ordered);
    let mut in_turn = InTurn::begin()?;
    let directory = match &args.resume {
        Some(directory) => directory.clone(),
        None => in_turn::directory(&args.out, ordered.seed)?,
    };
    if args.resume.is_none() {
        listing::begin(&directory, &ordered)?;
    }
    let order = order(&design, (ordered.seed, ordered.runs));
    output::report(&format!("{} runs, seed {}; in {}", order.len(), ordered.seed, directory.display()));
    for (number, (block, cell)) in order.iter().copied().enumerate() {
        if over.iter().any(|run| (run.block, run.cell) == (block, cell)) {
            continue;
        }
        let levels = design.name_of(cell);
        output::report(&format!("run {} of {}: {levels} (block {block})", number + 1, order.len()));
        let made = in_turn.make(&Order {
            program: Path::new(OWN),
            name: "this program",
            scenario: &ordered.scenario,
            variant: &variant,
            sets: design.sets(cell),
            seed: seed::child(ordered.seed, &format!("block {block}")),
            home: home(&directory, block, &design.directory_of(cell)),
        });
        let Made { status, run } = made.inspect_err(|_| {
            output::report(&format!("`harness impact --resume {}` goes on", directory.display()));
        })?;
        if let Err(said) = &run {
            output::warn(&format!("{levels} (block {block}) made no run ({status}): {said}"));
        }
        let said = run.as_ref().err().map_or_else(|| status.to_string(), |said| format!("{status}: {said}"));
        let run = run.ok().map(|run| run.strip_prefix(&directory).map_or(run.clone(), Path::to_owned));
        over.push(Over { block, cell, levels, run, said });
        listing::update(&directory, &over)?;
    }
    taken::of(&directory, &ordered, design, &over)
}

/// A directory that holds nothing yet: what a signal has ended stays where it is.
fn home(directory: &Path, block: u32, cell: &str) -> PathBuf {
    let block = directory.join(format!("{block}"));
    let mut home = block.join(cell);
    let mut attempt = 1;
    while home.exists() {
        attempt += 1;
        home = block.join(format!("{cell}.{attempt}"));
    }
    home
}
