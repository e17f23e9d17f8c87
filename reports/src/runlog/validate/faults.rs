//! Steps of declared faults: each firing of the plan once, its steps in order, into the places that it names.

use std::collections::{BTreeMap, BTreeSet};

use super::READ_NS;
use crate::runlog::event::{
    FaultFacts, FaultMoment, FaultStep, FaultStepKind, FiringFacts, LoadModel, MomentSeen, PlanFacts,
};

/// The newest step of each firing, and where the plan has it; bounded by the plan.
#[derive(Debug, Default)]
pub(super) struct Faults {
    newest: BTreeMap<u32, (FaultStepKind, u64)>,
    /// Firings whose moment was shown or missed.
    moments: BTreeSet<u32>,
    /// Fault and firing by number: a storm has thousands, and four steps of each.
    places: BTreeMap<u32, (usize, usize)>,
    /// When each was injected and healed, and which were shown to have had their effect.
    times: BTreeMap<u32, Times>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Times {
    injected_ns: Option<u64>,
    /// For its moment, from when it was due.
    waited_ns: u64,
    is_proven: bool,
    healed_ns: Option<u64>,
}

/// What a header may say about its faults: firings in the order of time, each healed if it lasts.
pub(super) fn check(plan: &PlanFacts) -> Result<(), String> {
    let mut firings: Vec<&FiringFacts> = Vec::new();
    for fault in &plan.faults {
        let name = &fault.name;
        if name.is_empty() || fault.words.is_empty() {
            return Err("a fault without a name, or that does not say what it does".into());
        }
        for firing in &fault.firings {
            let distinct: BTreeSet<&String> = firing.targets.iter().collect();
            if distinct.len() < firing.targets.len() {
                return Err(format!("fault `{name}` is injected into one place twice at once"));
            }
            let is_said = |ns| fault.words.contains(&format!(" for {}", notation::duration::exact(ns)));
            let lasts = firing.lasts_ns.filter(|ns| *ns > 0 && is_said(*ns));
            if lasts.is_some() != fault.kind.is_healed() || lasts != firing.lasts_ns {
                return Err(format!("fault `{name}` ({}) is planned to last another time", fault.words));
            }
            if firing.at_ns > plan.duration_ns {
                return Err(format!("fault `{name}` is planned for after the end of the load"));
            }
        }
        firings.extend(&fault.firings);
    }
    firings.sort_by_key(|firing| firing.firing);
    let is_counted = (0..).zip(&firings).all(|(number, firing): (u32, _)| firing.firing == number);
    if !is_counted || !firings.is_sorted_by_key(|firing| firing.at_ns) {
        return Err("injections of faults that are not counted in the order of their times".into());
    }
    Ok(())
}

impl Faults {
    /// Whether the firing of a step ends the processes that it is injected into.
    pub(super) fn ends_targets(&mut self, step: &FaultStep, plan: &PlanFacts) -> bool {
        self.planned(step.firing, plan).is_some_and(|(fault, _)| fault.kind.ends_targets())
    }

    pub(super) fn step(&mut self, step: &FaultStep, plan: &PlanFacts) -> Result<(), String> {
        let (number, name) = (step.firing, step.step.name());
        let Some((fault, planned)) = self.planned(number, plan) else {
            return Err(format!("firing {number} of a fault is {name}, and the plan has no such firing"));
        };
        if step.how.is_empty() {
            return Err(format!("firing {number} is {name}, and the log does not say how"));
        }
        if matches!(step.step, FaultStepKind::MomentShown | FaultStepKind::MomentMissed) {
            return self.moment(step, planned);
        }
        let before = self.newest.insert(number, (step.step, step.at_ns));
        if before.is_some_and(|(_, at_ns)| step.at_ns < at_ns) {
            return Err(format!("firing {number} is {name} before its step before"));
        }
        if !follows(before.map(|(step, _)| step), step.step, fault.kind.is_healed()) {
            let before = before.map_or("nothing", |(step, _)| step.name());
            return Err(format!("firing {number} is {name} after {before}"));
        }
        let is_counted = step.step == FaultStepKind::HealProven && fault.kind.is_counted();
        if step.met.is_some_and(|met| !is_counted || met.hit > met.of) {
            return Err(format!("firing {number} is {name}, and has met what cannot be"));
        }
        if let Some(words) =
            step.met.and_then(|met| fault.kind.met_words(met)).filter(|w| !step.how.ends_with(w))
        {
            return Err(format!("firing {number} is {name}: by `met`, {words}, and by `how`, {}", step.how));
        }
        // What lasts and meets nothing was not effective: without a count, that cannot be told.
        if step.step == FaultStepKind::HealProven && fault.kind.is_counted() && step.met.is_none() {
            return Err(format!("firing {number} is {name}, and `met` is left out"));
        }
        let times = self.times.entry(number).or_default();
        match step.step {
            FaultStepKind::Injected => {
                times.injected_ns = Some(step.at_ns);
                if step.moment.map(|seen| seen.moment) != planned.moment.map(|planned| planned.moment) {
                    return Err(format!("firing {number} was injected at another moment than is planned"));
                }
                times.waited_ns = step.moment.map_or(0, |seen| seen.waited_ns);
                step.moment.map_or(Ok(()), |seen| moment_seen(number, seen))?;
                return targets(step, planned);
            }
            FaultStepKind::Proven => times.is_proven = true,
            FaultStepKind::Healed => times.healed_ns = Some(step.at_ns),
            FaultStepKind::NotInjected
            | FaultStepKind::Unproven
            | FaultStepKind::HealProven
            | FaultStepKind::Unhealed
            | FaultStepKind::MomentShown
            | FaultStepKind::MomentMissed => {}
        }
        Ok(())
    }

    /// The firing of that number, with its fault.
    fn planned<'a>(&mut self, firing: u32, plan: &'a PlanFacts) -> Option<(&'a FaultFacts, &'a FiringFacts)> {
        if self.places.is_empty() {
            self.places = places(plan);
        }
        let (fault, at) = self.places.get(&firing)?;
        let fault = plan.faults.get(*fault)?;
        Some((fault, fault.firings.get(*at)?))
    }

    /// Once, of a firing that was injected and waited for a moment.
    fn moment(&mut self, step: &FaultStep, planned: &FiringFacts) -> Result<(), String> {
        let (number, name) = (step.firing, step.step.name());
        let newest = self.newest.get(&number);
        let is_injected = newest.is_some_and(|(step, _)| *step != FaultStepKind::NotInjected);
        if planned.moment.is_none() || !is_injected || !self.moments.insert(number) {
            return Err(format!("firing {number} is {name}, and there is no moment of it to show"));
        }
        let injected_ns = self.times.get(&number).and_then(|times| times.injected_ns);
        if injected_ns.is_some_and(|injected_ns| step.at_ns < injected_ns) {
            return Err(format!(
                "firing {number} is {name} at {} ns, and was injected at {injected_ns:?}",
                step.at_ns
            ));
        }
        Ok(())
    }

    /// How many processes of each place were killed or stopped for good, as was shown.
    pub(super) fn killed<'a>(&self, plan: &'a PlanFacts) -> BTreeMap<&'a str, u32> {
        let mut killed = BTreeMap::new();
        for fault in plan.faults.iter().filter(|fault| fault.kind.ends_targets()) {
            let is_shown =
                |firing: &&FiringFacts| self.times.get(&firing.firing).is_some_and(|t| t.is_proven);
            for place in fault.firings.iter().filter(is_shown).flat_map(|firing| &firing.targets) {
                *killed.entry(place.as_str()).or_default() += 1;
            }
        }
        killed
    }

    /// At the end of a run that was carried out in one segment, whose load began at `load_ns`: nothing was done before it was
    /// due, and nothing that lasts was over too soon. How late it was is for the evidence.
    pub(super) fn complete(&self, plan: &PlanFacts, load_ns: Option<u64>) -> Result<(), String> {
        let Some(load_ns) = load_ns.filter(|_| plan.load == LoadModel::Open) else { return Ok(()) };
        let over_ns = load_ns.saturating_add(plan.duration_ns);
        let with_slack = |ns: u64| ns.saturating_add(READ_NS);
        for firing in plan.faults.iter().flat_map(|fault| &fault.firings) {
            let Some(times) = self.times.get(&firing.firing) else { continue };
            let Some(injected_ns) = times.injected_ns else { continue };
            let from_ns = load_ns.saturating_add(firing.at_ns).saturating_add(times.waited_ns);
            if with_slack(injected_ns) < from_ns {
                return Err(format!(
                    "firing {} was injected at {injected_ns} ns, before it was due and had waited: at {from_ns} ns",
                    firing.firing
                ));
            }
            // What still lasts at the end of the load is healed then.
            let due_ns = injected_ns.saturating_add(firing.lasts_ns.unwrap_or(0)).min(over_ns);
            if times.healed_ns.is_some_and(|healed_ns| with_slack(healed_ns) < due_ns) {
                return Err(format!("firing {} was healed before it was due", firing.firing));
            }
        }
        Ok(())
    }
}

/// What the load was at when a firing was injected: at something.
fn moment_seen(number: u32, seen: MomentSeen) -> Result<(), String> {
    let MomentSeen { moment, round, tasks, open, .. } = seen;
    let fits = match moment {
        FaultMoment::MidRound => round.is_some(),
        // Those in hand are open, or they would not be.
        FaultMoment::TaskInFlight => round.is_none() && tasks == open,
    };
    if !fits || open == 0 || open > tasks {
        return Err(format!(
            "firing {number} was injected at {}, with {open} of {tasks} tasks open and round {round:?}",
            moment.name()
        ));
    }
    Ok(())
}

fn places(plan: &PlanFacts) -> BTreeMap<u32, (usize, usize)> {
    let of_fault = |(fault, facts): (usize, &FaultFacts)| {
        let firings = facts.firings.iter().enumerate();
        firings.map(|(at, planned)| (planned.firing, (fault, at))).collect::<Vec<_>>()
    };
    plan.faults.iter().enumerate().flat_map(of_fault).collect()
}

/// Whether a step can come after another.
fn follows(before: Option<FaultStepKind>, step: FaultStepKind, heals: bool) -> bool {
    use FaultStepKind as Step;
    // A run that ends heals what was not shown yet, too.
    let is_under_way = matches!(before, Some(Step::Injected | Step::Proven | Step::Unproven));
    match step {
        Step::NotInjected | Step::Injected => before.is_none(),
        Step::Proven | Step::Unproven => before == Some(Step::Injected),
        Step::Healed => heals && is_under_way,
        Step::HealProven => before == Some(Step::Healed),
        // From format 2.8 on also instead of `healed`: the heal itself failed.
        Step::Unhealed => before == Some(Step::Healed) || heals && is_under_way,
        // These come at any time after the injection, and are checked before.
        Step::MomentShown | Step::MomentMissed => false,
    }
}

fn targets(step: &FaultStep, planned: &FiringFacts) -> Result<(), String> {
    if step.targets.is_empty() && !planned.targets.is_empty() {
        return Err(format!("firing {} was injected into nothing", step.firing));
    }
    let distinct: BTreeSet<u32> = step.targets.iter().map(|target| target.agent).collect();
    if distinct.len() < step.targets.len() {
        return Err(format!("firing {} was injected into one process twice", step.firing));
    }
    match step.targets.iter().find(|target| !planned.targets.contains(&target.name)) {
        Some(other) => {
            Err(format!("firing {} was injected into {}, which is not planned", step.firing, other.name))
        }
        None => Ok(()),
    }
}
