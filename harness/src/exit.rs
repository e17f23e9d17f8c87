//! Exit codes are API: pipelines branch on them.
//!
//! Verdicts stay off 1, 2 and 101, which make, clap and panics use.

use reports::{JudgeError, Judged};
use std::process::Termination;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// PASS or GO; for verbs without a verdict: done.
    Pass,
    /// FAIL or NO-GO.
    Fail,
    Conditional,
    Inconclusive,
    /// Worse than the baseline.
    Regression,
    /// This host cannot run the scenario, and nothing was started; or what was asked for cannot be written.
    HostUnfit,
    /// Ended by request before its time; resumable.
    Interrupted,
    /// The command line, a scenario or a log cannot be understood.
    Usage,
    /// A bug of the harness.
    Bug,
    /// Ended by signal n.
    Signal(u8),
}

impl ExitCode {
    /// What the fleet's own command line ended with: the same table.
    pub fn of_coordinator(code: u8) -> Self {
        match code {
            0 => Self::Pass,
            10 => Self::Fail,
            20 => Self::HostUnfit,
            21 => Self::Interrupted,
            64 => Self::Usage,
            _ => Self::Bug,
        }
    }

    /// What a log was judged to be. A PASS whose documents could not be written cannot be read, and is no success.
    pub fn of_judged(judged: &Result<Judged, JudgeError>) -> Self {
        match judged {
            Ok(judged) => match Self::of_reports(judged.judgement.exit.code) {
                Self::Pass if judged.unwritten.is_some() => Self::HostUnfit,
                code => code,
            },
            Err(error) => Self::of_reports(error.exit_code()),
        }
    }

    /// `verdict.json`, `decision.json` and errors name the number; this is its type.
    pub(crate) fn of_reports(code: u8) -> Self {
        match code {
            0 => Self::Pass,
            10 => Self::Fail,
            11 => Self::Conditional,
            12 => Self::Inconclusive,
            13 => Self::Regression,
            20 => Self::HostUnfit,
            21 => Self::Interrupted,
            64 => Self::Usage,
            _ => Self::Bug,
        }
    }

    /// What several runs amount to: the worst, in the order 70, 64, 20, 10, 13, 12, 11, 0. An end that was asked for
    /// comes before all of them: not everything was run. Nothing at all is a pass.
    pub fn worst(codes: impl IntoIterator<Item = Self>) -> Self {
        codes.into_iter().max_by_key(|code| code.gravity()).unwrap_or(Self::Pass)
    }

    fn gravity(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Conditional => 1,
            Self::Inconclusive => 2,
            Self::Regression => 3,
            Self::Fail => 4,
            Self::HostUnfit => 5,
            Self::Usage => 6,
            Self::Bug => 7,
            Self::Interrupted => 8,
            Self::Signal(_) => 9,
        }
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 10,
            Self::Conditional => 11,
            Self::Inconclusive => 12,
            Self::Regression => 13,
            Self::HostUnfit => 20,
            Self::Interrupted => 21,
            Self::Usage => 64,
            Self::Bug => 70,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self.code())
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_runs_is_in_the_documented_order() {
        use ExitCode::*;
        let order = [Pass, Conditional, Inconclusive, Regression, Fail, HostUnfit, Usage, Bug, Interrupted];
        for (index, worse) in order.iter().enumerate() {
            for better in &order[..=index] {
                assert_eq!(ExitCode::worst([*better, *worse, *better]), *worse);
            }
        }
        assert_eq!(ExitCode::worst([]), Pass);
    }

    #[test]
    fn the_codes_are_those_that_pipelines_know() {
        use ExitCode::*;
        let all = [
            Pass,
            Fail,
            Conditional,
            Inconclusive,
            Regression,
            HostUnfit,
            Interrupted,
            Usage,
            Bug,
            Signal(15),
        ];
        assert_eq!(all.map(ExitCode::code), [0, 10, 11, 12, 13, 20, 21, 64, 70, 143]);
    }
}
