//! What is checked of every run, whether its scenario asks for it or not.

/// A check of the evidence. Each has its canary in `harness selftest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    RunComplete,
    LogConsistent,
    CriteriaGiven,
    LoadDuration,
    RoundsDone,
    WorkDone,
    WorkProven,
    FaultsProven,
    StagesDone,
    AgentsSeen,
    SamplingCoverage,
    SamplerOnTime,
    PssRead,
    HarnessDoesNotGrow,
    CountedOnce,
    Ledger,
    NoDeath,
    NoIncident,
    NoAlert,
    NothingLeft,
    MemoryUntouched,
    SetUp,
    TearDown,
}

impl Check {
    /// In the order of the documents.
    pub const ALL: [Self; 23] = [
        Self::RunComplete,
        Self::LogConsistent,
        Self::CriteriaGiven,
        Self::LoadDuration,
        Self::RoundsDone,
        Self::WorkDone,
        Self::WorkProven,
        Self::FaultsProven,
        Self::StagesDone,
        Self::AgentsSeen,
        Self::SamplingCoverage,
        Self::SamplerOnTime,
        Self::PssRead,
        Self::HarnessDoesNotGrow,
        Self::CountedOnce,
        Self::Ledger,
        Self::NoDeath,
        Self::NoIncident,
        Self::NoAlert,
        Self::NothingLeft,
        Self::MemoryUntouched,
        Self::SetUp,
        Self::TearDown,
    ];

    /// As the documents call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunComplete => "run complete",
            Self::LogConsistent => "log consistent",
            Self::CriteriaGiven => "criteria given",
            Self::LoadDuration => "load duration",
            Self::RoundsDone => "rounds done",
            Self::WorkDone => "work done",
            Self::WorkProven => "work proven",
            Self::FaultsProven => "faults proven",
            Self::StagesDone => "stages done",
            Self::AgentsSeen => "agents seen",
            Self::SamplingCoverage => "sampling coverage",
            Self::SamplerOnTime => "sampler on time",
            Self::PssRead => "PSS read",
            Self::HarnessDoesNotGrow => "harness does not grow",
            Self::CountedOnce => "each task counted once",
            Self::Ledger => "ledger",
            Self::NoDeath => "no undeclared death",
            Self::NoIncident => "no undeclared incident",
            Self::NoAlert => "no alert",
            Self::NothingLeft => "nothing left behind",
            Self::MemoryUntouched => "shared memory untouched",
            Self::SetUp => "set-up",
            Self::TearDown => "tear-down",
        }
    }

    /// The check that the documents call so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }

    /// What to do where it does not hold, in a sentence; what stands between backticks is typed.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RunComplete => "Resume the run where it ended, with `harness resume RUN`, or run it again.",
            Self::LogConsistent => {
                "Judge an unharmed copy of the run log, or run the scenario again: this log does not agree with itself."
            }
            Self::CriteriaGiven => {
                "Write into the scenario what is asked, with `[[criterion]]`, and run it again."
            }
            Self::LoadDuration | Self::RoundsDone => {
                "Look in the plots for the time from which the load fell behind, and run the scenario again on a quiet host."
            }
            Self::WorkDone => {
                "Read in the report which tasks failed, and why: the first of them is often the cause of the others."
            }
            Self::WorkProven => {
                "Look at what the workers ran: the times that they report are not those that the kernel counted for them."
            }
            Self::FaultsProven => {
                "Read in the table of faults which of them had no effect or was not healed; `harness doctor` says what this host allows."
            }
            Self::StagesDone => {
                "Look in the plots for the stage that was not reached, and give its change of size more time."
            }
            Self::AgentsSeen | Self::SamplingCoverage | Self::SamplerOnTime => {
                "Run it again on a quiet host, or sample less often: the processes were not looked at as often as planned."
            }
            Self::PssRead => {
                "Run it as a user who may read the memory of the workers, or ask about `memory.rss` instead of `memory.pss`."
            }
            Self::HarnessDoesNotGrow => "Keep the run's directory, and report it: the harness itself leaks.",
            Self::CountedOnce | Self::Ledger => {
                "Keep the run's directory: tasks were lost or counted twice, and the ledger in the report says at which end."
            }
            Self::NoDeath => {
                "Find out what ended the processes that the report lists: the kernel's log names those that ran out of memory. An end that is part of the test belongs in a `[[fault]]`."
            }
            Self::NoIncident => {
                "Find out what disturbed the processes that the report lists, and run it again without that; a criterion on `incidents.minor` says how many a long run may have."
            }
            Self::NoAlert => "Read the alerts in the report: the first is often the cause of the others.",
            Self::NothingLeft => {
                "Remove what is left, with `coordinator clean`, and keep the run's directory: nothing may be left."
            }
            Self::MemoryUntouched => {
                "Find out which other program wrote to the fleet's directory in /dev/shm."
            }
            Self::SetUp | Self::TearDown => {
                "Read in the report what the command put out, mend it, and run the scenario again."
            }
        }
    }
}
