//! Declared faults: what they explain, what they must show, and what they cost.

use reports::runlog::event::*;
use reports::{Judgement, Verdict};

use crate::gates::evidence;
use crate::synthetic::{Run, judge, log_of};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
/// Of worker/0.1, and of the coordinator over it.
pub(crate) const WORKER: (u32, &str) = (4, "worker/0.1");
pub(crate) const COORDINATOR: (u32, &str) = (2, "coord/0");

/// A run with a fault that fires once, 10 s after the launch.
pub(crate) struct Faulty {
    pub(crate) run: Run,
    kind: FaultKind,
    at: (u32, &'static str),
    /// Another fault into the same place, whose firing has the number 1.
    pub(crate) also: Option<FaultKind>,
    pub(crate) more: Vec<(u64, Event)>,
}

pub(crate) const AT: u64 = 10 * SECOND;

impl Faulty {
    pub(crate) fn new(asking: &str, kind: FaultKind, at: (u32, &'static str)) -> Self {
        Self { run: Run::asking(asking), kind, at, also: None, more: Vec::new() }
    }

    pub(crate) fn step(&mut self, at_ns: u64, step: FaultStepKind) -> &mut Self {
        let target = FaultTarget {
            agent: self.at.0,
            incarnation: 1,
            name: self.at.1.into(),
            pid: 1_000 + self.at.0,
            start_ticks: 42,
        };
        let targets = if step == FaultStepKind::Injected { vec![target] } else { Vec::new() };
        self.more.push((
            at_ns,
            Event::Fault(FaultStep {
                firing: 0,
                step,
                at_ns,
                targets,
                how: "was seen".into(),
                moment: None,
                met: None,
            }),
        ));
        self
    }

    /// The end of the process that has had the place first.
    pub(crate) fn exit(&mut self, at_ns: u64, (agent, name): (u32, &str)) -> &mut Self {
        self.exit_of(at_ns, (agent, name), (1, 1_000 + agent))
    }

    pub(crate) fn how(&mut self, how: &str) -> &mut Self {
        if let Some((_, Event::AgentExit(exit))) = self.more.last_mut() {
            exit.how = how.into();
        }
        self
    }

    pub(crate) fn exit_of(
        &mut self,
        at_ns: u64,
        (agent, name): (u32, &str),
        (incarnation, pid): (u32, u32),
    ) -> &mut Self {
        let exit = AgentExit {
            agent,
            incarnation,
            name: name.into(),
            pid,
            how: "killed by SIGKILL".into(),
            expected: false,
            seen_ns: at_ns,
        };
        self.more.push((at_ns, Event::AgentExit(exit)));
        self
    }

    pub(crate) fn replaced(&mut self, at_ns: u64, (agent, name): (u32, &str), incarnation: u32) -> &mut Self {
        let new = AgentReplaced {
            agent,
            incarnation,
            name: name.into(),
            pid: 2_000 * incarnation + agent,
            start_ticks: 43,
            seen_ns: at_ns,
        };
        self.more.push((at_ns, Event::AgentReplaced(new)));
        self
    }

    /// Killed, shown, dead and replaced within 300 ms.
    pub(crate) fn killed(asking: &str) -> Self {
        let mut faulty = Self::new(asking, FaultKind::Kill, WORKER);
        faulty
            .step(AT, FaultStepKind::Injected)
            .step(AT + MS, FaultStepKind::Proven)
            .exit(AT + 10 * MS, WORKER)
            .replaced(AT + 300 * MS, WORKER, 2);
        faulty
    }

    fn facts(&self, firing: u32, kind: FaultKind) -> FaultFacts {
        FaultFacts {
            name: if firing == 0 { "planned".into() } else { format!("planned-{firing}") },
            kind,
            words: format!("something{} to 1 of 6 workers", if kind.is_healed() { " for 1s" } else { "" }),
            firings: vec![FiringFacts {
                firing,
                at_ns: AT - self.run.load_ns() + u64::from(firing),
                lasts_ns: kind.is_healed().then_some(SECOND),
                targets: vec![self.at.1.into()],
                words: vec![],
                moment: None,
            }],
            may_meet_nothing: false,
        }
    }

    pub(crate) fn judge(&self) -> Judgement {
        self.judge_with(|_| {})
    }

    pub(crate) fn judge_with(&self, change: impl Fn(&mut Event)) -> Judgement {
        judge(&self.log_with(change))
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        self.log_with(|_| {})
    }

    fn log_with(&self, change: impl Fn(&mut Event)) -> Vec<u8> {
        let mut events = self.run.events();
        let replaced = self.more.iter().filter_map(|(t_ns, event)| match event {
            Event::AgentReplaced(new) => Some((*t_ns, new.clone())),
            _ => None,
        });
        let replaced: Vec<_> = replaced.collect();
        for (t_ns, event) in &mut events {
            match event {
                Event::Header(header) => {
                    let all = (0..).zip(std::iter::once(self.kind).chain(self.also));
                    header.plan.faults = all.map(|(firing, kind)| self.facts(firing, kind)).collect();
                }
                Event::Sample(sample) => {
                    for row in &mut sample.agents {
                        let new =
                            replaced.iter().rev().find(|(at, new)| *at < *t_ns && new.agent == row.agent);
                        row.incarnation = new.map_or(row.incarnation, |(_, new)| new.incarnation);
                    }
                }
                Event::AgentExit(exit) => {
                    if let Some((_, new)) = replaced.iter().rev().find(|(_, new)| new.agent == exit.agent) {
                        (exit.incarnation, exit.pid) = (new.incarnation, new.pid);
                    }
                }
                _ => {}
            }
        }
        for (_, event) in &mut events {
            change(event);
        }
        events.extend(self.more.iter().cloned());
        events.sort_by_key(|(t_ns, _)| *t_ns);
        log_of(events)
    }
}

#[test]
fn a_declared_kill_explains_the_death_of_its_target_and_nothing_else_is_needed() {
    let judgement = Faulty::killed("recovery.time max < 1s").judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    // From the proof of the effect to the successor.
    assert_eq!(judgement.criteria[0].value_text, "299 ms");
    let found = &judgement.evidence.iter().find(|e| e.name == "no undeclared death").unwrap().found;
    assert_eq!(found, "0, beside 1 that faults of the scenario explain");
    let judgement = Faulty::killed("detection.time max < 1s").judge();
    assert_eq!(judgement.criteria[0].value_text, "10 ms");
    assert_eq!(Faulty::killed("recovery.time max < 200ms").judge().verdict, Verdict::Fail);
}

#[test]
fn a_fault_that_came_a_second_late_is_not_the_one_that_was_asked_for() {
    for (late_ns, wanted) in [(SECOND, Verdict::Pass), (SECOND + 1, Verdict::Inconclusive)] {
        let mut faulty = Faulty::new("delivery.rate >= 100%", FaultKind::Kill, WORKER);
        faulty
            .step(AT + late_ns, FaultStepKind::Injected)
            .step(AT + late_ns + MS, FaultStepKind::Proven)
            .exit(AT + late_ns + 10 * MS, WORKER)
            .replaced(AT + late_ns + 300 * MS, WORKER, 2);
        let judgement = faulty.judge();
        assert_eq!(judgement.verdict, wanted, "{:?}", judgement.reasons);
        let said = judgement.reasons.iter().any(|reason| reason.contains("after it was due"));
        assert_eq!(said, late_ns > SECOND, "{:?}", judgement.reasons);
    }
}

#[test]
fn a_fault_explains_one_death_of_a_target_and_not_that_of_its_successor() {
    let mut faulty = Faulty::killed("delivery.rate >= 100%");
    faulty.exit_of(AT + 500 * MS, WORKER, (2, 4_004)).replaced(AT + 800 * MS, WORKER, 3);
    let judgement = faulty.judge();
    evidence(&judgement, "no undeclared death", Verdict::Fail);
    let check = judgement.evidence.iter().find(|e| e.name == "no undeclared death").unwrap();
    assert_eq!(check.found, "1, beside 1 that faults of the scenario explain");
}

#[test]
fn a_death_before_the_injection_is_not_the_faults() {
    let mut faulty = Faulty::new("delivery.rate >= 100%", FaultKind::Kill, WORKER);
    faulty
        .exit(AT - SECOND, WORKER)
        .replaced(AT - SECOND / 2, WORKER, 2)
        .step(AT, FaultStepKind::NotInjected);
    let judgement = faulty.judge();
    evidence(&judgement, "no undeclared death", Verdict::Fail);
    evidence(&judgement, "faults proven", Verdict::Inconclusive);
}

#[test]
fn an_effect_that_has_met_nothing_makes_a_run_inconclusive_unless_the_scenario_allows_it() {
    let judge = |hit, allowed| {
        let mut faulty = Faulty::new("delivery.rate >= 100%", FaultKind::CgroupCpu, WORKER);
        faulty
            .step(AT, FaultStepKind::Injected)
            .step(AT + MS, FaultStepKind::Proven)
            .step(AT + SECOND, FaultStepKind::Healed)
            .step(AT + SECOND + MS, FaultStepKind::HealProven);
        if let Some((_, Event::Fault(step))) = faulty.more.last_mut() {
            step.met = Some(Met { hit, of: 10 });
            step.how = FaultKind::CgroupCpu.met_words(Met { hit, of: 10 }).unwrap();
        }
        faulty.judge_with(|event| {
            if let Event::Header(header) = event {
                header.plan.faults[0].may_meet_nothing = allowed;
            }
        })
    };
    for (hit, allowed) in [(3, false), (0, true)] {
        assert_eq!(judge(hit, allowed).verdict, Verdict::Pass, "{hit} {allowed}");
    }
    let judgement = judge(0, false);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let check = judgement.evidence.iter().find(|e| e.name == "faults proven").unwrap();
    let why = "`planned` (firing 0) was not effective: throttled in 0 of 10 periods";
    assert_eq!(check.note.as_deref(), Some(why));
    evidence(&judge(11, false), "log consistent", Verdict::Inconclusive);
}

#[test]
fn an_injection_that_shows_nothing_or_never_happened_is_inconclusive() {
    let asking = "delivery.rate >= 100%";
    let mut unproven = Faulty::new(asking, FaultKind::Kill, WORKER);
    unproven.step(AT, FaultStepKind::Injected).step(AT + 2 * SECOND, FaultStepKind::Unproven);
    let mut silent = Faulty::new(asking, FaultKind::Kill, WORKER);
    silent.step(AT, FaultStepKind::Injected);
    let absent = Faulty::new(asking, FaultKind::Kill, WORKER);
    for (faulty, why) in
        [(unproven, "is unproven: was seen"), (silent, "was never proven"), (absent, "was never injected")]
    {
        let judgement = faulty.judge();
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{why}: {judgement:#?}");
        let check = judgement.evidence.iter().find(|e| e.name == "faults proven").unwrap();
        assert_eq!(check.note.as_deref(), Some(&*format!("`planned` (firing 0) {why}")));
    }
}

/// A pause of a second, as the kernel and the fleet see it.
fn paused(asking: &str, steps: &[(u64, FaultStepKind)]) -> Faulty {
    let mut faulty = Faulty::new(asking, FaultKind::Pause, WORKER);
    for (at_ns, step) in steps {
        faulty.step(*at_ns, *step);
    }
    let incident = Incident {
        kind: IncidentKind::Stopped,
        agent: WORKER.0,
        incarnation: 1,
        name: WORKER.1.into(),
        pid: 1_004,
        how: "was stopped for about 1s".into(),
        from_ns: AT + 100 * MS,
        to_ns: Some(AT + 1_100 * MS),
    };
    faulty.more.push((AT + 1_100 * MS, Event::Incident(incident)));
    faulty
}

#[test]
fn a_declared_pause_explains_its_own_stop_and_must_be_shown_to_be_over() {
    use FaultStepKind::{HealProven, Healed, Injected, Proven, Unhealed};
    let begun = [(AT, Injected), (AT + MS, Proven)];
    let healed = [(AT + SECOND, Healed), (AT + SECOND + MS, HealProven)];
    let judgement = paused("recovery.time max < 1s", &[begun, healed].concat()).judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(judgement.criteria[0].value_text, "0 s", "delivery stayed whole");
    // Stopped again by another hand, as soon as it went on.
    let mut longer = paused("recovery.time max < 1s", &[begun, healed].concat());
    for (at_ns, event) in &mut longer.more {
        if let Event::Incident(incident) = event {
            (*at_ns, incident.to_ns) = (AT + 3_000 * MS, Some(AT + 3_000 * MS));
        }
    }
    let judgement = longer.judge();
    evidence(&judgement, "no undeclared incident", Verdict::Inconclusive);
    // A heal that is forgotten, and one that does nothing.
    for (rest, why) in [
        (vec![], "was never shown to be healed"),
        (vec![(AT + SECOND, Healed), (AT + 3 * SECOND, Unhealed)], "is unhealed: was seen"),
        (vec![(AT + SECOND, Unhealed)], "is unhealed: was seen"),
    ] {
        let judgement = paused("recovery.time max < 1s", &[begun.to_vec(), rest].concat()).judge();
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:#?}");
        let check = judgement.evidence.iter().find(|e| e.name == "faults proven").unwrap();
        assert_eq!(check.note.as_deref(), Some(&*format!("`planned` (firing 0) {why}")));
        assert_eq!(judgement.criteria[0].verdict, Verdict::Inconclusive);
    }
}

#[test]
fn a_stop_that_a_look_saw_which_began_before_the_pause_is_the_pauses() {
    use FaultStepKind::{HealProven, Healed, Injected, Proven};
    let steps = [(AT, Injected), (AT + MS, Proven), (AT + SECOND, Healed), (AT + SECOND + MS, HealProven)];
    let dated = |from_ns: u64, to_ns: u64| {
        let mut faulty = paused("delivery.rate >= 100%", &steps);
        let (t_ns, event) = faulty.more.last_mut().unwrap();
        let Event::Incident(incident) = event else { panic!("{event:?}") };
        (incident.from_ns, incident.to_ns, *t_ns) = (from_ns, Some(to_ns), to_ns);
        faulty.judge()
    };
    assert_eq!(dated(AT - 30 * MS, AT + SECOND).verdict, Verdict::Pass);
    // Over before the injection, or begun long before it: another stop.
    for (from_ns, to_ns) in [(AT - 500 * MS, AT - 100 * MS), (AT - 3 * SECOND, AT + SECOND)] {
        evidence(&dated(from_ns, to_ns), "no undeclared incident", Verdict::Inconclusive);
    }
}

#[test]
fn a_second_stop_of_a_paused_process_is_an_incident() {
    use FaultStepKind::{HealProven, Healed, Injected, Proven};
    let steps = [(AT, Injected), (AT + MS, Proven), (AT + SECOND, Healed), (AT + SECOND + MS, HealProven)];
    let mut faulty = paused("delivery.rate >= 100%", &steps);
    let (at, again) = faulty.more.last().unwrap().clone();
    let Event::Incident(mut again) = again else { panic!("{again:?}") };
    (again.from_ns, again.to_ns) = (again.from_ns + 2 * SECOND, again.to_ns.map(|to_ns| to_ns + 2 * SECOND));
    faulty.more.push((at + 2 * SECOND, Event::Incident(again)));
    evidence(&faulty.judge(), "no undeclared incident", Verdict::Inconclusive);
}

#[test]
fn what_is_lost_until_the_recovery_is_lost_to_the_fault() {
    // One task of the round that is under way at 10 s, of those that are sent every second.
    let losing = |asking: &str| {
        let mut faulty = Faulty::killed(asking);
        faulty.run.failed = |n| u32::from(n == 9);
        faulty
    };
    assert_eq!(losing("fault.loss <= 0").judge().criteria[0].verdict, Verdict::Fail);
    assert_eq!(losing("fault.loss <= 1").judge().criteria[0].verdict, Verdict::Pass);
    let of_other = |asking: &str| {
        let mut faulty = Faulty::killed(asking);
        faulty.run.failed = |n| u32::from(n == 2);
        faulty
    };
    assert_eq!(of_other("fault.loss <= 0").judge().criteria[0].verdict, Verdict::Pass, "before the fault");
}

#[test]
fn a_recovery_that_was_not_seen_to_its_end_is_no_figure() {
    let mut faulty = Faulty::new("recovery.time max < 1h", FaultKind::Kill, WORKER);
    faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven).exit(AT + 10 * MS, WORKER);
    // Its successor never comes.
    assert_eq!(faulty.judge().criteria[0].verdict, Verdict::Inconclusive);
}

#[test]
fn a_sweep_may_lack_what_a_fault_explains_while_it_lasts() {
    let lacking = |sweeps: std::ops::Range<u64>, agents: &'static [u32]| {
        Faulty::killed("delivery.rate >= 100%").judge_with(move |event| {
            if let Event::Sample(sample) = event
                && sweeps.contains(&sample.sweep)
            {
                sample.agents.retain(|row| !agents.contains(&row.agent));
                sample.live -= agents.len() as u32;
            }
        })
    };
    let sweep = |judgement: &Judgement, verdict| {
        let check = judgement.evidence.iter().find(|e| e.name == "agents seen").unwrap();
        assert_eq!(check.verdict, verdict, "{check:?}");
    };
    let every = Run::default().sample_every_ns;
    // The first that is due after the injection, 9 s after the first sweep.
    let first = (9 * SECOND).div_ceil(every);
    sweep(&lacking(first..first + 1, &[4]), Verdict::Pass);
    sweep(&lacking(first..first + 1, &[4, 5]), Verdict::Inconclusive);
    sweep(&lacking(first - 1..first, &[4]), Verdict::Inconclusive);
    let late = first + (3 * SECOND).div_ceil(every) + 1;
    sweep(&lacking(late..late + 1, &[4]), Verdict::Inconclusive);
}

#[test]
fn steps_out_of_order_or_into_others_contradict_the_plan() {
    use FaultStepKind::{HealProven, Injected, Proven};
    let contradicts = |faulty: &Faulty| evidence(&faulty.judge(), "log consistent", Verdict::Inconclusive);
    let mut early = Faulty::new("delivery.rate >= 100%", FaultKind::Pause, WORKER);
    contradicts(early.step(AT, Proven));
    let mut unhealed = Faulty::new("delivery.rate >= 100%", FaultKind::Pause, WORKER);
    contradicts(unhealed.step(AT, Injected).step(AT + MS, Proven).step(AT + SECOND, HealProven));
    let mut other = Faulty::killed("delivery.rate >= 100%");
    if let Event::Fault(step) = &mut other.more[0].1 {
        step.targets[0] =
            FaultTarget { agent: 5, name: "worker/0.2".into(), pid: 1_005, ..step.targets[0].clone() };
    }
    contradicts(&other);
}

#[test]
fn a_death_that_the_run_itself_has_caused_counts_from_the_instant_before() {
    let mut faulty = Faulty::killed("death.detection max < 100ms");
    let noticed = |pid, noticed_ns| {
        let name = WORKER.1.into();
        Event::DeathNoticed(DeathNoticed { name, pid, ended_ns: AT + 4 * MS, noticed_ns })
    };
    // The fleet knew it before the harness's own thread had woken.
    faulty.more.push((AT + 320 * MS, noticed(1_000 + WORKER.0, AT + 3 * MS)));
    // Of another process there is only the kernel's word.
    faulty.more.push((AT + 330 * MS, noticed(77, AT + 6 * MS)));
    let judgement = faulty.judge();
    let found = &judgement.criteria[0];
    assert_eq!((found.verdict, found.value, found.samples), (Verdict::Pass, Some(0.003), 2), "{found:#?}");
    let faulty = Faulty { kind: FaultKind::Pause, ..faulty };
    assert_eq!(faulty.judge().criteria[0].value, Some(0.002), "a pause ends no process");
}

#[test]
fn a_moment_that_was_asked_for_has_to_be_shown() {
    use FaultStepKind::{MomentMissed, MomentShown};
    let asked = MomentFacts { moment: FaultMoment::MidRound, within_ns: SECOND };
    let judge = |planned: Option<MomentFacts>, seen: Option<FaultMoment>, steps: &[FaultStepKind]| {
        let mut faulty = Faulty::killed("delivery.rate >= 100%");
        if let Event::Fault(step) = &mut faulty.more[0].1 {
            step.moment =
                seen.map(|moment| MomentSeen { moment, waited_ns: 7, round: Some(18), tasks: 6, open: 2 });
            (step.at_ns, faulty.more[0].0) = (AT + MS / 2, AT + MS / 2);
        }
        for (after, step) in (2..).zip(steps) {
            faulty.step(AT + after * MS, *step);
        }
        faulty.judge_with(move |event| {
            if let Event::Header(header) = event {
                header.plan.faults[0].firings[0].moment = planned;
            }
        })
    };
    // Round 18 began a moment after it was due.
    let (asked, seen) = (Some(asked), Some(FaultMoment::MidRound));
    assert_eq!(judge(asked, seen, &[MomentShown]).verdict, Verdict::Pass);
    evidence(&judge(asked, seen, &[]), "faults proven", Verdict::Inconclusive);
    evidence(&judge(asked, seen, &[MomentMissed]), "faults proven", Verdict::Inconclusive);
    // A log that says otherwise than the plan, says it twice, or of a firing that waited for nothing.
    for (planned, seen, steps) in [
        (asked, None, &[MomentShown][..]),
        (asked, Some(FaultMoment::TaskInFlight), &[MomentShown]),
        (asked, seen, &[MomentShown, MomentShown]),
        (None, None, &[MomentShown]),
    ] {
        evidence(&judge(planned, seen, steps), "log consistent", Verdict::Inconclusive);
    }
}
