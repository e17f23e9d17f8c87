//! What fleets cost, row by row of the requirements, each beside a reference in the same run:
//!
//!     cargo run --release -p benches --bin fleets -- docs/performance/fleets.md
//!
//! `--only ROW` measures one; `--beyond` looks for the largest fleet that this machine carries.
//! This program is also the coordinator (`fleets coordinator …`), so that it measures itself and no other build.
#![expect(clippy::print_stdout, reason = "a program for people who measure")]

mod faults;
mod fleet;
mod pool;
mod size;

use faults::{completion, disaster, failover};
use pool::pool;
use size::{balance, many, scaling, starts};
use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SELF: &str = "coordinator";

/// A line of the table.
struct Row {
    id: &'static str,
    what: String,
    ours: String,
    beside: String,
    ratio: String,
    bar: &'static str,
}

fn row(id: &'static str, what: &str, ours: String, beside: String, ratio: String, bar: &'static str) -> Row {
    Row { id, what: what.to_owned(), ours, beside, ratio, bar }
}

fn measure(only: Option<&str>, beyond: bool) -> Outcome<Vec<Row>> {
    type Part = (&'static str, fn() -> Outcome<Vec<Row>>);
    let parts: [Part; 8] = [
        ("starts", starts),
        ("scaling", scaling),
        ("balance", balance),
        ("completion", completion),
        ("one", || failover(1)),
        ("three", || failover(3)),
        ("pool", pool),
        ("disaster", disaster),
    ];
    let mut rows = Vec::new();
    for (name, part) in parts {
        if only.is_none_or(|only| only == name) && !(beyond && only.is_none()) {
            rows.extend(part().map_err(|why| format!("{name}: {why}"))?);
        }
    }
    if only.is_none_or(|only| only == "many") {
        rows.extend(many(beyond)?);
    }
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| row | what | ours | beside | ratio | bar |\n|---|---|---|---|---|---|\n");
    for Row { id, what, ours, beside, ratio, bar } in rows {
        let _ = writeln!(text, "| {id} | {what} | {ours} | {beside} | {ratio} | {bar} |");
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == SELF) {
        return ExitCode::from(coordinator::cli::main(std::env::args_os().skip(1), &[SELF]));
    }
    let only = arguments.iter().position(|word| word == "--only").and_then(|at| arguments.get(at + 1));
    let beyond = arguments.iter().any(|word| word == "--beyond");
    let rows = match measure(only.map(String::as_str), beyond) {
        Ok(rows) => rows,
        Err(why) => {
            println!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let text = table(&rows);
    println!("{text}");
    let file = arguments.get(1).filter(|first| !first.starts_with("--"));
    let head = "# Fleets\n\nMade by `cargo run --release -p benches --bin fleets -- docs/performance/fleets.md`.\n\n";
    match file.map(|file| std::fs::write(file, format!("{head}{text}"))) {
        Some(Err(why)) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
