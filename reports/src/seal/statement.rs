//! The in-toto statement of a seal, with the predicate of a test result
//! (<https://in-toto.io/attestation/test-result/v0.1>).

use serde::{Deserialize, Serialize};

use super::SealError;
use crate::verdict::{Judgement, Verdict};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// Every file of the bundle but the seal itself, in the order of the archive.
    pub(super) subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_kind: String,
    pub(super) predicate: TestResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) digest: Digests,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digests {
    pub(super) sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestResult {
    result: Outcome,
    /// The scenario of each run.
    configuration: Vec<Subject>,
    passed_tests: Vec<String>,
    warned_tests: Vec<String>,
    failed_tests: Vec<String>,
}

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Outcome {
    Passed,
    Warned,
    Failed,
}

impl Outcome {
    /// What could not be decided has not been passed.
    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Passed,
            Verdict::Conditional => Self::Warned,
            Verdict::Inconclusive | Verdict::Fail => Self::Failed,
        }
    }
}

impl Subject {
    /// Its name and its SHA-256.
    pub(super) fn named(&self) -> (&str, &str) {
        (&self.name, &self.digest.sha256)
    }
}

impl TestResult {
    /// Of runs, each with its judgement and the scenario that it was a run of. The worst counts.
    pub(super) fn of(runs: &[(&Judgement, Subject)]) -> Self {
        let worst = runs.iter().map(|(run, _)| Outcome::of(run.verdict)).max();
        let named = |wanted: Outcome| {
            let of_run = |run: &Judgement| {
                let verdicts =
                    run.criteria.iter().filter(|one| !one.informational).map(|one| (&one.name, one.verdict));
                let checks = run.evidence.iter().map(|check| (&check.name, check.verdict));
                let fits = |(_, verdict): &(&String, Verdict)| Outcome::of(*verdict) == wanted;
                let name = |(name, _): (&String, Verdict)| format!("{}/{name}", run.run_id);
                verdicts.chain(checks).filter(fits).map(name).collect::<Vec<_>>()
            };
            runs.iter().flat_map(|(run, _)| of_run(run)).collect()
        };
        Self {
            result: worst.unwrap_or(Outcome::Failed),
            configuration: runs.iter().map(|(_, scenario)| scenario.clone()).collect(),
            passed_tests: named(Outcome::Passed),
            warned_tests: named(Outcome::Warned),
            failed_tests: named(Outcome::Failed),
        }
    }
}

impl Statement {
    pub(super) fn new(subject: Vec<Subject>, predicate: TestResult) -> Self {
        Self { kind: STATEMENT.to_owned(), subject, predicate_kind: TEST_RESULT.to_owned(), predicate }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a statement holds nothing but strings and lists")
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, SealError> {
        let refuse = |what: String| {
            SealError::NotABundle(format!("its seal is not a statement of test results: {what}"))
        };
        let statement: Self = serde_json::from_slice(payload).map_err(|error| refuse(error.to_string()))?;
        for (found, wanted) in [(&statement.kind, STATEMENT), (&statement.predicate_kind, TEST_RESULT)] {
            if found != wanted {
                return Err(refuse(format!("it is of type `{found}`, and not `{wanted}`")));
            }
        }
        Ok(statement)
    }
}
