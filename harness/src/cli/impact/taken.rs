//! From directories to the runs of an analysis, each with its cell and its block.

use super::{design, listing};
use crate::cli::compare::sides;
use crate::cli::impact_args::ImpactArgs;
use crate::cli::output;
use crate::exit::ExitCode;
use reports::compare::{RunFigures, Side, Terms};
use reports::impact::{Cell, Design, ImpactRun, Missing, Ordered, Over};
use reports::summary::Summary;
use std::collections::BTreeMap;
use std::path::Path;

/// What there is to analyse.
pub(super) struct Taken {
    pub design: Design,
    pub runs: Vec<ImpactRun>,
    pub missing: Vec<Missing>,
}

impl Taken {
    pub(super) fn new(design: Design) -> Self {
        Self { design, runs: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn miss(&mut self, (block, cell): (u32, Cell), why: String) {
        self.missing.push(Missing { run: format!("{}, block {block}", self.design.name_of(cell)), why });
    }

    /// A run, or that it is missing. What is not a run at all is an error, which has been explained.
    fn take(&mut self, run: &Path, at: (u32, Cell)) -> Result<(), ExitCode> {
        let mut side = Side::new("these runs");
        let mut summaries = Vec::new();
        sides::take(run, &mut side, &mut summaries)?;
        if let (Some(figures), Some(summary)) = (side.runs.first(), summaries.first()) {
            self.judge(&run.display().to_string(), at, figures, summary);
        } else {
            let why = side.left_out.first().map_or("it holds no run", |left| left.why.as_str());
            self.miss(at, format!("{}: {why}", run.display()));
        }
        Ok(())
    }

    fn judge(&mut self, name: &str, at: (u32, Cell), run: &(Terms, RunFigures), summary: &Summary) {
        match ImpactRun::of(name, at, run, summary) {
            Ok(run) => self.runs.push(run),
            Err(why) => self.miss(at, why),
        }
    }
}

/// The runs of a directory that this verb has made.
pub(super) fn listed(directory: &Path) -> Result<Taken, ExitCode> {
    let (ordered, design, over) = listing::read(directory)?;
    of(directory, &ordered, design, &over)
}

/// As [`listed`], of what has been read.
pub(super) fn of(
    directory: &Path,
    ordered: &Ordered,
    design: Design,
    over: &[Over],
) -> Result<Taken, ExitCode> {
    let mut taken = Taken::new(design);
    for run in over {
        let at = (run.block, run.cell);
        match &run.run {
            Some(path) => taken.take(&directory.join(path), at)?,
            None => taken.miss(at, run.said.clone()),
        }
    }
    let cells: Vec<Cell> = taken.design.cells().collect();
    for at in (1..=ordered.runs).flat_map(|block| cells.iter().map(move |cell| (block, *cell))) {
        if !over.iter().any(|run| (run.block, run.cell) == at) {
            taken.miss(
                at,
                format!("it was not made; `harness impact --resume {}` makes it", directory.display()),
            );
        }
    }
    Ok(taken)
}

/// Those that the command line names.
pub(super) fn named(args: &ImpactArgs) -> Result<Taken, ExitCode> {
    if let Some(directory) = args.from.iter().find(|directory| listing::is_in(directory)) {
        let refuse = |message: String| {
            output::error(&message, Some("name its directory alone"));
            Err(ExitCode::Usage)
        };
        if args.from.len() > 1 {
            return refuse(format!("`{}` is an analysis of its own", directory.display()));
        }
        if !args.factors.is_empty() {
            return refuse(format!("`{}` says which factors its runs have", directory.display()));
        }
        return listed(directory);
    }
    let mut taken = Taken::new(design(args)?);
    let (side, summaries) = sides::read("these runs", &args.from)?;
    if side.runs.len() != summaries.len() {
        output::error(
            "a baseline does not hold what an analysis needs of its runs",
            Some("name the runs themselves"),
        );
        return Err(ExitCode::Usage);
    }
    let mut runs: Vec<(&(Terms, RunFigures), &Summary)> = side.runs.iter().zip(&summaries).collect();
    runs.sort_by(|a, b| a.1.identity.started_utc.cmp(&b.1.identity.started_utc));
    // The first runs of all cells are a block, as are the second ones: those that were made about the same time.
    let mut blocks: BTreeMap<Cell, u32> = BTreeMap::new();
    for (run, summary) in runs {
        let name = &run.1.run_id;
        let cell = taken.design.cell_of(&run.0.overrides).map_err(|why| {
            output::error(
                &format!("the run {name} belongs to no cell: {why}"),
                Some("name the factors with --factor"),
            );
            ExitCode::Usage
        })?;
        let block = blocks.entry(cell).or_default();
        *block += 1;
        taken.judge(name, (*block, cell), run, summary);
    }
    for again in &side.again {
        output::warn(&format!("{}: {}", again.run, again.why));
    }
    // Of which cell they are is not known.
    taken
        .missing
        .extend(side.left_out.iter().map(|left| Missing { run: left.run.clone(), why: left.why.clone() }));
    Ok(taken)
}
