//! What of a run or of its judgement differs from its scenario file, and what was run instead.
//!
//! A run under overrides, a profile or a compressed schedule is a run of something else than the file states. It
//! says so in every document, and no gate is satisfied by it, unless a gate names the profile.

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::runlog::event::{Arrivals, Header, JudgedBy, LoadModel, PlanFacts, ScenarioFacts, Topology};
use crate::units;

/// What command lines laid over the scenario file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The name of the profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// `key=value`, as given.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// The schedule was compressed so many times.
    #[serde(default)]
    pub rehearsal: Option<f64>,
    /// The run was judged by the criteria of another file than the one that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// The host had no room for all workers, and the file allows fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller: Option<Smaller>,
}

/// A fleet that is smaller than the file says. Workers of the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smaller {
    /// That the fleet had places for.
    pub workers: u32,
    /// That the file asks for.
    pub asked: u32,
}

impl Smaller {
    fn of(plan: &PlanFacts) -> Option<Self> {
        plan.workers_asked.map(|asked| Self { workers: plan.places(), asked })
    }

    /// `12 of 40 workers`
    pub fn words(self) -> String {
        format!("{} of {} workers", units::count(self.workers.into()), units::count(self.asked.into()))
    }
}

impl Variant {
    pub fn of(header: &Header) -> Self {
        Self::planned(&header.scenario, header.rehearsal, &header.plan)
    }

    /// Of a run that need not have begun.
    pub fn planned(scenario: &ScenarioFacts, rehearsal: Option<f64>, plan: &PlanFacts) -> Self {
        Self {
            profile: scenario.profile.clone(),
            overrides: scenario.overrides.clone(),
            rehearsal,
            judged_by: scenario.judged_by.clone(),
            smaller: Smaller::of(plan),
        }
    }

    /// The file as it stands.
    pub fn is_plain(&self) -> bool {
        self.profile.is_none()
            && self.overrides.is_empty()
            && self.rehearsal.is_none()
            && self.judged_by.is_none()
            && self.smaller.is_none()
    }

    /// In a few words: `rehearsal 1440x, profile ci, 2 overrides`. Empty if plain.
    pub fn tag(&self) -> String {
        let overrides = match self.overrides.len() {
            0 => None,
            1 => Some("1 override".to_owned()),
            n => Some(format!("{n} overrides")),
        };
        let parts = [
            self.smaller.map(Smaller::words),
            self.rehearsal.map(|factor| format!("rehearsal {factor}x")),
            self.profile.as_ref().map(|name| format!("profile {name}")),
            overrides,
            self.judged_by.as_ref().map(|by| format!("criteria of {}", by.file)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// A sentence each: what was changed, and what follows from it. Empty if plain.
    pub fn banners(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(smaller) = self.smaller {
            out.push(format!(
                "SMALLER FLEET: {}, because the host had no room for all. This run satisfies no gate.",
                smaller.words()
            ));
        }
        if let Some(factor) = self.rehearsal {
            out.push(format!(
                "REHEARSAL: the schedule was compressed {factor} times. This run satisfies no gate."
            ));
        }
        let given: Vec<String> = self.overrides.iter().map(|text| format!("`{text}`")).collect();
        let given = given.join(", ");
        match &self.profile {
            Some(name) if self.overrides.is_empty() => {
                // What was changed besides says that the run satisfies none.
                let besides = Self { profile: None, ..self.clone() };
                let gate = if besides.is_plain() {
                    " This run satisfies only a gate that names this profile."
                } else {
                    ""
                };
                out.push(format!("PROFILE `{name}`: keys of the scenario file were replaced.{gate}"));
            }
            Some(name) => out.push(format!(
                "PROFILE `{name}` AND OVERRIDES on the command line: {given}. This run satisfies no gate."
            )),
            None if self.overrides.is_empty() => {}
            None => out.push(format!("OVERRIDES on the command line: {given}. This run satisfies no gate.")),
        }
        if let Some(by) = &self.judged_by {
            out.push(format!(
                "OTHER CRITERIA: judged by those of `{}` (scenario `{}`, SHA-256 {}), and not by those that this run was asked. This judgement satisfies no gate.",
                by.file, by.scenario, by.sha256
            ));
        }
        out
    }
}

/// What was run, whatever the scenario file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// A line for titles: `3 workers under 1 coordinator: echo 256 B, a round every 1 s, 6 s`.
    pub title: String,
    pub seed: u64,
    pub processes: u32,
    pub coordinators: u32,
    pub workers: u64,
    pub workload: String,
    /// Of the load phase, as planned and as it went, in nanoseconds.
    pub duration_ns: u64,
    pub load_ns: u64,
}

impl Ran {
    pub fn of(facts: &Facts) -> Self {
        let header = &facts.header;
        let plan = &header.plan;
        let workers = u64::from(plan.places());
        Self {
            title: title(plan),
            seed: header.seed,
            processes: plan.processes,
            coordinators: plan.coordinators,
            workers,
            workload: plan.workload.clone(),
            duration_ns: plan.duration_ns,
            load_ns: facts.load_ns(),
        }
    }
}

/// What a plan does, in a line: the title of [`Ran`].
pub fn title(plan: &PlanFacts) -> String {
    let workers = u64::from(plan.places());
    let workers = match plan.workers_least {
        Some(least) if u64::from(least) < workers => {
            format!("{} to {}", units::count(f64::from(least)), units::things(workers, "worker"))
        }
        _ => units::things(workers, "worker"),
    };
    let coordinators = units::things(u64::from(plan.coordinators), "coordinator");
    let fleet = match (plan.topology, plan.coordinators_least) {
        (Topology::Flat, _) => format!("{workers} under one coordinator"),
        (Topology::Hybrid, None) => format!("{workers} under {coordinators}"),
        (Topology::Hybrid, Some(least)) => format!("{workers} under {least} to {coordinators}"),
    };
    let round = match plan.tasks_per_round {
        None => "round".to_owned(),
        Some(tasks) => format!("round of {}", units::things(u64::from(tasks), "task")),
    };
    let every = units::nanos(plan.round_every_ns);
    let load = match (plan.load, plan.arrivals) {
        (LoadModel::Open, Arrivals::Constant) => format!("a {round} every {every}"),
        (LoadModel::Open, Arrivals::Poisson) => format!("a {round} at random, every {every} on average"),
        (LoadModel::Closed, _) => format!("{round} after round"),
    };
    format!("{fleet}: {}, {load}, for {}", plan.workload, units::nanos(plan.duration_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two banners never say two things about gates.
    #[test]
    fn a_profile_alone_can_satisfy_a_gate_and_its_banner_says_so_only_then() {
        let ci = Variant { profile: Some("ci".into()), ..Variant::default() };
        let [alone] = &ci.banners()[..] else { panic!("{:?}", ci.banners()) };
        assert!(alone.ends_with("satisfies only a gate that names this profile."), "{alone}");
        let set = Variant { overrides: vec!["seed=7".into()], ..ci.clone() };
        let [both] = &set.banners()[..] else { panic!("{:?}", set.banners()) };
        assert_eq!(
            both,
            "PROFILE `ci` AND OVERRIDES on the command line: `seed=7`. This run satisfies no gate."
        );
        let rehearsed = Variant { rehearsal: Some(60.0), ..ci };
        let banners = rehearsed.banners().join("\n");
        assert!(
            !banners.contains("names this profile") && banners.contains("satisfies no gate"),
            "{banners}"
        );
    }

    #[test]
    fn a_variant_names_all_that_was_changed() {
        let plain = Variant::default();
        assert!(plain.is_plain() && plain.tag().is_empty() && plain.banners().is_empty());
        let all = Variant {
            profile: Some("ci".into()),
            overrides: vec!["load.duration=6s".into(), "!load.warm_up".into()],
            rehearsal: Some(60.0),
            judged_by: Some(JudgedBy {
                scenario: "new".into(),
                file: "new.toml".into(),
                sha256: "ab".into(),
            }),
            smaller: Some(Smaller { workers: 12, asked: 40 }),
        };
        assert_eq!(
            all.tag(),
            "12 of 40 workers, rehearsal 60x, profile ci, 2 overrides, criteria of new.toml"
        );
        let banners = all.banners().join("\n");
        for part in [
            "SMALLER FLEET: 12 of 40 workers",
            "compressed 60 times",
            "`ci`",
            "`load.duration=6s`, `!load.warm_up`",
            "`new.toml` (scenario `new`",
        ] {
            assert!(banners.contains(part), "{part}: {banners}");
        }
    }
}
