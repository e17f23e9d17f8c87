//! Verdicts, added up as the runs are judged: nothing is kept of a run but what it adds.

use super::Job;
use reports::runlog::event::CriterionSpec;
use reports::stats::{Interval, share_interval};
use reports::{Judgement, Verdict};
use std::collections::BTreeMap;

/// Of the intervals that are printed.
const MISS: f64 = 0.05;
/// Of a defect, the place in [`super::SIZES`] that must always be found.
const TWICE: usize = 2;

/// Verdicts, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub pass: u64,
    pub conditional: u64,
    pub inconclusive: u64,
    pub fail: u64,
}

impl Count {
    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Conditional => &mut self.conditional,
            Verdict::Inconclusive => &mut self.inconclusive,
            Verdict::Fail => &mut self.fail,
        } += 1;
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            pass: self.pass + other.pass,
            conditional: self.conditional + other.conditional,
            inconclusive: self.inconclusive + other.inconclusive,
            fail: self.fail + other.fail,
        }
    }

    pub fn all(self) -> u64 {
        self.pass + self.conditional + self.inconclusive + self.fail
    }

    /// The share of runs that failed, and where it may lie.
    pub fn failed(self) -> Interval {
        share_interval(self.fail, self.all(), MISS)
    }

    /// The share of runs that passed, and where it may lie.
    pub fn passed(self) -> Interval {
        share_interval(self.pass, self.all(), MISS)
    }
}

/// A criterion or check that had something to say where it should not.
#[derive(Debug, Clone)]
pub struct Fired {
    pub name: String,
    /// In how many runs.
    pub runs: u64,
    /// What it said in the first of them.
    pub first: String,
}

/// What the runs of one kind were judged to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Of a defect: by its own criterion.
    pub(super) verdicts: Count,
    /// What that one said of twice its limit where it did not fail.
    pub(super) missed: Notes,
    /// Of clean runs what did not pass, and of a defect what else failed.
    pub(super) fired: Notes,
}

impl Tally {
    pub(super) fn add(&mut self, run: u64, job: &Job, judgement: &Judgement, criteria: &[CriterionSpec]) {
        match job {
            Job::Clean(_) => {
                self.verdicts.add(judgement.verdict);
                for (name, verdict, words) in said(judgement) {
                    if verdict != Verdict::Pass {
                        self.fired.add(name, run, || format!("{}: {}", verdict.word(), words()));
                    }
                }
            }
            Job::Defect(number, defect, size) => {
                let own = judgement.criteria[*number].verdict;
                self.verdicts.add(own);
                for (name, verdict, words) in said(judgement) {
                    let words = || format!("{}: {}", verdict.word(), words());
                    // Of several sizes, what the smallest brought about is told first.
                    let order = (*size as u64) << 32 | run;
                    if name == criteria[*number].name {
                        if *size == TWICE && verdict != Verdict::Fail {
                            self.missed.add(name, order, words);
                        }
                    } else if verdict == Verdict::Fail && !defect.is_noticed_by(name, criteria) {
                        self.fired.add(name, order, words);
                    }
                }
            }
        }
    }
}

/// Each criterion and check: its name, its verdict, and what it says.
fn said(judgement: &Judgement) -> impl Iterator<Item = (&str, Verdict, Box<dyn Fn() -> String + '_>)> {
    let criteria = judgement.criteria.iter().filter(|c| !c.informational).map(|c| {
        let words: Box<dyn Fn() -> String> = Box::new(|| {
            let parts = [Some(&c.value_text), c.interval_text.as_ref(), c.note.as_ref()];
            parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ")
        });
        (&c.name[..], c.verdict, words)
    });
    let checks = judgement.evidence.iter().map(|e| {
        let words: Box<dyn Fn() -> String> =
            Box::new(|| [&e.found[..], e.note.as_deref().unwrap_or_default()].join(" "));
        (&e.name[..], e.verdict, words)
    });
    criteria.chain(checks)
}

/// By name: in how many runs, which was the first, and what it said in that one.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(BTreeMap<String, (u64, u64, String)>);

impl Notes {
    fn add(&mut self, name: &str, order: u64, words: impl Fn() -> String) {
        match self.0.get_mut(name) {
            Some((runs, first, said)) => {
                *runs += 1;
                if order < *first {
                    (*first, *said) = (order, words());
                }
            }
            None => {
                self.0.insert(name.to_owned(), (1, order, words()));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (name, (runs, first, said)) in &other.0 {
            let known = self.0.entry(name.clone()).or_insert((0, u64::MAX, String::new()));
            known.0 += runs;
            if *first < known.1 {
                (known.1, known.2) = (*first, said.clone());
            }
        }
    }

    /// The most frequent first.
    pub(super) fn list(&self) -> Vec<Fired> {
        let all = self.0.iter();
        let mut all: Vec<Fired> = all
            .map(|(name, (runs, _, first))| Fired { name: name.clone(), runs: *runs, first: first.clone() })
            .collect();
        all.sort_by_key(|fired| std::cmp::Reverse(fired.runs));
        all
    }
}
