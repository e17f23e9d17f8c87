//! `harness compare --interleave OLD NEW SCENARIO`: two programs in turn on this host, in random order, each run in a directory of
//! its own; then the runs are compared.
//!
//! The two of a pair have one seed and follow each other at once, so that the host is as alike for both as it can be. Which
//! of them goes first is drawn anew for each pair. A run that fails is named, and its pair is left out of what is compared in pairs.

use super::{judge, refuse, show, sides};
use crate::cli::compare_args::CompareArgs;
use crate::cli::in_turn::{self, InTurn, Made, Order};
use crate::cli::output;
use crate::exit::ExitCode;
use crate::scenario::seed;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reports::compare::{Pair, Side, agree};
use std::path::{Path, PathBuf};

/// One of the two programs, and its runs.
struct Program<'a> {
    name: &'static str,
    path: &'a Path,
    side: Side,
    /// For each pair, where its run is in the side.
    runs: Vec<Option<usize>>,
}

pub(super) fn interleave(args: &CompareArgs) -> ExitCode {
    output::begin_runs();
    let (Some(scenario), [old, new]) =
        (args.sides.first().filter(|_| args.sides.len() == 1), &args.interleave[..])
    else {
        let hint = "write `harness compare --interleave OLD NEW -n 10 SCENARIO`";
        output::error("--interleave takes two programs and one scenario", Some(hint));
        return ExitCode::Usage;
    };
    let in_turn = match InTurn::begin() {
        Ok(in_turn) => in_turn,
        Err(code) => return code,
    };
    let root = args.variant.seed.unwrap_or_else(rand::random);
    let out = match in_turn::directory(&args.out, root) {
        Ok(out) => out,
        Err(code) => return code,
    };
    output::report(&format!("{} pairs, seed {root}; runs in {}", args.pairs, out.display()));
    let mut turns = Turns { args, scenario, root, out, in_turn };
    let mut programs = [program("old", old), program("new", new)];
    match turns.take(&mut programs) {
        Ok(()) => conclude(&programs, args),
        Err(code) => code,
    }
}

fn program<'a>(name: &'static str, path: &'a Path) -> Program<'a> {
    let side = Side::new(format!("{name} ({})", path.display()));
    Program { name, path, side, runs: Vec::new() }
}

fn conclude(programs: &[Program; 2], args: &CompareArgs) -> ExitCode {
    let [old, new] = programs;
    let pairs: Vec<Pair> =
        old.runs.iter().zip(&new.runs).filter_map(|(old, new)| Some(((*old)?, (*new)?))).collect();
    let sides = [old.side.clone(), new.side.clone()];
    match judge(&sides, Some(&pairs), &args.judge) {
        Ok(found) => show(&found, &args.report, args.json),
        Err(code) => code,
    }
}

struct Turns<'a> {
    args: &'a CompareArgs,
    scenario: &'a Path,
    root: u64,
    out: PathBuf,
    in_turn: InTurn,
}

impl Turns<'_> {
    fn take(&mut self, programs: &mut [Program; 2]) -> Result<(), ExitCode> {
        let mut order = ChaCha8Rng::seed_from_u64(seed::child(self.root, "order"));
        let total = self.args.pairs * 2;
        for pair in 0..self.args.pairs {
            let first = (order.next_u32() & 1) as usize;
            for (turn, at) in [first, 1 - first].into_iter().enumerate() {
                let program = &mut programs[at];
                let number = pair * 2 + turn as u32 + 1;
                output::report(&format!("run {number} of {total}: {} (pair {})", program.name, pair + 1));
                let run = self.one(program, pair)?;
                program.runs.push(run);
            }
            self.hold_together(programs)?;
        }
        Ok(())
    }

    /// Runs that could not be compared are not made to the end first: each program may have a scenario of its own.
    fn hold_together(&self, programs: &[Program; 2]) -> Result<(), ExitCode> {
        let sides = programs.each_ref().map(|program| program.side.clone());
        agree(&sides, self.args.judge.limits().across).map(drop).map_err(|refused| refuse(&refused))
    }

    /// Where the run is in its side, if it can be compared.
    fn one(&mut self, program: &mut Program, pair: u32) -> Result<Option<usize>, ExitCode> {
        let name = format!("{}/{:03}", program.name, pair + 1);
        let Made { status, run } = self.in_turn.make(&Order {
            program: program.path,
            name: &program.path.display().to_string(),
            scenario: self.scenario,
            variant: &self.args.variant,
            sets: Vec::new(),
            seed: seed::child(self.root, &format!("pair {pair}")),
            home: self.out.join(&name),
        })?;
        match run {
            Ok(run) => {
                let taken = sides::take(&run, &mut program.side, &mut Vec::new())?;
                if taken.is_none() {
                    let path = run.display().to_string();
                    let left = program.side.not_counted().find(|left| left.run == path);
                    let why = left.map_or("it holds no run", |left| left.why.as_str());
                    output::warn(&format!("{name} cannot be compared: {why} ({status})"));
                }
                Ok(taken)
            }
            Err(said) => {
                output::warn(&format!("{name} made no run ({status}): {said}"));
                program.side.leave_out(&name, format!("it made no run ({status})"));
                Ok(None)
            }
        }
    }
}
