//! The two ends' counts side by side, and what is left when all should be gone.

use super::roster::Roster;
use coordinator::client::{Client, Identity, Ledger as Counts, Presence};
use reports::runlog::event::{CoordinatorLedger, Ledger, LedgerRow, Verify};
use std::path::Path;

fn row(counts: Counts) -> LedgerRow {
    LedgerRow {
        accepted: counts.accepted,
        answered: counts.answered,
        failed: counts.failed,
        in_flight: counts.in_flight,
        late: counts.late,
        duplicates: counts.duplicates,
    }
}

/// Read when the load has drained. `refused` tasks were never accepted, so no end has them in its books;
/// `rejected` answers were delivered, so both ends have them as answered.
pub fn ledger(client: &Client, refused: u64, rejected: u64) -> Ledger {
    let coordinators = client
        .status()
        .coordinators
        .iter()
        .zip(0..)
        .map(|(coordinator, index)| {
            // A dead coordinator's words are those of its last moment; they balance no books.
            let alive = !coordinator.process.identity().is_gone() && !coordinator.process.is_dead();
            CoordinatorLedger {
                name: coordinator.process.name.clone(),
                client: row(client.ledger_of(index)),
                coordinator: alive.then(|| row(coordinator.ledger)),
                executed_by_workers: alive
                    .then(|| coordinator.workers.iter().map(|worker| worker.executed).sum()),
            }
        })
        .collect();
    Ledger { client: row(client.ledger()), coordinators, refused, rejected }
}

/// Looks for processes and files of this run after its end, and for nothing else's.
pub fn verify(
    roster: &Roster,
    fleet_dir: &Path,
    shm_dir: &Path,
    run_id: &str,
    cleaned: Vec<String>,
) -> Verify {
    let processes_left = roster
        .fleet()
        .iter()
        .filter_map(|agent| match (Identity { pid: agent.pid, start_ticks: agent.start_ticks }.presence()) {
            Presence::Gone => None,
            Presence::Alive => Some(format!("{} {}", agent.pid, agent.name)),
            // Not to be seen is not to be gone.
            Presence::Unknown => Some(format!("{} {} (/proc cannot be read)", agent.pid, agent.name)),
        })
        .collect();
    let mut files_left = Vec::new();
    if fleet_dir.exists() {
        files_left.push(fleet_dir.display().to_string());
    }
    // Half-made ones carry the run's id in their temporary names.
    match std::fs::read_dir(shm_dir) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name();
                if path != fleet_dir && name.to_string_lossy().contains(run_id) {
                    files_left.push(path.display().to_string());
                }
            }
        }
        Err(error) => files_left.push(format!("{} cannot be looked into: {error}", shm_dir.display())),
    }
    Verify { processes_left, files_left, cleaned }
}
