//! Whether the judge can fail a run: one canary for every kind of criterion and every check of the evidence.
//!
//! A canary is a pair of runs that never happened ([`crate::synthetic`]). The sound one must be judged well, and the other,
//! bent in one place, must not: by that criterion or check, and by no other. The tables are `match`es without a rest, so a
//! metric, an aggregation, a comparator or a check without a canary does not compile.

mod bend;
mod checks;
mod grammar;
mod metrics;

use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use crate::synthetic::Synthetic;
use reports::criterion::catalogue;
use reports::verdict::Check;
use reports::{Judgement, Verdict};

/// A defect that must be noticed.
#[derive(Debug, Clone)]
pub struct Canary {
    /// What notices it: a metric, a part of the grammar, or a check.
    pub name: String,
    pub kind: Kind,
    /// The criterion that both runs are asked.
    pub asks: &'static str,
    /// Laid over both runs: what they need for the figure to be there.
    lay: fn(&mut Synthetic),
    /// Done to the sound run alone.
    sound: fn(&mut Synthetic),
    /// What is wrong with the other.
    bend: fn(&mut Synthetic),
    /// How that one is judged, by what the canary is of.
    wants: Verdict,
    /// Checks that notice the same defect.
    also: &'static [Check],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Metric,
    Grammar,
    Check(Check),
}

/// What a canary's two runs were judged to be.
#[derive(Debug, Clone)]
pub struct Tried {
    pub canary: Canary,
    /// By what the canary is of: of the sound run, and of the bent one.
    pub found: [Verdict; 2],
    /// What is not as it should be; nothing if the canary has sung.
    pub wrong: Option<String>,
}

impl Canary {
    /// Noticed by a criterion that fails.
    fn new(kind: Kind, name: impl Into<String>, asks: &'static str, bend: fn(&mut Synthetic)) -> Self {
        Self {
            name: name.into(),
            kind,
            asks,
            lay: |_| {},
            sound: |_| {},
            bend,
            wants: Verdict::Fail,
            also: &[],
        }
    }

    fn asking(self, asks: &'static str) -> Self {
        Self { asks, ..self }
    }

    fn lay(self, lay: fn(&mut Synthetic)) -> Self {
        Self { lay, ..self }
    }

    fn sound(self, sound: fn(&mut Synthetic)) -> Self {
        Self { sound, ..self }
    }

    fn wants(self, wants: Verdict) -> Self {
        Self { wants, ..self }
    }

    fn also(self, also: &'static [Check]) -> Self {
        Self { also, ..self }
    }

    /// Judges both runs.
    pub fn sing(self, sound: &Synthetic) -> Tried {
        let mut run = sound.clone();
        for spec in &mut run.header().criteria {
            self.asks.clone_into(&mut spec.pass);
        }
        (self.lay)(&mut run);
        let mut bent = run.clone();
        (self.sound)(&mut run);
        (self.bend)(&mut bent);
        match (run.judge(), bent.judge()) {
            (Ok(sound), Ok(bent)) => self.compare(&sound, &bent),
            (Err(error), _) | (_, Err(error)) => {
                Tried { found: [Verdict::Inconclusive; 2], wrong: Some(error.to_string()), canary: self }
            }
        }
    }

    fn compare(self, sound: &Judgement, bent: &Judgement) -> Tried {
        let found = [self.verdict(sound), self.verdict(bent)];
        let mut wrong = Vec::new();
        if sound.verdict != Verdict::Pass {
            wrong.push(format!("the sound run is {}: {}", sound.verdict.word(), sound.reasons.join(" ")));
        }
        if found[1] != self.wants {
            wrong.push(format!(
                "the bent run is {} by it, and should be {}: {}",
                found[1].word(),
                self.wants.word(),
                bent.reasons.join(" ")
            ));
        }
        if bent.verdict < self.wants {
            wrong.push(format!("the bent run is {}", bent.verdict.word()));
        }
        let own = |name: &str| match self.kind {
            Kind::Check(check) => check.name() == name,
            Kind::Metric | Kind::Grammar => false,
        };
        for check in bent.evidence.iter().filter(|e| e.verdict != Verdict::Pass && !own(&e.name)) {
            if !self.also.iter().any(|also| also.name() == check.name) {
                let note = check.note.as_deref().unwrap_or_default();
                wrong.push(format!("`{}` notices it, too: {} {note}", check.name, check.found));
            }
        }
        Tried { found, wrong: (!wrong.is_empty()).then(|| wrong.join("; ")), canary: self }
    }

    /// By what the canary is of. A check that is not made finds nothing.
    fn verdict(&self, judgement: &Judgement) -> Verdict {
        match self.kind {
            Kind::Metric | Kind::Grammar => {
                judgement.criteria.first().map_or(Verdict::Inconclusive, |criterion| criterion.verdict)
            }
            Kind::Check(check) => {
                let made = judgement.evidence.iter().find(|e| e.name == check.name());
                made.map_or(Verdict::Pass, |made| made.verdict)
            }
        }
    }
}

/// All of them: metrics in the order of the catalogue, then the grammar, then the checks.
pub fn canaries() -> Vec<Canary> {
    let metrics = catalogue().iter().map(|metric| metrics::canary(metric.id));
    metrics.chain(grammar::canaries()).chain(Check::ALL.into_iter().map(checks::canary)).collect()
}

/// The run that every canary bends.
///
/// # Panics
/// If the scenario that it is made from, which is part of this program, cannot be used.
pub fn sound() -> Synthetic {
    let source = Source::new("selftest.toml", include_str!("selftest/sound.toml"));
    let scenario = Scenario::parse(&source, &Selection::default()).expect("a test reads this file");
    Synthetic::of(&Plan::new(scenario, &PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canary_sings() {
        let sound = sound();
        let wrong: Vec<String> = canaries()
            .into_iter()
            .map(|canary| canary.sing(&sound))
            .filter_map(|tried| {
                tried.wrong.map(|what| format!("{} ({}): {what}", tried.canary.name, tried.canary.asks))
            })
            .collect();
        assert!(wrong.is_empty(), "{} canaries:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn a_canary_whose_defect_is_none_is_noticed() {
        let silent = Canary::new(Kind::Metric, "none", "delivery.rate >= 100%", |_| {});
        let tried = silent.sing(&sound());
        assert!(tried.wrong.unwrap().contains("the bent run is PASS by it, and should be FAIL"));
    }
}
