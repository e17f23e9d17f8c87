//! What a long run costs those who judge and read it:
//!
//!     cargo build --release && cargo run --release -p benches --bin long_run -- DIR [DURATION] [WORKERS]
//!
//! Makes up the log of `scenarios/gate1-24h.toml` for so long (`30d`) with so many workers (700) in the run directory DIR,
//! lets `harness report` judge it and write its documents, and prints what all that took. The log is a valid one; what its
//! fleet does is steady.
#![expect(clippy::print_stdout, reason = "a program for people")]

use benches::steady::SteadyFleet;
use harness::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use harness::synthetic::{self, Synthetic};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SCENARIO: &str = "scenarios/gate1-24h.toml";
const COORDINATORS: u32 = 10;

/// Makes this program measure what `harness report` takes for a run that is there: in a process of its own, as the kernel counts
/// what a parent had for its child.
const MEASURE: &str = "measure";

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let dir = PathBuf::from(words.next().ok_or("give the directory of the run to make up")?);
    if dir == Path::new(MEASURE) {
        return measure(Path::new(&words.next().ok_or("give the directory of the run to report")?));
    }
    let duration = words.next().unwrap_or_else(|| "30d".to_owned());
    let workers: u32 = words.next().map_or(Ok(700), |word| word.parse())?;
    if dir.exists() {
        return Err(format!("`{}` exists; give a directory that does not", dir.display()).into());
    }
    fs::create_dir_all(&dir)?;

    let plan = plan(&duration, workers / COORDINATORS)?;
    let log = dir.join("run.log");
    let began = Instant::now();
    let rows = write(&plan, &log)?;
    println!(
        "{duration} of {workers} workers: {rows} rows of samples, made up in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    println!(
        "run.log: {:.1} MB, {:.2} bytes a row",
        size(&log)? as f64 / 1e6,
        size(&log)? as f64 / rows as f64
    );

    let status = Command::new(std::env::current_exe()?).arg(MEASURE).arg(&dir).status()?;
    if status.success() { Ok(()) } else { Err(format!("measuring ended with {status}").into()) }
}

fn measure(dir: &Path) -> Outcome<()> {
    // The program that is built beside this one.
    let program = std::env::current_exe()?.with_file_name("harness");
    let began = Instant::now();
    let status = Command::new(&program)
        .arg("report")
        .arg(dir)
        .status()
        .map_err(|why| format!("{}: {why}; build it first", program.display()))?;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    println!("harness report: {status} after {:.1} s", began.elapsed().as_secs_f64());
    println!(
        "CPU {:.1} s, at most {:.0} MiB of memory",
        (used.user_time() + used.system_time()).num_milliseconds() as f64 / 1e3,
        used.max_rss() as f64 / 1024.0
    );
    for file in ["report.html", "samples.csv", "verdict.json"] {
        println!("{file}: {:.2} MB", size(&dir.join(file))? as f64 / 1e6);
    }
    Ok(())
}

fn plan(duration: &str, workers: u32) -> Outcome<Plan> {
    let source =
        Source::new(SCENARIO, fs::read_to_string(SCENARIO).map_err(|why| format!("{SCENARIO}: {why}"))?);
    let sets = vec![format!("load.duration={duration}"), format!("fleet.workers={workers}")];
    let scenario = Scenario::parse(&source, &Selection { profile: None, sets })
        .map_err(|mistakes| format!("{SCENARIO} with these values has mistakes: {mistakes:?}"))?;
    Ok(Plan::new(scenario, &PlanOptions { seed: Some(1), fallback_seed: 1, rehearsal: None }))
}

/// How many rows its sweeps have.
fn write(plan: &Plan, log: &Path) -> Outcome<u64> {
    let header = synthetic::header_of(plan);
    let mut fleet = SteadyFleet::new(header.plan.processes);
    let mut rows = 0;
    let out = BufWriter::new(File::create_new(log)?);
    Synthetic::without_rows(header).write(out, |sample| {
        // The harness is as it was made up: the end of the log agrees with that.
        sample.agents.truncate(1);
        sample.agents.extend_from_slice(&fleet.sweep(sample.sweep)[1..]);
        rows += sample.agents.len() as u64;
    })?;
    Ok(rows)
}

fn size(file: &Path) -> Outcome<u64> {
    Ok(fs::metadata(file).map_err(|why| format!("{}: {why}", file.display()))?.len())
}
