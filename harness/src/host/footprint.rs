//! What a run writes into its directory, before it has, and whether the disk has room for it.

use super::judge::{missing, ok, warn};
use super::{Capability, PreflightError, Status, read};
use crate::scenario::Plan;
use crate::scenario::unit::bytes_text;
use reports::render::csv;
use std::path::Path;

const NAME: &str = "disk space";

/// About so many bytes: figures measured, and rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    pub log_bytes: u64,
    pub documents_bytes: u64,
    /// Beside that, so many for each round: how many a closed loop has is not known before.
    pub round_bytes: u64,
}

impl Footprint {
    pub fn of(plan: &Plan) -> Self {
        /// Of a sweep: a fleet of 711 over 30 days has 4.6 a row (`long_run` in `benches/`).
        const ROW: u64 = 6;
        const SWEEP: u64 = 400;
        const ROUND: u64 = 400;
        /// In `samples.csv` and `rounds.csv`.
        const CSV_ROW: u64 = 200;
        /// The report, its plots, and what else does not grow.
        const FIXED: u64 = 1 << 20;
        let facts = plan.facts();
        let load_ns = facts.warm_up_ns.saturating_add(facts.duration_ns);
        let sweeps = load_ns / facts.sample_every_ns.max(1) + 1;
        let processes = u64::from(plan.shape().processes_with_guard());
        let round = ROUND + 5 * u64::from(plan.shape().coordinators());
        let rounds = plan.rounds_planned();
        let round_bytes = if rounds.is_none() { round + CSV_ROW } else { 0 };
        let rounds = rounds.unwrap_or(0);
        let shown = (sweeps / csv::sweep_step(&facts, None)).saturating_mul(processes).saturating_add(rounds);
        Self {
            log_bytes: sweeps
                .saturating_mul(processes * ROW + SWEEP)
                .saturating_add(rounds.saturating_mul(round)),
            round_bytes,
            documents_bytes: FIXED.saturating_add(shown.saturating_mul(CSV_ROW)),
        }
    }

    pub fn total(self) -> u64 {
        self.log_bytes.saturating_add(self.documents_bytes)
    }

    pub fn words(self) -> String {
        let log = bytes_text(self.log_bytes);
        let each = match self.round_bytes {
            0 => String::new(),
            bytes => format!(", and {bytes} B for each round of its closed loop"),
        };
        format!("about {}, {log} of them the log{each}", bytes_text(self.total()))
    }

    /// Of both, in one place.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            log_bytes: self.log_bytes.saturating_add(other.log_bytes),
            documents_bytes: self.documents_bytes.saturating_add(other.documents_bytes),
            round_bytes: self.round_bytes.max(other.round_bytes),
        }
    }
}

/// Whether what is written has room where `directory` is or would be made. As the figures are estimates, a run is refused only if
/// not even half of its log fits.
pub fn room_for(footprint: Footprint, directory: &Path) -> Capability {
    let there = directory.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    match read::space(there) {
        // Of /proc and its like.
        Ok(space) if space.total_bytes == 0 => ok(NAME, format!("{} has no size", there.display())),
        Ok(space) => room(footprint, there, space.free_bytes),
        Err(error) => warn(
            NAME,
            format!("cannot be read at {}: {error}", there.display()),
            "see that there is room for what the run writes",
        ),
    }
}

fn room(footprint: Footprint, at: &Path, free: u64) -> Capability {
    let found = format!("{} free at {}", bytes_text(free), at.display());
    if free >= footprint.total() {
        return ok(NAME, found);
    }
    let found = format!("{found}, and the run writes {}", footprint.words());
    let remedy = "free some, write to another disk with --out DIR, or sample less often (sampling.every)";
    if free < footprint.log_bytes / 2 { missing(NAME, found, remedy) } else { warn(NAME, found, remedy) }
}

/// A warning if there is little room for the run; or that there is none.
pub(crate) fn preflight_room(plan: &Plan, directory: &Path) -> Result<Option<Capability>, PreflightError> {
    let found = room_for(Footprint::of(plan), directory);
    match found.status {
        Status::Ok => Ok(None),
        Status::Warn => Ok(Some(found)),
        Status::Missing => Err(PreflightError { missing: vec![found] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{PlanOptions, Scenario, Selection, Source};

    fn plan(sets: &[&str]) -> Plan {
        let text = include_str!("../../../scenarios/gate1-24h.toml");
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let selection = Selection { profile: None, sets };
        let scenario = Scenario::parse(&Source::new("gate1-24h.toml", text), &selection).unwrap();
        Plan::new(scenario, &PlanOptions { seed: Some(1), fallback_seed: 1, rehearsal: None })
    }

    #[test]
    fn a_month_of_708_agents_at_five_seconds_stays_below_three_gigabytes() {
        let footprint = Footprint::of(&plan(&["load.duration=30d", "fleet.workers=70"]));
        assert!((1_600_000_000..3_000_000_000).contains(&footprint.log_bytes), "{footprint:?}");
        // A sheet of a spreadsheet, at most.
        assert!((100_000_000..300_000_000).contains(&footprint.documents_bytes), "{footprint:?}");
    }

    #[test]
    fn a_run_is_refused_only_where_not_half_of_its_log_fits() {
        let footprint = Footprint { log_bytes: 1000, documents_bytes: 500, round_bytes: 0 };
        let status = |free| room(footprint, Path::new("/runs"), free).status;
        assert_eq!(
            [1500, 1499, 500, 499].map(status),
            [Status::Ok, Status::Warn, Status::Warn, Status::Missing]
        );
        let text = format!("{:?}", room(footprint, Path::new("/runs"), 499));
        assert!(text.contains("/runs") && text.contains("--out"), "{text}");
    }

    #[test]
    fn room_is_looked_for_where_the_directory_will_be() {
        let found = room_for(Footprint::default(), Path::new("/dev/shm/no-such/runs"));
        assert!(found.found.ends_with("free at /dev/shm"), "{found:?}");
    }
}
