//! Carries the calendar of faults out, and writes every step down: injected, proven, healed, proven healed.
//!
//! The load thread drives it between two polls, and nothing here waits: a proof that does not show yet is looked for
//! again. Deliberately absent: what a fault does ([`crate::fault`]) and what it explains (`reports`).

use super::recorder::Handle;
use super::watch::Watch;
use super::written::Written;
use crate::fault::{self, Fault, Look, Places, Site};
use crate::scenario::Plan;
use crate::scenario::fault::Action;
use crate::scenario::unit::nanos;
use crate::system::{Presence, Process, System};
use reports::runlog::event::{AgentInfo, Event, FaultStep, FaultStepKind, FaultTarget, Met, MomentSeen};
use std::time::Duration;

/// An effect that does not show within this time is not proven.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks for it.
const LOOK_NS: u64 = 2_000_000;

/// What a firing waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its effect is to show until then.
    Proving { until_ns: u64 },
    /// Its time to heal, or to look again whether the effect still shows.
    Lasting,
    /// That the effect still shows is to be seen until then, and its time to heal.
    Looking { until_ns: u64 },
    /// That its effect is gone is to show until then.
    Healing { until_ns: u64 },
}

#[derive(Debug)]
struct Active {
    number: usize,
    fault: Box<dyn Fault>,
    stage: Stage,
    /// When it is to be healed; absent if it needs no heal.
    heals_ns: Option<u64>,
    is_proven: bool,
}

/// What is written down with some steps.
#[derive(Debug, Default)]
struct Seen {
    targets: Vec<FaultTarget>,
    moment: Option<MomentSeen>,
    met: Option<Met>,
}

impl Active {
    /// When to look again whether the effect still shows; absent if it needs no heal.
    fn looks_ns(&self) -> Option<u64> {
        let looks_for = if self.is_proven { nanos(self.fault.looks_for()) } else { 0 };
        Some(self.heals_ns?.saturating_sub(looks_for))
    }
}

/// The firings that are under way.
#[derive(Debug)]
pub struct Faults<'a> {
    plan: &'a Plan,
    places: Places<'a>,
    log: Handle,
    active: Vec<Active>,
    looked_ns: u64,
    written: Written,
}

impl<'a> Faults<'a> {
    pub fn new(plan: &'a Plan, places: Places<'a>, log: Handle) -> Self {
        Self { plan, places, log, active: Vec::new(), looked_ns: 0, written: Written::default() }
    }

    fn record(&self, number: usize, step: FaultStepKind, at_ns: u64, how: String) {
        self.record_with(number, step, (at_ns, how), Seen::default());
    }

    /// With what it has met, if that is counted.
    fn heal_proven(&self, one: &Active, now_ns: u64, how: String) {
        let (met, kind) = (one.fault.met(), self.action(one.number).kind());
        let how = match met.and_then(|met| Some((kind.is_effect(met), kind.met_words(met)?))) {
            Some((true, words)) => format!("{how}; {words}"),
            Some((false, words)) => format!("{how}; not effective: {words}"),
            None => how,
        };
        self.record_with(
            one.number,
            FaultStepKind::HealProven,
            (now_ns, how),
            Seen { met, ..Seen::default() },
        );
    }

    fn record_with(
        &self,
        number: usize,
        step: FaultStepKind,
        (at_ns, how): (u64, String),
        Seen { targets, moment, met }: Seen,
    ) {
        let firing = u32::try_from(number).unwrap_or(u32::MAX);
        self.log.record(Event::Fault(FaultStep { firing, step, at_ns, targets, how, moment, met }));
    }

    /// The moment that a firing waited for did not come.
    pub fn not_injected(&self, number: usize, now_ns: u64, why: String) {
        self.record(number, FaultStepKind::NotInjected, now_ns, why);
    }

    /// Whether the load was at its moment when a firing was injected.
    pub fn moment(&self, number: usize, now_ns: u64, shown: Look) {
        let (step, how) = match shown {
            Look::Shown(how) => (FaultStepKind::MomentShown, how),
            Look::NotYet(how) => (FaultStepKind::MomentMissed, how),
        };
        self.record(number, step, now_ns, how);
    }

    /// Injects firing `number` of the calendar, at `moment` if it waited for one; whether it was.
    pub fn inject(
        &mut self,
        (number, moment): (usize, Option<MomentSeen>),
        system: &mut dyn System,
        watch: &Watch,
        now_ns: u64,
    ) -> bool {
        let firing = &self.plan.calendar().firings()[number];
        let processes = system.processes();
        let known = |process: &Process| {
            let id = watch.id_of(process.place);
            let agent = watch.agents().get(id as usize)?;
            let own = (agent.pid, agent.start_ticks) == (process.pid, process.start_ticks);
            own.then(|| target(agent))
        };
        let found: Vec<(Process, FaultTarget)> = firing
            .targets
            .iter()
            .filter_map(|place| processes.iter().find(|process| process.place == *place))
            .filter(|process| system.presence(process.identity()) == Presence::Alive)
            .filter_map(|process| Some((process.clone(), known(process)?)))
            .collect();
        let (targets, facts): (Vec<Process>, Vec<FaultTarget>) = found.into_iter().unzip();
        if targets.len() < firing.targets.len() {
            let missing = firing.targets.len() - targets.len();
            let how = format!(
                "{missing} of {} targets have no process that is known to live",
                firing.targets.len()
            );
            self.record(number, FaultStepKind::NotInjected, now_ns, how);
            return false;
        }
        let planned = &self.plan.faults()[firing.fault];
        let mut fault = fault::of(planned, firing, self.site());
        match fault.inject(system, &targets) {
            Err(why) => {
                self.record(number, FaultStepKind::NotInjected, now_ns, why);
                false
            }
            Ok(how) => {
                self.record_with(
                    number,
                    FaultStepKind::Injected,
                    (now_ns, how),
                    Seen { targets: facts, moment, met: None },
                );
                self.written.note(&fault.written(), now_ns);
                let until_ns = now_ns.saturating_add(nanos(SHOWS_WITHIN));
                let heals_ns = firing.lasts.map(|lasts| now_ns.saturating_add(nanos(lasts)));
                self.active.push(Active {
                    number,
                    fault,
                    stage: Stage::Proving { until_ns },
                    heals_ns,
                    is_proven: false,
                });
                true
            }
        }
    }

    fn action(&self, number: usize) -> Action {
        self.plan.faults()[self.plan.calendar().firings()[number].fault].action()
    }

    fn site(&self) -> Site<'a> {
        let is_begun = |one: &&Active| matches!(one.stage, Stage::Proving { .. });
        let pledged = self.active.iter().filter(is_begun).map(|one| self.action(one.number).holds()).sum();
        Site { places: self.places, pledged }
    }

    /// What was written into the memory of coordinators.
    pub fn written(&mut self) -> &mut Written {
        &mut self.written
    }

    /// Looks for proofs and heals what is due. Cheap if nothing is under way.
    pub fn tend(&mut self, system: &mut dyn System, now_ns: u64) {
        if self.active.is_empty() || now_ns < self.looked_ns.saturating_add(LOOK_NS) {
            return;
        }
        self.looked_ns = now_ns;
        let mut active = std::mem::take(&mut self.active);
        active.retain_mut(|one| self.step(one, system, now_ns));
        self.active = active;
    }

    /// One step of one firing; whether more are to come.
    fn step(&self, one: &mut Active, system: &mut dyn System, now_ns: u64) -> bool {
        match one.stage {
            Stage::Proving { until_ns } => {
                match one.fault.prove(system) {
                    Look::Shown(how) => {
                        one.is_proven = true;
                        self.record(one.number, FaultStepKind::Proven, now_ns, how);
                    }
                    Look::NotYet(_) if now_ns < until_ns && !due(one.heals_ns, now_ns) => return true,
                    Look::NotYet(what) => self.record(one.number, FaultStepKind::Unproven, now_ns, what),
                }
                one.stage = Stage::Lasting;
                one.heals_ns.is_some()
            }
            Stage::Lasting if one.is_proven && due(one.looks_ns(), now_ns) => {
                one.fault.look_again(system);
                let heals_ns = one.heals_ns.unwrap_or(now_ns).max(now_ns);
                one.stage = Stage::Looking { until_ns: heals_ns.saturating_add(nanos(SHOWS_WITHIN)) };
                self.step(one, system, now_ns)
            }
            Stage::Lasting if due(one.heals_ns, now_ns) => self.heal(one, None, system, now_ns),
            Stage::Lasting => true,
            Stage::Looking { .. } if !due(one.heals_ns, now_ns) => true,
            Stage::Looking { until_ns } => match one.fault.lasts(system) {
                None if now_ns < until_ns => true,
                lasted => {
                    let lasted = lasted.unwrap_or_else(|| Look::NotYet("it was not seen in time".to_owned()));
                    self.heal(one, Some(lasted), system, now_ns)
                }
            },
            Stage::Healing { until_ns } => match one.fault.prove_healed(system) {
                Look::Shown(how) => {
                    self.heal_proven(one, now_ns, how);
                    false
                }
                Look::NotYet(_) if now_ns < until_ns => true,
                Look::NotYet(what) => {
                    self.record(one.number, FaultStepKind::Unhealed, now_ns, what);
                    false
                }
            },
        }
    }

    /// Undoes it; whether its end is still to be proven. A heal that fails ends the firing as unhealed, and so does an effect that
    /// has not `lasted`.
    fn heal(&self, one: &mut Active, lasted: Option<Look>, system: &mut dyn System, now_ns: u64) -> bool {
        let how = match one.fault.heal(system) {
            Ok(how) => how,
            // What stays of it stays, whatever a look at one effect would show.
            Err(why) => {
                self.record(one.number, FaultStepKind::Unhealed, now_ns, why);
                return false;
            }
        };
        self.record(one.number, FaultStepKind::Healed, now_ns, how);
        if let Some(Look::NotYet(what)) = lasted {
            let how = format!("its effect was gone before the heal: {what}");
            self.record(one.number, FaultStepKind::Unhealed, now_ns, how);
            return false;
        }
        one.stage = Stage::Healing { until_ns: now_ns.saturating_add(nanos(SHOWS_WITHIN)) };
        true
    }

    /// When to tend them next; `u64::MAX` if nothing is under way.
    pub fn next_ns(&self) -> u64 {
        let look_ns = self.looked_ns.saturating_add(LOOK_NS);
        let next = |one: &Active| match one.stage {
            Stage::Proving { .. } | Stage::Healing { .. } => look_ns,
            Stage::Lasting => one.looks_ns().unwrap_or(u64::MAX).max(look_ns),
            Stage::Looking { .. } => one.heals_ns.unwrap_or(0).max(look_ns),
        };
        self.active.iter().map(next).min().unwrap_or(u64::MAX)
    }

    /// The load is over, whatever for: nothing lasts any longer.
    pub fn end(&mut self, now_ns: u64) {
        for one in &mut self.active {
            one.heals_ns = one.heals_ns.map(|heals_ns| heals_ns.min(now_ns));
        }
    }

    /// Nothing is under way.
    pub fn is_done(&self) -> bool {
        self.active.is_empty()
    }
}

fn due(at_ns: Option<u64>, now_ns: u64) -> bool {
    at_ns.is_some_and(|at_ns| at_ns <= now_ns)
}

fn target(agent: &AgentInfo) -> FaultTarget {
    let AgentInfo { id, incarnation, name, pid, start_ticks, .. } = agent;
    FaultTarget {
        agent: *id,
        incarnation: *incarnation,
        name: name.clone(),
        pid: *pid,
        start_ticks: *start_ticks,
    }
}
