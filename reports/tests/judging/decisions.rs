//! One history for each outcome of a gate, and for each way to pass one that must not work.

mod advice;
mod bound;
mod cheats;
mod formerly;
mod hidden;
mod outcomes;
mod plans;
mod resumed;
pub(crate) mod shown;

use std::collections::BTreeMap;

use jiff::Timestamp;
use reports::gate::ask::Asked;
use reports::gate::decide::decide;
use reports::gate::decision::Decision;
use reports::gate::exhibit::{Caller, Circumstances, Exhibit, Found, Inputs, JudgedRun, Ongoing, Recipe};
use reports::gate::index::{Entry, Index};
use reports::gate::outside;
use reports::gate::plan::*;
use reports::runlog::event::{Event, Header};

use crate::synthetic::{Run, SCENARIO, judge, log_of, sha256_of};

pub(crate) const DAY_NS: u64 = 86_400_000_000_000;
const NOW: &str = "2026-02-01T12:00:00Z";

/// A run of the synthetic scenario that began at noon of a day of January.
pub(crate) fn ran(day: u32, run: &Run, mut bend: impl FnMut(&mut Header)) -> Exhibit {
    let mut events = run.events();
    let mut facts = None;
    for (_, event) in &mut events {
        if let Event::Header(header) = event {
            header.run_id = format!("synthetic-{day:02}");
            header.started_utc = format!("2026-01-{day:02}T12:00:00Z");
            bend(header);
            facts = Some((header.host.clone(), header.build.clone(), header.run_id.clone()));
        }
    }
    let (host, build, id) = facts.unwrap();
    let judgement = judge(&log_of(events));
    Exhibit {
        directory: format!("runs/synthetic/{id}"),
        scenario: judgement.scenario.clone(),
        log_sha256: format!("log of {id}, {}", judgement.verdict.word()),
        records_sha256: format!("records of {day}, {}", judgement.verdict.word()),
        signers: Vec::new(),
        judged: Ok(Box::new(JudgedRun { judgement, host, build })),
    }
}

pub(crate) fn green(day: u32) -> Exhibit {
    ran(day, &Run::default(), |_| ())
}

/// 5 in 6 of the tasks of one round in ten are lost: less than 99 %.
pub(crate) fn red(day: u32) -> Exhibit {
    ran(day, &Run { failed: |n| if n % 10 == 0 { 5 } else { 0 }, ..Run::default() }, |_| ())
}

pub(crate) fn runs() -> Runs {
    Runs {
        scenario: "synthetic.toml".into(),
        sha256: None,
        profile: None,
        runs: 1,
        select: Select::All,
        host: Whose::Any,
        build: Whose::Any,
        environments: None,
        signed_by: Vec::new(),
        criteria: Vec::new(),
    }
}

pub(crate) fn evidence(source: Source) -> Evidence {
    Evidence {
        name: "stable".into(),
        says: "It is stable.".into(),
        fresh_ns: Some(30 * DAY_NS),
        source,
        place: "phases.toml:12".into(),
    }
}

pub(crate) fn coverage() -> Evidence {
    let asked = |text| Asked::parse(text, Format::Lcov).unwrap();
    let file = OutsideFile {
        path: "lcov.info".into(),
        format: Format::Lcov,
        build: Whose::Any,
        about: None,
        signed_by: Vec::new(),
        pass: asked("coverage.lines >= 75%"),
        conditional: Some(asked("coverage.lines >= 70%")),
        command: "cargo xtask coverage".into(),
        takes_ns: Some(1_800_000_000_000),
    };
    Evidence { name: "coverage".into(), says: "It is tested.".into(), ..evidence(Source::File(file)) }
}

pub(crate) fn gate(outcomes: Outcomes, evidence: Vec<Evidence>) -> Gate {
    Gate {
        name: "gate".into(),
        title: "The gate".into(),
        asks: "Is it good enough?".into(),
        phase: "phase".into(),
        outcomes,
        requirements: vec!["G1".into()],
        conditional_from: None,
        on_pass: "Go on.".into(),
        on_conditional: "Go on, and mend the conditions.".into(),
        on_fail: "Stop.".into(),
        evidence,
        waivers: Vec::new(),
        risks: vec![Risk {
            name: "unstable".into(),
            says: "It is not stable.".into(),
            likelihood: Likelihood::Medium,
            impact: Impact::High,
            mitigation: "Mend it.".into(),
            evidence: vec!["stable".into()],
        }],
        options: Vec::new(),
    }
}

pub(crate) fn waiver(criterion: &str, expires: &str) -> Waiver {
    Waiver {
        evidence: "stable".into(),
        criterion: criterion.into(),
        author: "Jane Doe".into(),
        reason: "The loss is understood.".into(),
        expires: expires.parse().unwrap(),
        place: "phases.toml:40".into(),
    }
}

/// As inputs name the file.
pub(crate) fn lcov() -> (String, Format) {
    ("lcov.info".to_owned(), Format::Lcov)
}

/// Everything that a decision is made from, as it is bent.
pub(crate) struct History {
    pub(crate) gate: Gate,
    pub(crate) exhibits: Vec<Exhibit>,
    pub(crate) index: Index,
    pub(crate) lcov: Option<&'static str>,
    pub(crate) ongoing: Vec<Ongoing>,
    pub(crate) recipes: Vec<Recipe>,
}

impl History {
    pub(crate) fn of(exhibits: Vec<Exhibit>) -> Self {
        Self {
            gate: gate(Outcomes::Pass, vec![evidence(Source::Runs(runs()))]),
            exhibits,
            index: Index::default(),
            lcov: None,
            ongoing: Vec::new(),
            recipes: vec![Recipe {
                name: "synthetic".into(),
                sha256: sha256_of(SCENARIO),
                files: vec!["scenarios/synthetic.toml".into()],
                criteria: vec!["all delivered".into(), "fast".into()],
                command: "harness run scenarios/synthetic.toml".into(),
                takes_ns: 65_000_000_000,
            }],
        }
    }

    pub(crate) fn asking(mut self, bend: impl FnOnce(&mut Runs)) -> Self {
        let Source::Runs(runs) = &mut self.gate.evidence[0].source else { unreachable!("it asks for runs") };
        bend(runs);
        self
    }

    pub(crate) fn indexed(mut self, exhibits: &[Exhibit]) -> Self {
        self.index.entries = exhibits
            .iter()
            .map(|exhibit| {
                let run = exhibit.judged.as_ref().unwrap();
                Entry::of(&run.judgement, exhibit.log_sha256.clone(), exhibit.directory.replace("runs/", ""))
            })
            .collect();
        self
    }

    pub(crate) fn inputs(&self) -> Inputs {
        let now: Timestamp = NOW.parse().unwrap();
        let found = |text: &str| {
            let reading = outside::read(Format::Lcov, text.as_bytes());
            Found { changed: now, signers: Vec::new(), reading }
        };
        Inputs {
            circumstances: Circumstances {
                now,
                fingerprint: "f1-f00d".into(),
                commit: Some("1234567".into()),
            },
            caller: Caller { home: "scenarios".into(), runs: "runs".into(), ..Caller::default() },
            exhibits: self.exhibits.clone(),
            index: self.index.clone(),
            ongoing: self.ongoing.clone(),
            recipes: BTreeMap::from([(("synthetic.toml".into(), None), self.recipes.clone())]),
            files: self.lcov.map(|text| (lcov(), found(text))).into_iter().collect(),
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        let plan = Plan {
            title: "A project".into(),
            demo: false,
            file: PlanFile { path: "scenarios/phases.toml".into(), sha256: "11".repeat(32) },
            phases: vec![Phase { name: "phase".into(), title: "A phase".into(), after: Vec::new() }],
            sprints: Vec::new(),
            gates: vec![self.gate.clone()],
        };
        decide(&plan, &self.gate, &self.inputs())
    }
}

/// A run of the synthetic scenario that is not over.
pub(crate) fn going(directory: &str) -> Ongoing {
    Ongoing { directory: directory.into(), scenarios: vec!["synthetic".into()], profile: None }
}

/// Why the run of this day does not count.
#[track_caller]
pub(crate) fn why_not(decision: &Decision, directory: &str) -> String {
    let run = decision.evidence[0].runs.iter().find(|run| run.directory == directory).unwrap();
    assert!(!run.counts, "{run:#?}");
    run.why_not.clone().unwrap()
}
