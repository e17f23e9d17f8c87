//! The two ends' counts side by side, and what is left when all should be gone.

use super::watch::Watch;
use crate::system::{Counts, Identity, LedgerEvidence, Presence, Stopped, System};
use reports::runlog::event::{Ledger, Verify};

/// Read when the load has drained. `refused` tasks were never accepted, so no end has them in its ledger;
/// `rejected` answers were delivered, so both ends have them as answered.
pub fn ledger(system: &dyn System, refused: u64, rejected: u64) -> Ledger {
    let Counts { client, mut coordinators, pool, batches } = system.ledger();
    // Counts that the system does not stand for are no evidence.
    let evidence = system.ledger_evidence();
    match evidence {
        LedgerEvidence::Workers => {}
        LedgerEvidence::Coordinators => {
            for coordinator in &mut coordinators {
                coordinator.executed_by_workers = None;
            }
        }
        LedgerEvidence::Client => coordinators.clear(),
    }
    Ledger { client, coordinators, refused, rejected, evidence, pool, batches }
}

/// Looks for processes and files of this run after its end, and for no others.
pub fn verify(watch: &Watch, system: &dyn System, stopped: Stopped) -> Verify {
    let processes_left = watch
        .fleet()
        .iter()
        .filter_map(|agent| {
            match system.presence(Identity { pid: agent.pid, start_ticks: agent.start_ticks }) {
                Presence::Gone => None,
                Presence::Alive => Some(format!("{} {}", agent.pid, agent.name)),
                // Not to be seen is not to be gone.
                Presence::Unknown => Some(format!("{} {} (/proc cannot be read)", agent.pid, agent.name)),
            }
        })
        .collect();
    Verify {
        processes_left,
        files_left: system.files_left(),
        cleaned: stopped.cleaned,
        altered: stopped.altered,
    }
}
