//! `coordinator status`.

use super::{FAILED, OK, Place, complain, hand_out};
use crate::bus::directory::{Found, Owner};
use crate::client::status::{FleetStatus, ProcessStatus, WorkerStatus, of};
use crate::process::clock::unix_ns;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator status --json")]
pub(super) struct Args {
    /// Only this fleet
    name: Option<String>,
    /// Everything, each worker too, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `alive`, `dead`, `unknown`: of its supervisor.
    owner: &'static str,
    status: Option<FleetStatus>,
    error: Option<String>,
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let chosen = |fleet: &&Found| args.name.as_ref().is_none_or(|name| *name == fleet.id);
    let rows: Vec<Row> = found.iter().filter(chosen).map(row).collect();
    if let Some(name) = &args.name
        && rows.is_empty()
    {
        complain(format!("there is no fleet `{name}`"), "`coordinator status` lists those that are there");
        return FAILED;
    }
    let text = if args.json {
        match serde_json::to_string_pretty(&rows) {
            Ok(text) => text + "\n",
            Err(error) => {
                complain(error, "");
                return FAILED;
            }
        }
    } else if rows.is_empty() {
        format!("no fleets under {}\n", args.place.shm_dir.display())
    } else {
        rows.iter().map(shown).collect()
    };
    hand_out(text.as_bytes()).err().unwrap_or(OK)
}

fn row(found: &Found) -> Row {
    let (owner, status) = match found.owner {
        Owner::Alive(_) => ("alive", Some(of(&found.path))),
        Owner::Dead(_) => ("dead", None),
        Owner::Unknown => ("unknown", Some(of(&found.path))),
    };
    let (status, error) = match status.transpose() {
        Ok(status) => (status, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Row { name: found.id.clone(), owner, status, error }
}

fn shown(row: &Row) -> String {
    let Some(status) = &row.status else {
        return match &row.error {
            Some(error) => format!("{}  cannot be read: {error}\n", row.name),
            None => {
                format!("{}  its supervisor is dead; `coordinator clean` removes what it left\n", row.name)
            }
        };
    };
    // Writing into a string cannot fail.
    let mut out = String::new();
    let age = Duration::from_nanos(unix_ns().saturating_sub(status.started_unix_ns)).as_secs();
    let ledger = status.ledger();
    let workers = status.coordinators.iter().flat_map(|coordinator| &coordinator.workers);
    let _ = writeln!(
        out,
        "{}  {} for {age} s  supervisor {}  {} coordinators  {} workers  {} deaths",
        row.name,
        status.stage,
        status.supervisor.pid,
        status.coordinators.len(),
        workers.count(),
        status.deaths,
    );
    let _ = writeln!(
        out,
        "  tasks: {} accepted = {} answered + {} failed + {} in flight; {} late, {} duplicates",
        ledger.accepted, ledger.answered, ledger.failed, ledger.in_flight, ledger.late, ledger.duplicates
    );
    for coordinator in &status.coordinators {
        let live = coordinator.workers.iter().filter(|worker| worker.process.life == "live").count();
        let busy = coordinator.workers.iter().filter(|worker| worker.task.is_some()).count();
        let _ = writeln!(
            out,
            "  {:<10} pid {:<8} {}  epoch {}  workers: {live} live of {}, {busy} busy; {} in flight{}",
            coordinator.process.name,
            coordinator.process.pid,
            life(&coordinator.process),
            coordinator.epoch,
            coordinator.workers.len(),
            coordinator.ledger.in_flight,
            restarts(&coordinator.process),
        );
        let died = |worker: &&WorkerStatus| worker.process.deaths > 0 || worker.process.is_dead();
        for worker in coordinator.workers.iter().filter(died) {
            let _ = writeln!(
                out,
                "    {:<10} pid {:<8} {}{}",
                worker.process.name,
                worker.process.pid,
                life(&worker.process),
                restarts(&worker.process),
            );
        }
    }
    stuck(&mut out, status);
    out
}

fn life(process: &ProcessStatus) -> String {
    match &process.ended {
        Some(how) => format!("{} ({how})", process.life),
        None => process.life.to_owned(),
    }
}

/// Who had this place before, and how the last of them died.
fn restarts(process: &ProcessStatus) -> String {
    match &process.last_death {
        Some(death) => format!(
            "; incarnation {} after {} deaths, the last of pid {} ({})",
            process.incarnation, process.deaths, death.pid, death.how
        ),
        None if process.restarts() > 0 => format!("; incarnation {}", process.incarnation),
        None => String::new(),
    }
}

/// The tasks that have been in somebody's hands for longest.
fn stuck(out: &mut String, status: &FleetStatus) {
    let mut busy: Vec<_> = status
        .coordinators
        .iter()
        .flat_map(|coordinator| &coordinator.workers)
        .filter_map(|worker| Some((worker.idle_or_busy_ns?, worker.task?, worker)))
        .filter(|(busy_ns, ..)| *busy_ns > 1_000_000_000)
        .collect();
    busy.sort_by_key(|(busy_ns, ..)| std::cmp::Reverse(*busy_ns));
    for (busy_ns, task, worker) in busy.iter().take(10) {
        let _ = writeln!(
            out,
            "  {} has had task {task} in hand for {:.1} s",
            worker.process.name,
            Duration::from_nanos(*busy_ns).as_secs_f64()
        );
    }
}
