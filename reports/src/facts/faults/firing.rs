//! One injection of a fault, and what became of it.

use crate::facts::Gap;
use crate::runlog::event::{FaultKind, Incident, IncidentKind, Met};

/// What a fault makes the fleet do to its targets, the fleet has done so long after the fault is over.
const ENDS_WITHIN_NS: u64 = 5_000_000_000;
/// A process that goes on is seen by the next sweep, and so long after it at most.
const SEEN_NS: u64 = 700_000_000;

/// What became of one firing.
#[derive(Debug, Clone)]
pub struct Firing {
    /// Of the fault in the plan.
    pub fault: usize,
    pub kind: FaultKind,
    /// When it is due at the latest, from the start of the load.
    pub due_ns: u64,
    pub injected_ns: Option<u64>,
    /// By what its effect was shown, and when.
    pub proven: Option<(u64, String)>,
    pub healed_ns: Option<u64>,
    pub heal_proven_ns: Option<u64>,
    /// What stood against it: it could not be injected, proven or healed.
    pub failed: Option<String>,
    /// How often its effect has met the fleet, if that is counted.
    pub met: Option<Met>,
    /// Processes that it was injected into.
    pub targets: u32,
    /// When the log first has a death or a suspicion that it explains.
    pub noticed_ns: Option<u64>,
    /// Deaths that it explains.
    pub deaths: u64,
    /// Tasks that failed in rounds that ended between the injection and the recovery.
    pub lost: u64,
    /// Tasks of these rounds that failed or needed another attempt.
    pub hit: u64,
    /// From the proof of the effect, or of the heal if it lasts.
    pub recovery_ns: Option<u64>,
    /// It was not over when its segment ended: no fleet of a later segment was under it.
    pub(super) cut_ns: Option<u64>,
    pub(super) lasts: bool,
    pub(super) may_meet_nothing: bool,
    /// It was to wait for a moment of the load, and that it did so is not shown.
    pub(super) moment_lacks: bool,
}

impl Firing {
    /// When the fleet had recovered from it; absent as long as that was not seen.
    pub fn ended_ns(&self) -> Option<u64> {
        Some(self.over_ns()?.saturating_add(self.recovery_ns?))
    }

    /// When nothing was under it any more: the fleet had recovered, or its segment had ended.
    pub(crate) fn gone_ns(&self) -> Option<u64> {
        self.ended_ns().or(self.cut_ns)
    }

    /// Whether it was under way in one of these gaps: rounds that it met there are carried out again without it.
    pub fn reaches_into(&self, gaps: &[Gap]) -> bool {
        let Some(injected_ns) = self.injected_ns else { return false };
        let over_ns = self.over_ns().unwrap_or(injected_ns);
        gaps.iter()
            .any(|gap| injected_ns < gap.to_ns && (gap.from_ns <= injected_ns || gap.from_ns < over_ns))
    }

    /// Whether everything that it has to show was shown.
    pub fn is_whole(&self) -> bool {
        self.over_ns().is_some() && !self.moment_lacks && self.met_nothing().is_none()
    }

    /// What its effect has met, in words, if that is nothing and the scenario asks for more.
    pub fn met_nothing(&self) -> Option<String> {
        let met = self.met.filter(|met| !self.kind.is_effect(*met) && !self.may_meet_nothing)?;
        self.kind.met_words(met)
    }

    /// Whether its heal is still to be shown.
    pub fn needs_heal(&self) -> bool {
        self.lasts && self.heal_proven_ns.is_none()
    }

    /// Until when what befalls its targets may be its effect. One that ends them itself ends them once: what dies then
    /// is not there any more.
    pub(super) fn explains_until_ns(&self) -> u64 {
        let over_ns = if self.lasts { self.healed_ns } else { self.injected_ns };
        over_ns.filter(|_| !self.kind.ends_targets()).map_or(u64::MAX, |ns| ns.saturating_add(ENDS_WITHIN_NS))
    }

    /// From when on the fleet can recover: nothing is done to it any more, and all of that was shown.
    pub(super) fn over_ns(&self) -> Option<u64> {
        let (proven_ns, _) = self.proven.as_ref().filter(|_| self.failed.is_none())?;
        if self.lasts { self.heal_proven_ns } else { Some(*proven_ns) }
    }
}

/// Whether a process stood still for longer than a pause held it: another has stopped it again.
pub(super) fn outlasts(firing: &Firing, incident: &Incident, sample_every_ns: u64) -> bool {
    let stood = matches!(incident.kind, IncidentKind::Stopped | IncidentKind::Silent);
    let ended = firing.healed_ns.zip(incident.to_ns);
    let seen_ns = SEEN_NS.saturating_add(sample_every_ns);
    let is_long = ended.is_some_and(|(healed_ns, to_ns)| to_ns > healed_ns.saturating_add(seen_ns));
    stood && firing.kind == FaultKind::Pause && is_long
}
