//! Measures the bus beside its peers: the same work, in the same run, in pairs of processes.
//!
//! A row of a table is one work; every round takes one sample of every peer in turn. A sample forks two processes
//! (`pair`), which do the work (`work`) over the peer (`peers`) and report through pipes. Results are kept sample by
//! sample (`store`), and the documents (`table`, `plot`) are drawn from nothing else.
//!
//! Absent: anything that judges. Bars and aims are with those who read the table.

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

mod batch;
mod catalogue;
mod fan;
mod fleet;
mod link;
mod machine;
mod own;
mod pair;
mod payload;
mod peers;
mod plot;
mod rooms;
mod rounds;
mod rows;
mod shared;
mod store;
mod table;
mod work;

/// Measure the bus beside its peers.
///
///     cargo run --release --manifest-path benches/peers/Cargo.toml --features all-peers
///
/// Writes results.json, peers.md, peers.csv and batching.svg. Peers that are not installed are left out and marked
/// absent; ci/install-peers.sh installs them. Needs two processors that no other program uses.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// Samples of each peer in each row
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only rows whose key begins with one of these; rows measured earlier stay in the documents
    #[arg(long, num_args = 1.., value_name = "ROW")]
    only: Vec<String>,
    /// Two rounds of a tenth of the work: to see whether everything runs
    #[arg(long)]
    quick: bool,
    /// Where the documents go, and where earlier results are taken from
    #[arg(long, default_value = "target/peers", value_name = "DIR")]
    out: PathBuf,
    /// Names the rows and ends
    #[arg(long)]
    list: bool,
    /// Draws the documents from results.json again and measures nothing
    #[arg(long)]
    draw: bool,
}

fn main() -> ExitCode {
    // Our own fleets are started as their users start them: by a program, and here that is this one.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == own::SUPERVISE) {
        return ExitCode::from(coordinator::cli::main(std::env::args_os().skip(1), &[own::SUPERVISE]));
    }
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let all = rows::all();
    let order: Vec<String> = all.iter().map(|row| row.key.clone()).collect();
    if arguments.list {
        for row in &all {
            println!("{:20} {}", row.key, row.title);
        }
        println!("{:20} {}", own::KEY, "our own fleets: start, what they hold, recoveries");
        return Ok(ExitCode::SUCCESS);
    }
    for key in &arguments.only {
        if !order.iter().map(String::as_str).chain([own::KEY]).any(|known| known.starts_with(key.as_str())) {
            bail!("no row's key begins with `{key}`: --list names them");
        }
    }
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("making {}", arguments.out.display()))?;
    let machine = machine::Machine::look()?;
    let (before, now) = (store::Results::load(&arguments.out, &machine)?, store::Results::new(machine));
    if arguments.draw {
        let results = before.context("there is no results.json to draw from")?;
        documents(&results, &arguments.out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if now.machine.processors < 2 {
        bail!("two processors are needed; this process may use {}", now.machine.processors);
    }
    more_descriptors()?;
    let (rows, fleets) = before.map_or_else(Default::default, |before| (before.rows, before.fleets));
    let mut results = store::Results { rows, fleets, ..now };
    let mut absent = Vec::new();
    for (name, who, presence) in rows::presence() {
        match presence {
            Ok(version) => results.versions.insert(name.to_owned(), version),
            Err(why) => {
                eprintln!("{name} is absent: {why}");
                absent.extend(who);
                results.absent.insert(name.to_owned(), why)
            }
        };
    }
    rooms::sweep();
    let rooms = tempfile::Builder::new()
        .prefix(&rooms::prefix())
        .tempdir_in(rooms::SHARED)
        .context("a room in /dev/shm")?;
    let clock = pair::Clock::new();
    let rounds = rounds::Rounds {
        count: if arguments.quick { 2 } else { arguments.rounds.into() },
        fraction: if arguments.quick { 10 } else { 1 },
        absent: &absent,
        rooms: rooms.path(),
        clock: &clock,
    };
    let chosen = |key: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| key.starts_with(only.as_str()))
    };
    let mut failures = BTreeMap::new();
    for row in all.iter().filter(|row| chosen(&row.key)) {
        let measured = rounds.of(row, |line| eprintln!("{line}"));
        for (who, why) in &measured.failed {
            failures.insert(format!("{}, {}", row.key, who.name()), why.clone());
        }
        results.put(measured, &order);
        // after every row: an interrupted run has lost one row
        results.save(&arguments.out)?;
    }
    if chosen(own::KEY) {
        match own::measure(rounds.count, |line| eprintln!("{line}")) {
            Ok(figures) => results.fleets = figures,
            Err(why) => {
                failures.insert(own::KEY.to_owned(), format!("{why:#}"));
            }
        }
    }
    results.lost_ids = lost_ids(rooms.path())?;
    results.save(&arguments.out)?;
    documents(&results, &arguments.out)?;
    println!("{}", arguments.out.join("peers.md").display());
    for (what, why) in &failures {
        eprintln!("failed: {what}: {why}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn documents(results: &store::Results, out: &std::path::Path) -> Result<()> {
    std::fs::write(out.join("peers.md"), table::markdown(results)?).context("writing peers.md")?;
    std::fs::write(out.join("peers.csv"), table::csv(results)?).context("writing peers.csv")?;
    plot::batching(results, &out.join("batching.svg"))
}

/// Replies in one second, and the share of them that the origin's ids lose: the median of 21 draws.
fn lost_ids(rooms: &std::path::Path) -> Result<Vec<(usize, f64)>> {
    [100, 200, 400, 708]
        .into_iter()
        .map(|replies| {
            let mut shares = (0..21)
                .map(|seed| peers::files::lost_share(rooms, replies, seed))
                .collect::<Result<Vec<_>>>()?;
            shares.sort_by(f64::total_cmp);
            Ok((replies, shares[shares.len() / 2]))
        })
        .collect()
}

/// Two sockets a worker, and there are up to 708.
fn more_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("getrlimit")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).context("setrlimit")
}
